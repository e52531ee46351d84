//! Quiet, stop and cut.

use super::*;

const READY: &str = "0 begin => starting; launch 1 {} |
    0 started => starting; connect |
    1 passed => ready |";

#[track_caller]
fn check_ready(template: Template, script: &str) -> Rig {
    check(template, &format!("{READY}\n{script}"))
}

fn told() -> Template {
    Template { quiet: Some(QuietCall::Call(Action::Http(http("/drain")))), ..template() }
}

fn asked() -> Template {
    Template { busy: Some(Action::Http(http("/busy"))), ..template() }
}

#[test]
fn an_idle_instance_is_closed_then_signalled() {
    check_ready(
        template(),
        "2 quiet => quiet; quiet ledger |
         3 stop => quiet; close ledger |
         4 closed => stopping; SIGTERM | its end, before SIGKILL at 10004
         5 exited 0 => exited; lose leases (its process exited with status 0) |",
    );
}

#[test]
fn a_stop_by_itself_goes_all_the_way() {
    let hooked = Template { pre_stop: vec![shell("deregister").into()], ..told() };
    check_ready(
        hooked,
        "2 stop => quiet; quiet ledger; tell quiet |
         2 begin => note: ordered to stop, and not told yet to take no new work
         3 told ok => quiet; close ledger |
         4 closed => stopping; PreStop(0) |
         5 pre-stop ok => stopping; SIGTERM | its end, before SIGKILL at 10005
         10005 tick => stopping; kill | its end, before SIGKILL at 15005
         0 begin => note: its stop signal (SIGTERM) was ignored: killed
         10006 killed => exited; lose leases (its process was killed (signal 9)) |",
    );
}

#[test]
fn a_job_in_progress_refuses_the_stop() {
    check_ready(
        template(),
        "2 leases 1 => ready |
         3 stop => quiet; quiet ledger |
         0 begin => note: ordered to stop, and 1 job is in progress: it stays until that ends
         4000 tick => quiet |
         5000 leases 0 => quiet; close ledger |
         5001 open 2 => quiet |
         0 begin => note: ordered to stop, and 2 jobs are in progress: it stays until that ends
         9000 leases 0 => quiet; close ledger |
         9001 closed => stopping; SIGTERM | its end, before SIGKILL at 19001",
    );
}

#[test]
fn a_ledger_that_refused_without_a_lease_is_asked_again() {
    check_ready(
        template(),
        "3 stop => quiet; quiet ledger; close ledger |
         4 open 0 => quiet | the next try to close its ledger at 1004
         1004 tick => quiet; close ledger |",
    );
}

#[test]
fn a_failing_quiet_call_is_repeated() {
    let rig = check_ready(
        told(),
        "2 quiet => quiet; quiet ledger; tell quiet |
         3 told status 500 => quiet | the next try to tell it to be quiet at 503
         0 begin => note: could not be told to be quiet: status 500; again in 500 ms
         503 tick => quiet; tell quiet |
         504 told status 500 => quiet | the next try to tell it to be quiet at 1504
         1504 tick => quiet; tell quiet |",
    );
    assert!(!rig.status(0).quiet_told);
    let mut rig = rig;
    run(&mut rig, "1505 told ok => quiet |");
    assert!(rig.status(0).quiet_told);
}

#[test]
fn the_busy_check_answers_after_the_telling_and_after_the_order() {
    let mut rig = check(
        Template { quiet: told().quiet, ..asked() },
        "0 begin => starting; launch 1 {} |
         0 started => starting; connect |
         1 passed => ready; ask busy |
         2 tick => ready |
         3 busy 0 => ready | the next busy check at 5003
         4 quiet => quiet; quiet ledger; tell quiet | the next busy check at 1003
         1003 tick => quiet; ask busy |
         1004 told ok => quiet; ask busy |",
    );
    assert!(!rig.status(0).quiet_told);
    run(&mut rig, "1006 busy 2 => quiet | the next busy check at 2006");
    assert!(rig.status(0).quiet_told);
    run(
        &mut rig,
        "1007 stop => quiet; ask busy |
         1008 busy 1 => quiet | the next busy check at 2008
         0 begin => note: ordered to stop, and 1 job is in progress: it stays until that ends
         2008 tick => quiet; ask busy |
         2009 busy 0 => quiet; close ledger |
         2010 closed => stopping; SIGTERM | its end, before SIGKILL at 12010",
    );
}

#[test]
fn what_the_busy_check_does_not_tell_counts_as_a_job() {
    let mut rig = check(
        asked(),
        "0 begin => starting; launch 1 {} |
         0 started => starting; connect |
         1 passed => ready; ask busy |
         2 stop => quiet; quiet ledger; ask busy |
         3 busy timed out => quiet | the next busy check at 1003
         1003 tick => quiet; ask busy |",
    );
    assert_eq!(rig.status(3).jobs.jobs, 1);
    run(&mut rig, "1004 busy 0 => quiet; close ledger |");
}

#[test]
fn one_that_never_served_is_not_held_up_by_silence() {
    check(
        Template { quiet: told().quiet, ..asked() },
        "0 begin => starting; launch 1 {} |
         0 started => starting; connect |
         1 refused => starting | the next probe at 6
         2 stop => quiet; quiet ledger; tell quiet; ask busy |
         3 told refused => quiet; ask busy | the next try to tell it to be quiet at 503
         4 busy refused => quiet; close ledger |",
    );
}

#[test]
fn a_slow_starter_that_answers_has_to_be_told() {
    check(
        Template { quiet: told().quiet, ..asked() },
        "0 begin => starting; launch 1 {} |
         0 started => starting; connect |
         1 refused => starting | the next probe at 6
         2 stop => quiet; quiet ledger; tell quiet; ask busy |
         3 told refused => quiet; ask busy | the next try to tell it to be quiet at 503
         4 busy 0 => quiet | the next try to tell it to be quiet at 503
         503 tick => quiet; tell quiet | the next busy check at 1004
         504 told ok => quiet; ask busy |
         505 busy 0 => quiet; close ledger |",
    );
}

#[test]
fn a_cut_asks_nobody() {
    check_ready(
        Template { pre_stop: vec![shell("x").into()], ..told() },
        "2 leases 3 => ready |
         3 cut => stopping; cut ledger; SIGTERM | its end, before SIGKILL at 10003
         10003 tick => stopping; kill | its end, before SIGKILL at 15003",
    );
    check(
        template(),
        "0 begin => starting; launch 1 {} |
         1 cut => starting |
         2 started => stopping; cut ledger; SIGTERM | its end, before SIGKILL at 10002",
    );
}

#[test]
fn there_is_no_way_back() {
    check_ready(
        template(),
        "2 quiet => quiet; quiet ledger |
         3 run => quiet |
         0 begin => note: an order to run came after one to be quiet: refused
         4 quiet => quiet |",
    );
}

const BUSY: &str = "0 begin => starting; launch 1 {} |
    0 started => starting; connect |
    1 passed => ready; ask busy |
    2 leases 1 => ready |
    3 busy 3 => ready | the next busy check at 5003";

#[test]
fn a_cut_and_a_death_take_the_jobs_that_only_the_check_told() {
    let script = "4 cut => stopping; cut ledger; SIGTERM | its end, before SIGKILL at 10004
         5 leases 0 => stopping | its end, before SIGKILL at 10004
         6 killed => exited; lose leases (its process was killed (signal 9)), 2 told since 3 of run 1 cut |";
    check(asked(), &format!("{BUSY}\n{script}"));
    let script = "5003 tick => ready; ask busy |
         5004 busy 2 => ready | the next busy check at 10004
         5005 leases 0 => ready | the next busy check at 10004
         5006 exited 3 => pending; lose leases (its process exited with status 3), 1 told since 3 of run 1 lost | the next start at 6006";
    check(asked(), &format!("{BUSY}\n{script}"));
}

#[test]
fn a_job_that_takes_a_lease_after_the_answer_is_the_ledgers() {
    let script = "4 leases 2 => ready | the next busy check at 5003
         5 leases 0 => ready | the next busy check at 5003
         6 killed => pending; lose leases (its process was killed (signal 9)), 1 told since 3 of run 1 lost | the next start at 1006";
    check(asked(), &format!("{BUSY}\n{script}"));
}

#[test]
fn jobs_of_one_that_ends_well_by_itself_are_not_lost() {
    let script = "4 exited 0 => exited; lose leases (its process exited with status 0) |";
    check(asked(), &format!("{BUSY}\n{script}"));
    let script = "4 stop => quiet; quiet ledger; ask busy |
         5 leases 0 => quiet |
         6 busy 0 => quiet; close ledger |
         7 closed => stopping; SIGTERM | its end, before SIGKILL at 10007
         8 killed => exited; lose leases (its process was killed (signal 9)) |";
    check(asked(), &format!("{BUSY}\n{script}"));
}

#[test]
fn jobs_that_were_not_told_are_not_counted_and_that_is_said() {
    let script = "0 begin => starting; launch 1 {} |
         0 started => starting; connect |
         1 passed => ready; ask busy |
         2 busy timed out => ready | the next busy check at 5002
         5 exited 3 => pending; lose leases (its process exited with status 3) | the next start at 1005
         0 begin => note: exited with status 3, and its busy check had not told its jobs: whether any were in progress is not known";
    check(asked(), script);
}

#[test]
fn a_check_that_fails_takes_nothing_back() {
    let script = "5003 tick => ready; ask busy |
         5004 busy timed out => ready | the next busy check at 10004
         5005 exited 3 => pending; lose leases (its process exited with status 3), 2 told since 3 of run 1 lost | the next start at 6005";
    check(asked(), &format!("{BUSY}\n{script}"));
}

#[test]
fn what_runs_before_a_start_is_awaited_and_killed_only_by_an_order_to_cut() {
    let prelude = Prelude { command: shell("migrate").into(), image: None, runs: PreludeRuns::Once };
    let container = Container { pre_start: vec![prelude], ..Container::of("api:1") };
    let preceded = Template { run: Run::Container(container.into()), ..template() };
    check(
        preceded,
        "0 begin => starting; launch 1 {} |
         5 stop => starting |
         9 cut => starting; kill | its end, before SIGKILL at 5009
         5009 tick => starting; kill | its end, before SIGKILL at 10009
         5010 not-started status 137 => exited |",
    );
    check(
        template(),
        "0 begin => starting; launch 1 {} |
         9 cut => starting |",
    );
}
