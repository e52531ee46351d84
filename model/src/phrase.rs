//! Words around numbers, for the sentences that people read.

use crate::InProgress;

/// `1 job`, `2 jobs`.
pub fn plural(n: u64, noun: &str) -> String {
    if n == 1 { format!("1 {noun}") } else { format!("{n} {noun}s") }
}

/// `3 requests, 1 stream and 2 jobs`, without the kinds that are zero; `nothing` for none.
pub fn quantity(work: InProgress) -> String {
    let kinds = [(work.requests, "request"), (work.streams, "stream"), (work.jobs, "job")];
    let said: Vec<_> = kinds.iter().filter(|(n, _)| *n > 0).map(|(n, noun)| plural(*n, noun)).collect();
    match said.as_slice() {
        [] => "nothing".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::quantity;
    use crate::InProgress;

    #[test]
    fn quantities_name_only_what_is_there() {
        let said = |requests, streams, jobs| quantity(InProgress { requests, streams, jobs });
        assert_eq!(said(0, 0, 0), "nothing");
        assert_eq!(said(0, 0, 2), "2 jobs");
        assert_eq!(said(3, 1, 2), "3 requests, 1 stream and 2 jobs");
    }
}
