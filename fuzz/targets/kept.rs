//! Inputs between a folder, as libFuzzer has them, and a text of one line each, as the repository keeps them.

use std::fs;
use std::path::Path;

fn main() {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let [verb, text, folder] = &args[..] else { panic!("kept unpack|pack TEXT FOLDER") };
    match verb.as_str() {
        "unpack" => unpack(text, Path::new(folder)),
        "pack" => pack(text, Path::new(folder)),
        _ => panic!("kept unpack|pack TEXT FOLDER"),
    }
}

fn unpack(text: &str, folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    for (at, line) in fs::read_to_string(text).expect("a text").lines().enumerate() {
        fs::write(folder.join(format!("kept-{at:04}")), naru_fuzz::unescape(line)).expect("room on the disk");
    }
}

fn pack(text: &str, folder: &Path) {
    let files = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let mut lines: Vec<_> =
        files.map(|file| fs::read(file).expect("a file").escape_ascii().to_string()).collect();
    lines.sort();
    lines.dedup();
    fs::write(text, lines.join("\n") + "\n").expect("room on the disk");
}
