//! What plain YAML scalars mean, and how numbers are printed: as the reference has it, traps included.
//!
//! `0644` is octal, `1_000` a thousand, `1.10` is 1.1, `yes` and `12:30` stay text, a bare date is a date.

use crate::tree::Value;

/// What a plain (unquoted, untagged) scalar is. `Err` for a date, which Compose has no use for.
pub fn resolve(text: &str) -> Result<Value, &'static str> {
    let fixed = match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "true" | "True" | "TRUE" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => Some(Value::Bool(false)),
        ".nan" | ".NaN" | ".NAN" => Some(Value::Float(f64::NAN)),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => Some(Value::Float(f64::INFINITY)),
        "-.inf" | "-.Inf" | "-.INF" => Some(Value::Float(f64::NEG_INFINITY)),
        _ => None,
    };
    if let Some(value) = fixed {
        return Ok(value);
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Ok(Value::Str(text.into()));
    }
    if is_date(text) {
        return Err("a date");
    }
    Ok(number(text).unwrap_or_else(|| Value::Str(text.into())))
}

/// An integer in any base, or a float, underscores left out.
pub fn number(text: &str) -> Option<Value> {
    let plain = text.replace('_', "");
    if let Some(int) = integer(&plain) {
        return Some(int);
    }
    let is_float = !text.starts_with('_') && looks_like_float(&plain);
    if is_float { plain.parse().ok().map(Value::Float) } else { None }
}

fn integer(plain: &str) -> Option<Value> {
    let (sign, digits) = match plain.as_bytes().first()? {
        b'-' => ("-", &plain[1..]),
        b'+' => ("", &plain[1..]),
        _ => ("", plain),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if !digits.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return None;
    }
    let signed = format!("{sign}{digits}");
    match i64::from_str_radix(&signed, radix) {
        Ok(value) => Some(Value::Int(value)),
        // No key takes a number as large as this; as text it keeps all its digits.
        Err(_) => u64::from_str_radix(&signed, radix).ok().map(|value| Value::Str(value.to_string())),
    }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn looks_like_float(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    let good_exponent = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    let good_mantissa = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    good_exponent && good_mantissa
}

/// `YYYY-M-D`, with a time perhaps.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let number = |part: &str, most: u32| {
        let short = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
        short && part.parse().is_ok_and(|value: u32| (1..=most).contains(&value))
    };
    let day_end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (day, time) = rest.split_at(day_end);
    let good_year = year.len() == 4 && year.bytes().all(|b| b.is_ascii_digit());
    good_year && number(month, 12) && number(day, 31) && is_time(time)
}

/// Nothing, or `T` or a blank and `H:M:S` with a fraction and a zone perhaps.
fn is_time(text: &str) -> bool {
    if text.is_empty() {
        return true;
    }
    let Some(time) = text.strip_prefix(['T', 't', ' ']) else { return false };
    let clock: String = time.chars().take_while(|c| c.is_ascii_digit() || *c == ':').collect();
    let parts: Vec<&str> = clock.split(':').collect();
    parts.len() >= 3 && parts.iter().take(3).all(|part| (1..=2).contains(&part.len()))
}

/// The booleans of YAML 1.1, which the reference takes here though its YAML does not.
pub fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Some(true),
        "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A float as the reference prints it: the shortest digits, `1e+21` from 21 digits on, `+Inf`.
pub fn print_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-4..1e21).contains(&magnitude) {
        let text = format!("{value:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    format!("{value}")
}

#[cfg(test)]
mod tests {
    use super::{print_float, resolve};
    use crate::diagnostic::Pos;
    use crate::tree::Node;

    fn printed(text: &str) -> String {
        match resolve(text) {
            Ok(value) => Node::new(value, Pos::NOWHERE).scalar().unwrap_or("null".into()),
            Err(what) => what.into(),
        }
    }

    #[test]
    fn scalars_mean_what_the_reference_makes_of_them() {
        let cases = [
            ("0644", "420"),
            ("010", "8"),
            ("0o17", "15"),
            ("0x1F", "31"),
            ("0b11", "3"),
            ("1_000", "1000"),
            ("1.10", "1.1"),
            ("1e3", "1000"),
            ("yes", "yes"),
            ("on", "on"),
            ("Off", "Off"),
            ("True", "true"),
            ("12:30", "12:30"),
            (".inf", "+Inf"),
            ("08", "8"),
            ("-5", "-5"),
            ("+5", "5"),
            ("1.2.3", "1.2.3"),
            ("2024-01-02", "a date"),
            ("2024-01-02T03:04:05Z", "a date"),
            ("2024-13-02", "2024-13-02"),
            ("-", "-"),
            ("0x", "0x"),
            ("~", "null"),
            ("18446744073709551615", "18446744073709551615"),
            ("5432:5432", "5432:5432"),
            ("1e400", "+Inf"),
        ];
        for (text, want) in cases {
            assert_eq!(printed(text), want, "{text}");
        }
    }

    #[test]
    fn floats_print_as_go_prints_them() {
        let cases = [(1e21, "1e+21"), (1e20, "100000000000000000000"), (0.00001, "1e-05"), (-0.5, "-0.5")];
        for (value, want) in cases {
            assert_eq!(print_float(value), want);
        }
    }
}
