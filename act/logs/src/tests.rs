//! A reader against a writer, step by step; and a disk that does not move.

use super::line::{Extent, write_record};
use super::{From, Log, LogReader, Queue, Stream};
use crate::{LogLimits, folder_of};
use naru_model::Time;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

struct Bench {
    home: tempfile::TempDir,
    folder: PathBuf,
    log: Log,
}

/// A log whose files hold three records each.
fn bench(files: u32) -> Bench {
    let home = tempfile::tempdir().unwrap();
    let folder = folder_of(home.path(), &"a".into()).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let log = Log::open(&folder, LogLimits { file_bytes: 3 * record("l1").len() as u64, files }).unwrap();
    Bench { home, folder, log }
}

fn record(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_record(&mut out, Time(1_763_890_123_456), Stream::Stdout, Extent::Whole, text.as_bytes());
    out
}

impl Bench {
    fn write(&mut self, lines: std::ops::RangeInclusive<u32>) {
        let records: Vec<u8> = lines.flat_map(|n| record(&format!("l{n}"))).collect();
        self.log.append(&records);
    }

    fn reader(&self, from: From) -> LogReader {
        LogReader::open(self.home.path(), &"a".into(), from).unwrap()
    }
}

/// All that is there, in one line.
fn rest(reader: &mut LogReader) -> String {
    let lines = std::iter::from_fn(|| reader.read().unwrap());
    lines.map(|line| line.text).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_reader_follows_over_rotations_and_misses_nothing() {
    let mut bench = bench(3);
    let mut early = bench.reader(From::Start);
    assert_eq!(rest(&mut early), "");
    bench.write(1..=2);
    assert_eq!(rest(&mut early), "l1 l2");
    bench.write(3..=4);
    assert_eq!(rest(&mut early), "l3 l4");
    bench.write(5..=9);
    assert_eq!(rest(&mut early), "l5 l6 l7 l8 l9");
    assert_eq!(rest(&mut early), "");
    assert_eq!(rest(&mut bench.reader(From::Start)), "l1 l2 l3 l4 l5 l6 l7 l8 l9");
    bench.log.append(&record("la"));
    assert_eq!(rest(&mut bench.reader(From::Start)), "l4 l5 l6 l7 l8 l9 la");
    assert_eq!(rest(&mut bench.reader(From::Tail(5))), "l6 l7 l8 l9 la");
    assert_eq!(rest(&mut bench.reader(From::Tail(0))), "");
}

#[test]
fn a_reader_that_is_overtaken_says_so() {
    let mut bench = bench(2);
    bench.write(1..=1);
    let mut slow = bench.reader(From::Start);
    assert_eq!(rest(&mut slow), "l1");
    bench.write(2..=9);
    bench.log.append(&record("la"));
    assert_eq!(rest(&mut slow), "l2 l3 lines were rotated away before they were read l7 l8 l9 la");
}

#[test]
fn half_a_record_is_not_read_until_it_is_whole() {
    let bench = bench(3);
    let path = bench.folder.join("log");
    let mut reader = bench.reader(From::Start);
    std::fs::write(&path, "1 o on").unwrap();
    assert_eq!(rest(&mut reader), "");
    std::fs::write(&path, "1 o one\n").unwrap();
    assert_eq!(rest(&mut reader), "one");
}

#[test]
fn one_file_is_begun_anew_and_a_record_cut_by_a_crash_is_ended() {
    let mut bench = bench(1);
    bench.write(1..=4);
    assert_eq!(rest(&mut bench.reader(From::Start)), "l4");
    std::fs::write(bench.folder.join("log"), "1763890123456 o cut").unwrap();
    let mut log = Log::open(&bench.folder, LogLimits::default()).unwrap();
    log.append(&record("next"));
    assert_eq!(rest(&mut bench.reader(From::Start)), "cut next");
}

/// A pipe stands for a disk: full, it takes nothing until somebody reads.
#[test]
fn a_stuck_disk_drops_lines_after_a_second_and_recovers() {
    let home = tempfile::tempdir().unwrap();
    let folder = folder_of(home.path(), &"a".into()).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("log");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let disk = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&path).unwrap();
    let mut queue = Queue::start(Log::open(&folder, LogLimits::default()).unwrap()).unwrap();
    let line = record(&"x".repeat(1000));
    let began = Instant::now();
    let pushes = 2000;
    for _ in 0..pushes {
        queue.push(&line);
    }
    let took = began.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(20), "{took:?}");
    let reader = std::thread::spawn(move || {
        rustix::fs::fcntl_setfl(&disk, rustix::fs::OFlags::empty()).unwrap();
        let mut all = String::new();
        (&disk).read_to_string(&mut all).unwrap();
        all
    });
    queue.finish();
    drop(queue);
    let all = reader.join().unwrap();
    let note = all.lines().last().unwrap();
    let dropped: usize = note.split(' ').nth(2).unwrap().parse().unwrap();
    assert!(note.ends_with("bytes) dropped: the disk did not take them in time"), "{note}");
    assert_eq!(all.lines().count() - 1 + dropped, pushes);
    assert!(dropped > 1000);
}
