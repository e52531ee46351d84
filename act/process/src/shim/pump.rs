//! From the instance's pipes into its log.

use super::plumbing::ChildSignals;
use super::reap::reap;
use crate::folder::now;
use naru_logs::{Lines, Queue, Stream};
use naru_model::Exit;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

/// What is read from a pipe at once.
const READ: usize = 16 << 10;
/// After the end, what is left in a pipe is at most its capacity: a mebibyte, if the instance enlarged it.
const LAST_READS: usize = (1 << 20) / READ;

/// Reads both pipes and hands their lines to the log's queue.
pub(crate) struct Pump {
    inputs: Vec<Input>,
    queue: Queue,
    buffer: Vec<u8>,
    records: Vec<u8>,
}

struct Input {
    fd: OwnedFd,
    lines: Lines,
}

/// What reading a pipe came to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    Some,
    Nothing,
    End,
}

impl Pump {
    pub(crate) fn new(stdout: OwnedFd, stderr: OwnedFd, queue: Queue) -> Pump {
        let input = |fd: OwnedFd, stream| {
            // A pipe that cannot be set so is read only when poll says that there is something.
            let _ = fcntl_getfl(&fd).and_then(|flags| fcntl_setfl(&fd, flags | OFlags::NONBLOCK));
            Input { fd, lines: Lines::new(stream) }
        };
        let inputs = vec![input(stdout, Stream::Stdout), input(stderr, Stream::Stderr)];
        Pump { inputs, queue, buffer: vec![0; READ], records: Vec::new() }
    }

    /// Returns how the main process ended.
    pub(crate) fn run_until_exit(&mut self, signals: &ChildSignals, main: i32) -> Exit {
        loop {
            signals.clear();
            let reaped = reap(main);
            if let Some(exit) = reaped.main {
                return exit;
            }
            let ready = self.wait(signals);
            for at in ready.into_iter().rev() {
                if self.read(at) == Read::End {
                    self.close(at);
                }
            }
        }
    }

    /// Takes what is left in the pipes and waits for the log, if it moves.
    pub(crate) fn finish(&mut self) {
        while !self.inputs.is_empty() {
            for _ in 0..LAST_READS {
                if self.read(0) != Read::Some {
                    break;
                }
            }
            self.close(0);
        }
        self.queue.finish();
    }

    /// The inputs that have something, once there is one or a child has changed.
    fn wait(&self, signals: &ChildSignals) -> Vec<usize> {
        let mut fds = vec![PollFd::new(signals, PollFlags::IN)];
        fds.extend(self.inputs.iter().map(|input| PollFd::new(&input.fd, PollFlags::IN)));
        // An interrupted or failed poll is an empty one: every reason to wake is looked at anew.
        let _ = poll(&mut fds, None);
        (0..self.inputs.len()).filter(|at| !fds[at + 1].revents().is_empty()).collect()
    }

    fn read(&mut self, at: usize) -> Read {
        let input = &mut self.inputs[at];
        match rustix::io::read(&input.fd, &mut self.buffer[..]) {
            Ok(0) => Read::End,
            Ok(count) => {
                self.records.clear();
                input.lines.take(now(), &self.buffer[..count], &mut self.records);
                self.queue.push(&self.records);
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
