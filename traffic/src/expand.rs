//! Addresses made of a request's own parts.

use crate::path::{Captures, names};
use naru_model::{PathEdit, PathMatch};

/// The parts of a request that an address can be made of.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// `http` or `https`.
    pub scheme: &'a str,
    /// Host and port, as the client wrote them.
    pub authority: &'a str,
    /// The path, normalised.
    pub path: &'a str,
    /// What follows the `?`.
    pub query: Option<&'a str>,
}

/// Fills `{scheme}`, `{host}`, `{port}`, `{path}`, `{query}` and the names of the rule's path.
///
/// What it yields is one line, and where the template does not name a host, a path of this host: a path that begins
/// with two slashes would be taken for a host.
pub fn location(template: &str, parts: &Parts<'_>, paths: &[PathMatch], captures: &Captures) -> String {
    let host = crate::Ask::host_of(parts.authority);
    let port = parts.authority.get(host.len() + 1..).unwrap_or_default();
    let mut out = fill(template, |name, out| match name {
        "scheme" => out.push_str(parts.scheme),
        "host" => out.push_str(host),
        "port" => out.push_str(port),
        "path" => out.push_str(parts.path),
        "query" => {
            if let Some(query) = parts.query {
                out.push('?');
                out.push_str(query);
            }
        }
        name => out.push_str(captured(name, paths, captures, parts.path)),
    });
    out.retain(|c| !c.is_control());
    if template.starts_with(['/', '{']) && !template.starts_with("{scheme}") {
        let slashes = out.len() - out.trim_start_matches(['/', '\\']).len();
        if slashes > 1 {
            out.replace_range(..slashes, "/");
        }
    }
    out
}

/// The path and query that an instance is told.
pub fn edit_path(
    edit: &PathEdit,
    path: &str,
    query: Option<&str>,
    paths: &[PathMatch],
    captures: &Captures,
) -> String {
    let rest = |prefix: &str| path.strip_prefix(prefix.strip_suffix('/').unwrap_or(prefix)).unwrap_or(path);
    let mut out = match edit {
        PathEdit::Strip(prefix) => rest(prefix).to_string(),
        PathEdit::Add(prefix) => format!("{}{path}", prefix.strip_suffix('/').unwrap_or(prefix)),
        PathEdit::ReplacePrefix(prefix, by) => {
            format!("{}{}", by.strip_suffix('/').unwrap_or(by), rest(prefix))
        }
        PathEdit::Replace(template) => {
            fill(template, |name, out| out.push_str(captured(name, paths, captures, path)))
        }
    };
    out.retain(|c| !c.is_control() && c != ' ');
    if !out.starts_with('/') {
        out.insert(0, '/');
    }
    if let Some(query) = query {
        // A path that was written with a query of its own keeps it, and gets the client's after it.
        out.push(if out.contains('?') { '&' } else { '?' });
        out.push_str(query);
    }
    out
}

fn captured<'a>(name: &str, paths: &[PathMatch], captures: &Captures, path: &'a str) -> &'a str {
    let pattern = paths.iter().find_map(|wanted| match wanted {
        PathMatch::Pattern(pattern) if crate::path::fits(path, pattern).is_some() => Some(pattern),
        _ => None,
    });
    let number = pattern.and_then(|pattern| names(pattern).position(|known| known == name));
    number.map_or("", |number| captures.get(number, path))
}

/// Writes a template, with what `write` makes of each name in braces. A brace without its other one is text.
fn fill(template: &str, write: impl Fn(&str, &mut String)) -> String {
    let mut out = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, after)) => {
                write(name, &mut out);
                rest = after;
            }
            None => {
                out.push('{');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::{Captures, Parts, edit_path, location};
    use crate::path::fits;
    use naru_model::{PathEdit, PathMatch};

    fn parts(path: &str) -> Parts<'_> {
        Parts { scheme: "http", authority: "shop.test:8080", path, query: Some("a=b") }
    }

    #[test]
    fn addresses_are_made_of_the_request() {
        let none = Captures::default();
        let to = |template: &str, path: &str| location(template, &parts(path), &[], &none);
        assert_eq!(to("https://{host}{path}{query}", "/x"), "https://shop.test/x?a=b");
        assert_eq!(to("{scheme}://{host}:{port}/", "/x"), "http://shop.test:8080/");
        assert_eq!(to("{path}", "//evil.test"), "/evil.test", "no other host");
        assert_eq!(to("/a{b", "/"), "/a{b");
        assert_eq!(to("/x\r\nSet-Cookie: a=b", "/"), "/xSet-Cookie: a=b", "one line");
        let pattern = "/users/{id}/**";
        let captures = fits("/users/7/x", pattern).unwrap();
        let paths = [PathMatch::Pattern(pattern.into())];
        assert_eq!(location("/u/{id}", &parts("/users/7/x"), &paths, &captures), "/u/7");
        let edit = PathEdit::Replace("/v2/{id}?v=2".into());
        assert_eq!(edit_path(&edit, "/users/7/x", Some("a"), &paths, &captures), "/v2/7?v=2&a");
    }

    #[test]
    fn paths_are_changed() {
        let edited = |edit: PathEdit, path: &str| edit_path(&edit, path, None, &[], &Captures::default());
        assert_eq!(edited(PathEdit::Strip("/api".into()), "/api/x"), "/x");
        assert_eq!(edited(PathEdit::Strip("/api/".into()), "/api"), "/");
        assert_eq!(edited(PathEdit::Add("/v1/".into()), "/x"), "/v1/x");
        assert_eq!(edited(PathEdit::ReplacePrefix("/api".into(), "/".into()), "/api/x"), "/x");
        assert_eq!(edited(PathEdit::ReplacePrefix("/api".into(), "/v1".into()), "/api"), "/v1");
    }
}
