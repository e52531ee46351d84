//! The tree under check: every file that git tracks or would track, as text.

use super::Finding;
use super::lexer::{self, Token};
use std::io;
use std::path::Path;
use std::process::Command;

/// A file.
pub struct File {
    /// From the workspace's folder, with slashes.
    pub path: String,
    pub size: usize,
    /// `None` for what is not UTF-8.
    pub text: Option<String>,
    /// Of Rust sources; empty for others.
    pub tokens: Vec<Token>,
}

/// All files, by path.
pub struct Tree {
    pub files: Vec<File>,
}

impl Tree {
    /// Reads what git lists below `root`, untracked files included unless they are ignored.
    pub fn read(root: &Path) -> io::Result<Tree> {
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate"])
            .current_dir(root)
            .output()?;
        if !listed.status.success() {
            return Err(io::Error::other(String::from_utf8_lossy(&listed.stderr).into_owned()));
        }
        let paths = String::from_utf8_lossy(&listed.stdout).into_owned();
        let mut files = Vec::new();
        for path in paths.split_terminator('\0') {
            match std::fs::read(root.join(path)) {
                Ok(bytes) => files.push(File::new(path, bytes)),
                // Deleted in the work tree and not yet in the index.
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(io::Error::new(e.kind(), format!("{path}: {e}"))),
            }
        }
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(Tree { files })
    }

    /// A tree of these files.
    #[cfg(test)]
    pub fn of(files: &[(&str, &str)]) -> Tree {
        Tree { files: files.iter().map(|(path, text)| File::new(path, text.as_bytes().to_vec())).collect() }
    }

    /// The file with this path.
    pub fn file(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    /// The Rust sources.
    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.path.ends_with(".rs"))
    }

    /// The folders that have a `Cargo.toml` with a package in it, such as `act/store`.
    pub fn crates(&self) -> Vec<String> {
        let package = |file: &File| file.text.as_ref().is_some_and(|text| text.contains("[package]"));
        let folder = |file: &File| file.path.strip_suffix("/Cargo.toml").map(str::to_string);
        self.files.iter().filter(|file| package(file)).filter_map(folder).collect()
    }
}

impl File {
    fn new(path: &str, bytes: Vec<u8>) -> File {
        let size = bytes.len();
        let text = String::from_utf8(bytes).ok();
        let tokens = match &text {
            Some(text) if path.ends_with(".rs") => lexer::tokens(text),
            _ => Vec::new(),
        };
        File { path: path.into(), size, text, tokens }
    }

    /// The text, or nothing.
    pub fn text(&self) -> &str {
        self.text.as_deref().unwrap_or_default()
    }
}

/// Every source opens with the theory of its module.
pub fn module_docs(tree: &Tree) -> Vec<Finding> {
    let bare = tree.rust().filter(|file| {
        let first = file.text().lines().next().unwrap_or_default();
        first.strip_prefix("//!").is_none_or(|doc| doc.trim().is_empty())
    });
    bare.map(|file| Finding::new(&file.path, 1, "open the file with `//!`: what it is for, and why so"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Tree, module_docs};

    #[test]
    fn sources_without_a_module_doc_are_found() {
        let tree = Tree::of(&[
            ("a/src/good.rs", "//! What it is.\nfn a() {}\n"),
            ("a/src/late.rs", "use x;\n//! What it is.\n"),
            ("a/src/void.rs", "//!\nfn a() {}\n"),
            ("a/src/empty.rs", ""),
            ("a/notes.md", "no source"),
        ]);
        let found: Vec<_> = module_docs(&tree).into_iter().map(|f| f.path).collect();
        assert_eq!(found, ["a/src/late.rs", "a/src/void.rs", "a/src/empty.rs"]);
    }

    #[test]
    fn crates_are_the_folders_with_a_package() {
        let tree = Tree::of(&[
            ("Cargo.toml", "[workspace]\n"),
            ("act/store/Cargo.toml", "[package]\nname = \"naru-store\"\n"),
            ("model/Cargo.toml", "[package]\nname = \"naru-model\"\n"),
        ]);
        assert_eq!(tree.crates(), ["act/store", "model"]);
    }
}
