//! Columns of text, as wide as a terminal shows them: a Hangul syllable takes two columns, a colour none.

use crate::paint;
use anstream::adapter::strip_str;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Rows under a heading.
#[derive(Clone, Debug)]
pub struct Table {
    head: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one.
    pub fn new(head: &[&'static str]) -> Table {
        Table { head: head.to_vec(), rows: vec![] }
    }

    /// Adds a row. Missing cells are empty.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| one_line(&cell)).collect());
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// With the heading, two spaces between columns, each line ended by a line break. A column without any
    /// content is left out.
    pub fn render(&self) -> String {
        let kept: Vec<usize> = (0..self.head.len()).filter(|&at| self.has(at)).collect();
        let widths: Vec<usize> = kept.iter().map(|&at| self.column(at)).collect();
        let head: Vec<String> = self.head.iter().map(paint::bold).collect();
        let all = std::iter::once(&head).chain(&self.rows);
        all.map(|row| line(kept.iter().map(|&at| cell(row, at)), &widths)).collect()
    }

    fn has(&self, at: usize) -> bool {
        self.rows.iter().any(|row| !cell(row, at).is_empty())
    }

    fn column(&self, at: usize) -> usize {
        let cells = self.rows.iter().map(|row| width(cell(row, at)));
        cells.chain([width(self.head[at])]).max().unwrap_or(0)
    }
}

/// How many columns of a terminal a text takes.
pub fn width(text: &str) -> usize {
    strip_str(text).map(UnicodeWidthStr::width).sum()
}

/// The text, followed by spaces up to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(width(text))))
}

/// The text without its colours, cut to `columns`, with `…` where something was cut.
pub fn cut(text: &str, columns: usize) -> String {
    let plain = strip_str(text).to_string();
    if plain.width() <= columns {
        return plain;
    }
    let mut left = columns.saturating_sub(1);
    let fits = |c: &char| match left.checked_sub(c.width().unwrap_or(0)) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    };
    let mut shown: String = plain.chars().take_while(fits).collect();
    shown.push('…');
    shown
}

/// Text that others wrote may hold line breaks and control characters; on a terminal they are spaces.
/// Colours are kept.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\x1b' { ' ' } else { c }).collect()
}

/// The same for text from outside, which has no business to send escape sequences.
pub fn foreign(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn cell(row: &[String], at: usize) -> &str {
    row.get(at).map_or("", String::as_str)
}

fn line<'a>(cells: impl Iterator<Item = &'a str>, widths: &[usize]) -> String {
    let padded: Vec<String> = cells.zip(widths).map(|(cell, &columns)| pad(cell, columns)).collect();
    format!("{}\n", padded.join("  ").trim_end())
}

#[cfg(test)]
mod tests {
    use super::{Table, cut, paint, strip_str, width};

    #[test]
    fn wide_characters_and_colours_keep_the_columns() {
        let mut table = Table::new(&["SERVICE", "STATE", "NOTE"]);
        table.row([paint::bold("결제"), "ready".into()]);
        table.row(["api-gateway".into(), "quiet".into(), "two\nlines".into()]);
        let want = "SERVICE      STATE  NOTE\n결제         ready\napi-gateway  quiet  two lines\n";
        assert_eq!(strip_str(&table.render()).to_string(), want);
    }

    #[test]
    fn a_column_without_content_is_left_out() {
        let mut table = Table::new(&["A", "B", "C"]);
        table.row(["1".into(), String::new(), "3".into()]);
        assert_eq!(strip_str(&table.render()).to_string(), "A  C\n1  3\n");
    }

    #[test]
    fn a_cut_text_never_takes_more_than_its_columns() {
        for columns in 1..12 {
            assert!(width(&cut("주문 서비스 ready", columns)) <= columns);
        }
        assert_eq!(cut("주문 서비스", 7), "주문 …");
        assert_eq!(cut("short", 5), "short");
    }
}
