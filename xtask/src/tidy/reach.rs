//! Files that nothing reaches, and files that do not belong into a repository.

use super::lexer::{Kind, Token};
use super::tree::File;
use super::{Finding, Tree};
use std::collections::BTreeSet;

/// The largest file that is kept. What is larger is made by a program that is kept instead.
const FILE_MAX: usize = 200 << 10;

/// Files that may be larger.
const LARGE: &[&str] = &["Cargo.lock"];

/// Folders of a crate in which every source at the top is a program or a test of its own.
const ROOT_FOLDERS: &[&str] = &["tests", "examples", "benches", "src/bin"];

/// Sources that no `mod` declaration reaches from the root of their crate.
pub fn dead_files(tree: &Tree) -> Vec<Finding> {
    let mut open: Vec<String> = tree.crates().iter().flat_map(|folder| roots(tree, folder)).collect();
    let mut reached: BTreeSet<String> = open.iter().cloned().collect();
    while let Some(path) = open.pop() {
        let Some(file) = tree.file(&path) else { continue };
        for module in modules(file, reached_as_root(&path, tree)) {
            if tree.file(&module).is_some() && reached.insert(module.clone()) {
                open.push(module);
            }
        }
    }
    let dead = tree.rust().filter(|file| !reached.contains(&file.path));
    dead.map(|file| Finding::new(&file.path, 0, "no `mod` reaches this file: declare it or delete it"))
        .collect()
}

/// Files over the bound, and files that are no text.
pub fn large_files(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| !LARGE.contains(&file.path.as_str())) {
        if file.size > FILE_MAX {
            let text = format!("is {} KiB, at most {} are kept", file.size >> 10, FILE_MAX >> 10);
            found.push(Finding::new(&file.path, 0, text));
        } else if file.text.is_none() && !is_picture(&file.path) {
            found.push(Finding::new(&file.path, 0, "is no text: keep the program that makes it instead"));
        }
    }
    found
}

fn is_picture(path: &str) -> bool {
    [".png", ".svg", ".jpg", ".gif"].iter().any(|end| path.ends_with(end))
}

/// The sources that cargo itself compiles.
fn roots(tree: &Tree, folder: &str) -> Vec<String> {
    let fixed = ["src/lib.rs", "src/main.rs", "build.rs"].map(|root| format!("{folder}/{root}"));
    let named = named_in_manifest(tree, folder);
    let mut roots: Vec<String> =
        fixed.into_iter().chain(named).filter(|path| tree.file(path).is_some()).collect();
    for inner in ROOT_FOLDERS {
        let within = format!("{folder}/{inner}/");
        let is_root = |file: &&File| {
            let rest = file.path.strip_prefix(&within);
            rest.is_some_and(|rest| {
                !rest.contains('/') || (rest.ends_with("/main.rs") && rest.matches('/').count() == 1)
            })
        };
        roots.extend(tree.rust().filter(is_root).map(|file| file.path.clone()));
    }
    roots
}

/// `path = "tests/program/main.rs"` of a target that the manifest states.
fn named_in_manifest(tree: &Tree, folder: &str) -> Vec<String> {
    let manifest = tree.file(&format!("{folder}/Cargo.toml")).map(File::text).unwrap_or_default();
    let path = |line: &str| {
        let path = line.strip_prefix("path")?.trim_start().strip_prefix('=')?.trim().trim_matches('"');
        path.ends_with(".rs").then(|| format!("{folder}/{path}"))
    };
    manifest.lines().filter_map(path).collect()
}

/// Whether the file's own modules lie beside it rather than in a folder of its name.
fn reached_as_root(path: &str, tree: &Tree) -> bool {
    path.ends_with("/mod.rs")
        || tree.crates().iter().any(|folder| roots(tree, folder).iter().any(|root| root == path))
}

/// Where the modules that the file declares may lie.
fn modules(file: &File, beside: bool) -> Vec<String> {
    let (folder, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
    let folder =
        if beside { folder.to_string() } else { format!("{folder}/{}", name.trim_end_matches(".rs")) };
    let code: Vec<&Token> = file.tokens.iter().filter(|t| t.kind != Kind::Comment).collect();
    let mut found = Vec::new();
    for at in 0..code.len().saturating_sub(2) {
        if code[at].is("mod") && code[at + 1].kind == Kind::Word && code[at + 2].is(";") {
            let module = &code[at + 1].text;
            found.push(format!("{folder}/{module}.rs"));
            found.push(format!("{folder}/{module}/mod.rs"));
        }
        // `#[path = "…"]`
        if code[at].is("path") && code[at + 1].is("=") && code[at + 2].kind == Kind::Quoted {
            found.push(format!(
                "{}/{}",
                file.path.rsplit_once('/').map_or("", |p| p.0),
                code[at + 2].text.trim_matches('"')
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{FILE_MAX, Tree, dead_files, large_files};

    #[test]
    fn sources_that_nothing_declares_are_found() {
        let tree = Tree::of(&[
            ("a/Cargo.toml", "[package]\n[[bin]]\npath = \"tests/deep/program.rs\"\n"),
            ("a/src/lib.rs", "//! x\nmod one;\npub(crate) mod two;\n// mod dead;\n"),
            ("a/src/one.rs", "//! x\nmod inner;\n"),
            ("a/src/one/inner.rs", "//! x"),
            ("a/src/two/mod.rs", "//! x\n#[cfg(test)]\nmod tests;\n#[path = \"odd name.rs\"]\nmod odd;\n"),
            ("a/src/two/tests.rs", "//! x"),
            ("a/src/two/odd name.rs", "//! x"),
            ("a/src/dead.rs", "//! x\nmod deader;\n"),
            ("a/src/dead/deader.rs", "//! x"),
            ("a/src/inner.rs", "//! not where one.rs looks"),
            ("a/tests/whole.rs", "//! x\nmod common_ground;\n"),
            ("a/tests/common_ground.rs", "//! x"),
            ("a/tests/deep/part.rs", "//! x"),
            ("a/tests/deep/program.rs", "//! x"),
            ("a/examples/show/main.rs", "//! x\nmod part;\n"),
            ("a/examples/show/part.rs", "//! x"),
        ]);
        let found: Vec<_> = dead_files(&tree).into_iter().map(|f| f.path).collect();
        assert_eq!(
            found,
            ["a/src/dead.rs", "a/src/dead/deader.rs", "a/src/inner.rs", "a/tests/deep/part.rs"]
        );
    }

    #[test]
    fn large_and_binary_files_are_found() {
        let large = "x".repeat(FILE_MAX + 1);
        let mut tree = Tree::of(&[
            ("a.txt", &large),
            ("Cargo.lock", &large),
            ("b.txt", "x"),
            ("c.bin", ""),
            ("d.png", ""),
        ]);
        tree.files[3].text = None;
        tree.files[4].text = None;
        let found: Vec<_> = large_files(&tree).into_iter().map(|f| f.path).collect();
        assert_eq!(found, ["a.txt", "c.bin"]);
    }
}
