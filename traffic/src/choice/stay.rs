//! Where a client began, as its cookie says it: a number of a release, or an instance's mark. A mark is a hash of the
//! instance's name: it tells nobody an address, and means nothing once the instance is gone.

use super::digest;
use naru_model::{Sticky, StickyTo};
use std::fmt::Write;

/// The mark of an instance, or of its release.
pub fn mark(to: StickyTo, instance: &str, release: u64) -> u64 {
    match to {
        StickyTo::Session => digest(instance.as_bytes()),
        StickyTo::Version => release,
    }
}

/// A mark, as it is written.
fn written(to: StickyTo, mark: u64) -> String {
    match to {
        StickyTo::Session => format!("{mark:016x}"),
        StickyTo::Version => mark.to_string(),
    }
}

/// Reads a mark. Only what is written as [`written`] would is one.
pub(super) fn read(to: StickyTo, value: &[u8]) -> Option<u64> {
    // Twenty digits hold any number.
    let text = std::str::from_utf8(value).ok().filter(|text| text.len() <= 20)?;
    let mark = match to {
        StickyTo::Session => u64::from_str_radix(text, 16),
        StickyTo::Version => text.parse(),
    };
    mark.ok().filter(|mark| written(to, *mark) == text)
}

/// Lines of an answer, each with its CRLF, that tell a client where it is now. `https` is the scheme by which it came
/// where the cookie must not go without.
pub fn set_lines(sticky: &Sticky, mark: u64, scheme: &str) -> String {
    let value = written(sticky.to, mark);
    let mut lines = format!("Set-Cookie: {}={value}; Path=/; HttpOnly; SameSite=Lax", sticky.cookie);
    if scheme == "https" {
        lines.push_str("; Secure");
    }
    if let Some(max_age) = sticky.max_age {
        // Writing to a text cannot fail.
        let _ = write!(lines, "; Max-Age={}", max_age.0.div_ceil(1000));
    }
    lines.push_str("\r\n");
    if let Some(header) = &sticky.header {
        let _ = write!(lines, "{header}: {value}\r\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{mark, read, set_lines, written};
    use naru_model::{Span, Sticky, StickyTo};

    #[test]
    fn a_mark_is_read_as_it_is_written_and_no_other_way() {
        for to in [StickyTo::Session, StickyTo::Version] {
            let mark = mark(to, "shop.web.7.1", 7);
            assert_eq!(read(to, written(to, mark).as_bytes()), Some(mark));
            for bad in ["", "+7", "07", " 7", "x", "99999999999999999999", "-1", "7.0", "\u{ff17}"] {
                assert_eq!(read(to, bad.as_bytes()), None, "{bad:?}");
            }
        }
        assert_eq!(read(StickyTo::Version, b"\xff"), None);
    }

    #[test]
    fn a_mark_tells_no_name_and_differs_by_instance() {
        let text = written(StickyTo::Session, mark(StickyTo::Session, "shop.web.7.1", 7));
        assert_eq!(text.len(), 16);
        assert!(!text.contains("web"));
        assert_ne!(mark(StickyTo::Session, "shop.web.7.1", 7), mark(StickyTo::Session, "shop.web.7.2", 7));
    }

    #[test]
    fn the_lines_say_what_a_browser_needs() {
        let mut sticky = Sticky {
            to: StickyTo::Version,
            cookie: "v".into(),
            header: None,
            max_age: None,
            keep: Sticky::usual_keep(),
        };
        assert_eq!(set_lines(&sticky, 7, "http"), "Set-Cookie: v=7; Path=/; HttpOnly; SameSite=Lax\r\n");
        sticky.header = Some("x-version".into());
        sticky.max_age = Some(Span::secs(60));
        assert_eq!(
            set_lines(&sticky, 8, "https"),
            "Set-Cookie: v=8; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=60\r\nx-version: 8\r\n"
        );
    }
}
