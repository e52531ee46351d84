//! `tls` of a listener: certificates in files, or had from an authority.

use crate::Setting;
use crate::reader::{Reader, resolve};
use naru_model::{Acme, CertificateFiles, Terminate, Tls};
use naru_yaml::Node;

/// The authority that is asked where none is named.
const LETS_ENCRYPT: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// Names in one certificate: what Let's Encrypt allows.
const DOMAINS: usize = 100;

/// `{cert, key}`, a list of those, or `{acme}`; both together where both are written.
pub(crate) fn tls(reader: &mut Reader<'_>, node: Option<&Node>, setting: &Setting<'_>) -> Option<Tls> {
    let node = node?;
    let mut reader = reader.below("tls");
    let mut terminate = Terminate::default();
    if let Some(items) = node.list() {
        for (n, item) in items.iter().enumerate() {
            let mut reader = reader.below(&format!("[{n}]"));
            if reader.is_map(item) {
                reader.keys(item, "listeners.NAME.tls.[]");
                terminate.certificates.extend(files(&mut reader, item, setting));
            }
        }
    } else if reader.is_map(node) {
        reader.keys(node, "listeners.NAME.tls");
        if node.get("cert").is_some() || node.get("key").is_some() || node.get("acme").is_none() {
            terminate.certificates.extend(files(&mut reader, node, setting));
        }
        terminate.acme = node.get("acme").and_then(|node| acme(&mut reader.below("acme"), node, setting));
    }
    Some(Tls::Terminate(terminate))
}

fn files(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>) -> Option<CertificateFiles> {
    for (key, what) in [("cert", "cert: ./tls/site.crt"), ("key", "key: ./tls/site.key")] {
        if node.get(key).is_none() {
            reader.wrong(node.pos, format!("has no {key}"), format!("add {what}, a PEM file"));
        }
    }
    let cert = reader.text("cert", node.get("cert"));
    let key = reader.text("key", node.get("key"));
    Some(CertificateFiles { cert: resolve(setting.folder, &cert?), key: resolve(setting.folder, &key?) })
}

fn acme(reader: &mut Reader<'_>, node: &Node, setting: &Setting<'_>) -> Option<Acme> {
    if !reader.is_map(node) {
        return None;
    }
    reader.keys(node, "listeners.NAME.tls.acme");
    let mut domains = Vec::new();
    for (domain, pos) in reader.texts("domains", node.get("domains")) {
        let domain = domain.to_ascii_lowercase();
        if !is_domain(&domain) {
            let advice = match domain.starts_with("*.") {
                true => "list the names themselves: an authority gives wildcards only by DNS",
                false => "write a name without scheme, port and path, as shop.example.com",
            };
            reader.error(pos, format!("domains: {domain:?} cannot be certified"), advice);
        } else if !domains.contains(&domain) {
            domains.push(domain);
        }
    }
    if node.get("domains").is_none() {
        reader.wrong(node.pos, "names no domains", "add domains: [shop.example.com]");
    } else if domains.len() > DOMAINS {
        reader.wrong(node.pos, format!("names {} domains", domains.len()), "name at most 100 in one");
    }
    let directory = reader.text("directory", node.get("directory"));
    if let (Some(text), Some(node)) = (&directory, node.get("directory"))
        && !text.starts_with("https://")
    {
        let what = format!("directory: {text:?} is no https address");
        reader.error(node.pos, what, format!("write the authority's directory, as {LETS_ENCRYPT}"));
    }
    Some(Acme {
        directory: directory.unwrap_or_else(|| LETS_ENCRYPT.into()),
        domains,
        email: reader.text("email", node.get("email")),
        root: reader.text("root", node.get("root")).map(|path| resolve(setting.folder, &path)),
    })
}

/// A host's name of at least two labels.
fn is_domain(name: &str) -> bool {
    let is_label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        (1..=63).contains(&label.len()) && label.bytes().all(plain) && !label.starts_with('-')
    };
    name.len() <= 253 && name.contains('.') && name.split('.').all(is_label)
}
