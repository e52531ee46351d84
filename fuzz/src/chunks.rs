//! A body's end: it lies where it lies, however the bytes are cut, and its data are the same.

use naru_wire::{Body, Framing, Reject, What};

/// Cuts a body in every way that the first bytes ask for.
pub fn check(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else { return };
    let framing = match choice % 4 {
        0 => Framing::Length(u64::from(*choice)),
        1 => Framing::UntilClose,
        _ => Framing::Chunked,
    };
    let whole = read(framing, bytes, usize::MAX);
    for cut in [1, 2, 3, 7, usize::from(*choice).max(1)] {
        assert_eq!(read(framing, bytes, cut), whole, "in pieces of {cut}");
    }
    for at in 0..bytes.len().min(256) {
        assert_eq!(take(framing, &[&bytes[..at], &bytes[at..]]), whole_of(&whole), "cut at {at}");
    }
}

/// How a reading ended: done or not or refused; how many bytes were the body's; which of them are data.
type Read = (Result<bool, Reject>, usize, Vec<u8>);

fn read(framing: Framing, bytes: &[u8], cut: usize) -> Read {
    let mut body = Body::new(framing);
    let (mut taken, mut data) = (0, Vec::new());
    for mut piece in bytes.chunks(cut.min(bytes.len().max(1))) {
        while !piece.is_empty() && !body.is_done() {
            let run = match body.run(piece) {
                Ok(run) => run,
                Err(reject) => return (Err(reject), taken, data),
            };
            assert!((1..=piece.len()).contains(&run.length), "a run is of the bytes that are there");
            if run.what == What::Data {
                data.extend_from_slice(&piece[..run.length]);
            }
            taken += run.length;
            piece = &piece[run.length..];
        }
    }
    (Ok(body.is_done()), taken, data)
}

fn whole_of(read: &Read) -> Result<(bool, usize), Reject> {
    read.0.map(|done| (done, read.1))
}

fn take(framing: Framing, pieces: &[&[u8]]) -> Result<(bool, usize), Reject> {
    let mut body = Body::new(framing);
    let mut taken = 0;
    for piece in pieces {
        taken += body.take(piece)?;
    }
    Ok((body.is_done(), taken))
}
