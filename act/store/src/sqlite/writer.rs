//! The writing thread: takes what waits, has it committed as one group, answers, wakes the watches.

use super::Options;
use super::disk::{Disk, Failure};
use super::file::Opened;
use crate::{Fault, Outcome, Revision, Txn, TxnError};
use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tokio::sync::{mpsc, oneshot, watch as signal};

/// How the answer to a commit is lost, in a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoseAnswer {
    /// The commit happens.
    Happened,
    /// The commit does not happen.
    NotHappened,
}

/// Where a transaction's outcome goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, TxnError>>;

/// What the writer is asked for, carried out in the order in which it was asked.
pub(super) enum Order {
    Txn(Txn, Answer<Outcome>),
    Compact(Revision, Answer<()>),
    Settle(oneshot::Sender<Result<(), Fault>>),
    LoseAnswer(LoseAnswer),
    Close(oneshot::Sender<()>),
}

/// The writing thread's state.
pub(super) struct Writer {
    disk: Disk,
    lock: File,
    group_max: usize,
    queue: mpsc::Receiver<Order>,
    /// An order that ended the gathering of a group, and comes next.
    held: Option<Order>,
    committed: signal::Sender<Revision>,
    unsettled: Arc<AtomicBool>,
}

/// The bytes after which a group takes no further transaction: what the log is written in within some tens
/// of milliseconds, which is how long the first of a group waits for the others.
const GROUP_BYTES_MAX: usize = 8 << 20;

struct Waiting {
    txns: Vec<Txn>,
    answers: Vec<Answer<Outcome>>,
}

impl Writer {
    pub fn new(
        opened: Opened,
        options: Options,
        queue: mpsc::Receiver<Order>,
        committed: signal::Sender<Revision>,
        unsettled: Arc<AtomicBool>,
    ) -> Writer {
        let disk = Disk::new(opened.db, options);
        let group_max = options.group_max.max(1);
        Writer { disk, lock: opened.lock, group_max, queue, held: None, committed, unsettled }
    }

    /// Runs on a thread of its own until the store is closed or nobody holds it.
    pub fn start(self) -> std::io::Result<()> {
        thread::Builder::new().name("store-writer".into()).spawn(move || self.run())?;
        Ok(())
    }

    fn run(mut self) {
        let mut closing = None;
        while let Some(order) = self.held.take().or_else(|| self.queue.blocking_recv()) {
            match order {
                Order::Txn(txn, answer) => self.group(txn, answer),
                Order::Compact(to, answer) => self.compact(to, answer),
                Order::Settle(answer) => self.settle(answer),
                Order::LoseAnswer(lose) => self.disk.lose = Some(lose),
                Order::Close(done) => {
                    closing = Some(done);
                    break;
                }
            }
        }
        self.end(closing);
    }

    /// Refuses what came after the closing, then lets go of the file, then says so.
    fn end(mut self, closing: Option<oneshot::Sender<()>>) {
        self.queue.close();
        let mut also_closing = Vec::new();
        while let Ok(order) = self.queue.try_recv() {
            match order {
                Order::Txn(_, answer) => drop(answer.send(Err(TxnError::NotCommitted(Fault::Closed)))),
                Order::Compact(_, answer) => drop(answer.send(Err(TxnError::NotCommitted(Fault::Closed)))),
                Order::Settle(answer) => drop(answer.send(Err(Fault::Closed))),
                Order::LoseAnswer(_) => {}
                Order::Close(done) => also_closing.push(done),
            }
        }
        self.disk.close();
        drop(self.lock);
        for done in closing.into_iter().chain(also_closing) {
            done.send(()).ok();
        }
    }

    fn group(&mut self, txn: Txn, answer: Answer<Outcome>) {
        let mut bytes = txn.size();
        let mut waiting = Waiting { txns: vec![txn], answers: vec![answer] };
        while waiting.txns.len() < self.group_max && bytes < GROUP_BYTES_MAX {
            match self.queue.try_recv() {
                Ok(Order::Txn(txn, answer)) => {
                    bytes += txn.size();
                    waiting.txns.push(txn);
                    waiting.answers.push(answer);
                }
                Ok(other) => {
                    self.held = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        self.carry_out(waiting);
    }

    fn carry_out(&mut self, waiting: Waiting) {
        let done = self.disk.group(&waiting.txns);
        self.note_settlement();
        match done {
            Ok((outcomes, revision)) => {
                self.committed.send_if_modified(|last| std::mem::replace(last, revision) != revision);
                for (answer, outcome) in waiting.answers.into_iter().zip(outcomes) {
                    answer.send(Ok(outcome)).ok();
                }
            }
            // One of them may be at fault (too large for the room that is left): each gets its own try.
            Err(Failure::NotCommitted(_)) if waiting.txns.len() > 1 => self.each_alone(waiting),
            Err(failure) => {
                // If it did happen, the watches have something to read.
                self.committed.send_modify(|_| ());
                let error = TxnError::from(failure);
                for answer in waiting.answers {
                    answer.send(Err(error.clone())).ok();
                }
            }
        }
    }

    fn each_alone(&mut self, waiting: Waiting) {
        for (txn, answer) in waiting.txns.into_iter().zip(waiting.answers) {
            self.carry_out(Waiting { txns: vec![txn], answers: vec![answer] });
        }
    }

    fn compact(&mut self, to: Revision, answer: Answer<()>) {
        let done = self.disk.compact(to).map_err(TxnError::from);
        self.note_settlement();
        answer.send(done).ok();
    }

    fn settle(&mut self, answer: oneshot::Sender<Result<(), Fault>>) {
        let done = self.disk.settle();
        self.note_settlement();
        answer.send(done).ok();
    }

    fn note_settlement(&self) {
        self.unsettled.store(self.disk.unsettled, Ordering::Release);
    }
}

impl From<Failure> for TxnError {
    fn from(failure: Failure) -> TxnError {
        match failure {
            Failure::NotCommitted(fault) => TxnError::NotCommitted(fault),
            Failure::Unknown(fault) => TxnError::Unknown(fault),
        }
    }
}
