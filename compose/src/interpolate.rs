//! `$V`, `${V}` and its forms with defaults, in values, never in keys; and the casts that follow.
//!
//! Each document is interpolated by itself, before anything is merged. Where a key takes a number or a
//! boolean, a text in its place is cast afterwards, whether a variable gave it or the file.

use naru_yaml::{Node, Origin, Path, Pos, Report, Value};
use std::collections::BTreeMap;

/// Variables that interpolation knows.
pub(crate) type Variables = BTreeMap<String, String>;

/// Why a text cannot be interpolated.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("\"{0}\" is not a variable in any form that Compose knows")]
    Form(String),
    #[error("the variable {name} has to be set{}", reason.as_ref().map(|r| format!(": {r}")).unwrap_or_default())]
    Missing { name: String, reason: Option<String> },
    #[error("variables are nested too deeply here")]
    Depth,
}

/// Levels of `${A:-${B:-…}}`. Nobody reads more than a few; each is a level of recursion.
const DEEPEST: usize = 20;

/// Replaces all variables below `node`, and casts.
pub(crate) fn interpolate(report: &mut Report, node: &mut Node, path: &Path, variables: &Variables) {
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in map.iter_mut() {
                interpolate(report, value, &path.key(key), variables);
            }
        }
        Value::List(list) => {
            let path = path.item();
            list.iter_mut().for_each(|item| interpolate(report, item, &path, variables));
        }
        Value::Str(text) => {
            if text.contains('$') {
                let mut unset = Vec::new();
                let mut look_up = |name: &str, need| look_up(name, need, variables, &mut unset);
                match substitute(text, &mut look_up) {
                    Ok(new) => *text = new,
                    Err(fault) => return report_fault(report, node.pos, path, &fault),
                }
                node.origin = Origin::Variable;
                warn_unset(report, node.pos, path, &unset);
            }
            cast(report, node, path);
        }
        _ => {}
    }
}

fn look_up(name: &str, need: Need, variables: &Variables, unset: &mut Vec<String>) -> Option<String> {
    let value = variables.get(name).cloned();
    if value.is_none() && need == Need::Wanted {
        unset.push(name.to_string());
    }
    value
}

fn warn_unset(report: &mut Report, pos: Pos, path: &Path, unset: &[String]) {
    let is_own = path.parts().iter().any(|part| part == "x-naru");
    for name in unset {
        let pos = report.narrow(pos, name);
        let message = format!("the variable {name} is not set, and stands for an empty text here");
        let advice = match is_own {
            true => format!("write $${name} for the instance's own variable"),
            false => format!("set it, or write a default: ${{{name}:-default}}"),
        };
        report.warn_advised(pos, message, advice);
    }
}

fn report_fault(report: &mut Report, pos: Pos, path: &Path, fault: &Fault) {
    let (part, advice) = match fault {
        Fault::Form(text) => {
            (text.as_str(), "write $$ for a dollar sign, ${NAME} for a variable".to_string())
        }
        Fault::Missing { name, .. } => {
            (name.as_str(), format!("set {name} in the environment or in the .env file"))
        }
        Fault::Depth => ("$", format!("{DEEPEST} levels are the most")),
    };
    let pos = report.narrow(pos, part);
    report.error_in(path, pos, format!("{path}: {fault}"), advice);
}

/// Whether a variable that is not set is worth a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    /// Its value is used.
    Wanted,
    /// The text says itself what follows when it is not set.
    Provided,
}

/// Gives a variable's value; `None`: it is not set.
pub(crate) type LookUp<'a> = dyn FnMut(&str, Need) -> Option<String> + 'a;

/// `template` with every variable replaced.
pub(crate) fn substitute(template: &str, look_up: &mut LookUp<'_>) -> Result<String, Fault> {
    substitute_at(template, look_up, 0)
}

fn substitute_at(template: &str, look_up: &mut LookUp<'_>, depth: usize) -> Result<String, Fault> {
    if depth > DEEPEST {
        return Err(Fault::Depth);
    }
    let mut out = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        match after.chars().next() {
            Some('$') => {
                out.push('$');
                rest = &after[1..];
            }
            Some('{') => {
                let end = closing_brace(after).ok_or_else(|| Fault::Form(rest[at..].to_string()))?;
                let form = &rest[at..at + end + 2];
                out.push_str(&braced(&after[1..end], form, look_up, depth)?);
                rest = &after[end + 1..];
            }
            Some(c) if c == '_' || c.is_ascii_alphabetic() => {
                let end = name_end(after);
                out.push_str(&look_up(&after[..end], Need::Wanted).unwrap_or_default());
                rest = &after[end..];
            }
            _ => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the brace that opens `text` is closed.
fn closing_brace(text: &str) -> Option<usize> {
    let mut open = 0_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'{' => open += 1,
            b'}' if open == 1 => return Some(at),
            b'}' => open -= 1,
            _ => {}
        }
    }
    text.rfind('}')
}

fn name_end(text: &str) -> usize {
    text.find(|c: char| c != '_' && !c.is_ascii_alphanumeric()).unwrap_or(text.len())
}

/// What stands between the braces.
fn braced(inner: &str, form: &str, look_up: &mut LookUp<'_>, depth: usize) -> Result<String, Fault> {
    let (name, rest) = inner.split_at(name_end(inner));
    let bad = || Fault::Form(form.to_string());
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(bad());
    }
    if rest.is_empty() {
        return Ok(look_up(name, Need::Wanted).unwrap_or_default());
    }
    let (empty_counts, rest) = match rest.strip_prefix(':') {
        Some(rest) => (false, rest),
        None => (true, rest),
    };
    let operator = rest.chars().next().filter(|c| matches!(c, '-' | '?' | '+')).ok_or_else(bad)?;
    let word = substitute_at(&rest[1..], look_up, depth + 1)?;
    let value = look_up(name, Need::Provided).filter(|value| empty_counts || !value.is_empty());
    match (operator, value) {
        ('-', value) => Ok(value.unwrap_or(word)),
        ('+', Some(_)) => Ok(word),
        ('+', None) => Ok(String::new()),
        (_, Some(value)) => Ok(value),
        (_, None) => {
            let reason = (!word.is_empty()).then_some(word);
            Err(Fault::Missing { name: name.to_string(), reason })
        }
    }
}

/// Casts a text where the key at `path` takes a number or a boolean.
fn cast(report: &mut Report, node: &mut Node, path: &Path) {
    let Some(kind) = CASTS.iter().find(|(pattern, _)| path.matches(pattern)).map(|(_, kind)| *kind) else {
        return;
    };
    let Value::Str(text) = &node.value else { return };
    let (value, wanted) = match kind {
        Cast::Int => (text.parse().ok().map(Value::Int), "a whole number"),
        Cast::Float => (text.parse().ok().map(Value::Float), "a number"),
        Cast::Bool => (naru_yaml::boolean(text).map(Value::Bool), "true or false"),
    };
    match value {
        Some(value) => node.value = value,
        None => {
            let message = format!("{path} takes {wanted}, and {} is not one", node.shown());
            report.error_in(path, node.pos, message, format!("write {wanted}"));
        }
    }
}

#[derive(Clone, Copy)]
enum Cast {
    Int,
    Float,
    Bool,
}

/// Where texts are cast.
const CASTS: &[(&str, Cast)] = &[
    ("services.*.cpu_count", Cast::Int),
    ("services.*.cpu_percent", Cast::Float),
    ("services.*.cpu_period", Cast::Int),
    ("services.*.cpu_quota", Cast::Int),
    ("services.*.cpu_rt_period", Cast::Int),
    ("services.*.cpu_rt_runtime", Cast::Int),
    ("services.*.cpus", Cast::Float),
    ("services.*.cpu_shares", Cast::Int),
    ("services.*.init", Cast::Bool),
    ("services.*.deploy.replicas", Cast::Int),
    ("services.*.deploy.update_config.parallelism", Cast::Int),
    ("services.*.deploy.update_config.max_failure_ratio", Cast::Float),
    ("services.*.deploy.rollback_config.parallelism", Cast::Int),
    ("services.*.deploy.rollback_config.max_failure_ratio", Cast::Float),
    ("services.*.deploy.restart_policy.max_attempts", Cast::Int),
    ("services.*.deploy.placement.max_replicas_per_node", Cast::Int),
    ("services.*.healthcheck.retries", Cast::Int),
    ("services.*.healthcheck.disable", Cast::Bool),
    ("services.*.oom_kill_disable", Cast::Bool),
    ("services.*.oom_score_adj", Cast::Int),
    ("services.*.pids_limit", Cast::Int),
    ("services.*.ports.[].target", Cast::Int),
    ("services.*.privileged", Cast::Bool),
    ("services.*.read_only", Cast::Bool),
    ("services.*.scale", Cast::Int),
    ("services.*.stdin_open", Cast::Bool),
    ("services.*.tty", Cast::Bool),
    ("services.*.triggers.manual", Cast::Bool),
    ("services.*.x-naru.retries", Cast::Int),
    ("services.*.ulimits.*", Cast::Int),
    ("services.*.ulimits.*.hard", Cast::Int),
    ("services.*.ulimits.*.soft", Cast::Int),
    ("services.*.volumes.[].read_only", Cast::Bool),
    ("services.*.volumes.[].volume.nocopy", Cast::Bool),
    ("networks.*.external", Cast::Bool),
    ("networks.*.internal", Cast::Bool),
    ("networks.*.attachable", Cast::Bool),
    ("networks.*.enable_ipv4", Cast::Bool),
    ("networks.*.enable_ipv6", Cast::Bool),
    ("volumes.*.external", Cast::Bool),
    ("secrets.*.external", Cast::Bool),
    ("configs.*.external", Cast::Bool),
];
