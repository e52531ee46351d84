//! Addresses that a calendar may be at: https, or this machine.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use naru_schedule::Told;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

/// What calendars write for an address to subscribe to; it is https.
const SUBSCRIBE: &str = "webcal://";

/// The longest part of a path that is shown.
const SHOWN: usize = 16;

/// An address that may be asked.
#[derive(Clone, Debug)]
pub(crate) struct Address {
    /// Without name and password.
    url: Url,
    /// What `Authorization` says.
    pub authorization: Option<String>,
}

impl Address {
    /// As a person wrote it.
    pub fn read(written: &str) -> Result<Address, Told> {
        let subscribed = written.strip_prefix(SUBSCRIBE).map(|rest| format!("https://{rest}"));
        let advice = "write https://…; http:// leads to this machine only";
        let url = Url::parse(subscribed.as_deref().unwrap_or(written))
            .map_err(|error| Told::new(format!("this is no address: {error}"), advice))?;
        let address = Address::of(url);
        match address.is_allowed() {
            true => Ok(address),
            false => {
                let what =
                    format!("{} is not asked: it is neither https nor on this machine", address.shown());
                Err(Told::new(what, advice))
            }
        }
    }

    fn of(mut url: Url) -> Address {
        let authorization = (!url.username().is_empty() || url.password().is_some()).then(|| basic(&url));
        // These fail where there is no host, and then there is none of them.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        Address { url, authorization }
    }

    /// Whole, name and password left out. It may be a secret.
    pub fn whole(&self) -> &str {
        self.url.as_str()
    }

    /// Whether it takes TLS.
    pub fn is_secure(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Where an answer leads to. The error says why nobody goes there.
    pub fn redirected(&self, location: &str) -> Result<Address, String> {
        let url = self.url.join(location).map_err(|error| format!("it leads to no address: {error}"))?;
        let same_place = url.origin() == self.url.origin();
        let mut next = Address::of(url);
        if !next.is_allowed() || self.is_secure() && !next.is_secure() {
            return Err(format!("it leads to {}, which is not https", next.shown()));
        }
        if same_place && next.authorization.is_none() {
            next.authorization.clone_from(&self.authorization);
        }
        Ok(next)
    }

    /// Without what may be a secret: of the path, only plain words are left.
    pub fn shown(&self) -> String {
        let mut shown = format!("{}://{}", self.url.scheme(), self.url.host_str().unwrap_or_default());
        if let Some(port) = self.url.port() {
            shown += &format!(":{port}");
        }
        let mut hidden = false;
        for part in self.url.path().trim_start_matches('/').split('/') {
            let is_plain = is_word(part);
            if is_plain || !hidden {
                shown += &format!("/{}", if is_plain { part } else { "…" });
            }
            hidden = !is_plain;
        }
        shown + if self.url.query().is_some() { "?…" } else { "" }
    }

    fn is_allowed(&self) -> bool {
        let is_near = match self.url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => return false,
        };
        self.is_secure() || self.url.scheme() == "http" && is_near
    }
}

fn basic(url: &Url) -> String {
    let plain = |text| percent_decode_str(text).collect::<Vec<u8>>();
    let mut both = plain(url.username());
    both.push(b':');
    both.extend(plain(url.password().unwrap_or_default()));
    format!("Basic {}", STANDARD.encode(both))
}

/// Secrets have digits, or capitals, or are long.
fn is_word(part: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_lowercase() || "-_.".contains(c);
    part.len() <= SHOWN && part.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::Address;

    fn shown(written: &str) -> String {
        Address::read(written).map_or_else(|told| told.what, |address| address.shown())
    }

    #[test]
    fn what_may_be_a_secret_is_not_shown() {
        for (written, want) in [
            ("https://example.com/days/kr.ics", "https://example.com/days/kr.ics"),
            ("https://example.com:8443", "https://example.com:8443/"),
            ("http://[::1]:81/a.ics", "http://[::1]:81/a.ics"),
            ("webcal://example.com/south-korea", "https://example.com/south-korea"),
            (
                "https://calendar.google.com/calendar/ical/team%40example.com/private-0123abcd/basic.ics",
                "https://calendar.google.com/calendar/ical/…/basic.ics",
            ),
            ("https://mina:pass@example.com/f/Xyz?token=1#2", "https://example.com/f/…?…"),
            ("https://example.com/abcdefghijklmnopq", "https://example.com/…"),
        ] {
            assert_eq!(shown(written), want);
        }
    }

    #[test]
    fn only_https_and_this_machine_are_asked() {
        for refused in [
            "http://example.com/kr.ics",
            "ftp://localhost/kr.ics",
            "http://127.0.0.1.example.com/",
            "http://192.0.2.1/",
        ] {
            assert!(shown(refused).contains("is not asked"), "{refused}: {}", shown(refused));
        }
        assert!(shown("https://").starts_with("this is no address: "));
        assert!(shown("file:///etc/passwd").contains("is not asked"));
        for asked in ["http://localhost:80/kr.ics", "http://127.0.0.2/", "https://192.0.2.1/"] {
            assert!(Address::read(asked).is_ok(), "{asked}");
        }
    }

    #[test]
    fn a_redirect_takes_the_password_to_no_other_place() {
        let from = Address::read("https://mina:a%20b@example.com/a/kr.ics").unwrap();
        assert_eq!(from.authorization.as_deref(), Some("Basic bWluYTphIGI="));
        let to = |location: &str| from.redirected(location);
        let near = to("../b.ics").unwrap();
        assert_eq!((near.whole(), &near.authorization), ("https://example.com/b.ics", &from.authorization));
        assert_eq!(to("https://example.org/b.ics").unwrap().authorization, None);
        assert_eq!(to("https://example.com:8443/b.ics").unwrap().authorization, None);
        for refused in ["http://example.com/b.ics", "http://127.0.0.1/b.ics", "file:///b.ics"] {
            assert!(to(refused).unwrap_err().contains("not https"), "{refused}");
        }
        let near = Address::read("http://127.0.0.1:1/a").unwrap();
        assert!(near.redirected("https://example.com/").is_ok() && near.redirected("/b").is_ok());
        assert!(near.redirected("http://example.com/").is_err());
    }
}
