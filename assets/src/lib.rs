//! Assets, judged purely: which machines of which clouds, what is wanted of them, what may be asked for when, and what each
//! answer and each look means. No clock, no chance, no input or output: time and everything seen are arguments.
//!
//! A [`Fleet`] holds what is known. Whoever drives it stores the records of a [`Decision`] first, [applies](Fleet::apply)
//! them, and only then asks and looks as the decision says; what comes of that goes back in by [`Fleet::answered`] and
//! [`Fleet::looked`]. So a driver that dies at any point goes on where it was: a request whose outcome it does not know is
//! one whose answer was lost.
//!
//! What holds whatever a cloud does:
//! - Nothing is asked for in a state in which it cannot be: `pending` is not stopped, `stopping` not started.
//! - Success is seen, never assumed. A lost answer is followed by looks, and by the same request only where they show that
//!   it had no effect.
//! - A state that an earlier request may still change is not taken for the end.
//! - A want ends: reached, failed, overtaken by somebody's doing at the cloud, or taken over by another asset. What others do
//!   afterwards is shown, and not undone.
//! - Hours want something of a machine at each change of theirs, if it has been otherwise since before: what anybody does
//!   after that stands until they change again.

mod answer;
mod file;
mod fleet;
mod hours;
mod kept;
mod order;
mod policy;
mod power;
mod pursue;
mod record;
mod view;

pub use answer::Outcome;
pub use file::{FILE, Kind, Provider, is_asset_name, read};
pub use fleet::{Decision, Fleet, Look, Request};
pub use kept::{Ask, AskState, AssetRecord};
pub use policy::iam_policy;
pub use power::Power;
