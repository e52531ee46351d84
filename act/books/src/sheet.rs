//! The books' carbon copy: what a killed edge had counted, and what it had in progress.
//!
//! A worker copies its counts, at each change, into a file that is mapped into memory. Whatever ends the
//! process, the system keeps what was stored there; the next edge reads it with [`recover`], as the last report of the one
//! that is gone. A number is one atomic word, stored by one thread: at worst a single piece of work, whose end
//! was being written down at that very moment, is both counted and in progress.
//!
//! It is a copy, and only that: where it cannot be had, or has no room, the edge serves as without it.

use crate::numbers::{self, NUMBERS};
use naru_model::{EdgeCounts, EdgeId, EdgeReport, Generation, InstanceId, NodeId, Time};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::ptr::NonNull;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a file of this kind begins with; another number is another layout.
const MARK: u64 = 0x6e61_7275_0000_0002;
/// Instances of one worker at a time; one beyond them is not copied. Two thousand, and as many again while they are
/// replaced. The file takes 3.7 MiB of disk; of memory, only what is in use.
const SLOTS: usize = 4_096;
/// Words of a name, its length in the first: ids are fit for file names, so at most 255 bytes long.
const NAME: usize = 33;
/// Words of a slot: the numbers, which begin where a line of the processor's cache does, and a name.
const SLOT: usize = (NUMBERS + NAME).next_multiple_of(LINE);
/// Words of such a line.
const LINE: usize = 8;
/// Words before the slots: mark, generation, beginning, the edge's and the node's names.
const HEAD: usize = (3 + 2 * NAME).next_multiple_of(LINE);
const WORDS: usize = HEAD + SLOTS * SLOT;
const BYTES: usize = WORDS * 8;

/// Whose counts are copied, and where to.
#[derive(Clone, Copy, Debug)]
pub struct Life<'a> {
    /// A folder of this life alone.
    pub folder: &'a Path,
    /// The edge's node.
    pub node: &'a NodeId,
    /// This life of the edge.
    pub edge: &'a EdgeId,
    /// When that life began.
    pub began: Time,
}

/// One worker's file.
pub struct Sheet {
    words: Mapped,
    free: RefCell<Vec<usize>>,
    /// Whether what it says is the last.
    closed: Cell<bool>,
}

/// An instance's place in it, given back when dropped.
pub struct Slot {
    sheet: Rc<Sheet>,
    at: usize,
}

impl Sheet {
    /// A new one for a worker, if the system gives it.
    pub fn open(life: &Life<'_>, worker: usize) -> Option<Rc<Sheet>> {
        match Sheet::create(life, worker) {
            Ok(sheet) => Some(Rc::new(sheet)),
            Err(error) => {
                tracing::warn!(%error, folder = ?life.folder, "if this edge is killed, its last counts are gone with it");
                None
            }
        }
    }

    fn create(life: &Life<'_>, worker: usize) -> io::Result<Sheet> {
        DirBuilder::new().recursive(true).mode(0o700).create(life.folder)?;
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create_new(true).mode(0o600);
        let words = Mapped::new(&options.open(life.folder.join(worker.to_string()))?)?;
        words.put(2, life.began.0);
        words.put_name(3, life.edge.as_str());
        words.put_name(3 + NAME, life.node.as_str());
        words.put(0, MARK);
        Ok(Sheet { words, free: RefCell::new((0..SLOTS).rev().collect()), closed: Cell::new(false) })
    }

    /// The table by which the worker chooses.
    pub fn choose_by(&self, generation: Generation) {
        self.words.put(1, generation.0);
    }

    /// The worker ends: what is dropped from here on is not at its end, and is left as it is told now.
    pub fn close(&self) {
        self.closed.set(true);
    }

    /// A place for an instance.
    pub fn slot(self: &Rc<Sheet>, id: &InstanceId) -> Option<Slot> {
        let Some(free) = self.free.borrow_mut().pop() else {
            tracing::warn!(instance = %id, "there is no room for a copy of its counts");
            return None;
        };
        let slot = Slot { sheet: self.clone(), at: HEAD + free * SLOT };
        (0..NUMBERS).for_each(|word| slot.put(word, 0));
        self.words.put_name(slot.at + NUMBERS, id.as_str());
        Some(slot)
    }
}

impl Slot {
    /// Copies one of the numbers.
    pub(crate) fn put(&self, number: usize, value: u64) {
        if !self.sheet.closed.get() {
            self.sheet.words.put(self.at + number, value);
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.put(NUMBERS, 0);
        self.sheet.free.borrow_mut().push((self.at - HEAD) / SLOT);
    }
}

/// The last report of an edge that is gone, from the folder that was [its own](Life): newer than any that it
/// made itself. `None` where it left none. No process may be at it any more.
///
/// # Errors
/// What the system said. A file that makes no sense is left aside.
pub fn recover(folder: &Path) -> io::Result<Option<EdgeReport>> {
    let mut report: Option<EdgeReport> = None;
    for entry in fs::read_dir(folder)? {
        let content = fs::read(entry?.path())?;
        let words = content.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word));
        let words: Vec<u64> = words.collect();
        let Some(part) = read(&words) else { continue };
        report = Some(match report {
            Some(whole) => join(whole, part),
            None => part,
        });
    }
    Ok(report)
}

fn join(mut whole: EdgeReport, part: EdgeReport) -> EdgeReport {
    whole.acked = whole.acked.min(part.acked);
    for (id, counts) in part.instances {
        whole.instances.entry(id).or_default().add(&counts);
    }
    whole
}

fn read(words: &[u64]) -> Option<EdgeReport> {
    if words.len() != WORDS || words[0] != MARK {
        return None;
    }
    let mut instances = BTreeMap::new();
    for slot in words[HEAD..].chunks_exact(SLOT) {
        let Some((numbers, rest)) = slot.split_first_chunk() else { continue };
        let Some(id) = name(rest) else { continue };
        let (in_progress, counts, request_durations) = numbers::read(numbers);
        let known = EdgeCounts { in_progress, counts, request_durations, ..EdgeCounts::default() };
        instances.insert(id.into(), known);
    }
    Some(EdgeReport {
        node: name(&words[3 + NAME..])?.into(),
        edge: name(&words[3..])?.into(),
        began: Time(words[2]),
        seq: u64::MAX,
        acked: Generation(words[1]),
        instances,
        faults: vec![],
        waiting: BTreeMap::new(),
    })
}

fn name(words: &[u64]) -> Option<String> {
    let bytes: Vec<u8> = words[1..NAME].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let length = usize::try_from(words[0]).ok().filter(|length| *length > 0)?;
    String::from_utf8(bytes.get(..length)?.to_vec()).ok()
}

/// A file's words, in memory.
struct Mapped(NonNull<AtomicU64>);

impl Mapped {
    /// Maps a new file. Its blocks are taken at once: a disk that is full later cannot fail a store.
    fn new(file: &File) -> io::Result<Mapped> {
        // SAFETY: the descriptor is open.
        let taken = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, BYTES as libc::off_t) };
        if taken != 0 {
            return Err(io::Error::from_raw_os_error(taken));
        }
        let (access, shared) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at a place that the system chooses, of a file that is as long.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), BYTES, access, shared, file.as_raw_fd(), 0) };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(at.cast()).map(Mapped).ok_or_else(|| io::Error::other("mapped to nowhere"))
    }

    fn put(&self, word: usize, value: u64) {
        assert!(word < WORDS, "no word of the sheet");
        // SAFETY: within the mapping, which lives as long as this and is aligned to a page; all access to it
        // is atomic.
        unsafe { self.0.add(word).as_ref() }.store(value, Ordering::Release);
    }

    /// A name that is there once it is whole.
    fn put_name(&self, at: usize, name: &str) {
        let bytes = &name.as_bytes()[..name.len().min((NAME - 1) * 8)];
        for (n, chunk) in bytes.chunks(8).enumerate() {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.put(at + 1 + n, u64::from_ne_bytes(word));
        }
        self.put(at, bytes.len() as u64);
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length, and nothing refers to it any more.
        unsafe { libc::munmap(self.0.as_ptr().cast(), BYTES) };
    }
}
