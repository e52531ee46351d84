//! What happened: a digest that two runs of a seed must share, and, where it is asked for, the story.

use naru_model::Time;

/// Whether the story is written beside the digest. A seed is run without, and once more with it when it
/// failed: words cost more than all the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Telling {
    /// Only the digest.
    Digest,
    /// The story too.
    Story,
}

/// The trace of a run.
pub(crate) struct Trace {
    telling: Telling,
    digest: u64,
    lines: Vec<Line>,
}

/// One thing that happened.
pub(crate) struct Line {
    pub(crate) at: Time,
    pub(crate) weight: Weight,
    pub(crate) text: String,
}

/// Whether a line matters to every story, or only to the story of those whom it names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Weight {
    /// An order, a fault.
    Common,
    /// A step.
    Particular,
    /// What goes on all the time: work that comes and goes, probes. Only the last of it is told.
    Chatter,
}

impl Trace {
    pub(crate) fn new(telling: Telling) -> Trace {
        Trace { telling, digest: 0xcbf2_9ce4_8422_2325, lines: vec![] }
    }

    pub(crate) fn digest(&self) -> u64 {
        self.digest
    }

    pub(crate) fn mix(&mut self, number: u64) {
        self.digest = (self.digest ^ number).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(23);
    }

    pub(crate) fn mix_text(&mut self, text: &str) {
        for chunk in text.as_bytes().chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word));
        }
    }

    pub(crate) fn tell(&mut self, at: Time, weight: Weight, text: impl FnOnce() -> String) {
        if self.telling == Telling::Story {
            self.lines.push(Line { at, weight, text: text() });
        }
    }

    /// The last lines that are common or name one of `subjects`, at most `most`, and a tenth of that of
    /// chatter.
    pub(crate) fn story(&self, subjects: &[String], most: usize) -> Vec<String> {
        let named = |line: &&Line| {
            line.weight == Weight::Common
                || subjects.iter().any(|subject| line.text.contains(subject.as_str()))
        };
        let (mut steps, mut chatter) = (0, 0);
        let mut told: Vec<String> = Vec::new();
        for line in self.lines.iter().rev().filter(named) {
            let (count, bound) = match line.weight {
                Weight::Chatter => (&mut chatter, most / 10),
                _ => (&mut steps, most),
            };
            if *count < bound {
                *count += 1;
                told.push(line.said());
            }
        }
        told.reverse();
        told
    }
}

impl Line {
    fn said(&self) -> String {
        format!("{} {}", clock(self.at), self.text)
    }
}

/// Hours, minutes, seconds and milliseconds since the start of the run.
pub(crate) fn clock(at: Time) -> String {
    let ms = at.since(crate::ground::DAWN).0;
    let (s, min, h) = (ms / 1000, ms / 60_000, ms / 3_600_000);
    format!("{h:02}:{:02}:{:02}.{:03}", min % 60, s % 60, ms % 1000)
}
