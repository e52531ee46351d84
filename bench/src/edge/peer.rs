//! The proxies that are measured: how each is started, and what is read of it from outside.

use super::process::News;
use crate::roles;
use naru_model::{
    Backend, CertificateFiles, Entrance, Generation, Listener, Protocol, ReleaseNo, RouteChange, RouteTable,
    Split, Terminate, Tls,
};
use rustix::process::{Pid, Signal, kill_process};
use std::fmt::{self, Display};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

/// The core that the proxy has to itself.
const PROXY_CORE: &str = "0";
/// A proxy that has not begun to listen after so long will not.
const START: Duration = Duration::from_secs(10);

/// A proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// Naru's edge, in a process of its own.
    Naru,
    /// HAProxy.
    Haproxy,
    /// nginx.
    Nginx,
    /// Caddy.
    Caddy,
}

impl Peer {
    /// All, the one that is compared first.
    pub const ALL: [Peer; 4] = [Peer::Naru, Peer::Haproxy, Peer::Nginx, Peer::Caddy];

    /// What the command is called, and the package of Debian's that has it.
    fn program(self) -> Option<(&'static str, &'static str)> {
        match self {
            Peer::Naru => None,
            Peer::Haproxy => Some(("haproxy", "haproxy")),
            Peer::Nginx => Some(("nginx", "nginx, libnginx-mod-stream")),
            Peer::Caddy => Some(("caddy", "caddy")),
        }
    }
}

impl Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program().map_or("naru", |(name, _)| name))
    }
}

impl FromStr for Peer {
    type Err = String;
    fn from_str(name: &str) -> Result<Peer, String> {
        let peer = Peer::ALL.into_iter().find(|peer| peer.to_string() == name);
        peer.ok_or_else(|| format!("no proxy is called {name:?}: naru, haproxy, nginx, caddy are"))
    }
}

/// Programs that are needed and not there, each with Debian's package.
pub fn missing(peers: &[Peer]) -> Vec<String> {
    const TOOLS: [(&str, &str); 4] =
        [("taskset", "util-linux"), ("openssl", "openssl"), ("wrk", "wrk"), ("h2load", "nghttp2-client")];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &str| std::env::split_paths(&path).any(|folder| folder.join(name).exists());
    let wanted = peers.iter().filter_map(|peer| peer.program()).chain(TOOLS);
    wanted
        .filter(|(name, _)| !there(name))
        .map(|(name, package)| format!("{name} (package {package})"))
        .collect()
}

/// Where instances answer, and where a proxy listens.
#[derive(Clone, Debug)]
pub struct Places {
    /// Instances that speak HTTP.
    pub web: Vec<SocketAddr>,
    /// Instances that exchange messages over TCP.
    pub raw: Vec<SocketAddr>,
    /// The proxy's address for HTTP.
    pub http: SocketAddr,
    /// For HTTP over TLS.
    pub tls: SocketAddr,
    /// For TCP.
    pub tcp: SocketAddr,
    /// The folder with the certificate; see [`certify`].
    pub certs: PathBuf,
}

impl Places {
    /// New addresses for a proxy in front of these instances.
    ///
    /// # Errors
    /// The system has no port.
    pub fn new(web: &[SocketAddr], raw: &[SocketAddr], certs: &Path) -> io::Result<Places> {
        let own: Vec<TcpListener> =
            (0..3).map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).collect::<io::Result<_>>()?;
        let at = |n: usize| own[n].local_addr();
        Ok(Places {
            web: web.into(),
            raw: raw.into(),
            http: at(0)?,
            tls: at(1)?,
            tcp: at(2)?,
            certs: certs.into(),
        })
    }

    /// A configuration with its `@NAME@`s filled in.
    fn fill(&self, text: &str, folder: &Path) -> String {
        let mut text = text.replace("@FOLDER@", &folder.to_string_lossy());
        text = text.replace("@CERTS@", &self.certs.to_string_lossy());
        let own = [("HTTP", self.http), ("TLS", self.tls), ("TCP", self.tcp)];
        let instances =
            [("WEB1", self.web[0]), ("WEB2", self.web[1]), ("RAW1", self.raw[0]), ("RAW2", self.raw[1])];
        for (name, address) in own.into_iter().chain(instances) {
            text = text.replace(&format!("@{name}@"), &address.port().to_string());
        }
        text
    }

    /// The same as a route table.
    fn table(&self) -> RouteTable {
        let file = |name: &str| self.certs.join(name).to_string_lossy().into_owned();
        let certificate = CertificateFiles { cert: file("cert.pem"), key: file("key.pem") };
        let terminate = Terminate { certificates: vec![certificate], acme: None };
        let mut tls = listener("tls", self.tls, Protocol::Http, &self.web);
        tls.entrance.tls = Some(Tls::Terminate(terminate));
        let listeners = vec![
            listener("http", self.http, Protocol::Http, &self.web),
            listener("tcp", self.tcp, Protocol::Tcp, &self.raw),
            tls,
        ];
        RouteTable { generation: Generation(1), listeners }
    }
}

/// Has a certificate made, in `cert.pem`, `key.pem`, and `both.pem`.
///
/// # Errors
/// openssl fails.
pub fn certify(folder: &Path) -> io::Result<()> {
    let mut openssl = Command::new("openssl");
    openssl.args("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30".split(' '));
    openssl.args(["-subj", "/CN=bench.test", "-addext", "subjectAltName=DNS:bench.test,IP:127.0.0.1"]);
    openssl.args(["-keyout", "key.pem", "-out", "cert.pem"]).current_dir(folder);
    let made = openssl.output()?;
    if !made.status.success() {
        return Err(io::Error::other(format!("no certificate: {}", String::from_utf8_lossy(&made.stderr))));
    }
    let both = [fs::read(folder.join("cert.pem"))?, fs::read(folder.join("key.pem"))?].concat();
    fs::write(folder.join("both.pem"), both)
}

/// A listener of a route table, with all instances in one split.
pub fn listener(name: &str, address: SocketAddr, protocol: Protocol, instances: &[SocketAddr]) -> Listener {
    let backend = |(n, address): (usize, &SocketAddr)| {
        Backend::new(format!("bench.{name}.1.{}", n + 1).as_str().into(), ReleaseNo(1), address.to_string())
    };
    Listener {
        name: format!("bench/{name}:80@{address}"),
        address: address.to_string(),
        protocol,
        stack: "bench".into(),
        service: Some(name.into()),
        splits: vec![Split { weight: 1, backends: instances.iter().enumerate().map(backend).collect() }],
        policy: Default::default(),
        entrance: Entrance::default(),
        rules: vec![],
    }
}

/// A proxy that runs; it ends when dropped.
pub struct Running {
    child: Child,
    /// It, and the processes that it has for its work.
    pids: Vec<i32>,
    tables: Option<Teller>,
}

/// How Naru's edge is told tables, and says that it chooses by them. It ends when this is dropped.
pub struct Teller {
    to: ChildStdin,
    from: BufReader<ChildStdout>,
    /// The table that was told last.
    told: Option<RouteTable>,
}

impl Running {
    /// Starts a proxy, with `folder` for its files, and waits until it listens.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(peer: Peer, places: &Places, folder: &Path) -> io::Result<Running> {
        let mut command = command(peer, places, folder)?;
        let stdio = || if peer == Peer::Naru { Stdio::piped() } else { Stdio::null() };
        let log = fs::File::create(folder.join("log"))?;
        let mut child = command.stdin(stdio()).stdout(stdio()).stderr(log).spawn()?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let tables = pipes.map(|(to, from)| Teller { to, from: BufReader::new(from), told: None });
        let mut running = Running { child, pids: vec![], tables };
        if peer == Peer::Naru {
            running.apply(&places.table())?;
        }
        running.wait_for(places.http).map_err(|error| {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            io::Error::other(format!("{peer} does not start: {error}\n{log}"))
        })?;
        let own = running.child.id().cast_signed();
        running.pids = children(own)?;
        // nginx listens before it has its worker.
        while peer == Peer::Nginx && running.pids.is_empty() {
            std::thread::park_timeout(Duration::from_millis(5));
            running.pids = children(own)?;
        }
        running.pids.push(own);
        Ok(running)
    }

    /// Tells Naru's edge a table; see [`Teller::apply`].
    ///
    /// # Errors
    /// As there; or it is not Naru's.
    pub fn apply(&mut self, table: &RouteTable) -> io::Result<Duration> {
        match &mut self.tables {
            Some(tables) => tables.apply(table),
            None => Err(io::Error::other("it takes no tables")),
        }
    }

    /// What tells it tables, for another thread.
    pub fn teller(&mut self) -> Option<Teller> {
        self.tables.take()
    }

    /// The CPU time that it has had.
    ///
    /// # Errors
    /// It is gone.
    pub fn cpu(&self) -> io::Result<Duration> {
        let mut sum = 0;
        for pid in &self.pids {
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                // A thread that ends in between is none that works.
                let Ok(text) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
                sum += on_cpu(&text).ok_or_else(|| io::Error::other("/proc/PID/schedstat says nothing"))?;
            }
        }
        Ok(Duration::from_nanos(sum))
    }

    /// What it has in memory, in KiB.
    pub fn resident(&self) -> u64 {
        self.pids.iter().map(|pid| roles::memory(*pid).resident).sum()
    }

    fn wait_for(&mut self, address: SocketAddr) -> io::Result<()> {
        let give_up = Instant::now() + START;
        loop {
            match TcpStream::connect(address) {
                Ok(_) => return Ok(()),
                Err(_) if self.child.try_wait()?.is_some() => return Err(io::Error::other("it ended")),
                Err(error) if Instant::now() > give_up => return Err(error),
                Err(_) => std::thread::park_timeout(Duration::from_millis(5)),
            }
        }
    }
}

impl Teller {
    /// Tells the edge a table, as a server does (whole at first, then what differs), and waits until it chooses by it. How
    /// long that took, from the first byte on its way.
    ///
    /// # Errors
    /// It refuses the table, or is gone.
    pub fn apply(&mut self, table: &RouteTable) -> io::Result<Duration> {
        let news = match &self.told {
            None => News::Whole(table.clone()),
            Some(told) => News::Change(RouteChange::between(told, table)),
        };
        self.told = Some(table.clone());
        let mut text = serde_json::to_string(&news)?;
        text.push('\n');
        let began = Instant::now();
        self.to.write_all(text.as_bytes())?;
        let mut said = String::new();
        self.from.read_line(&mut said)?;
        let took = began.elapsed();
        match said.trim_end() == format!("acknowledged {}", table.generation) {
            true => Ok(took),
            false => Err(io::Error::other(format!("the edge says {said:?} of a table"))),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tables = None;
        // SIGTERM: a process that has others ends them. One that has ended already needs no signal.
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let give_up = Instant::now() + START;
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > give_up {
                let _ = self.child.kill();
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }
}

fn command(peer: Peer, places: &Places, folder: &Path) -> io::Result<Command> {
    let mut command = Command::new("taskset");
    command.args(["-c", PROXY_CORE]);
    let config = |text: &str| {
        let file = folder.join("config");
        fs::write(&file, places.fill(text, folder)).map(|()| file)
    };
    match peer {
        Peer::Naru => command.arg(std::env::current_exe()?).arg("edge-process").arg(folder.join("sheets")),
        Peer::Haproxy => {
            command.args(["haproxy", "-db", "-f"]).arg(config(include_str!("../../edge/haproxy.cfg"))?)
        }
        Peer::Nginx => {
            let file = config(include_str!("../../edge/nginx.conf"))?;
            command.args(["nginx", "-e", "stderr", "-p"]).arg(folder).arg("-c").arg(file)
        }
        Peer::Caddy => {
            let file = config(include_str!("../../edge/Caddyfile"))?;
            let command = command.args(["caddy", "run", "--adapter", "caddyfile", "--config"]).arg(file);
            command.env("GOMAXPROCS", "1").env("HOME", folder).env("XDG_DATA_HOME", folder)
        }
    };
    Ok(command)
}

/// The processes whose parent this one is.
fn children(parent: i32) -> io::Result<Vec<i32>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if parent_of(&stat) == Some(parent) {
            found.push(pid);
        }
    }
    Ok(found)
}

/// From `/proc/PID/stat`: what follows the name, which may hold anything, are the state and the parent.
fn parent_of(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// From `/proc/PID/task/TID/schedstat`: nanoseconds on a CPU.
fn on_cpu(schedstat: &str) -> Option<u64> {
    schedstat.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proc_says_is_read() {
        assert_eq!(parent_of("71 (a) b (c)) S 70 71 71 0"), Some(70));
        assert_eq!(parent_of(""), None);
        assert_eq!(on_cpu("187792 20 1\n"), Some(187_792));
        assert_eq!(on_cpu(""), None);
    }

    #[test]
    fn every_place_of_a_configuration_is_filled_in() {
        let at: Vec<SocketAddr> = (1..8).map(|port| SocketAddr::from(([127, 0, 0, 1], port))).collect();
        let places = Places {
            web: at[..2].into(),
            raw: at[2..4].into(),
            http: at[4],
            tls: at[5],
            tcp: at[6],
            certs: "/certs".into(),
        };
        let texts = [
            include_str!("../../edge/haproxy.cfg"),
            include_str!("../../edge/nginx.conf"),
            include_str!("../../edge/Caddyfile"),
        ];
        for text in texts {
            let filled = places.fill(text, Path::new("/folder"));
            let left: Vec<&str> =
                filled.lines().filter(|line| !line.starts_with('#') && line.contains('@')).collect();
            assert!(left.is_empty(), "{left:?}");
        }
    }

    #[test]
    fn proxies_are_known_by_name() {
        for peer in Peer::ALL {
            assert_eq!(peer.to_string().parse(), Ok(peer));
        }
        assert!("pound".parse::<Peer>().unwrap_err().contains("haproxy"));
    }
}
