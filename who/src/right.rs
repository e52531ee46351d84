//! Who may do what: actions, roles, resources, and the answer to a question about a right.

use naru_model::{InstanceId, NodeId, ServiceName, StackName, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use utoipa::ToSchema;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:tt),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        pub enum $name {
            $($(#[$of])* #[serde(rename = $word)] $variant),+
        }

        impl $name {
            /// Every one of them.
            pub const ALL: &[$name] = &[$($name::$variant),+];

            /// As it is written.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.word())
            }
        }

        impl FromStr for $name {
            type Err = Unreadable;

            fn from_str(text: &str) -> Result<$name, Unreadable> {
                let known: Vec<&str> = $name::ALL.iter().map(|one| one.word()).collect();
                let found = $name::ALL.iter().find(|one| one.word() == text).copied();
                found.ok_or_else(|| Unreadable(format!("{text:?} is none of: {}", known.join(", "))))
            }
        }
    };
}

words! {
    /// What somebody does: the API's own verbs.
    Right {
        /// See stacks, instances, operations, jobs, addresses, events, use of the machine.
        Read = "read",
        /// Read what instances wrote.
        ReadLogs = "read-logs",
        /// Read releases with their contents: commands, variables, rules of routes.
        ReadReleases = "read-releases",
        /// See what a deploy would change.
        Plan = "plan",
        /// Make a release of new contents, or take over what another tool runs.
        Deploy = "deploy",
        /// Make a release of old contents.
        Rollback = "rollback",
        /// Set numbers of instances.
        Scale = "scale",
        /// Start what was stopped.
        Start = "start",
        /// Retire the instances of services, for now.
        Stop = "stop",
        /// Replace instances by new ones of the same release.
        Restart = "restart",
        /// Take a stack down.
        Down = "down",
        /// Stop a rollout where it is.
        Pause = "pause",
        /// Go on with it.
        Resume = "resume",
        /// Give a new release the traffic.
        Promote = "promote",
        /// Give a rollout up.
        Abort = "abort",
        /// Run a job.
        Run = "run",
        /// Cut a run of a job.
        Cancel = "cancel",
        /// End work in progress, beside the verb that it is done with.
        Cut = "cut",
        /// Run a command beside an instance.
        Exec = "exec",
        /// The same in a container, with all that the host's root may do.
        ExecPrivileged = "exec-privileged",
        /// Copy files from an instance, or to it.
        Copy = "copy",
        /// Pull, build and push images.
        Images = "images",
        /// Remove images that nobody needs.
        Prune = "prune",
        /// Turn on what sleeps.
        Wake = "wake",
        /// Let sleep what is awake.
        Sleep = "sleep",
        /// Make a wake last longer.
        Extend = "extend",
        /// End server, agent and edge.
        Shutdown = "shutdown",
        /// Decide about requests for what one may do oneself.
        Approve = "approve",
        /// See and change users, tokens and grants.
        ManagePeople = "manage-people",
        /// Read the audit.
        ReadAudit = "read-audit",
        /// Speak for a node: only the owner's own processes do.
        Report = "report",
    }
}

impl Right {
    /// Whether it makes sense to have it for a time, by a request. What is done once is asked for as such; and to decide
    /// about others is never lent.
    pub fn is_lent(self) -> bool {
        use Right::*;
        matches!(
            self,
            Read | ReadLogs
                | ReadReleases
                | Plan
                | Deploy
                | Images
                | Cancel
                | Cut
                | Exec
                | ExecPrivileged
                | Copy
        )
    }
}

words! {
    /// A set of actions that go together; each has all of the one before it.
    Role {
        /// Sees.
        Viewer = "viewer",
        /// Turns on what sleeps.
        Waker = "waker",
        /// Keeps a stack running.
        Operator = "operator",
        /// Changes what a stack is.
        Deployer = "deployer",
        /// All that is not the owner's alone.
        Admin = "admin",
    }
}

impl Role {
    /// The least role that has an action. `None`: no role has.
    pub fn least(action: Right) -> Option<Role> {
        use Right::*;
        Some(match action {
            Read => Role::Viewer,
            Wake | Extend => Role::Waker,
            ReadLogs | Scale | Start | Stop | Restart | Pause | Resume | Run | Sleep => Role::Operator,
            ReadReleases | Plan | Deploy | Rollback | Down | Promote | Abort | Images => Role::Deployer,
            Cancel | Cut | Exec | ExecPrivileged | Copy | Prune | Shutdown | Approve | ManagePeople
            | ReadAudit => Role::Admin,
            Report => return None,
        })
    }

    /// Whether it has an action.
    pub fn allows(self, action: Right) -> bool {
        Role::least(action).is_some_and(|least| least <= self)
    }
}

/// A text that is none of what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// What a grant or a token allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Granted {
    /// What a role has.
    Role(Role),
    /// These.
    Actions(BTreeSet<Right>),
}

impl Granted {
    /// Whether an action is among it.
    pub fn allows(&self, action: Right) -> bool {
        match self {
            Granted::Role(role) => role.allows(action),
            Granted::Actions(actions) => action != Right::Report && actions.contains(&action),
        }
    }

    /// Each action of it.
    pub fn actions(&self) -> impl Iterator<Item = Right> + '_ {
        Right::ALL.iter().copied().filter(|action| self.allows(*action))
    }
}

/// `role deployer`, `scale, start`.
impl fmt::Display for Granted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Granted::Role(role) => write!(f, "role {role}"),
            Granted::Actions(actions) => {
                let words: Vec<&str> = actions.iter().map(|action| action.word()).collect();
                f.write_str(&words.join(", "))
            }
        }
    }
}

macro_rules! as_text {
    ($name:ident) => {
        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                String::schema()
            }
        }

        impl ToSchema for $name {}

        impl TryFrom<String> for $name {
            type Error = Unreadable;

            fn try_from(text: String) -> Result<$name, Unreadable> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> String {
                value.to_string()
            }
        }
    };
}

/// What something is done with: `all`, `stack/NAME`, `service/STACK/NAME`, `instance/ID`, `node/NAME`, `asset/NAME`.
///
/// Whatever is within another is told by its name alone: what people write into a file does not move it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Resource {
    /// Everything.
    All,
    /// A stack.
    Stack(StackName),
    /// A service of it.
    Service(StackName, ServiceName),
    /// An instance.
    Instance(InstanceId),
    /// A machine of Naru's.
    Node(NodeId),
    /// A machine that is turned on and off.
    Asset(String),
}

as_text!(Resource);

/// The longest name of a user, group, stack or service that a right may be about.
pub const NAME_MAX: usize = 128;

/// Letters, digits, and `-`, `_`, `.`; the first is a letter or digit. Nothing that looks like another name, and
/// nothing that means anything where names are put together.
pub fn is_plain_name(name: &str) -> bool {
    name.len() <= NAME_MAX
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

impl Resource {
    /// Its kind, as it is written.
    pub fn kind(&self) -> &'static str {
        match self {
            Resource::All => "all",
            Resource::Stack(_) => "stack",
            Resource::Service(..) => "service",
            Resource::Instance(_) => "instance",
            Resource::Node(_) => "node",
            Resource::Asset(_) => "asset",
        }
    }

    /// The stack that it is, or is within.
    pub fn stack(&self) -> Option<StackName> {
        match self {
            Resource::Stack(stack) | Resource::Service(stack, _) => Some(stack.clone()),
            Resource::Instance(id) => parts_of(id).map(|(stack, _)| stack),
            Resource::All | Resource::Node(_) | Resource::Asset(_) => None,
        }
    }

    /// This, and all that it is within, the nearest first. An instance's id says of which service of which stack it is.
    /// `None`: it has no sense as a name, and no right is about it.
    pub fn chain(&self) -> Option<Vec<Resource>> {
        let mut chain = vec![self.clone()];
        let of_stack = |stack: &StackName| {
            // An instance's id has dots between its parts, so a stack has none.
            let plain = is_plain_name(stack.as_str()) && !stack.as_str().contains('.');
            plain.then(|| Resource::Stack(stack.clone()))
        };
        match self {
            Resource::All => return Some(chain),
            Resource::Stack(stack) => drop(of_stack(stack)?),
            Resource::Service(stack, service) => {
                chain.push(of_stack(stack).filter(|_| is_plain_name(service.as_str()))?);
            }
            Resource::Instance(id) => {
                let (stack, service) = parts_of(id)?;
                let service = Resource::Service(stack, service);
                chain.extend(service.chain()?);
                return Some(chain);
            }
            Resource::Node(node) => is_plain_name(node.as_str()).then_some(())?,
            Resource::Asset(asset) => is_plain_name(asset).then_some(())?,
        }
        chain.push(Resource::All);
        Some(chain)
    }
}

/// Of `STACK.SERVICE.RELEASE.N`: a service's name may have dots.
fn parts_of(id: &InstanceId) -> Option<(StackName, ServiceName)> {
    let (stack, rest) = id.as_str().split_once('.')?;
    let (rest, number) = rest.rsplit_once('.')?;
    let (service, release) = rest.rsplit_once('.')?;
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    (is_number(number) && is_number(release)).then(|| (stack.into(), service.into()))
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Resource::All => f.pad("all"),
            Resource::Stack(stack) => f.pad(&format!("stack/{stack}")),
            Resource::Service(stack, service) => f.pad(&format!("service/{stack}/{service}")),
            Resource::Instance(id) => f.pad(&format!("instance/{id}")),
            Resource::Node(node) => f.pad(&format!("node/{node}")),
            Resource::Asset(asset) => f.pad(&format!("asset/{asset}")),
        }
    }
}

impl FromStr for Resource {
    type Err = Unreadable;

    /// A name alone is that of a stack.
    fn from_str(text: &str) -> Result<Resource, Unreadable> {
        let read = match text.split_once('/') {
            None if text == "all" => Some(Resource::All),
            None => Some(Resource::Stack(text.into())),
            Some(("stack", name)) => Some(Resource::Stack(name.into())),
            Some(("service", rest)) => {
                rest.split_once('/').map(|(stack, service)| Resource::Service(stack.into(), service.into()))
            }
            Some(("instance", id)) => Some(Resource::Instance(id.into())),
            Some(("node", name)) => Some(Resource::Node(name.into())),
            Some(("asset", name)) => Some(Resource::Asset(name.into())),
            Some(_) => None,
        };
        read.filter(|resource| resource.chain().is_some()).ok_or_else(|| {
            Unreadable(format!(
                "{text:?} is no resource: all, stack/NAME, service/STACK/NAME, instance/ID, node/NAME, asset/NAME"
            ))
        })
    }
}

/// Whom a grant is for: `user/NAME`, `group/NAME`. A user who is called as a group is another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Grantee {
    /// One person.
    User(String),
    /// Everybody of a group.
    Group(String),
}

as_text!(Grantee);

/// Whether users and groups may be called so: small letters, digits, `-`, `_`, `.`; at most 64. No two of them look alike.
pub fn is_person_name(name: &str) -> bool {
    is_plain_name(name) && name.len() <= 64 && !name.chars().any(|c| c.is_ascii_uppercase())
}

impl fmt::Display for Grantee {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Grantee::User(name) => f.pad(&format!("user/{name}")),
            Grantee::Group(name) => f.pad(&format!("group/{name}")),
        }
    }
}

impl FromStr for Grantee {
    type Err = Unreadable;

    /// A name alone is that of a user.
    fn from_str(text: &str) -> Result<Grantee, Unreadable> {
        let (kind, name) = text.split_once('/').unwrap_or(("user", text));
        match kind {
            "user" if is_person_name(name) => Ok(Grantee::User(name.into())),
            "group" if is_person_name(name) => Ok(Grantee::Group(name.into())),
            _ => Err(Unreadable(format!(
                "{text:?} is neither user/NAME nor group/NAME: names have small letters, digits, `-`, `_`, `.`"
            ))),
        }
    }
}

/// Somebody who asks for something, as far as the server has made sure of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Who {
    /// The user's name; of the owner, that of the system's user at the other end.
    pub name: String,
    /// Owner or user.
    pub standing: Standing,
    /// From where, for the audit: `unix socket`, `192.0.2.7:40312`.
    pub from: String,
}

/// By what somebody is let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// By the Unix socket in NARU_HOME, which only the owner and root can open.
    Owner,
    /// By a token.
    User {
        /// Which one. `None`: nobody is there; the question is what the user might do.
        token: Option<String>,
    },
}

/// What a token is for at most.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Scope {
    /// What.
    pub what: Granted,
    /// With what.
    pub on: Resource,
}

impl Who {
    /// The owner of the server.
    pub fn owner(name: impl Into<String>, from: impl Into<String>) -> Who {
        Who { name: name.into(), standing: Standing::Owner, from: from.into() }
    }

    /// Whether this is the owner.
    pub fn is_owner(&self) -> bool {
        self.standing == Standing::Owner
    }
}

/// A question about a right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RightQuestion {
    /// Whose.
    pub user: String,
    /// To do what.
    pub action: Right,
    /// With what.
    pub on: Resource,
    /// As if it were then; missing: now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// Whether somebody may, and by what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// Whether.
    pub allowed: bool,
    /// The rule that it rests on: `owner`, `grant 7`, `token 3f…`, `policy FILE#NAME`; `None`: no rule is about it.
    pub by: Option<String>,
    /// The reason, one sentence.
    pub why: String,
    /// Where it is refused: grants that come near, and what each lacks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub near: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::{Grantee, Resource, Right, Role};

    fn chain(text: &str) -> Vec<String> {
        let resource: Resource = text.parse().unwrap();
        resource.chain().unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_resource_is_within_what_its_name_says() {
        assert_eq!(
            chain("instance/shop.api.v1.3.12"),
            ["instance/shop.api.v1.3.12", "service/shop/api.v1", "stack/shop", "all"]
        );
        assert_eq!(chain("shop"), ["stack/shop", "all"]);
        assert_eq!(chain("node/host-1"), ["node/host-1", "all"]);
        for odd in
            ["", "stack/", "stack/a.b", "stack/../x", "service/a", "instance/a.b.c", "group/x", "stack/쇼핑"]
        {
            assert!(odd.parse::<Resource>().is_err(), "{odd}");
        }
    }

    #[test]
    fn users_and_groups_are_told_apart() {
        assert_eq!("kim".parse(), Ok(Grantee::User("kim".into())));
        assert_eq!("group/kim".parse(), Ok(Grantee::Group("kim".into())));
        for odd in ["", "group/", "user/group/kim", "Kim", "ki m", "kіm", "-kim", "team/kim"] {
            assert!(odd.parse::<Grantee>().is_err(), "{odd}");
        }
    }

    #[test]
    fn each_role_has_all_of_the_one_before_it() {
        for pair in Role::ALL.windows(2) {
            assert!(Right::ALL.iter().all(|action| !pair[0].allows(*action) || pair[1].allows(*action)));
        }
        assert!(!Role::Admin.allows(Right::Report), "nobody is given that");
        assert!(!Role::Deployer.allows(Right::Cut) && !Role::Operator.allows(Right::Exec));
    }
}
