//! What fuzzing found worth keeping, through the check that it runs; see fuzz/README.md.

#[path = "../../fuzz/src/compose.rs"]
mod compose;
#[path = "../../fuzz/src/escape.rs"]
mod escape;

#[test]
fn a_file_ends_in_a_stack_or_in_errors() {
    let kept = include_str!("../../fuzz/kept/compose.txt");
    assert!(kept.lines().count() > 1, "inputs are kept");
    kept.lines().for_each(|line| compose::check(&escape::unescape(line)));
}
