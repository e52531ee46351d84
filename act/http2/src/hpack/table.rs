//! The tables of fields that an index means: the standard's own, and the one that a client fills.

use super::name::Name;
use std::collections::VecDeque;

/// The most that the client's table may have: the standard's initial value, which the edge leaves as it is.
pub(super) const MOST: usize = 4096;

/// What an entry counts beyond its name and value (RFC 7541, 4.1).
pub(crate) const ENTRY: usize = 32;

/// Forgotten bytes that are kept until it is worth moving the others.
const FORGOTTEN: usize = 1024;

/// An entry as it is told.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    pub(super) kind: Name,
    pub(super) name: &'a [u8],
    pub(super) value: &'a [u8],
    /// Whether the value can be one.
    pub(super) is_sound: bool,
}

/// What clients have put there.
#[derive(Default)]
pub(super) struct Table {
    /// The newest first.
    entries: VecDeque<Entry>,
    /// Names and values, the oldest first; what stands before the oldest entry's is forgotten.
    bytes: Vec<u8>,
    /// How many bytes were taken off the front of these.
    base: u64,
    /// As RFC 7541, 4.1, counts.
    size: usize,
    /// How much less than [`MOST`] it may have.
    less: usize,
}

struct Entry {
    at: u64,
    name: u16,
    value: u16,
    kind: Name,
    is_sound: bool,
}

impl Entry {
    fn size(&self) -> usize {
        usize::from(self.name) + usize::from(self.value) + ENTRY
    }
}

impl Table {
    /// The entry of an index, which counts from 1 (RFC 7541, 2.3.3).
    pub(super) fn get(&self, index: usize) -> Option<Told<'_>> {
        let Some(at) = index.checked_sub(STATIC.len() + 1) else {
            return STATIC.get(index.checked_sub(1)?).copied();
        };
        let entry = self.entries.get(at)?;
        let from = (entry.at - self.base) as usize;
        let (name, value) = (usize::from(entry.name), usize::from(entry.value));
        let (name, value) = self.bytes[from..from + name + value].split_at(name);
        Some(Told { kind: entry.kind, name, value, is_sound: entry.is_sound })
    }

    /// Adds an entry whose name is that of another one.
    pub(super) fn add_named(&mut self, index: usize, value: &[u8], is_sound: bool) {
        let Some(Told { kind, name, .. }) = self.get(index) else { return };
        let length = name.len();
        match self.entries.get(index.wrapping_sub(STATIC.len() + 1)) {
            Some(entry) => {
                let from = (entry.at - self.base) as usize;
                self.bytes.extend_from_within(from..from + length);
            }
            None => self.bytes.extend_from_slice(STATIC[index - 1].name),
        }
        self.bytes.extend_from_slice(value);
        self.added(length, value.len(), kind, is_sound);
    }

    pub(super) fn add(&mut self, entry: Told<'_>) {
        self.bytes.extend_from_slice(entry.name);
        self.bytes.extend_from_slice(entry.value);
        self.added(entry.name.len(), entry.value.len(), entry.kind, entry.is_sound);
    }

    /// Takes what was appended for an entry. One that is too large empties the table, and is not in it.
    fn added(&mut self, name: usize, value: usize, kind: Name, is_sound: bool) {
        let size = name + value + ENTRY;
        self.shrink((MOST - self.less).saturating_sub(size));
        if size > MOST - self.less {
            self.bytes.truncate(self.bytes.len() - name - value);
            return;
        }
        let at = self.base + (self.bytes.len() - name - value) as u64;
        self.entries.push_front(Entry { at, name: name as u16, value: value as u16, kind, is_sound });
        self.size += size;
        self.tidy();
    }

    /// Has it hold at most so much from now on. `None`: that is more than it may.
    pub(super) fn resize(&mut self, most: usize) -> Option<()> {
        self.less = MOST.checked_sub(most)?;
        self.shrink(most);
        Some(())
    }

    fn shrink(&mut self, most: usize) {
        while self.size > most
            && let Some(entry) = self.entries.pop_back()
        {
            self.size -= entry.size();
        }
    }

    /// Moves the bytes to the front, once as many are forgotten as are there.
    fn tidy(&mut self) {
        let forgotten =
            self.entries.back().map_or(self.bytes.len(), |oldest| (oldest.at - self.base) as usize);
        if forgotten >= FORGOTTEN.max(self.bytes.len() / 2) {
            self.bytes.drain(..forgotten);
            self.base += forgotten as u64;
        }
    }
}

const fn entry(name: &'static str, value: &'static str, kind: Name) -> Told<'static> {
    Told { kind, name: name.as_bytes(), value: value.as_bytes(), is_sound: true }
}

/// RFC 7541, appendix A.
static STATIC: [Told<'static>; 61] = [
    entry(":authority", "", Name::Authority),
    entry(":method", "GET", Name::Method),
    entry(":method", "POST", Name::Method),
    entry(":path", "/", Name::Path),
    entry(":path", "/index.html", Name::Path),
    entry(":scheme", "http", Name::Scheme),
    entry(":scheme", "https", Name::Scheme),
    entry(":status", "200", Name::Wrong),
    entry(":status", "204", Name::Wrong),
    entry(":status", "206", Name::Wrong),
    entry(":status", "304", Name::Wrong),
    entry(":status", "400", Name::Wrong),
    entry(":status", "404", Name::Wrong),
    entry(":status", "500", Name::Wrong),
    entry("accept-charset", "", Name::Other),
    entry("accept-encoding", "gzip, deflate", Name::Other),
    entry("accept-language", "", Name::Other),
    entry("accept-ranges", "", Name::Other),
    entry("accept", "", Name::Other),
    entry("access-control-allow-origin", "", Name::Other),
    entry("age", "", Name::Other),
    entry("allow", "", Name::Other),
    entry("authorization", "", Name::Other),
    entry("cache-control", "", Name::Other),
    entry("content-disposition", "", Name::Other),
    entry("content-encoding", "", Name::Other),
    entry("content-language", "", Name::Other),
    entry("content-length", "", Name::Length),
    entry("content-location", "", Name::Other),
    entry("content-range", "", Name::Other),
    entry("content-type", "", Name::Other),
    entry("cookie", "", Name::Cookie),
    entry("date", "", Name::Other),
    entry("etag", "", Name::Other),
    entry("expect", "", Name::Other),
    entry("expires", "", Name::Other),
    entry("from", "", Name::Other),
    entry("host", "", Name::Host),
    entry("if-match", "", Name::Other),
    entry("if-modified-since", "", Name::Other),
    entry("if-none-match", "", Name::Other),
    entry("if-range", "", Name::Other),
    entry("if-unmodified-since", "", Name::Other),
    entry("last-modified", "", Name::Other),
    entry("link", "", Name::Other),
    entry("location", "", Name::Other),
    entry("max-forwards", "", Name::Other),
    entry("proxy-authenticate", "", Name::Other),
    entry("proxy-authorization", "", Name::Other),
    entry("range", "", Name::Other),
    entry("referer", "", Name::Other),
    entry("refresh", "", Name::Other),
    entry("retry-after", "", Name::Other),
    entry("server", "", Name::Other),
    entry("set-cookie", "", Name::Other),
    entry("strict-transport-security", "", Name::Other),
    entry("transfer-encoding", "", Name::Wrong),
    entry("user-agent", "", Name::Other),
    entry("vary", "", Name::Other),
    entry("via", "", Name::Other),
    entry("www-authenticate", "", Name::Other),
];

#[cfg(test)]
mod tests {
    use super::{MOST, Name, STATIC, Table, Told};

    fn add(table: &mut Table, name: &str, value: &str) {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        table.add(Told { kind: Name::of(name), name, value, is_sound: true });
    }

    fn text(table: &Table, index: usize) -> String {
        let told = table.get(index).unwrap();
        format!("{}={}", str::from_utf8(told.name).unwrap(), str::from_utf8(told.value).unwrap())
    }

    #[test]
    fn what_the_static_table_says_of_names_is_so() {
        for told in STATIC {
            let wrong = told.kind == Name::Wrong && Name::of(told.name) == Name::Wrong;
            assert!(wrong || told.kind == Name::of(told.name), "{told:?}");
        }
    }

    #[test]
    fn entries_come_and_go_in_order() {
        let mut table = Table::default();
        for n in 0..10_000 {
            add(&mut table, &format!("x-{n}"), &"v".repeat(n % 97));
            assert_eq!(text(&table, 62), format!("x-{n}={}", "v".repeat(n % 97)));
            let there = table.entries.len();
            assert_eq!(text(&table, 61 + there).split('=').next(), Some(&*format!("x-{}", n + 1 - there)));
            assert!(table.get(62 + there).is_none());
            assert!(table.size <= MOST && table.bytes.len() <= 3 * MOST, "{}", table.bytes.len());
        }
        assert!(table.resize(MOST + 1).is_none());
        table.resize(0).unwrap();
        assert!(table.get(62).is_none());
        add(&mut table, "x", "y");
        assert!(table.get(62).is_none(), "nothing fits");
        table.resize(MOST).unwrap();
        add(&mut table, "x", "y");
        table.add_named(62, b"z", true);
        assert_eq!((text(&table, 62), text(&table, 63)), ("x=z".into(), "x=y".into()));
        table.add_named(1, b"a", true);
        assert_eq!(text(&table, 62), ":authority=a");
    }

    #[test]
    fn a_name_outlives_its_entry_where_that_makes_room() {
        let mut table = Table::default();
        add(&mut table, "x-first", &"a".repeat(2000));
        table.add_named(62, &[b'b'; 3000], true);
        assert_eq!(text(&table, 62), format!("x-first={}", "b".repeat(3000)));
        assert!(table.get(63).is_none());
        table.add_named(62, &[b'c'; MOST], true);
        assert!(table.get(62).is_none(), "it was too large, and emptied the table");
    }
}
