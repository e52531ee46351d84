//! Logs of real processes: rotation, order, long lines, a full disk.

mod bench;

use bench::{Bench, Steps, bench, bench_in, id, is_root, sh};
use naru_logs::{From, LogLimits, LogReader, Stream};
use naru_model::Exit;
use naru_process::Launch;
use std::path::PathBuf;
use std::process::Command;

#[tokio::test]
async fn a_log_rotates_by_size_and_keeps_the_newest() {
    let mut bench = bench().await;
    let log = LogLimits { file_bytes: 20_000, files: 3 };
    let launch = Launch { log, ..sh("i=1; while [ $i -le 5000 ]; do echo line $i; i=$((i+1)); done") };
    bench.runtime.start(&id("a"), &launch, b"").await.unwrap();
    assert_eq!(bench.exit().await, Exit::Status(0));
    let files = ["log", "log.1", "log.2"].map(|name| bench.dir.join("a").join(name));
    let sizes = files.map(|path| std::fs::metadata(path).unwrap().len());
    assert!(sizes.iter().all(|&size| size <= 20_000) && sizes[1] > 19_900 && sizes[2] > 19_900, "{sizes:?}");
    assert!(!bench.dir.join("a/log.3").exists());
    let lines = bench.log_lines("a");
    let first: usize = lines[0].strip_prefix("Stdout line ").unwrap().parse().unwrap();
    let want: Vec<_> = (first..=5000).map(|n| format!("Stdout line {n}")).collect();
    assert!(lines == want, "from {first} on, {} lines", lines.len());
    for count in [0, 1, 10, 1000, 1_000_000] {
        let mut tail = LogReader::open(&bench.dir, &id("a"), From::Tail(count)).unwrap();
        let read = std::iter::from_fn(|| tail.read().unwrap()).map(|line| format!("Stdout {}", line.text));
        assert_eq!(read.collect::<Vec<_>>(), want[want.len().saturating_sub(count)..]);
    }
}

#[tokio::test]
async fn both_streams_keep_their_order_and_are_told_apart() {
    let mut bench = bench().await;
    let home = tempfile::tempdir().unwrap();
    let steps = Steps::new(home.path(), "steps");
    let script = format!(
        "for i in 1 2 3; do echo o$i; read x < {0}; echo e$i >&2; read x < {0}; done; printf unfinished",
        steps.path
    );
    bench.runtime.start(&id("a"), &sh(&script), b"").await.unwrap();
    let mut log = bench.log("a");
    for _ in 0..6 {
        bench.line(&mut log).await;
        steps.go();
    }
    bench.ended().await;
    let streams =
        ["Stdout o1", "Stderr e1", "Stdout o2", "Stderr e2", "Stdout o3", "Stderr e3", "Stdout unfinished"];
    assert_eq!(bench.log_lines("a"), streams);
}

#[tokio::test]
async fn a_line_of_a_megabyte_is_cut_and_nothing_is_lost() {
    let mut bench = bench().await;
    let script = "head -c 1000000 /dev/zero | tr '\\0' x; echo; echo short";
    bench.runtime.start(&id("a"), &sh(script), b"").await.unwrap();
    assert_eq!(bench.exit().await, Exit::Status(0));
    let mut reader = bench.log("a");
    let lines: Vec<_> = std::iter::from_fn(|| reader.read().unwrap()).collect();
    let long: usize = lines[..lines.len() - 1].iter().map(|line| line.text.len()).sum();
    assert_eq!((long, lines.last().unwrap().text.as_str()), (1_000_000, "short"));
    assert!(lines.iter().all(|line| line.text.len() <= 16 << 10 && line.stream == Stream::Stdout));
    let continued = lines.iter().filter(|line| line.continues).count();
    assert_eq!(continued, lines.len() - 2);
}

#[tokio::test]
async fn a_burst_at_the_very_end_is_kept() {
    let mut bench = bench().await;
    let script = "i=1; while [ $i -le 2000 ]; do echo line $i; i=$((i+1)); done; kill -9 $$";
    bench.runtime.start(&id("a"), &sh(script), b"").await.unwrap();
    assert_eq!(bench.exit().await, Exit::Signal(9));
    let lines = bench.log_lines("a");
    assert_eq!((lines.len(), lines.last().map(String::as_str)), (2000, Some("Stdout line 2000")));
}

/// A file system of its own, unmounted at the end.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Option<SmallDisk> {
        std::fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        let mounted = mount.args(["-t", "tmpfs", "-o", "size=1m", "none"]).arg(&path).output().unwrap();
        mounted.status.success().then_some(SmallDisk(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// Lines in the log, and lines that its notes say were dropped.
fn account(bench: &Bench) -> (usize, usize) {
    let lines = bench.log_lines("a");
    let dropped = lines
        .iter()
        .filter_map(|line| line.strip_prefix("Note ")?.split_once(" line")?.0.parse::<usize>().ok());
    (lines.iter().filter(|line| line.starts_with("Stdout ")).count(), dropped.sum())
}

#[tokio::test]
async fn a_full_disk_drops_lines_and_neither_the_instance_nor_its_exit() {
    if !is_root() {
        return eprintln!("skipped: only root may mount a small file system");
    }
    let home = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(home.path().join("disk")) else {
        return eprintln!("skipped: no file system can be mounted here");
    };
    let (steps, burst_over) = (Steps::new(home.path(), "steps"), Steps::new(home.path(), "over"));
    let mut bench = bench_in(&disk.0.join("i")).await;
    let burst = "i=1; while [ $i -le 20000 ]; do echo a line of a hundred bytes or so, to fill the disk with, number $i; i=$((i+1)); done";
    let script = format!(
        "read x < {0}; {burst}; echo x > {1}; read x < {0}; echo after; {burst}; exit 3",
        steps.path, burst_over.path
    );
    bench.runtime.start(&id("a"), &sh(&script), b"").await.unwrap();
    let filler = disk.0.join("filler");
    // The last block too.
    let mut file = std::fs::File::create(&filler).unwrap();
    while std::io::Write::write(&mut file, &[0; 4096]).is_ok() {}
    drop(file);
    steps.go();
    burst_over.come().await;
    std::fs::remove_file(&filler).unwrap();
    steps.go();
    assert_eq!(bench.exit().await, Exit::Status(3));
    let (logged, dropped) = account(&bench);
    println!("on a disk of 1 MiB: {logged} lines logged, {dropped} said to be dropped");
    assert!(bench.log_lines("a").iter().any(|line| line == "Stdout after"));
    assert!(bench.log_lines("a").iter().any(|line| line.contains("No space left on device")));
    // The second burst fills the disk again, so that its last note may not have found room.
    assert!(logged > 1000 && dropped >= 19_000 && logged + dropped <= 40_001, "{logged} + {dropped}");
}
