//! Stories: a script of demands and mishaps in, what was decided and why out. Each `stories/NAME.txt` holds
//! both; `UPDATE=1 cargo test -p naru-decide` writes the output anew, as a diff to be read.

mod bench;

use std::fs;
use std::path::Path;

#[test]
fn every_story_goes_as_written() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/stories");
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    for path in paths {
        let written = fs::read_to_string(&path).unwrap();
        let (title, rest) = written.split_once('\n').unwrap();
        let script: Vec<_> = rest.lines().filter_map(|line| line.strip_prefix("> ")).collect();
        let told = format!("{title}\n{}", bench::Bench::run(&script.join("\n")));
        if std::env::var_os("UPDATE").is_some() {
            fs::write(&path, told).unwrap();
        } else {
            assert_eq!(told, written, "{}", path.display());
        }
    }
}
