//! The last words about an operation that was followed: where it serves, what goes on in the background; or
//! what failed, what was rolled back, and what to type next.

use super::{Following, Until};
use crate::cli::fail::{Code, Fail};
use crate::cli::paint;
use crate::cli::session::Session;
use crate::cli::table::{foreign, pad, width};
use naru_api::{Client, LogQuery};
use naru_model::{
    AddressView, Ending, InstanceId, Operation, OperationKind, OperationOutcome, OperationPhase, Reach,
    ReleaseNo, StackName,
};
use naru_show::{State, in_background, totals};

/// The log of an instance that failed tells why in its last lines; more would bury the rest.
const LINES: u64 = 10;

/// Of several failed instances, as a rule for the same cause, so many are shown.
const INSTANCES: usize = 2;

/// It went as wished.
pub async fn well(session: &Session, client: &Client, state: &State, what: &Following) -> Result<Code, Fail> {
    let Some(one) = &state.operation else { return Ok(Code::Done) };
    session.printer.result(headline(one));
    let mut code = Code::Done;
    if what.until == Until::CutOver {
        if brings_contents(one) {
            code = addresses(session, client, &what.stack).await?;
            monitoring(session, one);
        }
        if let Some(said) = in_background(&client.instances(Some(&what.stack)).await?) {
            session.printer.result(format!("  {said}; `naru ps` shows it"));
        }
    } else {
        session.printer.result(format!("  {}", totals(&one.receipt.total())));
    }
    if one.ending == Ending::Cut && !state.others.is_empty() {
        let others: Vec<String> = state.others.iter().map(|id| format!("`naru receipt {id}`")).collect();
        session.printer.result(format!("  what retired before this is booked there: {}", others.join(", ")));
    }
    Ok(code)
}

fn brings_contents(one: &Operation) -> bool {
    matches!(one.kind, OperationKind::Deploy | OperationKind::Rollback { .. } | OperationKind::Start { .. })
}

fn monitoring(session: &Session, one: &Operation) {
    if one.phase == OperationPhase::Monitoring
        && one.release.is_some()
        && let Some(previous) = before(one)
    {
        session
            .printer
            .result(format!("  watched for a while yet: if it fails, release {previous} comes back"));
    }
}

fn headline(one: &Operation) -> String {
    let took = |end: naru_model::Time| end.since(one.began);
    let aborted = one.outcome == Some(OperationOutcome::Aborted);
    let said = match (one.release, one.cut_over, one.ended) {
        (Some(release), Some(at), _) if !aborted => {
            format!("release {release} of {} serves after {}", one.stack, took(at))
        }
        (.., Some(at)) | (_, Some(at), None) if !aborted => {
            format!("{}: {} done after {}", one.stack, one.kind, took(at))
        }
        _ if aborted => format!("{}: {} is given up{}", one.stack, one.kind, serves(before(one))),
        _ => format!("{}: {} is {}", one.stack, one.kind, one.phase),
    };
    paint::bold(said)
}

/// The release that a rollback goes to.
fn before(one: &Operation) -> Option<ReleaseNo> {
    one.before.as_ref().map(|target| target.release)
}

/// The new set is ready, and a person has the word.
pub async fn awaits_promotion(session: &Session, client: &Client, state: &State) -> Result<Code, Fail> {
    let Some(one) = &state.operation else { return Ok(Code::Done) };
    session
        .printer
        .result(paint::bold(format!("the new release of {} is ready and waits for a word", one.stack)));
    addresses(session, client, &one.stack).await?;
    session.printer.result("  `naru promote` gives it the traffic, `naru abort` gives it up");
    Ok(Code::Done)
}

/// Where it is reached. An address that is not open is a failure, though all else serves.
async fn addresses(session: &Session, client: &Client, stack: &StackName) -> Result<Code, Fail> {
    let mut code = Code::Done;
    // A server that is killed in this very moment is started again: what it has to tell is worth the wait.
    let stacks = match client.stacks().await {
        Ok(stacks) => stacks,
        Err(_) => session.ensured().await?.stacks().await?,
    };
    let Some(view) = stacks.into_iter().find(|view| view.name == *stack) else { return Ok(code) };
    let named: Vec<(&str, &[AddressView])> = [("routes", view.addresses.as_slice())]
        .into_iter()
        .filter(|(_, addresses)| !addresses.is_empty())
        .chain(view.services.iter().map(|service| (service.name.as_str(), service.addresses.as_slice())))
        .collect();
    let widest = named.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    for (name, addresses) in named {
        for address in addresses.iter().filter(|address| address.reach != Reach::Internal) {
            let name = pad(name, widest);
            let preview = if address.reach == Reach::Preview { "  (preview of the new release)" } else { "" };
            session.printer.result(format!("  {name}  {}{preview}", address.url));
            if let Some(fault) = &address.fault {
                session.printer.warn(format!("{} is not open: {}", address.url, foreign(fault)));
                code = Code::Failed;
            }
        }
    }
    Ok(code)
}

/// Ctrl-C.
pub fn detached(session: &Session, what: &Following) -> Code {
    let id = what.id;
    session.printer.result(format!("\ndetached: operation {id} of {} goes on", what.stack));
    session
        .printer
        .result(format!("  `naru receipt {id} --wait` follows it again, `naru ps` shows what runs now"));
    Code::Detached
}

/// It did not go as wished; `None`: it stays where it is.
pub async fn failure(
    session: &Session,
    client: &Client,
    state: &State,
    outcome: Option<OperationOutcome>,
) -> Fail {
    let Some(one) = &state.operation else { return Fail::silent(Code::Failed) };
    for instance in state.failed().iter().take(INSTANCES) {
        evidence(session, client, instance).await;
    }
    let cause = state.fault().map(|fault| format!(": {}", foreign(&fault.to_string()))).unwrap_or_default();
    let what = format!("operation {} ({} of {})", one.id, one.kind, one.stack);
    let error = match outcome {
        Some(OperationOutcome::RolledBack) => format!("{what} was rolled back{cause}"),
        Some(OperationOutcome::Superseded) => format!("{what} was superseded by a later one"),
        Some(OperationOutcome::Aborted) => format!("{what} was aborted"),
        Some(OperationOutcome::Succeeded) => format!("{what} has succeeded already"),
        Some(OperationOutcome::Failed) => format!("{what} failed{cause}"),
        None => format!("{what} failed and stays where it is{cause}"),
    };
    Fail::new(error).help(next(one, outcome))
}

fn serves(release: Option<ReleaseNo>) -> String {
    release.map(|release| format!("; release {release} serves")).unwrap_or_default()
}

/// What to type, and what serves now.
fn next(one: &Operation, outcome: Option<OperationOutcome>) -> String {
    let id = one.id;
    match outcome {
        Some(OperationOutcome::RolledBack | OperationOutcome::Aborted) => {
            let serves = serves(before(one));
            format!("`naru receipt {id} --log` tells the whole story{serves}")
        }
        Some(OperationOutcome::Superseded) => "`naru history` lists the later one".into(),
        Some(OperationOutcome::Succeeded) => "`naru rollback` goes back to the release before".into(),
        Some(OperationOutcome::Failed) => {
            format!(
                "repair it and `naru up` again, or `naru down`; `naru receipt {id} --log` tells the whole story"
            )
        }
        None => "`naru resume` goes on, `naru abort` goes back to the release before".into(),
    }
}

/// What a failed instance said last. What its health check said is in the reason.
async fn evidence(session: &Session, client: &Client, instance: &InstanceId) {
    let query = LogQuery { instance: Some(instance.clone()), tail: Some(LINES), ..LogQuery::default() };
    // The evidence is a courtesy: where the log cannot be read, the failure is told all the same.
    let Ok(mut lines) = client.logs(&query).await else { return };
    let mut said = vec![];
    while let Ok(Some(line)) = lines.next().await {
        said.push(foreign(&line.line));
    }
    if !said.is_empty() {
        session.printer.result(format!("the last lines of {}:", paint::bold(instance)));
        said.iter().for_each(|line| session.printer.result(format!("  {} {line}", paint::dim("|"))));
    }
}
