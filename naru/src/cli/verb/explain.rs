//! `naru routes explain`: which rule would take a request, and why.

use super::routes::answers;
use crate::cli::fail::{Code, Fail};
use crate::cli::session::Session;
use clap::Args;
use naru_model::{Listener, RuleAction, StackName};
use naru_show::{Explained, ExplainedRule, explained, way};
use naru_traffic::{Ask, Considered, Fields, Why, explain, normal};
use std::net::IpAddr;

/// What `naru routes explain` takes.
#[derive(Args, Debug)]
pub struct Explain {
    /// The request's method
    #[arg(value_name = "METHOD")]
    method: String,
    /// The request's address, as http://shop.example.com:8080/cart?item=7
    #[arg(value_name = "URL")]
    url: String,
    /// A header field of the request
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// The client's address
    #[arg(long, value_name = "IP", default_value = "127.0.0.1")]
    source: IpAddr,
    /// Print what was found as JSON
    #[arg(long)]
    json: bool,
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("write NAME: VALUE")?;
    Ok((name.trim().to_string(), value.trim().to_string()))
}

/// The fields that were typed.
struct Typed<'a>(&'a [(String, String)]);

impl Fields for Typed<'_> {
    fn field(&self, name: &str) -> Option<&[u8]> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_bytes())
    }

    fn each(&self, to: &mut dyn FnMut(&str, &[u8])) {
        self.0.iter().for_each(|(name, value)| to(name, value.as_bytes()));
    }
}

/// An address that was typed, in its parts.
#[derive(Debug, PartialEq, Eq)]
struct Url<'a> {
    host: &'a str,
    port: u16,
    path: &'a str,
    query: Option<&'a str>,
}

impl<'a> Url<'a> {
    fn read(text: &'a str) -> Result<Url<'a>, Fail> {
        let bad = |why: &str| {
            Fail::usage(format!("{text:?} is no address: {why}")).help("write http://HOST:PORT/PATH")
        };
        let (rest, usual) = match (text.strip_prefix("http://"), text.strip_prefix("https://")) {
            (Some(rest), _) => (rest, 80),
            (_, Some(rest)) => (rest, 443),
            _ => return Err(bad("it begins neither with http:// nor with https://")),
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let host = Ask::host_of(authority);
        let port = match authority.get(host.len() + 1..) {
            Some(port) => port.parse().map_err(|_| bad("its port is none"))?,
            None => usual,
        };
        let (path, query) =
            target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        Ok(Url { host, port, path: if path.is_empty() { "/" } else { path }, query })
    }
}

impl Explain {
    /// Explains.
    ///
    /// # Errors
    /// No server; no listener at that address; an address that is none.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let url = Url::read(&self.url)?;
        let scope = session.scope()?;
        let table = session.client()?.routes().await?;
        let listener = find(&table.listeners, scope.as_ref(), url.port).ok_or_else(|| {
            let known = table.listeners.iter().filter(|one| is_outside(one)).map(|one| one.address.clone());
            let known = known.collect::<Vec<_>>().join(", ");
            Fail::new(format!("nothing listens for HTTP on port {}", url.port))
                .help(format!("the edge listens on {known}"))
        })?;
        let path =
            normal(url.path).map_err(|_| Fail::usage("the path cannot be read, or leads above the root"))?;
        let fields = Typed(&self.headers);
        let ask = Ask {
            method: &self.method,
            host: url.host,
            path: &path,
            query: url.query,
            source: self.source,
            fields: &fields,
        };
        let considered = explain(&listener.rules, &ask).map_err(Fail::new)?;
        let found = found(listener, &considered);
        if self.json {
            session.printer.json(&found)?;
        } else {
            session.printer.data(&explained(&found))?;
        }
        Ok(Code::Done)
    }
}

fn is_outside(listener: &Listener) -> bool {
    let is_inside = listener.name.ends_with("@internal") || listener.entrance.this_machine_only;
    listener.protocol.is_http() && !is_inside
}

fn find<'a>(listeners: &'a [Listener], scope: Option<&StackName>, port: u16) -> Option<&'a Listener> {
    let end = format!(":{port}");
    let mine = |one: &&Listener| scope.is_none_or(|name| *name == one.stack);
    listeners.iter().filter(mine).find(|one| is_outside(one) && one.address.ends_with(&end))
}

fn found<'a>(listener: &'a Listener, considered: &'a [Considered]) -> Explained<'a> {
    let rule =
        considered.last().filter(|last| last.why == Why::Takes).map(|last| &listener.rules[last.index]);
    let (answer, to) = match rule.map(|rule| &rule.action) {
        Some(RuleAction::Forward(forward)) => {
            let to = format!("{}:{}, {}", forward.service, forward.target, answers(&forward.splits));
            (to, Some((&forward.splits, &forward.policy)))
        }
        Some(RuleAction::Redirect(redirect)) => {
            (format!("{} with Location: {}", redirect.status, redirect.location), None)
        }
        Some(RuleAction::Respond(respond)) => (format!("{}, a fixed answer", respond.status), None),
        Some(RuleAction::Files(files)) => (format!("a file of {}", files.root), None),
        None => match &listener.service {
            Some(service) => {
                let to = format!("{service}, {}", answers(&listener.splits));
                (to, Some((&listener.splits, &listener.policy)))
            }
            None => ("404: no rule takes it".to_string(), None),
        },
    };
    let backends = to.iter().flat_map(|(splits, _)| splits.iter().flat_map(|split| &split.backends));
    let line = |one: &'a Considered| ExplainedRule {
        rule: &one.rule,
        takes: one.why == Why::Takes,
        why: one.why.to_string(),
    };
    Explained {
        listener: &listener.name,
        considered: considered.iter().map(line).collect(),
        rule: rule.map(|rule| rule.name.as_str()),
        answer,
        instances: backends.map(|one| one.instance.as_str()).collect(),
        chosen: to.map(|(_, policy)| way(policy)),
    }
}

#[cfg(test)]
mod tests {
    use super::{Considered, Url, Why, explained, found, way};
    use anstream::adapter::strip_str;
    use naru_model::{
        Balance, HashKey, Listener, Match, Policy, Protocol, Redirect, Rule, RuleAction, Sticky, StickyTo,
    };

    #[test]
    fn the_way_of_choice_is_told() {
        let sticky = Sticky {
            to: StickyTo::Version,
            cookie: "c".into(),
            header: None,
            max_age: None,
            keep: Sticky::usual_keep(),
        };
        let balance = Balance::Hash(HashKey::Header("x-user".into()));
        let policy = Policy { balance, sticky: Some(sticky), max_in_progress: Some(8), ..Policy::default() };
        let told = "by the header x-user; a client stays on its release; none with 8 in progress";
        assert_eq!(way(&policy), told);
        assert_eq!(way(&Policy::default()), "by load");
    }

    #[test]
    fn addresses_are_read() {
        let read = |text| Url::read(text).map(|url| (url.host, url.port, url.path, url.query)).ok();
        assert_eq!(read("http://a.test"), Some(("a.test", 80, "/", None)));
        assert_eq!(read("https://a.test:8443/x?y=z"), Some(("a.test", 8443, "/x", Some("y=z"))));
        assert_eq!(read("http://[::1]:80?q"), Some(("[::1]", 80, "/", Some("q"))));
        assert_eq!(read("a.test/x"), None);
        assert_eq!(read("http://a.test:x/"), None);
    }

    #[test]
    fn the_rule_is_named_with_those_before_it() {
        let rule = |name: &str| Rule {
            name: name.into(),
            when: Match::default(),
            guard: Default::default(),
            edits: Default::default(),
            action: RuleAction::Redirect(Redirect { status: 308, location: "/new".into() }),
        };
        let listener = Listener {
            name: "shop/web@0.0.0.0:80".into(),
            address: "0.0.0.0:80".into(),
            protocol: Protocol::Http,
            stack: "shop".into(),
            service: None,
            splits: vec![],
            policy: Default::default(),
            entrance: Default::default(),
            rules: vec![rule("api").into(), rule("rest").into()],
        };
        let host = Why::Host { host: "a.test".into(), wanted: vec!["b.test".into()] };
        let considered = [
            Considered { index: 0, rule: "api".into(), why: host },
            Considered { index: 1, rule: "rest".into(), why: Why::Takes },
        ];
        let want = "\
listener shop/web@0.0.0.0:80
    RULE  TAKES IT  WHY
1.  api   no        host a.test is not b.test
2.  rest  yes       the first that fits
answered by 308 with Location: /new
";
        assert_eq!(strip_str(&explained(&found(&listener, &considered))).to_string(), want);
    }
}
