//! EC2's error codes, as kinds and sentences.

use naru_model::{CloudRefusal, RefusalKind};

/// The cloud's own words are kept so far; what is longer is an encoded text for nobody's eyes.
const MESSAGE_MAX: usize = 300;

/// What each code means: its beginning, the kind, and what is told before the cloud's own words.
const CODES: &[(&str, RefusalKind, &str)] = &[
    (
        "InsufficientInstanceCapacity",
        RefusalKind::Capacity,
        "the cloud has no room for a machine of this kind there",
    ),
    ("InsufficientHostCapacity", RefusalKind::Capacity, "the cloud has no room on the dedicated host"),
    ("InsufficientCapacity", RefusalKind::Capacity, "the cloud has no room for it"),
    ("InsufficientReservedInstanceCapacity", RefusalKind::Capacity, "the reservation has no room left"),
    (
        "InstanceLimitExceeded",
        RefusalKind::Quota,
        "the account runs as many machines as it may; ask the cloud for more, or stop another",
    ),
    (
        "VcpuLimitExceeded",
        RefusalKind::Quota,
        "the account runs as many CPUs as it may; ask the cloud for more, or stop another",
    ),
    ("MaxSpotInstanceCountExceeded", RefusalKind::Quota, "the account has as many spot machines as it may"),
    ("IncorrectInstanceState", RefusalKind::State, "its state is another one than was seen"),
    ("IncorrectState", RefusalKind::State, "its state is another one than was seen"),
    ("InvalidInstanceID", RefusalKind::NotFound, "the cloud has no such machine in this region and account"),
    (
        "UnauthorizedOperation",
        RefusalKind::Denied,
        "the credentials do not have the right; `naru assets iam-policy` prints the rights that are needed",
    ),
    (
        "AccessDenied",
        RefusalKind::Denied,
        "the credentials do not have the right; `naru assets iam-policy` prints the rights that are needed",
    ),
    (
        "AuthFailure",
        RefusalKind::Denied,
        "the cloud does not accept the credentials: the key is unknown, or its secret is another one",
    ),
    ("InvalidClientTokenId", RefusalKind::Denied, "the cloud does not know the key"),
    ("SignatureDoesNotMatch", RefusalKind::Denied, "the secret of the key is another one"),
    ("ExpiredToken", RefusalKind::Denied, "the session of these credentials has ended"),
    (
        "RequestExpired",
        RefusalKind::Clock,
        "this host's clock and the cloud's are more than some minutes apart; set the clock",
    ),
    ("InvalidSignatureException", RefusalKind::Denied, "the cloud does not accept the signature"),
    ("OptInRequired", RefusalKind::Denied, "the account does not use this service or region"),
    ("PendingVerification", RefusalKind::Denied, "the cloud has not verified the account yet"),
    ("Blocked", RefusalKind::Denied, "the cloud has blocked the account"),
    ("OperationNotPermitted", RefusalKind::Denied, "the machine is protected against this"),
    (
        "UnsupportedHibernationConfiguration",
        RefusalKind::Unsupported,
        "the machine was not made for hibernation",
    ),
    ("Unsupported", RefusalKind::Unsupported, "the machine cannot do this"),
    ("RequestLimitExceeded", RefusalKind::Throttled, "too many requests to this cloud from this account"),
    ("Throttling", RefusalKind::Throttled, "too many requests to this cloud from this account"),
    ("EC2ThrottledException", RefusalKind::Throttled, "too many requests to this cloud from this account"),
    ("SlowDown", RefusalKind::Throttled, "too many requests to this cloud from this account"),
];

/// What a code and its message say.
pub fn refusal(code: &str, message: &str) -> CloudRefusal {
    // Longer beginnings first: `Unsupported` is one of several.
    let mut known: Vec<_> = CODES.iter().filter(|(start, ..)| code.starts_with(start)).collect();
    known.sort_by_key(|(start, ..)| std::cmp::Reverse(start.len()));
    let words = plain(message);
    let (kind, text) = match known.first() {
        // Others are told apart better by what it says of them.
        Some((_, kind @ (RefusalKind::Throttled | RefusalKind::Clock), said)) => {
            (*kind, format!("{said} ({code})"))
        }
        Some((_, kind, said)) if words.is_empty() => (*kind, format!("{said} ({code})")),
        Some((_, kind, said)) => (*kind, format!("{said} ({code}: {words})")),
        None => (RefusalKind::Other, format!("the cloud refuses ({code}: {words})")),
    };
    CloudRefusal { kind, code: code.into(), text }
}

/// One line, without what is encoded for others, of a length that is read.
fn plain(message: &str) -> String {
    let message = message.split("Encoded authorization failure message").next().unwrap_or_default();
    let words: Vec<&str> = message.split_whitespace().collect();
    let line: String = words.join(" ").chars().filter(|c| !c.is_control()).take(MESSAGE_MAX).collect();
    line.trim_end_matches(['.', ' ']).to_string()
}

#[cfg(test)]
mod tests {
    use super::refusal;
    use naru_model::RefusalKind;

    #[test]
    fn codes_have_kinds_and_sentences() {
        let kind = |code: &str| refusal(code, "x").kind;
        assert_eq!(kind("InsufficientInstanceCapacity"), RefusalKind::Capacity);
        assert_eq!(kind("InvalidInstanceID.NotFound"), RefusalKind::NotFound);
        assert_eq!(kind("UnsupportedHibernationConfiguration"), RefusalKind::Unsupported);
        assert_eq!(kind("RequestExpired"), RefusalKind::Clock);
        assert_eq!(kind("InvalidParameterValue"), RefusalKind::Other);
        let denied = refusal(
            "UnauthorizedOperation",
            "You are not authorized to perform this operation.\nEncoded authorization failure message: c2VjcmV0",
        );
        assert!(
            denied.text.contains("iam-policy") && denied.text.contains("not authorized to perform"),
            "{denied}"
        );
        assert!(!denied.text.contains("c2VjcmV0"));
        assert!(refusal("X", &"long ".repeat(1000)).text.len() < 400);
    }
}
