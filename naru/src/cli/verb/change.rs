//! The orders that need no Compose file's contents: `scale`, `stop`, `start`, `restart`, `rollback`, and a
//! person's word in a rollout: `pause`, `resume`, `promote`, `abort`.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::follow::{Until, Wish};
use crate::cli::order::{Order, OrderArgs, WaitArgs, carry_out, send};
use crate::cli::session::Session;
use clap::Args;
use naru_model::{Change, ReleaseNo, ServiceName, StackName};
use std::collections::{BTreeMap, BTreeSet};

/// What `naru scale` takes.
#[derive(Args, Debug)]
pub struct Scale {
    /// How many instances of which services
    #[arg(required = true, value_name = "SERVICE=N", value_parser = crate::cli::load::parse_scale)]
    replicas: Vec<(ServiceName, u32)>,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru stop` takes.
#[derive(Args, Debug)]
pub struct Stop {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru start` takes.
#[derive(Args, Debug)]
pub struct Start {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    order: PlainArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru restart` takes.
#[derive(Args, Debug)]
pub struct Restart {
    /// Only these services
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru rollback` takes.
#[derive(Args, Debug)]
pub struct Rollback {
    /// The release to go back to; without it, the one that served before the present one
    #[arg(long, value_name = "RELEASE")]
    to: Option<u64>,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru pause` takes.
#[derive(Args, Debug)]
pub struct Pause {
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru resume` takes.
#[derive(Args, Debug)]
pub struct Resume {
    #[command(flatten)]
    order: PlainArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru promote` takes.
#[derive(Args, Debug)]
pub struct Promote {
    #[command(flatten)]
    order: PlainArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What `naru abort` takes.
#[derive(Args, Debug)]
pub struct Abort {
    #[command(flatten)]
    order: PlainArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// What an order takes that retires nothing.
#[derive(Args, Clone, Debug)]
pub struct PlainArgs {
    /// Do not wait
    #[arg(short, long)]
    detach: bool,
    /// Why, for the receipt
    #[arg(short, long, visible_alias = "reason", value_name = "TEXT")]
    message: Option<String>,
}

impl From<PlainArgs> for OrderArgs {
    fn from(plain: PlainArgs) -> OrderArgs {
        OrderArgs { detach: plain.detach, message: plain.message, cut: false, yes: false }
    }
}

impl Scale {
    /// Orders another number of instances.
    ///
    /// # Errors
    /// It was refused, or failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let replicas: BTreeMap<ServiceName, u32> = self.replicas.into_iter().collect();
        let services = replicas.keys().cloned().collect();
        let change = Change::Scale { replicas };
        order(session, change, self.order, self.wait.wait.into(), services).await
    }
}

impl Stop {
    /// Orders that no instance runs.
    ///
    /// # Errors
    /// It was refused, or failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let services = services(&self.services);
        let change = Change::Stop { services: services.clone() };
        order(session, change, self.order, Until::Ended, services).await
    }
}

impl Start {
    /// Orders that instances run again.
    ///
    /// # Errors
    /// It was refused, or failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let change = Change::Start { services: services(&self.services) };
        order(session, change, self.order.into(), Until::CutOver, vec![]).await
    }
}

impl Restart {
    /// Orders new instances in the place of the present ones.
    ///
    /// # Errors
    /// It was refused, or failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let services = services(&self.services);
        let change = Change::Restart { services: services.clone() };
        order(session, change, self.order, self.wait.wait.into(), services).await
    }
}

impl Rollback {
    /// Orders a new release with old contents.
    ///
    /// # Errors
    /// It was refused, or failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let change = Change::Rollback { to: self.to.map(ReleaseNo) };
        order(session, change, self.order, self.wait.wait.into(), vec![]).await
    }
}

impl Pause {
    /// Orders the open rollout to stay where it is.
    ///
    /// # Errors
    /// It was refused.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let client = session.client()?;
        let stack = session.stack(&client).await?;
        let args = PlainArgs { detach: true, message: None };
        let order = order_of(stack, Change::Pause, args.into(), Until::CutOver, vec![]);
        if let Some(taken) = send(session, &client, order).await? {
            let id = taken.operation();
            session.printer.result(format!("operation {id} stays where it is"));
            session.printer.result("  `naru resume` goes on, `naru abort` goes back to the release before");
        }
        Ok(Code::Done)
    }
}

impl Resume {
    /// Orders the paused rollout to go on.
    ///
    /// # Errors
    /// It was refused, or failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        order(session, Change::Resume, self.order.into(), Until::CutOver, vec![]).await
    }
}

impl Promote {
    /// Gives the new set the traffic.
    ///
    /// # Errors
    /// It was refused, or failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        order(session, Change::Promote, self.order.into(), Until::CutOver, vec![]).await
    }
}

impl Abort {
    /// Gives the open rollout up.
    ///
    /// # Errors
    /// It was refused, or the rollout had succeeded.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        order(session, Change::Abort, self.order.into(), Until::CutOver, vec![]).await
    }
}

/// The names of services, as they were typed.
pub fn services(typed: &[String]) -> Vec<ServiceName> {
    typed.iter().map(|name| ServiceName::from(name.as_str())).collect()
}

/// Sends a change and sees it through. `services`: those whose work a cut would end; empty: all.
///
/// # Errors
/// It was refused, or failed.
pub async fn order(
    session: &Session,
    change: Change,
    args: OrderArgs,
    until: Until,
    services: Vec<ServiceName>,
) -> Result<Code, Fail> {
    let client = session.client()?;
    let stack = session.stack(&client).await?;
    carry_out(session, &client, order_of(stack, change, args, until, services)).await
}

fn order_of(
    stack: StackName,
    change: Change,
    args: OrderArgs,
    until: Until,
    services: Vec<ServiceName>,
) -> Order {
    let wish = if change == Change::Abort { Wish::Abort } else { Wish::Success };
    let affects = (!services.is_empty()).then(|| services.into_iter().collect::<BTreeSet<_>>());
    Order { stack, change, args, until, wish, affects }
}
