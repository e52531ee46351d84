//! The directory against slapd: TLS, groups, states of accounts, odd names, lax and strict servers, and such that stand
//! still.

mod slapd;

use naru_directory::{Bar, Directory, Proven, Refusal, Shown, State, Watched, load};
use slapd::{Authority, BY_SERVICE, BY_TEMPLATE, GROUPS, Manner, PASSWORD, Slapd, configure, skip};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Whatever servers do: the times in the tests' files are a tenth of it.
const ANSWERED: Duration = Duration::from_secs(60);

/// A folder with a server and a home in it.
struct Place {
    dir: tempfile::TempDir,
    authority: Authority,
    slapd: Slapd,
}

impl Place {
    fn start(test: &str, manner: Manner) -> Option<Place> {
        let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        let Some(slapd) = Slapd::start(&dir.path().join("slapd"), &authority, manner) else {
            skip(test);
            return None;
        };
        Some(Place { dir, authority, slapd })
    }

    fn home(&self) -> &Path {
        self.dir.path()
    }

    fn by_starttls(&self) -> String {
        format!("\"ldap://localhost:{}\"", self.slapd.port)
    }

    fn by_tls(&self) -> String {
        format!("\"ldaps://localhost:{}\"", self.slapd.tls_port)
    }

    fn directory(&self, servers: &str, more: &str) -> Directory {
        configure(self.home(), servers, &self.authority, more);
        load(self.home()).unwrap().unwrap()
    }
}

async fn refusal(directory: &Directory, name: &str, password: &str) -> (Refusal, Shown) {
    let tried =
        tokio::time::timeout(ANSWERED, directory.sign_in(name, password)).await.expect("it is answered");
    (tried.person.expect_err(name), tried.shown)
}

async fn groups(directory: &Directory, name: &str) -> BTreeSet<String> {
    let tried =
        tokio::time::timeout(ANSWERED, directory.sign_in(name, PASSWORD)).await.expect("it is answered");
    tried.person.unwrap_or_else(|refusal| panic!("{name}: {refusal}")).groups
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| name.to_string()).collect()
}

#[tokio::test]
async fn a_password_fits_by_starttls_and_by_ldaps_on_a_strict_server() {
    let Some(place) = Place::start("naru-directory strict", Manner::Strict) else { return };
    for servers in [place.by_starttls(), place.by_tls()] {
        for way in [BY_SERVICE.to_string(), BY_TEMPLATE.to_string(), format!("{BY_SERVICE}{BY_TEMPLATE}")] {
            let directory = place.directory(&servers, &format!("{way}{GROUPS}"));
            let kim = directory.sign_in("kim", PASSWORD).await.person.unwrap();
            assert_eq!((kim.name.as_str(), kim.dn.as_str()), ("kim", "uid=kim,ou=people,dc=example,dc=com"));
            assert!(kim.id.starts_with("entryUUID="), "{}", kim.id);
            assert_eq!(kim.groups, set(&["staff"]), "{way}");
            let (wrong, shown) = refusal(&directory, "kim", "another").await;
            assert!(matches!(wrong, Refusal::Wrong(_)) && shown == Shown::Yes, "{wrong}");
            let (nobody, _) = refusal(&directory, "nobody", PASSWORD).await;
            assert!(matches!(nobody, Refusal::Wrong(_)), "{nobody}");
            directory.sign_in("kim", PASSWORD).await.person.expect("which also forgets the wrong one there");
        }
    }
}

#[tokio::test]
async fn a_server_without_the_right_certificate_or_without_any_is_shown_nothing() {
    let Some(place) = Place::start("naru-directory certificates", Manner::Strict) else { return };
    let other = Authority::new();
    for servers in [place.by_starttls(), place.by_tls()] {
        configure(place.home(), &servers, &other, BY_TEMPLATE);
        let directory = load(place.home()).unwrap().unwrap();
        let (refusal, shown) = refusal(&directory, "kim", PASSWORD).await;
        let said = refusal.to_string();
        assert!(said.contains("invalid peer certificate") && shown == Shown::No, "{said}");
    }
    // The certificate is that of localhost.
    let address = format!("\"ldaps://127.0.0.1:{}\"", place.slapd.tls_port);
    let (by_address, shown) = refusal(&place.directory(&address, BY_TEMPLATE), "kim", PASSWORD).await;
    assert!(by_address.to_string().contains("not valid for name") && shown == Shown::No, "{by_address}");
    assert!(!place.slapd.log().contains("BIND"), "{}", place.slapd.log());
    let Some(plain) = Place::start("naru-directory plain", Manner::Plain) else { return };
    for way in [BY_SERVICE, BY_TEMPLATE] {
        let (refusal, shown) = refusal(&plain.directory(&plain.by_starttls(), way), "kim", PASSWORD).await;
        assert!(refusal.to_string().contains("StartTLS") && shown == Shown::No, "{refusal}");
    }
    assert!(!plain.slapd.log().contains("BIND"), "{}", plain.slapd.log());
}

#[tokio::test]
async fn groups_in_groups_are_found_once_even_if_they_are_in_one_another() {
    let Some(place) = Place::start("naru-directory groups", Manner::Strict) else { return };
    // Only what is changed while it runs is told to members.
    place.slapd.change(
        "dn: cn=night,ou=groups,dc=example,dc=com\nchangetype: add\nobjectClass: groupOfNames\ncn: night\n\
         member: uid=kim,ou=people,dc=example,dc=com\n\n\
         dn: cn=nights,ou=groups,dc=example,dc=com\nchangetype: add\nobjectClass: groupOfNames\ncn: nights\n\
         member: cn=night,ou=groups,dc=example,dc=com\n\n\
         dn: cn=night,ou=groups,dc=example,dc=com\nchangetype: modify\nadd: member\n\
         member: cn=nights,ou=groups,dc=example,dc=com\n\n\
         dn: cn=ops,ou=groups,dc=example,dc=com\nchangetype: modify\nadd: member\n\
         member: cn=nights,ou=groups,dc=example,dc=com\n\n",
    );
    for way in ["", "  find: member-of\n"] {
        let directory = place.directory(&place.by_tls(), &format!("{BY_SERVICE}{GROUPS}{way}"));
        let found = groups(&directory, "kim").await;
        assert!(found.contains("ops"), "{found:?}");
        assert_eq!(found.contains("staff"), way.is_empty());
    }
    let shallow = place.directory(&place.by_tls(), &format!("{BY_SERVICE}{GROUPS}  depth: 1\n"));
    let (refusal, _) = refusal(&shallow, "kim", PASSWORD).await;
    assert!(matches!(&refusal, Refusal::Unusable(why) if why.contains("deep")), "{refusal}");
}

#[tokio::test]
async fn states_of_accounts_are_told_apart() {
    let Some(place) = Place::start("naru-directory lockout", Manner::Strict) else { return };
    let directory = place.directory(&place.by_starttls(), &format!("{BY_SERVICE}{GROUPS}"));
    let state = async |name: &str| match refusal(&directory, name, PASSWORD).await.0 {
        Refusal::Barred { bar, proven, .. } => (bar, proven),
        other => panic!("{name}: {other}"),
    };
    assert_eq!(state("old").await, (Bar::Expired, Proven::Password));
    assert_eq!(state("fresh").await, (Bar::MustChange, Proven::Password));
    for _ in 0..3 {
        refusal(&directory, "kim", "a guess").await;
    }
    assert_eq!(state("kim").await, (Bar::Locked, Proven::Nothing), "even with the right password");
    groups(&directory, "lee").await;
}

#[tokio::test]
async fn names_are_data() {
    let Some(place) = Place::start("naru-directory names", Manner::Strict) else { return };
    let odd = [
        "*",
        "k*",
        "kim)(uid=*",
        ")(uid=*",
        "*)(objectClass=*",
        "kim,ou=people",
        "kim+cn=Kim",
        "\\6bim",
        "kim\\",
        "kim\0",
        "\0",
        "#kim",
        " kim",
        "kim ",
        "\"kim\"",
        "kim,ou=people,dc=example,dc=com",
        "",
        "kim)(|(uid=lee",
        "<kim>",
        "kim;",
        "uid=kim",
        "(kim)",
        "KIM\n",
        "kim\u{0}lee",
    ];
    for way in [BY_SERVICE, BY_TEMPLATE] {
        let directory = place.directory(&place.by_tls(), &format!("{way}{GROUPS}"));
        for name in odd {
            // Spaces around a name mean nothing to a directory, which makes it the same entry with another name.
            let (refusal, _) = refusal(&directory, name, PASSWORD).await;
            assert!(matches!(refusal, Refusal::Wrong(_) | Refusal::Unusable(_)), "{name:?}: {refusal}");
        }
        groups(&directory, "kim").await;
    }
}

#[tokio::test]
async fn an_empty_password_reaches_no_server_however_lax() {
    let Some(place) = Place::start("naru-directory lax", Manner::Lax) else { return };
    // It is as lax as it is thought to be.
    let url = format!("ldap://localhost:{}", place.slapd.port);
    let (driver, mut lax) = ldap3::LdapConnAsync::new(&url).await.unwrap();
    ldap3::drive!(driver);
    let kim = "uid=kim,ou=people,dc=example,dc=com";
    assert_eq!(lax.simple_bind(kim, "").await.unwrap().rc, 0);
    assert_eq!(lax.simple_bind("", "something").await.unwrap().rc, 0);
    // What it logs comes after its answer.
    let logged = async {
        while place.slapd.log().matches(" BIND ").count() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), logged).await.expect("two lines in its log");
    for way in [BY_SERVICE, BY_TEMPLATE] {
        let directory = place.directory(&place.by_tls(), &format!("{way}{GROUPS}"));
        for odd in ["", "\0", "\0secret", "secret\0", &"x".repeat(1_001)] {
            let (refusal, shown) = refusal(&directory, "kim", odd).await;
            assert!(matches!(refusal, Refusal::Wrong(_)) && shown == Shown::No, "{refusal}");
        }
        assert_eq!(place.slapd.log().matches(" BIND ").count(), 2, "nothing was said to the server");
    }
    let directory = place.directory(&place.by_tls(), &format!("{BY_TEMPLATE}{GROUPS}"));
    groups(&directory, "kim").await;
    let (wrong, _) = refusal(&directory, "kim", "another").await;
    assert!(matches!(wrong, Refusal::Wrong(_)), "{wrong}");
}

const SOON: &str = "timeouts: { connect: 1s, tls: 1s, bind: 1s, search: 1s, sign_in: 5s }\n";

#[tokio::test]
async fn a_server_that_stands_still_costs_a_wait_and_nothing_stays_behind() {
    let Some(place) = Place::start("naru-directory frozen", Manner::Strict) else { return };
    let Some(second) = Slapd::start(&place.home().join("second"), &place.authority, Manner::Strict) else {
        return;
    };
    for scheme in ["ldaps", "ldap"] {
        let port = |slapd: &Slapd| if scheme == "ldaps" { slapd.tls_port } else { slapd.port };
        let (one, two) = (
            format!("\"{scheme}://localhost:{}\"", port(&place.slapd)),
            format!("\"{scheme}://localhost:{}\"", port(&second)),
        );
        let alone = Arc::new(place.directory(&one, &format!("{BY_SERVICE}{GROUPS}{SOON}")));
        let both = place.directory(&format!("{one}, {two}"), &format!("{BY_SERVICE}{GROUPS}{SOON}"));
        // Connections of the service account wait in the pools.
        groups(&alone, "kim").await;
        groups(&both, "kim").await;
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let at_rest = tasks();
        place.slapd.freeze();
        assert_eq!(groups(&both, "kim").await, set(&["staff"]), "the next one answers");
        let many: Vec<_> = (0..24)
            .map(|_| {
                let alone = alone.clone();
                tokio::spawn(async move { refusal(&alone, "kim", PASSWORD).await.0 })
            })
            .collect();
        for one in many {
            let refusal = one.await.unwrap();
            assert!(matches!(refusal, Refusal::Unreachable { .. }), "{refusal}");
        }
        let looked_up = tokio::time::timeout(ANSWERED, alone.look_up("kim")).await.expect("it is answered");
        assert!(matches!(looked_up, Err(Refusal::Unreachable { .. })), "{looked_up:?}");
        place.slapd.thaw();
        assert_eq!(groups(&alone, "kim").await, set(&["staff"]), "the pool has recovered");
        groups(&both, "kim").await;
        // Tasks that are told to end do so when they are run next: as many as before are left, and one for each pool.
        let ended = async {
            while tasks() > at_rest + 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(ANSWERED, ended).await.unwrap_or_else(|_| panic!("{} tasks are left", tasks()));
    }
}

#[tokio::test]
async fn who_is_looked_up_is_as_they_are_now() {
    let Some(place) = Place::start("naru-directory look up", Manner::Strict) else { return };
    let directory = place.directory(&place.by_tls(), &format!("{BY_SERVICE}{GROUPS}"));
    let lee = directory.look_up("lee").await.unwrap().unwrap();
    assert_eq!(lee.groups, set(&["ops"]));
    place.slapd.change(
        "dn: cn=ops,ou=groups,dc=example,dc=com\nchangetype: modify\nreplace: member\nmember: cn=nobody\n\n\
         dn: ou=old,ou=people,dc=example,dc=com\nchangetype: add\nobjectClass: organizationalUnit\nou: old\n\n\
         dn: uid=lee,ou=people,dc=example,dc=com\nchangetype: moddn\nnewrdn: uid=lee\ndeleteoldrdn: 0\n\
         newsuperior: ou=old,ou=people,dc=example,dc=com\n\n",
    );
    let moved = directory.look_up("lee").await.unwrap().unwrap();
    assert_eq!((moved.groups, &moved.id), (set(&[]), &lee.id), "the same one elsewhere");
    assert!(moved.dn.contains("ou=old"));
    place.slapd.change("dn: uid=lee,ou=old,ou=people,dc=example,dc=com\nchangetype: delete\n\n");
    assert_eq!(directory.look_up("lee").await.unwrap(), None);
    let without = place.directory(&place.by_tls(), BY_TEMPLATE);
    assert!(!without.looks_up());
    without.look_up("kim").await.unwrap_err();
}

#[tokio::test]
async fn a_file_that_is_wrong_does_not_take_the_place_of_one_that_was_right() {
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    let home = dir.path();
    let mut watched = Watched::new(home);
    assert!(matches!(watched.newest(), State::Off));
    configure(home, "\"ldaps://localhost:1\"", &authority, &format!("{BY_SERVICE}refresh: 5m\n"));
    let newest = || Watched::new(home).newest();
    assert!(matches!(newest(), State::On(_)));
    let password = home.join("service.password");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o644)).unwrap();
    let State::Broken(why) = newest() else { panic!() };
    assert!(why.contains("service.password") && why.contains("chmod 600"), "{why}");
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    // The one that looked first looks again a second later.
    let on = async {
        while !matches!(watched.newest(), State::On(_)) {
            tokio::task::yield_now().await;
        }
        fs::write(home.join("directory.yaml"), "servers: [ldap3]\n").unwrap();
        fs::set_permissions(home.join("ca.pem"), fs::Permissions::from_mode(0o644)).unwrap();
        watched.look_now();
        let State::On(still) = watched.newest() else { panic!() };
        assert_eq!(still.config().refresh, Duration::from_secs(300));
        configure(home, "\"ldaps://localhost:1\"", &authority, &format!("{BY_SERVICE}refresh: 6m\n"));
        watched.look_now();
        let State::On(next) = watched.newest() else { panic!() };
        assert_eq!(next.config().refresh, Duration::from_secs(360));
        fs::remove_file(home.join("directory.yaml")).unwrap();
        watched.look_now();
        assert!(matches!(watched.newest(), State::Off));
    };
    tokio::time::timeout(ANSWERED, on).await.unwrap();
}
