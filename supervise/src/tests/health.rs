//! From the start to ready, and between ready and unready.

use super::*;

fn checked(retries: u32, start_period: Span) -> Template {
    let health = Health {
        check: Check::Http(http("/healthz")),
        interval: Span::secs(30),
        timeout: Span::secs(3),
        retries,
        start_period,
        start_interval: Span::secs(5),
    };
    Template { health: Some(health), ..template() }
}

#[test]
fn without_a_check_it_is_ready_when_its_ports_accept() {
    check(
        template(),
        "0 begin => starting; launch 1 {} |
         5 started => starting; connect |
         6 refused => starting | the next probe at 11
         11 tick => starting; connect |
         300 refused => starting | the next probe at 320
         320 tick => starting; connect |
         2500 refused => starting | the next probe at 2700
         0 begin => note: not ready yet: refused
         2700 tick => starting; connect |
         2701 passed => ready |
         2702 passed => ready |",
    );
}

#[test]
fn without_a_port_it_is_ready_after_a_second() {
    check(
        Template { targets: vec![], ..template() },
        "0 begin => starting; launch 1 {} |
         5 started => starting | its first second at 1005
         1005 tick => ready |",
    );
}

#[test]
fn so_many_failures_in_a_row_make_it_unready_and_one_pass_ready() {
    check(
        checked(2, Span::ZERO),
        "0 begin => starting; launch 1 {} |
         5 started => starting; probe |
         6 refused => starting | the next probe at 11
         26 tick => starting; probe |
         27 failed => starting | the next probe at 427
         427 tick => starting; probe |
         430 passed => ready | the next probe at 30430
         30430 tick => ready; probe |
         30431 failed => ready | the next probe at 60431
         60431 tick => ready; probe |
         60432 failed => unready | the next probe at 90432
         60433 begin => note: its health check fails: status 503
         90432 tick => unready; probe |
         90433 passed => ready | the next probe at 120433
         0 begin => note:",
    );
}

#[test]
fn in_the_start_period_the_files_pace_holds_once_it_answers() {
    check(
        checked(1, Span::secs(60)),
        "0 begin => starting; launch 1 {} |
         0 started => starting; probe |
         1 refused => starting | the next probe at 6
         21 tick => starting; probe |
         22 failed => starting | the next probe at 5022
         5022 tick => starting; probe |
         5023 passed => ready | the next probe at 35023
         35023 tick => ready; probe |
         35024 failed => unready | the next probe at 65024",
    );
}

#[test]
fn post_start_comes_before_the_first_probe() {
    let hooked = || Template { post_start: vec![shell("migrate").into()], ..template() };
    check(
        hooked(),
        "0 begin => starting; launch 1 {} |
         1 started => starting; PostStart(0) |
         9 post-start ok => starting; connect |
         9 passed => ready |",
    );
    check(
        hooked(),
        "0 begin => starting; launch 1 {} |
         1 started => starting; PostStart(0) |
         9 post-start status 3 => starting |
         9 begin => note: not ready: its post_start command 1 failed: status 3",
    );
}

#[test]
fn a_start_that_waits_says_for_what_until_it_has_started() {
    check(
        template(),
        "0 begin => starting; launch 1 {} |
         1 waits pulling nginx => starting |
         1 begin => note: pulling nginx
         2 started => starting; connect |
         2 begin => note: ",
    );
}

/// What an image comes with.
pub(super) fn images() -> Option<Health> {
    let mut health = checked(1, Span::ZERO).health?;
    health.check = Check::Command(shell("pg_isready"));
    Some(health)
}

fn contained(image_health: ImageHealth) -> Template {
    Template { run: Run::Container(Container { image_health, ..Container::of("db:1") }.into()), ..template() }
}

#[test]
fn an_images_own_check_counts_where_the_file_has_none() {
    check(
        contained(ImageHealth::Counts),
        "0 begin => starting; launch 1 {} |
         0 started-checked => starting; probe |
         1 failed => starting | the next probe at 201
         401 tick => starting; probe |
         402 passed => ready | the next probe at 30402
         30402 tick => ready; probe |
         30403 failed => unready | the next probe at 60403",
    );
}

#[test]
fn an_images_own_check_can_be_turned_off_and_be_replaced() {
    check(
        contained(ImageHealth::Off),
        "0 begin => starting; launch 1 {} |
         0 started-checked => starting; connect |
         1 passed => ready |",
    );
    let own = Template { health: checked(2, Span::ZERO).health, ..contained(ImageHealth::Counts) };
    check(
        own,
        "0 begin => starting; launch 1 {} |
         0 started-checked => starting; probe |
         1 passed => ready | the next probe at 30001
         30001 tick => ready; probe |
         30002 failed => ready | the next probe at 60002",
    );
}
