//! Planted faults: a simulation that does not find them would find nothing.

use naru_sim::Sabotage;

/// A planted fault has to be found within so many seeds.
const WITHIN: u64 = 1000;

/// The first seed at which one of these properties fails.
fn first_found(sabotage: Sabotage, by: &[&str]) -> Option<u64> {
    (1..=WITHIN).find(|seed| {
        let failure = naru_sim::verdict(*seed, Some(sabotage)).failure;
        failure.is_some_and(|failure| by.contains(&failure.property.name))
    })
}

fn check(sabotage: Sabotage, by: &[&str]) {
    let found = first_found(sabotage, by);
    assert!(found.is_some(), "{} is not found by {by:?} within {WITHIN} seeds", sabotage.name());
    println!("{}: found at seed {}", sabotage.name(), found.unwrap_or_default());
}

#[test]
fn quiet_before_the_edges_have_acknowledged_is_found() {
    check(Sabotage::QuietBeforeAcknowledged, &["order-of-retirement"]);
}

#[test]
fn a_signal_before_work_is_zero_is_found() {
    check(Sabotage::SignalBeforeIdle, &["no-operation-ends-unfinished-work"]);
}

#[test]
fn a_retirement_forgotten_at_a_restart_is_found() {
    check(Sabotage::RetirementForgottenAtRestart, &["convergence"]);
}

#[test]
fn a_stale_step_is_found() {
    check(Sabotage::StaleStepCarriedOut, &["stale-actors-refused"]);
}

#[test]
fn a_double_count_is_found() {
    check(Sabotage::DoubleCount, &["true-receipt", "on-one-receipt"]);
}

#[test]
fn a_deploy_that_is_reported_done_too_early_is_found() {
    check(Sabotage::DoneBeforeCutOver, &["reported-cut-over-is-true"]);
}

#[test]
fn nobody_staying_where_it_began_is_found() {
    check(Sabotage::NobodyStays, &["stays-where-it-began"]);
}

#[test]
fn due_times_forgotten_at_a_restart_are_found() {
    check(Sabotage::DueForgottenAtRestart, &["missed-is-told", "convergence"]);
}
