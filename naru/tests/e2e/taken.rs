//! An address that cannot be opened: the rest serves, and the command says that it did not go well.

use std::net::TcpListener;
use std::process::Command;

#[test]
fn an_address_that_another_program_has_is_a_failure() {
    let _turn = crate::TURN.blocking_lock();
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let exe = env!("CARGO_BIN_EXE_naru");
    let file = format!(
        "name: taken\nservices:\n  web:\n    image: x\n    ports: [{{ target: 80, published: \"{port}\", \
         host_ip: 127.0.0.1, app_protocol: http }}]\n    x-naru: {{ process: {{ command: [\"{exe}\", demo-tier, \"1\"] }} }}\n"
    );
    std::fs::write(folder.path().join("compose.yaml"), file).unwrap();
    let naru = |args: &[&str]| {
        let mut command = Command::new(exe);
        command.args(args).current_dir(folder.path()).env("NARU_HOME", folder.path().join("home"));
        command.output().unwrap()
    };
    let up = naru(&["up"]);
    let said = String::from_utf8_lossy(&up.stderr).into_owned();
    let ended = naru(&["down"]).status.success() && naru(&["shutdown"]).status.success();
    assert!(ended, "what was started is ended");
    assert_eq!(up.status.code(), Some(1), "{said}");
    assert!(said.contains(&format!("127.0.0.1:{port} is not open")), "{said}");
}
