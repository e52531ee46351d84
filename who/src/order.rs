//! What is ordered at the service desk, and how somebody sees a request there.

use crate::desk::{Asked, DeskRequest};
use naru_model::Span;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody orders at the desk.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RequestOrder {
    /// Asks for something.
    Make {
        /// For what.
        asked: Asked,
        /// Why.
        reason: String,
    },
    /// Says yes. Naru does what was asked for.
    Approve {
        /// To which.
        id: u64,
        /// For a shorter time than was asked for.
        #[serde(default)]
        lasts: Option<Span>,
        /// What else there is to say.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Says no.
    Deny {
        /// To which.
        id: u64,
        /// Why.
        reason: String,
    },
    /// Takes one's own back.
    Withdraw {
        /// Which.
        id: u64,
    },
    /// Takes back what was approved: a right ends, and so does a wake.
    Revoke {
        /// Which.
        id: u64,
        /// Why.
        #[serde(default)]
        reason: Option<String>,
    },
}

impl RequestOrder {
    /// What is ordered, for the audit.
    pub fn word(&self) -> &'static str {
        match self {
            RequestOrder::Make { .. } => "request",
            RequestOrder::Approve { .. } => "approve",
            RequestOrder::Deny { .. } => "deny",
            RequestOrder::Withdraw { .. } => "withdraw",
            RequestOrder::Revoke { .. } => "revoke",
        }
    }

    /// Which request it is about, if it is there already.
    pub fn id(&self) -> Option<u64> {
        match self {
            RequestOrder::Make { .. } => None,
            RequestOrder::Approve { id, .. }
            | RequestOrder::Deny { id, .. }
            | RequestOrder::Withdraw { id }
            | RequestOrder::Revoke { id, .. } => Some(*id),
        }
    }
}

/// A request, as somebody sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RequestView {
    /// The request, its state as of now.
    #[serde(flatten)]
    pub request: DeskRequest,
    /// What whoever looks may do with it.
    pub may: Vec<RequestAct>,
}

/// What may be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RequestAct {
    /// Say yes, or no.
    Decide,
    /// Take it back, as whoever asked.
    Withdraw,
    /// Take back what was approved.
    Revoke,
}
