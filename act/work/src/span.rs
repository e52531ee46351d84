//! Durations as people write them.

use naru_model::Span;

/// A text is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration: write seconds, or a number with ms, s, m or h, such as 30s")]
pub struct BadSpan(pub String);

/// Reads `500ms`, `30s`, `2m`, `1h` or a bare number of seconds; fractions are fine.
///
/// # Errors
/// Anything else.
pub fn parse_span(text: &str) -> Result<Span, BadSpan> {
    let bad = || BadSpan(text.chars().take(40).collect());
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: f64 = number.parse().map_err(|_| bad())?;
    let unit = match unit.trim() {
        "ms" => 1.0,
        "" | "s" => 1e3,
        "m" | "min" => 6e4,
        "h" => 3.6e6,
        _ => return Err(bad()),
    };
    Ok(Span((number * unit).round() as u64))
}

#[cfg(test)]
mod tests {
    use super::{Span, parse_span};

    #[test]
    fn durations_are_read_as_people_write_them() {
        let read = ["30", "30s", " 1.5 s", "2m", "1h", "500ms"].map(|text| parse_span(text).unwrap().0);
        assert_eq!(read, [30_000, 30_000, 1_500, 120_000, 3_600_000, 500]);
        for bad in ["", "s", "1d", "-1", "1s2", "1..2"] {
            assert!(parse_span(bad).is_err(), "{bad}");
        }
        assert_eq!(parse_span("7 tage").map(|s: Span| s.0).unwrap_err().0, "7 tage");
    }
}
