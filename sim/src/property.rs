//! The promises, by name: what each means, in one sentence.

/// A property that must hold.
#[derive(Debug)]
pub struct Property {
    /// Its name, as a failure prints it.
    pub name: &'static str,
    /// What it says.
    pub says: &'static str,
}

macro_rules! properties {
    ($($constant:ident: $name:literal, $says:literal;)*) => {
        $(
            #[doc = $says]
            pub(crate) static $constant: Property = Property { name: $name, says: $says };
        )*
        /// All of them.
        pub static PROPERTIES: &[&Property] = &[$(&$constant),*];
    };
}

properties! {
    NO_UNFINISHED_WORK_ENDED: "no-operation-ends-unfinished-work",
        "No process is signalled while a request, stream or job is in progress on it, unless a cut was ordered.";
    ORDER_OF_RETIREMENT: "order-of-retirement",
        "An instance is told to be quiet only when no edge chooses by a table that names it, and stopped only after that.";
    RUNS_ONCE: "runs-once",
        "No instance runs twice at a time, and of a singleton no two instances do.";
    CALLERS_ARE_SERVED: "callers-are-served",
        "A call from work in progress to another service of its stack is not refused because an operation removed that service.";
    TRUE_RECEIPT: "true-receipt",
        "What a receipt says of each instance is what happened, up to what it declares unknown.";
    ON_ONE_RECEIPT: "on-one-receipt",
        "Each piece of work that was lost, cut or handed over is on one receipt, and on one only.";
    CUT_OVER_IS_TRUE: "reported-cut-over-is-true",
        "When an operation says that it has cut over, every edge routes to what it wanted and to nothing else.";
    PROMISED_AVAILABILITY: "never-below-promised-availability",
        "Where the new comes first, an operation never leaves fewer instances routed and ready than the smaller of what was and what is wanted.";
    STALE_ACTORS_REFUSED: "stale-actors-refused",
        "No store, agent or edge carries out what is older than what it has carried out.";
    ONE_STEERING: "one-steering-operation",
        "At most one operation steers a stack, and the stack names it.";
    GENERATIONS_GROW: "generations-never-go-back",
        "Revisions, tables and releases only ever get higher numbers.";
    IDS_ARE_NEW: "ids-are-never-used-again",
        "An instance or operation that is made has an id that none had before.";
    INTENT_GOES_DOWN: "intent-only-goes-down",
        "What an instance is to do never goes back up: run, quiet, stop, cut.";
    ROUNDS_COME_TO_REST: "rounds-come-to-rest",
        "A round with no new observation after the writes of a few before it writes nothing.";
    WAKE_IS_LATER: "wakes-lie-ahead",
        "A round that writes nothing asks to be woken later than now, or not at all.";
    DUE_ONCE: "due-once",
        "For one due time of a job at most one run is made.";
    ONE_RUN_AT_A_TIME: "one-run-at-a-time",
        "No run has two tries in progress, and no job two runs, unless its file allows that.";
    MISSED_IS_TOLD: "missed-is-told",
        "Each due time of a schedule is run, held back for a run in progress, or told as missed on an incident: one of these, once.";
    WAKES_ARE_KEPT: "wakes-are-kept",
        "Nothing falls asleep that somebody's wake keeps on.";
    CONVERGENCE: "convergence",
        "Once faults have stopped and work has ended, everything is as wanted within bounded time.";
    STAYS_WHERE_IT_BEGAN: "stays-where-it-began",
        "Where the file asks for it, a client is given to the release that it began with as long as that goes on.";
    SAME_TRACE: "same-seed-same-trace",
        "Two runs of a seed are the same, event by event.";
    BOUNDED_RECORDS: "bounded-records",
        "Records do not pile up: no instance without a process or a wish for one, no more releases and operations than are kept.";
}
