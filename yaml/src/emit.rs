//! JSON values as YAML: block style, texts quoted only where they would be read as something else.

use crate::scalar::{boolean, resolve};
use crate::tree::Value as Scalar;
use serde_json::Value;

/// `value` as a YAML document.
pub fn to_yaml(value: &Value) -> String {
    let mut out = String::new();
    emit(&mut out, value, 0);
    out
}

fn emit(out: &mut String, value: &Value, indent: usize) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                line(out, indent, &format!("{}:", scalar(key)));
                nested(out, value, indent);
            }
        }
        Value::Array(list) if !list.is_empty() => {
            for item in list {
                line(out, indent, "-");
                if matches!(item, Value::Object(map) if !map.is_empty()) {
                    let mut inner = String::new();
                    emit(&mut inner, item, indent + 2);
                    out.push(' ');
                    out.push_str(inner.trim_start());
                } else {
                    nested(out, item, indent);
                }
            }
        }
        other => out.push_str(&format!("{}\n", inline(other))),
    }
}

fn line(out: &mut String, indent: usize, text: &str) {
    out.push_str(&" ".repeat(indent));
    out.push_str(text);
}

fn nested(out: &mut String, value: &Value, indent: usize) {
    let is_block = match value {
        Value::Object(map) => !map.is_empty(),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    };
    if is_block {
        out.push('\n');
        emit(out, value, indent + 2);
    } else {
        out.push_str(&format!(" {}\n", inline(value)));
    }
}

fn inline(value: &Value) -> String {
    match value {
        Value::Object(_) => "{}".into(),
        Value::Array(_) => "[]".into(),
        Value::String(text) => scalar(text),
        other => other.to_string(),
    }
}

/// A text as a plain scalar where it would be read as the same text, else in double quotes, of which JSON's
/// are a subset.
fn scalar(text: &str) -> String {
    let plain_start = text.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '/' | '.' | '_' | '$'));
    let fits = |c: char| c.is_alphanumeric() || " /._-+=,$@~()".contains(c);
    let plain_inside = text.chars().all(|c| fits(c) || c == ':') && !text.contains(": ");
    let plain_end = !text.ends_with([' ', ':']);
    let is_text = matches!(resolve(text), Ok(Scalar::Str(_))) && boolean(text).is_none();
    match plain_start && plain_inside && plain_end && is_text {
        true => text.to_string(),
        false => quoted(text),
    }
}

/// JSON's escapes, and those of characters that JSON takes and YAML does not.
fn quoted(text: &str) -> String {
    let strange = |c: char| matches!(c, '\u{7f}'..='\u{9f}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    let json = Value::from(text).to_string();
    if !json.contains(strange) {
        return json;
    }
    let escape = |c: char| if strange(c) { format!("\\u{:04x}", c as u32) } else { c.to_string() };
    json.chars().map(escape).collect()
}
