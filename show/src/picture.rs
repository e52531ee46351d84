//! How an operation goes, a line for each thing: what was said of it, and a picture of its services.

use crate::paint::{self, Tone};
use crate::table::{cut, foreign, pad, width};
use crate::{Row, is_fault};
use naru_model::{LogEntry, Operation, Span};

/// `  1.2 s  api: release 2 serves`.
pub fn line(one: &Operation, entry: &LogEntry) -> String {
    let said = foreign(&entry.reason.to_string());
    let tone = if is_fault(&entry.reason) { Tone::Bad } else { Tone::Plain };
    format!("{}  {}", elapsed(entry.at.since(one.began)), paint::tone(tone, said))
}

/// `api: replacing, 1 of 2 ready`, and what it waits for.
pub fn transition(row: &Row) -> String {
    let parts = [row.stage.as_str(), &row.count, &row.detail].into_iter().filter(|part| !part.is_empty());
    format!("{}: {}", row.service, parts.collect::<Vec<_>>().join(", "))
}

/// `   1.2 s`.
pub fn elapsed(span: Span) -> String {
    let said = span.to_string();
    paint::dim(format!("{said:>8}"))
}

/// One line for each row, no wider than the terminal and no more than its height; what has arrived gives way
/// to what has not.
pub fn picture_rows(rows: &[Row], columns: usize, height: usize) -> Vec<String> {
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
    use super::{picture_rows, transition};
    use crate::sample;
    use crate::table::width;
    use crate::{Row, State, rows};
    use anstream::adapter::strip_str;
    use naru_api::WatchEvent;
    use naru_model::{OperationId, Reason, ServiceProgress, Stage, Time};

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
