//! A Compose file, whatever is in it, ends in a stack or in errors that say why; and what is refused once is refused again.

use naru_compose::{Options, load_texts};
use std::collections::BTreeMap;

/// Where the file seems to lie.
const FILE: &str = "/p/compose.yaml";

/// The text of a file.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let options = Options { files: vec![FILE.into()], ..Options::default() };
    let load = || load_texts(BTreeMap::from([(FILE.to_string(), text.to_string())]), &options);
    match (load(), load()) {
        (Ok(first), Ok(second)) => {
            assert_eq!(first.canonical, second.canonical, "the same file, the same form")
        }
        (Err(errors), Err(_)) => assert!(!errors.errors.is_empty(), "refused without a reason"),
        _ => panic!("taken once and refused once"),
    }
}
