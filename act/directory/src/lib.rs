//! People in a directory, LDAP or Active Directory: whether a name and a password fit, and of which groups somebody is.
//!
//! - Nothing is said to a server but over TLS, whose certificate was checked: `ldaps://`, or StartTLS before anything
//!   else. There is no option to turn that off, and referrals are not followed.
//! - An empty password never reaches a server: lax ones take it for an anonymous sign-in, and let in. What a server
//!   took for one all the same is asked ("who am I?"), and refused.
//! - Everything has its time, and all of it together has one: a server that stands still costs a wait, and then the
//!   next one is asked. What was under way with it ends with its connection.
//! - A name is data wherever it goes: escaped for filters and for DNs.

mod answer;
mod check;
mod config;
mod connection;
mod directory;
mod dn;
mod file;
mod groups;
mod load;
mod person;
mod pool;

pub use answer::{Bar, Proven};
pub use check::{Step, server, user};
pub use config::{Begin, Config, Find, Groups, People, Server, Service, Timeouts};
pub use directory::{Directory, Shown, SignedIn};
pub use file::{FILE, read};
pub use load::{State, Watched, load};

/// Why somebody does not come in. What it says is for logs and the audit; whoever tries hears as much as shows nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Name or password is wrong.
    #[error("name or password is wrong ({0})")]
    Wrong(String),
    /// The account is in a state in which nobody comes in.
    #[error("{} ({said})", bar.word())]
    Barred {
        /// Which.
        bar: Bar,
        /// What the server's saying so shows of the password.
        proven: Proven,
        /// The server's words.
        said: String,
    },
    /// A server answered, and nothing can be concluded from it.
    #[error("the directory's answer cannot be used: {0}")]
    Unusable(String),
    /// No server answers.
    #[error("the directory does not answer: {why}")]
    Unreachable {
        /// What each did instead.
        why: String,
    },
}
