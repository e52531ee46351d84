//! Colours. What is written always carries them; the printer takes them away where they are not wanted.

use anstyle::{AnsiColor, Style};
use std::fmt::Display;

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const GREEN: Style = AnsiColor::Green.on_default();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const RED: Style = AnsiColor::Red.on_default();
const CYAN: Style = AnsiColor::Cyan.on_default();

/// The colours that tell instances apart in logs.
const TAGS: [AnsiColor; 6] = [
    AnsiColor::Cyan,
    AnsiColor::Yellow,
    AnsiColor::Green,
    AnsiColor::Magenta,
    AnsiColor::Blue,
    AnsiColor::BrightCyan,
];

/// What a text stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it should be.
    Good,
    /// On its way.
    Busy,
    /// Wrong.
    Bad,
    /// Of little interest.
    Quiet,
    /// Nothing in particular.
    Plain,
}

/// In the colour of its tone.
pub fn tone(tone: Tone, text: impl Display) -> String {
    match tone {
        Tone::Good => wrap(GREEN, text),
        Tone::Busy => wrap(CYAN, text),
        Tone::Bad => wrap(RED, text),
        Tone::Quiet => dim(text),
        Tone::Plain => text.to_string(),
    }
}

/// For headings and names.
pub fn bold(text: impl Display) -> String {
    wrap(BOLD, text)
}

/// A heading above lines that belong to it.
pub fn heading(text: &str) -> String {
    debug_assert!(!text.is_empty(), "a heading says something");
    format!("{}\n", bold(text))
}

/// For what is of little interest.
pub fn dim(text: impl Display) -> String {
    wrap(DIM, text)
}

/// For the word `error`.
pub fn error(text: impl Display) -> String {
    wrap(RED.bold(), text)
}

/// For the word `warning`.
pub fn warning(text: impl Display) -> String {
    wrap(YELLOW.bold(), text)
}

/// In the `n`th of a few colours.
pub fn tag(n: usize, text: impl Display) -> String {
    wrap(TAGS[n % TAGS.len()].on_default(), text)
}

fn wrap(style: Style, text: impl Display) -> String {
    format!("{style}{text}{style:#}")
}
