//! What is wrong or surprising in a file: collected over all steps, shown with the line it is about.
//!
//! A [`Diagnostic`] holds all that is needed to show it, so that it can be stored, sent and printed long
//! after the files are gone.

use crate::tree::Path;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::sync::Arc;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The files cannot be used.
    Error,
    /// The files are used, and something in them has no effect or may surprise.
    Warning,
}

/// One thing that is wrong or surprising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Where, if it is about a place in a file.
    pub place: Option<Place>,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub advice: Option<String>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name as it was given.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub column: u32,
    /// How many characters it is about, at least 1.
    pub width: u32,
    /// The line's text.
    pub text: String,
}

/// Everything that is wrong with the files, at least one error; and the warnings that came before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Errors {
    /// In the order of the files and lines.
    pub errors: Vec<Diagnostic>,
    /// What was found besides.
    pub warnings: Vec<Diagnostic>,
}

impl Errors {
    /// All of them as text for a terminal; with ANSI colours if `style` says so.
    pub fn render(&self, style: Style) -> String {
        self.errors.iter().map(|error| error.render(style)).collect()
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Style::Plain).trim_end())
    }
}

/// Whether rendered text has ANSI colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Text only.
    Plain,
    /// With ANSI escape sequences.
    Colour,
}

impl Style {
    fn wrap(self, code: &str, text: &str) -> String {
        match self {
            Style::Plain => text.to_string(),
            Style::Colour => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

impl Diagnostic {
    /// `FILE:LINE:COLUMN: error: MESSAGE`, the line with carets under what it is about, and the advice.
    /// Ends with a line break.
    pub fn render(&self, style: Style) -> String {
        let (word, code) = match self.severity {
            Severity::Error => ("error", "1;31"),
            Severity::Warning => ("warning", "1;33"),
        };
        let mut out = String::new();
        if let Some(place) = &self.place {
            let at = format!("{}:{}:{}", place.file, place.line, place.column);
            out += &format!("{}: ", style.wrap("1", &at));
        }
        out += &format!("{}: {}\n", style.wrap(code, word), self.message);
        if let Some(place) = self.place.as_ref().filter(|place| !place.text.is_empty()) {
            place.excerpt(&mut out, style, code);
        }
        if let Some(advice) = &self.advice {
            out += &format!("   = {advice}\n");
        }
        out
    }
}

/// The longest line that is shown; more is cut around the place, so that one line stays one line.
const SHOWN: usize = 100;

impl Place {
    fn excerpt(&self, out: &mut String, style: Style, code: &str) {
        let column = self.column.max(1) as usize - 1;
        let from = if column > SHOWN - 20 { column - 40 } else { 0 };
        let text: String =
            self.text.chars().skip(from).take(SHOWN).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let shown = text.chars().count();
        let before = (column - from).min(shown);
        let width = (self.width as usize).clamp(1, (shown - before).max(1));
        let number = self.line.to_string();
        let _ = writeln!(out, "{} {}", style.wrap("1;34", &format!("{number:>4} |")), text.trim_end());
        let carets = style.wrap(code, &"^".repeat(width));
        let _ = writeln!(out, "{} {}{carets}", style.wrap("1;34", "     |"), " ".repeat(before));
    }
}

/// Where something stands: which source, line and column from 1, and how many characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pos {
    /// Which source, by the number that [`Report::add_source`] gave.
    pub file: u16,
    /// From 1.
    pub line: u32,
    /// From 1, in characters.
    pub col: u32,
    /// How many characters.
    pub width: u32,
}

impl Pos {
    /// No place in any file.
    pub const NOWHERE: Pos = Pos { file: u16::MAX, line: 0, col: 0, width: 0 };
}

/// A text that was read.
#[derive(Clone, Debug)]
struct Source {
    name: Arc<str>,
    lines: Vec<String>,
}

/// The texts that were read, and all that was found in them.
#[derive(Debug, Default)]
pub struct Report {
    sources: Vec<Source>,
    found: Vec<(Pos, Diagnostic)>,
    broken: BTreeSet<String>,
    unfit: Vec<Diagnostic>,
    folder: String,
}

impl Report {
    /// A report in which files below `folder` are named from there.
    pub fn seen_from(folder: &str) -> Report {
        Report { folder: format!("{}/", folder.trim_end_matches('/')), ..Report::default() }
    }

    /// A path as messages name it.
    pub fn name_of<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(&self.folder).unwrap_or(path)
    }

    /// Takes in a text; what it returns stands for it in [`Pos::file`].
    pub fn add_source(&mut self, name: &str, text: &str) -> u16 {
        let lines = text.lines().map(str::to_string).collect();
        self.sources.push(Source { name: self.name_of(name).into(), lines });
        // Files are bounded by `include` and `extends` depth and by `-f`; the last number means nowhere.
        u16::try_from(self.sources.len() - 1).unwrap_or(u16::MAX - 1)
    }

    /// Takes in a text that may hold secrets: places in it are named, and none of it is shown.
    pub fn add_secret_source(&mut self, name: &str) -> u16 {
        self.add_source(name, "")
    }

    /// From now on, what follows `sign` in the value at `pos` is shown as asterisks: it may be a secret.
    pub fn conceal(&mut self, pos: Pos, sign: &str) {
        let Some(written) = self.written(pos) else { return };
        let Some((open, secret)) = written.split_once(sign) else { return };
        let begin = pos.col as usize - 1 + open.chars().count() + sign.chars().count();
        let hidden = begin..begin + secret.chars().count();
        let lines = self.sources.get_mut(pos.file as usize).map(|source| &mut source.lines);
        if let Some(line) = lines.and_then(|lines| lines.get_mut(pos.line as usize - 1)) {
            *line =
                line.chars().enumerate().map(|(at, c)| if hidden.contains(&at) { '*' } else { c }).collect();
        }
    }

    /// An error, and what to do about it.
    pub fn error_advised(&mut self, pos: Pos, message: impl Into<String>, advice: impl Into<String>) {
        self.push(Severity::Error, pos, message.into(), Some(advice.into()));
    }

    /// An error in the service that `path` lies in: later steps leave it alone.
    pub fn error_in(&mut self, path: &Path, pos: Pos, message: impl Into<String>, advice: impl Into<String>) {
        self.broken.extend(path.service().map(str::to_string));
        self.error_advised(pos, message, advice);
    }

    /// What keeps the files from being put to use here and now, though nothing is wrong with them.
    pub fn unfit(&mut self, pos: Pos, message: impl Into<String>, advice: impl Into<String>) {
        let (place, advice) = (self.place(pos), Some(advice.into()));
        let found = Diagnostic { severity: Severity::Error, place, message: message.into(), advice };
        if !self.unfit.contains(&found) && self.unfit.len() < MOST_FOUND {
            self.unfit.push(found);
        }
    }

    /// All that [`Report::unfit`] was told.
    pub fn take_unfit(&mut self) -> Vec<Diagnostic> {
        std::mem::take(&mut self.unfit)
    }

    /// Services in which something is wrong.
    pub fn broken(&self) -> &BTreeSet<String> {
        &self.broken
    }

    /// A surprise.
    pub fn warn(&mut self, pos: Pos, message: impl Into<String>) {
        self.push(Severity::Warning, pos, message.into(), None);
    }

    /// A surprise, and what to do about it.
    pub fn warn_advised(&mut self, pos: Pos, message: impl Into<String>, advice: impl Into<String>) {
        self.push(Severity::Warning, pos, message.into(), Some(advice.into()));
    }

    /// The same place and message are said once.
    fn push(&mut self, severity: Severity, pos: Pos, message: String, advice: Option<String>) {
        let diagnostic = Diagnostic { severity, place: self.place(pos), message, advice };
        let known = (pos, diagnostic);
        // A value that is wrong in itself is wrong for later steps too: the first to see it tells.
        let told = self.found.iter().any(|(at, found)| {
            let same_place = *at == pos && pos != Pos::NOWHERE && severity == Severity::Error;
            *found == known.1 || (same_place && found.severity == Severity::Error)
        });
        if !told && self.count(severity) < MOST_FOUND {
            self.found.push(known);
        }
    }

    /// How many errors there are so far.
    pub fn error_count(&self) -> usize {
        self.count(Severity::Error)
    }

    fn count(&self, severity: Severity) -> usize {
        self.found.iter().filter(|(_, found)| found.severity == severity).count()
    }

    /// Narrows `pos` to where `part` stands, if it stands in the same line from there on.
    pub fn narrow(&self, pos: Pos, part: &str) -> Pos {
        let Some(line) = self.line(pos) else { return pos };
        let skip = pos.col.saturating_sub(1) as usize;
        let Some((start, _)) = line.char_indices().nth(skip) else { return pos };
        let Some(found) = line[start..].find(part) else { return pos };
        let before = line[start..start + found].chars().count() as u32;
        Pos { col: pos.col + before, width: part.chars().count() as u32, ..pos }
    }

    /// The nearest line from `pos` upwards in which `quote` stands an odd number of times: where a text in
    /// quotes that ends in the wrong place may have begun.
    pub fn odd_above(&self, pos: Pos, quote: char) -> Option<Pos> {
        let lines = &self.sources.get(pos.file as usize)?.lines;
        let above = lines.get(..(pos.line as usize).checked_sub(1)?)?;
        let (at, line) = above.iter().enumerate().rfind(|(_, line)| line.matches(quote).count() % 2 == 1)?;
        let column = line.chars().position(|c| c == quote)?;
        Some(Pos { line: at as u32 + 1, col: column as u32 + 1, ..pos })
    }

    /// What stands at `pos` in its line, as far as its width goes.
    pub fn written(&self, pos: Pos) -> Option<String> {
        let skip = (pos.col as usize).checked_sub(1)?;
        Some(self.line(pos)?.chars().skip(skip).take(pos.width as usize).collect())
    }

    /// Errors and warnings, each in the order of the files and lines.
    pub fn finish(mut self) -> (Vec<Diagnostic>, Vec<Diagnostic>) {
        self.found.sort_by_key(|(pos, _)| *pos);
        for severity in [Severity::Error, Severity::Warning] {
            if self.count(severity) >= MOST_FOUND {
                let message = format!("there may be more; the first {MOST_FOUND} are shown");
                self.found.push((Pos::NOWHERE, Diagnostic { severity, place: None, message, advice: None }));
            }
        }
        self.found
            .into_iter()
            .map(|(_, diagnostic)| diagnostic)
            .partition(|diagnostic| diagnostic.severity == Severity::Error)
    }

    fn line(&self, pos: Pos) -> Option<&String> {
        let source = self.sources.get(pos.file as usize)?;
        source.lines.get((pos.line as usize).checked_sub(1)?)
    }

    fn place(&self, pos: Pos) -> Option<Place> {
        let source = self.sources.get(pos.file as usize)?;
        let text = self.line(pos).cloned().unwrap_or_default();
        let (line, column) = (pos.line.max(1), pos.col.max(1));
        Some(Place { file: source.name.clone(), line, column, width: pos.width.max(1), text })
    }
}

/// A person reads the first few; a file that is not Compose at all must not fill the screen for minutes.
const MOST_FOUND: usize = 200;
