//! Paths as the reference resolves them: by their text, without asking the file system.

/// The shortest path with the same meaning: no `.`, no `..` that can be taken back, no doubled slashes.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => drop(parts.pop()),
            ".." if rooted => {}
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".into(),
        (false, false) => joined,
    }
}

/// `path` as seen from the folder `base`; `~` is `home`.
pub fn absolute(base: &str, path: &str, home: Option<&str>) -> String {
    if let (Some(rest), Some(home)) = (path.strip_prefix('~'), home) {
        return clean(&format!("{home}/{rest}"));
    }
    let is_whole = path.starts_with('/') || is_windows(path);
    if is_whole { path.to_string() } else { clean(&format!("{base}/{path}")) }
}

/// Whether it is an absolute path of Windows: `C:\x`, `c:/x`, `\\host\x`.
fn is_windows(path: &str) -> bool {
    let drive =
        |bytes: &[u8]| matches!(bytes, [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    drive(path.as_bytes()) || path.starts_with(r"\\")
}

/// The folder that a path lies in.
pub fn folder(path: &str) -> String {
    match path.rsplit_once('/') {
        Some(("", _)) => "/".into(),
        Some((folder, _)) => folder.into(),
        None => ".".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{absolute, clean};

    #[test]
    fn paths_are_cleaned_by_their_text() {
        let cases = [("/a/./b/../c/", "/a/c"), ("/..", "/"), ("a//b", "a/b"), ("../a", "../a"), ("", ".")];
        for (path, want) in cases {
            assert_eq!(clean(path), want, "{path}");
        }
        assert_eq!(absolute("/srv/app", "../x", None), "/srv/x");
        assert_eq!(absolute("/srv/app", "~/x", Some("/root")), "/root/x");
    }
}
