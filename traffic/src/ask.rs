//! A request, as far as rules look at it.

use core::net::IpAddr;

/// Header fields, looked up by name.
pub trait Fields {
    /// The first value of a field, by its name in any case.
    fn field(&self, name: &str) -> Option<&[u8]>;

    /// Hands each field over, as it was written, in order.
    fn each(&self, to: &mut dyn FnMut(&str, &[u8]));
}

/// What has no fields.
impl Fields for () {
    fn field(&self, _: &str) -> Option<&[u8]> {
        None
    }

    fn each(&self, _: &mut dyn FnMut(&str, &[u8])) {}
}

/// A request, as far as rules look at it.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// Its method.
    pub method: &'a str,
    /// The host it is for, without a port, in any case. Empty where it says none.
    pub host: &'a str,
    /// Its path, normalised: see [`crate::normal`].
    pub path: &'a str,
    /// What follows the `?`.
    pub query: Option<&'a str>,
    /// Who asks.
    pub source: IpAddr,
    /// Its header fields.
    pub fields: &'a dyn Fields,
}

impl<'a> Ask<'a> {
    /// The host of `Host` or an authority: without the port.
    pub fn host_of(authority: &'a str) -> &'a str {
        match authority.bytes().rposition(|byte| byte == b':') {
            // A colon inside of brackets is part of an address.
            Some(at) if !authority[at..].contains(']') => &authority[..at],
            _ => authority,
        }
    }

    /// The first value of a query parameter, as it is written.
    pub(crate) fn parameter(&self, name: &str) -> Option<&'a str> {
        self.query?.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        })
    }
}
