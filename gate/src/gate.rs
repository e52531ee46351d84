//! The gate at work.

use crate::policies::Folder;
use crate::records::{Judge, Records};
use naru_api::{Answer, Authority, Ground, Refused};
use naru_audit::Audit;
use naru_directory::Watched;
use naru_home::{Home, wall};
use naru_identity::Attempts;
use naru_rights::{Declined, Made, Policies, Rights, admit};
use naru_who::{
    AuditEntry, AuditEvent, AuditOutcome, AuditQuery, AuditState, People, PeopleChanged, PeopleOrder,
    PeopleView, RequestOrder, RequestView, Resource, Right, RightQuestion, SignIn, Standing, TokenView,
    UserView, Verdict, Who,
};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, watch};

/// Passwords that are hashed at a time: each takes a core and 19 MiB.
const HASHING_MAX: usize = 2;

/// The server's gate.
pub struct Gate<R> {
    pub(crate) records: R,
    rights: Mutex<Option<Arc<Rights>>>,
    policies: Mutex<Folder>,
    pub(crate) attempts: Mutex<Attempts>,
    pub(crate) directory: Mutex<Watched>,
    /// Passwords that are passed on to the directory, which counts them itself.
    pub(crate) passed_on: Mutex<Attempts>,
    pub(crate) hashing: Semaphore,
    audit: Arc<Mutex<Result<Audit, String>>>,
    audit_dir: PathBuf,
}

/// Nothing panics while it holds one.
pub(crate) fn locked<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R: Records> Gate<R> {
    /// That of a home, whose records these are. With an audit that is not whole, only the owner gets anything done.
    pub fn open(home: &Home, records: R) -> Gate<R> {
        let audit_dir = home.path("audit");
        let audit = Audit::open(&audit_dir).map_err(|error| error.to_string());
        if let Err(error) = &audit {
            tracing::error!(error, "what users do cannot be written down, and so they do nothing");
        }
        Gate {
            records,
            rights: Mutex::new(None),
            policies: Mutex::new(Folder::new(home.dir())),
            attempts: Mutex::default(),
            directory: Mutex::new(Watched::new(home.dir())),
            passed_on: Mutex::default(),
            hashing: Semaphore::new(HASHING_MAX),
            audit: Arc::new(Mutex::new(audit)),
            audit_dir,
        }
    }

    /// The rights by the newest records and policies.
    pub(crate) fn rights(&self) -> Arc<Rights> {
        let (people, policies) = (self.records.people(), self.policies());
        let mut known = locked(&self.rights);
        if let Some(known) = known.as_ref()
            && Arc::ptr_eq(known.people(), &people)
            && Arc::ptr_eq(known.policies(), &policies)
        {
            return known.clone();
        }
        known.insert(Arc::new(Rights::new(people, policies))).clone()
    }

    pub(crate) fn policies(&self) -> Arc<Policies> {
        locked(&self.policies).newest()
    }

    pub(crate) async fn write_down(&self, entry: AuditEntry) -> Result<(), Refused> {
        let audit = self.audit.clone();
        let entry = AuditEntry { time: wall(), ..entry };
        let written = tokio::task::spawn_blocking(move || match &mut *locked(&audit) {
            Ok(audit) => audit.add(entry).map(drop).map_err(|error| error.to_string()),
            Err(broken) => Err(broken.clone()),
        });
        written.await.map_err(|error| error.to_string()).flatten().map_err(|error| {
            let error = format!("what is done cannot be written down, and so it is not done: {error}");
            Refused::new(
                Ground::Unavailable,
                error,
                "see to the folder `audit` of NARU_HOME; its owner can go on",
            )
        })
    }

    /// What is made for an order beforehand, and the token that is shown once.
    async fn make(&self, order: &PeopleOrder) -> Result<(Made, Option<String>), Refused> {
        let mut made = Made::default();
        match order {
            PeopleOrder::AddUser { password: Some(password), .. }
            | PeopleOrder::SetPassword { password, .. } => {
                made.password = Some(self.hash(password.clone()).await?);
            }
            PeopleOrder::CreateToken { .. } => {
                let minted = crate::sign_in::mint()?;
                made.token = Some((minted.id, minted.hash));
                return Ok((made, Some(minted.token)));
            }
            _ => {}
        }
        Ok((made, None))
    }

    async fn ordered(&self, who: Who, order: PeopleOrder) -> Result<PeopleChanged, Refused> {
        // Before anything is made: whether it would be admitted at all.
        let stand_in = Made { password: Some(String::new()), token: Some(Default::default()) };
        let judged = admit(&self.rights(), &who, &order, &stand_in, wall());
        let entry = |outcome, text| AuditEntry {
            time: wall(),
            who: who.name.clone(),
            from: who.from.clone(),
            action: Right::ManagePeople.word().into(),
            on: about(&order),
            outcome,
            by: None,
            text,
        };
        if let Err(declined) = judged {
            let refused = declined_as(declined);
            let text = format!("{}: {}", order.sentence(), refused.refusal.error);
            if let Err(error) = self.write_down(entry(AuditOutcome::Refused, text)).await {
                tracing::error!(%error, "a refusal is not in the audit");
            }
            return Err(refused);
        }
        match self.write_down(entry(AuditOutcome::Allowed, order.sentence())).await {
            Err(error) if who.is_owner() => {
                tracing::error!(%error, "what the owner does is not in the audit")
            }
            noted => noted?,
        }
        let (made, token) = self.make(&order).await?;
        let policies = self.policies();
        let judge: Judge = Box::new(move |people: &Arc<People>, now| {
            let rights = Rights::new(people.clone(), policies);
            admit(&rights, &who, &order, &made, now).map_err(declined_as)
        });
        let changed = self.records.change(judge).await?;
        Ok(PeopleChanged { token, ..changed })
    }

    fn view(&self, who: &Who) -> PeopleView {
        let rights = self.rights();
        let people = rights.people();
        let all = rights.decide(who, Right::ManagePeople, &Resource::All, wall()).allowed;
        let is_own = |name: &str| all || name == who.name;
        let names = rights.names(&who.name);
        let (users, tokens) = (people.users.values(), people.tokens.values());
        PeopleView {
            me: who.name.clone(),
            users: users.filter(|user| is_own(&user.name)).map(UserView::from).collect(),
            tokens: tokens.filter(|token| is_own(&token.user)).map(TokenView::from).collect(),
            grants: people
                .grants
                .values()
                .filter(|grant| all || (!who.is_owner() && names.contains(&grant.who.to_string())))
                .cloned()
                .collect(),
        }
    }
}

pub(crate) fn declined_as(declined: Declined) -> Refused {
    match declined {
        Declined::NotAllowed(refusal) => Refused { ground: Ground::Forbidden, refusal },
        Declined::Senseless(refusal) => Refused { ground: Ground::Invalid, refusal },
        Declined::Late(refusal) => Refused { ground: Ground::Conflict, refusal },
    }
}

/// What a change of people is about, for the audit.
fn about(order: &PeopleOrder) -> String {
    match order {
        PeopleOrder::AddGrant { on, .. } => on.to_string(),
        _ => Resource::All.to_string(),
    }
}

impl<R: Records> Authority for Gate<R> {
    fn whose(&self, token: &str, from: SocketAddr) -> Answer<'_, Who> {
        let token = token.to_string();
        Box::pin(async move { self.holder(&token, from).await })
    }

    fn sign_in(&self, as_whom: SignIn, from: SocketAddr) -> Answer<'_, PeopleChanged> {
        Box::pin(self.let_in(as_whom, from))
    }

    fn decide(&self, who: &Who, right: Right, on: &Resource) -> Verdict {
        self.rights().decide(who, right, on, wall())
    }

    fn anywhere(&self, who: &Who, rights: &[Right]) -> bool {
        self.rights().anywhere(who, rights, wall())
    }

    fn changes(&self) -> watch::Receiver<Arc<People>> {
        self.records.changes()
    }

    fn note(&self, entry: AuditEntry) -> Answer<'_, ()> {
        Box::pin(self.write_down(entry))
    }

    fn people(&self, who: &Who) -> PeopleView {
        self.view(who)
    }

    fn change_people(&self, who: &Who, order: PeopleOrder) -> Answer<'_, PeopleChanged> {
        Box::pin(self.ordered(who.clone(), order))
    }

    fn begin(&self, who: &Who, right: Right, on: &Resource) -> Answer<'_, bool> {
        Box::pin(self.begun(who.clone(), right, on.clone()))
    }

    fn requests(&self, who: &Who) -> Vec<RequestView> {
        naru_rights::desk::seen(&self.rights(), who, wall())
    }

    fn order_request(&self, who: &Who, order: RequestOrder) -> Answer<'_, RequestView> {
        Box::pin(self.asked(who.clone(), order))
    }

    fn can(&self, who: &Who, question: RightQuestion) -> Answer<'_, Verdict> {
        // Whoever asks about themselves with a token hears what the token is good for.
        let standing = match &who.standing {
            Standing::User { token } if question.user == who.name => Standing::User { token: token.clone() },
            _ => Standing::User { token: None },
        };
        let asked = Who { name: question.user, standing, from: who.from.clone() };
        let at = question.at.unwrap_or_else(wall);
        let verdict = self.rights().decide(&asked, question.action, &question.on, at);
        Box::pin(std::future::ready(Ok(verdict)))
    }

    fn audit(&self, query: AuditQuery) -> Answer<'_, Vec<AuditEvent>> {
        let dir = self.audit_dir.clone();
        Box::pin(looked_up(move || naru_audit::read(&dir, &query)))
    }

    fn audit_state(&self) -> Answer<'_, AuditState> {
        let dir = self.audit_dir.clone();
        Box::pin(looked_up(move || naru_audit::verify(&dir)))
    }
}

async fn looked_up<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, naru_audit::AuditError> + Send + 'static,
) -> Result<T, Refused> {
    let found = tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string());
    found
        .and_then(|found| found.map_err(|error| error.to_string()))
        .map_err(|error| Refused::new(Ground::Unavailable, error, "see to the folder `audit` of NARU_HOME"))
}
