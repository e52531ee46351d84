//! Who may do what. **Pure**: people, policies, a question and the time in; a verdict with its reason out.
//!
//! Two kinds of rules meet here, and Cedar judges both:
//! - **Grants** are data: who, which role or actions, on what, until when. A handful of fixed policies reads them
//!   ([`schema`]), so that a thousand grants cost no more than one.
//! - The administrator's own **policies** ([`Policies`]) permit what no grant does, or forbid what one does. They are
//!   read with a schema and strictly: what could go wrong when it is evaluated is refused when it is read.
//!
//! Whatever goes wrong all the same means no. Cedar skips a policy that errs, and a `forbid` that is skipped would
//! allow.
//!
//! [`Rights::decide`] answers a question; [`admit`] says what a change of people makes of the records, and refuses
//! whatever would give somebody more than the one who orders it has. [`desk`] is the same for requests at the service desk.

mod admit;
mod asking;
mod decide;
pub mod desk;
pub mod directory;
mod expression;
mod policies;
pub mod schema;

pub use admit::{Declined, Made, admit, check_password};
pub use decide::Rights;
pub use policies::{Policies, PolicyFault};
