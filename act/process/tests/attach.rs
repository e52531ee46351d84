//! Commands beside a running instance that somebody is attached to.

mod bench;

use bench::{Bench, LIMIT, bench, gone, id, is_there, sh};
use naru_model::Exit;
use naru_process::{AttachError, AttachOrder, Error};
use naru_reach::{Attached, Size, Source};
use std::time::Instant;

fn order(script: &str) -> AttachOrder {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    AttachOrder { argv, ..AttachOrder::default() }
}

fn on_terminal(script: &str) -> AttachOrder {
    AttachOrder { terminal: Some(Size { columns: 91, lines: 33 }), ..order(script) }
}

async fn running() -> Bench {
    let bench = bench().await;
    let mut launch = sh("exec sleep 1000");
    launch.environment.insert("GREETING".into(), "hello".into());
    bench.runtime.start(&id("a"), &launch, b"").await.unwrap();
    bench
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
async fn three_pipes_lead_to_the_command_and_back_whole() {
    let bench = running().await;
    let script = "echo $GREETING $MORE; pwd; echo oops >&2; wc -c; exit 3";
    let mut asked = order(script);
    asked.environment.insert("MORE".into(), "more".into());
    asked.working_dir = Some("tmp".into());
    let Attached { mut input, mut output, hold } = bench.runtime.attach(&id("a"), &asked).await.unwrap();
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
    assert_eq!(stdout, format!("hello more\n/tmp\n{}\n", 64 * (64 << 10)));
    assert_eq!(stderr, "oops\n");
    assert_eq!(hold.ended().await, Exit::Status(3));
}

#[tokio::test]
async fn a_terminal_has_the_size_that_it_is_told_and_its_keys() {
    let bench = running().await;
    let script = "stty size; while :; do read line; stty size; echo \"<$line>\"; done";
    let mut attached = bench.runtime.attach(&id("a"), &on_terminal(script)).await.unwrap();
    said(&mut attached, "33 91").await;
    attached.hold.resize(Size { columns: 120, lines: 40 }).await;
    attached.input.write(b"word\n").await.unwrap();
    let seen = said(&mut attached, "<word>").await;
    assert!(seen.contains("40 120"), "{seen:?}");
    // Ctrl-C.
    attached.input.write(&[3]).await.unwrap();
    assert_eq!(ended(&attached).await, Exit::Signal(2));
    said(&mut attached, "").await;
}

#[tokio::test]
async fn ctrl_d_ends_what_a_terminal_reads() {
    let bench = running().await;
    let mut attached = bench.runtime.attach(&id("a"), &on_terminal("cat; echo over")).await.unwrap();
    attached.input.end().await;
    said(&mut attached, "over").await;
    assert_eq!(ended(&attached).await, Exit::Status(0));
}

#[tokio::test]
async fn signals_reach_the_command_and_what_it_runs() {
    let bench = running().await;
    let script = "trap 'echo heard; exit 7' INT; echo up; sleep 1000 & wait";
    let mut attached = bench.runtime.attach(&id("a"), &order(script)).await.unwrap();
    said(&mut attached, "up").await;
    attached.hold.signal("SIGINT").await;
    said(&mut attached, "heard").await;
    assert_eq!(ended(&attached).await, Exit::Status(7));
}

#[tokio::test]
async fn when_nobody_is_there_the_command_is_told_and_then_ended_with_all_that_it_started() {
    let bench = running().await;
    let polite = "trap 'touch \"$MARK\"; exit 0' HUP; echo up; while :; do sleep 0.05; done";
    let home = tempfile::tempdir().unwrap();
    let mark = home.path().join("mark");
    let mut asked = order(polite);
    asked.environment.insert("MARK".into(), mark.display().to_string());
    let mut attached = bench.runtime.attach(&id("a"), &asked).await.unwrap();
    said(&mut attached, "up").await;
    attached.hold.hang_up().await;
    assert_eq!(ended(&attached).await, Exit::Status(0));
    assert!(mark.exists());
    let stubborn =
        "trap '' HUP INT TERM; (trap '' HUP; setsid sleep 1000) & echo pid $!; while :; do sleep 1; done";
    let mut attached = bench.runtime.attach(&id("a"), &order(stubborn)).await.unwrap();
    let seen = said(&mut attached, "\n").await;
    let pid = seen.trim().trim_start_matches("pid ").parse().unwrap();
    assert!(is_there(pid));
    attached.hold.hang_up().await;
    assert_eq!(ended(&attached).await, Exit::Signal(9));
    gone(pid).await;
}

#[tokio::test]
async fn it_ends_with_its_instance() {
    let bench = running().await;
    let mut attached = bench.runtime.attach(&id("a"), &order("echo up; exec sleep 1000")).await.unwrap();
    said(&mut attached, "up").await;
    let began = Instant::now();
    bench.runtime.kill(&id("a")).await.unwrap();
    let exit = ended(&attached).await;
    assert!(matches!(exit, Exit::Signal(1 | 9)), "{exit:?} after {:?}", began.elapsed());
    let after = bench.runtime.attach(&id("a"), &order("true")).await.map(drop);
    assert!(matches!(after, Err(AttachError::System(Error::NotRunning(_)))), "{after:?}");
}

#[tokio::test]
async fn what_cannot_be_run_says_why() {
    let bench = running().await;
    let words = |argv: &[&str]| AttachOrder {
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        ..AttachOrder::default()
    };
    let missing = bench.runtime.attach(&id("a"), &words(&["no-such-program"])).await.map(drop);
    assert!(
        matches!(&missing, Err(AttachError::NoProgram(why)) if why.contains("no-such-program")),
        "{missing:?}"
    );
    let folder = bench.runtime.attach(&id("a"), &words(&["/tmp"])).await.map(drop);
    assert!(matches!(folder, Err(AttachError::Unstartable(_))), "{folder:?}");
    let mut asked = order("true");
    asked.user = Some("nobody-of-that-name".into());
    let user = bench.runtime.attach(&id("a"), &asked).await.map(drop);
    assert!(matches!(user, Err(AttachError::User(_))), "{user:?}");
}
