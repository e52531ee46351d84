//! What fuzzing found worth keeping, through the checks that it runs; see fuzz/README.md.

#[path = "../../../fuzz/src/escape.rs"]
mod escape;
#[path = "../../../fuzz/src/frames.rs"]
mod frames;

#[test]
fn whatever_frames_come_requests_are_whole_and_answers_may_be_sent() {
    let kept = include_str!("../../../fuzz/kept/frames.txt");
    assert!(kept.lines().count() > 50, "inputs are kept");
    kept.lines().for_each(|line| frames::check(&escape::unescape(line)));
}
