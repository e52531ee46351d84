//! How somebody comes in: by a password for a token, by a token for a request.

use crate::gate::{Gate, locked};
use crate::records::{Judge, Records};
use naru_api::{Ground, Refused};
use naru_home::wall;
use naru_identity::{Minted, TooMany, fits, hash_password, is_password, parts};
use naru_model::{Span, Time};
use naru_who::{
    AuditEntry, AuditOutcome, People, PeopleChanged, PersonWrite, SignIn, Standing, TokenOrigin, TokenRecord,
    Who, is_person_name,
};
use std::net::SocketAddr;

/// A working day.
const LASTS: Span = Span::mins(12 * 60);

/// Somebody's tokens by sign-in: the oldest end when more are made.
const SIGNED_IN_MAX: usize = 20;

/// Tokens that are none are counted as attempts of this one, who is nobody's name.
const BY_TOKEN: &str = "token/";

/// A new token.
pub(crate) fn mint() -> Result<Minted, Refused> {
    naru_identity::mint().map_err(|error| {
        Refused::new(Ground::Unavailable, format!("the system gives no random bytes: {error}"), "try again")
    })
}

pub(crate) fn too_many(TooMany { wait }: TooMany) -> Refused {
    let error = format!("too many failed; again in {wait}");
    Refused::new(
        Ground::TooMany,
        error,
        "somebody who manages people sets another password: `naru user passwd`",
    )
}

impl<R: Records> Gate<R> {
    pub(crate) async fn hash(&self, password: String) -> Result<String, Refused> {
        let failed = |error: String| Refused::new(Ground::Unavailable, error, "try again in a moment");
        let _turn = self.hashing.acquire().await.map_err(|error| failed(error.to_string()))?;
        let hashed = tokio::task::spawn_blocking(move || hash_password(&password)).await;
        hashed.map_err(|error| failed(error.to_string()))?.map_err(|error| failed(error.to_string()))
    }

    /// Whose token it is. What is found to be none is told in one way, whatever is wrong with it.
    pub(crate) async fn holder(&self, token: &str, from: SocketAddr) -> Result<Who, Refused> {
        let people = self.records.people();
        let now = wall();
        let found = parts(token).and_then(|(id, secret)| Some((people.tokens.get(id)?, secret)));
        if let Some((token, secret)) = found
            && fits(secret, &token.hash)
            && now < token.until
            && let Some(user) = people.users.get(&token.user)
        {
            naru_rights::directory::holds(user, now)
                .map_err(|lapsed| crate::by_directory::lapsed(&lapsed, user))?;
            let standing = Standing::User { token: Some(token.id.clone()) };
            return Ok(Who { name: token.user.clone(), standing, from: from.to_string() });
        }
        let begun = locked(&self.attempts).begin(from.ip(), BY_TOKEN, now);
        begun.map_err(too_many)?;
        self.failed("", "token", from, "the token is not known, or has ended").await;
        Err(Refused::new(
            Ground::Unknown,
            "the token is not known, or has ended",
            "`naru login` gets another",
        ))
    }

    pub(crate) async fn let_in(&self, as_whom: SignIn, from: SocketAddr) -> Result<PeopleChanged, Refused> {
        let SignIn { user, password } = as_whom;
        // What is no name may be a password in the wrong field: it stands nowhere.
        let name = if is_person_name(&user) { user } else { String::new() };
        let begun = locked(&self.attempts).begin(from.ip(), &name, wall());
        begun.map_err(too_many)?;
        if let Some(directory) = self.directory_for(&name)? {
            return self.by_directory(&directory, &name, &password, from).await;
        }
        let known = self.records.people().users.get(&name).and_then(|user| user.password.clone());
        let (tried, hash) = (password, known.clone());
        let turn = self.hashing.acquire().await;
        let right = tokio::task::spawn_blocking(move || is_password(&tried, hash.as_deref())).await;
        drop(turn);
        if !right.unwrap_or(false) {
            self.failed(&name, "sign-in", from, "name or password is wrong").await;
            let hint = "somebody who manages people sets another password: `naru user passwd`";
            return Err(Refused::new(Ground::Unknown, "name or password is wrong", hint));
        }
        locked(&self.attempts).succeeded(from.ip(), &name, wall());
        let entry = entry(&name, "sign-in", from, AuditOutcome::Allowed, "");
        self.write_down(entry).await?;
        let minted = mint()?;
        let (id, hash) = (minted.id, minted.hash);
        let judge: Judge = Box::new(move |people, now| {
            if people.users.get(&name).is_none_or(|user| user.password != known) {
                return Err(Refused::new(Ground::Unknown, "name or password is wrong", "try again"));
            }
            Ok(signed_in(people, &name, (id, hash), now))
        });
        let changed = self.records.change(judge).await?;
        Ok(PeopleChanged { token: Some(minted.token), ..changed })
    }

    pub(crate) async fn failed(&self, name: &str, action: &str, from: SocketAddr, why: &str) {
        let entry = entry(name, action, from, AuditOutcome::Refused, why);
        if let Err(error) = self.write_down(entry).await {
            tracing::error!(%error, "a failed sign-in is not in the audit");
        }
    }
}

pub(crate) fn entry(
    name: &str,
    action: &str,
    from: SocketAddr,
    outcome: AuditOutcome,
    text: &str,
) -> AuditEntry {
    AuditEntry {
        time: wall(),
        who: name.into(),
        from: from.to_string(),
        action: action.into(),
        on: String::new(),
        outcome,
        by: None,
        text: text.into(),
    }
}

/// A token by sign-in, in place of those that are over, and of the oldest where there are too many.
pub(crate) fn signed_in(
    people: &People,
    name: &str,
    (id, hash): (String, String),
    now: Time,
) -> (PeopleChanged, Vec<PersonWrite>) {
    let own =
        people.tokens.values().filter(|token| token.user == name && token.origin == TokenOrigin::SignIn);
    let (ended, mut open): (Vec<_>, Vec<_>) = own.partition(|token| token.until <= now);
    open.sort_by_key(|token| token.made);
    let over = (open.len() + 1).saturating_sub(SIGNED_IN_MAX);
    let gone = ended.into_iter().chain(open.into_iter().take(over));
    let mut writes: Vec<_> = gone.map(|token| PersonWrite::ForgetToken(token.id.clone())).collect();
    let until = now + LASTS;
    let token = TokenRecord {
        id: id.clone(),
        user: name.into(),
        hash,
        scope: None,
        origin: TokenOrigin::SignIn,
        note: String::new(),
        made: now,
        until,
    };
    writes.push(PersonWrite::Token(Box::new(token)));
    (PeopleChanged { token: None, id: Some(id), until: Some(until) }, writes)
}
