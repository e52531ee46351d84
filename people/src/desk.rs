//! The service desk: `naru request` and `requests`, and for those who decide `approve`, `deny` and `revoke`.

use crate::{Around, Problem, ask, json, span};
use clap::{Args, Subcommand};
use naru_api::{Client, ClientError, Ground, Refused};
use naru_model::{Change, Demand, Ending, ReleaseNo, ServiceName, Span, StackName};
use naru_rights::desk::is_deed;
use naru_show::moment;
use naru_show::table::Table;
use naru_who::{Asked, RequestOrder, RequestView, Resource, Right};
use std::collections::BTreeMap;

/// What is over is listed for so long.
const LISTED: Span = Span::mins(24 * 60);

/// What `naru request` takes.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct RequestArgs {
    #[command(subcommand)]
    show: Option<Show>,
    /// What is to be done: `wake`, `restart`, `scale`, `run`, …; or a right for a time: `exec`, `read-logs`, `deploy`, …
    #[arg(required = true)]
    action: Option<Right>,
    /// With what: `STACK`, `STACK/SERVICE`, `instance/ID`; of `scale`: `STACK/SERVICE=N`
    #[arg(required = true, value_name = "WHAT")]
    on: Vec<String>,
    /// For how long, as 30m or 4h
    #[arg(long = "for", value_name = "DURATION", default_value = "1h", value_parser = span::parse)]
    lasts: Span,
    /// Of `rollback`: to which release
    #[arg(long, value_name = "RELEASE")]
    to: Option<u64>,
    /// Why: whoever decides reads it
    #[arg(short, long, required = true, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Show {
    /// Show a request, with all that became of it
    Show {
        /// Its number
        id: u64,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
}

/// What `naru requests` takes.
#[derive(Args, Debug)]
pub struct Requests {
    /// Those that were over long ago, too
    #[arg(short, long)]
    all: bool,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

/// What `naru approve` takes.
#[derive(Args, Debug)]
pub struct Approve {
    /// The request's number
    id: u64,
    /// For a shorter time than was asked for
    #[arg(long = "for", value_name = "DURATION", value_parser = span::parse)]
    lasts: Option<Span>,
    /// What else there is to say
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
}

/// What `naru deny` takes.
#[derive(Args, Debug)]
pub struct Deny {
    /// The request's number
    id: u64,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    reason: String,
}

/// What `naru withdraw` takes.
#[derive(Args, Debug)]
pub struct Withdraw {
    /// The request's number
    id: u64,
}

/// What `naru revoke` takes.
#[derive(Args, Debug)]
pub struct Revoke {
    /// The request's number
    id: u64,
    /// Why
    #[arg(short, long, value_name = "TEXT")]
    reason: Option<String>,
}

impl RequestArgs {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let client = around.client()?;
        if let Some(Show::Show { id, json }) = self.show {
            return show(&client.request(id).await?, json, around);
        }
        let odd = |error: String| {
            Problem::Usage(
                error,
                "write STACK, STACK/SERVICE, or instance/ID; of scale STACK/SERVICE=N".into(),
            )
        };
        let Some(action) = self.action else { return Err(odd("what is asked for?".into())) };
        let asked = asked(action, &self.on, self.lasts, self.to).map_err(odd)?;
        make(&client, asked, self.reason.unwrap_or_default(), around).await
    }
}

impl Requests {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let mut requests = around.client()?.requests().await?;
        let now = moment::now();
        let is_old = |view: &RequestView| {
            let last = view.request.decisions.last().map_or(view.request.lapses, |one| one.at);
            view.request.state.is_over() && last.max(view.request.until().unwrap_or(last)) + LISTED < now
        };
        requests.retain(|view| self.all || !is_old(view));
        if self.json {
            return around.data(&json(&requests)?);
        }
        if requests.is_empty() {
            around.note("no requests that are yours, or for you to decide about");
            return Ok(());
        }
        let mut table = Table::new(&["ID", "WHO", "WHAT", "REASON", "STATE", "BY", "MADE"]);
        for RequestView { request, .. } in requests {
            let by = request.decisions.last().map(|one| one.by.clone()).unwrap_or_default();
            let (what, state) = (request.asked.to_string(), request.state.word().to_string());
            let made = moment::ago(request.made, now);
            table.row([request.id.to_string(), request.by, what, request.reason, state, by, made]);
        }
        around.data(&table.render())
    }
}

impl Approve {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let Approve { id, lasts, reason } = self;
        let order = RequestOrder::Approve { id, lasts, reason };
        let done = around.client()?.order_request(&order).await?.request;
        let outcome = done.outcome.clone().unwrap_or_default();
        outcome.notes.iter().for_each(|note| around.note(note));
        let what = done.lasts().map_or_else(|| done.asked.clone(), |lasts| done.asked.lasting(lasts));
        let more = match outcome.operation {
            Some(operation) => format!("; operation {operation} carries it out"),
            None if done.outcome.is_none() => "; its time begins when it is used".into(),
            None => String::new(),
        };
        around.result(&format!("approved request {id}: {what}, by {}{more}", done.by));
        Ok(())
    }
}

impl Deny {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let Deny { id, reason } = self;
        let done = around.client()?.order_request(&RequestOrder::Deny { id, reason }).await?;
        around.result(&format!("denied {}", done.request.sentence()));
        Ok(())
    }
}

impl Withdraw {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let done = around.client()?.order_request(&RequestOrder::Withdraw { id: self.id }).await?;
        around.result(&format!("took back {}", done.request.sentence()));
        Ok(())
    }
}

impl Revoke {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let Revoke { id, reason } = self;
        let done = around.client()?.order_request(&RequestOrder::Revoke { id, reason }).await?;
        around.result(&format!("revoked {}", done.request.sentence()));
        Ok(())
    }
}

async fn make(client: &Client, asked: Asked, reason: String, around: &impl Around) -> Result<(), Problem> {
    let made = client.order_request(&RequestOrder::Make { asked, reason }).await?.request;
    let said = format!("request {}: {}", made.id, made.asked);
    around.result(&format!("{said}; it lapses {} unless somebody decides", span::date(made.lapses)));
    Ok(())
}

/// What to do where an order was refused for want of a right: how to ask for it, or, at a terminal, asking for it.
pub async fn offer(around: &impl Around, client: &Client, error: ClientError, demand: &Demand) -> Problem {
    let is_forbidden = matches!(&error, ClientError::Refused(refused) if refused.ground == Ground::Forbidden);
    let Some(asked) = to_ask(demand).filter(|_| is_forbidden) else { return error.into() };
    let ClientError::Refused(refused) = error else { return Problem::No };
    let question = format!("{}: ask for it? Say why, or nothing", refused.refusal.error);
    if let Some(reason) = ask::line_at_terminal(&question) {
        if reason.is_empty() {
            return Problem::No;
        }
        return match make(client, asked, reason, around).await {
            Ok(()) => Problem::No,
            Err(problem) => problem,
        };
    }
    let why = demand.message.as_deref().filter(|why| !why.contains(['"', '`', '\\', '$']));
    let hint = format!("`{} --reason \"{}\"` asks for it", asked.command(), why.unwrap_or("…"));
    Problem::Client(Refused::new(refused.ground, refused.refusal.error, hint).into())
}

fn to_ask(demand: &Demand) -> Option<Asked> {
    if demand.ending == Ending::Cut {
        return None;
    }
    let stack = demand.stack.clone();
    match &demand.change {
        change if is_deed(change) => Some(Asked::Deed { stack, change: Box::new(change.clone()) }),
        Change::Deploy { .. } => {
            let (right, on) = (Right::Deploy, Resource::Stack(stack));
            Some(Asked::Right { right, on, lasts: Span::mins(60) })
        }
        _ => None,
    }
}

/// What was typed, as what is asked for.
fn asked(action: Right, on: &[String], lasts: Span, to: Option<u64>) -> Result<Asked, String> {
    if action.is_lent() {
        let [on] = on else { return Err(format!("{action} is asked for on one thing at a time")) };
        return Ok(Asked::Right { right: action, on: resource(on)?, lasts });
    }
    let mut replicas = BTreeMap::new();
    let mut all: Vec<Resource> = vec![];
    for one in on {
        let (one, count) = one.split_once('=').map_or((one.as_str(), None), |(one, n)| (one, Some(n)));
        let on = resource(one)?;
        if let (Resource::Service(_, service), Some(count)) = (&on, count) {
            let count: u32 = count.parse().map_err(|_| format!("{count:?} is no number of instances"))?;
            replicas.insert(service.clone(), count);
        }
        all.push(on);
    }
    let (stack, services) = of_one_stack(all)?;
    let change = change(action, services, replicas, lasts, to)?;
    Ok(Asked::Deed { stack, change: Box::new(change) })
}

fn change(
    action: Right,
    services: Vec<ServiceName>,
    replicas: BTreeMap<ServiceName, u32>,
    lasts: Span,
    to: Option<u64>,
) -> Result<Change, String> {
    let whole = services.is_empty();
    Ok(match action {
        Right::Wake => Change::Wake { services, within: lasts },
        Right::Extend => Change::Extend { services, by: lasts },
        Right::Sleep => Change::Sleep { services },
        Right::Start => Change::Start { services },
        Right::Stop => Change::Stop { services },
        Right::Restart => Change::Restart { services },
        Right::Scale if !replicas.is_empty() && replicas.len() == services.len() => {
            Change::Scale { replicas }
        }
        Right::Scale => return Err("how many instances? `STACK/SERVICE=N`".into()),
        Right::Run => match <[ServiceName; 1]>::try_from(services) {
            Ok([job]) => Change::Run { job },
            Err(_) => return Err("which job? `STACK/JOB`".into()),
        },
        Right::Rollback if whole => Change::Rollback { to: to.map(ReleaseNo) },
        Right::Down if whole => Change::Down,
        Right::Pause if whole => Change::Pause,
        Right::Resume if whole => Change::Resume,
        Right::Promote if whole => Change::Promote,
        Right::Abort if whole => Change::Abort,
        action => return Err(format!("{action} is not asked for like that")),
    })
}

/// `STACK/SERVICE`, beside the names of resources.
fn resource(text: &str) -> Result<Resource, String> {
    text.parse::<Resource>().or_else(|error| match text.split_once('/') {
        Some((stack, service)) => format!("service/{stack}/{service}").parse().map_err(|_| error.to_string()),
        None => Err(error.to_string()),
    })
}

fn of_one_stack(all: Vec<Resource>) -> Result<(StackName, Vec<ServiceName>), String> {
    let stack = all.first().and_then(Resource::stack).ok_or("of which stack?")?;
    let mut services = vec![];
    let many = all.len() > 1;
    for on in all {
        match on {
            Resource::Service(of, service) if of == stack => services.push(service),
            Resource::Stack(of) if of == stack && !many => {}
            other => return Err(format!("{other} is not a service of stack {stack}")),
        }
    }
    Ok((stack, services))
}

fn show(view: &RequestView, as_json: bool, around: &impl Around) -> Result<(), Problem> {
    if as_json {
        return around.data(&json(view)?);
    }
    let request = &view.request;
    let mut lines = vec![
        format!("{}: {}", request.sentence(), request.state.word()),
        format!("  reason: {}", request.reason),
        format!("  {}  made", span::date(request.made)),
    ];
    if !request.state.is_over() && request.outcome.is_none() {
        lines.push(format!("  {}  lapses", span::date(request.lapses)));
    }
    for decision in &request.decisions {
        let lasts = decision.lasts.map(|lasts| format!(" for {lasts}")).unwrap_or_default();
        let why = decision.reason.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        let (what, at) = (decision.what.word(), span::date(decision.at));
        lines.push(format!("  {at}  {what}{lasts} by {}{why}", decision.by));
    }
    if let Some(outcome) = &request.outcome {
        lines.extend(outcome.operation.map(|id| format!("  operation {id} carries it out")));
        lines.extend(outcome.grant.map(|id| format!("  grant {id}, since {}", span::date(outcome.at))));
        lines.extend(outcome.until.map(|until| format!("  {}  ends", span::date(until))));
    }
    around.data(&(lines.join("\n") + "\n"))
}

#[cfg(test)]
mod tests {
    use super::asked;
    use naru_model::Span;
    use naru_who::Right;

    fn said(action: Right, on: &[&str]) -> Result<String, String> {
        let on: Vec<String> = on.iter().map(ToString::to_string).collect();
        asked(action, &on, Span::mins(240), None).map(|asked| asked.to_string())
    }

    #[test]
    fn what_is_typed_is_what_is_asked_for() {
        assert_eq!(
            said(Right::Wake, &["shop/engine", "shop/db"]),
            Ok("wake shop/engine shop/db for 4h".into())
        );
        assert_eq!(said(Right::Wake, &["shop"]), Ok("wake shop for 4h".into()));
        assert_eq!(said(Right::Scale, &["shop/api=3"]), Ok("scale shop/api=3".into()));
        assert_eq!(
            said(Right::Exec, &["instance/shop.api.1.1"]),
            Ok("exec instance/shop.api.1.1 for 4h".into())
        );
        for (action, on) in [
            (Right::Wake, &["shop/engine", "blog/db"] as &[&str]),
            (Right::Wake, &["all"]),
            (Right::Scale, &["shop/api"]),
            (Right::Run, &["shop"]),
            (Right::Down, &["shop/api"]),
            (Right::ManagePeople, &["shop"]),
            (Right::Exec, &["shop", "blog"]),
            (Right::Wake, &["쇼핑/엔진"]),
        ] {
            assert!(said(action, on).is_err(), "{action} {on:?}");
        }
    }
}
