//! Compose files in, model out.

mod canonical;
mod check;
mod diagnostic;
mod discover;
mod dotenv;
mod emit;
mod encode;
mod extends;
mod files;
mod interpolate;
mod layers;
mod load;
mod merge;
mod normalize;
mod ports;
mod scalar;
mod schema;
mod shape;
mod short;
mod tree;
mod unique;
mod units;
mod unix_path;
mod yaml;

pub use diagnostic::{Diagnostic, Errors, Place, Severity, Style};
pub use load::{Loaded, Options, Unsupported, load, load_texts};
