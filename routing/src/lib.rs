//! What a Compose file says of traffic: `x-naru.listeners` and `x-naru.routes` of the file, and `x-naru.traffic` of a
//! service.
//!
//! Every value is read with its place, and everything that is wrong is told at once, at the place, with what to do. The
//! [`table`] of keys has all keys there are: an unknown one is an error with the nearest known one.

mod actions;
mod conditions;
mod listeners;
mod policy;
mod reader;
mod routes;
mod sni;
mod table;
mod tls;

pub use listeners::published;
pub use policy::policy;
pub use table::{FILE_KEYS, Key, POWER_KEYS, Support, Takes, joined, key, later, schema};

use naru_model::{ServiceName, StackListener, StackRoute};
use naru_yaml::{Node, Report};
use reader::Reader;
use std::collections::BTreeMap;

/// What the rest of the file says, as far as routes need it.
pub struct Setting<'a> {
    /// The project's folder, absolute, from which paths of files are resolved.
    pub folder: &'a str,
    /// The target ports of each service that speak HTTP, in order.
    pub services: &'a BTreeMap<ServiceName, Vec<u16>>,
    /// The same of those that speak TCP.
    pub tcp: &'a BTreeMap<ServiceName, Vec<u16>>,
    /// The same of those that speak UDP.
    pub udp: &'a BTreeMap<ServiceName, Vec<u16>>,
}

/// Listeners and routes of a stack.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traffic {
    /// By name.
    pub listeners: Vec<StackListener>,
    /// By priority.
    pub routes: Vec<StackRoute>,
}

/// Reads the `x-naru` of a file, if it has one. What is wrong goes into the report.
pub fn traffic(report: &mut Report, root: &Node, setting: &Setting<'_>) -> Traffic {
    let Some(own) = root.get("x-naru") else { return Traffic::default() };
    let mut reader = Reader { report, at: "x-naru".into() };
    if !reader.is_map(own) {
        return Traffic::default();
    }
    reader.keys(own, "");
    // What it means is another crate's; that it has no other keys is this one's.
    for (path, node) in [("power", own.get("power")), ("power.ignore", own.at(&["power", "ignore"]))] {
        if let Some(node) = node.filter(|node| reader.is_map(node)) {
            reader.keys(node, path);
        }
    }
    let listeners = listeners::listeners(&mut reader, own.get("listeners"), setting);
    let routes = routes::routes(&mut reader, own.get("routes"), &listeners, setting);
    Traffic { listeners, routes }
}
