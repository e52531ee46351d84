//! Damaged files and bombs: whatever is read, loading ends soon, with a stack or with errors.

use naru_compose::{Options, load_texts};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

/// Damaged files that are tried. A second or two of work.
const ROUNDS: usize = 3_000;

/// The longest that one may take, in time of its own on a CPU: a busy machine proves nothing.
const SLOWEST: Duration = Duration::from_millis(if cfg!(debug_assertions) { 1_000 } else { 100 });

/// Whether a text loads, and how long that was found out; within the time.
fn loads(text: String) -> (bool, Duration) {
    let options = Options { files: vec!["/p/compose.yaml".into()], ..Options::default() };
    let began = spent();
    let shown = text.chars().take(400).collect::<String>();
    let loaded = load_texts(BTreeMap::from([("/p/compose.yaml".to_string(), text)]), &options);
    let took = spent() - began;
    assert!(took < SLOWEST, "{took:?} is too slow:\n{shown}");
    if let Err(errors) = &loaded {
        assert!(!errors.errors.is_empty(), "refused without a reason:\n{shown}");
    }
    (loaded.is_ok(), took)
}

/// The CPU time of this thread.
fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// xorshift64*: the same damage at every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % most.max(1)
    }
}

/// What a file is damaged with.
const PIECES: &[&str] = &[
    "*a",
    "&a ",
    "<<: *a",
    "!reset",
    "!override ",
    "${",
    "${A:-",
    "}",
    "$$",
    "- ",
    ": ",
    "{",
    "}",
    "[",
    "]",
    "\"",
    "'",
    "|\n",
    ">\n",
    "---\n",
    "0x",
    "-1",
    "1e400",
    "~",
    "null",
    "true",
    "\t",
    "\u{0}",
    "한글",
    "services:\n",
    "  x-naru: {}\n",
    "depends_on: [a]\n",
    "ports: [1-65535]\n",
    "extends: web\n",
    "include: [compose.yaml]\n",
    "#",
];

fn damage(text: &str, chance: &mut Chance) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_string).collect();
    for _ in 0..=chance.below(4) {
        let at = chance.below(lines.len());
        let Some(line) = lines.get(at).cloned() else { break };
        let inside = (0..=line.len()).filter(|at| line.is_char_boundary(*at)).collect::<Vec<_>>();
        let cut = inside[chance.below(inside.len())];
        match chance.below(6) {
            0 => drop(lines.remove(at)),
            1 => lines.insert(at, line),
            2 => lines[at].truncate(cut),
            3 => lines[at] = format!("{}{line}", " ".repeat(chance.below(5))),
            _ => lines[at].insert_str(cut, PIECES[chance.below(PIECES.len())]),
        }
    }
    lines.concat()
}

fn corpus() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let mut files: Vec<_> = std::fs::read_dir(folder.join("broken"))
        .expect("part of the repository")
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.extension().is_some_and(|e| e == "yaml"))
        .collect();
    files.sort();
    files.push(folder.join("whole.yaml"));
    files.iter().map(|path| std::fs::read_to_string(path).expect("readable")).collect()
}

#[test]
fn damaged_files_end_in_a_stack_or_in_errors() {
    let corpus = corpus();
    let whole = corpus.last().expect("there are some");
    assert!(loads(whole.clone()).0, "the whole file itself loads");
    let mut chance = Chance(0x5eed);
    let (mut fine, mut slowest) = (0, Duration::ZERO);
    for round in 0..ROUNDS {
        let text = if round % 2 == 0 { whole } else { &corpus[chance.below(corpus.len())] };
        let (is_fine, took) = loads(damage(text, &mut chance));
        fine += usize::from(is_fine);
        slowest = slowest.max(took);
    }
    println!("of {ROUNDS} damaged files, {fine} loaded; the slowest took {slowest:?}");
    assert!((50..ROUNDS - 50).contains(&fine), "the damage is neither harmless nor total: {fine}");
}

#[test]
fn bombs_are_refused_soon() {
    let mut wide = String::from("x-a: &a {k: v}\n");
    for (from, to) in ('a'..'k').zip('b'..='k') {
        wide += &format!("x-{to}: &{to} [{}]\n", vec![format!("*{from}"); 9].join(", "));
    }
    wide += "services: { web: { image: nginx } }\n";
    let mut merged = String::from("x-a: &a {k: v}\n");
    for (from, to) in ('a'..='y').zip('b'..='z') {
        merged += &format!("x-{to}: &{to}\n  one: {{<<: *{from}}}\n  two: {{<<: *{from}}}\n");
    }
    merged += "services: { web: { image: nginx } }\n";
    let deep = "[".repeat(5_000);
    let blocks: String = (0..5_000).map(|at| format!("{}a:\n", " ".repeat(at))).collect();
    let mut chain = String::from("x-a0: &a0 {k: v}\n");
    for at in 1..500 {
        chain += &format!("x-a{at}: &a{at} {{k: *a{}}}\n", at - 1);
    }
    let nested = format!("services: {{ web: {{ image: \"{}x{}\" }} }}", "${A:-".repeat(500), "}".repeat(500));
    let ports = format!("services: {{ web: {{ image: x, ports: [{}] }} }}", vec!["1-60000"; 200].join(", "));
    let ranges: Vec<String> =
        (0..1000).map(|at| format!("\"127.0.{}.{}::1-9999\"", at / 250, at % 250)).collect();
    let many = format!("services: {{ web: {{ image: x, ports: [{}] }} }}", ranges.join(", "));
    let mut bases = String::from("services:\n  s0: { image: x }\n");
    for at in 1..3_000 {
        bases += &format!("  s{at}: {{ extends: s{} }}\n", at - 1);
    }
    for bomb in [many, bases, wide, merged, deep, blocks, chain, nested, ports] {
        let begin: String = bomb.chars().take(60).collect();
        let (is_fine, took) = loads(bomb);
        println!("{took:?}: {begin:?}");
        assert!(!is_fine, "{begin:?}");
    }
}
