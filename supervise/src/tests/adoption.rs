//! A new agent goes on where the earlier one was.

use super::*;

fn found(rig: &Rig) -> Found {
    let life = rig.machine.life();
    Found::Running { run: life.run, pid: 7, started: Time(0), ports: [(80, 20_000)].into() }
}

/// Runs `script`, then hands the memory to a new machine, then runs `after` on that one.
#[track_caller]
fn check_adopted(template: Template, script: &str, found: fn(&Rig) -> Found, after: &str) {
    let earlier = check(template, script);
    let memory = earlier.machine.memory().clone();
    let now = Time(100_000);
    let machine = Supervisor::adopt(now, memory, 0, found(&earlier));
    run(&mut Rig { machine, question: 0 }, after);
}

const READY: &str = "0 begin => starting; launch 1 {} |
    0 started => starting; connect |
    1 passed => ready |";

#[test]
fn ready_stays_ready() {
    check_adopted(template(), READY, found, "100000 begin => ready |");
}

#[test]
fn quiet_stays_quiet_and_is_not_told_twice() {
    check_adopted(
        Template { quiet: Some(QuietCall::Signal("USR1".into())), ..template() },
        &format!("{READY}\n2 quiet => quiet; quiet ledger; tell quiet |\n3 told ok => quiet |"),
        found,
        "100000 begin => quiet; quiet ledger |
         100001 stop => quiet; close ledger |",
    );
}

#[test]
fn what_the_busy_check_told_last_is_kept_until_it_answers_again() {
    let busy = Template { busy: Some(Action::Command(shell("busy"))), ..template() };
    let told = "0 begin => starting; launch 1 {} |
        0 started => starting; connect |
        1 passed => ready; ask busy |
        3 busy 2 => ready | the next busy check at 5003";
    let mut rig = check(busy.clone(), told);
    let adopted = Supervisor::adopt(Time(9), rig.machine.memory().clone(), 0, found(&rig));
    rig = Rig { machine: adopted, question: 0 };
    let status = rig.status(9);
    assert_eq!((status.jobs.jobs, status.oldest_job), (2, Some(Time(3))));
    run(
        &mut rig,
        "10 begin => ready; ask busy |
         11 busy 1 => ready | the next busy check at 5011
         12 killed => pending; lose leases (its process was killed (signal 9)), 1 told since 3 of run 1 lost | the next start at 1012
         12 begin => note: was killed (signal 9)",
    );
    let adopted = Supervisor::adopt(Time(20), rig.machine.memory().clone(), 0, Found::Nothing);
    let again = "20 begin => pending; lose leases (its process was killed (signal 9)), 1 told since 3 of run 1 lost | the next start at 1012";
    run(&mut Rig { machine: adopted, question: 0 }, again);
}

#[test]
fn a_start_is_not_carried_out_twice() {
    let starting = "0 begin => starting; launch 1 {} |";
    check_adopted(template(), starting, found, "100000 begin => starting; connect |");
    check_adopted(template(), starting, |_| Found::Nothing, "100000 begin => starting; launch 1 {} |");
}

#[test]
fn an_end_that_the_agent_slept_through_is_seen() {
    check_adopted(
        template(),
        READY,
        |rig| Found::Ended { run: rig.machine.life().run, exit: Exit::Status(4) },
        "100000 begin => pending; lose leases (its process exited with status 4) | the next start at 101000",
    );
    check_adopted(
        template(),
        READY,
        |_| Found::Nothing,
        "100000 begin => pending; lose leases (its process is gone, and nobody saw how it ended) | \
         the next start at 101000",
    );
}

#[test]
fn a_stop_under_way_goes_on() {
    let closing = format!("{READY}\n2 stop => quiet; quiet ledger; close ledger |");
    check_adopted(template(), &closing, found, "100000 begin => quiet; quiet ledger; close ledger |");
    let signalled = format!("{closing}\n4 closed => stopping; SIGTERM | its end, before SIGKILL at 10004");
    check_adopted(
        template(),
        &signalled,
        found,
        "100000 begin => stopping; SIGTERM | its end, before SIGKILL at 110000",
    );
}

#[test]
fn what_was_not_said_to_the_ledger_is_said_again() {
    check_adopted(
        template(),
        &format!("{READY}\n2 cut => stopping; cut ledger; SIGTERM | its end, before SIGKILL at 10002"),
        found,
        "100000 begin => stopping; cut ledger; SIGTERM | its end, before SIGKILL at 110000",
    );
    let script = format!(
        "{READY}\n2 killed => pending; lose leases (its process was killed (signal 9)) | the next start at 1002"
    );
    let memory = check(template(), &script).machine.memory().clone();
    let machine = Supervisor::adopt(Time(3), memory, 1, Found::Nothing);
    run(
        &mut Rig { machine, question: 0 },
        "3 begin => pending; lose leases (its process was killed (signal 9)) | the next start at 1002",
    );
}

#[test]
fn a_pause_before_a_restart_is_kept() {
    check_adopted(
        template(),
        &format!(
            "{READY}\n2 killed => pending; lose leases (its process was killed (signal 9)) | the next start at 1002"
        ),
        |_| Found::Nothing,
        "100000 begin => starting; launch 2 {80: 20000} |",
    );
}
