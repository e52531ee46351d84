//! Folders are two deep at most, so that a list of a crate's sources still shows what it is made of.

use super::{Finding, Tree};

/// The folders between a crate's `src`, `tests` or `examples` and a source.
const DEEPEST: usize = 2;

/// Sources that lie deeper.
pub fn folders(tree: &Tree) -> Vec<Finding> {
    let crates = tree.crates();
    let mut found = Vec::new();
    for file in tree.rust() {
        let inner = crates.iter().find_map(|c| file.path.strip_prefix(c.as_str())?.strip_prefix('/'));
        // The first part is `src` or the like, the last the file.
        let depth = inner.unwrap_or(&file.path).split('/').count().saturating_sub(2);
        if depth > DEEPEST {
            let text = format!("lies {depth} folders deep, at most {DEEPEST} are allowed: move it up");
            found.push(Finding::new(&file.path, 0, text));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Tree, folders};

    #[test]
    fn deep_folders_are_found() {
        let tree = Tree::of(&[
            ("act/store/Cargo.toml", "[package]"),
            ("act/store/src/lib.rs", "//! x"),
            ("act/store/src/a/b/c.rs", "//! x"),
            ("act/store/src/a/b/c/d.rs", "//! x"),
        ]);
        let found: Vec<_> = folders(&tree).into_iter().map(|f| f.path).collect();
        assert_eq!(found, ["act/store/src/a/b/c/d.rs"]);
    }
}
