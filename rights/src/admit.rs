//! Changes of people: what an order makes of the records, and why not.
//!
//! One rule stands above all: nobody gives what they do not have, to nobody and for no longer. A password, a group, a
//! token and a grant are all ways to give; each is held against the rights of whoever orders it.

use crate::Rights;
use crate::asking::check_words;
use crate::directory;
use crate::schema::applies;
use naru_model::{Refusal, Span, Time};
use naru_who::{
    DeskRequest, GrantRecord, Grantee, Origin, PeopleChanged, PeopleOrder, PersonWrite, RequestState,
    Resource, Right, Scope, Standing, TokenOrigin, TokenRecord, UserRecord, Who, is_person_name,
};
use std::collections::BTreeSet;

/// So many are far beyond one machine's team.
const USERS_MAX: usize = 10_000;
const GRANTS_MAX: usize = 50_000;
const TOKENS_MAX: usize = 100;
const GROUPS_MAX: usize = 100;

/// Shorter ones are guessed.
const PASSWORD_MIN: usize = 10;
/// Longer ones are no passwords; and hashing takes time.
const PASSWORD_MAX: usize = 1_000;

const TOKEN_LASTS_MAX: Span = Span::mins(366 * 24 * 60);

/// What was made for an order before it is judged: all that takes chance or long.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// The password's hash.
    pub password: Option<String>,
    /// A token's id and the hash of its secret part.
    pub token: Option<(String, String)>,
}

/// Why an order is not carried out.
#[derive(Clone, Debug, PartialEq)]
pub enum Declined {
    /// Whoever orders it has not the right to.
    NotAllowed(Refusal),
    /// It makes no sense.
    Senseless(Refusal),
    /// It came too late: something else was decided already.
    Late(Refusal),
}

pub(crate) fn no_right(error: impl Into<String>, hint: impl Into<String>) -> Declined {
    Declined::NotAllowed(Refusal::new(error, hint))
}

pub(crate) fn no_sense(error: impl Into<String>, hint: impl Into<String>) -> Declined {
    Declined::Senseless(Refusal::new(error, hint))
}

type Admitted = Result<(PeopleChanged, Vec<PersonWrite>), Declined>;

/// Why a password is none, if so.
///
/// # Errors
/// It is too short, or too long.
pub fn check_password(password: &str) -> Result<(), Declined> {
    let length = password.chars().count();
    if length < PASSWORD_MIN || password.len() > PASSWORD_MAX {
        let error =
            format!("a password has {PASSWORD_MIN} characters at least, and {PASSWORD_MAX} bytes at most");
        return Err(no_sense(error, "a few words in a row are easy to remember"));
    }
    Ok(())
}

/// What an order changes.
///
/// # Errors
/// Whoever orders it may not, or it makes no sense; nothing is changed.
pub fn admit(rights: &Rights, who: &Who, order: &PeopleOrder, made: &Made, now: Time) -> Admitted {
    let ask = Ask { rights, who, made, now };
    match order {
        PeopleOrder::AddUser { name, groups, password } => ask.add_user(name, groups, password.as_deref()),
        PeopleOrder::RemoveUser { name } => ask.remove_user(name),
        PeopleOrder::SetGroups { name, groups } => ask.set_groups(name, groups),
        PeopleOrder::SetPassword { name, password } => ask.set_password(name, password),
        PeopleOrder::CreateToken { user, scope, lasts, note } => ask.create_token(user, scope, *lasts, note),
        PeopleOrder::RemoveToken { id } => ask.remove_token(id),
        PeopleOrder::AddGrant { who, what, on, lasts, reason } => {
            let until = lasts.map(|lasts| now + lasts);
            let (who, what, on) = (who.clone(), what.clone(), on.clone());
            let by = ask.who.name.clone();
            let reason = reason.clone();
            ask.add_grant(GrantRecord { id: 0, who, what, on, from: now, until, by, reason, request: None })
        }
        PeopleOrder::RemoveGrant { id } => ask.remove_grant(*id),
    }
}

struct Ask<'a> {
    rights: &'a Rights,
    who: &'a Who,
    made: &'a Made,
    now: Time,
}

impl Ask<'_> {
    fn add_user(&self, name: &str, groups: &BTreeSet<String>, password: Option<&str>) -> Admitted {
        self.manages(&Resource::All)?;
        if !is_person_name(name) {
            let hint =
                "small letters, digits, `-`, `_` and `.`, at most 64; it begins with a letter or digit";
            return Err(no_sense(format!("{name:?} is no name for a user"), hint));
        }
        let people = self.rights.people();
        if people.users.contains_key(name) {
            return Err(no_sense(format!("there is a user {name} already"), "`naru user ls` lists users"));
        }
        if people.users.len() >= USERS_MAX {
            return Err(no_sense(
                format!("there are {USERS_MAX} users, the most there can be"),
                "remove some",
            ));
        }
        // Whatever was granted to the name beforehand is given to whoever gets it.
        self.covers_all(&[Grantee::User(name.into()).to_string()])?;
        self.gives_groups(groups)?;
        password.map_or(Ok(()), check_password)?;
        let (password, by) = (self.made.password.clone(), self.who.name.clone());
        let (name, groups, made, origin) = (name.into(), groups.clone(), self.now, Origin::Local);
        let user = UserRecord { name, groups, password, made, by, origin };
        done(vec![PersonWrite::User(Box::new(user))])
    }

    fn remove_user(&self, name: &str) -> Admitted {
        self.manages(&Resource::All)?;
        self.user(name)?;
        let people = self.rights.people();
        let tokens = people.tokens.values().filter(|token| token.user == name);
        let mut writes: Vec<_> = tokens.map(|token| PersonWrite::ForgetToken(token.id.clone())).collect();
        // Somebody who is called so later is somebody else.
        let own = Grantee::User(name.into());
        let grants = people.grants.values().filter(|grant| grant.who == own);
        writes.extend(grants.map(|grant| PersonWrite::ForgetGrant(grant.id)));
        writes.push(PersonWrite::ForgetUser(name.into()));
        writes.push(PersonWrite::NextGrant(people.next_grant));
        let asked = people.requests.values().filter(|request| request.by == name);
        writes.extend(asked.map(|request| PersonWrite::ForgetRequest(request.id)));
        writes.push(PersonWrite::NextRequest(people.next_request));
        done(writes)
    }

    fn set_groups(&self, name: &str, groups: &BTreeSet<String>) -> Admitted {
        self.manages(&Resource::All)?;
        let user = self.user(name)?;
        kept_here(&user, "groups")?;
        self.gives_groups(&groups.difference(&user.groups).cloned().collect())?;
        done(vec![PersonWrite::User(Box::new(UserRecord { groups: groups.clone(), ..user }))])
    }

    fn set_password(&self, name: &str, password: &str) -> Admitted {
        if name == self.who.name && !self.who.is_owner() {
            self.signed_in("changes a password")?;
        } else {
            self.manages(&Resource::All)?;
            self.user(name)?;
            // Whoever sets a password can sign in with it.
            self.covers_all(&self.rights.names(name))?;
        }
        let user = self.user(name)?;
        kept_here(&user, "password")?;
        check_password(password)?;
        let Some(hash) = self.made.password.clone() else {
            return Err(no_sense("the password was not hashed", "order it again"));
        };
        let tokens = self.rights.people().tokens.values();
        let ended = tokens.filter(|token| token.user == name && token.origin == TokenOrigin::SignIn);
        let mut writes: Vec<_> = ended.map(|token| PersonWrite::ForgetToken(token.id.clone())).collect();
        writes.push(PersonWrite::User(Box::new(UserRecord { password: Some(hash), ..user })));
        done(writes)
    }

    fn create_token(&self, user: &str, scope: &Option<Scope>, lasts: Span, note: &str) -> Admitted {
        if !self.who.is_owner() {
            if user != self.who.name {
                let error = format!("a token of {user} is made by {user}, or by the owner");
                return Err(no_right(error, "whoever has a token is its user"));
            }
            self.signed_in("makes a token")?;
        }
        directory::is_there(&self.user(user)?).map_err(|lapsed| {
            no_sense(lapsed.sentence(user), "who is back there signs in, and then has tokens")
        })?;
        if lasts == Span::ZERO || lasts > TOKEN_LASTS_MAX {
            return Err(no_sense("a token lasts at least a moment, and 366 days at most", "`--for 90d`"));
        }
        check_words(note)?;
        let own =
            self.rights.people().tokens.values().filter(|token| token.user == user && self.now < token.until);
        if own.count() >= TOKENS_MAX {
            let error = format!("{user} has {TOKENS_MAX} tokens, the most one can have");
            return Err(no_sense(error, "`naru token rm` ends those that are not needed"));
        }
        let Some((id, hash)) = self.made.token.clone() else {
            return Err(no_sense("no token was made", "order it again"));
        };
        let until = self.now + lasts;
        let token = TokenRecord {
            id: id.clone(),
            user: user.into(),
            hash,
            scope: scope.clone(),
            origin: TokenOrigin::Made,
            note: note.into(),
            made: self.now,
            until,
        };
        let mut writes = vec![PersonWrite::Token(Box::new(token))];
        writes.extend(self.ended_tokens());
        Ok((PeopleChanged { token: None, id: Some(id), until: Some(until) }, writes))
    }

    fn remove_token(&self, id: &str) -> Admitted {
        let found = self.rights.people().tokens.get(id);
        let own = found.is_some_and(|token| token.user == self.who.name && !self.who.is_owner());
        if !own {
            self.manages(&Resource::All)?;
        }
        if found.is_none() {
            return Err(no_sense(format!("there is no token {id}"), "`naru token ls` lists tokens"));
        }
        done(vec![PersonWrite::ForgetToken(id.into())])
    }

    fn add_grant(&self, grant: GrantRecord) -> Admitted {
        self.manages(&grant.on)?;
        if let Grantee::User(name) = &grant.who {
            self.user(name)?;
        }
        check_words(grant.reason.as_deref().unwrap_or_default())?;
        if !grant.what.actions().any(|right| applies(right, &grant.on)) {
            let error = format!("{} is nothing that is done with {}", grant.what, grant.on);
            return Err(no_sense(error, "name another resource, or other actions"));
        }
        if grant.until.is_some_and(|until| until <= self.now) {
            return Err(no_sense("the grant would end before it begins", "`--for 4h`"));
        }
        let people = self.rights.people();
        if people.grants.len() >= GRANTS_MAX {
            return Err(no_sense(
                format!("there are {GRANTS_MAX} grants, the most there can be"),
                "remove some",
            ));
        }
        self.covers(&grant)?;
        let (id, until) = (people.next_grant.max(1), grant.until);
        let mut writes = vec![PersonWrite::Grant(Box::new(GrantRecord { id, ..grant }))];
        // Long after their end they explain nothing any more.
        let old = |grant: &&GrantRecord| {
            grant.until.is_some_and(|until| until + Span::mins(30 * 24 * 60) < self.now)
        };
        writes.extend(people.grants.values().filter(old).map(|grant| PersonWrite::ForgetGrant(grant.id)));
        Ok((PeopleChanged { token: None, id: Some(id.to_string()), until }, writes))
    }

    fn remove_grant(&self, id: u64) -> Admitted {
        let people = self.rights.people();
        let Some(grant) = people.grants.get(&id) else {
            self.manages(&Resource::All)?;
            return Err(no_sense(format!("there is no grant {id}"), "`naru grant ls` lists grants"));
        };
        self.manages(&grant.on)?;
        let mut writes = vec![PersonWrite::ForgetGrant(id), PersonWrite::NextGrant(people.next_grant)];
        if let Some(request) = grant.request.and_then(|id| people.requests.get(&id)) {
            let state = RequestState::Revoked;
            writes.push(PersonWrite::Request(Box::new(DeskRequest { state, ..request.clone() })));
        }
        done(writes)
    }

    fn user(&self, name: &str) -> Result<UserRecord, Declined> {
        let found = self.rights.people().users.get(name).cloned();
        found.ok_or_else(|| no_sense(format!("there is no user {name}"), "`naru user ls` lists users"))
    }

    fn manages(&self, on: &Resource) -> Result<(), Declined> {
        let verdict = self.rights.decide(self.who, Right::ManagePeople, on, self.now);
        if verdict.allowed {
            Ok(())
        } else {
            Err(no_right(verdict.why, "whoever may manage people there can do it"))
        }
    }

    /// By a password, just now or some hours ago, and for all that the user may do: a token that was made for a program
    /// makes no others, so that it ends when it ends.
    fn signed_in(&self, what: &str) -> Result<(), Declined> {
        let Standing::User { token } = &self.who.standing else { return Ok(()) };
        let token = token.as_ref().and_then(|id| self.rights.people().tokens.get(id));
        if token.is_some_and(|token| token.origin == TokenOrigin::SignIn && token.scope.is_none()) {
            return Ok(());
        }
        Err(no_right(format!("only who has signed in by password {what}"), "`naru login`"))
    }

    fn gives_groups(&self, groups: &BTreeSet<String>) -> Result<(), Declined> {
        if groups.len() > GROUPS_MAX {
            return Err(no_sense(format!("nobody is of more than {GROUPS_MAX} groups"), "use fewer"));
        }
        if let Some(odd) = groups.iter().find(|group| !is_person_name(group)) {
            return Err(no_sense(
                format!("{odd:?} is no name for a group"),
                "small letters, digits, `-`, `_`, `.`",
            ));
        }
        let names: Vec<String> =
            groups.iter().map(|group| Grantee::Group(group.clone()).to_string()).collect();
        self.covers_all(&names)
    }

    /// Whatever these have, whoever orders this has too.
    fn covers_all(&self, names: &[String]) -> Result<(), Declined> {
        if self.who.is_owner() || names.is_empty() {
            return Ok(());
        }
        if self.rights.policies().permits {
            let error = "the server's policies give rights by themselves, so that only its owner gives groups and passwords";
            return Err(no_right(error, "ask the owner of the server"));
        }
        let is_over = |grant: &GrantRecord| grant.until.is_some_and(|until| until <= self.now);
        self.rights.grants_of(names).filter(|grant| !is_over(grant)).try_for_each(|grant| self.covers(grant))
    }

    /// Whether whoever orders this has all that a grant gives, from now to its end.
    fn covers(&self, grant: &GrantRecord) -> Result<(), Declined> {
        if self.who.is_owner() {
            return Ok(());
        }
        let end = Time(grant.until.map_or(i64::MAX as u64, |until| until.0).saturating_sub(1));
        for right in grant.what.actions().filter(|right| applies(*right, &grant.on)) {
            for (at, when) in [(self.now, "now"), (end, "for as long")] {
                // A token's own end is no end of its user's rights.
                // What one was lent, one does not pass on.
                let verdict = self.rights.decide_own(&self.person(), right, &grant.on, at);
                if !verdict.allowed {
                    let error = format!(
                        "{} may not {right} on {} {when}, and so gives it to nobody",
                        self.who.name, grant.on
                    );
                    return Err(no_right(
                        error,
                        "give less, or for a shorter time; or ask somebody who has it",
                    ));
                }
            }
            let scoped = self.rights.decide(self.who, right, &grant.on, self.now);
            if !scoped.allowed {
                return Err(no_right(scoped.why, "sign in, or use another token"));
            }
        }
        Ok(())
    }

    /// Whoever orders this, whatever token was shown.
    fn person(&self) -> Who {
        Who { standing: Standing::User { token: None }, ..self.who.clone() }
    }

    fn ended_tokens(&self) -> impl Iterator<Item = PersonWrite> + '_ {
        let all = self.rights.people().tokens.values();
        all.filter(|token| token.until <= self.now).map(|token| PersonWrite::ForgetToken(token.id.clone()))
    }
}

/// What the directory says of somebody is changed there.
fn kept_here(user: &UserRecord, what: &str) -> Result<(), Declined> {
    match user.origin {
        Origin::Local => Ok(()),
        Origin::Directory { .. } => {
            let error = format!("{} comes from the directory, and so does the {what}", user.name);
            Err(no_sense(
                error,
                "change it there; groups follow at the next look (`refresh` of directory.yaml)",
            ))
        }
    }
}

fn done(writes: Vec<PersonWrite>) -> Admitted {
    Ok((PeopleChanged { token: None, id: None, until: None }, writes))
}
