//! YAML text to trees whose every value knows where it is written, and what is said about such places.
//!
//! Knows nothing of Compose: only that files come in layers, which `!reset` and `!override` act on, and that
//! a reader wants all that is wrong at once, each with its line.

mod diagnostic;
mod emit;
pub mod file;
mod parse;
mod scalar;
pub mod shape;
mod tree;
pub mod units;
pub mod unix_path;
mod words;

pub use diagnostic::{Diagnostic, Errors, Place, Pos, Report, Severity, Style};
pub use emit::to_yaml;
pub use parse::{Document, parse};
pub use scalar::{boolean, print_float};
pub use tree::{Map, Node, Origin, Path, Tag, Value};
pub use words::nearest;
