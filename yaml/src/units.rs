//! Durations, sizes and command lines as Compose writes them.

use std::fmt::Write as _;

/// Nanoseconds of `1h30m`, `1.5s`, `300ms`, `2d`, `1w`; `0` needs no unit. `None`: it is not a duration.
pub fn duration(text: &str) -> Option<i64> {
    let (sign, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut nanos = 0.0_f64;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(number_end);
        let unit_end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let number: f64 = number.parse().ok()?;
        nanos += number * unit_nanos(unit)?;
        rest = after;
    }
    let nanos = sign * nanos;
    (nanos.abs() < i64::MAX as f64).then_some(nanos.round() as i64)
}

fn unit_nanos(unit: &str) -> Option<f64> {
    Some(match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" => 60e9,
        "h" => 3600e9,
        "d" => 24.0 * 3600e9,
        "w" => 7.0 * 24.0 * 3600e9,
        _ => return None,
    })
}

/// A duration as the reference prints it: `1h0m0s`, `1m30s`, `1.5s`, `500ms`, `0s`.
pub fn print_duration(nanos: i64) -> String {
    let mut out = String::new();
    if nanos < 0 {
        out.push('-');
    }
    let nanos = nanos.unsigned_abs();
    let seconds = nanos / 1_000_000_000;
    if seconds == 0 {
        let (unit, size) = match nanos {
            0 => return "0s".into(),
            1..1_000 => ("ns", 1),
            1_000..1_000_000 => ("µs", 1_000),
            _ => ("ms", 1_000_000),
        };
        let _ = write!(out, "{}{unit}", fraction(nanos, size));
        return out;
    }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if hours > 0 {
        let _ = write!(out, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(out, "{minutes}m");
    }
    let _ = write!(out, "{}s", fraction(nanos % 60_000_000_000, 1_000_000_000));
    out
}

/// `value / size` in decimal, without zeros at the end.
fn fraction(value: u64, size: u64) -> String {
    let digits = size.ilog10() as usize;
    let text = format!("{}.{:0digits$}", value / size, value % size);
    text.trim_end_matches('0').trim_end_matches('.').to_string()
}

/// Bytes of `512m`, `1.5G`, `64 KiB`, `100`. `None`: it is not a size.
pub fn bytes(text: &str) -> Option<i64> {
    let end = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')?;
    let number: f64 = text[..=end].trim_end_matches(' ').parse().ok()?;
    if number < 0.0 {
        return None;
    }
    let suffix = text[end + 1..].to_ascii_lowercase();
    let power = match suffix.as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    let bytes = number * 1024_f64.powi(power);
    (bytes < i64::MAX as f64).then_some(bytes as i64)
}

/// A command line taken apart as a shell would, without running anything.
#[derive(Debug, PartialEq, Eq)]
pub struct Words {
    /// The words, without their quotes.
    pub words: Vec<String>,
    /// The operator of a shell that ended it: what follows is not part of the command.
    pub cut_at: Option<char>,
}

/// Splits `line`. `None`: a quote or bracket is not closed.
pub fn split_words(line: &str) -> Option<Words> {
    let mut splitter = Splitter::default();
    let mut cut_at = None;
    for c in line.chars() {
        match splitter.take(c)? {
            Taken::Inside => {}
            Taken::Operator => {
                cut_at = Some(c);
                break;
            }
        }
    }
    splitter.finish().map(|words| Words { words, cut_at })
}

enum Taken {
    Inside,
    Operator,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Quote {
    #[default]
    None,
    Single,
    Double,
    Back,
    Dollar,
}

#[derive(Default)]
struct Splitter {
    words: Vec<String>,
    word: String,
    started: bool,
    escaped: bool,
    quote: Quote,
}

impl Splitter {
    fn take(&mut self, c: char) -> Option<Taken> {
        if self.escaped {
            self.escaped = false;
            self.push(match c {
                't' => '\t',
                'n' => '\n',
                other => other,
            });
            return Some(Taken::Inside);
        }
        match (c, self.quote) {
            ('\\', Quote::Single) => self.word.push(c),
            ('\\', _) => self.escaped = true,
            (' ' | '\t' | '\r' | '\n', Quote::None) => self.end_word(),
            (' ' | '\t' | '\r' | '\n', _) => self.word.push(c),
            ('"', Quote::Double) | ('\'', Quote::Single) => self.quote = Quote::None,
            ('"', Quote::None) => self.open(Quote::Double),
            ('\'', Quote::None) => self.open(Quote::Single),
            ('`', Quote::None) => self.bracket(c, Quote::Back),
            ('`', Quote::Back) => self.bracket(c, Quote::None),
            ('(', Quote::None) if self.word.ends_with('$') => self.bracket(c, Quote::Dollar),
            ('(', Quote::None | Quote::Dollar) => return None,
            (')', Quote::None) => self.bracket(c, Quote::Dollar),
            (')', Quote::Dollar) => self.bracket(c, Quote::None),
            (';' | '&' | '|' | '<' | '>', Quote::None) => return Some(self.operator(c)),
            _ => self.push(c),
        }
        Some(Taken::Inside)
    }

    fn push(&mut self, c: char) {
        self.started = true;
        self.word.push(c);
    }

    fn open(&mut self, quote: Quote) {
        self.started = true;
        self.quote = quote;
    }

    fn bracket(&mut self, c: char, quote: Quote) {
        self.push(c);
        self.quote = quote;
    }

    /// `2>` leaves the number out as well.
    fn operator(&mut self, c: char) -> Taken {
        if c == '>' && self.word.starts_with(|c: char| c.is_ascii_digit()) {
            self.word.clear();
            self.started = false;
        }
        Taken::Operator
    }

    fn end_word(&mut self) {
        if std::mem::take(&mut self.started) {
            self.words.push(std::mem::take(&mut self.word));
        }
    }

    fn finish(mut self) -> Option<Vec<String>> {
        self.end_word();
        (self.quote == Quote::None && !self.escaped).then_some(self.words)
    }
}

/// Signals by their names on Linux, without `SIG`.
const SIGNALS: [&str; 36] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "IOT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE",
    "ALRM", "TERM", "STKFLT", "CHLD", "CLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ",
    "VTALRM", "PROF", "WINCH", "IO", "POLL", "PWR", "SYS", "RTMIN", "RTMAX",
];

/// Whether a text names a signal: `SIGTERM`, `term`, `15`, `RTMIN+3`.
pub fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    let offset = bare.strip_prefix("RTMIN+").or_else(|| bare.strip_prefix("RTMAX-"));
    let is_real_time = offset.and_then(|count| count.parse::<u8>().ok()).is_some_and(|count| count <= 30);
    is_real_time || SIGNALS.contains(&bare)
}

/// The first and last port of `A` or `A-B`. `Err` says what is wrong.
pub fn port_range(text: &str) -> Result<(u16, u16), String> {
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let parsed = if digits { text.parse::<u16>().ok() } else { None };
        parsed.ok_or_else(|| format!("\"{text}\" is not a port: 1 to 65535 are"))
    };
    match text.split_once('-') {
        None => port(text).map(|port| (port, port)),
        Some((first, last)) => match (port(first)?, port(last)?) {
            (first, last) if first <= last => Ok((first, last)),
            _ => Err(format!("the range {text} ends before it begins")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::{bytes, duration, print_duration, split_words};

    #[test]
    fn durations_are_read_and_printed_as_the_reference_does() {
        let cases = [
            ("10s", "10s"),
            ("1m30s", "1m30s"),
            ("1.5s", "1.5s"),
            ("300ms", "300ms"),
            ("1d", "24h0m0s"),
            ("1w", "168h0m0s"),
            ("90m", "1h30m0s"),
            ("0", "0s"),
            ("1us", "1µs"),
            ("1h", "1h0m0s"),
            ("-5s", "-5s"),
        ];
        for (text, want) in cases {
            assert_eq!(duration(text).map(print_duration).as_deref(), Some(want), "{text}");
        }
        for text in ["", "10", "s", "1x", "1.2.3s", "--1s", "9999999w"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        let cases = [
            ("512m", Some(536_870_912)),
            ("1.5k", Some(1536)),
            ("64 KiB", Some(65536)),
            ("100", Some(100)),
            ("1gb", Some(1 << 30)),
            ("10b", Some(10)),
            ("x", None),
            ("1z", None),
            ("-1", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(bytes(text), want, "{text}");
        }
    }

    #[test]
    fn command_lines_split_as_a_shell_would() {
        let shown = |line| {
            split_words(line).map(|split| {
                let cut = split.cut_at.map(|c| format!(" cut at {c}")).unwrap_or_default();
                format!("{}{cut}", split.words.join("|"))
            })
        };
        let cases = [
            ("a 'b c' \"d e\" f\\ g", Some("a|b c|d e|f g")),
            ("a \"\" b", Some("a||b")),
            ("a && b", Some("a cut at &")),
            ("a 2> b", Some("a cut at >")),
            ("a $(b c) d", Some("a|$(b c)|d")),
            ("a 'b", None),
            ("a (b)", None),
            ("", Some("")),
        ];
        for (line, want) in cases {
            assert_eq!(shown(line).as_deref(), want, "{line}");
        }
    }
}
