//! What runs meet: a simulation that never meets a case says nothing of it, so the tests ask.

macro_rules! sights {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// A case that some runs have to meet.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Sight { $($(#[$doc])* $name,)* }

        impl Sight {
            /// All of them.
            pub const ALL: &[Sight] = &[$(Sight::$name),*];
        }
    };
}

sights! {
    /// The store refused the write of a server that another had followed.
    StaleWrite,
    /// An agent refused a desired state older than the one it had applied.
    StaleDesired,
    /// An edge refused a table older than the one it had.
    StaleTable,
    /// A transaction was carried out, and its server was not told.
    UnknownDone,
    /// A transaction was not carried out, and its server was not told.
    UnknownLost,
    /// A request went to another instance, as its own had died.
    HandedOver,
    /// A lease expired.
    LeaseExpired,
    /// Work was cut by order.
    Cut,
    /// A process that ignored its stop signal was killed, idle.
    Killed,
    /// An edge died with work.
    EdgeDiedBusy,
    /// An agent died between writing down and doing.
    AgentDiedMidway,
    /// An operation went back.
    RolledBack,
    /// An operation was superseded.
    Superseded,
    /// An operation was given up.
    Aborted,
    /// An operation was paused.
    Paused,
    /// A share of the traffic went to a new release.
    Shared,
    /// An instance left the routes and came back.
    TakenBack,
    /// A service that was dropped stayed for its callers.
    KeptForCallers,
    /// An instance retired for more than an hour.
    LongRetirement,
    /// Three releases of a service lived side by side.
    ThreeGenerations,
    /// A client was given to a retiring instance, on which it had begun.
    StayedWithRetiring,
    /// A due time of a job was missed.
    RunMissed,
    /// One run was made for those that were missed.
    RunCaughtUp,
    /// A run was due while another was in progress.
    RunHeldBack,
    /// A try of a run failed, and another was to follow.
    RunRetried,
    /// A try took longer than its file allows.
    RunTimedOut,
    /// A run in progress was cut by order.
    RunCut,
    /// A service left the routes to fall asleep.
    FellAsleep,
    /// It came back before it slept.
    TurnedBack,
    /// A service that was asleep was woken.
    Woke,
}
