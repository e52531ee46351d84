//! Answers that no instance gives: redirects, fixed texts, files, refusals.

use naru_model::FieldEdits;
use naru_wire::{Method, Persistence, extend, phrase};
use std::fs::File;
use std::rc::Rc;

/// A whole answer of the edge's own.
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Why, where the edge says so.
    pub reason: &'static str,
    /// Its fields, each a line with its CRLF; the body's length and the connection's are not among them.
    pub lines: String,
    /// Its body.
    pub body: Content,
}

/// An answer's body.
pub enum Content {
    /// There is none.
    None,
    /// These bytes.
    Text(Rc<[u8]>),
    /// A part of a file, which is read as it is sent.
    File {
        /// The file, open.
        file: File,
        /// The first byte.
        start: u64,
        /// How many.
        length: u64,
    },
}

impl Content {
    /// Its bytes.
    pub fn length(&self) -> u64 {
        match self {
            Content::None => 0,
            Content::Text(text) => text.len() as u64,
            Content::File { length, .. } => *length,
        }
    }
}

impl Answer {
    /// An answer without a body.
    pub fn bare(status: u16, lines: String) -> Answer {
        Answer { status, reason: "", lines, body: Content::None }
    }

    /// A sentence, and the same as a reason for programs.
    pub fn told(status: u16, reason: &'static str) -> Answer {
        let lines = format!("X-Naru-Reason: {reason}\r\nContent-Type: text/plain\r\n");
        Answer { status, reason, lines, body: Content::Text(format!("{reason}\n").into_bytes().into()) }
    }

    /// With one more field.
    pub fn with(mut self, name: &str, value: &str) -> Answer {
        self.lines.extend([name, ": ", value, "\r\n"]);
        self
    }

    /// With fields removed, set and added.
    pub fn edited(mut self, edits: &FieldEdits) -> Answer {
        if edits.some().is_none() {
            return self;
        }
        let gone: Vec<&String> = edits.remove.iter().chain(edits.set.iter().map(|(name, _)| name)).collect();
        let kept = self.lines.split_inclusive("\r\n").filter(|line| {
            let name = line.split(':').next().unwrap_or_default();
            !gone.iter().any(|gone| gone.eq_ignore_ascii_case(name))
        });
        let mut lines: String = kept.collect();
        for (name, value) in edits.set.iter().chain(&edits.add) {
            lines.extend([name, ": ", value, "\r\n"]);
        }
        self.lines = lines;
        self
    }

    /// Writes the head as HTTP/1.1 has it, and the body too where it is a text.
    pub fn write(&self, method: Method, persistence: Persistence, out: &mut Vec<u8>) {
        let status = self.status.to_string();
        extend(out, &["HTTP/1.1 ", &status, " ", phrase(self.status), "\r\n", &self.lines]);
        if !matches!(self.status, 204 | 304) {
            extend(out, &["Content-Length: ", &self.body.length().to_string(), "\r\n"]);
        }
        extend(out, &[persistence.line(), "\r\n"]);
        if let (Content::Text(text), Method::Other) = (&self.body, method) {
            out.extend_from_slice(text);
        }
    }
}
