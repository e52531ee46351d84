//! What a shim costs: memory while it waits, and time to start and to end.

mod bench;

use bench::{bench, command, id, sh};
use std::time::{Duration, Instant};

/// Kilobytes of a field of `/proc/PID/smaps_rollup`.
fn kilobytes(pid: i32, field: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let line = text.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_shim_that_waits_is_small() {
    let bench = bench().await;
    bench.runtime.start(&id("a"), &sh("echo ready; exec sleep 1000"), b"").await.unwrap();
    let mut log = bench.log("a");
    bench.line(&mut log).await;
    let shim = bench.shim_pid("a");
    let [rss, own] = ["Rss:", "Private_Dirty:"].map(|field| kilobytes(shim, field));
    println!("a shim: {rss} kB resident, {own} kB its own");
    assert!(rss < 6 << 10 && own < 1 << 10, "{rss} kB resident, {own} kB its own");
    bench.runtime.kill(&id("a")).await.unwrap();
}

#[tokio::test]
async fn a_start_takes_milliseconds() {
    let mut bench = bench().await;
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for n in 0..100 {
        let began = Instant::now();
        bench.runtime.start(&id(&format!("i{n}")), &command(&["true"]), b"").await.unwrap();
        starts.push(began.elapsed());
        bench.ended().await;
        ends.push(began.elapsed());
    }
    starts.sort();
    ends.sort();
    println!("median of 100: started in {:?}, ended and recorded in {:?}", starts[50], ends[50]);
    // Loose: other work may have the machine.
    assert!(starts[50] < Duration::from_millis(200), "{:?}", starts[50]);
}
