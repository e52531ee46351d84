//! Memory on loan: a connection holds a buffer only while bytes move through it.
//!
//! Each worker thread keeps a free list of its own, so that lending takes no lock, and a connection that
//! waits costs no buffer. Buffers are never cleared: a reader sees only what was read into them.

use std::cell::RefCell;
use std::mem;
use std::ops::{Deref, DerefMut};
use std::thread::LocalKey;

/// Bytes of one buffer: large enough that bulk data costs few system calls, see the measurements.
pub const SIZE: usize = 64 * 1024;

/// Free buffers that a thread keeps: 8 MiB. What comes back beyond that goes to the allocator.
const SPARE: usize = 128;

/// A head's bytes above which its memory is not kept for the next.
pub(crate) const KEPT_HEAD: usize = 16 * 1024;

thread_local! {
    static BUFFERS: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
    static HEADS: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Gives what was on loan back to a free list of the thread's, which keeps so many at most. What it does not keep is
/// dropped; a thread that is ending keeps nothing any more.
pub fn give_back<T>(free: &'static LocalKey<RefCell<Vec<T>>>, most: usize, one: T) {
    let _ = free.try_with(|free| {
        let mut free = free.borrow_mut();
        if free.len() < most {
            free.push(one);
        }
    });
}

/// A buffer of [`SIZE`] bytes, given back when dropped.
pub struct Buffer {
    bytes: Box<[u8]>,
}

impl Buffer {
    /// Takes one from this thread's free list, or a new one.
    pub fn borrow() -> Buffer {
        let spare = BUFFERS.with_borrow_mut(Vec::pop);
        Buffer { bytes: spare.unwrap_or_else(|| vec![0; SIZE].into_boxed_slice()) }
    }
}

impl Deref for Buffer {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = mem::take(&mut self.bytes);
        give_back(&BUFFERS, SPARE, bytes);
    }
}

/// A growing text for one message head, whose memory is used again.
pub struct HeadText {
    text: Vec<u8>,
}

impl HeadText {
    /// An empty one.
    pub fn borrow() -> HeadText {
        HeadText { text: HEADS.with_borrow_mut(Vec::pop).unwrap_or_default() }
    }
}

impl Deref for HeadText {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.text
    }
}

impl DerefMut for HeadText {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }
}

impl Drop for HeadText {
    fn drop(&mut self) {
        let mut text = mem::take(&mut self.text);
        text.clear();
        if text.capacity() <= KEPT_HEAD {
            give_back(&HEADS, SPARE, text);
        }
    }
}
