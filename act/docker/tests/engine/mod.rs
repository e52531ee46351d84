//! Container engines for tests: each on a socket of its own, with folders of its own, ended with the test.
//!
//! No registry is needed: the one image, `naru-test:1`, is made on the spot of Debian's static busybox.

#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The image that every test engine has.
pub const IMAGE: &str = "localhost/naru-test:1";

/// A running engine.
pub struct Engine {
    kind: Kind,
    home: tempfile::TempDir,
    child: Option<Child>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Docker,
    Podman,
}

impl Engine {
    /// `None`: the engine cannot run here, and that was said where skipped tests are counted.
    pub fn start(kind: Kind) -> Option<Engine> {
        Engine::start_with(kind, None)
    }

    /// Docker Engine, with its data on a disk of this size (`48m`), in memory.
    pub fn start_on(kind: Kind, size: &str) -> Option<Engine> {
        Engine::start_with(kind, Some(size))
    }

    fn start_with(kind: Kind, size: Option<&str>) -> Option<Engine> {
        let program = if kind == Kind::Docker { "dockerd" } else { "podman" };
        let missing = ["curl", "tar", "busybox", program].into_iter().find(|program| !is_there(program));
        if let Some(missing) = missing {
            return skip(&format!("{missing} is not installed"));
        }
        if !rustix::process::geteuid().is_root() {
            return skip(&format!("{program} is started as root"));
        }
        let home = tempfile::Builder::new().prefix("naru-engine-").tempdir().unwrap();
        if let Some(size) = size {
            let data = home.path().join("data");
            std::fs::create_dir(&data).unwrap();
            let options = format!("size={size}");
            let mounted =
                Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&data).status();
            if !mounted.is_ok_and(|status| status.success()) {
                return skip("a small disk cannot be mounted");
            }
        }
        let mut engine = Engine { kind, home, child: None };
        engine.run();
        engine.load_image();
        Some(engine)
    }

    /// The engine's socket.
    pub fn socket(&self) -> PathBuf {
        self.home.path().join("engine.sock")
    }

    /// Ends the engine as a crash would. Its containers run on.
    pub fn crash(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Starts the engine, again perhaps, and waits until it answers.
    pub fn run(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        let log =
            std::fs::File::options().create(true).append(true).open(self.home.path().join("log")).unwrap();
        let mut command = self.command();
        let child =
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.curl(&["http://engine/_ping"]).is_none() {
            assert!(Instant::now() < deadline, "the engine does not answer: {}", self.log());
            assert!(self.child.as_mut().unwrap().try_wait().unwrap().is_none(), "it ended: {}", self.log());
            pause();
        }
    }

    fn command(&self) -> Command {
        let in_home = |name: &str| self.home.path().join(name).to_string_lossy().into_owned();
        let socket = format!("unix://{}", self.socket().display());
        let mut command;
        if self.kind == Kind::Docker {
            command = Command::new("dockerd");
            command.args(["--bridge", "none", "--iptables=false", "--host", &socket]);
            command.args(["--data-root", &in_home("data"), "--exec-root", &in_home("exec")]);
            command.args(["--pidfile", &in_home("pid")]);
        } else {
            // The usual limits are above what a machine may allow its root.
            let settings = self.home.path().join("containers.conf");
            std::fs::write(
                &settings,
                "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n",
            )
            .unwrap();
            command = Command::new("podman");
            command.env("CONTAINERS_CONF", settings);
            command.args(["--root", &in_home("root"), "--runroot", &in_home("run")]);
            command.args(["--tmpdir", &in_home("tmp"), "--cgroup-manager", "cgroupfs"]);
            command.args(["system", "service", "--time", "0", &socket]);
        }
        command
    }

    /// Asks the engine; `None` where there is no answer or a bad one.
    pub fn curl(&self, arguments: &[&str]) -> Option<String> {
        let socket = self.socket();
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--fail", "--max-time", "60", "--unix-socket"])
            .arg(socket)
            .args(arguments)
            .output()
            .unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Removes a container by hand.
    pub fn remove_container(&self, container: &str) {
        let path = format!("http://engine/containers/{container}?force=true");
        self.curl(&["-X", "DELETE", &path]).expect("a container that is there");
    }

    /// Ids of the containers with a label.
    pub fn containers(&self, label: &str) -> Vec<String> {
        let filters = format!("filters={{\"label\":[\"{label}\"]}}");
        let listed = self
            .curl(&["-G", "http://engine/containers/json?all=true", "--data-urlencode", &filters])
            .unwrap();
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        listed.as_array().unwrap().iter().map(|one| one["Id"].as_str().unwrap().to_owned()).collect()
    }

    /// Names of the networks that are not the engine's own.
    pub fn networks(&self) -> Vec<String> {
        let listed: serde_json::Value =
            serde_json::from_str(&self.curl(&["http://engine/networks"]).unwrap()).unwrap();
        let names = listed.as_array().unwrap().iter().map(|one| one["Name"].as_str().unwrap().to_owned());
        let own = ["none", "host", "bridge", "podman"];
        let mut names: Vec<String> = names.filter(|name| !own.contains(&name.as_str())).collect();
        names.sort();
        names
    }

    fn load_image(&self) {
        let root = self.home.path().join("image");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        std::fs::create_dir_all(root.join("www")).unwrap();
        std::fs::copy("/bin/busybox", root.join("bin/busybox")).unwrap();
        let names = "sh cat echo grep head httpd id kill nc pwd sleep stat stty test true wc wget";
        for name in names.split(' ') {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let tar = self.home.path().join("image.tar");
        let made = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").status().unwrap();
        assert!(made.success());
        let body = format!("@{}", tar.display());
        let told = self.curl(&[
            "-X",
            "POST",
            "-H",
            "Content-Type: application/x-tar",
            "--data-binary",
            &body,
            "http://engine/images/create?fromSrc=-&repo=localhost/naru-test&tag=1",
        ]);
        let told = told.unwrap_or_else(|| panic!("no image: {}", self.log()));
        if self.kind == Kind::Podman {
            // It gives an image that is imported so no name.
            let id = told.rsplit("sha256:").next().unwrap().chars().take_while(char::is_ascii_hexdigit);
            let path =
                format!("http://engine/images/{}/tag?repo=localhost/naru-test&tag=1", id.collect::<String>());
            self.curl(&["-X", "POST", &path]).expect("the image's name");
        }
    }

    /// The test's image once more, as one that comes with a health check.
    pub fn load_checked_image(&self, reference: &str, healthcheck: &str) {
        let tar = format!("@{}", self.home.path().join("image.tar").display());
        let (name, tag) = reference.rsplit_once(':').unwrap();
        let change = format!("changes=HEALTHCHECK {healthcheck}").replace(' ', "%20").replace('/', "%2F");
        let path = format!("http://engine/images/create?fromSrc=-&repo={name}&tag={tag}&{change}");
        let kind = "Content-Type: application/x-tar";
        self.curl(&["-X", "POST", "-H", kind, "--data-binary", &tar, &path]).expect("an image");
    }

    fn log(&self) -> String {
        let log = std::fs::read_to_string(self.home.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    fn remove_all(&self) {
        let listed = self.curl(&["http://engine/containers/json?all=true"]).unwrap_or_default();
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap_or_default();
        for id in listed.as_array().into_iter().flatten().filter_map(|one| one["Id"].as_str()) {
            self.curl(&["-X", "DELETE", &format!("http://engine/containers/{id}?force=true&v=true")]);
        }
        for name in serde_json::from_str::<serde_json::Value>(
            &self.curl(&["http://engine/networks"]).unwrap_or_default(),
        )
        .unwrap_or_default()
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["Name"].as_str())
        .filter(|name| !["none", "host", "bridge", "podman"].contains(name))
        {
            self.curl(&["-X", "DELETE", &format!("http://engine/networks/{name}")]);
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.child.is_none() {
            self.run();
        }
        self.remove_all();
        if let Some(mut child) = self.child.take() {
            let pid = rustix::process::Pid::from_child(&child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let deadline = Instant::now() + Duration::from_secs(20);
            while matches!(child.try_wait(), Ok(None)) && Instant::now() < deadline {
                pause();
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        unmount(self.home.path());
    }
}

/// What an engine leaves mounted would keep its folder from being removed.
fn unmount(home: &Path) {
    let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
    let below = mounts
        .lines()
        .filter_map(|line| line.split(' ').nth(1))
        .filter(|path| Path::new(path).starts_with(home));
    for path in below.collect::<Vec<_>>().into_iter().rev() {
        let _ = Command::new("umount").arg("--lazy").arg(path).status();
    }
}

fn is_there(program: &str) -> bool {
    let paths = std::env::var("PATH").unwrap_or_default();
    paths.split(':').chain(["/usr/sbin", "/sbin", "/bin"]).any(|dir| Path::new(dir).join(program).exists())
}

/// A test that cannot run is counted as skipped, by the list that the test command reads.
pub fn skip(why: &str) -> Option<Engine> {
    use std::io::Write;
    let Some(path) = std::env::var_os("NARU_TEST_SKIPS") else {
        eprintln!("skipped: {why}");
        return None;
    };
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    let mut file = std::fs::File::options().append(true).create(true).open(path).unwrap();
    writeln!(file, "containers: {name}: {why}").unwrap();
    None
}

/// Between one look and the next, where nothing tells of a change.
fn pause() {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    let _ = receiver.recv_timeout(Duration::from_millis(50));
    drop(sender);
}
