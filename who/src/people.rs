//! People: users, their tokens, and what was granted to them, as records; and orders to change them.

use crate::desk::DeskRequest;
use crate::origin::Origin;
use crate::right::{Granted, Grantee, Resource, Scope};
use naru_model::{Span, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use utoipa::ToSchema;

/// A person, or a program that signs in as one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// The name.
    pub name: String,
    /// Of which groups.
    #[serde(default)]
    pub groups: BTreeSet<String>,
    /// The password's argon2id hash, as a PHC text. `None`: no sign-in by password.
    #[serde(default)]
    pub password: Option<String>,
    /// When it was made.
    pub made: Time,
    /// By whom.
    pub by: String,
    /// Where it comes from.
    #[serde(default)]
    pub origin: Origin,
}

/// A token: whoever shows it is its user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// Which; no secret.
    pub id: String,
    /// Whose.
    pub user: String,
    /// SHA-256 of its secret part, in hexadecimal digits. The secret itself is nowhere.
    pub hash: String,
    /// What it is for at most.
    #[serde(default)]
    pub scope: Option<Scope>,
    /// How it came to be.
    pub origin: TokenOrigin,
    /// What its maker calls it.
    #[serde(default)]
    pub note: String,
    /// When it was made.
    pub made: Time,
    /// When it ends.
    pub until: Time,
}

/// How a token came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TokenOrigin {
    /// Its user signed in with a password.
    SignIn,
    /// It was made for a program.
    Made,
}

/// A right that was given.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GrantRecord {
    /// Its number; never used again.
    pub id: u64,
    /// Whose.
    pub who: Grantee,
    /// To do what.
    pub what: Granted,
    /// With what.
    pub on: Resource,
    /// Since when.
    pub from: Time,
    /// Until when; `None`: until it is taken back.
    #[serde(default)]
    pub until: Option<Time>,
    /// Who gave it.
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// The request that it was approved for: it holds only as long as whoever approved that may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<u64>,
}

impl GrantRecord {
    /// `grant 7: role deployer on stack/shop for user/kim`.
    pub fn sentence(&self) -> String {
        format!("grant {}: {} on {} for {}", self.id, self.what, self.on, self.who)
    }
}

/// Everybody, with all rights that were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct People {
    /// By name.
    pub users: BTreeMap<String, UserRecord>,
    /// By id.
    pub tokens: BTreeMap<String, TokenRecord>,
    /// By number.
    pub grants: BTreeMap<u64, GrantRecord>,
    /// The number that the next grant gets, at least.
    pub next_grant: u64,
    /// Requests at the service desk, by number.
    pub requests: BTreeMap<u64, DeskRequest>,
    /// The number that the next request gets, at least.
    pub next_request: u64,
    /// Grows with each change.
    pub revision: u64,
}

/// One record's change.
#[derive(Clone, Debug, PartialEq)]
pub enum PersonWrite {
    /// A user as it is to be.
    User(Box<UserRecord>),
    /// A user who is gone.
    ForgetUser(String),
    /// A new token.
    Token(Box<TokenRecord>),
    /// A token that is good for nothing any more.
    ForgetToken(String),
    /// A new grant.
    Grant(Box<GrantRecord>),
    /// A grant that was taken back.
    ForgetGrant(u64),
    /// The number that the next grant gets: one that was taken back does not come again.
    NextGrant(u64),
    /// A request as it is to be.
    Request(Box<DeskRequest>),
    /// A request that is not kept any longer.
    ForgetRequest(u64),
    /// The number that the next request gets.
    NextRequest(u64),
}

impl People {
    /// Makes a change, once the store has it.
    pub fn apply(&mut self, write: PersonWrite) {
        self.revision += 1;
        match write {
            PersonWrite::User(user) => drop(self.users.insert(user.name.clone(), *user)),
            PersonWrite::ForgetUser(name) => drop(self.users.remove(&name)),
            PersonWrite::Token(token) => drop(self.tokens.insert(token.id.clone(), *token)),
            PersonWrite::ForgetToken(id) => drop(self.tokens.remove(&id)),
            PersonWrite::Grant(grant) => {
                self.next_grant = self.next_grant.max(grant.id + 1);
                self.grants.insert(grant.id, *grant);
            }
            PersonWrite::ForgetGrant(id) => drop(self.grants.remove(&id)),
            PersonWrite::NextGrant(next) => self.next_grant = self.next_grant.max(next),
            PersonWrite::Request(request) => {
                self.next_request = self.next_request.max(request.id + 1);
                self.requests.insert(request.id, *request);
            }
            PersonWrite::ForgetRequest(id) => drop(self.requests.remove(&id)),
            PersonWrite::NextRequest(next) => self.next_request = self.next_request.max(next),
        }
    }
}

/// A change of people that somebody orders.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PeopleOrder {
    /// A new user.
    AddUser {
        /// The name.
        name: String,
        /// Of which groups.
        #[serde(default)]
        groups: BTreeSet<String>,
        /// To sign in with; without: not by password.
        #[serde(default)]
        password: Option<String>,
    },
    /// A user goes, and with it its tokens and what was granted to it.
    RemoveUser {
        /// The name.
        name: String,
    },
    /// Other groups.
    SetGroups {
        /// The name.
        name: String,
        /// These, and no others.
        groups: BTreeSet<String>,
    },
    /// Another password; the user's tokens by sign-in end.
    SetPassword {
        /// The name.
        name: String,
        /// The new one.
        password: String,
    },
    /// A new token.
    CreateToken {
        /// Whose.
        user: String,
        /// What it is for at most.
        #[serde(default)]
        scope: Option<Scope>,
        /// How long it lasts.
        lasts: Span,
        /// What it is called.
        #[serde(default)]
        note: String,
    },
    /// A token ends.
    RemoveToken {
        /// Which.
        id: String,
    },
    /// A right is given.
    AddGrant {
        /// Whose.
        who: Grantee,
        /// To do what.
        what: Granted,
        /// With what.
        on: Resource,
        /// How long it lasts; `None`: until it is taken back.
        #[serde(default)]
        lasts: Option<Span>,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
    /// A right is taken back.
    RemoveGrant {
        /// Which.
        id: u64,
    },
}

impl PeopleOrder {
    /// What is ordered, for the audit: nothing of a secret.
    pub fn sentence(&self) -> String {
        match self {
            PeopleOrder::AddUser { name, .. } => format!("add user {name}"),
            PeopleOrder::RemoveUser { name } => format!("remove user {name}"),
            PeopleOrder::SetGroups { name, groups } => {
                let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
                format!("groups of user {name}: {}", groups.join(", "))
            }
            PeopleOrder::SetPassword { name, .. } => format!("another password for user {name}"),
            PeopleOrder::CreateToken { user, .. } => format!("a token for user {user}"),
            PeopleOrder::RemoveToken { id } => format!("end token {id}"),
            PeopleOrder::AddGrant { who, what, on, .. } => format!("grant {what} on {on} to {who}"),
            PeopleOrder::RemoveGrant { id } => format!("take back grant {id}"),
        }
    }
}

/// Without any secret of it.
impl std::fmt::Debug for PeopleOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentence())
    }
}

/// A change of people was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeopleChanged {
    /// The token, where one was made: it is shown this once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// Its id, or the grant's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// When what was made ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// Without the token.
impl std::fmt::Debug for PeopleChanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PeopleChanged({:?})", self.id)
    }
}

/// Name and password of somebody who wants to come in.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignIn {
    /// The name.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Without the password.
impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SignIn({:?})", self.user)
    }
}

/// Everybody, as far as whoever asks may see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PeopleView {
    /// Who asks.
    pub me: String,
    /// Users.
    pub users: Vec<UserView>,
    /// Tokens.
    pub tokens: Vec<TokenView>,
    /// Grants.
    pub grants: Vec<GrantRecord>,
}

/// A user, without anything that is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UserView {
    /// The name.
    pub name: String,
    /// Of which groups.
    pub groups: BTreeSet<String>,
    /// Whether it signs in by password.
    pub password: bool,
    /// When it was made.
    pub made: Time,
    /// By whom.
    pub by: String,
    /// Where it comes from.
    #[serde(default)]
    pub origin: Origin,
}

/// A token, without anything that is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Which.
    pub id: String,
    /// Whose.
    pub user: String,
    /// What it is for at most.
    pub scope: Option<Scope>,
    /// How it came to be.
    pub origin: TokenOrigin,
    /// What its maker calls it.
    pub note: String,
    /// When it was made.
    pub made: Time,
    /// When it ends.
    pub until: Time,
}

impl From<&UserRecord> for UserView {
    fn from(user: &UserRecord) -> UserView {
        UserView {
            name: user.name.clone(),
            groups: user.groups.clone(),
            password: user.password.is_some(),
            made: user.made,
            by: user.by.clone(),
            origin: user.origin.clone(),
        }
    }
}

impl From<&TokenRecord> for TokenView {
    fn from(token: &TokenRecord) -> TokenView {
        TokenView {
            id: token.id.clone(),
            user: token.user.clone(),
            scope: token.scope.clone(),
            origin: token.origin,
            note: token.note.clone(),
            made: token.made,
            until: token.until,
        }
    }
}
