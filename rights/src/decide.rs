//! The decision: a question, the grants that come into it, and what Cedar says.

use crate::directory;
use crate::expression::{long, record, text, texts, verbs};
use crate::policies::Policies;
use crate::schema;
use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid, PolicyId, Request,
    Response, RestrictedExpression,
};
use naru_model::Time;
use naru_who::{
    DeskRequest, GrantRecord, Granted, Grantee, People, Rank, RequestState, Resource, Right, Standing,
    Verdict, Who,
};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Grants that come near are told up to so many.
const NEAR_MAX: usize = 5;

/// Everybody's rights, at one moment of the records.
pub struct Rights {
    people: Arc<People>,
    policies: Arc<Policies>,
    /// The numbers of grants, by whose they are.
    grants: BTreeMap<String, Vec<u64>>,
    /// Each action with the groups that it is of.
    actions: BTreeMap<Right, (EntityUid, Entities)>,
    types: Types,
    authorizer: Authorizer,
}

/// Names of types, read once.
struct Types {
    user: EntityTypeName,
    group: EntityTypeName,
    kinds: BTreeMap<&'static str, EntityTypeName>,
}

/// A question, as Cedar is asked it.
struct Asked<'a> {
    right: Right,
    now: Time,
    principal: EntityUid,
    resource: EntityUid,
    entities: Entities,
    scope: Option<&'a naru_who::Scope>,
}

/// By which grants a question is decided.
#[derive(Clone, Copy)]
enum Basis<'a> {
    All,
    Own,
    Only(&'a GrantRecord),
}

/// What Cedar says.
enum Outcome {
    Permitted(Vec<String>),
    Forbidden(Vec<String>),
    /// No policy is about it.
    Nothing,
    /// Something could not be evaluated.
    Broken(String),
}

impl Rights {
    /// Those of these people under these policies.
    pub fn new(people: Arc<People>, policies: Arc<Policies>) -> Rights {
        let mut grants: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for grant in people.grants.values() {
            grants.entry(grant.who.to_string()).or_default().push(grant.id);
        }
        let actions = actions(&policies);
        Rights { people, policies, grants, actions, types: Types::new(), authorizer: Authorizer::new() }
    }

    /// Whose rights these are.
    pub fn people(&self) -> &Arc<People> {
        &self.people
    }

    /// Under which policies.
    pub fn policies(&self) -> &Arc<Policies> {
        &self.policies
    }

    /// Whether somebody may, at this moment.
    pub fn decide(&self, who: &Who, right: Right, on: &Resource, now: Time) -> Verdict {
        self.by(Basis::All, who, right, on, now)
    }

    /// Whether somebody may by what is their own: without what was approved for them at the service desk.
    pub fn decide_own(&self, who: &Who, right: Right, on: &Resource, now: Time) -> Verdict {
        self.by(Basis::Own, who, right, on, now)
    }

    /// Whether somebody might if this were granted, and nothing else.
    pub(crate) fn decide_with(&self, who: &Who, grant: &GrantRecord, right: Right, on: &Resource) -> Verdict {
        self.by(Basis::Only(grant), who, right, on, grant.from)
    }

    /// Whether what somebody approves holds: they may do it themselves, by what is their own, and approve.
    pub(crate) fn may_approve(&self, name: &str, right: Right, on: &Resource, now: Time) -> bool {
        let standing = Standing::User { token: None };
        let who = Who { name: name.into(), standing, from: String::new() };
        [Right::Approve, right].into_iter().all(|right| self.decide_own(&who, right, on, now).allowed)
    }

    /// Whether a grant counts that was approved at the service desk: only as long as whoever approved it might.
    fn stands(&self, grant: &GrantRecord, right: Right, on: &Resource, now: Time) -> bool {
        let Some(id) = grant.request else { return true };
        let approval = self.people.requests.get(&id).and_then(|request| request.approval());
        approval.is_some_and(|one| one.of == Rank::Owner || self.may_approve(&one.by, right, on, now))
    }

    fn by(&self, basis: Basis<'_>, who: &Who, right: Right, on: &Resource, now: Time) -> Verdict {
        let Standing::User { token } = &who.standing else { return owner(&who.name) };
        let Some(chain) = on.chain() else { return no(None, "no right is about such a name") };
        if !schema::applies(right, on) {
            return no(None, format!("{right} is nothing that is done with {on}"));
        }
        if right == Right::Report {
            return no(None, "only the owner's own processes speak for a node");
        }
        let Some(user) = self.people.users.get(&who.name) else {
            return no(None, format!("there is no user {}", who.name));
        };
        // Whoever only asks does not want to know when the directory was asked last.
        let held = if token.is_some() { directory::holds(user, now) } else { directory::is_there(user) };
        if let Err(lapsed) = held {
            return no(None, lapsed.sentence(&user.name));
        }
        let scope = match token {
            None => None,
            Some(id) => match self.people.tokens.get(id).filter(|token| token.user == user.name) {
                Some(token) if now < token.until => token.scope.as_ref(),
                _ => return no(Some(format!("token {id}")), "the token has ended"),
            },
        };
        let names = self.names(&user.name);
        let within: Vec<String> = chain.iter().map(ToString::to_string).collect();
        let holds = |grant: &&GrantRecord| fits(grant, right, &within, now);
        let fitting = self.grants_of(&names).filter(holds);
        let candidates: Vec<&GrantRecord> = match basis {
            Basis::All => fitting.filter(|grant| self.stands(grant, right, on, now)).collect(),
            Basis::Own => fitting.filter(|grant| grant.request.is_none()).collect(),
            Basis::Only(grant) => vec![grant],
        };
        // Each of the fixed policies permits by a grant: without one they have nothing to say.
        let is_silent = candidates.is_empty() && self.policies.count == 0;
        let asked = (!is_silent).then(|| self.ask(&names, right, &chain, scope, now));
        let verdict = match asked {
            None => None,
            Some(Ok(asked)) => self.judge(&asked, &candidates),
            Some(Err(error)) => Some(no(None, format!("it cannot be decided: {error}"))),
        };
        verdict.unwrap_or_else(|| {
            let near = self.near(&names, right, &within, now);
            let why = format!("no grant of {} includes {right} on {on}", user.name);
            Verdict { allowed: false, by: None, why, near }
        })
    }

    /// Whether somebody might do any of these with anything at all. For what is refused before it is looked at; what
    /// passes is decided for what it is about.
    pub fn anywhere(&self, who: &Who, rights: &[Right], now: Time) -> bool {
        let Standing::User { token } = &who.standing else { return true };
        if self.people.users.get(&who.name).is_none_or(|user| directory::holds(user, now).is_err()) {
            return false;
        }
        let scope = match token.as_ref().map(|id| self.people.tokens.get(id)) {
            None => None,
            Some(None) => return false,
            Some(Some(token)) => token.scope.as_ref(),
        };
        let names = self.names(&who.name);
        rights.iter().any(|right| {
            let in_scope = scope.is_none_or(|scope| scope.what.allows(*right));
            let granted =
                || self.grants_of(&names).any(|grant| grant.what.allows(*right) && lasts(grant, now));
            // What was approved becomes a grant with its first use.
            let granted = || granted() || self.approved(&who.name, *right, now).next().is_some();
            in_scope && *right != Right::Report && (self.policies.permits || granted())
        })
    }

    /// Rights that were approved for a user, and not used yet.
    pub(crate) fn approved<'a>(
        &'a self,
        user: &'a str,
        right: Right,
        now: Time,
    ) -> impl Iterator<Item = &'a DeskRequest> {
        let waits = move |request: &&DeskRequest| {
            request.by == user
                && request.state_at(now) == RequestState::Approved
                && request.asked.takes().0 == right
        };
        self.people.requests.values().filter(waits)
    }

    /// The user and its groups, as grants name them.
    pub fn names(&self, user: &str) -> Vec<String> {
        let groups = self.people.users.get(user).into_iter().flat_map(|user| &user.groups);
        let groups = groups.map(|group| Grantee::Group(group.clone()).to_string());
        std::iter::once(Grantee::User(user.into()).to_string()).chain(groups).collect()
    }

    pub(crate) fn grants_of<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = &'a GrantRecord> {
        let ids = names.iter().filter_map(|name| self.grants.get(name)).flatten();
        ids.filter_map(|id| self.people.grants.get(id))
    }

    fn ask<'a>(
        &self,
        names: &[String],
        right: Right,
        chain: &[Resource],
        scope: Option<&'a naru_who::Scope>,
        now: Time,
    ) -> Result<Asked<'a>, String> {
        let (principal, groups) = self.types.principal(names);
        let above: Vec<EntityUid> = chain[1..].iter().map(|above| self.types.resource(above)).collect();
        let resource = self.types.resource(&chain[0]);
        let within = texts(chain.iter().map(ToString::to_string));
        let entity = |uid: &EntityUid, name: &str, value, parents: Vec<EntityUid>| {
            Entity::new_with_tags(uid.clone(), [(name.to_string(), value)], parents, [])
                .map_err(|error| error.to_string())
        };
        let all = [
            entity(&principal, "names", texts(names.iter().cloned()), groups)?,
            entity(&resource, "within", within, above)?,
        ];
        let (_, action) = &self.actions[&right];
        let entities = action.clone().add_entities(all, None).map_err(|error| error.to_string())?;
        Ok(Asked { right, now, principal, resource, entities, scope })
    }

    /// By the grants that fit; without one, by the administrator's policies alone. `None`: no rule is about it.
    fn judge(&self, asked: &Asked<'_>, candidates: &[&GrantRecord]) -> Option<Verdict> {
        let mut rounds: Vec<Option<&GrantRecord>> = candidates.iter().copied().map(Some).collect();
        if rounds.is_empty() {
            rounds.push(None);
        }
        for grant in rounds {
            match self.evaluate(asked, grant) {
                Outcome::Permitted(by) => return Some(permitted(grant, by)),
                Outcome::Forbidden(by) => return Some(forbidden(&by)),
                Outcome::Broken(error) => return Some(no(None, format!("it cannot be decided: {error}"))),
                Outcome::Nothing => {}
            }
        }
        None
    }

    fn evaluate(&self, asked: &Asked<'_>, grant: Option<&GrantRecord>) -> Outcome {
        match self.response(asked, grant) {
            Err(error) => Outcome::Broken(error),
            Ok(response) => {
                let said = response.diagnostics();
                if let Some(error) = said.errors().next() {
                    return Outcome::Broken(error.to_string());
                }
                let by = |id: &PolicyId| AsRef::<str>::as_ref(id).to_string();
                let mut by: Vec<String> = said.reason().map(by).collect();
                by.sort();
                match response.decision() {
                    Decision::Allow => Outcome::Permitted(by),
                    Decision::Deny if by.is_empty() => Outcome::Nothing,
                    Decision::Deny => Outcome::Forbidden(by),
                }
            }
        }
    }

    fn response(&self, asked: &Asked<'_>, grant: Option<&GrantRecord>) -> Result<Response, String> {
        let (action, _) = &self.actions[&asked.right];
        let context = context(asked, grant)?;
        let (principal, resource) = (asked.principal.clone(), asked.resource.clone());
        // The fixed policies are held against what is made here by the table of cases; others are the administrator's.
        let schema = (self.policies.count > 0).then_some(&self.policies.schema);
        let request = Request::new(principal, action.clone(), resource, context, schema)
            .map_err(|error| error.to_string())?;
        Ok(self.authorizer.is_authorized(&request, &self.policies.set, &asked.entities))
    }

    /// Grants that are somebody's, and what each lacks.
    fn near(&self, names: &[String], right: Right, within: &[String], now: Time) -> Vec<String> {
        let lack = |grant: &GrantRecord| {
            let said = grant.sentence();
            if !within.contains(&grant.on.to_string()) {
                format!("{said}: it is about something else")
            } else if !grant.what.allows(right) {
                format!("{said}: it does not include {right}")
            } else if now < grant.from {
                format!("{said}: it begins {}", grant.from.utc())
            } else {
                format!("{said}: it ended {}", grant.until.unwrap_or(now).utc())
            }
        };
        let mut grants: Vec<&GrantRecord> = self.grants_of(names).collect();
        // What is about this very thing comes first.
        grants.sort_by_key(|grant| (!within.contains(&grant.on.to_string()), grant.id));
        grants.into_iter().take(NEAR_MAX).map(lack).collect()
    }
}

fn lasts(grant: &GrantRecord, now: Time) -> bool {
    grant.from <= now && grant.until.is_none_or(|until| now < until)
}

/// What the fixed policies ask of a grant, so that Cedar is asked only about those that may do.
fn fits(grant: &GrantRecord, right: Right, within: &[String], now: Time) -> bool {
    grant.what.allows(right) && lasts(grant, now) && within.contains(&grant.on.to_string())
}

fn context(asked: &Asked<'_>, grant: Option<&GrantRecord>) -> Result<Context, String> {
    let mut pairs =
        vec![("now".to_string(), long(asked.now)), ("verb".to_string(), text(asked.right.word()))];
    if let Some(grant) = grant {
        let (role, actions) = match &grant.what {
            Granted::Role(role) => (role.word(), texts([])),
            actions @ Granted::Actions(_) => ("", verbs(actions)),
        };
        let fields = vec![
            ("id", RestrictedExpression::new_long(i64::try_from(grant.id).unwrap_or(i64::MAX))),
            ("who", text(grant.who.to_string())),
            ("role", text(role)),
            ("verbs", actions),
            ("on", text(grant.on.to_string())),
            ("from", long(grant.from)),
            ("until", long(grant.until.unwrap_or(Time(u64::MAX)))),
        ];
        pairs.push(("grant".into(), record(fields)?));
    }
    if let Some(scope) = asked.scope {
        let fields = vec![("verbs", verbs(&scope.what)), ("on", text(scope.on.to_string()))];
        pairs.push(("scope".into(), record(fields)?));
    }
    Context::from_pairs(pairs).map_err(|error| error.to_string())
}

fn owner(name: &str) -> Verdict {
    let why = format!("{name} is at the server's own socket, and so its owner");
    Verdict { allowed: true, by: Some("owner".into()), why, near: vec![] }
}

fn no(by: Option<String>, why: impl Into<String>) -> Verdict {
    Verdict { allowed: false, by, why: why.into(), near: vec![] }
}

fn permitted(grant: Option<&GrantRecord>, by: Vec<String>) -> Verdict {
    let own = by.iter().find(|by| by.starts_with("policy "));
    let (by, why) = match (grant, own) {
        (Some(grant), _) => {
            let until = grant.until.map_or(String::new(), |until| format!(", until {}", until.utc()));
            (format!("grant {}", grant.id), format!("{}{until}, given by {}", grant.sentence(), grant.by))
        }
        (None, Some(policy)) => (policy.clone(), format!("{policy} permits it")),
        (None, None) => (by.join(", "), "a fixed policy permits it".into()),
    };
    Verdict { allowed: true, by: Some(by), why, near: vec![] }
}

fn forbidden(by: &[String]) -> Verdict {
    if by.iter().any(|by| by.ends_with(": scope")) {
        return no(Some("token".into()), "the token is not for that");
    }
    no(Some(by.join(", ")), format!("{} forbids it", by.join(" and ")))
}

/// Each action's entity, which says of which groups it is.
fn actions(policies: &Policies) -> BTreeMap<Right, (EntityUid, Entities)> {
    let known = policies.schema.action_entities().expect("the schema is Naru's own");
    let one = |right: &Right| {
        let uid: EntityUid = format!("Naru::Action::\"{right}\"").parse().expect("an action's name is plain");
        let entity = known.get(&uid).expect("each right is an action of the schema").clone();
        (*right, (uid, Entities::from_entities([entity], None).expect("it is one entity")))
    };
    Right::ALL.iter().map(one).collect()
}

impl Types {
    fn new() -> Types {
        let named = |name: &str| -> EntityTypeName {
            format!("Naru::{name}").parse().expect("the names of types are plain")
        };
        let kinds = schema::KINDS.iter().map(|(word, name)| (*word, named(name))).collect();
        Types { user: named("User"), group: named("Group"), kinds }
    }

    /// A user, and its groups.
    fn principal(&self, names: &[String]) -> (EntityUid, Vec<EntityUid>) {
        let bare =
            |name: &String| EntityId::new(name.split_once('/').map_or(name.as_str(), |(_, name)| name));
        let group = |name| EntityUid::from_type_name_and_id(self.group.clone(), bare(name));
        (
            EntityUid::from_type_name_and_id(self.user.clone(), bare(&names[0])),
            names[1..].iter().map(group).collect(),
        )
    }

    /// As policies name it: `Naru::Service::"shop/api"`.
    fn resource(&self, resource: &Resource) -> EntityUid {
        let text = resource.to_string();
        let name = text.split_once('/').map_or(text.as_str(), |(_, name)| name);
        EntityUid::from_type_name_and_id(self.kinds[resource.kind()].clone(), EntityId::new(name))
    }
}
