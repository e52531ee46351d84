//! What the person has chosen so far.

use naru_show::{Direction, Sheet};

/// Characters of a filter.
const FILTER_MAX: usize = 100;

/// A key, as far as it means something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// A character.
    Char(char),
    /// Ctrl-C.
    Interrupt,
    /// Escape.
    Escape,
    /// Enter.
    Enter,
    /// Backspace.
    Back,
    /// The cursor up.
    Up,
    /// The cursor down.
    Down,
    /// The cursor left.
    Left,
    /// The cursor right.
    Right,
    /// A page up.
    PageUp,
    /// A page down.
    PageDown,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// The terminal has another size.
    Resized,
}

/// What the caller is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// To draw again.
    Draw,
    /// To end.
    End,
    /// What its own key says.
    Own(char),
}

/// Whether the person types a filter, or reads of the keys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Mode {
    #[default]
    Table,
    Filter,
    Help,
}

/// What the person has chosen so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    mode: Mode,
    /// The column by which it is sorted, and how; `None`: as it comes.
    sorted: Option<(usize, bool)>,
    filter: String,
    /// So many rows are above the first that is shown.
    pub(crate) above: usize,
    /// What was drawn last.
    pub(crate) seen: Seen,
}

/// What was drawn last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) rows: usize,
    /// The columns that have something and fit.
    pub(crate) columns: Vec<usize>,
    /// How many columns do not fit.
    pub(crate) hidden: usize,
    pub(crate) fit: usize,
}

impl View {
    /// Takes a key.
    pub fn key(&mut self, key: Key) -> Act {
        match (self.mode, key) {
            (_, Key::Interrupt) => return Act::End,
            (Mode::Filter, key) => self.type_filter(key),
            (Mode::Help, Key::Resized) => {}
            (Mode::Help, _) => self.mode = Mode::Table,
            (Mode::Table, Key::Char('q' | 'Q')) => return Act::End,
            (Mode::Table, Key::Escape) if self.filter.is_empty() => return Act::End,
            (Mode::Table, Key::Escape) => self.filter.clear(),
            (Mode::Table, Key::Char('/' | 'f')) => self.mode = Mode::Filter,
            (Mode::Table, Key::Char('?' | 'h')) => self.mode = Mode::Help,
            (Mode::Table, Key::Char('s' | '>') | Key::Right) => self.sort_by_next(1),
            (Mode::Table, Key::Char('S' | '<') | Key::Left) => self.sort_by_next(-1),
            (Mode::Table, Key::Char('r')) => {
                self.sorted = self.sorted.map(|(at, up)| (at, !up)).or(Some((0, true)))
            }
            (Mode::Table, Key::Char('k')) => self.scroll(-1),
            (Mode::Table, Key::Char('j')) => self.scroll(1),
            (Mode::Table, Key::Char(own)) => return Act::Own(own),
            (Mode::Table, key) => self.scroll_by(key),
        }
        Act::Draw
    }

    fn type_filter(&mut self, key: Key) {
        match key {
            Key::Char(typed) if self.filter.chars().count() < FILTER_MAX => self.filter.push(typed),
            Key::Back => drop(self.filter.pop()),
            Key::Enter => self.mode = Mode::Table,
            Key::Escape => {
                self.filter.clear();
                self.mode = Mode::Table;
            }
            key => self.scroll_by(key),
        }
        self.above = self.above.min(self.last());
    }

    /// Another column; past the last, as it comes.
    fn sort_by_next(&mut self, step: isize) {
        let columns = &self.seen.columns;
        let present = self.sorted.and_then(|(by, _)| columns.iter().position(|at| *at == by));
        let at = present.map_or(0, |at| at as isize + 1);
        let at = (at + step).rem_euclid(columns.len() as isize + 1);
        // Who sorts by a number wants to see the greatest, as a rule; which has numbers is seen when it is drawn.
        self.sorted = (at > 0).then(|| (columns[at as usize - 1], false));
        self.above = 0;
    }

    fn scroll_by(&mut self, key: Key) {
        let page = self.seen.fit.saturating_sub(1).max(1) as isize;
        match key {
            Key::Up => self.scroll(-1),
            Key::Down => self.scroll(1),
            Key::PageUp => self.scroll(-page),
            Key::PageDown => self.scroll(page),
            Key::Home => self.above = 0,
            Key::End => self.above = self.last(),
            _ => {}
        }
    }

    fn scroll(&mut self, by: isize) {
        self.above = self.above.saturating_add_signed(by).min(self.last());
    }

    fn last(&self) -> usize {
        self.seen.rows.saturating_sub(self.seen.fit)
    }

    /// Whether the keys are told of instead of the table.
    pub(crate) fn helps(&self) -> bool {
        self.mode == Mode::Help
    }

    /// What is filtered by, and whether it is being typed; `None`: by nothing.
    pub(crate) fn filter(&self) -> Option<(&str, bool)> {
        let typed = self.mode == Mode::Filter;
        (typed || !self.filter.is_empty()).then_some((self.filter.as_str(), typed))
    }

    /// The sheet as it is to be seen, and by which column it is sorted.
    pub(crate) fn arrange(&self, mut sheet: Sheet) -> (Sheet, Option<(usize, Direction)>) {
        sheet.keep(&self.filter);
        let sorted = self.sorted.filter(|(at, _)| *at < sheet.head.len()).map(|(at, reversed)| {
            let down = sheet.is_number(at) != reversed;
            (at, if down { Direction::Down } else { Direction::Up })
        });
        if let Some((at, direction)) = sorted {
            sheet.sort(at, direction);
        }
        (sheet, sorted)
    }
}
