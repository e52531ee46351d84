//! Which certificate a client gets: that of the name it asks for, else the first.

use crate::files::Present;
use std::collections::HashMap;
use std::sync::Arc;
use tokio_rustls::rustls::sign::CertifiedKey;

/// Certificates by the names that are in them.
#[derive(Default)]
pub(crate) struct Shown {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// `example.org` for `*.example.org`.
    wild: HashMap<String, Arc<CertifiedKey>>,
    first: Option<Arc<CertifiedKey>>,
}

impl Shown {
    /// Where two have the same name, the first counts.
    pub(crate) fn new(present: impl Iterator<Item = Present>) -> Shown {
        let mut shown = Shown::default();
        for Present { names, key } in present {
            for name in &*names {
                let (map, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut shown.wild, parent),
                    None => (&mut shown.exact, name.as_str()),
                };
                map.entry(name.to_ascii_lowercase()).or_insert_with(|| key.clone());
            }
            shown.first.get_or_insert(key);
        }
        shown
    }

    /// The certificate for a name; a wildcard stands for one label, as RFC 6125 has it.
    pub(crate) fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let Some(name) = name.map(str::to_ascii_lowercase) else { return self.first.clone() };
        let wild = || name.split_once('.').and_then(|(_, parent)| self.wild.get(parent));
        self.exact.get(&name).or_else(wild).or(self.first.as_ref()).cloned()
    }
}
