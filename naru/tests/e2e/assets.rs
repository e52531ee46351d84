//! Machines of a cloud: moto, which checks signatures and rights, through a proxy that makes faults. After each fault, where a
//! machine is by Naru's word is held against where it is by the cloud's.

use crate::moto::{Fault, Moto, pause};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

/// Nothing takes so long on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

const FILE: &str = "\
providers:
  lab:
    type: ec2
    region: us-east-1
    endpoint: URL
    profile: naru
    tags: { naru: [batch, web] }
    group: group
";

struct Stage {
    folder: tempfile::TempDir,
    moto: Moto,
    metadata: String,
}

impl Stage {
    /// `None`, told as skipped, where moto cannot be had. The cloud's user has the rights that Naru prints for the file.
    fn new(test: &str, own: Option<&str>) -> Option<Stage> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("home")).unwrap();
        let write = |url: &str| {
            std::fs::write(folder.path().join("home/assets.yaml"), FILE.replace("URL", url)).unwrap()
        };
        write("http://127.0.0.1:1");
        let policy = crate::command(folder.path(), &["assets", "iam-policy"]).unwrap();
        let moto = Moto::start(test, &as_moto_knows(&policy))?;
        write(&moto.proxy.url());
        let (key, secret) = moto.keys("naru");
        let keys = format!("[naru]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
        std::fs::write(folder.path().join("credentials"), keys).unwrap();
        let machine = own.map(|name| moto.machine(name)).unwrap_or_default();
        Some(Stage { folder, moto, metadata: metadata(machine) })
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn naru(&self, args: &[&str]) -> Output {
        let mut command = Command::new(crate::naru());
        command.args(args).current_dir(self.path()).env("NARU_HOME", self.path().join("home"));
        command.env("AWS_SHARED_CREDENTIALS_FILE", self.path().join("credentials"));
        command.env("AWS_CONFIG_FILE", "/nowhere").env("AWS_EC2_METADATA_SERVICE_ENDPOINT", &self.metadata);
        for name in ["AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_EC2_METADATA_DISABLED"] {
            command.env_remove(name);
        }
        command.output().unwrap()
    }

    /// What a command that succeeds says on both streams.
    fn said(&self, args: &[&str]) -> String {
        let output = self.naru(args);
        let text =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
        assert!(output.status.success(), "naru {args:?}: {text}");
        text
    }

    /// Where a machine is by Naru's word.
    fn known(&self, name: &str) -> Value {
        let view: Value = serde_json::from_str(&self.said(&["assets", "ls", "--json"])).unwrap();
        view["assets"].as_array().unwrap().iter().find(|one| one["name"] == name).cloned().unwrap_or_default()
    }

    /// Both words are this one, and what was wanted is reached.
    fn is(&self, name: &str, state: &str) {
        let known = self.known(name);
        assert_eq!(known["machine"]["state"], state, "{known}");
        assert_eq!(known["pursuit"]["is"], "reached", "{known}");
        assert_eq!(self.moto.state(name), state);
    }

    fn until(&self, what: &str, mut look: impl FnMut() -> bool) {
        let deadline = Instant::now() + LIMIT;
        while !look() {
            assert!(Instant::now() < deadline, "{what}: {}", self.said(&["assets", "ls"]));
            pause(Duration::from_millis(200));
        }
    }
}

/// Moto judges by a policy's actions. It knows nothing of resources and their tags, to which the printed one narrows them.
fn as_moto_knows(policy: &str) -> String {
    let mut policy: Value = serde_json::from_str(policy).unwrap();
    for statement in policy["Statement"].as_array_mut().unwrap() {
        statement["Resource"] = "*".into();
        statement.as_object_mut().unwrap().remove("Condition");
    }
    policy.to_string()
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.naru(&["shutdown", "--cut", "--yes"]);
    }
}

/// A double of the metadata service: it knows which machine this is, and nothing else. Without a machine, it knows nothing.
fn metadata(machine: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let n = stream.read(&mut request).unwrap_or(0);
            let text = String::from_utf8_lossy(&request[..n]).to_lowercase();
            let (status, body) = if text.starts_with("put /latest/api/token") {
                ("200 OK", "session")
            } else if text.contains("/instance-id") && text.contains("token: session") && !machine.is_empty()
            {
                ("200 OK", machine.as_str())
            } else {
                ("404 Not Found", "")
            };
            let length = body.len();
            // The client's own trouble, if it is gone.
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
            );
        }
    });
    url
}

#[test]
fn machines_are_found_started_and_stopped_whatever_becomes_of_requests() {
    let _turn = crate::TURN.blocking_lock();
    let Some(stage) = Stage::new("naru assets", None) else { return };
    let faults = &stage.moto.proxy;
    let found = stage.said(&["assets", "discover"]);
    assert!(found.contains("lab: 3 machines in us-east-1, with the credentials of profile naru"), "{found}");
    let listed = stage.said(&["assets", "ls"]);
    assert!(
        ["gpu-a", "gpu-b", "web"].iter().all(|name| listed.contains(name)) && !listed.contains("other"),
        "{listed}"
    );
    let forbidden = format!("client.terminate_instances(InstanceIds=['{}'])", stage.moto.machine("web"));
    assert!(
        stage.moto.as_user("naru", &forbidden).unwrap_err().contains("not authorized"),
        "the printed rights"
    );

    let steps = stage.said(&["assets", "start", "gpu-a", "-m", "a test"]);
    assert!(
        steps.contains("wants it on: a test") && steps.contains("gpu-a: it is running, after"),
        "{steps}"
    );
    stage.is("gpu-a", "running");
    assert!(stage.said(&["assets", "start", "gpu-a"]).contains("it is running already"));

    // The answer is lost: the machine's state tells, and nothing is asked twice.
    faults.fault("StopInstances", &[Fault::LoseAnswer]);
    let steps = stage.said(&["assets", "stop", "gpu-a", "--yes"]);
    assert!(steps.contains("whether the request to stop it was heard is not known"), "{steps}");
    stage.is("gpu-a", "stopped");
    assert_eq!(faults.count("StopInstances"), 1);

    // Too many requests, more often than the client itself tries.
    faults.fault("StartInstances", &vec![Fault::Refuse(503, "RequestLimitExceeded"); 5]);
    let steps = stage.said(&["assets", "start", "gpu-a"]);
    assert!(steps.contains("the request to start it is made again in"), "{steps}");
    stage.is("gpu-a", "running");
    stage.said(&["assets", "stop", "gpu-a", "--yes"]);

    // No room for this one: another of its group stands in.
    faults.fault("StartInstances", &[Fault::Refuse(400, "InsufficientInstanceCapacity")]);
    let steps = stage.said(&["assets", "start", "gpu-a"]);
    assert!(steps.contains("gpu-b stands in") && steps.contains("gpu-b: it is running, after"), "{steps}");
    assert_eq!(stage.known("gpu-a")["pursuit"]["by"], "gpu-b");
    assert_eq!(stage.moto.state("gpu-a"), "stopped");
    stage.is("gpu-b", "running");

    // The request is lost: it is made again, once looks have shown that it had no effect.
    faults.fault("StopInstances", &[Fault::Lose]);
    let before = faults.count("StopInstances");
    stage.said(&["assets", "stop", "web", "--yes"]);
    stage.is("web", "stopped");
    assert_eq!(faults.count("StopInstances"), before + 2);

    a_start_with_an_end_ends_by_itself(&stage);

    // A refusal for good.
    faults.fault("StopInstances", &[Fault::Refuse(400, "RequestExpired")]);
    let failed = stage.naru(&["assets", "stop", "gpu-b", "--yes"]);
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(failed.status.code() == Some(1) && said.contains("set the clock"), "{said}");
    assert_eq!(stage.known("gpu-b")["pursuit"]["is"], "failed");
    assert_eq!(stage.moto.state("gpu-b"), "running");
}

/// It is stopped once its time is over.
fn a_start_with_an_end_ends_by_itself(stage: &Stage) {
    let steps = stage.said(&["assets", "start", "gpu-a", "--for", "20s"]);
    assert!(steps.contains("wants it on until ") && steps.contains("gpu-a: it is running, after"), "{steps}");
    stage.until("it is stopped again", || stage.moto.state("gpu-a") == "stopped");
    stage.until("that is known", || stage.known("gpu-a")["pursuit"]["is"] == "reached");
    assert!(
        stage.known("gpu-a")["log"].to_string().contains("wanted it on until"),
        "{}",
        stage.known("gpu-a")
    );
}

#[test]
fn what_is_wanted_outlives_a_server_that_is_killed() {
    let _turn = crate::TURN.blocking_lock();
    let Some(stage) = Stage::new("naru assets kill", None) else { return };
    stage.said(&["assets", "ls"]);
    // It takes its time, as machines do.
    stage
        .moto
        .proxy
        .always("DescribeInstances", Fault::Answer("<name>running</name>", "<name>pending</name>"));
    let told = stage.said(&["assets", "start", "gpu-b", "--no-wait"]);
    assert!(told.contains("gpu-b is wanted on"), "{told}");
    let is_pending = || stage.known("gpu-b")["machine"]["state"] == "pending";
    stage.until("it is pending", is_pending);
    let stopping = stage.naru(&["assets", "stop", "gpu-b", "--yes", "--no-wait"]);
    assert!(stopping.status.success(), "{stopping:?}");
    let waits = "it is pending, and cannot be asked to stop before that is over";
    stage.until("it waits", || stage.known("gpu-b")["log"].to_string().contains(waits));
    let pid = std::fs::read_to_string(stage.path().join("home/server.lock")).unwrap();
    let pid = pid.trim().parse().ok().and_then(rustix::process::Pid::from_raw).expect("a number");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    assert_eq!(stage.moto.proxy.count("StopInstances"), 0);
    stage.moto.proxy.always("DescribeInstances", Fault::None);
    stage.until("it is stopped", || stage.known("gpu-b")["pursuit"]["is"] == "reached");
    stage.is("gpu-b", "stopped");
}

#[test]
fn the_machine_that_naru_runs_on_is_not_stopped_with_work_in_progress() {
    let _turn = crate::TURN.blocking_lock();
    let Some(stage) = Stage::new("naru assets own", Some("web")) else { return };
    let file = "name: shop\njobs:\n  long:\n    x-naru: { process: { command: [sh, -c, \"until [ -e go ]; do sleep 0.1; done\"] } }\n";
    std::fs::write(stage.path().join("compose.yaml"), file).unwrap();
    stage.said(&["up"]);
    stage.said(&["job", "run", "long", "--detach"]);
    stage.until("the job runs", || stage.said(&["work"]).contains("long"));
    let refused = stage.naru(&["assets", "stop", "web", "--yes"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(refused.status.code(), Some(4), "{said}");
    assert!(said.contains("1 job in progress on web, which is the machine that Naru runs on"), "{said}");
    assert_eq!(stage.moto.proxy.count("StopInstances"), 0);
    // Another machine is not held up by that.
    stage.said(&["assets", "start", "gpu-a"]);
    stage.said(&["assets", "stop", "gpu-a", "--yes"]);
    std::fs::write(stage.path().join("go"), "").unwrap();
    stage.until("the job has ended", || !stage.said(&["work"]).contains("long"));
    stage.said(&["assets", "stop", "web", "--yes"]);
    stage.is("web", "stopped");
}
