//! What running costs, as `naru cost` shows it.

use crate::table::Table;
use naru_cost::{CostView, Micros, Proposal, Row};

const HOUR: u64 = 3_600_000;

/// One row for each stack, its services below it, and each machine. Money is shown where there are prices.
pub fn cost_table(view: &CostView) -> String {
    let is_paid = view.rows.iter().any(|row| row.cost.is_some() || row.saved.is_some());
    let mut head = vec!["WHAT", "ON", "UNUSED", "ASLEEP", "INSTANCES", "FREED"];
    if is_paid {
        head.extend(["COST", "SAVED"]);
    }
    let mut table = Table::new(&head);
    for row in &view.rows {
        let mut cells = vec![
            name(row),
            hours(row.on),
            if row.what.starts_with("node/") || row.what.starts_with("asset/") {
                String::new()
            } else {
                hours(row.idle)
            },
            hours(row.asleep),
            hours(row.instances),
            hours(row.freed),
        ];
        if is_paid {
            cells.extend([money(row.cost), money(row.saved)]);
        }
        table.row(cells);
    }
    table.render()
}

/// What is to be said beside the table, a line each.
pub fn cost_notes(view: &CostView) -> Vec<String> {
    let mut notes = vec![];
    let unknown = view.passed.saturating_sub(view.watched);
    if unknown >= HOUR {
        let all = hours(view.passed);
        notes.push(format!(
            "{} of the month's {all} nobody looked: what was then is not known",
            hours(unknown)
        ));
    }
    if let Some(currency) = &view.currency {
        notes.push(format!("money is in {currency}; a service bears its instances' part of their machine"));
    }
    if view.rows.iter().any(|row| row.freed > 0 && row.saved.is_none()) {
        notes.push("freed is what sleeping left to others: a machine that runs costs the same".into());
    }
    notes.extend(view.proposals.iter().map(proposal));
    notes
}

fn proposal(of: &Proposal) -> String {
    let what = of.what.strip_prefix("service/").unwrap_or(&of.what);
    format!(
        "{what} was on for {} in hours in which nobody ever used it, in {} days: `x-naru.power: {{ off: \"{}\", timezone: {} }}`",
        hours(of.spares),
        of.days,
        of.off,
        of.timezone
    )
}

fn name(row: &Row) -> String {
    let (kind, rest) = row.what.split_once('/').unwrap_or(("", &row.what));
    match kind {
        "stack" => rest.into(),
        "service" => format!("  {}", rest.split_once('/').map_or(rest, |(_, service)| service)),
        _ => {
            let of = row.kind.as_ref().map(|kind| format!(" ({kind})")).unwrap_or_default();
            format!("{kind} {}{of}", row.name.as_deref().unwrap_or(rest))
        }
    }
}

/// `412.5 h`; nothing is a dash.
fn hours(ms: u64) -> String {
    if ms == 0 {
        return "-".into();
    }
    let tenths = (ms + HOUR / 20) / (HOUR / 10);
    if tenths == 0 { "<0.1 h".into() } else { format!("{}.{} h", tenths / 10, tenths % 10) }
}

fn money(of: Option<Micros>) -> String {
    of.map_or_else(|| "-".into(), |of| of.to_string())
}

#[cfg(test)]
mod tests {
    use super::{cost_notes, cost_table, hours};
    use naru_cost::{CostView, Micros, Proposal, Row};

    const HOUR: u64 = 3_600_000;

    fn view() -> CostView {
        let row = |what: &str, on: u64| Row {
            what: what.into(),
            on: on * HOUR,
            instances: on * HOUR,
            ..Row::default()
        };
        let asset =
            Row { kind: Some("m7i.large".into()), name: Some("gpu".into()), ..row("asset/seoul/i-1", 80) };
        CostView {
            passed: 640 * HOUR,
            watched: 630 * HOUR,
            rows: vec![
                row("stack/shop", 500),
                Row { idle: 90 * HOUR, freed: HOUR / 4, asleep: 30_000, ..row("service/shop/api", 500) },
                row("node/vm", 630),
                Row {
                    asleep: 550 * HOUR,
                    cost: Some(Micros(8_064_000)),
                    saved: Some(Micros(55_440_000)),
                    ..asset
                },
            ],
            proposals: vec![Proposal {
                what: "service/shop/api".into(),
                off: "Sat-Sun".into(),
                timezone: "Asia/Seoul".into(),
                spares: 90 * HOUR,
                days: 28,
            }],
            ..CostView::default()
        }
    }

    #[test]
    fn a_month_is_a_table_with_notes() {
        let table = cost_table(&view());
        let lines: Vec<Vec<&str>> = table
            .lines()
            .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        assert_eq!(lines[2], ["api", "500.0 h", "90.0 h", "<0.1 h", "500.0 h", "0.3 h", "-", "-"]);
        assert_eq!(lines[4], ["asset gpu (m7i.large)", "80.0 h", "550.0 h", "80.0 h", "-", "8.06", "55.44"]);
        let notes = cost_notes(&view());
        assert!(notes[0].starts_with("10.0 h of the month's 640.0 h"), "{notes:?}");
        assert!(notes.last().unwrap().contains("off: \"Sat-Sun\", timezone: Asia/Seoul"), "{notes:?}");
    }

    #[test]
    fn without_prices_there_is_no_column_of_money() {
        let mut view = view();
        view.rows.pop();
        assert!(!cost_table(&view).contains("COST"));
        assert_eq!(hours(0), "-");
    }
}
