//! Compose files in, model out.
//!
//! Nothing is typed before it is merged: values keep their places, tags and spelling until all layers are one,
//! so that what is wrong is shown where it is written, all of it at once. The way, each step a module:
//!
//! 1. `discover`: which files, which folder, which variables, which name
//! 2. `naru_yaml`: text to trees; aliases and `<<` within a budget
//! 3. `layers`: for each document `interpolate`, `extends`, what it resets, `include`,
//!    `merge`, `unique`, `schema`, `short` forms to long ones
//! 4. `normalize` and `check`: what is meant without being written, and what cannot be
//! 5. `canonical`: the form that `docker compose config` prints, by the tables of `shape`
//! 6. `service` and its neighbours: `naru_model::Stack`, with Naru's defaults
//!
//! What has no effect yet is never passed over in silence: `support` names it. The keys of `x-naru` are
//! one table, [`KEYS`], from which their schema is made.

mod canonical;
mod check;
mod discover;
mod dotenv;
mod encode;
mod extends;
mod files;
mod interpolate;
mod layers;
mod load;
mod merge;
mod normalize;
mod ports;
mod schema;
mod shape;
mod short;
mod unique;

pub use load::{Loaded, Options, load, load_texts};
pub use naru_meaning::{
    Addresses, Contents, Effect, KEYS, OBJECT_KEYS, SERVICE_KEYS, ServiceKey, Unsupported, schema,
};
pub use naru_routing::{FILE_KEYS, Key, Support, Takes};
pub use naru_yaml::{Diagnostic, Errors, Place, Severity, Style};
