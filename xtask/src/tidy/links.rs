//! Links in Markdown point at what is there.

use super::{Finding, Tree};

/// Links to files or headings that do not exist. Links to the outside are not followed.
pub fn files_exist(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (line, target) in links(file.text()) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (path, heading) = target.split_once('#').unwrap_or((&target, ""));
            let path = if path.is_empty() { Some(file.path.clone()) } else { resolve(&file.path, path) };
            if let Some(wrong) = missing(tree, path.as_deref(), heading) {
                found.push(Finding::new(
                    &file.path,
                    line,
                    format!("the link {target:?} points at no {wrong}"),
                ));
            }
        }
    }
    found
}

/// What of a link's target does not exist.
fn missing(tree: &Tree, path: Option<&str>, heading: &str) -> Option<&'static str> {
    let Some(path) = path else { return Some("file of this repository") };
    let file = tree.file(path);
    let folder = format!("{path}/");
    let there = file.is_some() || path.is_empty() || tree.files.iter().any(|f| f.path.starts_with(&folder));
    match file {
        _ if !there => Some("file"),
        Some(file)
            if path.ends_with(".md")
                && !heading.is_empty()
                && !headings(file.text()).any(|h| h == heading) =>
        {
            Some("heading of that file")
        }
        _ => None,
    }
}

/// The path that a link in the file `from` means; `None` when it leaves the repository.
fn resolve(from: &str, link: &str) -> Option<String> {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in link.trim_end_matches('/').split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            name => parts.push(name),
        }
    }
    Some(parts.join("/"))
}

/// The targets of `[text](target)`, `![text](target)` and `[name]: target`, outside of code.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (line, text) in prose(text) {
        if let Some((_, target)) = text.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            found.push((line, target.trim().to_string()));
            continue;
        }
        for (at, _) in text.match_indices("](") {
            let target = text[at + 2..].split([')', ' ']).next().unwrap_or_default();
            found.push((line, target.to_string()));
        }
    }
    found
}

/// The lines outside of fenced code, from 1, without the code in them.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let outside = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
            lines.push((at + 1, outside));
        }
    }
    lines
}

/// The anchors of a document's headings: lower case, words joined by `-`, without punctuation.
fn headings(text: &str) -> impl Iterator<Item = String> {
    let heads = text
        .lines()
        .filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    let anchor = |c: char| match c {
        ' ' => Some('-'),
        c if c.is_alphanumeric() || c == '-' || c == '_' => Some(c),
        _ => None,
    };
    heads
        .map(move |head| head.trim().to_lowercase().chars().filter_map(anchor).collect())
        .collect::<Vec<_>>()
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::{Tree, files_exist};

    fn found(readme: &str) -> Vec<String> {
        let other = "# The Other: a page\n\n## Part `two`\n";
        let tree = Tree::of(&[("docs/README.md", readme), ("docs/other.md", other), ("LICENSE-MIT", "x")]);
        files_exist(&tree).into_iter().map(|f| f.to_string()).collect()
    }

    #[test]
    fn good_links_pass() {
        let good = "# Top\n[a](other.md) [b](./other.md#the-other-a-page) ![c](../LICENSE-MIT) [d](https://x.y/z)\n\
                    [e](#top) [f](../docs/) [g](other.md#part-two \"title\") `[h](none.md)`\n\
                    ```\n[i](none.md)\n```\n[j]: other.md\n";
        assert_eq!(found(good), [""; 0]);
    }

    #[test]
    fn dead_links_are_found() {
        assert_eq!(found("x\n[a](none.md)\n"), ["docs/README.md:2: the link \"none.md\" points at no file"]);
        assert!(found("[a](other.md#none)")[0].ends_with("no heading of that file"));
        assert!(found("[a](#none)")[0].ends_with("no heading of that file"));
        assert!(found("[a](../../DESIGN.md)")[0].ends_with("no file of this repository"));
        assert!(found("[a]: none.md")[0].ends_with("no file"));
        assert_eq!(found("[a](oth) and [b](also)").len(), 2);
    }
}
