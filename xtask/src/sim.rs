//! `cargo xtask sim`: many seeds of the simulation, side by side; the first failures are told as stories.

use crate::Failure;
use naru_sim::{Outcome, Sabotage};
use std::collections::BTreeMap;
use std::io::Write;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Stories of more failures than this nobody reads at a time.
const MOST_STORIES: usize = 3;
/// And more of them than this nobody wants listed.
const MOST_LINES: usize = 60;

/// How often the progress is told.
const PACE: Duration = Duration::from_secs(2);

/// What to run.
struct Order {
    from: u64,
    seeds: u64,
    threads: u64,
    sabotage: Option<Sabotage>,
}

/// Runs the seeds that `args` ask for.
///
/// # Errors
/// A seed failed, or an argument cannot be read.
pub fn run(args: &[String]) -> Result<(), Failure> {
    let order = Order::read(args)?;
    let began = Instant::now();
    let failed = run_all(&order);
    let took = began.elapsed().as_secs_f64();
    let failures: Vec<_> = failed.iter().filter_map(|outcome| outcome.failure.as_ref()).collect();
    failures.iter().take(MOST_STORIES).for_each(|failure| println!("{failure}\n"));
    for failure in failures.iter().skip(MOST_STORIES).take(MOST_LINES) {
        println!("seed {}: {}: {}", failure.seed, failure.property.name, failure.what);
    }
    tally(&failed).iter().for_each(|line| println!("{line}"));
    let rate = order.seeds as f64 / took;
    let seeds: Vec<_> = failed.iter().take(20).map(|outcome| outcome.seed.to_string()).collect();
    println!("{} seeds in {took:.1} s, {rate:.0} seeds/s, {} failed", order.seeds, failed.len());
    match failed.len() {
        0 => Ok(()),
        n => Err(Failure(format!("{n} seeds failed, the first of them: {}", seeds.join(" ")))),
    }
}

impl Order {
    fn read(args: &[String]) -> Result<Order, Failure> {
        let mut order = Order { from: 1, seeds: 1000, threads: 2, sabotage: None };
        let mut args = args.iter();
        while let Some(name) = args.next() {
            let value = args.next().ok_or_else(|| Failure(format!("{name} needs a value")))?;
            let number =
                || value.parse::<u64>().map_err(|_| Failure(format!("{name}: {value} is no number")));
            match name.as_str() {
                "--seeds" => order.seeds = number()?,
                "--from" => order.from = number()?,
                "--seed" => (order.from, order.seeds) = (number()?, 1),
                "--threads" => order.threads = number()?.clamp(1, 64),
                "--sabotage" => order.sabotage = Some(sabotage(value)?),
                _ => return Err(Failure(USAGE.into())),
            }
        }
        Ok(order)
    }
}

const USAGE: &str =
    "usage: cargo xtask sim [--seeds N] [--from S] [--seed S] [--threads N] [--sabotage NAME]";

fn sabotage(name: &str) -> Result<Sabotage, Failure> {
    Sabotage::ALL.iter().copied().find(|one| one.name() == name).ok_or_else(|| {
        let names: Vec<_> = Sabotage::ALL.iter().map(|one| one.name()).collect();
        Failure(format!("no planted fault is called {name}; there are {}", names.join(", ")))
    })
}

/// Which properties failed, how often, and at which seeds first.
fn tally(failed: &[Outcome]) -> Vec<String> {
    let mut by_name: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for failure in failed.iter().filter_map(|outcome| outcome.failure.as_ref()) {
        by_name.entry(failure.property.name).or_default().push(failure.seed);
    }
    let line = |(name, seeds): (&str, Vec<u64>)| {
        let first: Vec<_> = seeds.iter().take(8).map(u64::to_string).collect();
        format!("{:>5} {name}: {}", seeds.len(), first.join(" "))
    };
    by_name.into_iter().map(line).collect()
}

/// Runs all seeds, and returns those that failed, lowest first.
fn run_all(order: &Order) -> Vec<Outcome> {
    let next = AtomicU64::new(order.from);
    let stop = AtomicBool::new(false);
    let end = order.from + order.seeds;
    let (tell, told) = mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..order.threads {
            let (next, stop, tell) = (&next, &stop, tell.clone());
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end || tell.send(naru_sim::run(seed, order.sabotage)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(tell);
        gather(&told, order.seeds)
    })
}

fn gather(told: &mpsc::Receiver<Outcome>, seeds: u64) -> Vec<Outcome> {
    let (mut failed, mut done, mut events) = (Vec::new(), 0, 0);
    let mut last = Instant::now();
    for outcome in told {
        done += 1;
        events += outcome.events;
        if outcome.failure.is_some() {
            failed.push(outcome);
        }
        if last.elapsed() >= PACE {
            last = Instant::now();
            let mean = events / done;
            eprint!("\r{done} of {seeds} seeds, {mean} events a seed, {} failed ", failed.len());
            // Progress that cannot be shown changes nothing.
            let _ = std::io::stderr().flush();
        }
    }
    eprintln!();
    failed.sort_by_key(|outcome| outcome.seed);
    failed
}
