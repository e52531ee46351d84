//! What follows when an instance ends by itself: `restart`, or `deploy.restart_policy`.

use crate::read::Reader;
use naru_model::{Restart, RestartPolicy, Span};
use naru_yaml::Node;

/// What the service says of it; Naru's own default where it says nothing.
pub(crate) fn restart(reader: &mut Reader<'_>, node: &Node) -> Restart {
    let natural = Restart {
        policy: RestartPolicy::OnFailure,
        delay: Span(100),
        max_attempts: None,
        window: Span::secs(10),
    };
    match (node.get("restart"), node.at(&["deploy", "restart_policy"])) {
        (written, Some(policy)) => {
            if let Some(written) = written {
                let what = "restart gives way to deploy.restart_policy";
                reader.warn(written.key, what, "write it in one place");
            }
            restart_policy(reader, policy, natural)
        }
        (Some(written), None) => restart_word(reader, written, natural),
        (None, None) => natural,
    }
}

/// `restart: on-failure:3` and the like.
fn restart_word(reader: &mut Reader<'_>, written: &Node, natural: Restart) -> Restart {
    let text = written.str().unwrap_or_default();
    let (word, count) = match text.split_once(':') {
        Some((word, count)) => (word, Some(Node::text(count, written))),
        None => (text, None),
    };
    let words = [
        ("no", RestartPolicy::No),
        ("always", RestartPolicy::Always),
        ("unless-stopped", RestartPolicy::Always),
        ("on-failure", RestartPolicy::OnFailure),
    ];
    let word = reader.word("restart", Some(&Node::text(word, written)), &words);
    let max_attempts = attempts(reader, "restart", count.as_ref());
    Restart { policy: word.unwrap_or(natural.policy), max_attempts, ..natural }
}

fn restart_policy(reader: &mut Reader<'_>, policy: &Node, natural: Restart) -> Restart {
    let words = [
        ("any", RestartPolicy::Always),
        ("always", RestartPolicy::Always),
        ("unless-stopped", RestartPolicy::Always),
        ("on-failure", RestartPolicy::OnFailure),
        ("none", RestartPolicy::No),
        ("no", RestartPolicy::No),
    ];
    let key = |name: &str| format!("deploy.restart_policy.{name}");
    let word = reader.word(&key("condition"), policy.get("condition"), &words);
    Restart {
        policy: word.unwrap_or(RestartPolicy::Always),
        delay: reader.span(&key("delay"), policy.get("delay")).unwrap_or(natural.delay),
        max_attempts: attempts(reader, &key("max_attempts"), policy.get("max_attempts")),
        window: reader.span(&key("window"), policy.get("window")).unwrap_or(natural.window),
    }
}

/// 0 means no limit.
fn attempts(reader: &mut Reader<'_>, key: &str, node: Option<&Node>) -> Option<u32> {
    let count = reader.whole(key, node, 0, u64::from(u32::MAX))?;
    u32::try_from(count).ok().filter(|count| *count > 0)
}
