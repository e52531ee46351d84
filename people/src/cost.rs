//! `naru cost`: what a month came to.

use crate::{Around, Problem, json};
use clap::Args;
use naru_show::{cost_notes, cost_table};

/// What `naru cost` takes.
#[derive(Args, Debug)]
pub struct Cost {
    /// Which month, of UTC, as 2026-11 [default: this one]
    #[arg(long, value_name = "MONTH")]
    month: Option<String>,
    /// Print it as JSON
    #[arg(long)]
    json: bool,
}

impl Cost {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let view = around.client()?.cost(self.month.as_deref()).await?;
        if self.json {
            around.data(&json(&view)?)?;
        } else if view.rows.is_empty() {
            around.note(&format!("nothing is known of {}", view.month));
        } else {
            around.data(&cost_table(&view))?;
            cost_notes(&view).iter().for_each(|note| around.note(note));
        }
        match &view.fault {
            None => Ok(()),
            Some(fault) => {
                let error = format!("no prices are known: prices.yaml cannot be used:\n{}", fault.trim_end());
                Err(Problem::failed(error, "put it right, or remove it"))
            }
        }
    }
}
