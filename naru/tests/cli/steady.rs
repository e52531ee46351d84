//! What differs from run to run, replaced by what does not.

use std::path::Path;

/// Replaces the session's folder, times, durations, process ids and ports.
pub struct Steady {
    root: String,
}

impl Steady {
    /// For a session in this folder.
    pub fn new(root: &Path) -> Steady {
        let root = root.canonicalize().unwrap_or_else(|_| root.to_path_buf());
        Steady { root: root.display().to_string() }
    }

    /// The text, the same in each run.
    pub fn text(&self, text: &str) -> String {
        let text = text.replace(&self.root, "~");
        let mut replaced: Vec<String> = text.lines().map(|line| columns(&words(line))).collect();
        replaced
            .iter_mut()
            .filter(|line| line.starts_with("  <time>  "))
            .for_each(|line| *line = PROGRESS.into());
        replaced.dedup_by(|one, other| one == other && one == PROGRESS);
        replaced.iter().map(|line| format!("{line}\n")).collect()
    }
}

/// Which transitions are seen, and in which order those of two services come, differs: they stand for one.
const PROGRESS: &str = "  <progress>";

/// `1.2 s`, `350 ms`, `4 min` → `<time>`; `2026-11-23 09:41:02` → `<date>`; `Fri 22:00` → `<moment>`; ports of 20,000 and above →
/// `<port>`; ids of leases → `<id>`.
fn words(line: &str) -> String {
    let mut said: Vec<String> = vec![];
    for word in line.split(' ') {
        let last = said.last().map(|last| last.trim_start_matches('(').to_string()).unwrap_or_default();
        let unit = word.trim_end_matches([',', ';', ':', ')', '.']);
        if ["ms", "s", "min", "h"].contains(&unit) && last.parse::<f64>().is_ok() {
            let open = if said.last().is_some_and(|last| last.starts_with('(')) { "(" } else { "" };
            said.pop();
            said.push(format!("{open}<time>{}", &word[unit.len()..]));
        } else if DAYS.contains(&last.as_str()) && is_minute(unit) {
            said.pop();
            said.push(format!("<moment>{}", &word[unit.len()..]));
        } else {
            said.push(numbered(&dated(&ported(word))));
        }
    }
    said.join(" ").replace("<date> <clock>", "<date>").replace("just now", "<time> ago")
}

/// `Fri 22:00` → `<moment>`
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

fn is_minute(word: &str) -> bool {
    let parts: Vec<&str> = word.split(':').collect();
    parts.len() == 2
        && parts.iter().all(|part| part.len() == 2 && part.bytes().all(|byte| byte.is_ascii_digit()))
}

fn ported(word: &str) -> String {
    let Some((before, after)) = word.rsplit_once([':', '→']) else { return word.to_string() };
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    let high = digits.parse::<u32>().is_ok_and(|port| (20_000..65_536).contains(&port));
    if !high {
        return word.to_string();
    }
    let sign = if word[before.len()..].starts_with(':') { ":" } else { "→" };
    format!("{before}{sign}<port>{}", &after[digits.len()..])
}

/// A lease's id.
fn numbered(word: &str) -> String {
    let is_id = word.len() >= 13 && word.chars().all(|c| c.is_ascii_digit());
    if is_id { "<id>".into() } else { word.to_string() }
}

fn dated(word: &str) -> String {
    let shape: String = word.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect();
    match shape.as_str() {
        "9999-99-99" => "<date>".into(),
        "99:99:99" => "<clock>".into(),
        stamp if stamp.starts_with("9999-99-99T99:99:99") => "<date>".into(),
        _ => word.to_string(),
    }
}

/// Columns are as wide as their widest cell, which may differ: two spaces and more become two. A line of a
/// file, shown with a bar before it, is left alone.
fn columns(line: &str) -> String {
    let indent = line.len() - line.trim_start().len();
    let (space, rest) = line.split_at(indent);
    if rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ' ').starts_with('|') {
        return line.to_string();
    }
    let cells: Vec<&str> = rest.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    // The progress lines begin with a time that is aligned to the right.
    let space = if cells.first().is_some_and(|first| *first == "<time>") { "  " } else { space };
    format!("{space}{}", cells.join("  "))
}
