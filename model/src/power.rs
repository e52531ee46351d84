//! When a service is asleep, who wants it on, and why.
//!
//! Whether it is to be on is a function of what is wanted at a moment: hours, use, people's wakes, what depends on it. Nothing
//! remembers what was wanted before.

use crate::{OperationId, ServiceName, Span, StackName, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use utoipa::ToSchema;

/// When a service is asleep, and what wakes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Power {
    /// Hours in which it is asleep unless it is woken. `None`: none.
    pub off: Option<OffHours>,
    /// Without request, stream or job for so long, it falls asleep at any time. `None`: not for that.
    pub idle_after: Option<Span>,
    /// Whether a request wakes it.
    pub by_request: bool,
    /// Whether a person may wake it.
    pub by_person: bool,
    /// A person's wake lasts for so long at most, all its extensions together.
    pub wake_max: Span,
    /// A request that finds nobody there waits for so long.
    pub hold: Span,
    /// Requests that neither wake it nor keep it awake.
    pub ignore: Ignored,
}

impl Power {
    /// A request that woke it keeps it on for so long, where `idle_after` does not say how long.
    pub const LINGER: Span = Span::mins(15);

    /// How long it stays on after it was used last.
    pub fn linger(&self) -> Span {
        self.idle_after.unwrap_or(Self::LINGER)
    }
}

/// Weekly hours, and single days.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OffHours {
    /// `Mon-Fri 20:00-08:00, Sat, Sun`
    pub windows: String,
    /// The zone that they are in, by its name in the tz database.
    pub timezone: String,
    /// Whole days that are off beside them, as `2026-12-25`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holidays: Vec<String>,
}

/// Requests that do not count as use.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Ignored {
    /// Paths; one that ends with `*` stands for all that begin so.
    pub paths: Vec<String>,
    /// Parts of the field `User-Agent`, in any case of letters.
    pub user_agents: Vec<String>,
}

impl Ignored {
    /// Programs that only look whether a service is there, by what they call themselves: load balancers' and
    /// orchestrators' health checks, and monitors.
    pub const PROBES: &[&str] = &[
        "ELB-HealthChecker/",
        "GoogleHC/",
        "kube-probe/",
        "Consul Health Check",
        "Blackbox Exporter/",
        "Uptime-Kuma/",
        "UptimeRobot/",
    ];

    /// Whether a request is one of these. `target` may have a query.
    pub fn has(&self, target: &str, user_agent: Option<&[u8]>) -> bool {
        let path = target.split(['?', '#']).next().unwrap_or_default();
        let is_path = |pattern: &String| match pattern.strip_suffix('*') {
            Some(prefix) => path.starts_with(prefix),
            None => path == pattern,
        };
        let agent = user_agent.unwrap_or_default();
        let is_agent = |part: &String| {
            agent.windows(part.len().max(1)).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
        };
        self.paths.iter().any(is_path) || self.user_agents.iter().any(is_agent)
    }
}

/// What people ordered of a service's power.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PowerOrders {
    /// At most one of each owner, in the order in which they were made.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub wakes: Vec<Wake>,
    /// Somebody sent it to sleep.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep: Option<Sleep>,
}

impl PowerOrders {
    /// Whether nobody ordered anything.
    pub fn is_empty(&self) -> bool {
        self.wakes.is_empty() && self.sleep.is_none()
    }
}

/// Somebody wants a service on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Wake {
    /// Who.
    pub owner: String,
    /// Why, in the owner's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub since: Time,
    /// Until when; then it ends by itself.
    pub until: Time,
}

/// Somebody sent a service to sleep before its time: until its hours begin anew, or something wakes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Sleep {
    /// Who.
    pub owner: String,
    /// Why, in the owner's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Since when.
    pub since: Time,
}

/// A reason for which a service is to be on, or asleep.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "want")]
pub enum Want {
    /// On: its hours.
    Hours {
        /// Until when; `None`: always.
        until: Option<Time>,
    },
    /// On: somebody's wake.
    Wake(Wake),
    /// On: requests wait for it.
    Requests {
        /// How many.
        waiting: u64,
    },
    /// On: it was used lately, or is.
    Use {
        /// Until when, unless it is used again; `None`: work is in progress.
        until: Option<Time>,
    },
    /// On: a service that is on depends on it.
    Dependant {
        /// Which.
        service: ServiceName,
    },
    /// On: a run of a job depends on it.
    Run {
        /// Which job.
        job: ServiceName,
        /// Which run of it.
        run: u64,
    },
    /// On: an operation brings something about.
    Operation {
        /// Which.
        id: OperationId,
    },
    /// As it is: what goes on there is not known, since not all have reported yet.
    Unknown,
    /// Asleep: its hours.
    OffHours {
        /// Until when; `None`: always.
        until: Option<Time>,
    },
    /// Asleep: it was not used for `idle_after`.
    Idle {
        /// So long.
        after: Span,
    },
    /// Asleep: somebody's order.
    Sleep {
        /// The order.
        #[serde(flatten)]
        order: Sleep,
        /// Until when, at the latest; `None`: until it is woken.
        until: Option<Time>,
    },
}

impl Want {
    /// Whether it is one for being on; what is unknown is neither.
    pub fn is_on(&self) -> bool {
        !matches!(self, Want::OffHours { .. } | Want::Idle { .. } | Want::Sleep { .. } | Want::Unknown)
    }

    /// When it ends by itself.
    pub fn until(&self) -> Option<Time> {
        match self {
            Want::Hours { until } | Want::Use { until } | Want::OffHours { until } => *until,
            Want::Sleep { until, .. } => *until,
            Want::Wake(wake) => Some(wake.until),
            _ => None,
        }
    }
}

/// Without its end, which is shown in the reader's own zone.
impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why =
            |reason: &Option<String>| reason.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
        match self {
            Want::Hours { .. } => write!(f, "it is within its hours"),
            Want::Wake(Wake { owner, reason, .. }) => write!(f, "{owner} woke it{}", why(reason)),
            Want::Requests { waiting: 1 } => write!(f, "a request waits for it"),
            Want::Requests { waiting } => write!(f, "{waiting} requests wait for it"),
            Want::Use { until: None } => write!(f, "it is in use"),
            Want::Use { until: Some(_) } => write!(f, "it was used lately"),
            Want::Dependant { service } => write!(f, "{service} is on and depends on it"),
            Want::Run { job, run } => write!(f, "run {run} of {job} depends on it"),
            Want::Operation { id } => write!(f, "operation {id} is under way"),
            Want::Unknown => write!(f, "what goes on there is not known yet"),
            Want::OffHours { .. } => write!(f, "it is outside its hours"),
            Want::Idle { after } => write!(f, "it was not used for {after}"),
            Want::Sleep { order: Sleep { owner, reason, .. }, .. } => {
                write!(f, "{owner} sent it to sleep{}", why(reason))
            }
        }
    }
}

/// Where a service is between on and asleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PowerState {
    /// Its instances serve.
    On,
    /// It is to be on, and its instances start.
    Waking,
    /// It is to be asleep, and its instances finish their work.
    FallingAsleep,
    /// It has no instance, and its addresses are there.
    Asleep,
}

impl fmt::Display for PowerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            PowerState::On => "on",
            PowerState::Waking => "waking",
            PowerState::FallingAsleep => "falling asleep",
            PowerState::Asleep => "asleep",
        })
    }
}

/// A service's power, as `naru power` shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PowerView {
    /// Where it is.
    pub state: PowerState,
    /// What is wanted of it, by whom: what decides first.
    pub wants: Vec<Want>,
    /// When that changes, if nothing happens until then; and what it then is to be.
    pub next: Option<(Time, PowerState)>,
    /// As the file has it.
    pub power: Power,
    /// The hours of the next seven days in which it is off by its file: from, until.
    pub off: Vec<(Time, Time)>,
}

/// Requests that wait for an instance of a service at an edge, by stack and service. What does not wake a service is not
/// among them.
pub type Waiting = BTreeMap<StackName, BTreeMap<ServiceName, u64>>;

#[cfg(test)]
mod tests {
    use super::Ignored;

    #[test]
    fn ignored_are_paths_without_their_query_and_parts_of_agents() {
        let texts = |all: &[&str]| all.iter().map(|text| text.to_string()).collect();
        let ignored =
            Ignored { paths: texts(&["/healthz", "/metrics/*"]), user_agents: texts(&["kube-PROBE/"]) };
        let table: [(&str, Option<&str>, bool); 7] = [
            ("/healthz", None, true),
            ("/healthz?verbose", None, true),
            ("/healthz/deep", None, false),
            ("/metrics/a", Some("curl/8"), true),
            ("/", Some("kube-probe/1.29"), true),
            ("/", Some("curl/8"), false),
            ("/", None, false),
        ];
        for (target, agent, want) in table {
            assert_eq!(ignored.has(target, agent.map(str::as_bytes)), want, "{target} {agent:?}");
        }
        assert!(!Ignored::default().has("/", Some(b"")));
    }
}
