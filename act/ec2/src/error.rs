//! What can go wrong.

use naru_model::CloudRefusal;

/// Why there is no answer, or not the wanted one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The cloud said no: the request had no effect.
    #[error("{0}")]
    Refused(CloudRefusal),
    /// The request was sent, and no answer came that can be used: whether it had an effect is not known.
    #[error("{0}")]
    Lost(String),
    /// The request never left.
    #[error("{0}")]
    NotSent(String),
    /// There are no credentials, no region, or something in the settings cannot be used.
    #[error("{0}")]
    Settings(String),
}

impl From<naru_http::Fault> for Fault {
    fn from(fault: naru_http::Fault) -> Fault {
        match fault {
            naru_http::Fault::Lost(what) => Fault::Lost(what),
            naru_http::Fault::NotSent(what) => Fault::NotSent(what),
            naru_http::Fault::Settings(what) => Fault::Settings(what),
        }
    }
}
