//! What a stack comes out as: Naru's defaults, and what the file says instead.

use naru_compose::{Diagnostic, Loaded, Options, Unsupported, load_texts};
use naru_model::{
    Action, AtLimit, Attachment, CatchUp, Check, Connection, Container, FailureAction, HttpCall, Mode,
    Network, Order, Overlap, Process, Protocol, QuietCall, RestartPolicy, Run, Service, ServiceName, Span,
    Strategy,
};
use std::collections::BTreeMap;

fn load(text: &str, unsupported: Unsupported) -> Result<Loaded, String> {
    let options = Options {
        files: vec!["/srv/shop/compose.yaml".into()],
        environment: BTreeMap::from([("OUTSIDE".to_string(), "from outside".to_string())]),
        unsupported,
        ..Options::default()
    };
    let texts = [
        ("/srv/shop/compose.yaml", text),
        ("/srv/shop/.env", "LEVEL=debug\n"),
        ("/srv/shop/app.env", "A=1\nB=${A}2\n"),
    ];
    let texts = texts.map(|(path, text)| (path.to_string(), text.to_string()));
    load_texts(texts.into(), &options).map_err(|errors| errors.to_string())
}

/// The only service of a file that begins with its keys.
fn service(keys: &str) -> Service {
    let text = format!("services:\n  web:\n    image: web:1\n{keys}\nvolumes: {{ data: }}\n");
    let loaded = load(&text, Unsupported::Warn).unwrap_or_else(|errors| panic!("{errors}"));
    loaded.stack.services.into_values().next().expect("there is one")
}

fn warnings(loaded: &Loaded) -> Vec<String> {
    let line = |warning: &Diagnostic| warning.place.as_ref().map(|place| place.line).unwrap_or_default();
    loaded.warnings.iter().map(|warning| format!("{}: {}", line(warning), warning.message)).collect()
}

fn on_default(container: Container) -> Container {
    let network = Network { name: "shop_default".into(), key: "default".into(), ..Network::default() };
    let attachment = Attachment { network, ..Attachment::default() };
    Container { connection: Connection::Networks(vec![attachment]), ..container }
}

#[test]
fn a_file_that_says_nothing_gets_the_safe_defaults() {
    let web = service("");
    assert_eq!(web.template.run, Run::Container(on_default(Container::of("web:1")).into()));
    assert_eq!((web.mode, web.replicas, web.singleton), (Mode::Replicated, 1, false));
    assert_eq!((web.template.stop_signal.as_str(), web.template.stop_grace), ("", Span::secs(10)));
    let restart = &web.template.restart;
    assert_eq!((restart.policy, restart.delay), (RestartPolicy::OnFailure, Span(100)));
    assert_eq!((restart.max_attempts, restart.window), (None, Span::secs(10)));
    let rollout = &web.rollout;
    assert_eq!((rollout.strategy, rollout.soak, rollout.promote_auto), (Strategy::Rolling, Span::ZERO, true));
    assert_eq!((rollout.max_retiring, rollout.max_error_permille), (10, 100));
    assert_eq!(rollout.healthy_within, Span::secs(120));
    let update = &rollout.update;
    assert_eq!((update.order, update.failure_action), (Order::StartFirst, FailureAction::Rollback));
    assert_eq!((update.parallelism, update.delay, update.monitor), (1, Span::ZERO, Span::secs(5)));
    assert_eq!(update.max_failure_permille, 0);
    assert!(web.template.health.is_none() && web.template.targets.is_empty());
    assert_eq!((web.work.postpone_max, web.work.at_limit), (None, AtLimit::Wait));
}

#[test]
fn an_order_that_is_written_is_told_from_one_that_is_not() {
    let order = |keys: &str| {
        let update = service(keys).rollout.update;
        (update.order, update.order_stated)
    };
    let written = |order: &str| format!("    deploy: {{ update_config: {{ order: {order} }} }}");
    assert_eq!(order(""), (Order::StartFirst, false));
    assert_eq!(order(&written("start-first")), (Order::StartFirst, true));
    assert_eq!(order(&written("stop-first")), (Order::StopFirst, true));
}

#[test]
fn a_process_has_its_command_folder_and_ports() {
    let web = service(
        "    working_dir: run\n    user: app\n    ports: ['8080:80', { target: 81, app_protocol: tcp }]\n    \
         expose: ['80', 90-91]\n    x-naru: { process: { command: './web --port $$PORT' } }",
    );
    let command = ["./web", "--port", "$PORT"].map(String::from).to_vec();
    assert_eq!(web.template.run, Run::Process(Process { command }));
    assert_eq!(web.template.working_dir, "/srv/shop/run");
    assert_eq!(web.template.user.as_deref(), Some("app"));
    let targets: Vec<_> = web.template.targets.iter().map(|target| (target.port, target.protocol)).collect();
    let want = [(80, Protocol::Http), (81, Protocol::Tcp), (90, Protocol::Http), (91, Protocol::Http)];
    assert_eq!(targets, want);
    let ports: Vec<_> = web.ports.iter().map(|port| (port.published, port.target, port.stated)).collect();
    assert_eq!(ports, [(Some(8080), 80, false), (None, 81, true)]);
    assert_eq!(web.ports[0].host_ip, "0.0.0.0");
    let bare = service("    x-naru: { process: { command: [./web] } }");
    assert_eq!(bare.template.working_dir, "/srv/shop");
}

#[test]
fn a_port_may_be_for_tcp_and_for_udp() {
    let dns = service(
        "    ports: ['53:5300/udp', '53:5300', { target: 123, published: 9123, protocol: udp, app_protocol: ntp }]\n    \
         x-naru: { process: { command: ./dns }, traffic: { idle_timeout: 5s } }",
    );
    let ports = dns.ports.iter().map(|port| (port.published, port.target, port.protocol)).collect::<Vec<_>>();
    let (udp, http) = (Protocol::Udp, Protocol::Http);
    assert_eq!(ports, [(Some(53), 5300, udp), (Some(53), 5300, http), (Some(9123), 123, udp)]);
    // It listens on one number, and that it does shows by TCP.
    let targets: Vec<_> = dns.template.targets.iter().map(|target| (target.port, target.protocol)).collect();
    assert_eq!(targets, [(5300, http), (123, udp)]);
    assert_eq!(dns.policy.idle_timeout, Some(Span::secs(5)));
}

#[test]
fn health_is_naru_s_own_or_the_specification_s() {
    let own = service(
        "    expose: ['80']\n    healthcheck: { test: 'false' }\n    x-naru: { health: { http: /up, retries: 5 } }",
    );
    let health = own.template.health.expect("it is written");
    assert_eq!(health.check, Check::Http(HttpCall { path: "/up".into(), port: None }));
    assert_eq!((health.interval, health.timeout, health.retries), (Span::secs(2), Span::secs(5), 5));
    assert_eq!((health.start_period, health.start_interval), (Span::ZERO, Span(100)));
    let written = service("    healthcheck: { test: curl localhost, start_period: 1d }");
    let health = written.template.health.expect("it is written");
    let command = ["/bin/sh", "-c", "curl localhost"].map(String::from).to_vec();
    assert_eq!(health.check, Check::Command(Process { command }));
    assert_eq!((health.interval, health.timeout, health.retries), (Span::secs(30), Span::secs(30), 3));
    assert_eq!((health.start_period, health.start_interval), (Span::secs(86_400), Span::secs(5)));
    assert_eq!(written.rollout.healthy_within, Span::secs(86_400 + 3 * 60));
    for none in ["{ disable: true }", "{ test: [NONE] }"] {
        assert!(service(&format!("    healthcheck: {none}")).template.health.is_none());
    }
    let tcp = service("    expose: ['80']\n    x-naru: { health: { tcp: 80 } }");
    assert_eq!(tcp.template.health.expect("it is written").check, Check::Tcp { port: Some(80) });
}

#[test]
fn restart_in_both_places() {
    let restart = |keys: &str| service(keys).template.restart;
    let policy = |word: &str| restart(&format!("    restart: {word}")).policy;
    assert_eq!(policy("'no'"), RestartPolicy::No);
    assert_eq!(policy("always"), RestartPolicy::Always);
    assert_eq!(policy("unless-stopped"), RestartPolicy::Always);
    let counted = restart("    restart: on-failure:3");
    assert_eq!((counted.policy, counted.max_attempts), (RestartPolicy::OnFailure, Some(3)));
    let deploy = restart("    deploy: { restart_policy: { condition: none, delay: 2s, max_attempts: 0 } }");
    assert_eq!((deploy.policy, deploy.delay, deploy.max_attempts), (RestartPolicy::No, Span::secs(2), None));
}

#[test]
fn work_and_rollout_as_written() {
    let text = include_str!("whole.yaml");
    let loaded = load(text, Unsupported::Warn).unwrap_or_else(|errors| panic!("{errors}"));
    let api = &loaded.stack.services[&"api".into()];
    assert_eq!(api.template.busy, Some(Action::Http(HttpCall { path: "/busy".into(), port: None })));
    assert_eq!(api.template.quiet, Some(QuietCall::Signal("USR1".into())));
    assert_eq!((api.work.postpone_max, api.work.at_limit), (Some(Span::secs(43_200)), AtLimit::Cut));
    let steps: Vec<_> = api.rollout.steps.iter().map(|step| (step.weight, step.hold)).collect();
    assert_eq!(steps, [(10, Span::secs(60)), (50, Span::secs(300))]);
    assert_eq!((api.rollout.max_retiring, api.rollout.max_error_permille), (2, 50));
    let update = &api.rollout.update;
    assert_eq!((update.parallelism, update.delay, update.monitor), (2, Span::secs(5), Span::secs(10)));
    assert_eq!((update.failure_action, update.max_failure_permille), (FailureAction::Pause, 250));
    let resources = &api.template.resources;
    assert_eq!(
        (resources.cpus_milli, resources.memory, resources.pids),
        (Some(500), Some(512 << 20), Some(100))
    );
    assert_eq!((resources.reserved_cpus_milli, resources.reserved_memory), (Some(250), Some(64 << 20)));
    assert_eq!(api.template.post_start[0].process.command, ["./warm"]);
    assert_eq!(api.template.labels["tier"], "");
    let engine = &loaded.stack.services[&"engine".into()];
    assert_eq!(engine.template.environment["LEVEL"], "debug");
    assert_eq!(engine.template.environment["MODE"], "420");
    assert!(!engine.template.environment.contains_key("EMPTY"));
    assert_eq!(
        engine.template.run.container().expect("it is one").mounts[0]
            .volume()
            .map(|volume| volume.name.as_str()),
        Some("whole_data")
    );
    assert!(!loaded.stack.services.contains_key(&"once".into()), "its profile is not active");
    assert!(
        warnings(&loaded).iter().any(|said| said.contains("0644 is a number in YAML, and gives \"420\""))
    );
}

#[test]
fn env_files_are_read_and_counted_in_the_digest() {
    let web = service("    env_file: app.env\n    environment: { B: own, OUTSIDE: , C: '${LEVEL}' }");
    let all: Vec<_> =
        web.template.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(all, ["A=1", "B=own", "C=debug", "OUTSIDE=from outside"]);
    assert!(web.template.content_digest.is_some());
    assert!(service("").template.content_digest.is_none());
}

#[test]
fn what_has_no_effect_is_named_once_or_refused() {
    let text = "services:\n  web:\n    image: web:1\n    cap_add: [A, B]\n    links: [db]\n    networks: [back]\n    \
                x-naru: { process: { command: ./web }, scale: { min: 1 } }\n    \
                volumes: [./a:/a]\n  db:\n    image: db\n    build: .\nnetworks: { back: }\n";
    let loaded = load(text, Unsupported::Warn).unwrap_or_else(|errors| panic!("{errors}"));
    let want = [
        "4: not supported yet: services.web.cap_add, ignored",
        "5: not supported yet: services.web.links, ignored",
        "6: services.web.networks has no effect on a process, ignored",
        "7: not supported yet: services.web.x-naru.scale, ignored",
        "8: services.web.volumes has no effect on a process, ignored",
    ];
    assert_eq!(warnings(&loaded), want);
    let strict = load(text, Unsupported::Strict).expect_err("each is an error");
    assert_eq!(strict.matches("error:").count(), want.len(), "{strict}");
    let unknown = "services: { web: { image: web, nosuch: 1, x-naru: { nosuch: 1 } } }";
    assert!(load(unknown, Unsupported::Warn).is_err());
    assert!(load(unknown, Unsupported::Loose).is_ok());
}

#[test]
fn a_service_may_run_to_completion() {
    let load_job =
        service("    deploy: { mode: replicated-job, replicas: 5 }\n    x-naru: { max_concurrent: 2 }");
    assert_eq!(
        (load_job.mode, load_job.replicas, load_job.max_concurrent),
        (Mode::ReplicatedJob, 5, Some(2))
    );
    assert_eq!(service("    deploy: { mode: global-job }").mode, Mode::GlobalJob);
    for (keys, want) in [
        ("deploy: { mode: replicated-job }, ports: ['80']", "has no ports"),
        ("deploy: { mode: global-job }, restart: always", "restart starts it again each time"),
        ("x-naru: { max_concurrent: 2 }", "is about deploy.mode replicated-job"),
    ] {
        let text = format!("services: {{ web: {{ image: web, {keys} }} }}");
        let said = load(&text, Unsupported::Warn).expect_err(keys);
        assert!(said.contains(want), "{keys}: {said}");
    }
}

fn job_of(text: &str) -> naru_model::Job {
    let whole =
        format!("services: {{ web: {{ image: web }} }}\njobs: {{ backup: {{ image: b, {text} }} }}\n");
    let loaded = load(&whole, Unsupported::Warn).unwrap_or_else(|errors| panic!("{errors}"));
    assert!(warnings(&loaded).is_empty(), "{:?}", warnings(&loaded));
    loaded.stack.jobs[&ServiceName::from("backup")].clone()
}

#[test]
fn jobs_have_schedules_and_what_the_specification_lacks() {
    let plain = job_of("triggers: { schedule: ['0 3 * * *'] }");
    let said = |job: &naru_model::Job| job.schedules.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(said(&plain), ["0 3 * * * (UTC)"]);
    assert_eq!(
        (plain.overlap, plain.by_hand, plain.retries, plain.timeout),
        (Overlap::Forbid, true, 0, None)
    );
    assert_eq!(plain.template.restart.policy, RestartPolicy::No);
    let full = job_of(
        "triggers: { manual: false, schedule: [{ cron: '*/5  * * * *', timezone: Europe/Paris, concurrency: queue, \
         missed_fires: skip }, '30 4 * * 7'] }, x-naru: { timeout: 1h, retries: 2, backoff: 5s }",
    );
    assert_eq!(said(&full), ["*/5 * * * * (Europe/Paris)", "30 4 * * 7 (UTC)"]);
    assert_eq!((full.schedules[0].overlap, full.schedules[0].catch_up), (Overlap::Queue, CatchUp::Skip));
    assert_eq!((full.overlap, full.by_hand, full.retries), (Overlap::Queue, false, 2));
    assert_eq!((full.timeout, full.backoff), (Some(Span::mins(60)), Span::secs(5)));
}

#[test]
fn what_of_a_job_has_no_effect_is_named() {
    let side_by_side = job_of("triggers: { schedule: ['@hourly'] }, x-naru: { concurrency: allow }");
    assert_eq!((side_by_side.overlap, side_by_side.schedules[0].overlap), (Overlap::Allow, Overlap::Allow));
    assert!(job_of("triggers: { manual: true }").schedules.is_empty());
    let text = "services: { web: { image: web } }\njobs: { backup: { image: b, ports: ['1:1'], depends_on: [other] }, \
                other: { image: o } }\n";
    let loaded = load(text, Unsupported::Warn).unwrap_or_else(|errors| panic!("{errors}"));
    let want = [
        "2: not supported yet: jobs.backup.ports, ignored",
        "2: not supported yet: jobs.backup.depends_on.other, which is a job, ignored",
    ];
    assert_eq!(warnings(&loaded), want);
}

/// What is wrong with jobs, each with what is said.
const WRONG_JOBS: &[(&str, &str)] = &[
    ("a: { image: b, triggers: { schedule: ['0 25 * * *'] } }", "\"0 25 * * *\" is no cron expression"),
    ("a: { image: b, triggers: { schedule: ['0 0 30 2 *'] } }", "\"0 0 30 2 *\" never comes"),
    (
        "a: { image: b, triggers: { schedule: [{ cron: '@daily', timezone: CET }] } }",
        "\"CET\" is no time zone",
    ),
    (
        "a: { image: b, triggers: { schedule: [{ cron: '@daily', concurrency: x }] } }",
        "is not one of forbid, queue",
    ),
    ("a: { image: b, triggers: { schedule: [{ timezone: UTC }] } }", "has to have the key \"cron\""),
    ("a: { image: b, restart: always }", "restart"),
    ("a: { image: b, triggers: { event: x } }", "event"),
    ("web: { image: b }", "jobs.web has the name of a service"),
    ("a: { image: b, x-naru: { singleton: true } }", "singleton"),
    ("a: { image: b, x-naru: { timeout: 0s } }", "x-naru.timeout of nothing"),
];

#[test]
fn what_is_wrong_with_a_job_is_told_at_its_place() {
    for (job, want) in WRONG_JOBS {
        let text = format!("services: {{ web: {{ image: web }} }}\njobs: {{ {job} }}\n");
        let said = load(&text, Unsupported::Warn).expect_err(job);
        assert!(said.contains(want), "{job}: {said}");
    }
    let text = "services: { web: { image: web, depends_on: [a] } }\njobs: { a: { image: a } }\n";
    let said = load(text, Unsupported::Warn).expect_err("a service cannot").to_string();
    assert!(said.contains("depends on \"a\", which is not defined"), "{said}");
}

#[test]
fn the_canonical_form_reads_as_the_same_stack() {
    let first =
        load(include_str!("whole.yaml"), Unsupported::Warn).unwrap_or_else(|errors| panic!("{errors}"));
    let again = load(&first.yaml(), Unsupported::Warn).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(first.stack, again.stack);
    assert_eq!(first.canonical, again.canonical);
}
