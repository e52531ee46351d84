//! What can be typed: the verbs, and the options that every verb of a stack takes.
//!
//! As with Docker Compose, `-f`, `-p`, `--profile`, `--env-file` and `--project-directory` may stand before
//! or after the verb. They are arguments of both commands, put together in [`ProjectArgs::merge`]; what
//! stands after the verb wins.

use super::verb;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Runs the services of a Compose file, and changes anything without losing the work in progress.
#[derive(Debug, Parser)]
#[command(name = "naru", version, max_term_width = 100)]
#[command(after_help = "Exit codes and environment variables: `naru --help`")]
#[command(after_long_help = super::reference::after_help())]
pub struct Cli {
    #[command(flatten)]
    pub project: ProjectArgs,
    /// A server elsewhere that `naru login` has signed in to, instead of the one of NARU_HOME
    #[arg(long, global = true, value_name = "URL", help_heading = "Server")]
    pub server: Option<String>,
    #[command(flatten)]
    pub output: OutputArgs,
    #[command(subcommand)]
    pub verb: Verb,
}

/// Which stack, and from which files.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Stack")]
pub struct ProjectArgs {
    /// A Compose file; several are merged in order
    #[arg(short, long, value_name = "FILE")]
    pub file: Vec<PathBuf>,
    /// The stack's name, instead of the file's `name` or the folder's
    #[arg(short, long, value_name = "NAME")]
    pub project_name: Option<String>,
    /// Take in the services of this profile; may be repeated
    #[arg(long, value_name = "NAME")]
    pub profile: Vec<String>,
    /// A file of variables, instead of `.env`; may be repeated
    #[arg(long, value_name = "FILE")]
    pub env_file: Vec<PathBuf>,
    /// The folder that relative paths start from, instead of the first file's
    #[arg(long, value_name = "FOLDER")]
    pub project_directory: Option<PathBuf>,
}

impl ProjectArgs {
    /// These, from before the verb, with `after`, from behind it.
    pub fn merge(mut self, after: ProjectArgs) -> ProjectArgs {
        self.file.extend(after.file);
        self.profile.extend(after.profile);
        self.env_file.extend(after.env_file);
        ProjectArgs {
            project_name: after.project_name.or(self.project_name),
            project_directory: after.project_directory.or(self.project_directory),
            ..self
        }
    }
}

/// How progress is shown.
#[derive(Args, Clone, Copy, Debug)]
pub struct OutputArgs {
    /// How progress is shown, on standard error
    #[arg(long, global = true, value_enum, default_value_t = ProgressKind::Auto, value_name = "KIND")]
    #[arg(help_heading = "Output")]
    pub progress: ProgressKind,
}

/// A way to show progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressKind {
    /// `tty` on a terminal, `plain` elsewhere
    Auto,
    /// One line for each service, rewritten in place
    Tty,
    /// One line for each transition
    Plain,
    /// One JSON object for each transition
    Json,
    /// Nothing but errors
    Quiet,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Deploy the Compose file: start what is missing, replace what changed, retire what is gone
    Up(verb::up::Up),
    /// Take over what Docker Compose runs: the same containers run on
    Import(verb::import::Import),
    /// Show what `up` would change, and why
    Plan(verb::plan::PlanArgs),
    /// Pull the images of services
    Pull(verb::image::Pull),
    /// Build the images of services that have `build`
    Build(verb::image::Build),
    /// Push the images of services that have `build` to their registries
    Push(verb::image::Push),
    /// Remove images that Naru pulled or built and nobody needs any more
    Prune(verb::image::Prune),
    /// List instances: what serves, what retires and what it waits for
    Ps(verb::ps::Ps),
    /// Show what instances wrote
    Logs(verb::logs::Logs),
    /// Show what happened: operations, instances' lives, commands that people ran
    Events(verb::events::Events),
    /// Run a command beside an instance: in its container, or with a process's surroundings
    Exec(verb::exec::Exec),
    /// Run a command once, in a service's image or with its process's surroundings: beside its instances, and not routed to
    Run(verb::run::Run),
    /// Copy files from an instance to here, or from here to an instance
    Cp(verb::cp::Cp),
    /// List the work in progress, or run a command as a job
    Work(verb::work::Work),
    /// List jobs, run them, and see what became of their runs
    Job(verb::job::Job),
    /// List the addresses of services
    Routes(verb::routes::Routes),
    /// Show what goes through the edge now: requests, errors, how long answers take
    Top(verb::top::Top),
    /// Show what instances use of the machine now: CPU, memory, network, disk
    Stats(verb::stats::Stats),
    /// Print what the edge has counted, for Prometheus
    Metrics(verb::metrics::Metrics),
    /// List stacks
    Ls(verb::ls::Ls),
    /// Show, start and stop machines of a cloud
    Assets(verb::assets::Assets),
    /// Set the number of instances
    Scale(verb::change::Scale),
    /// Retire all instances, and start none until `start` or `up`
    Stop(verb::change::Stop),
    /// Start what was stopped
    Start(verb::change::Start),
    /// Keep services on for a time that may be asleep
    Wake(verb::power::Wake),
    /// Let one's own wake last longer
    Extend(verb::power::Extend),
    /// Send services to sleep before their time
    Sleep(verb::power::Sleep),
    /// Show what is on or asleep, why, and what comes next
    Power(verb::power::Power),
    /// Replace instances by new ones of the same release
    Restart(verb::change::Restart),
    /// Retire everything of the stack
    Down(verb::down::Down),
    /// Stop the open rollout where it is
    Pause(verb::change::Pause),
    /// Go on with a paused rollout
    Resume(verb::change::Resume),
    /// Give the new release the traffic
    Promote(verb::change::Promote),
    /// Give the open rollout up: back to the release before
    Abort(verb::change::Abort),
    /// Make a new release with the contents of an old one
    Rollback(verb::change::Rollback),
    /// List operations
    History(verb::history::History),
    /// Show an operation's receipt: who, what, why, and what became of work
    Receipt(verb::receipt::ReceiptArgs),
    /// Show the Compose file as it is understood
    Config(verb::config::Config),
    /// The first minute: a built-in stack deployed again and again under load, and the receipts
    Demo(verb::demo::Demo),
    /// Print the JSON schema of `x-naru`
    Schema,
    /// Run server, agent and edge in the foreground
    Serve(naru_people::Serve),
    /// Replace server, agent and edge by those of this binary; no work in progress ends, but sessions of `exec` and `run`
    Upgrade(verb::upgrade::Upgrade),
    /// End the server, agent and edge that run in the background
    Shutdown(verb::shutdown::Shutdown),
    #[command(flatten)]
    People(naru_people::Verb),
    /// Print a completion script for a shell
    Completions(verb::completions::Completions),
    /// Print the version
    Version(verb::version::Version),
    /// The reference of all commands, as Markdown
    #[command(hide = true)]
    Reference,
}
