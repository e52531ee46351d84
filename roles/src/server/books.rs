//! What the desk tells everyone: always the newest value, never a queue.

use naru_decide::World;
use naru_model::{Desired, NodeId, RouteTable};
use naru_who::People;
use std::sync::Arc;
use tokio::sync::watch;

/// The newest of everything that is watched. Clones tell the same.
#[derive(Clone)]
pub struct Books {
    desired: Arc<watch::Sender<Arc<Desired>>>,
    routes: Arc<watch::Sender<Arc<RouteTable>>>,
    changes: Arc<watch::Sender<u64>>,
    people: Arc<watch::Sender<Arc<People>>>,
    fault: Arc<watch::Sender<Option<String>>>,
}

impl Books {
    /// With the world as it is.
    pub fn new(world: &World, node: &NodeId) -> Books {
        Books {
            desired: Arc::new(watch::Sender::new(Arc::new(world.desired(node)))),
            routes: Arc::new(watch::Sender::new(Arc::new(world.routes.clone()))),
            changes: Arc::new(watch::Sender::new(0)),
            people: Arc::new(watch::Sender::new(Arc::new(world.people.clone()))),
            fault: Arc::new(watch::Sender::new(None)),
        }
    }

    /// The world may have changed.
    pub fn publish(&self, world: &World, node: &NodeId) {
        if self.desired.borrow().generation != world.generation {
            if **self.people.borrow() != world.people {
                self.people.send_replace(Arc::new(world.people.clone()));
            }
            self.desired.send_replace(Arc::new(world.desired(node)));
        }
        if self.routes.borrow().generation != world.routes.generation {
            self.routes.send_replace(Arc::new(world.routes.clone()));
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// Why nothing can be stored at present.
    pub fn fault(&self, fault: Option<String>) {
        self.fault.send_if_modified(|now| std::mem::replace(now, fault.clone()) != fault);
    }

    /// The same, to be read.
    pub fn present_fault(&self) -> Option<String> {
        self.fault.borrow().clone()
    }

    /// What the node's agent is to have.
    pub fn desired(&self) -> watch::Receiver<Arc<Desired>> {
        self.desired.subscribe()
    }

    /// The table in force.
    pub fn routes(&self) -> watch::Receiver<Arc<RouteTable>> {
        self.routes.subscribe()
    }

    /// Everybody, with their rights.
    pub fn people(&self) -> watch::Receiver<Arc<People>> {
        self.people.subscribe()
    }

    /// Grows with each change of the world, and each report.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}
