//! A worker: one thread, one runtime, its own sockets, books, pools and view of the table.
//!
//! Commands come in one order to all workers, and each is carried out in one step: a table is adopted, or a
//! report is made, while no connection of this worker runs. (The accept queue is the system's: an accepted connection that was
//! not yet looked at goes by the table of the moment when its request is complete.)

use crate::Config;
use crate::adopt::Adoption;
use crate::listen::Lent;
use crate::route::Route;
use crate::table::{Plan, PlannedBackend};
use crate::{connection, listen, udp};
use naru_books::{Entry, Life, News, Seen, Sheet};
use naru_model::{EdgeCounts, Generation, InstanceId, Protocol, Time, Waiting};
use socket2::SockRef;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// How often dead idle connections to instances are looked for.
const SWEEP: Duration = Duration::from_secs(5);

/// How long to wait when the system has no descriptor for a new connection.
const NO_DESCRIPTOR: Duration = Duration::from_millis(20);

/// What a worker is told.
pub(crate) enum Command {
    /// Choose by this.
    Adopt(Arc<Plan>),
    /// Tell all counts.
    Tell { now: (Instant, Time), to: oneshot::Sender<Told> },
    /// Tell what is seen from outside.
    Look { to: oneshot::Sender<Seen> },
    /// These were reported as ended, and the report was taken.
    Forget(Arc<[InstanceId]>),
    /// Lend the listening sockets.
    Lend(oneshot::Sender<Vec<Lent>>),
    /// A successor accepts: accept no more, and end when the last connection has, in its own time.
    Leave,
    /// Of addresses that a successor has too, hold none any longer.
    Release,
    /// Accept no more, and end when the last connection has.
    Finish,
}

/// One worker's part of a report.
pub(crate) struct Told {
    pub(crate) generation: Generation,
    /// By id.
    pub(crate) instances: Vec<(InstanceId, EdgeCounts)>,
    /// Those of them that the table of that generation does not name, and that have nothing in progress here.
    pub(crate) ended: Vec<InstanceId>,
    /// Requests that wait for services that may be asleep.
    pub(crate) waiting: Waiting,
}

/// The generations that the workers choose by.
pub(crate) struct Acks {
    pub(crate) each: Vec<AtomicU64>,
    pub(crate) news: News,
    /// How many workers were told to finish, and have.
    pub(crate) finished: watch::Sender<usize>,
    /// Client connections and flows of each worker.
    pub(crate) open: Vec<AtomicUsize>,
}

impl Acks {
    /// The table by which all workers choose.
    pub(crate) fn all(&self) -> Generation {
        Generation(self.each.iter().map(|ack| ack.load(Ordering::Acquire)).min().unwrap_or(0))
    }

    fn set(&self, worker: usize, generation: Generation) {
        let before = self.each[worker].swap(generation.0, Ordering::AcqRel);
        if before != generation.0 && self.all() == generation {
            self.news.tell();
        }
    }
}

/// What the connections of one thread share.
pub(crate) struct Worker {
    index: usize,
    pub(crate) config: Arc<Config>,
    acks: Arc<Acks>,
    generation: Cell<Generation>,
    sheet: Option<Rc<Sheet>>,
    entries: RefCell<BTreeMap<InstanceId, Rc<Entry>>>,
    routes: RefCell<HashMap<Arc<str>, Rc<Route>>>,
    acceptors: RefCell<Vec<Acceptor>>,
    connections: Cell<usize>,
    /// Flows of datagrams that go on.
    flows: Cell<usize>,
    /// Sockets that are still waited on.
    accepting: Cell<usize>,
    /// Told when a connection has ended, to one acceptor that waits for room.
    room: Notify,
    /// The same, to the worker itself.
    ended: Notify,
    phase: Cell<Phase>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Serving,
    Leaving,
    Finishing,
    Finished,
}

/// A socket that is accepted on, and the route that its connections go by.
struct Acceptor {
    sockets: Arc<listen::Sockets>,
    route: Rc<RefCell<Rc<Route>>>,
    each: Vec<Accepting>,
}

/// One socket, and the word that ends the waiting on it. Only its task outlives that word.
struct Accepting {
    socket: Heard,
    stop: Rc<Notify>,
}

/// What is waited on.
enum Heard {
    Tcp(Rc<TcpListener>),
    Udp(Rc<UdpSocket>),
}

impl Heard {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Heard::Tcp(listener) => listener.as_fd(),
            Heard::Udp(socket) => socket.as_fd(),
        }
    }
}

impl Acceptor {
    fn stop(&self) {
        self.each.iter().for_each(|accepting| accepting.stop.notify_one());
    }
}

impl Worker {
    pub(crate) fn new(index: usize, config: Arc<Config>, acks: Arc<Acks>) -> Rc<Worker> {
        let life = config.sheets.as_ref().map(|folder| Life {
            folder,
            node: &config.node,
            edge: &config.edge,
            began: config.began,
        });
        Rc::new(Worker {
            index,
            sheet: life.and_then(|life| Sheet::open(&life, index)),
            config,
            acks,
            generation: Cell::default(),
            entries: RefCell::default(),
            routes: RefCell::default(),
            acceptors: RefCell::default(),
            connections: Cell::new(0),
            flows: Cell::new(0),
            accepting: Cell::new(0),
            room: Notify::new(),
            ended: Notify::new(),
            phase: Cell::new(Phase::Serving),
        })
    }

    /// Works until nobody can tell it anything any more.
    pub(crate) async fn run(self: Rc<Worker>, mut commands: mpsc::UnboundedReceiver<Command>) {
        let mut sweep = tokio::time::interval(SWEEP);
        loop {
            let command = tokio::select! {
                command = commands.recv() => command,
                _ = sweep.tick() => {
                    self.sweep();
                    continue;
                }
                () = self.ended.notified(), if matches!(self.phase.get(), Phase::Leaving | Phase::Finishing) => {
                    if self.connections.get() == 0 && self.accepting.get() == 0 {
                        self.phase.set(Phase::Finished);
                        self.routes.borrow().values().for_each(|route| route.register.flush());
                        self.acks.finished.send_modify(|n| *n += 1);
                    }
                    continue;
                }
            };
            match command {
                None => {
                    if let Some(sheet) = &self.sheet {
                        sheet.close();
                    }
                    return;
                }
                Some(Command::Adopt(plan)) => self.adopt(&plan),
                Some(Command::Tell { now, to }) => {
                    // Whoever asked may have gone: then nobody needs the answer.
                    let _ = to.send(self.tell(now));
                }
                Some(Command::Look { to }) => {
                    let _ = to.send(self.look());
                }
                Some(Command::Forget(instances)) => self.forget(&instances),
                Some(Command::Lend(to)) => {
                    // The same: then nobody takes them.
                    let _ = to.send(self.lend());
                }
                Some(Command::Leave) => self.leave(),
                Some(Command::Release) => self.release(),
                Some(Command::Finish) => self.finish(),
            }
        }
    }

    fn sweep(&self) {
        let now = Instant::now();
        for entry in self.entries.borrow().values() {
            match entry.is_named() {
                true => entry.pool.sweep(now),
                // A request that was on its way may have left one there.
                false => entry.pool.clear(),
            }
        }
    }

    fn adopt(self: &Rc<Worker>, plan: &Plan) {
        let new = |backend: &PlannedBackend| self.entry(backend);
        let mut entries = self.entries.borrow_mut();
        let mut adoption = Adoption::new(&mut entries, &new, &self.acks.news);
        let mut old = self.routes.take();
        for listener in &plan.listeners {
            let kept = old.remove(&listener.name).filter(|route| {
                let same = route.is(listener);
                if !same {
                    route.close(&mut adoption);
                }
                same
            });
            let route = kept.unwrap_or_else(|| Rc::new(Route::new(listener)));
            route.change(listener, self.config.workers, &mut adoption);
            self.routes.borrow_mut().insert(listener.name.clone(), route);
        }
        old.values().for_each(|route| route.close(&mut adoption));
        drop(adoption);
        drop(entries);
        if self.phase.get() == Phase::Serving {
            self.accept_on(plan);
        }
        self.generation.set(plan.generation);
        if let Some(sheet) = &self.sheet {
            sheet.choose_by(plan.generation);
        }
        self.acks.set(self.index, plan.generation);
    }

    fn entry(&self, backend: &PlannedBackend) -> Rc<Entry> {
        let news = self.acks.news.clone();
        let slot = self.sheet.as_ref().and_then(|sheet| sheet.slot(&backend.instance));
        Rc::new(Entry::new(backend.instance.clone(), backend.release, backend.load.clone(), news, slot))
    }

    fn accept_on(self: &Rc<Worker>, plan: &Plan) {
        let mut old = self.acceptors.take();
        for listener in &plan.listeners {
            let Some(sockets) = &listener.sockets else { continue };
            let route = self.routes.borrow()[&listener.name].clone();
            let kept = old.iter().position(|acceptor| Arc::ptr_eq(&acceptor.sockets, sockets));
            let acceptor = match kept {
                Some(at) => {
                    let acceptor = old.swap_remove(at);
                    acceptor.route.replace(route);
                    acceptor
                }
                None => self.accept(sockets, route),
            };
            self.acceptors.borrow_mut().push(acceptor);
        }
        old.iter().for_each(Acceptor::stop);
    }

    fn accept(self: &Rc<Worker>, sockets: &Arc<listen::Sockets>, route: Rc<Route>) -> Acceptor {
        let route = Rc::new(RefCell::new(route));
        let own = sockets.take(self.index).into_iter();
        let is_udp = route.borrow().protocol == Protocol::Udp;
        let each = own.filter_map(|own| {
            let route = route.clone();
            if is_udp { self.hear_from(own.into(), route) } else { self.accept_from(own.into(), route) }
        });
        let each = each.collect();
        Acceptor { sockets: sockets.clone(), route, each }
    }

    fn accept_from(
        self: &Rc<Worker>,
        own: std::net::TcpListener,
        route: Rc<RefCell<Rc<Route>>>,
    ) -> Option<Accepting> {
        // Connections inherit it from the socket that they are accepted on: a system call less for each.
        let prepared = SockRef::from(&own).set_tcp_nodelay(true).and_then(|()| own.set_nonblocking(true));
        let listener = prepared.and_then(|()| TcpListener::from_std(own));
        let listener = Rc::new(listener.map_err(unfit).ok()?);
        let (worker, socket) = (self.clone(), Heard::Tcp(listener.clone()));
        Some(self.wait_on(socket, |stop| async move {
            tokio::select! {
                biased;
                () = stop.notified() => {}
                () = worker.accept_all(&listener, &route) => {}
            }
            // What waits in a socket that a successor has too is the successor's.
            if worker.phase.get() != Phase::Leaving
                && let Some(listener) = Rc::into_inner(listener)
            {
                worker.accept_rest(listener, &route);
            }
        }))
    }

    fn hear_from(
        self: &Rc<Worker>,
        own: std::net::UdpSocket,
        route: Rc<RefCell<Rc<Route>>>,
    ) -> Option<Accepting> {
        let socket = own.set_nonblocking(true).and_then(|()| UdpSocket::from_std(own));
        let socket = Rc::new(socket.map_err(unfit).ok()?);
        let (worker, heard) = (self.clone(), Heard::Udp(socket.clone()));
        Some(self.wait_on(heard, |stop| async move { udp::serve(worker, &route, socket, &stop).await }))
    }

    /// Waits on a socket by what `wait` makes, which is to end once its argument is told.
    fn wait_on<W: Future<Output = ()> + 'static>(
        self: &Rc<Worker>,
        socket: Heard,
        wait: impl FnOnce(Rc<Notify>) -> W,
    ) -> Accepting {
        let accepting = Accepting { socket, stop: Rc::default() };
        let (worker, waiting) = (self.clone(), wait(accepting.stop.clone()));
        self.accepting.set(self.accepting.get() + 1);
        tokio::task::spawn_local(async move {
            waiting.await;
            worker.accepting.set(worker.accepting.get() - 1);
            worker.ended.notify_one();
        });
        accepting
    }

    async fn accept_all(self: &Rc<Worker>, listener: &TcpListener, route: &RefCell<Rc<Route>>) {
        loop {
            while self.connections.get() >= self.config.max_connections {
                self.room.notified().await;
            }
            let room = route.borrow().room.clone();
            room.vacancy().await;
            match listener.accept().await {
                Ok((stream, peer)) => connection::begin(self, route.borrow().clone(), stream, peer),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(NO_DESCRIPTOR).await;
                }
            }
        }
    }

    /// Takes those that the system has connected already: closing the socket would reset them. The system
    /// itself is asked, since the runtime may not have heard of them yet.
    fn accept_rest(self: &Rc<Worker>, listener: TcpListener, route: &RefCell<Rc<Route>>) {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, peer)) = listener.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            match stream {
                Ok(stream) => connection::begin(self, route.borrow().clone(), stream, peer),
                Err(error) => tracing::warn!(%error, "a connection could not be taken"),
            }
        }
    }

    fn tell(&self, now: (Instant, Time)) -> Told {
        let entries = self.entries.borrow();
        let instances = entries.values().map(|entry| (entry.id.clone(), entry.counts(now))).collect();
        let ended = entries.values().filter(|entry| !entry.is_named() && entry.is_idle());
        Told {
            generation: self.generation.get(),
            instances,
            ended: ended.map(|entry| entry.id.clone()).collect(),
            waiting: self.waiting(),
        }
    }

    fn waiting(&self) -> Waiting {
        let mut waiting = Waiting::new();
        for route in self.routes.borrow().values() {
            route.each_set(&mut |set| {
                let held = set.held.get() as u64;
                let whose = if held > 0 { set.dozer() } else { None };
                if let Some((stack, service)) = whose {
                    *waiting.entry(stack).or_default().entry(service).or_default() += held;
                }
            });
        }
        waiting
    }

    fn look(&self) -> Seen {
        let routes = self.routes.borrow();
        let entries = self.entries.borrow();
        let seen =
            |entry: &Rc<Entry>| (entry.id.clone(), entry.answers(), entry.latencies(), entry.ejections());
        Seen {
            listeners: routes.iter().map(|(name, route)| route.read(name)).collect(),
            instances: entries.values().map(seen).collect(),
        }
    }

    fn forget(&self, instances: &[InstanceId]) {
        let mut entries = self.entries.borrow_mut();
        for id in instances {
            if entries.get(id).is_some_and(|entry| !entry.is_named() && entry.is_idle()) {
                entries.remove(id);
            }
        }
    }

    /// There is one connection more.
    pub(crate) fn connected(&self) {
        self.connections.set(self.connections.get() + 1);
        self.tell_open();
    }

    /// There is one less.
    pub(crate) fn disconnected(&self) {
        self.connections.set(self.connections.get() - 1);
        self.tell_open();
        self.room.notify_one();
        self.ended.notify_one();
    }

    fn tell_open(&self) {
        self.acks.open[self.index].store(self.connections.get() + self.flows.get(), Ordering::Relaxed);
    }

    /// How many flows of datagrams its listeners have.
    pub(crate) fn flows(&self) -> usize {
        self.flows.get()
    }

    /// There is one more.
    pub(crate) fn flow_began(&self) {
        self.flows.set(self.flows.get() + 1);
        self.tell_open();
    }

    /// There is one less.
    pub(crate) fn flow_ended(&self) {
        self.flows.set(self.flows.get() - 1);
        self.tell_open();
    }

    fn lend(&self) -> Vec<Lent> {
        let acceptors = self.acceptors.borrow();
        let all = acceptors.iter().flat_map(|one| one.each.iter().map(|each| (&one.sockets.key, each)));
        let lent = all.filter_map(|(key, each)| {
            let socket = each.socket.as_fd().try_clone_to_owned();
            // The successor opens one of its own in its place, once this edge has let go of it.
            let none = |error| tracing::error!(%error, key, "a socket cannot be lent");
            Some(Lent { key: key.clone(), socket: socket.map_err(none).ok()? })
        });
        lent.collect()
    }

    fn leave(&self) {
        if self.phase.get() == Phase::Serving {
            self.phase.set(Phase::Leaving);
            self.acceptors.take().iter().for_each(Acceptor::stop);
            self.routes.borrow().values().for_each(|route| route.leave());
        }
        self.ended.notify_one();
    }

    fn release(&self) {
        if self.phase.get() == Phase::Leaving {
            let routes = self.routes.borrow();
            routes.values().filter(|route| route.protocol == Protocol::Udp).for_each(|route| route.release());
        }
    }

    fn finish(&self) {
        self.acceptors.take().iter().for_each(Acceptor::stop);
        self.routes.borrow().values().for_each(|route| route.finish());
        if matches!(self.phase.get(), Phase::Serving | Phase::Leaving) {
            self.phase.set(Phase::Finishing);
        }
        self.ended.notify_one();
    }
}

fn unfit(error: std::io::Error) {
    tracing::error!(%error, "a worker cannot wait on its socket");
}
