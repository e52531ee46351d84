//! What follows an end that nobody ordered.

use super::*;

fn restarting(policy: RestartPolicy, max_attempts: Option<u32>) -> Template {
    let restart = Restart { policy, delay: Span::secs(1), max_attempts, window: Span::secs(10) };
    Template { restart, ..template() }
}

#[test]
fn a_crash_loop_backs_off_and_is_given_up() {
    let rig = check(
        restarting(RestartPolicy::OnFailure, Some(2)),
        "0 begin => starting; launch 1 {} |
         0 started => starting; connect |
         1 passed => ready |
         2 killed => pending; lose leases (its process was killed (signal 9)) | the next start at 1002
         2 begin => note: was killed (signal 9)
         1002 tick => starting; launch 2 {80: 20000} |
         1003 stale-exit => starting |
         1003 started => starting; connect |
         1004 exited 1 => pending; lose leases (its process exited with status 1) | the next start at 3004
         3004 tick => starting; launch 3 {} |
         3005 not-started no such program => exited |
         0 begin => note: could not be started: no such program; given up after 2 restarts in a row",
    );
    assert_eq!(rig.status(0).restarts, 2);
}

#[test]
fn a_good_run_begins_the_row_anew() {
    check(
        restarting(RestartPolicy::Always, Some(1)),
        "0 begin => starting; launch 1 {} |
         0 started => starting; connect |
         0 exited 0 => pending; lose leases (its process exited with status 0) | the next start at 1000
         1000 tick => starting; launch 2 {80: 20000} |
         1000 started => starting; connect |
         11000 exited 0 => pending; lose leases (its process exited with status 0) | the next start at 12000
         12000 tick => starting; launch 3 {80: 20000} |",
    );
}

#[test]
fn a_one_shot_ends_for_good() {
    check(
        restarting(RestartPolicy::OnFailure, None),
        "0 begin => starting; launch 1 {} |
         0 started => starting; connect |
         9 exited 0 => exited; lose leases (its process exited with status 0) |",
    );
    check(
        restarting(RestartPolicy::No, None),
        "0 begin => starting; launch 1 {} |
         0 started => starting; connect |
         9 exited 3 => exited; lose leases (its process exited with status 3) |
         9 begin => note: exited with status 3, not by order",
    );
}

#[test]
fn what_is_retiring_is_not_started_again() {
    check(
        template(),
        "0 begin => starting; launch 1 {} |
         0 started => starting; connect |
         1 passed => ready |
         2 quiet => quiet; quiet ledger |
         3 killed => exited; lose leases (its process was killed (signal 9)) |",
    );
    check(
        template(),
        "0 begin => starting; launch 1 {} |
         0 not-started nope => pending | the next start at 1000
         5 stop => exited |",
    );
}
