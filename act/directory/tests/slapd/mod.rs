//! slapd, OpenLDAP's server: Debian's, started on loopback with a directory of its own, and certificates of an authority
//! that the test makes.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Of everybody in it.
pub const PASSWORD: &str = "correct horse battery";

/// Of the service account.
pub const SERVICE: &str = "of the service";

/// Starting it takes a fraction of a second.
const STARTS_WITHIN: Duration = Duration::from_secs(30);

/// How it is set up.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Nothing without TLS, nothing without a sign-in.
    Strict,
    /// A sign-in with an empty password counts as an anonymous one, which may read.
    Lax,
    /// Without TLS.
    Plain,
}

/// What signs certificates.
pub struct Authority {
    pub pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Authority { pem, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, folder: &Path) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".into()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
        fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
    }
}

/// A server. It ends with the test.
pub struct Slapd {
    child: Child,
    folder: PathBuf,
    /// For StartTLS.
    pub port: u16,
    /// For TLS from the first byte.
    pub tls_port: u16,
    log: Arc<Mutex<String>>,
}

impl Drop for Slapd {
    fn drop(&mut self) {
        // It may have ended by itself; one that stands still ends by this signal, too.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

impl Slapd {
    /// Starts one in a folder of its own. `None` where it is not installed.
    pub fn start(folder: &Path, authority: &Authority, manner: Manner) -> Option<Slapd> {
        fs::create_dir_all(folder.join("db")).unwrap();
        authority.sign(folder);
        fs::write(folder.join("slapd.conf"), configuration(folder, manner)).unwrap();
        fs::write(folder.join("data.ldif"), DATA).unwrap();
        // A copy: Debian's profile of AppArmor is about the one at its own place, and lets it read nothing here.
        fs::copy("/usr/sbin/slapd", folder.join("slapd")).ok()?;
        let tool = |arguments: &[&str]| {
            let done =
                Command::new(folder.join("slapd")).args(arguments).current_dir(folder).output().unwrap();
            assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        };
        tool(&["-T", "add", "-f", "slapd.conf", "-l", "data.ldif"]);
        // A port that was free may be taken when it is asked for.
        (0..5).find_map(|_| Slapd::serve(folder, manner)).or_else(|| panic!("slapd does not start"))
    }

    fn serve(folder: &Path, manner: Manner) -> Option<Slapd> {
        let (port, tls_port) = (free_port(), free_port());
        let mut urls = format!("ldap://127.0.0.1:{port}/");
        if manner != Manner::Plain {
            urls += &format!(" ldaps://127.0.0.1:{tls_port}/");
        }
        let mut child = Command::new(folder.join("slapd"))
            .args(["-f", "slapd.conf", "-d", "stats", "-h", &urls])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (log, lines) = (Arc::new(Mutex::new(String::new())), child.stderr.take().unwrap());
        let (started, starts) = mpsc::channel();
        let kept = log.clone();
        std::thread::spawn(move || {
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                if line.contains("slapd starting") {
                    let _ = started.send(());
                }
                let mut kept = kept.lock().unwrap();
                kept.push_str(&line);
                kept.push('\n');
            }
        });
        let mut slapd = Slapd { child, folder: folder.into(), port, tls_port, log };
        if starts.recv_timeout(STARTS_WITHIN).is_err() {
            let _ = slapd.child.kill();
            return None;
        }
        // It says so a moment before it listens.
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            let _ = starts.recv_timeout(Duration::from_millis(5));
        }
        Some(slapd)
    }

    /// What it has said of its work.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// It stands still: connections are taken by the system, and nothing answers.
    pub fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    /// It goes on.
    pub fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Changes what is in it, as its administrator.
    pub fn change(&self, ldif: &str) {
        let mut child = Command::new("ldapmodify")
            .args(["-x", "-ZZ", "-D", "cn=admin,dc=example,dc=com", "-w", "secret"])
            .args(["-H", &format!("ldap://localhost:{}", self.port)])
            .env("LDAPTLS_REQCERT", "never")
            .current_dir(&self.folder)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("ldap-utils is installed where slapd is");
        child.stdin.take().unwrap().write_all(ldif.as_bytes()).unwrap();
        let done = child.wait_with_output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
}

fn configuration(folder: &Path, manner: Manner) -> String {
    let folder = folder.display();
    let tls = format!("TLSCertificateFile {folder}/cert.pem\nTLSCertificateKeyFile {folder}/key.pem\n");
    let (tls, rules) = match manner {
        Manner::Strict => (tls.as_str(), "security ssf=128\nrequire authc\n"),
        Manner::Lax => (tls.as_str(), "allow bind_anon_cred bind_anon_dn\n"),
        Manner::Plain => ("", ""),
    };
    let anonymous = if manner == Manner::Lax { "by anonymous read" } else { "by anonymous auth" };
    format!(
        "include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
moduleload memberof
{tls}{rules}access to attrs=userPassword by anonymous auth by * none
access to * by users read {anonymous}
database mdb
maxsize 16777216
suffix dc=example,dc=com
rootdn cn=admin,dc=example,dc=com
rootpw secret
directory {folder}/db
overlay memberof
overlay ppolicy
ppolicy_default cn=policy,dc=example,dc=com
ppolicy_use_lockout
"
    )
}

/// Notes a test that could not run.
pub fn skip(test: &str) {
    let why = "Debian's package slapd is not installed";
    let Some(path) = std::env::var_os("NARU_TEST_SKIPS") else { panic!("{why}") };
    let mut file = fs::OpenOptions::new().append(true).create(true).open(path).unwrap();
    writeln!(file, "{test}: {why}").unwrap();
}

/// Puts a `directory.yaml` and what it names into a folder.
pub fn configure(home: &Path, servers: &str, authority: &Authority, more: &str) {
    use std::os::unix::fs::PermissionsExt;
    fs::write(home.join("ca.pem"), &authority.pem).unwrap();
    let password = home.join("service.password");
    fs::write(&password, format!("{SERVICE}\n")).unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let text = format!(
        "servers: [{servers}]
ca: ca.pem
people: {{ base: \"ou=people,dc=example,dc=com\", filter: \"(&(objectClass=inetOrgPerson)(uid={{name}}))\", name: uid }}
{more}"
    );
    fs::write(home.join("directory.yaml"), text).unwrap();
}

/// Looks people up by the service account.
pub const BY_SERVICE: &str =
    "service: { dn: \"cn=naru,dc=example,dc=com\", password_file: service.password }\n";

/// Tries passwords by a template, and looks people up as themselves.
pub const BY_TEMPLATE: &str = "bind: \"uid={name},ou=people,dc=example,dc=com\"\n";

/// Groups that are mapped.
pub const GROUPS: &str = "groups:
  base: ou=groups,dc=example,dc=com
  map:
    \"cn=ops,ou=groups,dc=example,dc=com\": ops
    \"CN=Staff, OU=groups,DC=example,DC=com\": staff
";

const DATA: &str = "dn: dc=example,dc=com
objectClass: domain
dc: example

dn: cn=policy,dc=example,dc=com
objectClass: device
objectClass: pwdPolicy
cn: policy
pwdAttribute: userPassword
pwdLockout: TRUE
pwdMaxFailure: 3
pwdMustChange: TRUE
pwdMaxAge: 86400000

dn: cn=naru,dc=example,dc=com
objectClass: organizationalRole
objectClass: simpleSecurityObject
cn: naru
userPassword: of the service

dn: ou=people,dc=example,dc=com
objectClass: organizationalUnit
ou: people

dn: uid=kim,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: kim
cn: Kim
sn: Kim
userPassword: correct horse battery

dn: uid=lee,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: lee
cn: Lee
sn: Lee
userPassword: correct horse battery

dn: uid=old,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: old
cn: Old
sn: Old
userPassword: correct horse battery
pwdChangedTime: 20200101000000Z

dn: uid=fresh,ou=people,dc=example,dc=com
objectClass: inetOrgPerson
uid: fresh
cn: Fresh
sn: Fresh
userPassword: correct horse battery
pwdReset: TRUE

dn: ou=groups,dc=example,dc=com
objectClass: organizationalUnit
ou: groups

dn: cn=ops,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: ops
member: uid=lee,ou=people,dc=example,dc=com

dn: cn=devs,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: devs
member: uid=kim,ou=people,dc=example,dc=com
member: cn=staff,ou=groups,dc=example,dc=com

dn: cn=staff,ou=groups,dc=example,dc=com
objectClass: groupOfNames
cn: staff
member: cn=devs,ou=groups,dc=example,dc=com
";
