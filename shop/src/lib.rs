//! A shop of real programs in containers, for measurements: nginx, PostgreSQL, HAProxy and a program of its own ([`tier`]), its
//! Compose file ([`shop`]) and its images, made on the spot of what Debian has installed ([`images`]) for an engine that
//! the measurement starts and ends ([`engine`]).

#[path = "../../act/docker/tests/engine/mod.rs"]
#[allow(missing_docs)]
pub mod engine;
pub mod front;
pub mod images;
pub mod shop;
pub mod tier;
