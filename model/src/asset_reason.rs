//! Why something is done with an asset, or waited for, as data, and the sentence that people read of it.

use crate::{AssetName, CloudRefusal, InProgress, MachineAct, MachineState, Span, Time, Wanted, quantity};
use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

/// Why. What each field is, its sentence below says.
#[allow(missing_docs)]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case", tag = "why")]
pub enum AssetReason {
    /// Somebody wants it.
    Ordered { wanted: Wanted, actor: String, until: Option<Time>, message: Option<String> },
    /// Its hours have changed.
    Hours { wanted: Wanted, since: Time },
    /// The time is over for which somebody wanted it on.
    Ended { actor: String, at: Time },
    /// Its cloud had no room for another of its group.
    InsteadOf { name: AssetName, actor: String },
    /// It is asked for.
    Asks { act: MachineAct, state: MachineState },
    /// The cloud said yes.
    Taken { act: MachineAct },
    /// No answer came.
    AnswerLost { act: MachineAct, detail: String },
    /// In this state it cannot be asked for.
    WaitsForState { act: MachineAct, state: MachineState },
    /// It is on its way.
    WaitsForMachine { state: MachineState, wanted: Wanted },
    /// Work is in progress there.
    WaitsForWork { work: InProgress },
    /// An earlier request of the opposite may still take effect.
    WaitsForEarlier { act: MachineAct },
    /// The cloud says that the state is another one.
    OtherState { act: MachineAct, refusal: CloudRefusal },
    /// Too many requests, or not now.
    AsksLater { act: MachineAct, after: Span, cause: String },
    /// No room, and nobody stands in.
    NoCapacity { after: Span, refusal: CloudRefusal },
    /// No room, and another one stands in.
    Elsewhere { by: AssetName, refusal: CloudRefusal },
    /// It began to start, and was stopped by its cloud.
    FellBack { after: Span, cause: String },
    /// The state has not changed for long.
    Slow { state: MachineState, since: Span },
    /// As wanted.
    Reached { state: MachineState, took: Span },
    /// It was so already.
    IsSo { state: MachineState },
    /// Somebody did the opposite.
    Overtaken { state: MachineState },
    /// The cloud refused for good.
    Refused { act: MachineAct, refusal: CloudRefusal },
    /// It is gone.
    Gone { state: MachineState },
    /// The cloud does not list it.
    NotListed,
    /// No room for so long.
    GivesUp { after: Span, cause: String },
}

impl fmt::Display for AssetReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use AssetReason::*;
        match self {
            Ordered { wanted, actor, until, message } => {
                let until = until.map(|until| format!(" until {}", until.utc())).unwrap_or_default();
                let why = message.as_ref().map(|message| format!(": {message}")).unwrap_or_default();
                write!(f, "{actor} wants it {wanted}{until}{why}")
            }
            Hours { wanted, since } => write!(f, "by its hours it is {wanted} since {}", since.utc()),
            Ended { actor, at } => write!(f, "{actor} wanted it on until {}", at.utc()),
            InsteadOf { name, actor } => {
                write!(f, "{actor} wants {name} on, the cloud has no room for that, and this one stands in")
            }
            Asks { act, state } => write!(f, "it is {state}: the cloud is asked to {act} it"),
            Taken { act } => write!(f, "the cloud takes the request to {act} it"),
            AnswerLost { act, detail } => {
                write!(
                    f,
                    "whether the request to {act} it was heard is not known ({detail}); its state will tell"
                )
            }
            WaitsForState { act, state } => {
                write!(f, "it is {state}, and cannot be asked to {act} before that is over")
            }
            WaitsForMachine { state, wanted } => write!(f, "it is {state}, on its way to {wanted}"),
            WaitsForWork { work } => {
                write!(f, "{} in progress on it; it is stopped when that is done", quantity(*work))
            }
            WaitsForEarlier { act } => write!(f, "an earlier request to {act} it may still take effect"),
            OtherState { act, refusal } => write!(f, "it cannot be asked to {act} now: {refusal}"),
            AsksLater { act, after, cause } => {
                write!(f, "the request to {act} it is made again in {after}: {cause}")
            }
            NoCapacity { after, refusal } => write!(f, "{refusal}; it is tried again in {after}"),
            Elsewhere { by, refusal } => write!(f, "{refusal}; {by} stands in"),
            FellBack { after, cause } => {
                write!(f, "it began to start and fell back ({cause}); it is tried again in {after}")
            }
            Slow { state, since } => {
                write!(f, "it has been {state} for {since}, which is long; the cloud's console may say why")
            }
            Reached { state, took } => write!(f, "it is {state}, after {took}"),
            IsSo { state } => write!(f, "it is {state} already"),
            Overtaken { state } => {
                write!(f, "it is {state} by somebody else's doing since it was asked; that stands")
            }
            Refused { act, refusal } => write!(f, "the request to {act} it was refused: {refusal}"),
            Gone { state } => write!(f, "it is {state}: its cloud removed it for good"),
            NotListed => f.write_str("its cloud does not list it any more, or its tags were changed"),
            GivesUp { after, cause } => write!(f, "given up after {after}: {cause}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::AssetReason;
    use crate::{InProgress, MachineAct, MachineState, Span, Time, Wanted};

    #[test]
    fn reasons_read_as_sentences() {
        let said = [
            AssetReason::Ordered {
                wanted: Wanted::Off,
                actor: "kim".into(),
                until: None,
                message: Some("night".into()),
            },
            AssetReason::Ordered {
                wanted: Wanted::On,
                actor: "kim".into(),
                until: Some(Time(0)),
                message: None,
            },
            AssetReason::WaitsForState { act: MachineAct::Stop, state: MachineState::Pending },
            AssetReason::WaitsForWork { work: InProgress { requests: 0, streams: 0, jobs: 2 } },
            AssetReason::Reached { state: MachineState::Running, took: Span::secs(42) },
        ]
        .map(|reason| reason.to_string());
        assert_eq!(
            said,
            [
                "kim wants it off: night",
                "kim wants it on until 1970-01-01 00:00:00 UTC",
                "it is pending, and cannot be asked to stop before that is over",
                "2 jobs in progress on it; it is stopped when that is done",
                "it is running, after 42 s",
            ]
        );
    }
}
