//! `naru exec`: a command beside a running instance, as if it were run here.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::session::Session;
use clap::{ArgAction, Args};
use naru_api::{Client, ExecOrder, ReachOrder, TerminalOrder};
use naru_model::{InstanceView, Phase};
use naru_reach::{Local, Lost};
use std::collections::{BTreeMap, BTreeSet};

/// What `naru exec` takes.
#[derive(Args, Debug)]
pub struct Exec {
    /// The service
    service: String,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    with: With,
    /// With all that the host's root may do; in a container
    #[arg(long)]
    privileged: bool,
    /// Which of its instances, from 1; without it, the first that is ready
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    index: Option<u32>,
    /// This instance, such as `shop.api.3.9`: one that retires, too
    #[arg(long, value_name = "ID", conflicts_with = "index")]
    instance: Option<String>,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// How a command is run for somebody.
#[derive(Args, Debug)]
pub struct With {
    /// No terminal for the command; it has one where standard input and output are one
    #[arg(short = 'T', long, alias = "no-TTY")]
    no_tty: bool,
    /// A terminal for the command in any case
    #[arg(short, long, conflicts_with = "no_tty")]
    tty: bool,
    /// Hand standard input over; `--interactive=false` does not
    #[arg(short, long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true)]
    #[arg(default_missing_value = "true", action = ArgAction::Set)]
    interactive: bool,
    /// A variable for the command; `NAME` alone takes the value that it has here
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// The command's working folder
    #[arg(short, long, value_name = "FOLDER")]
    pub workdir: Option<String>,
    /// Run as this user: `USER` or `USER:GROUP`
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
}

impl Exec {
    /// Runs the command, and ends with its status.
    ///
    /// # Errors
    /// No server, no such instance, or the command cannot be run.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let code = |fail: Fail| match fail.code {
            Code::Failed | Code::NoServer | Code::Refused => Fail { code: Code::Command(125), ..fail },
            _ => fail,
        };
        self.go(session).await.map_err(code)
    }

    async fn go(self, session: &Session) -> Result<Code, Fail> {
        let client = session.client()?;
        let instances = client.instances(session.scope()?.as_ref()).await?;
        let instance = self.choose(&instances)?.id.clone();
        let local = self.with.local();
        let order = ExecOrder {
            instance,
            command: self.command,
            environment: self.with.environment(session)?,
            user: self.with.user,
            working_dir: self.with.workdir,
            privileged: self.privileged,
            terminal: local.terminal.then(|| terminal(session)),
            actor: String::new(),
        };
        connect(&client, ReachOrder::Exec(order), local).await
    }

    /// Which of the instances.
    fn choose<'a>(&self, all: &'a [InstanceView]) -> Result<&'a InstanceView, Fail> {
        if let Some(id) = &self.instance {
            let named =
                all.iter().find(|view| view.id.as_str() == id && view.service.as_str() == self.service);
            let help = "`naru ps` lists instances";
            return named.ok_or_else(|| {
                Fail::new(format!("service {} has no instance {id}", self.service)).help(help)
            });
        }
        choose(all, &self.service, self.index)
    }
}

/// One of the instances of the present release, by its number, or the first that is ready.
///
/// # Errors
/// There is none.
pub fn choose<'a>(
    all: &'a [InstanceView],
    service: &str,
    index: Option<u32>,
) -> Result<&'a InstanceView, Fail> {
    let mut of: Vec<&InstanceView> =
        all.iter().filter(|view| view.service.as_str() == service && serves(view) && runs(view)).collect();
    of.sort_by_key(|view| (!is_ready(view) && index.is_none(), view.made, &view.id));
    let at = index.unwrap_or(1) as usize - 1;
    of.get(at).copied().ok_or_else(|| match (of.len(), index) {
        (0, _) => none_runs(all, service),
        (count, _) => Fail::new(format!("service {service} has {count} that run, and no {}", at + 1))
            .help("`naru ps` lists instances"),
    })
}

fn none_runs(all: &[InstanceView], service: &str) -> Fail {
    let names: BTreeSet<&str> = all.iter().map(|view| view.service.as_str()).collect();
    let names: Vec<&str> = names.into_iter().collect();
    let help = match names.as_slice() {
        [] => "nothing runs; `naru up` starts it".into(),
        names => format!("with instances: {}", names.join(", ")),
    };
    Fail::new(format!("no instance of service `{service}` runs")).help(help)
}

fn serves(view: &InstanceView) -> bool {
    view.current && !view.one_off
}

fn runs(view: &InstanceView) -> bool {
    view.status.as_ref().is_some_and(|status| status.pid.is_some() && status.phase != Phase::Exited)
}

fn is_ready(view: &InstanceView) -> bool {
    view.status.as_ref().is_some_and(|status| status.phase == Phase::Ready)
}

impl With {
    /// What the command has of this end.
    pub fn local(&self) -> Local {
        let terminal = self.tty || (!self.no_tty && self.interactive && naru_reach::is_terminal());
        Local { terminal, input: self.interactive }
    }

    /// The variables. One that is not set here is left out, as Docker does.
    ///
    /// # Errors
    /// One has no name.
    pub fn environment(&self, session: &Session) -> Result<BTreeMap<String, String>, Fail> {
        let mut all = BTreeMap::new();
        for text in &self.env {
            let (name, value) = match text.split_once('=') {
                Some((name, value)) => (name, Some(value.to_string())),
                None => (text.as_str(), session.settings.environment.get(text).cloned()),
            };
            if name.is_empty() {
                return Err(Fail::usage("a variable has no name").help("write `-e NAME=VALUE`"));
            }
            all.extend(value.map(|value| (name.to_string(), value)));
        }
        Ok(all)
    }
}

/// The terminal here, for the command.
pub fn terminal(session: &Session) -> TerminalOrder {
    let size = naru_reach::size();
    let kind = session.settings.environment.get("TERM").cloned();
    TerminalOrder { columns: size.columns, lines: size.lines, kind }
}

/// Has the command of an order here, until it ends.
///
/// # Errors
/// There is none, or it is lost.
pub async fn connect(client: &Client, order: ReachOrder, local: Local) -> Result<Code, Fail> {
    let stream = client.reach(&order).await?;
    match naru_reach::attach(stream, local).await {
        Ok(end) => Ok(Code::Command(end.status())),
        Err(Lost::Failed(failure)) => {
            Err(Fail { code: Code::Command(failure.status), help: failure.hint, ..Fail::new(failure.error) })
        }
        Err(lost) => Err(Fail::new(lost)),
    }
}
