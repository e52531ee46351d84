//! Commands in a container that somebody is attached to, of Docker Engine and of Podman.

mod bench;
mod engine;

use bench::{Bench, LIMIT, bench, id, sh};
use engine::Kind;
use naru_docker::{Error, ExecRequest};
use naru_model::Exit;
use naru_reach::{Attached, Size, Source};

const NAME: &str = "shop.web.1.1";

fn request(script: &str) -> ExecRequest {
    let argv = ["/bin/sh", "-c", script].map(str::to_owned).to_vec();
    ExecRequest { argv, ..ExecRequest::default() }
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

async fn ended(attached: &Attached) -> Exit {
    tokio::time::timeout(LIMIT, attached.hold.ended()).await.expect("an end in time")
}

#[tokio::test]
async fn docker_one_is_attached_to_a_command() {
    if let Some(bench) = bench(Kind::Docker) {
        all(bench).await;
    }
}

#[tokio::test]
async fn podman_one_is_attached_to_a_command() {
    if let Some(bench) = bench(Kind::Podman) {
        all(bench).await;
    }
}

async fn all(bench: Bench) {
    bench.start(NAME, 1, &sh("while :; do sleep 0.1; done")).await.unwrap();
    three_pipes_lead_there_and_back_whole(&bench).await;
    a_terminal_has_its_size_and_its_keys(&bench).await;
    signals_reach_it(&bench).await;
    when_nobody_is_there_it_is_ended(&bench).await;
    it_ends_with_its_container(&bench).await;
}

async fn attach(bench: &Bench, request: &ExecRequest, terminal: Option<Size>) -> Attached {
    bench.runtime().attach(&id(NAME), request, terminal).await.unwrap()
}

async fn three_pipes_lead_there_and_back_whole(bench: &Bench) {
    let mut asked = request("echo $MORE; pwd; echo oops >&2; wc -c; exit 3");
    asked.environment.insert("MORE".into(), "more".into());
    asked.working_dir = Some("/www".into());
    let Attached { mut input, mut output, hold } = attach(bench, &asked, None).await;
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
    assert_eq!(stdout, format!("more\n/www\n{}\n", 64 * (64 << 10)));
    assert_eq!(stderr, "oops\n");
    assert_eq!(hold.ended().await, Exit::Status(3));
}

async fn a_terminal_has_its_size_and_its_keys(bench: &Bench) {
    let script = "while :; do read line; stty size; echo \"<$line>\"; done";
    let mut attached = attach(bench, &request(script), Some(Size { columns: 91, lines: 33 })).await;
    attached.input.write(b"one\n").await.unwrap();
    assert!(said(&mut attached, "<one>").await.contains("33 91"));
    attached.hold.resize(Size { columns: 120, lines: 40 }).await;
    attached.input.write(b"two\n").await.unwrap();
    assert!(said(&mut attached, "<two>").await.contains("40 120"));
    // Ctrl-C.
    attached.input.write(&[3]).await.unwrap();
    said(&mut attached, "").await;
    assert_eq!(ended(&attached).await, Exit::Status(130));
}

async fn signals_reach_it(bench: &Bench) {
    let script = "trap 'echo heard; exit 7' INT; echo up; while :; do sleep 0.1; done";
    let mut attached = attach(bench, &request(script), None).await;
    said(&mut attached, "up").await;
    attached.hold.signal("SIGINT").await;
    said(&mut attached, "heard").await;
    assert_eq!(ended(&attached).await, Exit::Status(7));
}

async fn when_nobody_is_there_it_is_ended(bench: &Bench) {
    let mut attached =
        attach(bench, &request("trap '' HUP; echo up; while :; do sleep 0.1; done"), None).await;
    said(&mut attached, "up").await;
    attached.hold.hang_up().await;
    assert_eq!(ended(&attached).await, Exit::Status(137));
}

async fn it_ends_with_its_container(bench: &Bench) {
    let mut attached = attach(bench, &request("echo up; exec sleep 1000"), None).await;
    said(&mut attached, "up").await;
    bench.runtime().kill(&id(NAME)).await.unwrap();
    said(&mut attached, "").await;
    ended(&attached).await;
    let after = bench.runtime().attach(&id(NAME), &request("true"), None).await.map(drop);
    assert!(matches!(after, Err(Error::NotRunning(_))), "{after:?}");
}
