//! Progress in its four forms. Each is given the same states, and shows what is new in them.

use crate::cli::args::ProgressKind;
use crate::cli::printer::{Printer, terminal_size};
use naru_model::{LogEntry, Operation, ServiceName, Time};
use naru_show::paint::Tone;
use naru_show::picture::{elapsed, line, picture_rows, transition};
use naru_show::{Row, State, is_fault, rows};
use serde_json::json;
use std::collections::BTreeMap;

/// Shows progress.
pub struct Display {
    printer: Printer,
    kind: ProgressKind,
    /// Lines on the terminal that the next picture replaces.
    drawn: usize,
    /// What was told of each service.
    told: BTreeMap<ServiceName, Row>,
    /// What was told of the operation.
    phase: Option<serde_json::Value>,
}

impl Display {
    /// Nothing is shown yet.
    pub fn new(printer: Printer, kind: ProgressKind) -> Display {
        Display { printer, kind, drawn: 0, told: BTreeMap::new(), phase: None }
    }

    /// Whether the picture changes with time alone.
    pub fn is_lively(&self) -> bool {
        self.kind == ProgressKind::Tty
    }

    /// Shows what is new.
    pub fn update(&mut self, state: &mut State, now: Time) {
        let news = state.news();
        let Some(one) = state.operation.clone() else { return };
        let rows = rows(state, now);
        match self.kind {
            ProgressKind::Tty => self.draw(&one, &news, &rows),
            ProgressKind::Auto | ProgressKind::Plain => self.lines(&one, &news, &rows),
            ProgressKind::Json => self.objects(&one, &news, &rows, now),
            ProgressKind::Quiet => {}
        }
    }

    fn draw(&mut self, one: &Operation, news: &[LogEntry], rows: &[Row]) {
        let (columns, height) = terminal_size();
        let faults = news.iter().filter(|entry| is_fault(&entry.reason)).map(|entry| line(one, entry));
        let mut picture: String =
            if self.drawn > 0 { format!("\x1b[{}A\r\x1b[J", self.drawn) } else { String::new() };
        faults.for_each(|fault| picture += &format!("{fault}\n"));
        let shown = picture_rows(rows, columns, height.saturating_sub(3).max(1));
        shown.iter().for_each(|row| picture += &format!("{row}\n"));
        self.drawn = shown.len();
        self.printer.raw(&picture);
    }

    fn lines(&mut self, one: &Operation, news: &[LogEntry], rows: &[Row]) {
        for entry in news {
            self.printer.progress(line(one, entry));
        }
        for row in rows {
            if row.is_news(self.told.get(&row.service)) && row.tone != Tone::Good {
                self.printer.progress(format_args!("{}  {}", elapsed(row.elapsed), transition(row)));
            }
            self.told.insert(row.service.clone(), row.clone());
        }
    }

    fn objects(&mut self, one: &Operation, news: &[LogEntry], rows: &[Row], now: Time) {
        for entry in news {
            let (text, reason) = (entry.reason.to_string(), &entry.reason);
            let id = one.id;
            self.object(
                json!({"event": "log", "at": entry.at, "operation": id, "text": text, "reason": reason}),
            );
        }
        for row in rows {
            if row.is_news(self.told.get(&row.service)) {
                let Row { service, stage, count, detail, .. } = row;
                self.object(json!({"event": "service", "at": now, "operation": one.id, "service": service,
                    "stage": stage, "count": count, "waits_for": detail}));
            }
            self.told.insert(row.service.clone(), row.clone());
        }
        let phase = json!({"event": "operation", "operation": one.id, "stack": one.stack, "phase": one.phase,
            "outcome": one.outcome, "cut_over": one.cut_over, "ended": one.ended});
        if self.phase.as_ref() != Some(&phase) {
            self.object(phase.clone());
            self.phase = Some(phase);
        }
    }

    fn object(&self, object: serde_json::Value) {
        self.printer.progress(object);
    }
}
