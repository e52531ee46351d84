//! A certificate from an authority, from the first table that asks for it to the first client that gets it: Pebble
//! finds its challenge at the edge itself.

use crate::authority::{Authority, free_port, skip};
use crate::lab::{Lab, http, soon};
use crate::tls::connect;
use naru_edge::Home;
use naru_model::{Acme, Edits, Guard, Listener, Match, Redirect, Rule, RuleAction, Terminate, Time, Tls};
use std::path::Path;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

/// At port 80 of its name, as the authority sees it: all is redirected.
fn entrance(port: u16) -> Listener {
    let action =
        RuleAction::Redirect(Redirect { status: 308, location: "https://{host}{path}{query}".into() });
    let (when, guard, edits) = (Match::default(), Guard::default(), Edits::default());
    let rules = vec![Rule { name: "to-https".into(), when, guard, edits, action }.into()];
    let address = format!("127.0.0.1:{port}");
    Listener { name: "entrance".into(), address, service: None, rules, ..http(&[]) }
}

/// The first certificate chain in a folder.
fn chain(folder: &Path) -> Vec<CertificateDer<'static>> {
    let inside = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = inside.filter(|path| path.is_dir()).flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut files = files.map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|end| end == "crt")).unwrap();
    CertificateDer::pem_file_iter(file).unwrap().map(|one| one.unwrap()).collect()
}

#[tokio::test]
async fn a_certificate_is_had_from_an_authority_and_presented() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let Some(authority) = Authority::start(folder.path(), port).await else {
        return skip("naru-edge acme", "Debian's package pebble is not installed");
    };
    let certificates = folder.path().join("certificates");
    let mut lab = Lab::with(|config| config.certificates = Some(Home::new(&certificates)));
    // The address that it looks at first: otherwise the first try fails, and the next is a minute later.
    lab.route(vec![entrance(port)]).await;
    let acme = Acme {
        directory: authority.directory.clone(),
        domains: vec!["shop.naru.test".into()],
        email: None,
        root: Some(authority.root.to_str().unwrap().into()),
    };
    let mut secure = http(&[]);
    secure.entrance.tls = Some(Tls::Terminate(Terminate { certificates: vec![], acme: Some(acme) }));
    lab.route(vec![entrance(port), secure]).await;
    assert!(lab.report().await.faults[0].error.contains("cannot be read"), "there is none yet");
    let mut news = lab.edge.watch();
    while !lab.edge.report(Time(2_000_000)).await.faults.is_empty() {
        soon("a certificate", news.changed()).await.unwrap();
    }
    let chain = chain(&certificates);
    let client = connect(lab.address(), "shop.naru.test", &chain[1..]).await.unwrap();
    assert_eq!(client.get_ref().1.peer_certificates().unwrap()[0], chain[0]);
}
