//! The nouns of people: who there is, what a right is about and what was granted, and what is written down of it.
//! **Pure**: plain data, as the model's nouns.

mod audit;
mod demand;
mod desk;
mod order;
mod origin;
mod people;
mod right;

pub use audit::{AuditEntry, AuditEvent, AuditOutcome, AuditQuery, AuditState};
pub use demand::taken_by;
pub use desk::{Asked, Decision, DeskRequest, Outcome, Rank, RequestState, Ruling, how_to_ask, typed};
pub use order::{RequestAct, RequestOrder, RequestView};
pub use origin::{DirectoryPerson, Origin};
pub use people::{
    GrantRecord, People, PeopleChanged, PeopleOrder, PeopleView, PersonWrite, SignIn, TokenOrigin,
    TokenRecord, TokenView, UserRecord, UserView,
};
pub use right::{
    Granted, Grantee, Resource, Right, RightQuestion, Role, Scope, Standing, Unreadable, Verdict, Who,
    is_person_name, is_plain_name,
};
