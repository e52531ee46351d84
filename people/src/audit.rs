//! `naru audit`: who did what, and who was refused what.

use crate::{Around, Problem, span};
use clap::Args;
use naru_model::{Span, plural};
use naru_show::table::{Table, foreign};
use naru_who::{AuditEvent, AuditOutcome, AuditQuery, AuditState, Resource};

/// What `naru audit` takes.
#[derive(Args, Debug)]
pub struct Audit {
    /// Only of this person
    #[arg(long, value_name = "NAME")]
    who: Option<String>,
    /// Only this action
    #[arg(long)]
    action: Option<String>,
    /// Only about this, and what is within it
    #[arg(long, value_name = "RESOURCE")]
    on: Option<Resource>,
    /// Only what was refused
    #[arg(long)]
    refused: bool,
    /// Only of the last while: `10m`, `7d`
    #[arg(long, value_name = "DURATION", value_parser = span::parse)]
    since: Option<Span>,
    /// At most so many, the newest
    #[arg(long, default_value_t = 100)]
    limit: usize,
    /// Print each event as a JSON object, on a line of its own
    #[arg(long)]
    json: bool,
    /// Check instead that nothing was changed, taken out or cut off
    #[arg(long, conflicts_with_all = ["who", "action", "on", "refused", "since", "json"])]
    verify: bool,
}

impl Audit {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let client = around.client()?;
        if self.verify {
            return verified(client.audit_state().await?, around);
        }
        let as_json = self.json;
        let events = client.audit(&self.query()).await?;
        if as_json {
            let line = |event| serde_json::to_string(event).map(|line| line + "\n");
            let lines: Result<String, _> = events.iter().map(line).collect();
            return around.data(&lines.map_err(|error| Problem::failed(error, ""))?);
        }
        if events.is_empty() {
            around.note("no such event");
            return Ok(());
        }
        around.data(&table(&events))
    }

    fn query(self) -> AuditQuery {
        AuditQuery {
            who: self.who,
            action: self.action,
            on: self.on.map(|on| on.to_string()),
            outcome: self.refused.then_some(AuditOutcome::Refused),
            since: self.since.map(|since| (span::now() - since).0),
            limit: Some(self.limit),
        }
    }
}

fn verified(state: AuditState, around: &impl Around) -> Result<(), Problem> {
    if let Some(fault) = state.fault {
        around.data(&format!("not whole: {fault}\n"))?;
        return Err(Problem::Bad);
    }
    around.data(&format!("whole: {}, head {}\n", plural(state.events, "event"), state.head))?;
    around.note("whoever keeps this head elsewhere sees later whether what is before it is still the same");
    Ok(())
}

fn table(events: &[AuditEvent]) -> String {
    let mut table = Table::new(&["TIME", "WHO", "FROM", "OUTCOME", "ACTION", "ON", "BY", "TEXT"]);
    for AuditEvent { entry, .. } in events {
        table.row([
            span::date(entry.time),
            foreign(&entry.who).to_string(),
            entry.from.clone(),
            entry.outcome.word().into(),
            entry.action.clone(),
            foreign(&entry.on).to_string(),
            entry.by.clone().unwrap_or_default(),
            foreign(&entry.text).to_string(),
        ]);
    }
    table.render()
}
