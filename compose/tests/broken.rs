//! Broken files, and exactly what a person is told about each.
//!
//! Each `broken/NAME.yaml` has the rendered errors beside it in `NAME.txt`; `UPDATE=1` writes them anew.

use naru_compose::{Options, Style, load_texts};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn files() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/broken");
    let entries = std::fs::read_dir(folder).expect("the folder is part of the repository");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mut files: Vec<PathBuf> =
        paths.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

fn told(yaml: String) -> String {
    let options = Options {
        files: vec!["/compose.yaml".into()],
        project_name: Some("broken".into()),
        ..Options::default()
    };
    let texts = BTreeMap::from([("/compose.yaml".to_string(), yaml)]);
    let errors = load_texts(texts, &options).and_then(|loaded| loaded.runnable()).expect_err("it is broken");
    errors.render(Style::Plain)
}

#[test]
fn every_broken_file_is_told_about_as_kept() {
    let files = files();
    assert!(files.len() >= 30);
    let mut differing = Vec::new();
    for path in files {
        let told = told(std::fs::read_to_string(&path).expect("readable"));
        let kept = path.with_extension("txt");
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&kept, &told).expect("writable");
        }
        if std::fs::read_to_string(&kept).unwrap_or_default() != told {
            differing.push(format!("{}:\n{told}", path.display()));
        }
    }
    assert!(differing.is_empty(), "run with UPDATE=1 and read the diff:\n{}", differing.join("\n"));
}
