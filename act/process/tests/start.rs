//! Starting: what a program finds around it, and what is said where it cannot be started.

mod bench;

use bench::{Bench, bench, command, id, is_root, sh};
use naru_model::{Exit, Resources};
use naru_process::{AdoptedState, Launch, StartError};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The error of a start that must fail.
async fn refused(bench: &Bench, launch: &Launch) -> String {
    let error = bench.runtime.start(&id("a"), launch, b"").await.expect_err("it must not start");
    assert!(!matches!(error, StartError::System(_)), "{error:?}");
    error.to_string()
}

#[tokio::test]
async fn what_cannot_be_started_says_what_and_where() {
    let bench = bench().await;
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str, mode: u32| {
        let path = home.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    file("plain", "echo", 0o644);
    file("script", "echo", 0o755);
    file("orphan", "#!/no/such/interpreter\n", 0o755);
    let here = |word: &str| Launch { working_dir: home.path().into(), ..command(&[word]) };
    let place = home.path().display();
    let mut bare = command(&["no-such-program"]);
    bare.environment.insert("PATH".into(), "/bin:/opt".into());
    let denied = "permission denied (not a file, not executable, or in a folder that is closed to the user";
    let cases = [
        (bare, "instance a: program \"no-such-program\" not found in PATH (/bin:/opt)".to_owned()),
        (here("./none"), format!("instance a: program \"./none\" not found (working_dir {place})")),
        (here("./plain"), format!("instance a: program \"./plain\": {denied}; working_dir {place})")),
        (command(&["/tmp"]), format!("instance a: program \"/tmp\": {denied}; working_dir /)")),
        (
            here("./script"),
            "instance a: program \"./script\" is no program for this machine (a script needs a first line such as #!/bin/sh)".to_owned(),
        ),
        (
            here("./orphan"),
            "instance a: program \"./orphan\" is there, and the interpreter that its first line (or its ELF header) names is not".to_owned(),
        ),
        (
            Launch { working_dir: "/no/such".into(), ..sh("exit 0") },
            "instance a: cannot enter working_dir /no/such: No such file or directory (os error 2)".to_owned(),
        ),
        (
            Launch { working_dir: "relative".into(), ..sh("exit 0") },
            "instance a: working_dir \"relative\" is not absolute".to_owned(),
        ),
        (command(&[]), "instance a: the command is empty".to_owned()),
        (command(&["a\0b"]), "instance a: the command holds a zero byte, in \"a\\0b\"".to_owned()),
        (
            Launch { environment: BTreeMap::from([("A=B".into(), String::new())]), ..sh("exit 0") },
            "instance a: \"A=B\" cannot be the name of an environment variable".to_owned(),
        ),
        (
            Launch { environment: BTreeMap::from([("KEY".into(), "secret\0".into())]), ..sh("exit 0") },
            "instance a: the value of environment variable KEY holds a zero byte".to_owned(),
        ),
        (
            Launch { user: Some("no-such-user".into()), ..sh("exit 0") },
            "user \"no-such-user\" is not known on this machine".to_owned(),
        ),
        (
            Launch { user: Some("root:no-such-group".into()), ..sh("exit 0") },
            "group \"no-such-group\" is not known on this machine".to_owned(),
        ),
        (
            Launch { user: Some("54321".into()), ..sh("exit 0") },
            "user 54321 has no entry in the user database, so its group is not known: write 54321:GROUP".to_owned(),
        ),
    ];
    for (launch, want) in cases {
        assert_eq!(refused(&bench, &launch).await, want);
    }
}

#[tokio::test]
async fn a_failed_start_leaves_nothing_running_and_can_be_mended() {
    let mut bench = bench().await;
    refused(&bench, &command(&["no-such-program"])).await;
    let second = bench::bench_in(&bench.dir).await;
    assert!(
        matches!(&second.adopted[0].state, AdoptedState::Ended { exit: Exit::NotStarted(why), .. } if why.contains("not found")),
        "{:?}",
        second.adopted
    );
    bench.runtime.start(&id("a"), &sh("exit 2"), b"").await.unwrap();
    assert_eq!(bench.exit().await, Exit::Status(2));
    for bad in ["", ".", "..", "../a", "a/b", ".hidden", "a b", &"x".repeat(201)] {
        let error = bench.runtime.start(&id(bad), &sh("exit 0"), b"").await.unwrap_err();
        assert!(error.to_string().contains("is no instance id"), "{error}");
    }
}

#[tokio::test]
async fn the_environment_is_exactly_what_was_given() {
    let mut bench = bench().await;
    let mut launch = command(&["env"]);
    launch.environment = BTreeMap::from([("A".into(), "1 2".into()), ("LANG".into(), "ko_KR".into())]);
    bench.runtime.start(&id("a"), &launch, b"").await.unwrap();
    bench.ended().await;
    let mut want: BTreeMap<String, String> = BTreeMap::new();
    for name in ["PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ"] {
        want.extend(std::env::var(name).ok().map(|value| (name.to_owned(), value)));
    }
    want.extend(launch.environment.clone());
    let mut lines = bench.log_lines("a");
    lines.sort();
    let want: Vec<_> = want.iter().map(|(name, value)| format!("Stdout {name}={value}")).collect();
    assert_eq!(lines, want);
    assert_eq!(launch.full_environment().unwrap().len(), want.len());
}

#[tokio::test]
async fn no_descriptor_and_no_signal_state_leaks() {
    let mut bench = bench().await;
    let script = "umask; grep -E '^(SigBlk|SigIgn)' /proc/self/status; cd /proc/self/fd; echo *; readlink 0";
    bench.runtime.start(&id("a"), &command(&["/bin/sh", "-c", script]), b"").await.unwrap();
    bench.ended().await;
    let lines = bench.log_lines("a");
    assert_eq!(lines[0], "Stdout 0022");
    for (line, name) in lines[1..3].iter().zip(["SigBlk", "SigIgn"]) {
        assert_eq!(line, &format!("Stdout {name}:\t0000000000000000"));
    }
    // The shell's own look at the folder may be a fourth.
    assert!(["Stdout 0 1 2", "Stdout 0 1 2 3"].contains(&lines[3].as_str()), "{}", lines[3]);
    assert_eq!(lines[4], "Stdout /dev/null");
}

#[tokio::test]
async fn files_are_closed_to_others_and_no_secret_stands_on_a_command_line() {
    let bench = bench().await;
    let mut launch = sh("echo ready; exec sleep 1000");
    launch.environment.insert("TOKEN".into(), "hunter2-secret".into());
    bench.runtime.start(&id("a"), &launch, b"").await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&bench.dir), mode(&bench.dir.join("a"))), (0o700, 0o700));
    for entry in std::fs::read_dir(bench.dir.join("a")).unwrap().flatten() {
        assert_eq!(mode(&entry.path()), 0o600, "{:?}", entry.path());
    }
    let shim = format!("/proc/{}", bench.shim_pid("a"));
    for file in ["cmdline", "environ"] {
        let bytes = std::fs::read(format!("{shim}/{file}")).unwrap();
        assert!(!String::from_utf8_lossy(&bytes).contains("hunter2"), "{file}");
    }
    bench.runtime.kill(&id("a")).await.unwrap();
}

#[tokio::test]
async fn root_can_run_an_instance_as_another_user() {
    if !is_root() {
        return eprintln!("skipped: only root may become another user");
    }
    let mut bench = bench().await;
    let script = "id -u; id -g; id -G; echo $HOME $USER; touch /root/x 2> /dev/null || echo denied";
    for (n, user) in ["nobody", "12345:54321", "nobody:54321"].into_iter().enumerate() {
        let name = format!("a{n}");
        let launch = Launch { user: Some(user.into()), ..sh(script) };
        bench.runtime.start(&id(&name), &launch, b"").await.unwrap();
        bench.ended().await;
    }
    let said = |name| bench.log_lines(name).iter().map(|line| line[7..].to_owned()).collect::<Vec<_>>();
    assert_eq!(said("a0"), ["65534", "65534", "65534", "/nonexistent nobody", "denied"]);
    assert_eq!(said("a1"), ["12345", "54321", "54321", "/", "denied"]);
    assert_eq!(said("a2"), ["65534", "54321", "54321", "/nonexistent nobody", "denied"]);
}

#[test]
fn without_root_another_user_is_refused() {
    if !is_root() {
        return eprintln!("skipped: needs root to give the agent another user to be");
    }
    use std::os::unix::process::CommandExt;
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let dir = home.path().join("i");
    let agent = |user: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_naru-shim-test"));
        command.arg("agent").arg(&dir).args([&format!("of-{user}"), "exit 0", user]);
        command.uid(65534).gid(65534).stdout(std::process::Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.as_mut().unwrap()), &mut line)
            .unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        line
    };
    let refusal =
        "cannot run as user \"root\": the agent runs as uid 65534, and only root may become another user";
    assert_eq!(agent("root").trim(), format!("failed {refusal}"));
    assert!(agent("nobody").starts_with("started "));
}

#[tokio::test]
async fn each_limit_is_in_force_or_warned_about() {
    let bench = bench().await;
    let resources =
        Resources { cpus_milli: Some(500), memory: Some(64 << 20), pids: Some(20), ..Resources::default() };
    let launch = Launch { resources, ..sh("exec sleep 1000") };
    let started = bench.runtime.start(&id("a"), &launch, b"").await.unwrap();
    let state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.dir.join("a/state")).unwrap()).unwrap();
    let groups: Vec<&str> =
        state["cgroups"].as_array().unwrap().iter().map(|g| g.as_str().unwrap()).collect();
    let holds = |file: &str, value: &str| {
        let is_in = |group: &str| {
            let read = |name: &str| std::fs::read_to_string(Path::new(group).join(name)).unwrap_or_default();
            read(file).trim() == value && read("cgroup.procs").contains(&started.pid.to_string())
        };
        groups.iter().any(|group| is_in(group))
    };
    let warned = |name: &str| {
        started.warnings.iter().any(|said| said.starts_with(&format!("{name} limit not applied: ")))
    };
    let cpu = holds("cpu.max", "50000 100000") || holds("cpu.cfs_quota_us", "50000");
    let memory = holds("memory.max", "67108864") || holds("memory.limit_in_bytes", "67108864");
    for (name, is_held) in [("cpu", cpu), ("memory", memory), ("pids", holds("pids.max", "20"))] {
        println!("{name}: {}", if is_held { "in force" } else { "warned about" });
        assert!(is_held != warned(name), "{name}: {groups:?} {:?}", started.warnings);
    }
    bench.runtime.kill(&id("a")).await.unwrap();
    assert!(groups.iter().all(|group| !Path::new(group).exists()), "groups are left: {groups:?}");
}
