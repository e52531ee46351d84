//! A listener at one worker, and the choice of an instance: behind the listener itself, or behind one of its rules.
//!
//! Choosing and counting are one step on the worker's thread. A table's change is another. Neither waits in
//! between, so that after a worker has acknowledged a generation, nothing can reach an instance that this
//! generation does not name.

use crate::adopt::Adoption;
use crate::gate::Gate;
use crate::room::Room;
use crate::set::Set;
use crate::table::{PlannedEntrance, PlannedListener};
use naru_books::{Listened, Register};
use naru_carry::Waits;
use naru_model::{ListenerSnapshot, Protocol};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio_rustls::rustls::ServerConfig;

/// A listener at one worker. Its connections share it; it outlives its removal for as long as they do.
pub(crate) struct Route {
    pub(crate) address: Arc<str>,
    pub(crate) protocol: Protocol,
    /// The listener's own instances.
    pub(crate) own: Rc<Set>,
    pub(crate) gate: RefCell<Rc<Gate>>,
    /// How TLS ends at new connections, if it does.
    pub(crate) tls: RefCell<Option<Arc<ServerConfig>>>,
    entrance: RefCell<Arc<PlannedEntrance>>,
    /// The places for connections, which all workers have in common.
    pub(crate) room: Arc<Room>,
    /// Connections that wait for their next request.
    pub(crate) waits: Rc<Waits>,
    /// Told when the listener is removed, to flows of datagrams.
    pub(crate) closing: Notify,
    /// Told when the listener is removed, or left to a successor: connections whose protocol can say ahead
    /// that they take no more work (as HTTP/2 can) say so now.
    pub(crate) leaving: Notify,
    stage: Cell<Stage>,
    pub(crate) register: Register,
}

/// How far the end of a listener's connections is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// They go on.
    Open,
    /// Another process accepts. Each closes with its next answer; one that is idle stays open for its next
    /// request, which may be under way.
    Leaving,
    /// Each closes once its work is done; one that is idle, now.
    Closed,
    /// All end now: somebody else is about to open the address.
    Released,
}

impl Route {
    /// A route that chooses nothing yet.
    pub(crate) fn new(listener: &PlannedListener) -> Route {
        Route {
            address: listener.address.clone(),
            protocol: listener.protocol,
            own: Rc::new(Set::new(listener.protocol == Protocol::Http2)),
            gate: RefCell::default(),
            tls: RefCell::default(),
            entrance: RefCell::new(listener.entrance.clone()),
            room: listener.room.clone(),
            waits: Waits::new(),
            closing: Notify::new(),
            leaving: Notify::new(),
            stage: Cell::new(Stage::Open),
            register: Register::new(&listener.register),
        }
    }

    /// Whether a listener of a newer table is this one, and keeps its connections.
    pub(crate) fn is(&self, listener: &PlannedListener) -> bool {
        self.address == listener.address && self.protocol == listener.protocol
    }

    /// Chooses by `listener` from now on.
    pub(crate) fn change(&self, listener: &PlannedListener, workers: usize, adoption: &mut Adoption<'_>) {
        self.register.change(&listener.register);
        self.tls.replace(listener.tls.clone());
        self.entrance.replace(listener.entrance.clone());
        self.room.limit(listener.entrance.max_connections);
        self.own.change(&listener.splits, &listener.policy, adoption);
        let gate = Gate::next(&self.gate.borrow(), listener, workers, adoption);
        self.gate.replace(gate);
    }

    /// The listener is in no table any more: nothing can be chosen, and idle connections close.
    pub(crate) fn close(&self, adoption: &mut Adoption<'_>) {
        self.own.remove(adoption);
        self.gate.take().remove(adoption);
        self.finish();
    }

    /// What holds for all that comes in.
    pub(crate) fn entrance(&self) -> Arc<PlannedEntrance> {
        self.entrance.borrow().clone()
    }

    /// No more connections come: those that are idle close, and the others once their work is done.
    pub(crate) fn finish(&self) {
        self.stage.set(Stage::Closed);
        self.room.limit(None);
        self.leaving.notify_waiters();
        self.closing.notify_waiters();
        self.waits.close();
    }

    /// What still holds the address ends now.
    pub(crate) fn release(&self) {
        self.stage.set(Stage::Released);
        self.closing.notify_waiters();
    }

    /// No more connections come here, since a successor takes them: each closes with its next answer.
    pub(crate) fn leave(&self) {
        if self.stage.get() == Stage::Open {
            self.stage.set(Stage::Leaving);
            // Who has been accepted is let in: a place here may be free only in hours.
            self.room.limit(None);
            self.leaving.notify_waiters();
        }
    }

    /// How far the end of its connections is.
    pub(crate) fn stage(&self) -> Stage {
        self.stage.get()
    }

    /// Whether connections are to close once their work is done.
    pub(crate) fn is_closed(&self) -> bool {
        self.stage.get() != Stage::Open
    }

    /// What is seen of it from outside.
    pub(crate) fn read(&self, name: &str) -> ListenerSnapshot {
        let (address, protocol, mut held) = (&*self.address, self.protocol, 0);
        self.each_set(&mut |set| held += set.held.get());
        self.register.read(&Listened { name, address, protocol, held })
    }

    /// Its own instances, and those of each rule.
    pub(crate) fn each_set(&self, to: &mut dyn FnMut(&Set)) {
        to(&self.own);
        self.gate.borrow().sets().for_each(to);
    }
}
