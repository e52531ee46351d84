//! What fuzzing found worth keeping, through the checks that it runs; see fuzz/README.md.

#[path = "../../../fuzz/src/answer.rs"]
mod answer;
#[path = "../../../fuzz/src/chunks.rs"]
mod chunks;
#[path = "../../../fuzz/src/differential.rs"]
mod differential;
#[path = "../../../fuzz/src/escape.rs"]
mod escape;
#[path = "../../../fuzz/src/forwarding.rs"]
mod forwarding;
#[path = "../../../fuzz/src/request.rs"]
mod request;
#[path = "../../../fuzz/src/response.rs"]
mod response;

/// Checks every line of a text of inputs, of which there are many.
fn all(kept: &str, check: fn(&[u8])) {
    assert!(kept.lines().count() > 50, "inputs are kept");
    kept.lines().for_each(|line| check(&escape::unescape(line)));
}

#[test]
fn a_request_that_is_written_is_read_again_as_the_same() {
    all(include_str!("../../../fuzz/kept/request.txt"), request::check);
}

#[test]
fn an_answer_that_is_written_is_read_again_as_the_same() {
    all(include_str!("../../../fuzz/kept/response.txt"), response::check);
}

#[test]
fn a_body_ends_where_it_ends_however_it_is_cut() {
    all(include_str!("../../../fuzz/kept/chunks.txt"), chunks::check);
}

#[test]
fn hyper_takes_a_connection_for_the_same_requests() {
    all(include_str!("../../../fuzz/kept/differential.txt"), differential::check);
}

#[test]
fn what_goes_through_the_edge_comes_out_as_others_read_it() {
    all(include_str!("../../../fuzz/kept/forwarding.txt"), forwarding::check);
}
