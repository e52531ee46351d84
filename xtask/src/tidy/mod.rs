//! `cargo xtask tidy`: what the house style says and a machine can see.
//!
//! Each check is a function of the tree, which is text in memory, to findings; so each is tested on trees of
//! a few lines, one that it must pass and one that it must not. Tables (who may depend on whom, which words
//! stand for which) are data at the top of their file, stated once.

mod depth;
mod layers;
mod lengths;
mod lexer;
mod links;
mod reach;
mod tree;
mod words;

use crate::{Failure, root};
use std::fmt;
use std::fs;
use tree::Tree;

/// Something that is not as it should be, and where.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    path: String,
    /// From 1; 0 for the file as a whole.
    line: usize,
    text: String,
}

/// One check, under the name by which its findings are counted.
type Check = (&'static str, fn(&Tree) -> Vec<Finding>);

const CHECKS: &[Check] = &[
    ("module docs", tree::module_docs),
    ("layers", layers::dependencies),
    ("purity", layers::purity),
    ("lengths", lengths::ceilings),
    ("folder depth", depth::folders),
    ("dead files", reach::dead_files),
    ("large files", reach::large_files),
    ("names", words::names),
    ("words", words::texts),
    ("links", links::files_exist),
];

/// Where the allowances above the ceilings stand.
const RATCHET: &str = "xtask/ratchet.json";

/// Runs all checks, or with `--turn` writes the ratchet down to what the tree has reached.
pub fn run(args: &[String]) -> Result<(), Failure> {
    let tree = Tree::read(&root()).map_err(|e| Failure(format!("tidy: the tree cannot be read: {e}")))?;
    match args {
        [] => check(&tree),
        [turn] if turn == "--turn" => turn_ratchet(&tree),
        _ => Err(Failure("usage: cargo xtask tidy [--turn]".into())),
    }
}

fn check(tree: &Tree) -> Result<(), Failure> {
    print!("{}", lengths::report(tree));
    let (mut passed, mut failed) = (0, 0);
    for (name, check) in CHECKS {
        let mut findings = check(tree);
        findings.sort();
        for finding in &findings {
            println!("{finding}");
        }
        match findings.len() {
            0 => passed += 1,
            n => {
                failed += 1;
                println!("tidy: {name}: {n} found");
            }
        }
    }
    println!("tidy: {} files; {passed} passed, {failed} failed", tree.files.len());
    if failed == 0 { Ok(()) } else { Err(Failure("tidy: the tree is not tidy".into())) }
}

fn turn_ratchet(tree: &Tree) -> Result<(), Failure> {
    let turned = lengths::turned(tree).map_err(Failure)?;
    fs::write(root().join(RATCHET), turned).map_err(|e| Failure(format!("tidy: {RATCHET}: {e}")))
}

impl Finding {
    fn new(path: &str, line: usize, text: impl Into<String>) -> Finding {
        Finding { path: path.into(), line, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.text),
            line => write!(f, "{}:{line}: {}", self.path, self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CHECKS, Finding, Tree};

    #[test]
    fn this_tree_is_read_and_every_check_runs_on_it() {
        let tree = Tree::read(&crate::root()).expect("the tree is a git work tree");
        assert!(tree.file("xtask/src/tidy/mod.rs").is_some());
        assert!(tree.crates().contains(&"xtask".to_string()), "{:?}", tree.crates());
        // The tree may be untidy while somebody works on it: here, only that the checks end.
        let found: usize = CHECKS.iter().map(|(_, check)| check(&tree).len()).sum();
        assert!(found < 10_000, "{found} findings are more than there can be");
    }

    #[test]
    fn findings_name_their_place() {
        assert_eq!(Finding::new("a.rs", 3, "too long").to_string(), "a.rs:3: too long");
        assert_eq!(Finding::new("a.rs", 0, "too long").to_string(), "a.rs: too long");
    }
}
