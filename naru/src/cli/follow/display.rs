//! Progress in its four forms. Each is given the same states, and shows what is new in them.

use crate::cli::args::ProgressKind;
use crate::cli::paint::{self, Tone};
use crate::cli::printer::{Printer, terminal_size};
use crate::cli::table::{cut, foreign, pad, width};
use naru_model::{LogEntry, Operation, ServiceName, Span, Time};
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

/// `  1.2 s  api: release 2 serves`.
fn line(one: &Operation, entry: &LogEntry) -> String {
    let said = foreign(&entry.reason.to_string());
    let tone = if is_fault(&entry.reason) { Tone::Bad } else { Tone::Plain };
    format!("{}  {}", elapsed(entry.at.since(one.began)), paint::tone(tone, said))
}

/// `api: replacing, 1 of 2 ready`, and what it waits for.
fn transition(row: &Row) -> String {
    let parts = [row.stage.as_str(), &row.count, &row.detail].into_iter().filter(|part| !part.is_empty());
    format!("{}: {}", row.service, parts.collect::<Vec<_>>().join(", "))
}

fn elapsed(span: Span) -> String {
    let said = span.to_string();
    paint::dim(format!("{said:>8}"))
}

/// One line for each row, no wider than the terminal and no more than its height; what has arrived gives way
/// to what has not.
fn picture_rows(rows: &[Row], columns: usize, height: usize) -> Vec<String> {
    let mut kept: Vec<&Row> = rows.iter().collect();
    if rows.len() > height {
        kept.sort_by_key(|row| row.tone == Tone::Good);
        kept.truncate(height.saturating_sub(1));
        kept.sort_by_key(|row| &row.service);
    }
    let widest = |text: fn(&Row) -> &str| kept.iter().map(|row| width(text(row))).max().unwrap_or(0);
    let widths = (widest(|row| row.service.as_str()), widest(|row| &row.stage), widest(|row| &row.count));
    let mut lines: Vec<String> = kept.iter().map(|row| picture_row(row, widths, columns)).collect();
    if kept.len() < rows.len() {
        lines.push(paint::dim(format!("  … and {} more", rows.len() - kept.len())));
    }
    lines
}

fn picture_row(row: &Row, widths: (usize, usize, usize), columns: usize) -> String {
    let time = if row.tone == Tone::Good { String::new() } else { row.elapsed.to_string() };
    let words = format!(
        "{}  {}  {}  {time:>8}  {}",
        pad(row.service.as_str(), widths.0),
        pad(&row.stage, widths.1),
        pad(&row.count, widths.2),
        row.detail
    );
    // The mark and its space take two columns; the last column of a terminal is left free, since some
    // wrap as soon as it is filled.
    format!("{} {}", row.mark(), cut(words.trim_end(), columns.saturating_sub(3)))
}

#[cfg(test)]
mod tests {
    use super::{Row, picture_rows, transition};
    use crate::cli::sample;
    use crate::cli::table::width;
    use anstream::adapter::strip_str;
    use naru_api::WatchEvent;
    use naru_model::{OperationId, Reason, ServiceProgress, Stage, Time};
    use naru_show::{State, rows};

    fn progress(stage: Stage, waits_for: Option<Reason>) -> ServiceProgress {
        ServiceProgress { stage, since: Time(0), failed: vec![], last_batch: None, waits_for }
    }

    fn pictured() -> Vec<Row> {
        let mut one = sample::deploy("shop");
        let wait = Reason::WaitsForReady { service: "주문".into(), ready: 1, wanted: 2 };
        one.services.insert("주문".into(), progress(Stage::Replacing, Some(wait)));
        one.services.insert("api".into(), progress(Stage::CutOver, None));
        let mut state = State::new(OperationId(7), [("api".into(), 2), ("주문".into(), 2)].into(), Time(0));
        state.hear(WatchEvent::Operation(Box::new(one)));
        rows(&state, Time(62_500))
    }

    #[test]
    fn one_line_for_each_service_in_columns() {
        let shown = picture_rows(&pictured(), 80, 20);
        let plain: Vec<String> = shown.iter().map(|line| strip_str(line).to_string()).collect();
        let want = ["✓ api   serves", "• 주문  replacing  1 of 2 ready     2.5 s"];
        assert_eq!(plain, want);
    }

    #[test]
    fn a_transition_is_one_sentence() {
        let all: Vec<String> = pictured().iter().map(transition).collect();
        assert_eq!(all, ["api: serves", "주문: replacing, 1 of 2 ready"]);
    }

    #[test]
    fn a_picture_is_never_wider_or_higher_than_the_terminal() {
        for columns in [20, 41, 42, 43, 80] {
            assert!(picture_rows(&pictured(), columns, 9).iter().all(|line| width(line) < columns));
        }
        let shown = picture_rows(&pictured(), 80, 1);
        assert_eq!(
            shown.iter().map(|line| strip_str(line).to_string()).collect::<Vec<_>>(),
            ["  … and 2 more"]
        );
    }
}
