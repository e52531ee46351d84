//! Figures and bars, as a table; what missed its bar in words below it.

use std::fmt::{self, Display};

/// What a measurement found.
#[derive(Debug)]
pub struct Report {
    title: String,
    rows: Vec<Row>,
    faults: Vec<String>,
}

#[derive(Debug)]
struct Row {
    what: String,
    figure: String,
    bar: Option<Bar>,
}

#[derive(Debug)]
struct Bar {
    text: String,
    met: Met,
    of: Of,
}

/// What a bar is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    /// What is right or wrong on every machine.
    Truth,
    /// What also depends on the machine, and on what else it does.
    Measure,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Met {
    Yes,
    No,
}

impl Report {
    /// An empty one.
    pub fn new(title: impl Into<String>) -> Report {
        Report { title: title.into(), rows: vec![], faults: vec![] }
    }

    /// A figure without a bar.
    pub fn figure(&mut self, what: &str, figure: impl Display) {
        self.rows.push(Row { what: what.into(), figure: figure.to_string(), bar: None });
    }

    /// A number that has to be another.
    pub fn equal(&mut self, what: &str, figure: u64, wanted: u64) {
        let met = if figure == wanted { Met::Yes } else { Met::No };
        self.row(what, figure.to_string(), wanted.to_string(), met);
    }

    /// A number that has to be another, give or take a few.
    pub fn near(&mut self, what: &str, figure: u64, wanted: u64, few: u64) {
        let met = if figure.abs_diff(wanted) <= few { Met::Yes } else { Met::No };
        self.row(what, figure.to_string(), format!("{wanted} ± {few}"), met);
    }

    /// A number that has to be at least so high.
    pub fn at_least(&mut self, what: &str, figure: u64, bound: u64) {
        let met = if figure >= bound { Met::Yes } else { Met::No };
        self.row(what, figure.to_string(), format!("≥ {bound}"), met);
    }

    /// A measure that may be at most so high.
    pub fn at_most(&mut self, what: &str, figure: f64, bound: f64, unit: &str) {
        let met = if figure <= bound { Met::Yes } else { Met::No };
        let bar = Bar { text: format!("≤ {bound} {unit}"), met, of: Of::Measure };
        self.rows.push(Row { what: what.into(), figure: format!("{figure:.1} {unit}"), bar: Some(bar) });
    }

    /// A ratio that has to be at least so high.
    pub fn ratio(&mut self, what: &str, figure: f64, bound: f64) {
        let met = if figure >= bound { Met::Yes } else { Met::No };
        let bar = Bar { text: format!("≥ {bound:.2} ×"), met, of: Of::Measure };
        self.rows.push(Row { what: what.into(), figure: format!("{figure:.2} ×"), bar: Some(bar) });
    }

    /// Things of which there may be none; those that there are are listed.
    pub fn none(&mut self, what: &str, those: &[impl Display]) {
        self.equal(what, those.len() as u64, 0);
        self.faults.extend(those.iter().take(20).map(|one| format!("{what}: {one}")));
    }

    /// Whether a bar was missed.
    pub fn is_missed(&self) -> bool {
        self.bars().any(|bar| bar.met == Met::No)
    }

    /// Whether a bar was missed that no busy machine excuses.
    pub fn is_wrong(&self) -> bool {
        self.bars().any(|bar| bar.met == Met::No && bar.of == Of::Truth)
    }

    fn bars(&self) -> impl Iterator<Item = &Bar> {
        self.rows.iter().filter_map(|row| row.bar.as_ref())
    }

    fn row(&mut self, what: &str, figure: String, bar: String, met: Met) {
        self.rows.push(Row { what: what.into(), figure, bar: Some(Bar { text: bar, met, of: Of::Truth }) });
    }
}

impl Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}\n", self.title)?;
        for Row { what, figure, bar } in &self.rows {
            write!(f, "  {what:<66} {figure:>22}")?;
            match bar {
                Some(Bar { text, met: Met::Yes, .. }) => writeln!(f, "   {text}")?,
                Some(Bar { text, met: Met::No, .. }) => writeln!(f, "   {text}   MISSED")?,
                None => writeln!(f)?,
            }
        }
        if !self.faults.is_empty() {
            writeln!(f)?;
        }
        self.faults.iter().try_for_each(|fault| writeln!(f, "  {fault}"))?;
        match self.bars().filter(|bar| bar.met == Met::No).count() {
            0 => writeln!(f, "\n  every bar is met"),
            1 => writeln!(f, "\n  1 bar is missed"),
            n => writeln!(f, "\n  {n} bars are missed"),
        }
    }
}

/// The middle of some measures; 0 of none.
pub fn median(measures: &[f64]) -> f64 {
    let mut sorted = measures.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// The highest; 0 of none.
pub fn most(measures: &[f64]) -> f64 {
    measures.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::{Report, median, most};

    #[test]
    fn a_missed_bar_is_told_and_counts() {
        let mut report = Report::new("of a test");
        report.at_most("time", 3.0, 4.0, "ms");
        report.none("failed", &[] as &[&str]);
        report.near("told", 7, 9, 2);
        report.equal("same", 7, 7);
        report.at_least("many", 7, 7);
        assert!(!report.is_missed());
        report.at_most("time", 5.0, 4.0, "ms");
        assert!(report.is_missed() && !report.is_wrong());
        report.none("failed", &["the first", "the second"]);
        assert!(report.is_wrong());
        let said = report.to_string();
        assert!(said.contains("MISSED") && said.contains("failed: the second"), "{said}");
        assert!(said.contains("2 bars are missed"), "{said}");
        report.near("told", 7, 10, 2);
        report.equal("same", 7, 8);
        report.at_least("many", 7, 8);
        report.at_most("time", 4.1, 4.0, "ms");
        report.ratio("speed", 1.2, 1.2);
        report.ratio("speed", 1.19, 1.2);
        assert!(report.to_string().contains("7 bars are missed"), "{report}");
    }

    #[test]
    fn the_middle_and_the_most() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(most(&[3.0, 7.0, 2.0]), 7.0);
    }
}
