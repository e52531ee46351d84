//! Who may depend on whom, and what pure code may not touch.

use super::lexer::{Kind, Token};
use super::tree::File;
use super::{Finding, Tree};

/// What of Naru a crate may depend on, tests included. A crate that is not here has to be added, with thought.
///
/// `model`, `decide` and `supervise` know nothing of `act`; the parts of `act` do not know each other. What decides is
/// pure, so the part that needs a judgement at its own side of a wire (the work ledger) may use it. The edge is too large for one
/// crate: what it answers by itself knows nothing of it. Whoever asks others by HTTP does it by the one client.
const MAY_USE: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("who", &["model"]),
    ("rights", &["model", "who"]),
    ("schedule", &["model"]),
    ("yaml", &[]),
    ("compose", &["model", "yaml", "routing", "meaning", "schedule"]),
    ("routing", &["model", "yaml", "traffic"]),
    ("meaning", &["model", "yaml", "routing", "schedule"]),
    ("world", &["model", "who"]),
    ("decide", &["model", "schedule", "world"]),
    ("supervise", &["model"]),
    ("wire", &["model"]),
    ("traffic", &["model"]),
    ("act/store", &[]),
    ("act/logs", &["model"]),
    ("act/reach", &["model"]),
    ("act/process", &["model", "act/logs", "act/reach"]),
    ("act/docker", &["model", "act/logs", "act/reach"]),
    ("act/work", &["model", "supervise"]),
    ("act/answers", &["model", "wire"]),
    ("act/carry", &["wire"]),
    ("act/http2", &["wire", "act/carry"]),
    ("act/books", &["model", "act/carry"]),
    ("act/tls", &["model", "act/acme"]),
    (
        "act/edge",
        &["model", "traffic", "wire", "act/answers", "act/carry", "act/books", "act/tls", "act/http2"],
    ),
    ("act/acme", &["model"]),
    ("act/http", &[]),
    ("act/calendars", &["model", "schedule", "act/http"]),
    ("act/ec2", &["model", "act/http"]),
    ("assets", &["model", "schedule", "yaml"]),
    ("act/api", &["model", "who", "cost"]),
    ("act/home", &["model"]),
    (
        "cloud",
        &[
            "model",
            "schedule",
            "yaml",
            "assets",
            "show",
            "act/api",
            "act/calendars",
            "act/ec2",
            "act/home",
            "act/store",
        ],
    ),
    ("act/identity", &["model"]),
    ("act/audit", &["model", "who"]),
    ("act/directory", &["model", "who", "yaml"]),
    ("act/notify", &["model", "yaml", "act/http"]),
    (
        "gate",
        &["model", "who", "rights", "act/api", "act/identity", "act/audit", "act/directory", "act/home"],
    ),
    (
        "people",
        &[
            "model",
            "who",
            "rights",
            "gate",
            "act/api",
            "act/audit",
            "act/directory",
            "act/notify",
            "act/home",
            "chronicle",
            "show",
        ],
    ),
    ("page", &["model", "who", "act/api"]),
    ("chronicle", &["model", "who", "act/logs", "act/api", "act/home", "act/notify"]),
    ("cost", &["model", "schedule", "yaml"]),
    ("metering", &["model", "world", "cost", "decide", "yaml", "act/api", "act/home"]),
    ("chain", &["model", "act/edge", "act/api", "act/home"]),
    ("sim", &["model", "decide", "supervise", "sim/stacks"]),
    ("sim/stacks", &["model"]),
    ("demo", &["model"]),
    (
        "roles",
        &[
            "model",
            "who",
            "compose",
            "decide",
            "gate",
            "page",
            "chronicle",
            "supervise",
            "act/store",
            "act/logs",
            "act/reach",
            "act/process",
            "act/docker",
            "act/work",
            "act/api",
            "act/home",
            "cloud",
            "cost",
            "metering",
            "chain",
        ],
    ),
    ("show", &["model", "cost", "act/api"]),
    ("live", &["show"]),
    ("naru", EVERYTHING_BELOW),
    ("shop", &["demo"]),
    ("bench", &["model", "who", "rights", "act/store", "act/edge", "act/api", "demo", "shop"]),
    ("xtask", &["model", "compose", "decide", "sim"]),
    // A workspace of its own.
    ("fuzz", &["model", "compose", "wire", "traffic", "act/carry", "act/edge", "act/http2"]),
];

/// What the binary wires together, and what its end-to-end tests run.
const EVERYTHING_BELOW: &[&str] = &[
    "model",
    "who",
    "rights",
    "schedule",
    "yaml",
    "routing",
    "meaning",
    "compose",
    "world",
    "decide",
    "supervise",
    "wire",
    "traffic",
    "act/store",
    "act/logs",
    "act/reach",
    "act/process",
    "act/docker",
    "act/work",
    "act/answers",
    "act/carry",
    "act/books",
    "act/tls",
    "act/http2",
    "act/edge",
    "act/acme",
    "act/api",
    "act/home",
    "act/http",
    "act/calendars",
    "act/ec2",
    "assets",
    "cloud",
    "act/identity",
    "act/audit",
    "act/directory",
    "act/notify",
    "gate",
    "page",
    "people",
    "chronicle",
    "chain",
    "demo",
    "roles",
    "show",
    "live",
    "bench",
];

/// The crates whose sources have no clock, chance, input or output, threads, or order that varies.
const PURE: &[&str] = &[
    "model",
    "who",
    "rights",
    "schedule",
    "decide",
    "supervise",
    "assets",
    "cost",
    "wire",
    "traffic",
    "world",
    "sim",
    "sim/stacks",
];

/// Libraries that pure crates may use: plain data and its forms, nothing that runs.
const PURE_LIBRARIES: &[&str] = &[
    "calcard",
    "cedar-policy",
    "croner",
    "httparse",
    "jiff",
    "memchr",
    "miette",
    "naru-sim-stacks",
    "naru-world",
    "serde",
    "serde_json",
    "sha2",
    "thiserror",
    "utoipa",
];

/// Names that pure code does not use, and what to use instead.
const IMPURE_NAMES: &[(&str, &str)] = &[
    ("Instant", "take the time as an argument (naru_model::Time)"),
    ("SystemTime", "take the time as an argument (naru_model::Time)"),
    ("HashMap", "use BTreeMap, whose order never varies"),
    ("HashSet", "use BTreeSet, whose order never varies"),
    ("RandomState", "take a seeded stream as an argument"),
];

/// Modules of `std` that pure code does not use.
const IMPURE_STD: &[&str] = &["env", "fs", "io", "net", "os", "process", "thread"];

/// Dependencies against the direction.
pub fn dependencies(tree: &Tree) -> Vec<Finding> {
    let crates = tree.crates();
    let mut found = Vec::new();
    for folder in &crates {
        let path = format!("{folder}/Cargo.toml");
        let Some(file) = tree.file(&path) else { continue };
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| name == folder) else {
            let text = "a crate that nobody placed: add it to MAY_USE in xtask/src/tidy/layers.rs";
            found.push(Finding::new(&path, 0, text));
            continue;
        };
        for (line, name) in named_dependencies(file) {
            match crates.iter().find(|c| package_of(c) == name) {
                Some(of) if of != folder && !allowed.contains(&of.as_str()) => {
                    let text =
                        format!("{folder} may not depend on {of}: see MAY_USE in xtask/src/tidy/layers.rs");
                    found.push(Finding::new(&path, line, text));
                }
                None if PURE.contains(&folder.as_str()) && !PURE_LIBRARIES.contains(&name.as_str()) => {
                    let text =
                        format!("{folder} is pure, and {name} is not among the libraries for pure crates");
                    found.push(Finding::new(&path, line, text));
                }
                _ => {}
            }
        }
    }
    found
}

/// Uses of a clock, chance, input, output, threads or unordered tables in pure code.
pub fn purity(tree: &Tree) -> Vec<Finding> {
    let pure = |file: &&File| PURE.iter().any(|c| file.path.starts_with(&format!("{c}/src/")));
    let mut found = Vec::new();
    for file in tree.rust().filter(pure) {
        let code: Vec<&Token> = file.tokens.iter().filter(|t| t.kind != Kind::Comment).collect();
        for token in &code {
            if let Some((name, instead)) = IMPURE_NAMES.iter().find(|(name, _)| token.is(name)) {
                found.push(Finding::new(&file.path, token.line, format!("`{name}` in pure code: {instead}")));
            }
        }
        for token in std_modules(&code).into_iter().filter(|t| IMPURE_STD.contains(&t.text.as_str())) {
            let text =
                format!("`std::{}` in pure code: the act side carries out, this side judges", token.text);
            found.push(Finding::new(&file.path, token.line, text));
        }
    }
    found
}

/// The package in a folder: `naru-store` in `act/store`; `naru` and `xtask` are named as their folders.
fn package_of(folder: &str) -> String {
    match folder {
        "naru" | "xtask" => folder.into(),
        _ => format!("naru-{}", folder.rsplit('/').next().unwrap_or(folder)),
    }
}

/// The names in a manifest's tables of dependencies, with their lines.
fn named_dependencies(file: &File) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut inside = false;
    for (at, line) in file.text().lines().enumerate() {
        let line = line.trim();
        if let Some(table) = line.strip_prefix('[') {
            let table = table.trim_end_matches(']');
            inside = table.ends_with("dependencies");
            // `[dependencies.NAME]`
            if let Some((_, name)) = table.split_once("dependencies.") {
                found.push((at + 1, name.trim_matches('"').into()));
            }
        } else if inside && line.contains('=') && !line.starts_with('#') {
            let name: String = line.chars().take_while(|c| !matches!(c, '.' | '=' | ' ')).collect();
            found.push((at + 1, name.trim_matches('"').into()));
        }
    }
    found
}

/// The words right after `std::`, those of a group in braces included.
fn std_modules<'a>(code: &[&'a Token]) -> Vec<&'a Token> {
    let mut found = Vec::new();
    for at in 0..code.len() {
        if !(code[at].is("std") && code[at + 1..].iter().take(2).filter(|t| t.is(":")).count() == 2) {
            continue;
        }
        match code.get(at + 3) {
            Some(brace) if brace.is("{") => found.extend(group_heads(&code[at + 3..])),
            Some(name) => found.push(*name),
            None => {}
        }
    }
    found
}

/// The first word of each entry of the group that begins here.
fn group_heads<'a>(code: &[&'a Token]) -> Vec<&'a Token> {
    let (mut depth, mut heads) = (0, Vec::new());
    for (at, token) in code.iter().enumerate() {
        match token.text.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ if depth == 1 && at > 0 && (code[at - 1].is("{") || code[at - 1].is(",")) => heads.push(*token),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

#[cfg(test)]
mod tests {
    use super::{Tree, dependencies, purity};

    const STORE: (&str, &str) = ("act/store/Cargo.toml", "[package]\n");
    const MODEL: (&str, &str) = ("model/Cargo.toml", "[package]\n[dependencies]\nserde.workspace = true\n");

    fn wrong(manifest: (&str, &str)) -> Vec<(usize, String)> {
        let tree = Tree::of(&[MODEL, manifest, STORE, ("supervise/Cargo.toml", "[package]")]);
        dependencies(&tree).into_iter().map(|f| (f.line, f.text)).collect()
    }

    #[test]
    fn the_direction_of_dependencies_is_kept() {
        let edge = "[package]\n[dependencies]\nnaru-model.workspace = true\n";
        assert_eq!(wrong(("act/edge/Cargo.toml", edge)), []);
        let knows_store = format!("{edge}[dev-dependencies]\nnaru-store = {{ path = \"../store\" }}\n");
        let found = wrong(("act/edge/Cargo.toml", &knows_store));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].0, 5);
        assert!(found[0].1.starts_with("act/edge may not depend on act/store"), "{found:?}");
        let as_table = "[package]\n[dependencies.naru-supervise]\nworkspace = true\n";
        assert_eq!(wrong(("act/edge/Cargo.toml", as_table)).len(), 1);
        assert_eq!(wrong(("act/work/Cargo.toml", as_table)), [], "the ledger may use the judgement");
        assert!(wrong(("act/new/Cargo.toml", "[package]\n"))[0].1.contains("nobody placed"));
    }

    #[test]
    fn pure_crates_use_few_libraries() {
        let found =
            wrong(("sim/Cargo.toml", "[package]\n[dependencies]\nserde.workspace = true\nrand = \"1\"\n"));
        assert_eq!(found.len(), 1);
        assert!(found[0].1.contains("rand"));
    }

    fn impure(path: &str, source: &str) -> Vec<(usize, String)> {
        let found = purity(&Tree::of(&[(path, source)]));
        found.into_iter().map(|f| (f.line, f.text.split('`').nth(1).unwrap().to_string())).collect()
    }

    #[test]
    fn pure_code_touches_nothing_impure() {
        let source = "//! HashMap\nuse std::collections::{BTreeMap, HashMap};\nuse std::{fmt, fs::File, net};\n\
                      fn a() { std::thread::spawn(b); let x = \"SystemTime\"; Instant::now() }\n";
        let found = impure("decide/src/a.rs", source);
        let found: Vec<_> = found.iter().map(|(line, name)| (*line, name.as_str())).collect();
        assert_eq!(
            found,
            [(2, "HashMap"), (4, "Instant"), (3, "std::fs"), (3, "std::net"), (4, "std::thread")]
        );
        assert_eq!(impure("act/edge/src/a.rs", source), []);
        assert_eq!(impure("decide/tests/a.rs", "//! Golden files.\nuse std::fs;\n"), []);
    }
}
