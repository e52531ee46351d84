//! Instances whose own streams somebody has, from their start to their end.

mod bench;

use bench::{Bench, LIMIT, bench, command, gone, id, is_there, kill9, sh};
use naru_model::Exit;
use naru_process::{Launch, StartError, Started};
use naru_reach::{Attached, Size, Source};

const SIZE: Size = Size { columns: 91, lines: 33 };

async fn start(bench: &Bench, launch: &Launch, terminal: Option<Size>) -> (Started, Attached) {
    bench.runtime.start_attached(&id("a"), launch, b"", terminal).await.unwrap()
}

/// The next output, until there is so much of it as `wanted`, or until the end.
async fn said(attached: &mut Attached, wanted: &str) -> String {
    let mut all = String::new();
    let read = async {
        while !all.contains(wanted) || wanted.is_empty() {
            match attached.output.next().await {
                Some((_, bytes)) => all += &String::from_utf8_lossy(&bytes),
                None => break,
            }
        }
    };
    tokio::time::timeout(LIMIT, read).await.unwrap_or_else(|_| panic!("in time: {wanted:?}"));
    all
}

async fn ended(attached: &Attached) -> Exit {
    tokio::time::timeout(LIMIT, attached.hold.ended()).await.expect("an end in time")
}

#[tokio::test]
async fn all_of_it_comes_through_and_stands_in_the_log() {
    let mut bench = bench().await;
    let script = "echo oops >&2; wc -c; head -c 3000000 /dev/zero | tr '\\0' x; echo; echo last; exit 3";
    let (_, Attached { mut input, mut output, hold }) = start(&bench, &sh(script), None).await;
    let writing = async {
        for _ in 0..64 {
            input.write(&[b'x'; 64 << 10]).await.unwrap();
        }
        input.end().await;
    };
    let reading = async {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        while let Some((source, bytes)) = output.next().await {
            if source == Source::Stdout { stdout.extend(bytes) } else { stderr.extend(bytes) }
        }
        (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    };
    let ((), (stdout, stderr)) =
        tokio::time::timeout(LIMIT, async { tokio::join!(writing, reading) }).await.unwrap();
    assert!(stdout.starts_with(&format!("{}\nxxx", 64 * (64 << 10))) && stdout.ends_with("x\nlast\n"));
    assert_eq!(stdout.len(), "4194304\n".len() + 3_000_001 + "last\n".len());
    assert_eq!(stderr, "oops\n");
    assert_eq!(hold.ended().await, Exit::Status(3));
    assert_eq!(bench.exit().await, Exit::Status(3));
    let log = bench.log_lines("a");
    assert!(log.contains(&"Stderr oops".into()) && log.contains(&"Stdout last".into()), "{:?}", log.len());
}

/// The shim ends with the instance; what it passed on is in the pipe, however late it is read.
#[tokio::test]
async fn the_last_words_wait_for_whoever_reads_slowly() {
    let mut bench = bench().await;
    let (_, mut attached) = start(&bench, &sh("head -c 100000 /dev/zero | tr '\\0' x"), None).await;
    assert_eq!(bench.exit().await, Exit::Status(0));
    assert_eq!(said(&mut attached, "").await.len(), 100_000);
}

#[tokio::test]
async fn a_terminal_is_its_own_and_what_is_seen_on_it_stands_in_the_log() {
    let mut bench = bench().await;
    let script = "tty; while :; do read line; stty size; echo \"<$line>\"; done";
    let (_, mut attached) = start(&bench, &sh(script), Some(SIZE)).await;
    attached.input.write(b"one\n").await.unwrap();
    let seen = said(&mut attached, "<one>").await;
    assert!(seen.contains("/dev/pts/") && seen.contains("33 91"), "{seen:?}");
    attached.hold.resize(Size { columns: 120, lines: 40 }).await;
    attached.input.write(b"two\n").await.unwrap();
    assert!(said(&mut attached, "<two>").await.contains("40 120"));
    // Ctrl-C.
    attached.input.write(&[3]).await.unwrap();
    assert_eq!(ended(&attached).await, Exit::Signal(2));
    assert_eq!(bench.exit().await, Exit::Signal(2));
    let log = bench.log_lines("a").join("\n");
    assert!(log.contains("<one>") && log.contains("<two>"), "{log}");
}

#[tokio::test]
async fn signals_reach_all_of_it() {
    let bench = bench().await;
    let script = "trap 'echo heard; exit 7' INT; echo up; sleep 1000 & wait";
    let (_, mut attached) = start(&bench, &sh(script), None).await;
    said(&mut attached, "up").await;
    attached.hold.signal("SIGINT").await;
    said(&mut attached, "heard").await;
    assert_eq!(ended(&attached).await, Exit::Status(7));
}

/// By the word of whoever serves the session, and when the agent dies, whose ends of the pipes close.
#[tokio::test]
async fn when_nobody_is_there_it_is_told_and_then_ended() {
    let mut bench = bench().await;
    let polite = "trap 'exit 5' HUP; echo up; while :; do sleep 0.05; done";
    let (_, mut attached) = start(&bench, &sh(polite), None).await;
    said(&mut attached, "up").await;
    attached.hold.hang_up().await;
    assert_eq!(ended(&attached).await, Exit::Status(5));
    assert_eq!(bench.exit().await, Exit::Status(5));
    for terminal in [None, Some(SIZE)] {
        let (_, mut attached) = start(&bench, &sh(polite), terminal).await;
        said(&mut attached, "up").await;
        drop(attached);
        assert_eq!(bench.exit().await, Exit::Status(5), "{terminal:?}");
    }
    let stubborn =
        "trap '' HUP INT TERM; (trap '' HUP; setsid sleep 1000) & echo pid $!; while :; do sleep 1; done";
    let (_, mut attached) = start(&bench, &sh(stubborn), None).await;
    let seen = said(&mut attached, "\n").await;
    let pid = seen.trim().trim_start_matches("pid ").parse().unwrap();
    assert!(is_there(pid));
    drop(attached);
    assert_eq!(bench.exit().await, Exit::Signal(9));
    gone(pid).await;
}

#[tokio::test]
async fn it_is_killed_as_any_instance_is() {
    let mut bench = bench().await;
    let (_, mut attached) = start(&bench, &sh("echo up; exec sleep 1000"), None).await;
    said(&mut attached, "up").await;
    bench.runtime.kill(&id("a")).await.unwrap();
    assert_eq!(ended(&attached).await, Exit::Signal(9));
    assert_eq!(bench.exit().await, Exit::Signal(9));
    // Its shim is killed: nobody passes on what it says, and its end is seen all the same.
    let (started, mut attached) = start(&bench, &sh("echo up; exec sleep 1000"), None).await;
    said(&mut attached, "up").await;
    kill9(bench.shim_pid("a"));
    said(&mut attached, "").await;
    kill9(started.pid as i32);
    assert_eq!(ended(&attached).await, Exit::Unknown);
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let bench = bench().await;
    let missing = bench.runtime.start_attached(&id("a"), &command(&["no-such-program"]), b"", None).await;
    let missing = missing.map(drop);
    assert!(
        matches!(&missing, Err(StartError::Unstartable(why)) if why.contains("not found")),
        "{missing:?}"
    );
}
