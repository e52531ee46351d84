//! What a request says that matters for the choice: what is hashed of it, and where its client began.

use super::mix;
use super::stay;
use crate::ask::Fields;
use core::net::{IpAddr, SocketAddr};
use naru_model::{Balance, HashKey, Policy};

/// What a request says that matters for the choice of its instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hint {
    /// The hash of what the policy names. `None`: there is nothing, or nothing is asked for.
    pub hash: Option<u64>,
    /// The mark of where the client began; see [`crate::mark`].
    pub stay: Option<u64>,
}

/// A hash of bytes that is the same at every edge (FNV-1a, its end mixed).
pub fn digest(bytes: &[u8]) -> u64 {
    let fold = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    mix(bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold))
}

impl Hint {
    /// Of a request for `target` (a path, with or without its query) from `source`.
    pub fn of(policy: &Policy, source: IpAddr, target: &str, fields: &dyn Fields) -> Hint {
        let hash = match &policy.balance {
            Balance::LeastLoaded | Balance::RoundRobin => None,
            // A request is of no flow: all of a client's are alike.
            Balance::Hash(HashKey::Source | HashKey::Flow) => Some(of_address(source, &[])),
            Balance::Hash(HashKey::Path) => {
                Some(digest(target.split('?').next().unwrap_or_default().as_bytes()))
            }
            Balance::Hash(HashKey::Header(name)) => fields.field(name).map(digest),
            Balance::Hash(HashKey::Cookie(name)) => cookie(fields, name, |value| Some(digest(value))),
        };
        let stay = policy.sticky.as_ref().and_then(|sticky| {
            let read = |value: &[u8]| stay::read(sticky.to, value);
            let header = sticky.header.as_ref().and_then(|name| fields.field(name)).and_then(read);
            header.or_else(|| cookie(fields, &sticky.cookie, read))
        });
        Hint { hash, stay }
    }

    /// Of a connection or flow from `source`, of which nothing else is known.
    pub fn of_source(policy: &Policy, source: SocketAddr) -> Hint {
        let hash = match &policy.balance {
            Balance::Hash(HashKey::Source) => Some(of_address(source.ip(), &[])),
            Balance::Hash(HashKey::Flow) => Some(of_address(source.ip(), &source.port().to_be_bytes())),
            _ => None,
        };
        Hint { hash, stay: None }
    }
}

fn of_address(source: IpAddr, port: &[u8]) -> u64 {
    let mut bytes = [0; 18];
    let len = match source.to_canonical() {
        IpAddr::V4(source) => {
            bytes[..4].copy_from_slice(&source.octets());
            4
        }
        IpAddr::V6(source) => {
            bytes[..16].copy_from_slice(&source.octets());
            16
        }
    };
    bytes[len..len + port.len()].copy_from_slice(port);
    digest(&bytes[..len + port.len()])
}

/// The first value of a cookie that `read` can read.
fn cookie<T>(fields: &dyn Fields, name: &str, read: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    let mut found = None;
    fields.each(&mut |field, value| {
        if found.is_some() || !field.eq_ignore_ascii_case("cookie") {
            return;
        }
        let pairs = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let values = pairs.filter_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="));
        found = values.map(unquoted).find_map(&read);
    });
    found
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::{Hint, digest};
    use crate::ask::Fields;
    use crate::choice::mark;
    use core::net::IpAddr;
    use naru_model::{Balance, HashKey, Policy, Sticky, StickyTo};

    struct Given(Vec<(&'static str, &'static str)>);

    impl Fields for Given {
        fn field(&self, name: &str) -> Option<&[u8]> {
            let found = self.0.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.as_bytes())
        }

        fn each(&self, to: &mut dyn FnMut(&str, &[u8])) {
            self.0.iter().for_each(|(name, value)| to(name, value.as_bytes()));
        }
    }

    const HERE: IpAddr = IpAddr::V4(core::net::Ipv4Addr::LOCALHOST);

    fn hash(
        key: HashKey,
        source: IpAddr,
        target: &str,
        fields: Vec<(&'static str, &'static str)>,
    ) -> Option<u64> {
        let policy = Policy { balance: Balance::Hash(key), ..Policy::default() };
        Hint::of(&policy, source, target, &Given(fields)).hash
    }

    #[test]
    fn what_is_hashed_is_what_the_policy_names() {
        assert_eq!(
            hash(HashKey::Source, HERE, "/a", vec![]),
            hash(HashKey::Source, "::ffff:127.0.0.1".parse().unwrap(), "/b", vec![])
        );
        assert_eq!(hash(HashKey::Path, HERE, "/a?b", vec![]), Some(digest(b"/a")));
        assert_eq!(
            hash(HashKey::Header("x-user".into()), HERE, "/", vec![("X-User", "7")]),
            Some(digest(b"7"))
        );
        assert_eq!(hash(HashKey::Header("x-user".into()), HERE, "/", vec![]), None, "nothing to hash");
        let cookies = vec![("Cookie", "a=1; ab=2"), ("cookie", "b=3;c=\"4\"")];
        for (name, value) in [("a", "1"), ("ab", "2"), ("b", "3"), ("c", "4")] {
            let found = hash(HashKey::Cookie(name.into()), HERE, "/", cookies.clone());
            assert_eq!(found, Some(digest(value.as_bytes())), "{name}");
        }
        assert_eq!(hash(HashKey::Cookie("d".into()), HERE, "/", cookies), None);
        let policy = Policy::default();
        assert_eq!(Hint::of(&policy, HERE, "/", &Given(vec![("Cookie", "a=1")])), Hint::default());
    }

    #[test]
    fn a_flow_is_told_by_address_and_port_and_a_client_by_its_address() {
        let of = |key, source: &str| {
            let policy = Policy { balance: Balance::Hash(key), ..Policy::default() };
            Hint::of_source(&policy, source.parse().unwrap()).hash
        };
        let [one, other] = ["10.0.0.1:5000", "10.0.0.1:5001"];
        assert_eq!(of(HashKey::Source, one), of(HashKey::Source, other));
        assert_ne!(of(HashKey::Flow, one), of(HashKey::Flow, other));
        assert_eq!(of(HashKey::Flow, one), of(HashKey::Flow, "[::ffff:10.0.0.1]:5000"));
        assert_ne!(of(HashKey::Flow, "[::1]:5000"), of(HashKey::Flow, "[::2]:5000"));
        assert_eq!(of(HashKey::Path, one), None, "it has none");
    }

    #[test]
    fn where_a_client_began_is_in_its_header_or_its_cookie() {
        let sticky = Sticky {
            to: StickyTo::Version,
            cookie: "v".into(),
            header: Some("x-version".into()),
            max_age: None,
            keep: Sticky::usual_keep(),
        };
        let policy = Policy { sticky: Some(sticky), ..Policy::default() };
        let stay = |fields| Hint::of(&policy, HERE, "/", &Given(fields)).stay;
        assert_eq!(stay(vec![]), None);
        assert_eq!(stay(vec![("cookie", "v=7")]), Some(7));
        assert_eq!(
            stay(vec![("cookie", "v=7"), ("X-Version", "8")]),
            Some(8),
            "the header is said on purpose"
        );
        assert_eq!(
            stay(vec![("cookie", "v=x; v=9"), ("X-Version", "-")]),
            Some(9),
            "what cannot be read is passed over"
        );
        assert_eq!(Some(7), Some(mark(StickyTo::Version, "shop.web.7.1", 7)));
    }
}
