//! Naru's receipts against the client's books, number by number.

use crate::books::Books;
use naru_model::{Counts, InstanceId, InstanceReceipt, Operation, OperationKind};
use std::collections::{BTreeMap, BTreeSet};

/// Where receipts and books say different things; one sentence each. Call it when every instance is gone: each
/// is then on exactly one receipt, whose lifetime numbers have to be those of the books.
pub fn disagreements(books: &Books, operations: &[Operation], api: &str, engine: &str) -> Vec<String> {
    let mut said = Vec::new();
    let lines = lines(operations, &mut said);
    let mut jobs: BTreeMap<&str, u64> = BTreeMap::new();
    let done = books.begun.iter().filter(|(job, _)| books.done.contains(*job));
    done.for_each(|(_, instance)| *jobs.entry(instance).or_default() += 1);
    for (id, line) in &lines {
        let name = id.as_str();
        let of = |book: &BTreeMap<String, u64>| book.get(name).copied().unwrap_or(0);
        let expected = match line.service.as_str() {
            service if service == api => {
                let jobs = jobs.get(name).copied().unwrap_or(0);
                [of(&books.requests), of(&books.streams), jobs]
            }
            service if service == engine => [of(&books.engine), 0, 0],
            _ => continue,
        };
        let Counts { requests, streams, jobs, .. } = line.lifetime;
        for (kind, receipt, book) in [
            ("requests", requests, expected[0]),
            ("streams", streams, expected[1]),
            ("jobs", jobs, expected[2]),
        ] {
            if receipt != book {
                said.push(format!("{id}: the receipt says {receipt} {kind}, the books {book}"));
            }
        }
    }
    let listed: BTreeSet<&str> = lines.keys().map(|id| id.as_str()).collect();
    let known = books.requests.keys().chain(books.engine.keys());
    let unlisted: BTreeSet<_> = known.filter(|instance| !listed.contains(instance.as_str())).collect();
    said.extend(unlisted.into_iter().map(|instance| format!("{instance} is on no receipt")));
    said
}

/// Each instance's line; an instance on two receipts is a disagreement in itself.
fn lines<'a>(
    operations: &'a [Operation],
    said: &mut Vec<String>,
) -> BTreeMap<&'a InstanceId, &'a InstanceReceipt> {
    let mut lines = BTreeMap::new();
    for operation in operations.iter().filter(|one| one.kind != OperationKind::Incident) {
        for (id, line) in &operation.receipt.instances {
            if lines.insert(id, line).is_some() {
                said.push(format!("{id} is on two receipts"));
            }
        }
    }
    lines
}

/// What all receipts say together, incidents included.
pub fn total(operations: &[Operation]) -> Counts {
    let mut sum = Counts::default();
    operations.iter().for_each(|operation| sum += operation.receipt.total());
    sum
}
