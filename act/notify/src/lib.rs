//! Notices of what happens, sent to people: by webhook, in the form that Slack and its likes take, and by mail.
//!
//! - Secrets are in files of their own, which only their owner may read; addresses of webhooks are secrets too.
//! - Nothing goes over a network without TLS; a server on this machine may do without.
//! - Whoever takes webhooks can check that they are Naru's: [`signature`] says how.
//! - A notice is sent once. What failed in a way that may pass is tried again by whoever calls, a bounded number of times.

mod channel;
mod file;
mod mail;
mod notice;
mod webhook;

pub use channel::{Channel, Channels, Fault, load};
pub use file::{Config, FILE, Kind, MailTo, Route, Tls, Transport, Webhook, read};
pub use notice::Notice;
pub use webhook::signature;
