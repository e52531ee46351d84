//! The picture: a line of what it is, a line that may tell of something, the table, and a line of keys.

use crate::view::{Seen, View};
use naru_show::paint::Tone;
use naru_show::{Direction, Entry, Sheet};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Cell, Paragraph, Row, Table};
use unicode_width::UnicodeWidthStr;

/// What is to be seen now.
#[derive(Clone, Debug)]
pub struct Page {
    /// The first words.
    pub title: &'static str,
    /// What stands beside them.
    pub said: String,
    /// What is wrong, or else worth telling, and its tone.
    pub note: Option<(String, Tone)>,
    /// The table.
    pub sheet: Sheet,
    /// Keys of the caller's own, each with what it does.
    pub keys: Vec<(char, String)>,
}

/// Whether there are colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colours {
    /// There are.
    Shown,
    /// The person wants none.
    Hidden,
}

/// Draws a page as the person wants to see it.
pub fn draw(frame: &mut Frame, page: &Page, view: &mut View, colours: Colours) {
    let note = u16::from(page.note.is_some());
    let [head, told, table, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(note),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let title = Line::from(vec![Span::styled(page.title, bold), Span::raw(format!("  {}", page.said))]);
    frame.render_widget(title, head);
    if let Some((text, tone)) = &page.note {
        frame.render_widget(Span::styled(text.as_str(), style(*tone, colours)), told);
    }
    if view.helps() {
        frame.render_widget(help(page), table);
    } else {
        let (sheet, sorted) = view.arrange(page.sheet.clone());
        let (columns, hidden) = columns(&sheet, usize::from(table.width));
        let fit = usize::from(table.height).saturating_sub(1);
        view.seen = Seen { rows: sheet.rows.len(), columns, fit, hidden };
        view.above = view.above.min(view.seen.rows.saturating_sub(view.seen.fit));
        rows(frame, table, (&sheet, sorted), view, colours);
    }
    frame.render_widget(keys(page, view), foot);
}

/// Between one column and the next, as the plain form has it.
const GAP: usize = 2;

/// How wide a column is; there is room for the mark of the one that it is sorted by.
fn width(sheet: &Sheet, at: usize) -> usize {
    let cells = sheet.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.text.width());
    cells.chain([sheet.head[at].width() + 1]).max().unwrap_or(0)
}

/// The columns that have something and fit beside those before them, and how many do not fit. The first is there in any case.
fn columns(sheet: &Sheet, room: usize) -> (Vec<usize>, usize) {
    let has = |at: &usize| sheet.rows.is_empty() || sheet.rows.iter().any(|row| !row[*at].text.is_empty());
    let all: Vec<usize> = (0..sheet.head.len()).filter(has).collect();
    let mut taken = 0;
    let fits = |at: &&usize| {
        taken += width(sheet, **at) + if taken == 0 { 0 } else { GAP };
        taken <= room
    };
    let count = all.iter().take_while(fits).count().max(1).min(all.len());
    (all[..count].to_vec(), all.len() - count)
}

fn rows(
    frame: &mut Frame,
    area: Rect,
    (sheet, sorted): (&Sheet, Option<(usize, Direction)>),
    view: &View,
    colours: Colours,
) {
    let mark = |at: usize| match sorted {
        Some((by, Direction::Down)) if by == at => "▼",
        Some((by, Direction::Up)) if by == at => "▲",
        _ => "",
    };
    let columns = &view.seen.columns;
    let widths = columns.iter().map(|at| Constraint::Length(width(sheet, *at) as u16));
    let side = |at: usize| if sheet.is_number(at) { Alignment::Right } else { Alignment::Left };
    let shown = sheet.rows.iter().skip(view.above).take(usize::from(area.height));
    let body = shown.map(|row| Row::new(columns.iter().map(|at| cell(&row[*at], side(*at), colours))));
    let head = columns
        .iter()
        .map(|at| Cell::from(Text::from(format!("{}{}", sheet.head[*at], mark(*at))).alignment(side(*at))));
    let head = Row::new(head).style(Style::new().add_modifier(Modifier::BOLD));
    frame.render_widget(Table::new(body, widths).header(head).column_spacing(GAP as u16), area);
}

fn cell(entry: &Entry, side: Alignment, colours: Colours) -> Cell<'_> {
    Cell::from(Text::from(entry.text.as_str()).alignment(side)).style(style(entry.tone, colours))
}

/// A line of keys; or the filter, as it is typed.
fn keys<'a>(page: &'a Page, view: &'a View) -> Line<'a> {
    let dim = Style::new().add_modifier(Modifier::DIM);
    if let Some((filter, true)) = view.filter() {
        let line = vec![
            Span::raw("/"),
            Span::raw(filter),
            Span::raw("█"),
            Span::styled("  Enter keeps it, Esc drops it", dim),
        ];
        return Line::from(line);
    }
    let Seen { rows, fit, hidden, .. } = view.seen;
    let below = rows.saturating_sub(view.above + fit);
    let mut said = vec![];
    said.extend((view.above > 0).then(|| format!("{} above", view.above)));
    said.extend((below > 0).then(|| format!("{below} below")));
    said.extend((hidden > 0).then(|| format!("{hidden} beside")));
    said.extend(view.filter().map(|(filter, _)| format!("only {filter:?}")));
    let mut line: Vec<String> =
        vec!["q ends".into(), "s sorts".into(), "r reverses".into(), "/ filters".into()];
    line.extend(page.keys.iter().map(|(key, what)| format!("{key} {what}")));
    line.push("? helps".into());
    let told = if said.is_empty() { String::new() } else { format!("{}   ", said.join(", ")) };
    Line::from(vec![Span::raw(told), Span::styled(line.join(", "), dim)])
}

fn help(page: &Page) -> Paragraph<'_> {
    let own = page.keys.iter().map(|(key, what)| (key.to_string(), what.clone()));
    let common = [
        ("q, Esc, Ctrl-C", "end"),
        ("s, →", "sort by the next column; past the last, in the order that it comes"),
        ("S, ←", "sort by the column before"),
        ("r", "the other way round"),
        ("/", "show only rows with these words, in any column; Esc shows all again"),
        ("↑ ↓ PgUp PgDn Home End", "scroll"),
        ("?", "this"),
    ];
    let common = common.map(|(key, what)| (key.to_string(), what.to_string()));
    let lines = common.into_iter().chain(own).map(|(key, what)| Line::from(format!("  {key:<24}{what}")));
    Paragraph::new(lines.collect::<Vec<_>>())
}

fn style(tone: Tone, colours: Colours) -> Style {
    let colour = match tone {
        _ if colours == Colours::Hidden => return Style::new(),
        Tone::Good => Color::Green,
        Tone::Busy => Color::Cyan,
        Tone::Bad => Color::Red,
        Tone::Quiet => return Style::new().add_modifier(Modifier::DIM),
        Tone::Plain => return Style::new(),
    };
    Style::new().fg(colour)
}

#[cfg(test)]
mod tests {
    use super::{Colours, Page, draw};
    use crate::view::{Act, Key, View};
    use naru_show::paint::Tone;
    use naru_show::{Entry, Sheet};
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn page(rows: usize) -> Page {
        let row = |n: usize| {
            vec![Entry::word(format!("shop.api.1.{n}")), Entry::number(n as f64, format!("{n}.0"))]
        };
        let sheet = Sheet { head: vec!["INSTANCE", "CPU %"], rows: (1..=rows).map(row).collect() };
        let keys = vec![('i', "shows rules".into())];
        Page { title: "naru stats", said: format!("{rows} instances"), note: None, sheet, keys }
    }

    /// The lines of a picture, without what is empty at their ends.
    fn seen(page: &Page, view: &mut View, (width, height): (u16, u16)) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, page, view, Colours::Shown)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let cells = buffer.content().chunks(usize::from(width));
        let line =
            |cells: &[ratatui::buffer::Cell]| cells.iter().map(|cell| cell.symbol()).collect::<String>();
        cells.map(|cells| line(cells).trim_end().to_owned()).collect()
    }

    fn press(view: &mut View, keys: &str) {
        for key in keys.chars() {
            assert_eq!(view.key(Key::Char(key)), Act::Draw, "{key}");
        }
    }

    #[test]
    fn it_is_sorted_by_keys_numbers_from_the_greatest() {
        let (page, mut view) = (page(3), View::default());
        let first = seen(&page, &mut view, (70, 7));
        let want = [
            "naru stats  3 instances",
            "INSTANCE    CPU %",
            "shop.api.1.1     1.0",
            "shop.api.1.2     2.0",
            "shop.api.1.3     3.0",
            "",
            "q ends, s sorts, r reverses, / filters, i shows rules, ? helps",
        ];
        assert_eq!(first[0], want[0]);
        assert_eq!(first[2..], want[2..]);
        press(&mut view, "ss");
        let sorted = seen(&page, &mut view, (70, 7));
        assert!(sorted[1].contains("CPU %▼") && sorted[2].contains("1.3"), "{sorted:?}");
        press(&mut view, "r");
        assert!(seen(&page, &mut view, (70, 7))[2].contains("1.1"));
        press(&mut view, "s");
        assert!(!seen(&page, &mut view, (70, 7))[1].contains(['▲', '▼']), "past the last: as it comes");
        press(&mut view, "S");
        assert!(seen(&page, &mut view, (70, 7))[1].contains("CPU %▼"));
    }

    #[test]
    fn a_filter_is_typed_kept_and_dropped() {
        let (page, mut view) = (page(30), View::default());
        seen(&page, &mut view, (80, 8));
        press(&mut view, "/1.2");
        let typing = seen(&page, &mut view, (80, 8));
        assert!(typing[7].starts_with("/1.2█"), "{typing:?}");
        assert!(typing[2].contains("1.2 ") && typing[3].contains("1.20"), "{typing:?}");
        view.key(Key::Enter);
        let kept = seen(&page, &mut view, (80, 8));
        assert!(kept[7].contains("only \"1.2\""), "{kept:?}");
        view.key(Key::Escape);
        assert!(seen(&page, &mut view, (80, 8))[2].contains("1.1"));
        assert_eq!(view.key(Key::Escape), Act::End);
    }

    #[test]
    fn what_does_not_fit_is_scrolled_to_and_told_of() {
        let (page, mut view) = (page(30), View::default());
        assert!(seen(&page, &mut view, (80, 8))[7].starts_with("25 below"));
        view.key(Key::PageDown);
        let next = seen(&page, &mut view, (80, 8));
        assert!(next[7].starts_with("4 above, 21 below") && next[2].contains("1.5 "), "{next:?}");
        view.key(Key::End);
        assert!(seen(&page, &mut view, (80, 8))[6].contains("1.30"));
        // A larger window, and fewer rows.
        assert!(seen(&page, &mut view, (80, 60))[2].contains("1.1 "));
        let few = self::page(2);
        assert!(seen(&few, &mut view, (80, 8))[2].contains("1.1 "));
        let narrow = seen(&page, &mut view, (16, 4));
        assert_eq!(
            (narrow[1].as_str(), narrow[2].as_str()),
            ("INSTANCE", "shop.api.1.1"),
            "whole, or not at all"
        );
        assert!(narrow[3].contains("1 besi"), "{narrow:?}");
        for size in [(1, 1), (5, 2), (20, 3)] {
            seen(&page, &mut view, size);
        }
    }

    #[test]
    fn keys_are_told_of_and_what_is_not_known_is_the_callers() {
        let (mut page, mut view) = (page(3), View::default());
        page.note = Some(("the edge does not answer".into(), Tone::Bad));
        press(&mut view, "?");
        let help = seen(&page, &mut view, (90, 14));
        assert_eq!(help[1], "the edge does not answer");
        assert!(help.iter().any(|line| line.contains("sort by the next column")), "{help:?}");
        assert!(help.iter().any(|line| line.contains("shows rules")), "{help:?}");
        press(&mut view, "x");
        assert!(seen(&page, &mut view, (90, 14))[3].contains("1.1"));
        assert_eq!(view.key(Key::Char('i')), Act::Own('i'));
        assert_eq!(view.key(Key::Char('q')), Act::End);
        press(&mut view, "/q");
        assert_eq!(view.key(Key::Interrupt), Act::End, "whatever is typed");
    }
}
