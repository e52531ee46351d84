//! Many routes: what they cost a request, how soon a change of them counts, and whether a change loses anything.

use super::have_a_core;
use super::peer::{Places, Running, Teller, certify, listener, missing};
use crate::load::{Ask, Engine, Group, Service};
use crate::report::{Report, median, most};
use clap::Args;
use naru_model::{
    Backend, Forward, Generation, Match, Protocol, ReleaseNo, RouteTable, Rule, RuleAction, Split,
};
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Clients; each asks for another of the routes.
const CLIENTS: usize = 64;
/// How long a change of routes may take to count, in ms.
const CHANGE_MS: f64 = 10.0;
/// What a request may cost more, by many routes: what it differs by from one run to the next.
const NO_LOSS: f64 = 0.97;
/// Between two changes under load.
const PACE: Duration = Duration::from_millis(10);
/// Load that is not measured.
const WARM: Duration = Duration::from_millis(300);

/// The measurement.
#[derive(Args, Clone, Debug)]
pub struct Routes {
    /// Routes, each to two instances
    #[arg(long, default_value_t = 1000)]
    routes: usize,
    /// How often the cost of a request is measured, with one route and with all
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each takes, in seconds
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// How long routes change under load, in seconds
    #[arg(long, default_value_t = 60)]
    changing: u64,
}

impl Routes {
    /// Runs it.
    ///
    /// # Errors
    /// The edge does not start, or refuses a table.
    pub fn run(&self) -> io::Result<Report> {
        let absent = missing(&[]);
        if !absent.is_empty() {
            return Err(io::Error::other(format!("not installed: {}", absent.join("; "))));
        }
        have_a_core()?;
        let folder = tempfile::tempdir()?;
        certify(folder.path())?;
        let mut engine = Engine::new()?;
        let web = vec![engine.serve(Service::Http)?, engine.serve(Service::Http)?];
        let mut lab = Lab { engine, web, folder: folder.path() };
        let title = format!("{} routes, {} instances", self.routes, self.routes * 2);
        let mut report = Report::new(title);
        self.cost(&mut lab, &mut report)?;
        self.changes(&mut lab, &mut report)?;
        Ok(report)
    }

    fn cost(&self, lab: &mut Lab<'_>, report: &mut Report) -> io::Result<()> {
        let time = Duration::from_secs_f64(self.seconds);
        let tables = [Table::One, Table::OneToMany, Table::All(self.routes)];
        let mut costs = [Vec::new(), Vec::new(), Vec::new()];
        for round in 0..self.rounds {
            // Whatever grows or falls meanwhile meets all alike.
            for at in (0..3).map(|at| (at + round) % 3) {
                let cost = lab.cost(tables[at], time)?;
                eprintln!("  round {} {:<40} {cost:>8.1} µs", round + 1, tables[at].to_string());
                costs[at].push(cost);
            }
        }
        for (table, costs) in tables.iter().zip(&costs) {
            report.figure(&format!("CPU for a request with {table}"), format!("{:.1} µs", median(costs)));
        }
        let [one, many, all] = &costs;
        let of = |less: &[f64]| {
            let ratios: Vec<f64> = less.iter().zip(all).map(|(less, all)| less / all).collect();
            median(&ratios)
        };
        report.figure("requests a core with all, of those with one to two", format!("{:.2} ×", of(one)));
        report.ratio("of those with one to as many as are asked", of(many), NO_LOSS);
        Ok(())
    }

    /// Changes routes under load, and sees how long each takes to count and whether anything fails.
    fn changes(&self, lab: &mut Lab<'_>, report: &mut Report) -> io::Result<()> {
        let (mut running, places) = lab.start()?;
        running.apply(&table(&places, self.routes, 1))?;
        let group = lab.load(places.http, self.routes)?;
        lab.engine.run(WARM)?;
        let alone = change_alone(&mut running, &places, self.routes)?;
        let teller = running.teller().ok_or_else(|| io::Error::other("it takes no tables"))?;
        lab.clear(&group);
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, routes, at) = (stop.clone(), self.routes, places.clone());
        let changing = thread::spawn(move || change(teller, &at, routes, &stopped));
        lab.engine.run(Duration::from_secs(self.changing))?;
        stop.store(true, Ordering::Relaxed);
        while !changing.is_finished() {
            lab.engine.turn(Duration::from_millis(5))?;
        }
        let taken =
            changing.join().map_err(|_| io::Error::other("the thread that changes routes panicked"))??;
        let (done, faults) = lab.end(&group);
        report.figure(
            "a change of routes, alone, until it counts: median",
            format!("{:.1} ms", median(&alone)),
        );
        report.at_most("the longest of 100", most(&alone), CHANGE_MS, "ms");
        report.figure("under load: median", format!("{:.1} ms", median(&taken)));
        report.figure("under load: the longest", format!("{:.1} ms", most(&taken)));
        report.at_least("changes under load", taken.len() as u64, self.changing * 100 * 95 / 100);
        report.figure("requests meanwhile", done);
        report.none("failed requests", &faults);
        Ok(())
    }
}

/// What the parts of the measurement share.
struct Lab<'a> {
    engine: Engine,
    web: Vec<SocketAddr>,
    folder: &'a Path,
}

impl Lab<'_> {
    fn start(&self) -> io::Result<(Running, Places)> {
        let places = Places::new(&self.web, &self.web, self.folder)?;
        let folder = tempfile::tempdir_in(self.folder)?;
        // The folder outlives this: it is within the one of the whole measurement.
        let running = Running::start(super::peer::Peer::Naru, &places, &folder.keep())?;
        Ok((running, places))
    }

    fn cost(&mut self, by: Table, time: Duration) -> io::Result<f64> {
        let (mut running, places) = self.start()?;
        running.apply(&by.table(&places))?;
        let groups = self.load(places.http, by.routes())?;
        self.engine.run(WARM)?;
        self.clear(&groups);
        let cpu = running.cpu()?;
        self.engine.run(time)?;
        let cpu = running.cpu()? - cpu;
        let (done, faults) = self.end(&groups);
        match faults.first() {
            Some(fault) => Err(io::Error::other(fault.clone())),
            None => Ok(cpu.as_secs_f64() * 1e6 / done.max(1) as f64),
        }
    }

    /// Clients that ask for routes all over the table.
    fn load(&mut self, to: SocketAddr, routes: usize) -> io::Result<Vec<Group>> {
        let hosts = (0..CLIENTS).map(|client| client * routes / CLIENTS);
        hosts.map(|route| self.engine.open(1, to, Ask::get_of(&host(route), "/b/1024"))).collect()
    }

    fn clear(&mut self, groups: &[Group]) {
        groups.iter().for_each(|group| self.engine.tally(*group).clear());
    }

    /// Closes the clients: what was done, and what failed.
    fn end(&mut self, groups: &[Group]) -> (u64, Vec<String>) {
        let (mut done, mut faults) = (0, Vec::new());
        for group in groups {
            let tally = self.engine.tally(*group);
            done += tally.done;
            faults.extend((0..tally.failed).map(|_| tally.fault.clone().unwrap_or_default()));
            self.engine.close(*group);
        }
        (done, faults)
    }
}

/// What the cost of a request is measured by. Each client has a connection to each instance that its route leads to, so
/// with more instances there are more connections, for the system too: what routes cost is what is left where those
/// are alike.
#[derive(Clone, Copy, Debug)]
enum Table {
    /// One route, to two instances.
    One,
    /// One route, to as many instances as the clients ask by all routes.
    OneToMany,
    /// So many routes, to two instances each.
    All(usize),
}

impl fmt::Display for Table {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Table::One => out.write_str("one route to 2 instances"),
            Table::OneToMany => write!(out, "one route to {} instances", CLIENTS * 2),
            Table::All(routes) => write!(out, "{routes} routes to {} instances", routes * 2),
        }
    }
}

impl Table {
    fn routes(self) -> usize {
        match self {
            Table::One | Table::OneToMany => 1,
            Table::All(routes) => routes,
        }
    }

    fn table(self, places: &Places) -> RouteTable {
        let web: Vec<SocketAddr> = match self {
            Table::One | Table::All(_) => places.web.clone(),
            Table::OneToMany => places.web.iter().copied().cycle().take(CLIENTS * 2).collect(),
        };
        table(&Places { web, ..places.clone() }, self.routes(), 1)
    }
}

fn host(route: usize) -> String {
    format!("r{route}.bench.test")
}

/// A route for each host, to two instances of its own. From one generation to the next, one of a hundred has
/// new instances.
fn table(places: &Places, routes: usize, generation: u64) -> RouteTable {
    let mut web = listener("http", places.http, Protocol::Http, &places.web);
    web.service = None;
    web.splits.clear();
    web.rules =
        (0..routes).map(|route| rule(route, release(route, generation), &places.web).into()).collect();
    RouteTable { generation: Generation(generation), listeners: vec![web] }
}

/// How often a route has changed by some generation.
fn release(route: usize, generation: u64) -> u64 {
    (generation + route as u64 % 100) / 100 + 1
}

fn rule(route: usize, release: u64, web: &[SocketAddr]) -> Rule {
    let backend = |(n, address): (usize, &SocketAddr)| {
        Backend::new(
            format!("bench.s{route}.{release}.{n}").as_str().into(),
            ReleaseNo(release),
            address.to_string(),
        )
    };
    let splits = vec![Split { weight: 1, backends: web.iter().enumerate().map(backend).collect() }];
    let service = format!("s{route}").as_str().into();
    Rule {
        name: format!("routes[{route}]"),
        when: Match { hosts: vec![host(route)], ..Match::default() },
        guard: Default::default(),
        edits: Default::default(),
        action: RuleAction::Forward(Forward {
            service,
            target: 80,
            http2: false,
            splits,
            policy: Default::default(),
        }),
    }
}

/// A hundred changes, with nothing else to do; in ms.
fn change_alone(running: &mut Running, places: &Places, routes: usize) -> io::Result<Vec<f64>> {
    let one = |generation| Ok(running.apply(&table(places, routes, generation))?.as_secs_f64() * 1e3);
    (2..102).map(one).collect()
}

/// Changes at a pace, until it is told to stop; how long each took, in ms.
fn change(mut teller: Teller, places: &Places, routes: usize, stop: &AtomicBool) -> io::Result<Vec<f64>> {
    let mut taken = Vec::new();
    let mut due = Instant::now();
    while !stop.load(Ordering::Relaxed) {
        let generation = 102 + taken.len() as u64;
        taken.push(teller.apply(&table(places, routes, generation))?.as_secs_f64() * 1e3);
        due += PACE;
        thread::park_timeout(due.saturating_duration_since(Instant::now()));
    }
    Ok(taken)
}

#[cfg(test)]
mod tests {
    use super::release;

    #[test]
    fn each_change_is_of_some_routes_and_all_get_their_turn() {
        for generation in 1..300 {
            let changed = |route: &usize| release(*route, generation) != release(*route, generation + 1);
            assert_eq!((0..1000).filter(changed).count(), 10);
        }
    }
}
