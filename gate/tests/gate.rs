//! The gate over records in memory: passwords, tokens, guesses, revocation, policies and the audit on disk.

use naru_api::{Answer, Authority, Ground};
use naru_gate::{Deed, DeskJudge, Gate, Judge, Records};
use naru_home::{Home, wall};
use naru_model::{Change, Demand, Span};
use naru_who::{
    Asked, AuditOutcome, AuditQuery, DeskRequest, People, PeopleChanged, PeopleOrder, PersonWrite,
    RequestOrder, RequestState, Right, RightQuestion, SignIn, Standing, Who,
};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// The people, and what the desk had done.
struct Kept(watch::Sender<Arc<People>>, Arc<Mutex<Vec<Demand>>>);

impl Records for Kept {
    fn people(&self) -> Arc<People> {
        self.0.borrow().clone()
    }

    fn changes(&self) -> watch::Receiver<Arc<People>> {
        self.0.subscribe()
    }

    fn change(&self, judge: Judge) -> Answer<'_, PeopleChanged> {
        let mut people = (**self.0.borrow()).clone();
        let judged = judge(&Arc::new(people.clone()), wall());
        Box::pin(async move {
            let (changed, writes) = judged?;
            writes.into_iter().for_each(|write| people.apply(write));
            self.0.send_replace(Arc::new(people));
            Ok(changed)
        })
    }

    fn rule(&self, judge: DeskJudge) -> Answer<'_, DeskRequest> {
        let mut people = (**self.0.borrow()).clone();
        let judged = judge(&Arc::new(people.clone()), wall());
        Box::pin(async move {
            let ruled = judged?;
            if let Deed::Demand(demand) = &ruled.deed {
                self.1.lock().unwrap().push(demand.as_ref().clone());
            }
            ruled.writes.into_iter().for_each(|write| people.apply(write));
            people.apply(PersonWrite::Request(Box::new(ruled.request.clone())));
            self.0.send_replace(Arc::new(people));
            Ok(ruled.request)
        })
    }
}

impl Kept {
    fn of(people: Arc<People>) -> Kept {
        Kept(watch::Sender::new(people), Arc::default())
    }
}

struct Place {
    gate: Gate<Kept>,
    home: Home,
    _dir: tempfile::TempDir,
}

const PASSWORD: &str = "correct horse battery";

fn open(home: &Home) -> Gate<Kept> {
    Gate::open(home, Kept::of(Arc::default()))
}

impl Place {
    async fn start() -> Place {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(dir.path()).unwrap();
        let place = Place { gate: open(&home), home, _dir: dir };
        for (name, group) in [("kim", "dev"), ("lee", "ops")] {
            let (name, groups) = (name.into(), [group.to_string()].into());
            place.order(PeopleOrder::AddUser { name, groups, password: Some(PASSWORD.into()) }).await;
        }
        place
    }

    async fn order(&self, order: PeopleOrder) -> PeopleChanged {
        self.gate.change_people(&Who::owner("root", "unix socket"), order).await.unwrap()
    }

    async fn grant(&self, who: &str, role: &str, on: &str) -> u64 {
        let (who, on) = (who.parse().unwrap(), on.parse().unwrap());
        let what = naru_who::Granted::Role(role.parse().unwrap());
        let added = self.order(PeopleOrder::AddGrant { who, what, on, lasts: None, reason: None }).await;
        added.id.unwrap().parse().unwrap()
    }

    async fn sign_in(&self, user: &str, password: &str, from: &str) -> Result<String, Ground> {
        let as_whom = SignIn { user: user.into(), password: password.into() };
        let answer = self.gate.sign_in(as_whom, address(from)).await;
        answer.map(|answer| answer.token.unwrap()).map_err(|refused| refused.ground)
    }

    async fn who(&self, token: &str) -> Result<Who, Ground> {
        self.gate.whose(token, address("192.0.2.9")).await.map_err(|refused| refused.ground)
    }

    fn may(&self, who: &Who, right: Right, on: &str) -> bool {
        self.gate.decide(who, right, &on.parse().unwrap()).allowed
    }
}

fn address(ip: &str) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), 4000)
}

#[tokio::test]
async fn a_password_gets_a_token_that_is_its_user() {
    let place = Place::start().await;
    let token = place.sign_in("kim", PASSWORD, "192.0.2.1").await.unwrap();
    let kim = place.who(&token).await.unwrap();
    assert_eq!(kim.name, "kim");
    assert!(matches!(kim.standing, Standing::User { token: Some(_) }));
    for (user, password) in
        [("kim", "wrong one"), ("lee ", PASSWORD), ("ghost", PASSWORD), ("kim", ""), ("", PASSWORD)]
    {
        assert_eq!(place.sign_in(user, password, "192.0.2.2").await, Err(Ground::Unknown), "{user}");
    }
    let mut other = token.clone();
    other.replace_range(token.len() - 1.., if token.ends_with('0') { "1" } else { "0" });
    assert_eq!(place.who(&other).await, Err(Ground::Unknown));
}

#[tokio::test]
async fn guessing_is_slowed_down_and_the_secret_stands_nowhere() {
    let place = Place::start().await;
    for _ in 0..5 {
        assert_eq!(place.sign_in("kim", "a wrong secret", "192.0.2.1").await, Err(Ground::Unknown));
    }
    assert_eq!(
        place.sign_in("kim", PASSWORD, "192.0.2.1").await,
        Err(Ground::TooMany),
        "even with the right one"
    );
    place.sign_in("kim", PASSWORD, "192.0.2.2").await.expect("from elsewhere kim comes in");
    place.sign_in("my secret password", "kim", "192.0.2.3").await.unwrap_err();
    let audit = std::fs::read_to_string(place.home.path("audit/audit.jsonl")).unwrap();
    assert!(
        !audit.contains("secret") && !audit.contains(PASSWORD) && audit.contains("name or password is wrong")
    );
    let query = AuditQuery {
        outcome: Some(AuditOutcome::Refused),
        action: Some("sign-in".into()),
        ..AuditQuery::default()
    };
    assert_eq!(
        place.gate.audit(query).await.unwrap().len(),
        6,
        "what was not even tried is not written down"
    );
}

#[tokio::test]
async fn what_is_taken_back_is_gone_at_once() {
    let place = Place::start().await;
    let grant = place.grant("group/dev", "operator", "stack/shop").await;
    let token = place.sign_in("kim", PASSWORD, "192.0.2.1").await.unwrap();
    let kim = place.who(&token).await.unwrap();
    assert!(
        place.may(&kim, Right::Restart, "service/shop/api") && !place.may(&kim, Right::Deploy, "stack/shop")
    );
    place.order(PeopleOrder::RemoveGrant { id: grant }).await;
    assert!(!place.may(&kim, Right::Restart, "service/shop/api"));
    place.grant("kim", "admin", "all").await;
    assert!(place.may(&kim, Right::Deploy, "stack/shop"));
    place
        .order(PeopleOrder::SetPassword { name: "kim".into(), password: "another horse battery".into() })
        .await;
    assert!(!place.may(&kim, Right::Deploy, "stack/shop"), "the token ended with the password");
    assert_eq!(place.who(&token).await, Err(Ground::Unknown));
    assert_eq!(place.sign_in("kim", PASSWORD, "192.0.2.1").await, Err(Ground::Unknown));
    let token = place.sign_in("kim", "another horse battery", "192.0.2.1").await.unwrap();
    place.order(PeopleOrder::RemoveUser { name: "kim".into() }).await;
    assert_eq!(place.who(&token).await, Err(Ground::Unknown));
}

#[tokio::test]
async fn a_made_token_is_shown_once_and_kept_as_a_hash() {
    let place = Place::start().await;
    let order =
        PeopleOrder::CreateToken { user: "kim".into(), scope: None, lasts: Span::mins(5), note: "ci".into() };
    let made = place.order(order).await;
    let token = made.token.unwrap();
    assert_eq!(place.who(&token).await.unwrap().name, "kim");
    let view = place.gate.people(&Who::owner("root", "unix socket"));
    let shown = serde_json::to_string(&view).unwrap();
    let secret = token.rsplit('_').next().unwrap();
    assert!(
        !shown.contains(secret) && !shown.contains("argon2") && shown.contains(&made.id.clone().unwrap())
    );
    let own = place.gate.people(&place.who(&token).await.unwrap());
    assert_eq!((own.users.len(), own.users[0].name.as_str()), (1, "kim"), "of others, nothing");
    assert!(
        place
            .gate
            .change_people(&place.who(&token).await.unwrap(), PeopleOrder::RemoveUser { name: "lee".into() })
            .await
            .is_err()
    );
}

#[tokio::test]
async fn policies_hold_beside_grants_and_what_cannot_be_read_lets_nobody_in() {
    let place = Place::start().await;
    place.grant("kim", "admin", "all").await;
    let kim = Who { name: "kim".into(), standing: Standing::User { token: None }, from: "test".into() };
    assert!(place.may(&kim, Right::Deploy, "stack/shop"));
    let folder = place.home.folder("policies").unwrap();
    std::fs::write(
        folder.join("own.cedar"),
        "forbid(principal, action, resource) when { context.speed > 3 };",
    )
    .unwrap();
    let people = place.gate_people();
    let again = Gate::open(&place.home, Kept::of(people.clone()));
    assert!(
        !again.decide(&kim, Right::Deploy, &"stack/shop".parse().unwrap()).allowed,
        "it begins without policies"
    );
    let only = "@id(\"still\") forbid(principal, action == Naru::Action::\"deploy\", resource);";
    std::fs::write(folder.join("own.cedar"), only).unwrap();
    let again = Gate::open(&place.home, Kept::of(people));
    let question =
        |action| RightQuestion { user: "kim".into(), action, on: "stack/shop".parse().unwrap(), at: None };
    let owner = Who::owner("root", "unix socket");
    let said = again.can(&owner, question(Right::Deploy)).await.unwrap();
    assert_eq!((said.allowed, said.by.as_deref()), (false, Some("policy own.cedar#still")));
    assert!(again.can(&owner, question(Right::Restart)).await.unwrap().allowed);
}

impl Place {
    fn gate_people(&self) -> Arc<People> {
        self.gate.changes().borrow().clone()
    }
}

#[tokio::test]
async fn with_an_audit_that_is_not_whole_only_the_owner_gets_on() {
    let place = Place::start().await;
    place.grant("kim", "admin", "all").await;
    let people = place.gate_people();
    let file = place.home.path("audit/audit.jsonl");
    let altered = std::fs::read_to_string(&file).unwrap().replace("add user kim", "add user eve");
    std::fs::write(&file, altered).unwrap();
    let again = Gate::open(&place.home, Kept::of(people));
    let fault = again.audit_state().await.unwrap().fault.unwrap();
    assert!(fault.contains("it was changed"), "{fault}");
    let remove = || PeopleOrder::RemoveUser { name: "lee".into() };
    let kim = Who { name: "kim".into(), standing: Standing::User { token: None }, from: "test".into() };
    assert_eq!(again.change_people(&kim, remove()).await.unwrap_err().ground, Ground::Unavailable);
    again.change_people(&Who::owner("root", "unix socket"), remove()).await.unwrap();
}

fn user(name: &str) -> Who {
    Who { name: name.into(), standing: Standing::User { token: None }, from: "test".into() }
}

#[tokio::test]
async fn what_is_approved_is_done_once_and_written_down() {
    let dir = tempfile::tempdir().unwrap();
    let home = Home::open(dir.path()).unwrap();
    let kept = Kept::of(Arc::default());
    let demands = kept.1.clone();
    let place = Place { gate: Gate::open(&home, kept), home, _dir: dir };
    for name in ["kim", "lee"] {
        let order = PeopleOrder::AddUser { name: name.into(), groups: [].into(), password: None };
        place.order(order).await;
    }
    place.grant("lee", "admin", "stack/shop").await;
    let change = Box::new(Change::Wake { services: vec!["engine".into()], within: Span::mins(240) });
    let make =
        RequestOrder::Make { asked: Asked::Deed { stack: "shop".into(), change }, reason: "a demo".into() };
    let made = place.gate.order_request(&user("kim"), make).await.unwrap().request;
    let approve = || RequestOrder::Approve { id: made.id, lasts: Some(Span::mins(60)), reason: None };
    let own = place.gate.order_request(&user("kim"), approve()).await.unwrap_err();
    assert_eq!(own.ground, Ground::Forbidden);
    let done = place.gate.order_request(&user("lee"), approve()).await.unwrap().request;
    assert_eq!(done.state, RequestState::Done);
    let again = place.gate.order_request(&user("lee"), approve()).await.unwrap_err();
    assert_eq!((again.ground, again.refusal.error.contains("approved by lee")), (Ground::Conflict, true));
    let demands = demands.lock().unwrap().clone();
    let said = "a demo (request 1, approved by lee)";
    assert_eq!(demands.len(), 1);
    assert_eq!((demands[0].actor.as_str(), demands[0].message.as_deref()), ("kim", Some(said)));
    assert!(matches!(demands[0].change, Change::Wake { within, .. } if within == Span::mins(60)));
    let events = place.gate.audit(AuditQuery { since: None, ..AuditQuery::default() }).await.unwrap();
    let told: Vec<String> = events
        .iter()
        .skip(3)
        .map(|one| format!("{} {} {}", one.entry.who, one.entry.action, one.entry.outcome.word()))
        .collect();
    let want = [
        "kim request allowed",
        "kim approve refused",
        "lee approve allowed",
        "kim wake allowed",
        "lee approve refused",
    ];
    assert_eq!(told, want);
}

#[tokio::test]
async fn a_right_that_was_approved_begins_when_it_is_used() {
    let place = Place::start().await;
    place.grant("lee", "admin", "all").await;
    let asked = Asked::Right { right: Right::Exec, on: "shop".parse().unwrap(), lasts: Span::mins(60) };
    let make = RequestOrder::Make { asked, reason: "a look".into() };
    let id = place.gate.order_request(&user("kim"), make).await.unwrap().request.id;
    let on = "instance/shop.api.1.1".parse().unwrap();
    assert!(!place.gate.begin(&user("kim"), Right::Exec, &on).await.unwrap(), "nobody has approved it");
    let approve = RequestOrder::Approve { id, lasts: None, reason: None };
    place.gate.order_request(&user("lee"), approve).await.unwrap();
    assert!(!place.may(&user("kim"), Right::Exec, "instance/shop.api.1.1"));
    assert!(place.gate.begin(&user("kim"), Right::Exec, &on).await.unwrap());
    assert!(place.may(&user("kim"), Right::Exec, "instance/shop.api.1.1"));
    let revoke = RequestOrder::Revoke { id, reason: None };
    place.gate.order_request(&user("lee"), revoke).await.unwrap();
    assert!(!place.may(&user("kim"), Right::Exec, "instance/shop.api.1.1"), "at once");
    assert!(!place.gate.begin(&user("kim"), Right::Exec, &on).await.unwrap());
}
