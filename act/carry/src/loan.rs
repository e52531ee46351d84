//! Futures on loan: what is only needed while a request is answered is not part of its connection.
//!
//! A future is as large as the largest thing that it may be doing. Of a connection that waits for its next request, most
//! of that would be room for answering one; so that part lives in memory of its own, from a free list
//! of the thread's like the buffers, and ten thousand connections that wait hold none of it.

use crate::buffer::give_back;
use std::cell::RefCell;
use std::future::Future;
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::ptr::NonNull;
use std::task::{Context, Poll};

/// Bytes of one piece: what a request needs, and some to grow. A future that does not fit fails to compile.
const SIZE: usize = 3328;

/// Free pieces that a thread keeps: 832 KiB. What comes back beyond that goes to the allocator.
const SPARE: usize = 256;

#[repr(align(16))]
struct Piece(#[expect(dead_code, reason = "only a place, used through pointers")] [MaybeUninit<u8>; SIZE]);

thread_local! {
    #[expect(clippy::vec_box, reason = "a future stays where it is: it is the box that changes hands")]
    static PIECES: RefCell<Vec<Box<Piece>>> = const { RefCell::new(Vec::new()) };
}

/// A future in borrowed memory, which is given back when this is dropped.
pub struct Lent<F: Future> {
    /// Holds an `F`, from `lend` until the drop, at the same place.
    piece: NonNull<Piece>,
    future: PhantomData<F>,
}

// Moving it moves the pointer alone.
impl<F: Future> Unpin for Lent<F> {}

/// Makes a future, of at most 3.25 KiB, in memory of this thread's free list, or in new memory. One that is made elsewhere
/// would have to be copied there whole, most of which is room that it does not use yet.
#[inline(always)]
pub fn lend<F: Future>(make: impl FnOnce() -> F) -> Lent<F> {
    const { assert!(size_of::<F>() <= SIZE && align_of::<F>() <= align_of::<Piece>()) };
    let spare = PIECES.with_borrow_mut(Vec::pop);
    let piece = spare.unwrap_or_else(|| Box::new(Piece([const { MaybeUninit::uninit() }; SIZE])));
    let piece = NonNull::from(Box::leak(piece));
    // SAFETY: the piece is large enough and aligned, as asserted above, and nobody else has it.
    unsafe { piece.cast::<F>().write(make()) };
    Lent { piece, future: PhantomData }
}

impl<F: Future> Future for Lent<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        // SAFETY: the piece holds an `F` that this owns. It stays where it is until it is dropped: moving a `Lent`
        // moves the pointer alone.
        unsafe { Pin::new_unchecked(self.piece.cast::<F>().as_mut()) }.poll(cx)
    }
}

impl<F: Future> Drop for Lent<F> {
    fn drop(&mut self) {
        /// Gives the piece back, even if the future panics while it is dropped.
        struct Back(NonNull<Piece>);
        impl Drop for Back {
            fn drop(&mut self) {
                // SAFETY: it came from a box in `lend`, and what it held is dropped.
                let piece = unsafe { Box::from_raw(self.0.as_ptr()) };
                give_back(&PIECES, SPARE, piece);
            }
        }
        let _back = Back(self.piece);
        // SAFETY: it holds an `F`, which is dropped here and nowhere else.
        unsafe { self.piece.cast::<F>().drop_in_place() };
    }
}

#[cfg(test)]
mod tests {
    use super::{PIECES, lend};
    use std::rc::Rc;

    #[tokio::test]
    async fn a_lent_future_is_the_future() {
        let text = String::from("borrowed");
        let lent = lend(|| async {
            tokio::task::yield_now().await;
            text.len()
        });
        assert_eq!(lent.await, 8);
    }

    #[tokio::test]
    async fn memory_is_used_again_and_what_was_in_it_is_dropped() {
        let held = Rc::new(());
        let own = held.clone();
        let first = lend(|| async move {
            tokio::task::yield_now().await;
            drop(own);
        });
        let place = first.piece;
        drop(first);
        assert_eq!(Rc::strong_count(&held), 1, "dropped before it was done, it drops what it holds");
        let second = lend(|| async {});
        assert_eq!(second.piece, place);
        second.await;
        assert_eq!(PIECES.with_borrow(Vec::len), 1);
    }
}
