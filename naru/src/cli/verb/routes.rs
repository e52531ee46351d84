//! `naru routes`: where each service is reached, and which releases answer there.

use super::explain::Explain;
use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::paint::{self, Tone};
use crate::cli::session::Session;
use crate::cli::table::{Table, foreign};
use clap::{Args, Subcommand};
use naru_model::{
    AddressView, Match, PathMatch, Reach, RouteTable, RuleAction, ServiceView, Split, StackView,
};
use std::collections::{BTreeMap, BTreeSet};

/// What `naru routes` takes.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Routes {
    #[command(subcommand)]
    verb: Option<RoutesVerb>,
    /// Print the route table as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

#[derive(Subcommand, Debug)]
enum RoutesVerb {
    /// Which rule takes a request, why, and who answers it
    Explain(Explain),
}

impl Routes {
    /// Lists addresses, or explains what becomes of a request.
    ///
    /// # Errors
    /// No server.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        if let Some(RoutesVerb::Explain(explain)) = self.verb {
            return explain.run(session).await;
        }
        let scope = session.scope()?;
        let client = session.client()?;
        let (mut stacks, mut table) = (client.stacks().await?, client.routes().await?);
        stacks.retain(|stack| scope.as_ref().is_none_or(|name| *name == stack.name));
        table.listeners.retain(|listener| scope.as_ref().is_none_or(|name| *name == listener.stack));
        if self.json {
            session.printer.json(&table)?;
            return Ok(Code::Done);
        }
        match render(&stacks, &table) + &rules(&table) {
            text if text.is_empty() => session.printer.note("no service has an address"),
            text => session.printer.data(&text)?,
        }
        Ok(Code::Done)
    }
}

fn render(stacks: &[StackView], routes: &RouteTable) -> String {
    let names: BTreeSet<&str> = stacks.iter().map(|stack| stack.name.as_str()).collect();
    let mut table = Table::new(&["STACK", "SERVICE", "ADDRESS", "REACHED BY", "ANSWERED BY", "FAULT"]);
    for stack in stacks {
        for (service, address) in stack.services.iter().flat_map(each_address) {
            let listener = routes.listeners.iter().find(|one| {
                one.stack == stack.name
                    && one.service.as_ref() == Some(&service.name)
                    && port(&one.address) == port(&address.url)
            });
            table.row([
                if names.len() > 1 { stack.name.to_string() } else { String::new() },
                service.name.to_string(),
                address.url.clone(),
                reach(address.reach).into(),
                listener.map_or_else(nobody, |one| answers(&one.splits)),
                address
                    .fault
                    .as_deref()
                    .map(|fault| paint::tone(Tone::Bad, foreign(fault)))
                    .unwrap_or_default(),
            ]);
        }
    }
    if table.is_empty() { String::new() } else { table.render() }
}

/// The stacks' own addresses, with their rules in the order in which they are tried.
fn rules(routes: &RouteTable) -> String {
    let mut text = String::new();
    for listener in routes.listeners.iter().filter(|one| one.service.is_none()) {
        let mut table = Table::new(&["", "RULE", "TAKES", "ANSWERED BY"]);
        for (at, rule) in listener.all_rules().iter().enumerate() {
            table.row([
                format!("{}.", at + 1),
                foreign(&rule.name),
                foreign(&taken(&rule.when)),
                foreign(&action(&rule.action)),
            ]);
        }
        text += &format!("\n{} {}\n", paint::bold(listener.stack.as_str()), foreign(&listener.address));
        text += &table.render();
    }
    text
}

fn taken(when: &Match) -> String {
    let paths = when.paths.iter().map(PathMatch::to_string);
    let fields = when.headers.iter().map(|field| field.name.clone());
    let parts = [when.methods.join(","), when.hosts.join(","), paths.collect::<Vec<_>>().join(",")];
    let query = when.query.iter().map(|field| format!("?{}", field.name));
    let all = parts.into_iter().chain(fields).chain(query).chain(when.sources.iter().cloned());
    let all: Vec<String> = all.filter(|part| !part.is_empty()).collect();
    if all.is_empty() { "everything".into() } else { all.join(" ") }
}

fn action(action: &RuleAction) -> String {
    match action {
        RuleAction::Forward(forward) => format!("{}: {}", forward.service, answers(&forward.splits)),
        RuleAction::Redirect(redirect) => format!("{} {}", redirect.status, redirect.location),
        RuleAction::Respond(respond) => format!("{}, a fixed answer", respond.status),
        RuleAction::Files(files) => format!("files of {}", files.root),
    }
}

fn each_address(service: &ServiceView) -> impl Iterator<Item = (&ServiceView, &AddressView)> {
    service.addresses.iter().map(move |address| (service, address))
}

fn port(address: &str) -> Option<&str> {
    address.rsplit_once(':').map(|(_, port)| port.trim_end_matches('/'))
}

fn reach(reach: Reach) -> &'static str {
    match reach {
        Reach::Published => "everyone",
        Reach::Internal => "the stack",
        Reach::Preview => "preview",
    }
}

fn nobody() -> String {
    paint::tone(Tone::Bad, "nobody")
}

/// `release 2: 3 instances, 90 %; release 1: 1 instance, 10 %`; shares only where there are several.
pub(super) fn answers(splits: &[Split]) -> String {
    let splits: Vec<_> = splits.iter().filter(|one| one.weight > 0 && !one.backends.is_empty()).collect();
    let total: u32 = splits.iter().map(|split| split.weight).sum();
    let said = splits.iter().map(|split| {
        let mut releases = BTreeMap::new();
        split.backends.iter().for_each(|backend| *releases.entry(backend.release).or_insert(0u64) += 1);
        let counts = releases
            .iter()
            .map(|(release, n)| format!("release {release}: {}", naru_model::plural(*n, "instance")));
        let counts = counts.collect::<Vec<_>>().join(" and ");
        if splits.len() > 1 { format!("{counts}, {} %", split.weight * 100 / total) } else { counts }
    });
    let said: Vec<String> = said.collect();
    if said.is_empty() { nobody() } else { said.join("; ") }
}

#[cfg(test)]
mod tests {
    use super::render;
    use anstream::adapter::strip_str;
    use naru_model::{
        AddressView, Backend, Listener, Protocol, Reach, ReleaseNo, RouteTable, ServiceView, Split, StackView,
    };

    fn split(weight: u32, release: u64) -> Split {
        let backend = Backend::new(
            format!("shop.api.{release}.1").into(),
            ReleaseNo(release),
            "127.0.0.1:40001".into(),
        );
        Split { weight, backends: vec![backend] }
    }

    #[test]
    fn an_address_names_the_releases_behind_it_with_their_shares() {
        let address = AddressView {
            url: "http://127.0.0.1:8080".into(),
            protocol: Protocol::Http,
            reach: Reach::Published,
            fault: None,
        };
        let service = ServiceView {
            name: "api".into(),
            wanted: 1,
            ready: 1,
            retiring: 0,
            addresses: vec![address],
            power: None,
        };
        let (name, services) = ("shop".into(), vec![service]);
        let stack =
            StackView { name, serving: None, target: None, steering: None, services, addresses: vec![] };
        let listener = Listener {
            name: "shop/api:80@0.0.0.0:8080".into(),
            address: "0.0.0.0:8080".into(),
            protocol: Protocol::Http,
            stack: "shop".into(),
            service: Some("api".into()),
            splits: vec![split(10, 2), split(90, 1)],
            policy: Default::default(),
            entrance: Default::default(),
            rules: vec![],
        };
        let table = RouteTable { generation: Default::default(), listeners: vec![listener] };
        let want = "\
SERVICE  ADDRESS                REACHED BY  ANSWERED BY
api      http://127.0.0.1:8080  everyone    release 2: 1 instance, 10 %; release 1: 1 instance, 90 %
";
        assert_eq!(strip_str(&render(&[stack], &table)).to_string(), want);
    }
}
