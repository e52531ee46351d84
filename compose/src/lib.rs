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
mod health;
mod interpolate;
mod layers;
mod load;
mod merge;
mod network;
mod normalize;
mod ports;
mod read;
mod rollout;
mod scalar;
mod schema;
mod service;
mod shape;
mod short;
mod support;
mod tree;
mod unique;
mod units;
mod unix_path;
mod xnaru;
mod yaml;

pub use diagnostic::{Diagnostic, Errors, Place, Severity, Style};
pub use load::{Loaded, Options, Unsupported, load, load_texts};
pub use xnaru::{KEYS, Key, Support, Takes, schema};
