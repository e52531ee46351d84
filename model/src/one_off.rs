//! One-offs: runs that a person makes of a service, with a command of their own perhaps.
//!
//! A one-off is a run like that of a job. It is made from its service's template; what of that is for serving, it has not:
//! ports, checks, hooks, restarts, and whatever there is one of.

use crate::{
    Attachment, Connection, Container, ImageHealth, Job, Overlap, Process, Restart, RestartPolicy, Run,
    Service, Span, Template,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What a one-off has other than its service's instances. What is left out is as theirs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OneOff {
    /// Program and arguments; of a container, what its entrypoint is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    /// Of a container: instead of its entrypoint. The command is then none, where none is given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// Variables beside the service's own. Their values are kept as long as the run is, and shown nowhere.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
    /// As whom.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Where; relative to where instances begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_dir: Option<String>,
    /// The container's whole name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it does not wait for what its service depends on.
    pub alone: bool,
    /// What somebody has of it, from its start on: it does not start without them, and ends when they go away. `None`: nobody
    /// is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionKind>,
    /// Whether its log goes with it.
    pub forget: bool,
}

/// What an agent is to know of a one-off, beside its template.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct OneOffTerms {
    /// What somebody has of it; `None`: nobody is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session: Option<SessionKind>,
    /// Whether its log goes with it.
    pub forget: bool,
    /// Whether its command was typed by a person, whose shell has replaced what was to be replaced.
    pub literal: bool,
}

/// How somebody has a command's streams.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SessionKind {
    /// By three pipes.
    Pipes,
    /// By a terminal.
    Terminal,
}

impl OneOff {
    /// The job that it is a run of.
    pub fn job(&self, service: &Service) -> Job {
        Job {
            template: self.template(&service.template),
            build: None,
            depends_on: if self.alone { BTreeMap::new() } else { service.depends_on.clone() },
            schedules: vec![],
            by_hand: true,
            overlap: Overlap::Allow,
            timeout: None,
            retries: 0,
            backoff: Span::ZERO,
        }
    }

    /// What its agent is to know.
    pub fn terms(&self) -> OneOffTerms {
        OneOffTerms { session: self.session, forget: self.forget, literal: self.command.is_some() }
    }

    /// The same with no variable's value.
    pub fn without_values(&self) -> OneOff {
        let names = self.environment.keys().map(|name| (name.clone(), String::new()));
        OneOff { environment: names.collect(), ..self.clone() }
    }

    fn template(&self, of: &Template) -> Template {
        let mut template = of.clone();
        template.environment.extend(self.environment.clone());
        template.user = self.user.clone().or(template.user);
        if let Some(folder) = &self.working_dir {
            template.working_dir = below(&of.working_dir, folder);
        }
        template.targets.clear();
        (template.health, template.busy, template.quiet) = (None, None, None);
        template.post_start.clear();
        template.pre_stop.clear();
        let (policy, delay, window) = (RestartPolicy::No, Span::ZERO, Span::ZERO);
        template.restart = Restart { policy, delay, max_attempts: None, window };
        template.run = match template.run {
            Run::Process(process) => Run::Process(self.process(process)),
            Run::Container(container) => Run::Container(Box::new(self.container(*container))),
        };
        template
    }

    fn process(&self, own: Process) -> Process {
        self.command.clone().map_or(own, |command| Process { command })
    }

    fn container(&self, own: Container) -> Container {
        let replaced = self.entrypoint.as_ref().map(|_| vec![]);
        let mut container = Container {
            command: self.command.clone().or(replaced).or(own.command),
            entrypoint: self.entrypoint.clone().or(own.entrypoint),
            name: self.name.clone(),
            image_health: ImageHealth::Off,
            ports: vec![],
            pre_start: vec![],
            ..own
        };
        if let Some(session) = self.session {
            (container.stdin_open, container.tty) = (true, session == SessionKind::Terminal);
        }
        if let Connection::Networks(all) = &mut container.connection {
            all.iter_mut().for_each(give_up_names);
        }
        container
    }
}

/// By these, others find the service's own instances; and addresses are for one.
fn give_up_names(one: &mut Attachment) {
    one.aliases.clear();
    one.link_local_ips.clear();
    (one.ipv4_address, one.ipv6_address, one.mac_address) = (None, None, None);
}

fn below(folder: &str, path: &str) -> String {
    if path.starts_with('/') || folder.is_empty() {
        return path.into();
    }
    format!("{}/{path}", folder.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|word| word.to_string()).collect())
    }

    #[test]
    fn an_entrypoint_takes_the_place_of_the_command_too() {
        let own = || Container {
            command: words(&["serve"]),
            entrypoint: words(&["/app"]),
            ..Container::of("web:1")
        };
        let made = |one: OneOff| {
            let container = one.container(own());
            (container.entrypoint, container.command)
        };
        assert_eq!(made(OneOff::default()), (words(&["/app"]), words(&["serve"])));
        let command = OneOff { command: words(&["migrate"]), ..OneOff::default() };
        assert_eq!(made(command.clone()), (words(&["/app"]), words(&["migrate"])));
        let shell = OneOff { entrypoint: words(&["sh"]), ..OneOff::default() };
        assert_eq!(made(shell), (words(&["sh"]), words(&[])));
        let both = OneOff { entrypoint: words(&["sh"]), ..command };
        assert_eq!(made(both), (words(&["sh"]), words(&["migrate"])));
    }

    #[test]
    fn it_takes_no_name_port_or_address_that_is_for_one() {
        let fixed = Attachment {
            aliases: vec!["db".into()],
            ipv4_address: Some("10.0.0.5".into()),
            ..Attachment::default()
        };
        let own = Container {
            name: Some("db".into()),
            connection: Connection::Networks(vec![fixed]),
            ..Container::of("web:1")
        };
        let one = OneOff { session: Some(SessionKind::Pipes), ..OneOff::default() };
        let made = one.container(own);
        assert_eq!((made.name, made.stdin_open, made.tty), (None, true, false));
        assert_eq!(made.connection, Connection::Networks(vec![Attachment::default()]));
    }

    #[test]
    fn a_process_runs_what_was_typed_as_it_is() {
        let one = OneOff { command: words(&["echo", "$HOME"]), ..OneOff::default() };
        let own = Process { command: vec!["serve".into(), "$PORT".into()] };
        assert_eq!(one.process(own.clone()).command, ["echo", "$HOME"]);
        assert!(one.terms().literal && !OneOff::default().terms().literal);
        assert_eq!(OneOff::default().process(own.clone()), own);
    }

    #[test]
    fn a_folder_is_relative_to_the_services_own() {
        assert_eq!(below("/srv/", "a/b"), "/srv/a/b");
        assert_eq!(below("/srv", "/tmp"), "/tmp");
        assert_eq!(below("", "a"), "a");
    }
}
