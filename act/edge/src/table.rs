//! The table as all workers get it: checked, addresses read, with the sockets that are open and the loads
//! that the workers share. Immutable; a change is a new one.

use crate::count::Load;
use crate::listen::Sockets;
use crate::observe::{Logs, PlannedRegister};
use naru_model::{Generation, InstanceId, Protocol, ReleaseNo, RouteTable};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

/// Why a table was not taken. The edge goes on by the one it has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// A newer one is applied already.
    #[error("the route table of generation {offered} is older than {applied}, which is applied")]
    Stale {
        /// What was offered.
        offered: Generation,
        /// What is applied.
        applied: Generation,
    },
    /// A backend's address cannot be read.
    #[error("listener {listener}: the address of {instance}, {address:?}, is not IP:PORT")]
    Address {
        /// The listener's name.
        listener: String,
        /// The instance.
        instance: InstanceId,
        /// What its address says.
        address: String,
    },
}

/// A route table that can be carried out.
pub(crate) struct Plan {
    pub(crate) generation: Generation,
    pub(crate) listeners: Vec<PlannedListener>,
}

/// A listener, and the instances behind it.
#[derive(Clone)]
pub(crate) struct PlannedListener {
    pub(crate) name: Arc<str>,
    pub(crate) address: Arc<str>,
    pub(crate) protocol: Protocol,
    /// `None` while they could not be opened.
    pub(crate) sockets: Option<Arc<Sockets>>,
    pub(crate) splits: Arc<[PlannedSplit]>,
    pub(crate) register: Arc<PlannedRegister>,
}

/// A share of the traffic.
pub(crate) struct PlannedSplit {
    pub(crate) weight: u32,
    pub(crate) backends: Vec<PlannedBackend>,
}

/// An instance.
pub(crate) struct PlannedBackend {
    pub(crate) instance: InstanceId,
    pub(crate) release: ReleaseNo,
    pub(crate) address: SocketAddr,
    pub(crate) load: Arc<Load>,
}

/// The load of every instance that the edge knows.
pub(crate) type Loads = HashMap<InstanceId, Arc<Load>>;

impl Plan {
    /// Reads `table`; the sockets are opened later.
    ///
    /// # Errors
    /// A backend's address that cannot be read.
    pub(crate) fn read(table: &RouteTable, loads: &mut Loads, logs: &mut Logs) -> Result<Plan, Refused> {
        let listener = |listener: &naru_model::Listener| {
            let mut splits = Vec::new();
            for split in &listener.splits {
                splits.push(PlannedSplit::read(split, &listener.name, loads)?);
            }
            Ok(PlannedListener {
                name: listener.name.as_str().into(),
                address: listener.address.as_str().into(),
                protocol: listener.protocol,
                sockets: None,
                splits: splits.into(),
                register: PlannedRegister::read(listener, logs).into(),
            })
        };
        let listeners = table.listeners.iter().map(listener).collect::<Result<_, _>>()?;
        Ok(Plan { generation: table.generation, listeners })
    }
}

impl PlannedSplit {
    fn read(split: &naru_model::Split, listener: &str, loads: &mut Loads) -> Result<Self, Refused> {
        let mut backends = Vec::with_capacity(split.backends.len());
        for backend in &split.backends {
            let unreadable = |_| Refused::Address {
                listener: listener.into(),
                instance: backend.instance.clone(),
                address: backend.address.clone(),
            };
            backends.push(PlannedBackend {
                instance: backend.instance.clone(),
                release: backend.release,
                address: backend.address.parse().map_err(unreadable)?,
                load: loads.entry(backend.instance.clone()).or_default().clone(),
            });
        }
        Ok(PlannedSplit { weight: split.weight, backends })
    }
}
