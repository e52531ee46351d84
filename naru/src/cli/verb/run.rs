//! `naru run`: a one-off of a service, beside its instances, as if it were run here.

use super::exec::{With, connect, terminal};
use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::follow::{Until, Wish};
use crate::cli::images::{ImageArgs, settled};
use crate::cli::load;
use crate::cli::order::{Order, OrderArgs, carry_out};
use crate::cli::session::Session;
use clap::Args;
use naru_api::{Client, ReachOrder, RunOrder, WatchQuery};
use naru_compose::Loaded;
use naru_model::{
    Change, Demand, Ending, InstanceId, OneOff, RunRecord, ServiceName, SessionKind, StackName, StackView,
};
use std::time::Duration;

/// Between two looks at a run, where nothing that is watched tells of it.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What `naru run` takes.
#[derive(Args, Debug)]
pub struct Run {
    /// The service
    service: String,
    /// The command and its arguments, instead of the service's own
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    with: With,
    /// Do not stay with it: print its id. It goes on without anybody, and its log has what it writes
    #[arg(short, long)]
    detach: bool,
    /// Of a container: instead of its entrypoint, in words as a shell splits them
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,
    /// Of a container: its name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Keep no log of it. Without this, the logs of a service's last 5 one-offs are kept. Its container goes in any case
    #[arg(long)]
    rm: bool,
    /// Start nothing that the service depends on, and wait for none of it
    #[arg(long)]
    no_deps: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl Run {
    /// Runs it, and ends with its status.
    ///
    /// # Errors
    /// No server, no such service, what it depends on does not come up, or it cannot be started.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let code = |fail: Fail| match fail.code {
            Code::Failed | Code::NoServer | Code::Refused => Fail { code: Code::Command(125), ..fail },
            _ => fail,
        };
        self.go(session).await.map_err(code)
    }

    async fn go(self, session: &Session) -> Result<Code, Fail> {
        let client = match session.settings.names_files() {
            true => session.ensured().await?,
            false => session.client()?,
        };
        let service = ServiceName::from(self.service.as_str());
        let stack = session.stack(&client).await?;
        if let Some(code) = self.make_ready(session, &client, &stack, &service).await? {
            return Ok(code);
        }
        let local = self.with.local();
        let with = Box::new(self.one_off(session, local.terminal)?);
        let (change, ending) = (Change::OneOff { service: service.clone(), with }, Ending::Finish);
        let demand = Demand { stack: stack.clone(), change, ending, actor: String::new(), message: None };
        let number = client.demand(&demand).await?.run.unwrap_or_default();
        let instance = begun(session, &client, (&stack, &service), number).await?;
        if self.detach {
            session.printer.data(&format!("{instance}\n"))?;
            return Ok(Code::Done);
        }
        let terminal = local.terminal.then(|| terminal(session));
        connect(&client, ReachOrder::Run(RunOrder { instance, terminal }), local).await
    }

    fn one_off(&self, session: &Session, terminal: bool) -> Result<OneOff, Fail> {
        let words = |line: &String| {
            let split = naru_yaml::units::split_words(line).map(|split| split.words);
            split.ok_or_else(|| Fail::usage(format!("`{line}`: a quote is not closed")))
        };
        let kind = if terminal { SessionKind::Terminal } else { SessionKind::Pipes };
        Ok(OneOff {
            command: (!self.command.is_empty()).then(|| self.command.clone()),
            entrypoint: self.entrypoint.as_ref().map(words).transpose()?,
            environment: self.with.environment(session)?,
            user: self.with.user.clone(),
            working_dir: self.with.workdir.clone(),
            name: self.name.clone(),
            alone: self.no_deps,
            session: (!self.detach).then_some(kind),
            forget: self.rm,
        })
    }

    /// Sees to it that the stack is up with the service, and that what the service depends on runs. A code: it is not, and how
    /// that ended.
    async fn make_ready(
        &self,
        session: &Session,
        client: &Client,
        stack: &StackName,
        service: &ServiceName,
    ) -> Result<Option<Code>, Fail> {
        let view = client.stacks().await?.into_iter().find(|view| view.name == *stack);
        let view = view.filter(|view| view.target.is_some());
        let is_there = |view: &StackView| view.services.iter().any(|one| one.name == *service);
        let known = view.as_ref().is_some_and(is_there);
        if !session.settings.names_files() || known && self.no_deps {
            return Ok(None);
        }
        let loaded = load::runnable_with(&session.settings, &session.printer, service)?;
        let missing = if self.no_deps { vec![] } else { missing(&loaded, view.as_ref(), service)? };
        if known && missing.is_empty() {
            return Ok(None);
        }
        for content in loaded.contents.0.values() {
            client.keep_content(content).await?;
        }
        let needed: Vec<ServiceName> = missing.iter().chain([service]).cloned().collect();
        let act = ImageArgs::default().act();
        let images = settled(session, client, &loaded.stack, &needed, act).await?;
        let (only, idle) = (missing, vec![service.clone()]);
        let order = Order {
            stack: stack.clone(),
            change: Change::Deploy { stack: Box::new(loaded.stack), only, images, idle },
            args: OrderArgs { detach: false, message: None, cut: false, yes: false },
            until: Until::CutOver,
            wish: Wish::Success,
            affects: None,
        };
        Ok(Some(carry_out(session, client, order).await?).filter(|code| *code != Code::Done))
    }
}

/// What the service depends on and does not run. What has run to its end is not run again.
fn missing(
    loaded: &Loaded,
    view: Option<&StackView>,
    service: &ServiceName,
) -> Result<Vec<ServiceName>, Fail> {
    let all = loaded.stack.with_dependencies(std::slice::from_ref(service));
    let all = all.map_err(|refusal| Fail { help: refusal.hint, ..Fail::usage(refusal.error) })?;
    let is_up = |name: &ServiceName| {
        let known = view.and_then(|view| view.services.iter().find(|one| one.name == *name));
        known.is_some_and(|one| one.wanted > 0 || loaded.stack.services[name].mode.is_job())
    };
    Ok(all.into_iter().filter(|name| name != service && !is_up(name)).collect())
}

/// Waits until a run has an instance, and says for what it waits.
async fn begun(
    session: &Session,
    client: &Client,
    (stack, service): (&StackName, &ServiceName),
    number: u64,
) -> Result<InstanceId, Fail> {
    let mut events = client.follow(&WatchQuery { stack: Some(stack.clone()), operation: None });
    let mut told = None;
    loop {
        let runs = client.runs(Some(stack), Some(service)).await?;
        let Some(run) = runs.into_iter().find(|run| run.number == number) else {
            return Err(Fail::new(format!("one-off {number} of {service} is not known any more")));
        };
        if let Some(one) = run.tries.last() {
            return Ok(one.instance.clone());
        }
        if run.state.is_over() {
            return Err(never_begun(&run));
        }
        if run.waits_for != told {
            told = run.waits_for;
            told.iter().for_each(|reason| session.printer.progress(reason));
        }
        let _ = tokio::time::timeout(LOOK_AGAIN, events.next()).await;
    }
}

fn never_begun(run: &RunRecord) -> Fail {
    let why = naru_show::run_note(run);
    Fail::new(format!("one-off {} of {} was not begun: {why}", run.number, run.job))
}
