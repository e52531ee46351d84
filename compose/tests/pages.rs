//! The user's pages: what they show as a file is one, and the reference of `x-naru` is the table of keys.

use naru_compose::{FILE_KEYS, KEYS, Key, Options, Support, Takes, load_texts};
use naru_model::Span;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The tables of the reference, each with its markers.
const TABLES: [(&str, &str, &[Key]); 2] = [
    (
        "<!-- keys of x-naru: begin; UPDATE=1 cargo test -p naru-compose --test pages writes them -->\n",
        "<!-- keys of x-naru: end -->\n",
        KEYS,
    ),
    (
        "<!-- keys of the file's x-naru: begin; UPDATE=1 cargo test -p naru-compose --test pages writes them -->\n",
        "<!-- keys of the file's x-naru: end -->\n",
        FILE_KEYS,
    ),
];

fn page(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs").join(name)
}

fn text(name: &str) -> String {
    std::fs::read_to_string(page(name)).expect("the page is part of the repository")
}

fn takes(key: &Key) -> String {
    match key.takes {
        Takes::Group => "mapping".into(),
        Takes::Groups => "list of mappings".into(),
        Takes::CommandOrGroup => "command, or mapping".into(),
        Takes::Wholes => "whole number, or list of them".into(),
        Takes::WordOrGroup(words) => format!("`{}`, or mapping", words.join("`, `")),
        Takes::TextOrGroup => "text, or mapping".into(),
        Takes::GroupOrGroups => "mapping, or list of mappings".into(),
        Takes::Named => "mapping of names, each a mapping".into(),
        Takes::NamedTextOrGroup => "mapping of names, each a text or a mapping".into(),
        Takes::Pairs => "mapping of names and texts".into(),
        Takes::Command => "command".into(),
        Takes::Text => "text".into(),
        Takes::Texts => "text, or list of texts".into(),
        Takes::Duration => "duration".into(),
        Takes::Whole => "whole number".into(),
        Takes::Ratio => "number from 0 to 1".into(),
        Takes::Truth => "`true`, `false`".into(),
        Takes::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "),
    }
}

fn reference(keys: &[Key]) -> String {
    let mut out = String::from("| key | takes | what it does |\n| --- | --- | --- |\n");
    for key in keys {
        let later = if key.support == Support::Later { " *Not supported yet.*" } else { "" };
        let _ = writeln!(out, "| `{}` | {} | {}{later} |", key.path, takes(key), key.doc);
    }
    out
}

#[test]
fn the_reference_is_the_table_of_keys() {
    let mut wanted = text("compose.md");
    for (begin, end, keys) in TABLES {
        let (before, rest) = wanted.split_once(begin).expect("the page has the marker of the beginning");
        let (_, after) = rest.split_once(end).expect("the page has the marker of the end");
        wanted = format!("{before}{begin}{}{end}{after}", reference(keys));
    }
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(page("compose.md"), &wanted).expect("writable");
    }
    assert_eq!(text("compose.md"), wanted, "UPDATE=1 writes it");
}

/// The paths of a file's `x-naru`, as the table writes them; a mapping of texts is one.
fn paths(node: &naru_yaml::Node, path: &str, found: &mut BTreeSet<String>) {
    let own = |name: &str| match path {
        "" => name.to_string(),
        "listeners" | "listeners.NAME.sni" => format!("{path}.NAME"),
        _ => format!("{path}.{name}"),
    };
    for item in node.list().into_iter().flatten() {
        paths(item, &format!("{path}.[]"), found);
    }
    let key = FILE_KEYS.iter().find(|key| key.path == path);
    for (name, value) in node.entries().filter(|_| key.is_none_or(|key| key.takes != Takes::Pairs)) {
        let path = own(name);
        if !path.ends_with(".NAME") {
            found.insert(path.clone());
        }
        paths(value, &path, found);
    }
}

/// What the reader takes comes from the table; so a file with every key of the table has every key that is taken.
#[test]
fn every_key_of_the_file_is_read() {
    let text = include_str!("every-key.yaml");
    let options = Options { files: vec!["/srv/shop/compose.yaml".into()], ..Options::default() };
    let texts = BTreeMap::from([("/srv/shop/compose.yaml".to_string(), text.to_string())]);
    let loaded = load_texts(texts, &options).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(loaded.warnings, []);
    let web = &loaded.stack.services[&"web".into()];
    assert_eq!(web.published.entrance.max_connections_per_source, Some(5));
    assert!(web.published.rate_limit.is_some() && web.published.entrance.accept_proxy);
    let power = |name: &str| loaded.stack.services[&name.into()].power.clone().expect("it may be asleep");
    let off = power("web").off.expect("it has hours");
    assert_eq!(off.windows, "Mon-Fri 20:00-08:00, Sat, Sun");
    assert_eq!((off.timezone.as_str(), off.holidays.len()), ("Asia/Seoul", 2));
    assert_eq!((power("web").hold, power("web").wake_max), (Span::secs(90), Span::mins(360)));
    assert!(power("web").ignore.has("/status/deep", None) && power("web").by_request);
    // What a service says itself is all that holds for it.
    assert_eq!((power("base").off, power("base").idle_after), (None, Some(Span::mins(120))));
    assert!(!power("base").by_request && power("base").by_person);
    let documents = naru_yaml::parse(&mut naru_yaml::Report::default(), 0, text);
    let mut found = BTreeSet::new();
    paths(documents[0].root.get("x-naru").expect("it is there"), "", &mut found);
    let table: BTreeSet<String> = FILE_KEYS.iter().map(|key| key.path.to_string()).collect();
    let missing: Vec<_> = table.difference(&found).collect();
    assert!(missing.is_empty(), "every-key.yaml lacks {missing:?}");
    let published = KEYS.iter().filter(|key| key.path.starts_with("published."));
    let unused: Vec<_> =
        published.filter(|key| !text.contains(key.path.rsplit('.').next().unwrap())).collect();
    assert!(unused.is_empty(), "every-key.yaml lacks {unused:?}");
}

/// The fenced blocks of a page that are whole Compose files, with the line that each begins on.
fn files(text: &str) -> Vec<(usize, String)> {
    let (mut found, mut open) = (Vec::new(), None);
    for (number, line) in text.lines().enumerate() {
        match &mut open {
            None if line == "```yaml" => open = Some((number + 2, String::new())),
            None => {}
            Some(_) if line == "```" => found.extend(open.take()),
            Some((_, block)) => *block += &format!("{line}\n"),
        }
    }
    assert!(open.is_none(), "a block is not closed");
    found.retain(|(_, block)| block.starts_with("services:") || block.starts_with("name:"));
    found
}

#[test]
fn every_file_that_the_pages_show_can_be_loaded() {
    for (name, least) in [("compose.md", 8), ("guide.md", 2)] {
        let files = files(&text(name));
        assert!(files.len() >= least, "{name} shows {} files", files.len());
        for (line, yaml) in files {
            let texts = [("/srv/shop/compose.yaml", yaml.as_str()), ("/srv/shop/api.env", "LEVEL=info\n")];
            let texts: BTreeMap<_, _> = texts.map(|(path, text)| (path.into(), text.into())).into();
            let options = Options { files: vec!["/srv/shop/compose.yaml".into()], ..Options::default() };
            let loaded = load_texts(texts, &options);
            let loaded = loaded.unwrap_or_else(|errors| panic!("docs/{name}:{line}: {errors}"));
            assert_eq!(loaded.warnings, [], "docs/{name}:{line}");
        }
    }
}
