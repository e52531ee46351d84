//! Words: one for each thing, and none that says nothing.
//!
//! The tables are the whole rule. A word gets in when somebody has used it for a thing that has another name
//! here, or when a name made of it never said what the thing does.

use super::lexer::{Kind, Token};
use super::{Finding, Tree};

/// Ends of type names that do not say what the type is.
const EMPTY_ENDS: &[&str] = &["Manager", "Handler", "Helper", "Helpers", "Util", "Utils", "Common"];

/// Names of files and folders that collect what has no place.
const EMPTY_FILES: &[&str] = &["common", "helper", "helpers", "manager", "misc", "util", "utils"];

/// Words in text (comments, messages, documents), in lower case, and what is said instead.
const WORDS: &[(&str, &str)] = &[
    ("pod", "instance"),
    ("pods", "instances"),
    ("deployment", "release, or rollout"),
    ("deployments", "releases, or rollouts"),
    ("replica set", "the instances of a release"),
    ("replicaset", "the instances of a release"),
    ("worker node", "node"),
    ("worker nodes", "nodes"),
    ("kubelet", "agent"),
    ("routing table", "route table"),
    ("todo", "do it, or file it: the tree holds what is done"),
    ("fixme", "do it, or file it: the tree holds what is done"),
    ("xxx", "say what is the matter"),
];

/// Words of how the project came to be, which its text does not speak of. As they are written.
const MAKING: &[&str] = &[
    "AI",
    "LLM",
    "Claude",
    "ChatGPT",
    "Copilot",
    "helper session",
    "/work/main",
    "/work/shared",
    "/work/.library",
];

/// What may say these words: the tables themselves.
const TABLES: &str = "xtask/src/tidy/words.rs";

/// What counts as text, by its end.
const TEXTS: &[&str] = &[".rs", ".md", ".toml", ".yaml", ".yml", ".sh", ".py", ".html", "/test", ".ci/run"];

/// Types and files whose names say nothing.
pub fn names(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.rust() {
        let parts = file.path.trim_end_matches(".rs").split('/');
        if let Some(empty) = parts.into_iter().find(|part| EMPTY_FILES.contains(part)) {
            found.push(Finding::new(
                &file.path,
                0,
                format!("{empty:?} says nothing: name it for what is in it"),
            ));
        }
        let code: Vec<&Token> = file.tokens.iter().filter(|t| t.kind != Kind::Comment).collect();
        for pair in code.windows(2) {
            let defines = ["struct", "enum", "trait", "type", "union"].iter().any(|word| pair[0].is(word));
            let name = &pair[1].text;
            if defines && let Some(end) = EMPTY_ENDS.iter().find(|end| name.ends_with(*end)) {
                let text = format!("`{name}`: {end} says nothing: name it for what it is");
                found.push(Finding::new(&file.path, pair[1].line, text));
            }
        }
    }
    found
}

/// Words that have another name here.
pub fn texts(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    let is_text = |path: &str| path != TABLES && TEXTS.iter().any(|end| format!("/{path}").ends_with(end));
    for file in tree.files.iter().filter(|file| is_text(&file.path)) {
        for (line, text) in spoken(file) {
            for (word, instead) in WORDS.iter().filter(|(word, _)| has_word(&text.to_lowercase(), word)) {
                found.push(Finding::new(&file.path, line, format!("{word:?}: say {instead}")));
            }
            for word in MAKING.iter().filter(|word| has_word(&text, word)) {
                let text = format!("{word:?}: the text speaks of the project, not of its making");
                found.push(Finding::new(&file.path, line, text));
            }
        }
    }
    found
}

/// What a file says to a person, by line: of sources the comments and the text in quotes, of manifests the
/// comments, of others all.
fn spoken(file: &super::tree::File) -> Vec<(usize, String)> {
    let numbered = |from: usize, text: &str| -> Vec<(usize, String)> {
        text.lines().enumerate().map(|(at, line)| (from + at, line.to_string())).collect()
    };
    if file.path.ends_with(".toml") {
        let comment =
            |line: &str| line.split_once('#').map_or_else(String::new, |(_, said)| said.to_string());
        return numbered(1, file.text()).into_iter().map(|(at, line)| (at, comment(&line))).collect();
    }
    if !file.path.ends_with(".rs") {
        return numbered(1, file.text());
    }
    let spoken = file.tokens.iter().filter(|t| matches!(t.kind, Kind::Comment | Kind::Quoted));
    spoken.flat_map(|token| numbered(token.line, &token.text)).collect()
}

/// Whether `word` stands in the line, with no letter, digit or `_` on either side, and no `-` or `.` that
/// would make it a part of a name. (A word that begins with a slash may follow anything.)
fn has_word(line: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let free_before = word.starts_with('/') || !before.is_some_and(|c| part(c) || c == '.');
        free_before && !after.is_some_and(part)
    })
}

#[cfg(test)]
mod tests {
    use super::{Tree, has_word, names, texts};

    #[test]
    fn names_that_say_nothing_are_found() {
        let source =
            "//! x\npub struct RouteManager;\nenum ErrorHandler {}\nstruct Manager;\nstruct Managed;\n";
        let tree =
            Tree::of(&[("a/src/lib.rs", source), ("a/src/utils.rs", "//! x"), ("a/src/route.rs", "//! x")]);
        let found: Vec<_> = names(&tree).iter().map(|f| (f.path.clone(), f.line)).collect();
        let want = [("a/src/lib.rs", 2), ("a/src/lib.rs", 3), ("a/src/lib.rs", 4), ("a/src/utils.rs", 0)];
        assert_eq!(found, want.map(|(path, line)| (path.to_string(), line)));
    }

    fn said(path: &str, text: &str) -> Vec<String> {
        texts(&Tree::of(&[(path, text)])).into_iter().map(|f| f.to_string()).collect()
    }

    #[test]
    fn words_with_another_name_are_found() {
        assert_eq!(said("docs/a.md", "Fine.\nEach Pod of it.\n"), ["docs/a.md:2: \"pod\": say instance"]);
        assert_eq!(said("docs/a.md", "A podium, a pod-like thing, podman.\n"), [""; 0]);
        assert_eq!(
            said("a.rs", "//! A deployment.\nlet deployment = 1;\nlet a = \"the replica set\";\n").len(),
            2
        );
        assert_eq!(said("a.rs", "//! x\n/* one\n * TODO: two */\n")[0].split(": ").next(), Some("a.rs:3"));
        assert_eq!(said("a.png", "pod"), [""; 0]);
        assert_eq!(said("a.toml", "todo = 1\nx = 2 # A pod.\n"), ["a.toml:2: \"pod\": say instance"]);
        assert_eq!(said("test", "# FIXME\n").len(), 1);
    }

    #[test]
    fn words_of_the_making_are_found() {
        assert_eq!(said("README.md", "Written by an AI.\n").len(), 1);
        assert_eq!(said("README.md", "AIX and WAIT and ai.\n"), [""; 0]);
        assert_eq!(said("test", "cd /work/main\n").len(), 1);
        assert_eq!(said("bench/README.md", "see ../work/mainly\n"), [""; 0]);
    }

    #[test]
    fn words_stand_alone() {
        assert!(has_word("a pod, b", "pod") && has_word("pod", "pod") && has_word("(pod)", "pod"));
        assert!(!has_word("tripod", "pod") && !has_word("pod_a", "pod") && !has_word("a.pod", "pod"));
    }
}
