//! A job: the template of its runs, and when they are.
//!
//! The form is that of the Compose Specification's pull request 642 (`jobs`), and what it lacks stands in the job's own
//! `x-naru`: side by side, limits of time, tries.

use crate::read::Reader;
use crate::service::{self, Setting, text};
use crate::{build, ports};
use naru_model::{CatchUp, Job, Overlap, Restart, RestartPolicy, Schedule, Span};
use naru_schedule::{Times, Unreadable};
use naru_yaml::Node;

/// From the first try to the second, where the file does not say.
const BACKOFF: Span = Span::secs(10);

/// Tries that are not the first. A number beyond it is a slip of the finger.
const MOST_RETRIES: u64 = 100;

/// Schedules of one job. Each is reckoned at every look.
const MOST_SCHEDULES: usize = 100;

/// The job at `node`. What does not fit is reported, and a default stands in its place.
pub(crate) fn job(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>) -> Job {
    let own = |key: &str| node.at(&["x-naru", key]);
    // It is reached by nobody: ports are read for their errors alone.
    ports::ports(reader, node);
    let mut template = service::template(reader, node, setting, vec![], vec![]);
    let (policy, delay, window) = (RestartPolicy::No, Span::ZERO, Span::ZERO);
    template.restart = Restart { policy, delay, max_attempts: None, window };
    template.health = None;
    let allowed = reader.word("x-naru.concurrency", own("concurrency"), &[("allow", Overlap::Allow)]);
    let schedules = schedules(reader, node, allowed);
    let queues = schedules.iter().any(|schedule| schedule.overlap == Overlap::Queue);
    let timeout = reader.span("x-naru.timeout", own("timeout"));
    if let (Some(Span(0)), Some(written)) = (timeout, own("timeout")) {
        reader.error(
            written.pos,
            "x-naru.timeout of nothing lets no run end",
            "write a time, or leave it out",
        );
    }
    Job {
        build: build::build(node),
        depends_on: service::depends_on(node, setting.root),
        overlap: allowed.unwrap_or(if queues { Overlap::Queue } else { Overlap::Forbid }),
        by_hand: reader.truth("triggers.manual", node.at(&["triggers", "manual"])).unwrap_or(true),
        schedules,
        timeout,
        retries: reader.whole("x-naru.retries", own("retries"), 0, MOST_RETRIES).unwrap_or(0) as u32,
        backoff: reader.span("x-naru.backoff", own("backoff")).unwrap_or(BACKOFF),
        template,
    }
}

fn schedules(reader: &mut Reader<'_>, node: &Node, allowed: Option<Overlap>) -> Vec<Schedule> {
    let Some(written) = node.at(&["triggers", "schedule"]) else { return vec![] };
    let items = written.items();
    if let Some(beyond) = items.get(MOST_SCHEDULES) {
        let what =
            format!("triggers.schedule has {} entries, and {MOST_SCHEDULES} are the most", items.len());
        reader.error(beyond.pos, what, "make several jobs of it");
    }
    items.iter().take(MOST_SCHEDULES).filter_map(|item| schedule(reader, item, allowed)).collect()
}

fn schedule(reader: &mut Reader<'_>, item: &Node, allowed: Option<Overlap>) -> Option<Schedule> {
    let overlaps = [("forbid", Overlap::Forbid), ("queue", Overlap::Queue)];
    let catch_ups = [("one", CatchUp::One), ("skip", CatchUp::Skip)];
    let at = "triggers.schedule";
    let overlap = reader.word(&format!("{at}.concurrency"), item.get("concurrency"), &overlaps);
    let catch_up = reader.word(&format!("{at}.missed_fires"), item.get("missed_fires"), &catch_ups);
    let schedule = Schedule {
        cron: item.get_str("cron")?.split_whitespace().collect::<Vec<_>>().join(" "),
        timezone: text(item, "timezone").unwrap_or_else(|| "UTC".into()),
        overlap: allowed.or(overlap).unwrap_or_default(),
        catch_up: catch_up.unwrap_or_default(),
    };
    match Times::read(&schedule) {
        Ok(_) => Some(schedule),
        Err(unreadable) => {
            let (key, advice) = match &unreadable {
                Unreadable::Zone { .. } => ("timezone", "write its name, as Europe/Paris, or UTC"),
                _ => ("cron", "write minute, hour, day, month and day of the week, as \"0 3 * * *\""),
            };
            let pos = item.get(key).map_or(item.pos, |node| node.pos);
            reader.error(pos, format!("{at}.{key}: {unreadable}"), advice);
            None
        }
    }
}

/// What of a job is accepted and has no effect, beside what has none on a service either: by its path.
pub(crate) const WITHOUT_EFFECT: &[&str] = &["expose", "healthcheck", "ports"];

/// The dependencies of a job on other jobs, which are not waited for.
pub(crate) fn on_jobs<'a>(node: &'a Node, root: &'a Node) -> impl Iterator<Item = (&'a String, &'a Node)> {
    let all = node.get("depends_on").into_iter().flat_map(Node::entries);
    all.filter(|(name, _)| root.at(&["jobs", name]).is_some())
}
