//! What fuzzing found worth keeping, through the check that it runs; see fuzz/README.md.

#[path = "../../fuzz/src/escape.rs"]
mod escape;
#[path = "../../fuzz/src/traffic.rs"]
mod traffic;

#[test]
fn the_rule_that_is_found_is_the_first_that_fits() {
    let kept = include_str!("../../fuzz/kept/traffic.txt");
    assert!(kept.lines().count() > 1, "inputs are kept");
    kept.lines().for_each(|line| traffic::check(&escape::unescape(line)));
}
