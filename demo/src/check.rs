//! Naru's receipts against the client's books, number by number.
//!
//! An instance's lifetime numbers have to be those of the books exactly. What an operation counted since it
//! began is known to the books as well as the two clocks agree on "began": Naru begins from the newest reports,
//! which are up to a second old, and the client sees an answer a little after the edge has counted it. So what
//! ended further than [`APART`] from the beginning has to be on its right side, and what ended nearer may be on
//! either.

use crate::books::Books;
use crate::talk::TALK;
use naru_model::{Counts, InstanceId, InstanceReceipt, Operation, OperationKind, Span, Time};
use std::collections::BTreeMap;
use std::fmt;

/// How far apart the client's "when" and Naru's may be: a report's age, and a busy machine's delays.
const APART: Span = Span(2_000);

/// One instance's line, and when its operation began.
type Line<'a> = (&'a InstanceReceipt, Time);

/// Where receipts and books say different things; one sentence each. Call it when every instance is gone: each
/// is then on exactly one receipt. The instances of `api` are those that the client's requests reach, those
/// of `engine` serve them.
pub fn disagreements(books: &Books, operations: &[Operation], api: &str, engine: &str) -> Vec<String> {
    let mut said = Vec::new();
    let lines = lines(operations, &mut said);
    let (jobs, none) = (books.jobs(), BTreeMap::new());
    for (id, line) in &lines {
        let of = match line.0.service.as_str() {
            service if service == api => [&books.requests, &books.streams, &jobs],
            service if service == engine => [&books.engine, &none, &none],
            TALK => [&books.talks, &none, &none],
            _ => continue,
        };
        let (life, during) = (kinds(line.0.lifetime), kinds(line.0.during));
        for (n, (kind, book)) in ["requests", "streams", "jobs"].into_iter().zip(of).enumerate() {
            let times = book.get(id.as_str()).map_or(&[][..], Vec::as_slice);
            let compared = Compared { id, kind, times, began: line.1 };
            said.extend(compared.lifetime(life[n]));
            said.extend(compared.during(during[n]));
        }
    }
    for known in
        [&books.requests, &books.engine, &books.streams, &books.talks].into_iter().flat_map(BTreeMap::keys)
    {
        if !lines.contains_key(&InstanceId::from(known.as_str())) {
            said.push(format!("{known} is on no receipt"));
        }
    }
    said.sort();
    said.dedup();
    said
}

/// What all instances counted in their lives, by their lines on the receipts of the operations that retired
/// them.
pub fn total(operations: &[Operation]) -> Counts {
    let mut sum = Counts::default();
    lines(operations, &mut Vec::new()).values().for_each(|(line, _)| sum += line.lifetime);
    sum
}

/// What was lost and cut, by all receipts, incidents included. An instance's losses are on one of them.
pub fn lost(operations: &[Operation]) -> Counts {
    let mut sum = Counts::default();
    operations.iter().for_each(|operation| sum += operation.receipt.total());
    Counts { requests: 0, errors: 0, streams: 0, jobs: 0, jobs_failed: 0, ..sum }
}

/// One number of a receipt, beside the books.
struct Compared<'a> {
    id: &'a InstanceId,
    kind: &'static str,
    times: &'a [Time],
    began: Time,
}

impl Compared<'_> {
    fn lifetime(&self, receipt: u64) -> Option<String> {
        let book = self.times.len() as u64;
        (receipt != book).then(|| self.say("in its life", receipt, book))
    }

    fn during(&self, receipt: u64) -> Option<String> {
        let since = |from: Time| self.times.iter().filter(|at| **at >= from).count() as u64;
        let (least, most) = (since(self.began + APART), since(self.began - APART));
        let book = format!("{least} to {most}");
        (receipt < least || receipt > most).then(|| self.say("since the operation began", receipt, book))
    }

    fn say(&self, when: &str, receipt: u64, book: impl fmt::Display) -> String {
        let Compared { id, kind, .. } = self;
        format!("{id}: {when}, the receipt says {receipt} {kind}, the books {book}")
    }
}

fn kinds(counts: Counts) -> [u64; 3] {
    [counts.requests, counts.streams, counts.jobs]
}

/// Each instance's line; an instance on two receipts is a disagreement in itself.
fn lines<'a>(operations: &'a [Operation], said: &mut Vec<String>) -> BTreeMap<&'a InstanceId, Line<'a>> {
    let mut lines = BTreeMap::new();
    for operation in operations.iter().filter(|one| one.kind != OperationKind::Incident) {
        for (id, line) in &operation.receipt.instances {
            if lines.insert(id, (line, operation.began)).is_some() {
                said.push(format!("{id} is on two receipts"));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests;
