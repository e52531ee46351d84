//! Durations, as people type them.

use naru_model::Span;
pub use naru_show::moment::{date, now};

/// `30m`, `4h`, `90d`, `1d12h`; also weeks `w` and seconds `s`.
///
/// # Errors
/// It is none.
pub fn parse(text: &str) -> Result<Span, String> {
    let odd = || format!("{text:?} is no duration: write `30m`, `4h`, `90d`");
    let mut total: u64 = 0;
    let mut rest = text;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(odd)?;
        let number: u64 = rest[..digits].parse().map_err(|_| odd())?;
        let mut chars = rest[digits..].chars();
        let seconds: u64 = match chars.next().ok_or_else(odd)? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            'w' => 604_800,
            _ => return Err(odd()),
        };
        let part = number.checked_mul(seconds * 1000).ok_or_else(odd)?;
        total = total.checked_add(part).ok_or_else(odd)?;
        rest = chars.as_str();
    }
    if total == 0 { Err(odd()) } else { Ok(Span(total)) }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use naru_model::Span;

    #[test]
    fn durations_are_read() {
        assert_eq!(parse("4h"), Ok(Span::mins(240)));
        assert_eq!(parse("1d12h"), Ok(Span::mins(36 * 60)));
        for odd in ["", "4", "h", "0m", "4 h", "-4h", "99999999999999999999d", "9999999999999999w"] {
            assert!(parse(odd).is_err(), "{odd}");
        }
    }
}
