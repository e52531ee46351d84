//! What a one-off makes of its service: a job, without what is for serving.

use naru_model::{
    Attachment, Connection, Container, ImageHealth, Job, OneOff, Overlap, Process, Restart, RestartPolicy,
    Run, Service, SessionKind, Span, Template,
};
use std::collections::BTreeMap;

/// The job that it is a run of.
pub fn job(one: &OneOff, service: &Service) -> Job {
    Job {
        template: template(one, &service.template),
        build: None,
        depends_on: if one.alone { BTreeMap::new() } else { service.depends_on.clone() },
        schedules: vec![],
        by_hand: true,
        overlap: Overlap::Allow,
        timeout: None,
        retries: 0,
        backoff: Span::ZERO,
    }
}

fn template(one: &OneOff, of: &Template) -> Template {
    let mut template = of.clone();
    template.environment.extend(one.environment.clone());
    template.user = one.user.clone().or(template.user);
    if let Some(folder) = &one.working_dir {
        template.working_dir = below(&of.working_dir, folder);
    }
    template.targets.clear();
    (template.health, template.busy, template.quiet) = (None, None, None);
    template.post_start.clear();
    template.pre_stop.clear();
    let (policy, delay, window) = (RestartPolicy::No, Span::ZERO, Span::ZERO);
    template.restart = Restart { policy, delay, max_attempts: None, window };
    template.run = match template.run {
        Run::Process(process) => Run::Process(process_of(one, process)),
        Run::Container(container) => Run::Container(Box::new(container_of(one, *container))),
    };
    template
}

fn process_of(one: &OneOff, own: Process) -> Process {
    one.command.clone().map_or(own, |command| Process { command })
}

fn container_of(one: &OneOff, own: Container) -> Container {
    let replaced = one.entrypoint.as_ref().map(|_| vec![]);
    let mut container = Container {
        command: one.command.clone().or(replaced).or(own.command),
        entrypoint: one.entrypoint.clone().or(own.entrypoint),
        name: one.name.clone(),
        image_health: ImageHealth::Off,
        ports: vec![],
        pre_start: vec![],
        ..own
    };
    if let Some(session) = one.session {
        (container.stdin_open, container.tty) = (true, session == SessionKind::Terminal);
    }
    if let Connection::Networks(all) = &mut container.connection {
        all.iter_mut().for_each(give_up_names);
    }
    container
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
            let container = container_of(&one, own());
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
        let made = container_of(&one, own);
        assert_eq!((made.name, made.stdin_open, made.tty), (None, true, false));
        assert_eq!(made.connection, Connection::Networks(vec![Attachment::default()]));
    }

    #[test]
    fn a_process_runs_what_was_typed_as_it_is() {
        let one = OneOff { command: words(&["echo", "$HOME"]), ..OneOff::default() };
        let own = Process { command: vec!["serve".into(), "$PORT".into()] };
        assert_eq!(process_of(&one, own.clone()).command, ["echo", "$HOME"]);
        assert!(one.terms().literal && !OneOff::default().terms().literal);
        assert_eq!(process_of(&OneOff::default(), own.clone()), own);
    }

    #[test]
    fn a_folder_is_relative_to_the_services_own() {
        assert_eq!(below("/srv/", "a/b"), "/srv/a/b");
        assert_eq!(below("/srv", "/tmp"), "/tmp");
        assert_eq!(below("", "a"), "a");
    }
}
