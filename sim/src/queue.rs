//! What is to happen, in the order of virtual time.

use crate::event::Event;
use naru_model::Time;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Events to come. Those of one time happen in the order in which they were put.
#[derive(Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<Due>>,
    put: u64,
}

struct Due {
    at: Time,
    number: u64,
    event: Event,
}

impl Queue {
    pub(crate) fn put(&mut self, at: Time, event: Event) {
        self.put += 1;
        self.heap.push(Reverse(Due { at, number: self.put, event }));
    }

    pub(crate) fn pop(&mut self) -> Option<(Time, Event)> {
        self.heap.pop().map(|Reverse(due)| (due.at, due.event))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Due) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.number == other.number
    }
}

impl Eq for Due {}
