//! How an instance is chosen, in words.

use naru_model::{Balance, HashKey, Policy, StickyTo};

/// How an instance is chosen, in words.
pub fn way(policy: &Policy) -> String {
    let mut way = match &policy.balance {
        Balance::LeastLoaded => "by load".to_string(),
        Balance::RoundRobin => "in turn".to_string(),
        Balance::Hash(HashKey::Source) => "by the client's address".to_string(),
        Balance::Hash(HashKey::Flow) => "by the client's address and port".to_string(),
        Balance::Hash(HashKey::Path) => "by the path".to_string(),
        Balance::Hash(HashKey::Header(name)) => format!("by the header {name}"),
        Balance::Hash(HashKey::Cookie(name)) => format!("by the cookie {name}"),
    };
    way += match policy.sticky.as_ref().map(|sticky| sticky.to) {
        Some(StickyTo::Session) => "; a client stays on its instance",
        Some(StickyTo::Version) => "; a client stays on its release",
        None => "",
    };
    if policy.zone.is_some() {
        way += "; those of the edge's zone first";
    }
    if let Some(most) = policy.max_in_progress {
        way += &format!("; none with {most} in progress");
    }
    way
}
