//! The loop: epoll's events to clients and servers, and their bytes back.

use super::client::{Ask, Client, State, Step, Then};
use super::server::{Answers, Server, Service, Turn};
use super::socket::{Line, Written};
use super::tally::Tally;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use socket2::SockRef;
use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::{Duration, Instant};

/// A body is dropped in pieces of at most this.
const SCRATCH: usize = 256 * 1024;
/// Events taken at once.
const EVENTS: usize = 512;
/// A creeping client sends a byte so often.
const CREEP: Duration = Duration::from_secs(1);
/// Creeping clients that write in one turn, at most.
const CREEPS: usize = 32;
/// A creeping client's head is at most so long; then it only waits.
const CREEP_MAX: usize = 8 * 1024;

/// Clients that do the same, and their tally.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(usize);

/// The sockets of both sides.
pub struct Engine {
    epoll: OwnedFd,
    events: Vec<epoll::Event>,
    seats: Vec<Option<Seat>>,
    free: Vec<usize>,
    scratch: Vec<u8>,
    answers: Answers,
    groups: Vec<Members>,
    connects: usize,
    /// Reused only after the events at hand: an event of the old socket must not reach the new one.
    freed: Vec<usize>,
}

/// A group: what it asks, and where.
struct Members {
    ask: Rc<Ask>,
    to: SocketAddr,
    tally: Tally,
    /// Who may go next, of clients that rest in between.
    resting: VecDeque<usize>,
    open: usize,
    /// When each creeping client sends its next byte, and since when it has been there.
    creeping: VecDeque<(Instant, usize, Instant)>,
}

enum Seat {
    Listener(TcpListener, Service),
    Client(Line, Client),
    Server(Line, Server),
}

impl Engine {
    /// One without sockets.
    ///
    /// # Errors
    /// The system gives no epoll.
    pub fn new() -> io::Result<Engine> {
        Ok(Engine {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
            seats: Vec::new(),
            free: Vec::new(),
            scratch: vec![0; SCRATCH],
            answers: Answers::default(),
            groups: Vec::new(),
            connects: 0,
            freed: Vec::new(),
        })
    }

    /// Another instance, at a free port of 127.0.0.1.
    ///
    /// # Errors
    /// What the system said.
    pub fn serve(&mut self, service: Service) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        SockRef::from(&listener).listen(4096)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        self.seat(Seat::Listener(listener, service), epoll::EventFlags::IN)?;
        Ok(address)
    }

    /// Another group of so many clients of `to`.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(&mut self, clients: usize, to: SocketAddr, ask: Ask) -> io::Result<Group> {
        let group = self.groups.len();
        self.groups.push(Members {
            ask: Rc::new(ask),
            to,
            tally: Tally::default(),
            resting: VecDeque::new(),
            open: 0,
            creeping: VecDeque::new(),
        });
        self.join(Group(group), clients)?;
        Ok(Group(group))
    }

    /// So many more clients of a group.
    ///
    /// # Errors
    /// What the system said.
    pub fn join(&mut self, group: Group, clients: usize) -> io::Result<()> {
        for n in 0..clients {
            self.connect(group.0, Instant::now())?;
            // The queue of whoever accepts is finite.
            if n % 256 == 255 {
                self.turn(Duration::ZERO)?;
            }
        }
        Ok(())
    }

    /// What a group did.
    pub fn tally(&mut self, group: Group) -> &mut Tally {
        &mut self.groups[group.0].tally
    }

    /// How many of a group are connected.
    pub fn open_now(&self, group: Group) -> usize {
        self.groups[group.0].open
    }

    /// How many of a group rest.
    pub fn resting(&self, group: Group) -> usize {
        self.groups[group.0].resting.len()
    }

    /// Lets so many of those that rest have an exchange.
    ///
    /// # Errors
    /// What the system said of epoll.
    pub fn wake(&mut self, group: Group, clients: usize) -> io::Result<()> {
        for _ in 0..clients {
            self.pass_on(group.0)?;
        }
        Ok(())
    }

    /// Lets a group have so many exchanges a second for so long, evenly, whatever becomes of those before: by clients that
    /// rest or, where they [leave](Then::Leave), by new ones, of which at most `most` are there. An exchange counts
    /// from when it was due.
    ///
    /// # Errors
    /// What the system said.
    pub fn pace(&mut self, group: Group, per_second: f64, most: usize, time: Duration) -> io::Result<()> {
        let (began, gap) = (Instant::now(), Duration::from_secs_f64(1.0 / per_second));
        let (end, mut due) = (began + time, began);
        while Instant::now() < end {
            while due <= Instant::now() && self.may_begin(group, most) {
                match self.groups[group.0].ask.then {
                    Then::Leave => self.connect(group.0, due)?,
                    _ => self.pass_on_since(group.0, due)?,
                }
                due += gap;
            }
            // The system's shortest wait may be a thousandth of a second: this core has nothing else to do.
            self.turn(Duration::ZERO)?;
        }
        Ok(())
    }

    fn may_begin(&self, group: Group, most: usize) -> bool {
        let members = &self.groups[group.0];
        if members.ask.then == Then::Leave { members.open < most } else { !members.resting.is_empty() }
    }

    /// Closes all clients of a group.
    pub fn close(&mut self, group: Group) {
        for at in 0..self.seats.len() {
            if matches!(&self.seats[at], Some(Seat::Client(_, client)) if client.group == group.0) {
                self.leave(at);
            }
        }
        self.groups[group.0].resting.clear();
    }

    /// Takes turns for so long.
    ///
    /// # Errors
    /// What the system said of epoll.
    pub fn run(&mut self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            self.turn(left.min(Duration::from_millis(20)))?;
        }
    }

    /// Does what is to be done now, waiting for it no longer than `wait`.
    ///
    /// # Errors
    /// What the system said of epoll.
    pub fn turn(&mut self, wait: Duration) -> io::Result<()> {
        let wait = Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        let mut events = std::mem::take(&mut self.events);
        events.clear();
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&wait)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in &events {
            self.event(event.data.u64() as usize, event.flags)?;
        }
        self.events = events;
        self.free.append(&mut self.freed);
        (0..self.groups.len()).try_for_each(|group| self.creep(group))
    }

    fn event(&mut self, at: usize, flags: epoll::EventFlags) -> io::Result<()> {
        match self.seats.get_mut(at) {
            Some(Some(Seat::Listener(..))) => self.accept(at),
            Some(Some(Seat::Client(line, client))) => {
                let done = match client.state {
                    State::Connecting => connected(line, client),
                    _ => line.go_on().and_then(|written| {
                        client.readable(line, &mut self.scratch).map(|step| (step, written))
                    }),
                };
                match done {
                    Ok((step, written)) => self.client(at, step, written, flags),
                    Err(error) => self.failed(at, &error),
                }
            }
            Some(Some(Seat::Server(line, server))) => {
                let turn = match line.go_on() {
                    Ok(Written::Part) => Ok(Turn::Open(Written::Part)),
                    Ok(Written::Whole) => server.readable(line, &mut self.scratch, &mut self.answers),
                    Err(error) => Err(error),
                };
                self.server(at, turn, flags)
            }
            // It was closed by an event of the same turn.
            Some(None) | None => Ok(()),
        }
    }

    fn server(&mut self, at: usize, turn: io::Result<Turn>, flags: epoll::EventFlags) -> io::Result<()> {
        match turn {
            Ok(Turn::Open(written)) => self.watch(at, written, flags),
            Ok(Turn::Reset) => {
                if let Some(Some(Seat::Server(line, _))) = self.seats.get(at) {
                    SockRef::from(&line.stream).set_linger(Some(Duration::ZERO))?;
                }
                self.leave(at);
                Ok(())
            }
            // Proxies close connections as they like; what a client misses by it shows at the client.
            Ok(Turn::Close) | Err(_) => {
                self.leave(at);
                Ok(())
            }
        }
    }

    fn client(
        &mut self,
        at: usize,
        step: Step,
        written: Written,
        flags: epoll::EventFlags,
    ) -> io::Result<()> {
        let Some(Some(Seat::Client(line, client))) = self.seats.get_mut(at) else { return Ok(()) };
        let group = client.group;
        if step == Step::Done {
            let now = Instant::now();
            self.groups[group].tally.done(now - client.began);
            match client.ask.then {
                Then::Again | Then::Creep => {
                    let message = client.begin(now);
                    match line.write(&message, message.len()) {
                        Ok(written) => return self.watch(at, written, flags),
                        Err(error) => return self.failed(at, &error),
                    }
                }
                Then::Reconnect => {
                    self.leave(at);
                    return self.connect(group, Instant::now());
                }
                Then::Rest => self.groups[group].resting.push_back(at),
                Then::Leave => {
                    self.leave(at);
                    return Ok(());
                }
                Then::PassOn => {
                    self.groups[group].resting.push_back(at);
                    self.pass_on(group)?;
                }
            }
        } else if step == Step::Greeted {
            self.groups[group].resting.push_back(at);
        } else if flags.contains(epoll::EventFlags::OUT)
            && client.crept == 0
            && client.ask.then == Then::Creep
        {
            client.crept = 1;
            self.groups[group].creeping.push_back((Instant::now() + CREEP, at, client.began));
        }
        self.watch(at, written, flags)
    }

    /// The one that has rested longest has its exchange.
    fn pass_on(&mut self, group: usize) -> io::Result<()> {
        self.pass_on_since(group, Instant::now())
    }

    /// The same, where the exchange was due then.
    fn pass_on_since(&mut self, group: usize, due: Instant) -> io::Result<()> {
        let Some(at) = self.groups[group].resting.pop_front() else { return Ok(()) };
        let Some(Some(Seat::Client(line, client))) = self.seats.get_mut(at) else { return Ok(()) };
        let message = client.begin(due);
        match line.write(&message, message.len()) {
            // A short message always fits a socket that nothing waits in.
            Ok(_) => Ok(()),
            Err(error) => self.failed(at, &error),
        }
    }

    /// Writes a byte for each creeping client, once a second; few in one turn, so that others' are not late.
    fn creep(&mut self, group: usize) -> io::Result<()> {
        for _ in 0..CREEPS {
            let now = Instant::now();
            let Some((due, at, since)) = self.groups[group].creeping.pop_front() else { return Ok(()) };
            if due > now {
                self.groups[group].creeping.push_front((due, at, since));
                return Ok(());
            }
            // One that left is another, or none, by now.
            let Some(Some(Seat::Client(line, client))) = self.seats.get_mut(at) else { continue };
            if client.began != since || client.crept >= CREEP_MAX {
                continue;
            }
            // The request, without its end, and then a field that never ends.
            let byte = client.ask.message[..client.ask.message.len() - 4].get(client.crept - 1);
            let byte: Rc<[u8]> = [byte.copied().unwrap_or(b'x')].into();
            client.crept += 1;
            match line.write(&byte, 1) {
                Ok(_) => self.groups[group].creeping.push_back((now + CREEP, at, since)),
                Err(error) => self.failed(at, &error)?,
            }
        }
        Ok(())
    }

    fn accept(&mut self, at: usize) -> io::Result<()> {
        loop {
            let Some(Some(Seat::Listener(listener, service))) = self.seats.get(at) else { return Ok(()) };
            let service = *service;
            match listener.accept() {
                Ok((stream, _)) => {
                    let seat = Seat::Server(Line::new(stream)?, Server::new(service));
                    self.seat(seat, epoll::EventFlags::IN)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Another client of a group, whose first exchange counts since then.
    fn connect(&mut self, group: usize, since: Instant) -> io::Result<()> {
        let members = &mut self.groups[group];
        let line = Line::connect(members.to, self.connects)?;
        self.connects += 1;
        members.open += 1;
        let client = Client::new(members.ask.clone(), group, since);
        self.seat(Seat::Client(line, client), epoll::EventFlags::OUT)
    }

    /// A client whose exchange failed tries anew, over another connection.
    fn failed(&mut self, at: usize, error: &io::Error) -> io::Result<()> {
        let Some(Some(Seat::Client(_, client))) = self.seats.get(at) else { return Ok(()) };
        let (group, then) = (client.group, client.ask.then);
        self.groups[group].tally.fail(error.to_string());
        self.leave(at);
        match then {
            Then::Rest | Then::PassOn | Then::Leave => Ok(()),
            Then::Again | Then::Reconnect | Then::Creep => self.connect(group, Instant::now()),
        }
    }

    fn seat(&mut self, seat: Seat, flags: epoll::EventFlags) -> io::Result<()> {
        let at = self.free.pop().unwrap_or_else(|| {
            self.seats.push(None);
            self.seats.len() - 1
        });
        let data = epoll::EventData::new_u64(at as u64);
        match &seat {
            Seat::Listener(listener, _) => epoll::add(&self.epoll, listener, data, flags)?,
            Seat::Client(line, _) | Seat::Server(line, _) => {
                epoll::add(&self.epoll, &line.stream, data, flags)?;
            }
        }
        self.seats[at] = Some(seat);
        Ok(())
    }

    /// Listens for room where something is left to write, and no longer where nothing is.
    fn watch(&mut self, at: usize, written: Written, flags: epoll::EventFlags) -> io::Result<()> {
        let was_for_room = flags.contains(epoll::EventFlags::OUT);
        let wanted = match written {
            Written::Whole if !was_for_room => return Ok(()),
            Written::Whole => epoll::EventFlags::IN,
            Written::Part => epoll::EventFlags::IN | epoll::EventFlags::OUT,
        };
        let data = epoll::EventData::new_u64(at as u64);
        match &self.seats[at] {
            Some(Seat::Client(line, _) | Seat::Server(line, _)) => {
                Ok(epoll::modify(&self.epoll, &line.stream, data, wanted)?)
            }
            _ => Ok(()),
        }
    }

    fn leave(&mut self, at: usize) {
        if let Some(Seat::Client(_, client)) = &self.seats[at] {
            self.groups[client.group].open -= 1;
        }
        // Closed, it leaves epoll by itself.
        self.seats[at] = None;
        self.freed.push(at);
    }
}

/// The connection is there, or it failed.
fn connected(line: &mut Line, client: &mut Client) -> io::Result<(Step, Written)> {
    if let Some(error) = line.stream.take_error()? {
        return Err(error);
    }
    let written = match client.connected() {
        Some(first) => line.write(&first, first.len())?,
        None => Written::Whole,
    };
    Ok((Step::Wait, written))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns until all that is wanted of a group was done.
    fn play(engine: &mut Engine, group: Group, wanted: u64) {
        let end = Instant::now() + Duration::from_secs(20);
        while engine.tally(group).done < wanted && Instant::now() < end {
            engine.turn(Duration::from_millis(20)).unwrap();
        }
        let tally = engine.tally(group);
        assert!(tally.done >= wanted, "{tally:?}");
        assert_eq!(tally.failed, 0, "{:?}", tally.fault);
    }

    #[test]
    fn clients_and_servers_understand_each_other() {
        let mut engine = Engine::new().unwrap();
        let http = engine.serve(Service::Http).unwrap();
        let messages = engine.serve(Service::Messages).unwrap();
        for (to, ask) in [
            (http, Ask::get("/b/1024")),
            (http, Ask::get("/b/3000000")),
            (http, Ask::get_once("/b/65536")),
            (messages, Ask::message(1024, 1024)),
            (messages, Ask::message(1_000_000, 3_000_000)),
        ] {
            let group = engine.open(4, to, ask).unwrap();
            play(&mut engine, group, 20);
            engine.close(group);
            assert_eq!(engine.open_now(group), 0);
        }
    }

    #[test]
    fn websockets_take_turns() {
        let mut engine = Engine::new().unwrap();
        let http = engine.serve(Service::Http).unwrap();
        let group = engine.open(10, http, Ask::websocket(64)).unwrap();
        while engine.resting(group) < 10 {
            engine.turn(Duration::from_millis(20)).unwrap();
        }
        engine.wake(group, 2).unwrap();
        play(&mut engine, group, 30);
    }

    #[test]
    fn exchanges_come_at_the_pace_that_is_asked_for() {
        let mut engine = Engine::new().unwrap();
        let http = engine.serve(Service::Http).unwrap();
        let resting = engine.open(0, http, Ask { then: Then::Rest, ..Ask::get("/b/10") }).unwrap();
        engine.join(resting, 4).unwrap();
        while engine.resting(resting) < 4 {
            engine.turn(Duration::from_millis(20)).unwrap();
        }
        let leaving = engine.open(0, http, Ask { then: Then::Leave, ..Ask::get_once("/b/10") }).unwrap();
        for group in [resting, leaving] {
            engine.tally(group).clear();
            engine.pace(group, 1_000.0, 64, Duration::from_millis(100)).unwrap();
            let tally = engine.tally(group).clone();
            assert!(tally.done > 0 && tally.done <= 101, "{tally:?}");
            assert_eq!(tally.failed, 0, "{:?}", tally.fault);
        }
        assert_eq!(engine.open_now(resting), 4);
        play(&mut engine, leaving, 1);
    }

    #[test]
    fn what_misbehaves_is_a_failure() {
        let mut engine = Engine::new().unwrap();
        let http = engine.serve(Service::Http).unwrap();
        for path in ["/garbage", "/reset"] {
            let group = engine.open(1, http, Ask::get(path)).unwrap();
            while engine.tally(group).failed == 0 {
                engine.turn(Duration::from_millis(20)).unwrap();
            }
            assert_eq!(engine.tally(group).done, 0, "{path}");
            engine.close(group);
        }
        let silent = engine.open(1, http, Ask::get("/never")).unwrap();
        let other = engine.open(1, http, Ask::get("/b/1")).unwrap();
        play(&mut engine, other, 10);
        assert_eq!((engine.tally(silent).done, engine.tally(silent).failed), (0, 0));
    }
}
