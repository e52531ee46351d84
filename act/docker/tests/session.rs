//! Containers whose own streams somebody has, from before their start to their end: of Docker Engine and of Podman.

mod bench;
mod engine;

use bench::{Bench, LIMIT, bench, id, sh};
use engine::Kind;
use naru_docker::{Launch, Started};
use naru_model::Exit;
use naru_reach::{Attached, Size, Source};

const NAME: &str = "shop.web.1.1";

async fn start(bench: &Bench, run: u64, script: &str, terminal: Option<Size>) -> (Started, Attached) {
    let mut launch: Launch = sh(script);
    (launch.container.stdin_open, launch.container.tty) = (true, terminal.is_some());
    let prepared = bench.runtime().prepare(&launch, |_| {}).await.unwrap();
    bench.runtime().start_attached(&id(NAME), run, &launch, &prepared, terminal).await.unwrap()
}

/// Until there is so much of it as `wanted`, or until the end.
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

async fn ended(bench: &mut Bench, attached: &Attached) -> Exit {
    let exit = tokio::time::timeout(LIMIT, attached.hold.ended()).await.expect("an end in time");
    assert_eq!(bench.ended().await.exit, exit, "whoever is there sees what the agent sees");
    exit
}

#[tokio::test]
async fn docker_one_has_the_streams_of_a_container() {
    if let Some(bench) = bench(Kind::Docker) {
        all(bench).await;
    }
}

#[tokio::test]
async fn podman_one_has_the_streams_of_a_container() {
    if let Some(bench) = bench(Kind::Podman) {
        all(bench).await;
    }
}

async fn all(mut bench: Bench) {
    three_pipes_lead_there_and_back_whole(&mut bench).await;
    a_terminal_has_its_size_and_its_keys(&mut bench).await;
    signals_reach_it(&mut bench).await;
    when_nobody_is_there_it_is_ended(&mut bench).await;
    a_start_that_is_given_up_leaves_nothing(&mut bench).await;
}

async fn three_pipes_lead_there_and_back_whole(bench: &mut Bench) {
    let (_, mut attached) = start(bench, 1, "echo first; echo oops >&2; wc -c; exit 3", None).await;
    let Attached { input, output, .. } = &mut attached;
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
    let both = async { tokio::join!(writing, reading) };
    let ((), (stdout, stderr)) = tokio::time::timeout(LIMIT, both).await.unwrap();
    assert_eq!(stdout, format!("first\n{}\n", 64 * (64 << 10)));
    assert_eq!(stderr, "oops\n");
    assert_eq!(ended(bench, &attached).await, Exit::Status(3));
    assert!(bench.lines(NAME, 3).await.contains(&"first".into()), "its log has it, too");
}

async fn a_terminal_has_its_size_and_its_keys(bench: &mut Bench) {
    let script = "trap 'exit 9' INT; while :; do read line; stty size; echo \"<$line>\"; done";
    let (_, mut attached) = start(bench, 2, script, Some(Size { columns: 91, lines: 33 })).await;
    attached.input.write(b"one\n").await.unwrap();
    assert!(said(&mut attached, "<one>").await.contains("33 91"));
    attached.hold.resize(Size { columns: 120, lines: 40 }).await;
    attached.input.write(b"two\n").await.unwrap();
    assert!(said(&mut attached, "<two>").await.contains("40 120"));
    // Ctrl-C.
    attached.input.write(&[3]).await.unwrap();
    said(&mut attached, "").await;
    assert_eq!(ended(bench, &attached).await, Exit::Status(9));
}

async fn signals_reach_it(bench: &mut Bench) {
    let script = "trap 'echo heard; exit 7' INT; echo up; while :; do sleep 0.1; done";
    let (_, mut attached) = start(bench, 3, script, None).await;
    said(&mut attached, "up").await;
    attached.hold.signal("SIGINT").await;
    said(&mut attached, "heard").await;
    assert_eq!(ended(bench, &attached).await, Exit::Status(7));
}

/// By the word of whoever serves the session, or of a later agent that finds it running.
async fn when_nobody_is_there_it_is_ended(bench: &mut Bench) {
    let (_, mut attached) =
        start(bench, 4, "trap 'exit 5' HUP; echo up; while :; do sleep 0.1; done", None).await;
    said(&mut attached, "up").await;
    attached.hold.hang_up().await;
    assert_eq!(ended(bench, &attached).await, Exit::Status(5));
    let (_, mut attached) = start(bench, 5, "trap '' HUP; echo up; while :; do sleep 0.1; done", None).await;
    said(&mut attached, "up").await;
    drop(attached);
    bench.runtime().hang_up(&id(NAME)).await;
    assert_eq!(bench.ended().await.exit, Exit::Signal(9));
}

async fn a_start_that_is_given_up_leaves_nothing(bench: &mut Bench) {
    let (_, mut attached) = start(bench, 6, "echo up; exec sleep 1000", None).await;
    said(&mut attached, "up").await;
    bench.runtime().give_up(&id(NAME)).await.unwrap();
    assert!(bench.engine.containers("naru.instance").is_empty());
}
