//! How somebody comes in by the directory, and what becomes of those who have.

use crate::gate::{Gate, locked};
use crate::records::{Judge, Records};
use crate::sign_in::{entry, mint, signed_in, too_many};
use naru_api::{Ground, Refused};
use naru_directory::{Directory, Proven, Refusal, Shown, SignedIn, State};
use naru_home::wall;
use naru_identity::Limits;
use naru_model::Span;
use naru_rights::directory::{Changed, Lapsed, arrives, looked_up, present};
use naru_who::{
    AuditEntry, AuditOutcome, DirectoryPerson, Origin, PeopleChanged, UserRecord, is_person_name,
};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Without a directory, how often it is looked whether there is one now.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// As whom the server writes down what it has heard from the directory.
const DIRECTORY: &str = "directory";

const WRONG: &str = "name or password is wrong";

fn span(duration: Duration) -> Span {
    Span(duration.as_millis().try_into().unwrap_or(u64::MAX))
}

/// What whoever shows a token hears, whose word has lapsed.
pub(crate) fn lapsed(lapsed: &Lapsed, user: &UserRecord) -> Refused {
    let ground = match lapsed {
        Lapsed::Gone { .. } => Ground::Unknown,
        Lapsed::Stale { .. } => Ground::Unavailable,
    };
    Refused::new(ground, lapsed.sentence(&user.name), "`naru login` asks the directory again")
}

fn silent(why: &str) -> Refused {
    let error = format!("the directory cannot be asked at present: {why}");
    Refused::new(
        Ground::Unavailable,
        error,
        "try again in a moment; `naru directory check` on the server tells more",
    )
}

impl<R: Records> Gate<R> {
    fn directory(&self) -> State {
        locked(&self.directory).newest()
    }

    /// The directory, if it has the say about this name: whoever was added on this server is not asked for there.
    pub(crate) fn directory_for(&self, name: &str) -> Result<Option<Arc<Directory>>, Refused> {
        let people = self.records.people();
        let is_local = people.users.get(name).is_some_and(|user| user.origin == Origin::Local);
        if is_local || !is_person_name(name) {
            return Ok(None);
        }
        match self.directory() {
            State::Off => Ok(None),
            State::On(directory) => Ok(Some(directory)),
            State::Broken(_) => Err(silent("its file is not right")),
        }
    }

    pub(crate) async fn by_directory(
        &self,
        directory: &Directory,
        name: &str,
        password: &str,
        from: SocketAddr,
    ) -> Result<PeopleChanged, Refused> {
        self.passes_on(directory, name, from)?;
        let SignedIn { person, shown } = directory.sign_in(name, password).await;
        let now = wall();
        let person = match person {
            Ok(person) => person,
            Err(refusal) => {
                // What no server has looked at is no wrong password.
                if shown == Shown::No && matches!(refusal, Refusal::Unreachable { .. } | Refusal::Unusable(_))
                {
                    locked(&self.attempts).taken_back(from.ip(), name, now);
                    locked(&self.passed_on).taken_back(from.ip(), name, now);
                }
                self.failed(name, "sign-in", from, &refusal.to_string()).await;
                tracing::warn!(user = name, %refusal, "a sign-in by the directory failed");
                return Err(told(&refusal));
            }
        };
        locked(&self.attempts).succeeded(from.ip(), name, now);
        locked(&self.passed_on).succeeded(from.ip(), name, now);
        let stale_max = span(directory.config().stale_max);
        if let Err(refusal) = arrives(&self.records.people(), &person, stale_max, now) {
            self.failed(name, "sign-in", from, &refusal.error).await;
            return Err(Refused { ground: Ground::Forbidden, refusal });
        }
        let text = format!("by the directory, as {}", person.dn);
        self.write_down(entry(name, "sign-in", from, AuditOutcome::Allowed, &text)).await?;
        self.comes_in(person, stale_max).await
    }

    async fn comes_in(&self, person: DirectoryPerson, stale_max: Span) -> Result<PeopleChanged, Refused> {
        let minted = mint()?;
        let (id, hash) = (minted.id, minted.hash);
        let judge: Judge = Box::new(move |people, now| {
            let user = arrives(people, &person, stale_max, now)
                .map_err(|refusal| Refused { ground: Ground::Forbidden, refusal })?;
            let (changed, mut writes) = signed_in(people, &person.name, (id, hash), now);
            writes.push(naru_who::PersonWrite::User(Box::new(user)));
            Ok((changed, writes))
        });
        let changed = self.records.change(judge).await?;
        Ok(PeopleChanged { token: Some(minted.token), ..changed })
    }

    /// Whether one more password may be passed on: the directory counts wrong ones too, and locks.
    fn passes_on(&self, directory: &Directory, name: &str, from: SocketAddr) -> Result<(), Refused> {
        let config = directory.config();
        let (most, forgotten_after) = (config.attempts, span(config.forget));
        let mut passed_on = locked(&self.passed_on);
        passed_on.set_limits(Limits { by_address: u32::MAX, by_pair: most, by_user: most, forgotten_after });
        passed_on.begin(from.ip(), name, wall()).map_err(too_many)
    }

    /// Looks people of the directory up again who have tokens, for as long as the server lives.
    pub async fn keep_fresh(&self) {
        loop {
            let pause = match self.directory() {
                State::On(directory) => {
                    self.look_up_all(&directory).await;
                    directory.config().refresh
                }
                State::Off | State::Broken(_) => LOOK_AGAIN,
            };
            tokio::time::sleep(pause).await;
        }
    }

    async fn look_up_all(&self, directory: &Directory) {
        if !directory.looks_up() {
            return;
        }
        for name in present(&self.records.people(), wall()) {
            let answer = match directory.look_up(&name).await {
                Ok(answer) => answer,
                Err(refusal @ Refusal::Unreachable { .. }) => {
                    return tracing::warn!(%refusal, "people of the directory cannot be looked up; what was known holds on");
                }
                Err(refusal) => {
                    tracing::error!(user = name, %refusal, "somebody of the directory cannot be looked up; what was known holds on");
                    continue;
                }
            };
            if let Err(error) = self.heard(&name, answer, span(directory.config().stale_max)).await {
                tracing::error!(user = name, %error, "what the directory says is not stored; again at the next look");
            }
        }
    }

    async fn heard(
        &self,
        name: &str,
        answer: Option<DirectoryPerson>,
        stale_max: Span,
    ) -> Result<(), Refused> {
        let (writes, changed) = looked_up(&self.records.people(), name, answer.as_ref(), stale_max, wall());
        if writes.is_empty() {
            return Ok(());
        }
        if let Some(Changed { name, what }) = changed {
            tracing::info!(user = name, what, "the directory says otherwise than before");
            // What takes rights away is done, written down or not.
            if let Err(error) = self.write_down(heard_entry(what)).await {
                tracing::error!(%error, "what the directory said is not in the audit");
            }
        }
        let name = name.to_string();
        let judge: Judge = Box::new(move |people, now| {
            let (writes, _) = looked_up(people, &name, answer.as_ref(), stale_max, now);
            Ok((PeopleChanged { token: None, id: None, until: None }, writes))
        });
        self.records.change(judge).await.map(drop)
    }
}

fn heard_entry(what: String) -> AuditEntry {
    AuditEntry {
        time: wall(),
        who: DIRECTORY.into(),
        from: DIRECTORY.into(),
        action: "look-up".into(),
        on: String::new(),
        outcome: AuditOutcome::Allowed,
        by: None,
        text: what,
    }
}

/// What whoever tries hears: no more than shows nothing to somebody who does not know the password.
fn told(refusal: &Refusal) -> Refused {
    let hint = "the directory has the password; whoever looks after it can say more";
    match refusal {
        Refusal::Barred { bar, proven: Proven::Password, .. } => Refused::new(
            Ground::Forbidden,
            bar.word(),
            "whoever looks after the directory can help; then try again",
        ),
        Refusal::Wrong(_) | Refusal::Barred { .. } => Refused::new(Ground::Unknown, WRONG, hint),
        Refusal::Unusable(_) => silent("its answer cannot be used"),
        Refusal::Unreachable { .. } => silent("no server of it answers"),
    }
}
