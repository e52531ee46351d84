//! Images from sources to a registry and back: built, pushed, pulled with a password, kept by releases, gone back to.
//!
//! The registry is a real one, on loopback; the engines are the test's own. A pull that finds its disk full is asked for
//! while a client counts what the old release answers.

use crate::containers::{Client, ask, free_port, pause};
use crate::engine::{Engine, IMAGE, Kind, skip};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// `ann` with the password `open-sesame`, as the registry keeps it and as `docker login` leaves it.
const KEPT: &str = "ann:$2y$05$QGayUVOnjdDJJDXegPgBIeQTmgcFyo.ocTJ44k5.EC0ctEbesNuQq\n";
const LOGIN: &str = "YW5uOm9wZW4tc2VzYW1l";

/// Nothing takes so long on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A registry on loopback, ended with the test.
struct Registry {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Registry {
    /// `None`: skipped.
    fn start() -> Option<Registry> {
        if !Path::new("/usr/bin/docker-registry").exists() {
            skip("docker-registry is not installed");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let port = free_port();
        let dir = folder.path().display();
        std::fs::write(folder.path().join("users"), KEPT).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {dir}/blobs }}, delete: {{ enabled: true }} }}\n\
             http: {{ addr: 127.0.0.1:{port} }}\nauth: {{ htpasswd: {{ realm: test, path: {dir}/users }} }}\n"
        );
        let path = folder.path().join("config.yml");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let registry = Registry { child, port, _folder: folder };
        let deadline = Instant::now() + LIMIT;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "the registry does not listen");
            pause(Duration::from_millis(50));
        }
        Some(registry)
    }

    fn image(&self, name: &str) -> String {
        format!("127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A home beside an engine, with a folder for files and a configuration of registries.
struct Desk<'a> {
    engine: &'a Engine,
    folder: tempfile::TempDir,
    port: u16,
}

impl<'a> Desk<'a> {
    fn of(engine: &'a Engine) -> Desk<'a> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("login")).unwrap();
        Desk { engine, folder, port: free_port() }
    }

    fn naru(&self, args: &[&str]) -> Output {
        let mut command = Command::new(crate::naru());
        command.args(args).current_dir(self.folder.path());
        command.env("NARU_HOME", self.folder.path().join("home"));
        command.env("DOCKER_CONFIG", self.folder.path().join("login"));
        command.env("DOCKER_HOST", format!("unix://{}", self.engine.socket().display()));
        command.output().unwrap()
    }

    /// What it says on both streams; it ends well.
    fn said(&self, args: &[&str]) -> String {
        let output = self.naru(args);
        let both = [output.stdout, output.stderr].concat();
        let text = String::from_utf8(both).unwrap();
        assert!(output.status.success(), "naru {args:?}: {text}");
        text
    }

    /// What it says where it fails.
    fn fails(&self, args: &[&str]) -> String {
        let output = self.naru(args);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success(), "naru {args:?}: {text}");
        text
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text.replace("PORT", &self.port.to_string())).unwrap();
    }

    fn log_in(&self, registry: &Registry) {
        let name = format!("127.0.0.1:{}", registry.port);
        self.write("login/config.json", &format!("{{\"auths\": {{\"{name}\": {{\"auth\": \"{LOGIN}\"}}}}}}"));
    }

    fn answers(&self, page: &str) {
        assert_eq!(ask(self.port).as_deref(), Ok(page));
    }
}

impl Drop for Desk<'_> {
    fn drop(&mut self) {
        self.naru(&["shutdown", "--cut", "--yes"]);
    }
}

/// A service whose image is built here, and the recipe.
const BUILT: &str = r#"
name: built
services:
  web:
    image: REPO/web:1
    build: { context: ./web, args: { PLACE: www } }
    ports: ["127.0.0.1:PORT:8080"]
    stop_grace_period: 1s
    command: [httpd, -f, -p, "8080", -h, /www]
"#;
const RECIPE: &str = "FROM IMAGE\nARG PLACE\nCOPY index.html /${PLACE}/\nCMD [\"httpd\", \"-f\", \"-p\", \"8080\", \"-h\", \"/www\"]\n";

/// One that has it from the registry.
const PULLED: &str = r#"
name: pulled
services:
  web:
    image: REPO/web:1
    pull_policy: always
    ports: ["127.0.0.1:PORT:8080"]
    stop_grace_period: 1s
    command: [httpd, -f, -p, "8080", -h, /www]
"#;

fn repo(registry: &Registry, text: &str) -> String {
    text.replace("REPO/", &registry.image(""))
}

#[test]
fn a_tag_that_moves_is_a_release_and_a_rollback_goes_back_to_the_very_image() {
    let _turn = crate::TURN.blocking_lock();
    let Some(registry) = Registry::start() else { return };
    let Some(engine) = Engine::start(Kind::Docker) else { return };
    let (maker, user) = (Desk::of(&engine), Desk::of(&engine));
    maker.write("compose.yaml", &repo(&registry, BUILT));
    maker.write("web/Dockerfile", &RECIPE.replace("IMAGE", IMAGE));
    maker.write("web/.dockerignore", "left-out\n");
    maker.write("web/left-out", "x");
    maker.write("web/index.html", "one");
    user.write("compose.yaml", &repo(&registry, PULLED));

    a_private_registry_wants_a_password(&maker, &user, &registry);
    one_is_built_where_it_runs(&maker);
    others_pull_it(&maker, &user);
}

fn a_private_registry_wants_a_password(maker: &Desk<'_>, user: &Desk<'_>, registry: &Registry) {
    let built = maker.said(&["build"]);
    assert!(built.contains("Step 1/") && built.contains("built 127.0.0.1:"), "{built}");
    let refused = maker.fails(&["push"]);
    assert!(refused.contains("docker login 127.0.0.1:"), "{refused}");
    let refused = user.fails(&["up"]);
    assert!(refused.contains("docker login 127.0.0.1:") && !refused.contains(LOGIN), "{refused}");
    maker.log_in(registry);
    user.log_in(registry);
    let pushed = maker.said(&["push"]);
    assert!(pushed.contains("pushed 127.0.0.1:"), "{pushed}");
}

fn one_is_built_where_it_runs(maker: &Desk<'_>) {
    maker.said(&["up"]);
    maker.answers("one");
    let client = Client::begin(maker.port);
    maker.write("web/index.html", "two");
    let same = maker.said(&["up"]);
    assert!(same.contains("as the file says already"), "it is here, so it is not built: {same}");
    let changed = maker.said(&["up", "--build"]);
    assert!(changed.contains("web:1 is image "), "{changed}");
    maker.answers("two");
    let same = maker.said(&["up", "--build"]);
    assert!(same.contains("as the file says already"), "nothing changed in the sources: {same}");
    maker.said(&["rollback", "--wait=done"]);
    maker.answers("one");
    maker.said(&["rollback", "--wait=done"]);
    maker.answers("two");
    let (asked, failed) = client.end();
    assert!(failed.is_empty(), "of {asked} requests {} failed: {:?}", failed.len(), failed.first());
}

fn others_pull_it(maker: &Desk<'_>, user: &Desk<'_>) {
    user.said(&["up"]);
    user.answers("one");
    let plan = user.said(&["plan"]);
    assert!(plan.contains("nothing would change"), "{plan}");
    // The tag means another image at the registry now; on the engine that both use, the pull had moved it back.
    maker.said(&["build", "--push"]);
    user.said(&["up"]);
    user.answers("two");
    user.said(&["rollback", "--wait=done"]);
    user.answers("one");
    let again = user.said(&["up"]);
    assert!(again.contains("web:1 is image "), "{again}");
    user.answers("two");
    user.said(&["receipt", "--wait"]);
    the_old_image_is_removed_and_had_again(maker, user);
}

/// By the one who built it, whose stack is down; what a container is made from stays, and what was there before.
fn the_old_image_is_removed_and_had_again(maker: &Desk<'_>, user: &Desk<'_>) {
    maker.said(&["down"]);
    let planned = maker.said(&["prune", "--dry-run"]);
    assert!(planned.contains("would go") && planned.contains("made from it"), "{planned}");
    let pruned = maker.said(&["prune"]);
    assert!(pruned.contains("1 image removed"), "{pruned}");
    let left = maker.engine.curl(&["http://engine/images/json"]).unwrap();
    assert!(left.contains(IMAGE), "{left}");
    user.answers("two");
    // Its release has the digest.
    user.said(&["rollback", "--wait=done"]);
    user.answers("one");
    let needed = user.said(&["prune"]);
    assert!(needed.contains("nothing to remove"), "{needed}");
}

/// What is too large for the small engine's disk.
const LARGE: &str = "FROM IMAGE\nCOPY bulk /bulk\n";

const SMALL: &str = r#"
name: small
services:
  web:
    image: IMAGE
    ports: ["127.0.0.1:PORT:8080"]
    command: [sh, -c, "echo one > /www/index.html; exec httpd -f -p 8080 -h /www"]
    stop_grace_period: 1s
"#;

#[test]
fn a_pull_onto_a_full_disk_says_so_and_the_old_release_serves_on() {
    let _turn = crate::TURN.blocking_lock();
    let Some(registry) = Registry::start() else { return };
    let Some(large) = Engine::start(Kind::Docker) else { return };
    let Some(small) = Engine::start_on(Kind::Docker, "48m") else { return };
    let maker = Desk::of(&large);
    maker.log_in(&registry);
    let file = "services: { web: { image: REPO/large:1, build: ./large } }\n";
    maker.write("compose.yaml", &repo(&registry, file));
    maker.write("large/Dockerfile", &LARGE.replace("IMAGE", IMAGE));
    let mut bulk = Vec::new();
    std::io::Read::read_to_end(
        &mut std::io::Read::take(std::fs::File::open("/dev/urandom").unwrap(), 64 << 20),
        &mut bulk,
    )
    .unwrap();
    std::fs::write(maker.folder.path().join("large/bulk"), bulk).unwrap();
    maker.said(&["build", "--push"]);

    let user = Desk::of(&small);
    user.log_in(&registry);
    user.write("compose.yaml", &SMALL.replace("IMAGE", IMAGE));
    user.said(&["up", "--wait=done"]);
    let client = Client::begin(user.port);
    user.write("compose.yaml", &SMALL.replace("IMAGE", &registry.image("large:1")));
    let refused = user.fails(&["up"]);
    assert!(refused.contains("no space left on device"), "{refused}");
    assert!(refused.contains("is full: make room there"), "{refused}");
    user.answers("one");
    let history = user.said(&["history", "--json"]);
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    assert_eq!(history.as_array().map(Vec::len), Some(1), "no release was made: {history}");
    // What the pull left behind does not keep the next release from coming.
    user.write("compose.yaml", &SMALL.replace("IMAGE", IMAGE).replace("echo one", "echo two"));
    user.said(&["up", "--wait=done"]);
    user.answers("two");
    let (asked, failed) = client.end();
    assert!(failed.is_empty(), "of {asked} requests {} failed: {:?}", failed.len(), failed.first());
}
