//! Which rule takes a request, and what becomes of it, as `naru routes explain` tells it.

use crate::paint::{self, Tone};
use crate::table::{Table, foreign};
use serde::Serialize;

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Explained<'a> {
    /// The listener that the request comes to.
    pub listener: &'a str,
    /// The rules that were asked, in their order.
    pub considered: Vec<ExplainedRule<'a>>,
    /// The one that takes it.
    pub rule: Option<&'a str>,
    /// What answers.
    pub answer: String,
    /// How one of the instances is chosen.
    pub chosen: Option<String>,
    /// Those among which one is chosen.
    pub instances: Vec<&'a str>,
}

/// A rule that was asked.
#[derive(Clone, Debug, Serialize)]
pub struct ExplainedRule<'a> {
    /// Its name.
    pub rule: &'a str,
    /// Whether it takes the request.
    pub takes: bool,
    /// Why, or why not.
    pub why: String,
}

/// The rules that were asked, up to the one that takes it, and what becomes of it.
pub fn explained(found: &Explained<'_>) -> String {
    let mut text = format!("{} {}\n", paint::bold("listener"), foreign(found.listener));
    let mut table = Table::new(&["", "RULE", "TAKES IT", "WHY"]);
    for (at, one) in found.considered.iter().enumerate() {
        let takes = if one.takes { paint::tone(Tone::Good, "yes") } else { "no".into() };
        table.row([format!("{}.", at + 1), foreign(one.rule), takes, foreign(&one.why)]);
    }
    if !found.considered.is_empty() {
        text += &table.render();
    }
    text += &format!("{} {}\n", paint::bold("answered by"), foreign(&found.answer));
    if let Some(chosen) = found.chosen.as_ref().filter(|_| !found.instances.is_empty()) {
        text += &format!("{} {}\n", paint::bold("chosen"), foreign(chosen));
    }
    if !found.instances.is_empty() {
        text += &format!("{} {}\n", paint::bold("instances"), foreign(&found.instances.join(", ")));
    }
    text
}
