//! A table on a terminal that changes as one looks at it: sorted, filtered and scrolled by keys, drawn by ratatui.
//!
//! [`View`] is what the person has chosen so far: keys in, and what the caller is to do out. [`draw`](draw()) makes a picture of
//! it and of a [`Page`]. Both know no terminal; [`Screen`] has the terminal, and gives it back.

mod draw;
mod screen;
mod view;

pub use draw::{Colours, Page, draw};
pub use screen::Screen;
pub use view::{Act, Key, View};
