//! From the instance's pipes into its log, and to whoever is attached.

use super::plumbing::{ChildSignals, signal_group, timespec};
use super::reap::reap;
use crate::folder::now;
use naru_logs::{Lines, Queue, Stream};
use naru_model::Exit;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;
use std::time::{Duration, Instant};

/// What is read from a pipe at once.
const READ: usize = 16 << 10;
/// After the end, what is left in a pipe is at most its capacity: a mebibyte, if the instance enlarged it.
const PIPE_MAX: usize = 1 << 20;
/// So many reads take all of that.
const LAST_READS: usize = PIPE_MAX / READ;
/// An instance that is hung up on saves what it has; what takes longer is killed.
const HUNG_UP: Duration = Duration::from_secs(5);
/// After the end, whoever is attached makes room for what does not fit within this time, or does without it.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Where output comes from, and who else is to have it.
pub(crate) struct Origin {
    pub(crate) from: OwnedFd,
    pub(crate) stream: Stream,
    pub(crate) copy: Option<OwnedFd>,
}

/// Reads all output and hands its lines to the log's queue.
pub(crate) struct Pump {
    inputs: Vec<Input>,
    queue: Queue,
    buffer: Vec<u8>,
    records: Vec<u8>,
    /// Whether whoever was attached has gone.
    left: bool,
}

struct Input {
    fd: OwnedFd,
    lines: Lines,
    copy: Option<Copied>,
}

/// What somebody who is attached is given of an input. As long as some of it waits, no more is read.
struct Copied {
    to: OwnedFd,
    waiting: Vec<u8>,
}

/// What reading a pipe came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Some,
    Nothing,
    End,
}

impl Pump {
    pub(crate) fn new(origins: Vec<Origin>, queue: Queue) -> Pump {
        let input = |origin: Origin| {
            // A pipe that cannot be set so is read only when poll says that there is something.
            unblock(&origin.from);
            origin.copy.iter().for_each(unblock);
            let copy = origin.copy.map(|to| Copied { to, waiting: Vec::new() });
            Input { fd: origin.from, lines: Lines::new(origin.stream), copy }
        };
        let inputs = origins.into_iter().map(input).collect();
        Pump { inputs, queue, buffer: vec![0; READ], records: Vec::new(), left: false }
    }

    /// Returns how the main process ended.
    pub(crate) fn run_until_exit(&mut self, signals: &ChildSignals, main: i32) -> Exit {
        let mut deadline: Option<Instant> = None;
        loop {
            signals.clear();
            let reaped = reap(main);
            if let Some(exit) = reaped.main {
                return exit;
            }
            let pause = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if self.left && pause.is_none_or(|pause| pause.is_zero()) {
                hang_up(main, deadline);
                deadline = Some(Instant::now() + HUNG_UP);
                continue;
            }
            for at in self.wait(signals, pause).into_iter().rev() {
                if self.read(at) == Read::End {
                    self.close(at);
                }
            }
        }
    }

    /// Takes what is left in the pipes and waits for the log, if it moves.
    pub(crate) fn finish(&mut self) {
        while let Some(input) = self.inputs.first() {
            if let Some(copy) = &input.copy {
                // What is left fits then, however slowly it is taken: the pipe outlives this process.
                let _ = rustix::pipe::fcntl_setpipe_size(&copy.to, PIPE_MAX);
            }
            for _ in 0..LAST_READS {
                self.make_room();
                if self.read(0) != Read::Some {
                    break;
                }
            }
            self.make_room();
            self.close(0);
        }
        self.queue.finish();
    }

    /// Waits until what waits for whoever is attached to the first input is taken, or gives it up.
    fn make_room(&mut self) {
        let Some(copy) = self.inputs.first_mut().and_then(|input| input.copy.as_mut()) else { return };
        while !copy.waiting.is_empty() {
            let ready = poll(&mut [PollFd::new(&copy.to, PollFlags::OUT)], Some(&timespec(LAST_WORDS)));
            if ready == Ok(0) || copy.pass_on().is_err() {
                copy.waiting.clear();
                self.inputs[0].copy = None;
                return;
            }
        }
    }

    /// The inputs that have something, once there is one or a child has changed.
    fn wait(&mut self, signals: &ChildSignals, limit: Option<Duration>) -> Vec<usize> {
        let mut fds = vec![PollFd::new(signals, PollFlags::IN)];
        fds.extend(self.inputs.iter().map(|input| match &input.copy {
            Some(copy) if !copy.waiting.is_empty() => PollFd::new(&copy.to, PollFlags::OUT),
            _ => PollFd::new(&input.fd, PollFlags::IN),
        }));
        // Asked for nothing, it tells all the same that nobody reads any more.
        let copies = self.inputs.iter().filter_map(|input| input.copy.as_ref());
        fds.extend(copies.map(|copy| PollFd::new(&copy.to, PollFlags::empty())));
        // An interrupted or failed poll is an empty one: every reason to wake is looked at anew.
        let _ = poll(&mut fds, limit.map(timespec).as_ref());
        let count = self.inputs.len();
        let ready: Vec<usize> = (0..count).filter(|at| !fds[at + 1].revents().is_empty()).collect();
        let gone = fds[count + 1..].iter().any(|fd| !fd.revents().is_empty());
        drop(fds);
        if gone {
            self.nobody_is_there();
        }
        ready
    }

    fn nobody_is_there(&mut self) {
        self.left = true;
        self.inputs.iter_mut().for_each(|input| input.copy = None);
    }

    fn read(&mut self, at: usize) -> Read {
        let input = &mut self.inputs[at];
        if let Some(copy) = &mut input.copy
            && !copy.waiting.is_empty()
        {
            if copy.pass_on().is_err() {
                self.nobody_is_there();
            }
            return Read::Nothing;
        }
        match rustix::io::read(&input.fd, &mut self.buffer[..]) {
            Ok(0) => Read::End,
            Ok(count) => {
                let bytes = &self.buffer[..count];
                self.records.clear();
                input.lines.take(now(), bytes, &mut self.records);
                self.queue.push(&self.records);
                let copied = input.copy.as_mut().is_none_or(|copy| {
                    copy.waiting.extend_from_slice(bytes);
                    copy.pass_on().is_ok()
                });
                if !copied {
                    self.nobody_is_there();
                }
                Read::Some
            }
            Err(Errno::AGAIN | Errno::INTR) => Read::Nothing,
            Err(_) => Read::End,
        }
    }

    fn close(&mut self, at: usize) {
        let mut input = self.inputs.remove(at);
        self.records.clear();
        input.lines.finish(now(), &mut self.records);
        self.queue.push(&self.records);
    }
}

impl Copied {
    /// As much as there is room for. An error: nobody reads any more.
    fn pass_on(&mut self) -> Result<(), Errno> {
        while !self.waiting.is_empty() {
            match rustix::io::write(&self.to, &self.waiting) {
                Ok(count) => drop(self.waiting.drain(..count)),
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Nobody is there any more for whom it runs: it is told so as a terminal would, and killed if that did not end it.
fn hang_up(main: i32, told: Option<Instant>) {
    match told {
        None => {
            signal_group(main, libc::SIGHUP);
            // A stopped one does not hear it.
            signal_group(main, libc::SIGCONT);
        }
        Some(_) => signal_group(main, libc::SIGKILL),
    }
}

fn unblock(fd: impl AsFd) {
    let _ = fcntl_getfl(&fd).and_then(|flags| fcntl_setfl(&fd, flags | OFlags::NONBLOCK));
}
