//! A table whose rows can be sorted and chosen: what its plain form and a live one on a terminal are both made from.

use crate::paint::{self, Tone};
use crate::table::Table;
use std::cmp::Ordering;

/// Rows under headings.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sheet {
    /// The headings.
    pub head: Vec<&'static str>,
    /// The rows, each with a cell for each heading.
    pub rows: Vec<Vec<Entry>>,
}

/// A cell: what is read, and what it is sorted by.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// What is read.
    pub text: String,
    /// What it is sorted by, where that is no text. Nothing known is below all numbers.
    pub number: Option<f64>,
    /// How it is meant.
    pub tone: Tone,
}

impl Entry {
    /// A word, sorted as such.
    pub fn word(text: impl Into<String>) -> Entry {
        Entry { text: text.into(), number: None, tone: Tone::Plain }
    }

    /// A number, and how it is written.
    pub fn number(number: f64, text: impl Into<String>) -> Entry {
        Entry { text: text.into(), number: Some(number), tone: Tone::Plain }
    }

    /// What is not known.
    pub fn unknown() -> Entry {
        Entry { text: "-".into(), number: Some(f64::NEG_INFINITY), tone: Tone::Plain }
    }

    /// The same, in a tone.
    pub fn toned(self, tone: Tone) -> Entry {
        Entry { tone, ..self }
    }

    fn compare(&self, other: &Entry) -> Ordering {
        match (self.number, other.number) {
            (Some(one), Some(other)) => one.total_cmp(&other),
            _ => self.text.cmp(&other.text),
        }
    }
}

/// Which end of a sorted table is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The least first.
    Up,
    /// The greatest first.
    Down,
}

impl Sheet {
    /// An empty one.
    pub fn new(head: &[&'static str]) -> Sheet {
        Sheet { head: head.to_vec(), rows: vec![] }
    }

    /// Sorts by a column; rows that are the same there stay in their order.
    pub fn sort(&mut self, column: usize, direction: Direction) {
        self.rows.sort_by(|one, other| {
            let (Some(a), Some(b)) = (one.get(column), other.get(column)) else { return Ordering::Equal };
            if direction == Direction::Up { a.compare(b) } else { b.compare(a) }
        });
    }

    /// Keeps the rows in which each of the words stands somewhere, whatever the case of letters.
    pub fn keep(&mut self, words: &str) {
        let words: Vec<String> = words.split_whitespace().map(str::to_lowercase).collect();
        let has =
            |row: &[Entry], word: &String| row.iter().any(|cell| cell.text.to_lowercase().contains(word));
        self.rows.retain(|row| words.iter().all(|word| has(row, word)));
    }

    /// Whether a column has numbers.
    pub fn is_number(&self, column: usize) -> bool {
        self.rows.first().and_then(|row| row.get(column)).is_some_and(|cell| cell.number.is_some())
    }

    /// In its plain form.
    pub fn render(&self) -> String {
        let mut table = Table::new(&self.head);
        for row in &self.rows {
            table.row(row.iter().map(|cell| paint::tone(cell.tone, &cell.text)));
        }
        table.render()
    }
}

#[cfg(test)]
mod tests {
    use super::{Direction, Entry, Sheet};

    fn sheet() -> Sheet {
        let row = |name: &str, cpu: Entry| vec![Entry::word(name), cpu];
        let rows = vec![
            row("shop.api", Entry::number(9.5, "9.5")),
            row("shop.web", Entry::unknown()),
            row("blog.web", Entry::number(12.0, "12.0")),
        ];
        Sheet { head: vec!["INSTANCE", "CPU %"], rows }
    }

    fn names(sheet: &Sheet) -> Vec<&str> {
        sheet.rows.iter().map(|row| row[0].text.as_str()).collect()
    }

    #[test]
    fn numbers_are_sorted_as_such_and_what_is_not_known_is_least() {
        let mut sheet = sheet();
        sheet.sort(1, Direction::Down);
        assert_eq!(names(&sheet), ["blog.web", "shop.api", "shop.web"]);
        sheet.sort(0, Direction::Up);
        assert_eq!(names(&sheet), ["blog.web", "shop.api", "shop.web"]);
        sheet.sort(1, Direction::Up);
        assert_eq!(names(&sheet), ["shop.web", "shop.api", "blog.web"]);
        assert!(sheet.is_number(1) && !sheet.is_number(0));
    }

    #[test]
    fn every_word_has_to_stand_somewhere() {
        let kept = |words: &str| {
            let mut sheet = sheet();
            sheet.keep(words);
            names(&sheet).join(" ")
        };
        assert_eq!(kept("WEB"), "shop.web blog.web");
        assert_eq!(kept("web 12"), "blog.web");
        assert_eq!(kept(" "), "shop.api shop.web blog.web");
        assert_eq!(kept("nothing"), "");
    }
}
