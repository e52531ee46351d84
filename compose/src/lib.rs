//! Compose files in, model out.

mod canonical;
mod check;
mod discover;
mod dotenv;
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
mod schema;
mod service;
mod shape;
mod short;
mod support;
mod unique;
mod units;
mod unix_path;
mod xnaru;

pub use load::{Loaded, Options, Unsupported, load, load_texts};
pub use naru_yaml::{Diagnostic, Errors, Place, Severity, Style};
pub use xnaru::{KEYS, Key, Support, Takes, schema};
