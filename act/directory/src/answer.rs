//! What a server's answer to a password means.
//!
//! Servers say that a password has expired or an account is locked in one of two ways: by the control of the draft
//! "Password Policy for LDAP Directories" (OpenLDAP and most others), or by a number in Active Directory's text.

use crate::Refusal;
use ldap3::LdapResult;
use ldap3::controls::{Control, RawControl};

/// The control of the draft: asked for, and answered.
const POLICY: &str = "1.3.6.1.4.1.42.2.27.8.5.1";

/// Servers' own words are cut off after as much.
const SAID_MAX: usize = 200;

/// Why somebody who is known may not come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bar {
    /// Too many wrong passwords; whether this one is right is not looked at.
    Locked,
    /// The password has expired.
    Expired,
    /// The password has to be changed first.
    MustChange,
    /// The account is off.
    Disabled,
    /// The account has ended.
    Ended,
    /// Not at this hour, or not from here.
    NotNow,
}

impl Bar {
    /// As people read it.
    pub fn word(self) -> &'static str {
        match self {
            Bar::Locked => "the account is locked",
            Bar::Expired => "the password has expired",
            Bar::MustChange => "the password has to be changed first",
            Bar::Disabled => "the account is disabled",
            Bar::Ended => "the account has ended",
            Bar::NotNow => "the account may not sign in at this time or from here",
        }
    }
}

/// Whether what was said shows that the password was the right one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proven {
    /// The server says this only then.
    Password,
    /// It may say it to anybody.
    Nothing,
}

/// The control that asks for the state of the password.
pub(crate) fn ask_policy() -> RawControl {
    RawControl { ctype: POLICY.into(), crit: false, val: None }
}

/// What became of a password: it is right, or not, or the server gives no answer of that kind.
pub(crate) fn of_bind(result: &LdapResult) -> Result<(), Refusal> {
    let said = said(result);
    let barred = |bar, proven| Err(Refusal::Barred { bar, proven, said: said.clone() });
    let policy = result.ctrls.iter().find_map(policy_error);
    match (result.rc, policy) {
        (0, Some(PolicyError::MustChange)) => barred(Bar::MustChange, Proven::Password),
        (0, Some(PolicyError::Expired)) => barred(Bar::Expired, Proven::Password),
        // Grace: the server lets in, and says that the end is near.
        (0, _) => Ok(()),
        (_, Some(PolicyError::Locked)) => barred(Bar::Locked, Proven::Nothing),
        // The draft has the password compared first.
        (49, Some(PolicyError::Expired)) => barred(Bar::Expired, Proven::Password),
        (49, Some(PolicyError::MustChange)) => barred(Bar::MustChange, Proven::Password),
        (49, None) => match active_directory(&result.text) {
            Some((bar, proven)) => barred(bar, proven),
            None => Err(Refusal::Wrong(said)),
        },
        // No such entry, or one without a password; or a name that this server takes for none.
        (32 | 34 | 48, _) => Err(Refusal::Wrong(said)),
        // 389 Directory Server counts wrong passwords so, and knows accounts that are off before it looks at a password.
        (19, _) => barred(Bar::Locked, Proven::Nothing),
        (53, _) => barred(Bar::Disabled, Proven::Nothing),
        _ => Err(of_failure(result)),
    }
}

/// What an answer other than success means, wherever it comes.
pub(crate) fn of_failure(result: &LdapResult) -> Refusal {
    let said = said(result);
    match result.rc {
        1 | 3 | 11 | 51 | 52 | 80 => Refusal::Unreachable { why: said },
        10 => Refusal::Unusable(format!("the server refers to another one, which is not followed: {said}")),
        _ => Refusal::Unusable(said),
    }
}

/// A server's words, of one line and not too many.
pub(crate) fn said(result: &LdapResult) -> String {
    let whole = result.to_string();
    let code = whole.split(", dn:").next().unwrap_or_default().to_string();
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = result.text.chars().take(SAID_MAX).map(clean).collect();
    if text.trim().is_empty() { code } else { format!("{code}: {}", text.trim()) }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PolicyError {
    Expired,
    Locked,
    MustChange,
    Other,
}

/// The error within `SEQUENCE { warning [0] …, error [1] ENUMERATED }`, if this is that control and has one.
fn policy_error(control: &Control) -> Option<PolicyError> {
    let Control(_, RawControl { ctype, val: Some(value), .. }) = control else { return None };
    if ctype != POLICY {
        return None;
    }
    let (0x30, mut rest, _) = element(value)? else { return None };
    while !rest.is_empty() {
        let (tag, content, after) = element(rest)?;
        if let (0x81, [error]) = (tag, content) {
            return Some(match error {
                0 => PolicyError::Expired,
                1 => PolicyError::Locked,
                2 => PolicyError::MustChange,
                _ => PolicyError::Other,
            });
        }
        rest = after;
    }
    None
}

/// The first element of some BER: its tag, what is in it, what comes after it. What is here is always short.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let [tag, length, rest @ ..] = bytes else { return None };
    let length = usize::from(*length);
    if length > 127 || length > rest.len() {
        return None;
    }
    let (content, after) = rest.split_at(length);
    Some((*tag, content, after))
}

/// `80090308: LdapErr: DSID-0C09041C, comment: AcceptSecurityContext error, data 52e, v4563`. Which of these it says to
/// whoever does not know the password is in its documentation: that the account is locked, and nothing else.
fn active_directory(text: &str) -> Option<(Bar, Proven)> {
    let (_, after) = text.split_once(" data ")?;
    let code: String = after.chars().take_while(char::is_ascii_hexdigit).collect();
    Some(match code.as_str() {
        "775" => (Bar::Locked, Proven::Nothing),
        "532" => (Bar::Expired, Proven::Password),
        "773" => (Bar::MustChange, Proven::Password),
        "533" => (Bar::Disabled, Proven::Password),
        "701" => (Bar::Ended, Proven::Password),
        "530" | "531" => (Bar::NotNow, Proven::Password),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::{Bar, POLICY, Proven, of_bind};
    use crate::Refusal;
    use ldap3::LdapResult;
    use ldap3::controls::{Control, RawControl};

    fn answer(rc: u32, text: &str, policy: Option<&[u8]>) -> LdapResult {
        let control = |value: &[u8]| {
            Control(None, RawControl { ctype: POLICY.into(), crit: false, val: Some(value.into()) })
        };
        let ctrls = policy.map(control).into_iter().collect();
        LdapResult { rc, matched: String::new(), text: text.into(), refs: vec![], ctrls }
    }

    fn bar(result: &LdapResult) -> Option<(Bar, Proven)> {
        match of_bind(result) {
            Err(Refusal::Barred { bar, proven, .. }) => Some((bar, proven)),
            _ => None,
        }
    }

    #[test]
    fn active_directory_is_understood() {
        let cases = [
            ("52e", None),
            ("525", None),
            ("775", Some((Bar::Locked, Proven::Nothing))),
            ("532", Some((Bar::Expired, Proven::Password))),
            ("773", Some((Bar::MustChange, Proven::Password))),
            ("533", Some((Bar::Disabled, Proven::Password))),
            ("701", Some((Bar::Ended, Proven::Password))),
            ("530", Some((Bar::NotNow, Proven::Password))),
            ("7753", None),
        ];
        for (code, wanted) in cases {
            let text = format!(
                "80090308: LdapErr: DSID-0C09041C, comment: AcceptSecurityContext error, data {code}, v4563"
            );
            assert_eq!(bar(&answer(49, &text, None)), wanted, "{code}");
        }
        assert!(matches!(of_bind(&answer(49, "data", None)), Err(Refusal::Wrong(_))));
    }

    #[test]
    fn the_control_of_the_policy_is_understood() {
        let error = |code| [0x30, 3, 0x81, 1, code];
        assert_eq!(bar(&answer(49, "", Some(&error(1)))), Some((Bar::Locked, Proven::Nothing)));
        assert_eq!(bar(&answer(49, "", Some(&error(0)))), Some((Bar::Expired, Proven::Password)));
        assert_eq!(bar(&answer(0, "", Some(&error(2)))), Some((Bar::MustChange, Proven::Password)));
        let grace = [0x30, 5, 0xa0, 3, 0x81, 1, 2];
        assert!(of_bind(&answer(0, "", Some(&grace))).is_ok());
        for odd in [&[][..], &[0x30], &[0x30, 9, 0x81], &[0x30, 2, 0x81, 1], &[0x31, 3, 0x81, 1, 1]] {
            assert!(matches!(of_bind(&answer(49, "", Some(odd))), Err(Refusal::Wrong(_))), "{odd:?}");
        }
    }

    #[test]
    fn other_answers_are_no_right_password() {
        for rc in 1..130 {
            assert!(of_bind(&answer(rc, "a\nb", None)).is_err(), "{rc}");
        }
        let Err(Refusal::Unusable(said)) = of_bind(&answer(10, "", None)) else { panic!() };
        assert!(said.contains("not followed"), "{said}");
        assert!(matches!(of_bind(&answer(52, "", None)), Err(Refusal::Unreachable { .. })));
    }
}
