//! Load, and the instances that answer it, in one thread over one epoll.
//!
//! Both ends of a proxy are here, so that all of it stays on one core and the proxy has the other to itself,
//! and so that what the generator costs is system calls and little else: a request is written from one shared
//! piece of memory, and a body that nobody looks at is dropped in the kernel (`MSG_TRUNC`).
//!
//! [`Engine`] owns the sockets. [`client`] says what a client does next and [`server`] what an instance does;
//! neither knows of epoll.

pub mod client;
pub mod engine;
pub mod server;
pub mod socket;
pub mod tally;

pub use client::{Answer, Ask, Then};
pub use engine::{Engine, Group};
pub use server::Service;
pub use tally::Tally;
