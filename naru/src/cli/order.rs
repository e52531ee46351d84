//! An order, from what was typed to its end: cuts are confirmed, it is sent, its notes are shown, and it is
//! followed.

use super::fail::{Code, Fail};
use super::follow::{Following, Until, Wish, follow};
use super::moment::now;
use super::paint;
use super::printer::Answer;
use super::session::Session;
use super::verb::work::table;
use clap::{Args, ValueEnum};
use naru_api::Client;
use naru_model::{Change, Demand, Ending, InstanceView, OperationId, ServiceName, StackName, Time, WorkView};
use std::collections::BTreeSet;

/// What every order takes.
#[derive(Args, Clone, Debug)]
pub struct OrderArgs {
    /// Do not wait
    #[arg(short, long)]
    pub detach: bool,
    /// Why, for the receipt
    #[arg(short, long, visible_alias = "reason", value_name = "TEXT")]
    pub message: Option<String>,
    /// End the work in progress on what is retired, instead of letting it finish. Asks first
    #[arg(long)]
    pub cut: bool,
    /// Answer yes to the question that `--cut` asks
    #[arg(short, long, requires = "cut")]
    pub yes: bool,
}

/// How long an order that brings something is waited for.
#[derive(Args, Clone, Copy, Debug)]
pub struct WaitArgs {
    /// Wait until the new serves, or until the old is gone too
    #[arg(long, value_enum, value_name = "UNTIL", default_value_t = WaitKind::CutOver)]
    #[arg(num_args = 0..=1, require_equals = true, default_missing_value = "cut-over", conflicts_with = "detach")]
    pub wait: WaitKind,
}

/// Until when is waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WaitKind {
    /// The new serves
    CutOver,
    /// The old is gone too, and the receipt final
    Done,
}

impl From<WaitKind> for Until {
    fn from(kind: WaitKind) -> Until {
        match kind {
            WaitKind::CutOver => Until::CutOver,
            WaitKind::Done => Until::Ended,
        }
    }
}

/// An order to be.
pub struct Order {
    /// Of which stack.
    pub stack: StackName,
    /// What.
    pub change: Change,
    /// What was typed beside.
    pub args: OrderArgs,
    /// Until when it is followed.
    pub until: Until,
    /// How it is to go.
    pub wish: Wish,
    /// The services whose work a cut would end; `None`: all.
    pub affects: Option<BTreeSet<ServiceName>>,
}

impl Taken {
    /// The operation that carries it out.
    pub fn operation(&self) -> OperationId {
        self.following.id
    }
}

/// An order that was taken.
pub struct Taken {
    following: Following,
    detach: bool,
}

/// Sends an order and sees it through.
///
/// # Errors
/// It was refused, it failed, or nobody can be asked about a cut.
pub async fn carry_out(session: &Session, client: &Client, order: Order) -> Result<Code, Fail> {
    match send(session, client, order).await? {
        Some(taken) => see_through(session, client, taken).await,
        None => Ok(Code::Done),
    }
}

/// Sends an order. `None`: everything is as wanted already.
///
/// # Errors
/// It was refused, or nobody can be asked about a cut.
pub async fn send(session: &Session, client: &Client, order: Order) -> Result<Option<Taken>, Fail> {
    let ending = if order.args.cut { Ending::Cut } else { Ending::Finish };
    if ending == Ending::Cut && !order.args.yes {
        confirm_order(session, client, &order).await?;
    }
    let joins = matches!(order.change, Change::Promote | Change::Resume | Change::Abort | Change::Pause);
    let from = if joins { now() } else { Time(0) };
    let is_pause = order.change == Change::Pause;
    let stack = order.stack.clone();
    let (actor, message) = (String::new(), order.args.message);
    let demand = Demand { stack: order.stack, change: order.change, ending, actor, message };
    let admitted = match client.demand(&demand).await {
        Ok(admitted) => admitted,
        Err(error) => return Err(naru_people::offer(session, client, error, &demand).await.into()),
    };
    admitted.notes.iter().for_each(|note| session.printer.note(note));
    let id = match admitted.operation {
        Some(id) => id,
        None if is_pause => return Ok(None),
        None => match under_way(client, &stack).await? {
            Some(id) => id,
            None => {
                if admitted.notes.is_empty() {
                    session.printer.result(format!("{stack}: nothing to do"));
                }
                return Ok(None);
            }
        },
    };
    let following = Following { stack, id, until: order.until, wish: order.wish, from };
    Ok(Some(Taken { following, detach: order.args.detach }))
}

/// The operation that brings about what is wanted already: who orders the same again wants to see how it goes.
async fn under_way(client: &Client, stack: &StackName) -> Result<Option<OperationId>, Fail> {
    let stacks = client.stacks().await?;
    let steering = stacks.into_iter().find(|view| view.name == *stack).and_then(|view| view.steering);
    let Some(id) = steering else { return Ok(None) };
    let open = client.operation(id).await?;
    Ok((open.is_steering() && open.cut_over.is_none()).then_some(id))
}

/// Follows what was ordered, unless it was ordered with `--detach`.
///
/// # Errors
/// It failed.
pub async fn see_through(session: &Session, client: &Client, taken: Taken) -> Result<Code, Fail> {
    let id = taken.following.id;
    if taken.detach {
        let said = format!("operation {id} is under way; `naru receipt {id} --wait` follows it");
        session.printer.result(said);
        return Ok(Code::Done);
    }
    follow(session, client, taken.following).await
}

/// The work that an order would cut, which is then confirmed.
async fn confirm_order(session: &Session, client: &Client, order: &Order) -> Result<(), Fail> {
    let instances = client.instances(Some(&order.stack)).await?;
    let touches = |service: &ServiceName| order.affects.as_ref().is_none_or(|only| only.contains(service));
    // Runs go with the whole stack, and with nothing less.
    let goes =
        |view: &InstanceView| touches(&view.service) && (view.run.is_none() || order.change == Change::Down);
    let touched: BTreeSet<_> = instances.into_iter().filter(goes).map(|view| view.id).collect();
    let mut work = client.work(Some(&order.stack)).await?;
    work.retain(|view| touched.contains(&view.instance));
    let otherwise = "add `--yes`, or leave `--cut` out: then the work finishes first";
    confirm(session, &work, ("--cut", otherwise))
}

/// Names the work that would be cut, and asks. `by` is what would cut it, and what to do where nobody can be asked.
///
/// # Errors
/// Nobody can be asked, or the answer is no.
pub fn confirm(session: &Session, work: &[WorkView], by: (&str, &str)) -> Result<(), Fail> {
    if !session.printer.can_ask() {
        let (what, otherwise) = by;
        let error = format!("`{what}` asks before it ends work, and there is no terminal to ask on");
        return Err(Fail::usage(error).help(otherwise));
    }
    let question = if work.is_empty() {
        "No work is in progress on what this retires now; what begins until then is cut. Go on?"
    } else {
        session.printer.raw(&format!("{}\n{}", paint::bold("this work is cut:"), table(work, now())));
        "Cut it?"
    };
    match session.printer.ask(question)? {
        Answer::Yes => Ok(()),
        Answer::No => Err(Fail { code: Code::Refused, ..Fail::new("not confirmed: nothing was changed") }),
    }
}
