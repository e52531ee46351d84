//! The user's pages: what they show as a file is one, and the reference of `x-naru` is the table of keys.

use naru_compose::{KEYS, Key, Options, Support, Takes, load_texts};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const BEGIN: &str =
    "<!-- keys of x-naru: begin; UPDATE=1 cargo test -p naru-compose --test pages writes them -->\n";
const END: &str = "<!-- keys of x-naru: end -->\n";

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

fn reference() -> String {
    let mut out = String::from("| key | takes | what it does |\n| --- | --- | --- |\n");
    for key in KEYS {
        let later = if key.support == Support::Later { " *Not supported yet.*" } else { "" };
        let _ = writeln!(out, "| `{}` | {} | {}{later} |", key.path, takes(key), key.doc);
    }
    out
}

#[test]
fn the_reference_is_the_table_of_keys() {
    let kept = text("compose.md");
    let (before, rest) = kept.split_once(BEGIN).expect("the page has the marker of the beginning");
    let (_, after) = rest.split_once(END).expect("the page has the marker of the end");
    let wanted = format!("{before}{BEGIN}{}{END}{after}", reference());
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(page("compose.md"), &wanted).expect("writable");
    }
    assert_eq!(text("compose.md"), wanted, "UPDATE=1 writes it");
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
