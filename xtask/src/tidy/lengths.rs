//! Lengths: ceilings that hold everywhere, and a ratchet for what is above them.
//!
//! Per top-level folder: functions of at most 70 lines, nine of ten of at most 26; files of at most 800
//! lines, nine of ten of at most 400. Where a folder is above a ceiling, `xtask/ratchet.json` states how far,
//! and that figure only goes down: a folder that is longer than its allowance fails, and so does an allowance
//! that is looser than its folder, until `cargo xtask tidy --turn` has lowered it.

use super::lexer::{Function, functions};
use super::tree::File;
use super::{Finding, RATCHET, Tree};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Write;

/// Crates over so many lines hold more than one thing.
const CRATE_MAX: usize = 6_000;

/// Crates under so many lines are confetti, if they stay so.
const CRATE_MIN: usize = 300;

/// What is measured of a folder, and its ceiling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Measure {
    FunctionMax,
    FunctionP90,
    FileMax,
    FileP90,
}

const MEASURES: [Measure; 4] =
    [Measure::FunctionMax, Measure::FunctionP90, Measure::FileMax, Measure::FileP90];

impl Measure {
    fn ceiling(self) -> usize {
        match self {
            Measure::FunctionMax => 70,
            Measure::FunctionP90 => 26,
            Measure::FileMax => 800,
            Measure::FileP90 => 400,
        }
    }

    /// As it is called in the ratchet.
    fn name(self) -> &'static str {
        match self {
            Measure::FunctionMax => "function-max",
            Measure::FunctionP90 => "function-p90",
            Measure::FileMax => "file-max",
            Measure::FileP90 => "file-p90",
        }
    }
}

/// Every function and file of a top-level folder.
#[derive(Default)]
struct Lengths<'a> {
    functions: Vec<(Function, &'a File)>,
    files: Vec<(usize, &'a File)>,
}

impl<'a> Lengths<'a> {
    fn of(tree: &'a Tree) -> BTreeMap<&'a str, Lengths<'a>> {
        let mut all: BTreeMap<&str, Lengths> = BTreeMap::new();
        for file in tree.rust() {
            let Some((folder, _)) = file.path.split_once('/') else { continue };
            let lengths = all.entry(folder).or_default();
            lengths.files.push((lines(file), file));
            lengths.functions.extend(functions(&file.tokens).into_iter().map(|f| (f, file)));
        }
        all
    }

    fn measure(&self, measure: Measure) -> usize {
        let functions = self.functions.iter().map(|(function, _)| function.lines).collect();
        let files = self.files.iter().map(|(lines, _)| *lines).collect();
        match measure {
            Measure::FunctionMax => percentile(functions, 100),
            Measure::FunctionP90 => percentile(functions, 90),
            Measure::FileMax => percentile(files, 100),
            Measure::FileP90 => percentile(files, 90),
        }
    }

    /// The places that are longer than the limit, the longest first.
    fn longer(&self, measure: Measure, limit: usize) -> Vec<(usize, String)> {
        let mut all: Vec<(usize, String)> = match measure {
            Measure::FunctionMax | Measure::FunctionP90 => {
                let place = |f: &Function, file: &File| format!("`{}` at {}:{}", f.name, file.path, f.line);
                self.functions.iter().map(|(f, file)| (f.lines, place(f, file))).collect()
            }
            Measure::FileMax | Measure::FileP90 => {
                self.files.iter().map(|(lines, file)| (*lines, file.path.clone())).collect()
            }
        };
        all.retain(|(lines, _)| *lines > limit);
        all.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
        all
    }
}

/// How many places a finding names.
const NAMED: usize = 5;

/// Folders above their ceilings or allowances, allowances that are too loose, and crates that are too large.
pub fn ceilings(tree: &Tree) -> Vec<Finding> {
    let allowed = match allowances(tree) {
        Ok(allowed) => allowed,
        Err(why) => return vec![Finding::new(RATCHET, 0, why)],
    };
    let all = Lengths::of(tree);
    let mut found = Vec::new();
    for (folder, lengths) in &all {
        for measure in MEASURES {
            let allowance = allowed.get(&(folder.to_string(), measure)).copied();
            found.extend(judge(folder, lengths, measure, allowance));
        }
    }
    for (folder, measure) in allowed.keys().filter(|(folder, _)| !all.contains_key(folder.as_str())) {
        let text = format!("{folder} {} is allowed, and there is no such folder: run --turn", measure.name());
        found.push(Finding::new(RATCHET, 0, text));
    }
    found.extend(large_crates(tree));
    found
}

/// What the ratchet has to say for the tree as it is: allowances lowered, none raised, none added.
///
/// # Errors
/// When the ratchet's file cannot be understood.
pub fn turned(tree: &Tree) -> Result<String, String> {
    let all = Lengths::of(tree);
    let mut folders: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for ((folder, measure), allowance) in allowances(tree)? {
        let reached = all.get(folder.as_str()).map_or(0, |lengths| lengths.measure(measure));
        if reached > measure.ceiling() {
            let lowered = reached.min(allowance);
            folders.entry(folder).or_default().insert(measure.name().into(), lowered.into());
        }
    }
    let folders: Map<String, Value> = folders.into_iter().map(|(f, m)| (f, m.into())).collect();
    Ok(format!("{:#}\n", Value::from(folders)))
}

/// One line for each crate: its size, and whether it is small for a crate.
pub fn report(tree: &Tree) -> String {
    let mut text = String::new();
    for (folder, lines, files) in crate_sizes(tree) {
        let small = if lines < CRATE_MIN { "  (small: a crate is a border, not a drawer)" } else { "" };
        writeln!(text, "{folder:<12} {lines:>6} lines {files:>4} files{small}").expect("a String takes all");
    }
    for (folder, lengths) in Lengths::of(tree) {
        let [fn_max, fn_p90, file_max, file_p90] = MEASURES.map(|measure| lengths.measure(measure));
        let functions = format!("functions p90 {fn_p90}, longest {fn_max}");
        writeln!(text, "{folder:<12} {functions}; files p90 {file_p90}, longest {file_max}")
            .expect("a String takes all");
    }
    text
}

fn judge(folder: &str, lengths: &Lengths, measure: Measure, allowance: Option<usize>) -> Option<Finding> {
    let reached = lengths.measure(measure);
    let (name, ceiling) = (measure.name(), measure.ceiling());
    match allowance {
        Some(allowed) if reached < allowed => {
            let text =
                format!("{folder} {name} is down to {reached} from {allowed}: `cargo xtask tidy --turn`");
            Some(Finding::new(RATCHET, 0, text))
        }
        Some(allowed) if reached == allowed => None,
        _ if reached <= ceiling => None,
        _ => {
            let limit = allowance.unwrap_or(ceiling);
            let longest = lengths.longer(measure, limit).into_iter().take(NAMED);
            let longest: Vec<_> = longest.map(|(lines, place)| format!("{place} ({lines})")).collect();
            let text = format!("{name} is {reached}, at most {limit}: split {}", longest.join(", "));
            Some(Finding::new(folder, 0, text))
        }
    }
}

fn large_crates(tree: &Tree) -> Vec<Finding> {
    let large = crate_sizes(tree).into_iter().filter(|(_, lines, _)| *lines > CRATE_MAX);
    large
        .map(|(folder, lines, _)| {
            let text = format!(
                "the crate has {lines} lines without tests, at most {CRATE_MAX}: it holds two things"
            );
            Finding::new(&format!("{folder}/Cargo.toml"), 0, text)
        })
        .collect()
}

/// Lines and files of each crate's `src`, tests left out.
fn crate_sizes(tree: &Tree) -> Vec<(String, usize, usize)> {
    let size = |folder: String| {
        let source = format!("{folder}/src/");
        let inside = tree.rust().filter(|f| f.path.starts_with(&source) && !is_test(&f.path));
        let sizes: Vec<usize> = inside.map(lines_without_tests).collect();
        (folder, sizes.iter().sum(), sizes.len())
    };
    tree.crates().into_iter().map(size).collect()
}

fn lines(file: &File) -> usize {
    file.text().lines().count()
}

fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

/// The lines before the tests at a file's end.
fn lines_without_tests(file: &File) -> usize {
    let tests = |pair: &(&str, &str)| pair.0.trim() == "#[cfg(test)]" && pair.1.starts_with("mod tests {");
    let pairs = file.text().lines().zip(file.text().lines().skip(1));
    pairs.take_while(|pair| !tests(pair)).count() + 1
}

/// By rank; of few, the rank is rounded down, so that one long file among five is no tenth of them.
fn percentile(mut lengths: Vec<usize>, percent: usize) -> usize {
    lengths.sort_unstable();
    let last = lengths.len().saturating_sub(1);
    lengths.get(last * percent / 100).copied().unwrap_or(0)
}

/// The ratchet: `{"FOLDER": {"MEASURE": LINES}}`.
fn allowances(tree: &Tree) -> Result<BTreeMap<(String, Measure), usize>, String> {
    let file = tree.file(RATCHET).ok_or("is missing: write {} into it")?;
    let folders: BTreeMap<String, BTreeMap<String, usize>> =
        serde_json::from_str(file.text()).map_err(|e| format!("cannot be understood: {e}"))?;
    let mut all = BTreeMap::new();
    for (folder, measures) in folders {
        for (name, lines) in measures {
            let measure = MEASURES.into_iter().find(|measure| measure.name() == name);
            let measure = measure.ok_or(format!("{name:?} is no measure; there are {MEASURES:?}"))?;
            all.insert((folder.clone(), measure), lines);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::{Tree, ceilings, percentile, report, turned};

    /// A source of `n` functions of `lines` lines each.
    fn source(n: usize, lines: usize) -> String {
        let body = "    x();\n".repeat(lines - 2);
        format!("//! x\n{}", format!("fn f() {{\n{body}}}\n").repeat(n))
    }

    fn found(ratchet: &str, files: &[(&str, &str)]) -> Vec<String> {
        let mut all = vec![("xtask/ratchet.json", ratchet), ("a/Cargo.toml", "[package]")];
        all.extend(files);
        ceilings(&Tree::of(&all)).into_iter().map(|f| f.to_string()).collect()
    }

    #[test]
    fn long_functions_are_found() {
        let with = |lines| format!("{}{}", source(15, 20), source(1, lines));
        assert_eq!(found("{}", &[("a/src/a.rs", &with(70))]), [""; 0]);
        let found = found("{}", &[("a/src/a.rs", &with(71))]);
        assert_eq!(found, ["a: function-max is 71, at most 70: split `f` at a/src/a.rs:303 (71)"]);
    }

    #[test]
    fn many_longish_functions_are_found() {
        assert_eq!(found("{}", &[("a/src/a.rs", &source(3, 26))]), [""; 0]);
        let found = found("{}", &[("a/src/a.rs", &source(2, 27))]);
        let want =
            "a: function-p90 is 27, at most 26: split `f` at a/src/a.rs:2 (27), `f` at a/src/a.rs:29 (27)";
        assert_eq!(found, [want]);
    }

    #[test]
    fn long_files_and_crates_are_found() {
        let long = "//! x\n".repeat(801);
        assert!(found("{}", &[("a/tests/a.rs", &long)])[0].contains("a: file-max is 801, at most 800"));
        let half = "//! x\n".repeat(401);
        assert!(found("{}", &[("a/src/a.rs", &half), ("a/src/b.rs", &half)])[0].contains("file-p90 is 401"));
        let one_of_five = [("a/src/b.rs", "//! x"), ("a/src/c.rs", "//! x"), ("a/src/d.rs", "//! x")];
        assert_eq!(found("{}", &[&[("a/src/a.rs", half.as_str())], &one_of_five[..]].concat()), [""; 0]);
        let many: Vec<_> = (0..20).map(|n| (format!("a/src/{n}.rs"), "//! x\n".repeat(301))).collect();
        let many: Vec<_> = many.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        assert!(found("{}", &many)[0].contains("6020 lines without tests, at most 6000"));
    }

    #[test]
    fn the_ratchet_allows_what_there_is_and_turns_one_way() {
        let long = source(1, 90);
        let files = [("a/src/a.rs", long.as_str())];
        let just = r#"{"a": {"function-max": 90, "function-p90": 90}}"#;
        assert_eq!(found(just, &files), [""; 0]);
        let tight = found(r#"{"a": {"function-max": 89, "function-p90": 90}}"#, &files);
        assert!(tight.len() == 1 && tight[0].contains("is 90, at most 89"), "{tight:?}");
        let loose = found(r#"{"a": {"function-max": 91, "function-p90": 90}}"#, &files);
        assert!(loose.len() == 1 && loose[0].contains("down to 90 from 91"), "{loose:?}");
        assert!(found(r#"{"b": {"file-max": 900}}"#, &[])[0].contains("no such folder"));
        assert!(found(r#"{"a": {"width": 1}}"#, &[])[0].contains("no measure"));
        let turn = |ratchet: &str| turned(&Tree::of(&[("xtask/ratchet.json", ratchet), files[0]])).unwrap();
        assert_eq!(turn(just).replace([' ', '\n'], ""), just.replace(' ', ""));
        assert!(turn(r#"{"a": {"function-max": 89}}"#).contains("89"), "never raised");
        assert!(turn(r#"{"a": {"function-max": 99, "file-max": 900}}"#).contains("90"), "lowered");
        assert!(!turn(r#"{"a": {"file-max": 900}}"#).contains("file-max"), "gone when it is not needed");
    }

    #[test]
    fn percentiles_and_the_report() {
        assert_eq!(percentile(vec![], 90), 0);
        assert_eq!(percentile(vec![3], 90), 3);
        assert_eq!(percentile((1..=11).collect(), 90), 10);
        let tree = Tree::of(&[("a/Cargo.toml", "[package]"), ("a/src/lib.rs", "//! x\nfn f() {}\n")]);
        assert!(report(&tree).contains("2 lines    1 files  (small"), "{}", report(&tree));
        let tested = "//! x\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn t() {}\n}\n";
        let tree =
            Tree::of(&[("a/Cargo.toml", "[package]"), ("a/src/lib.rs", tested), ("a/src/tests.rs", "//! x")]);
        assert!(report(&tree).contains("4 lines    1 files"), "{}", report(&tree));
    }
}
