//! The stacks that the simulated people deploy: few kinds of services, drawn so that each strategy, each order
//! and each way of telling work meets each other one.

use crate::behaviour::{Behaviour, Calls, Fate, Jobs, Term};
use crate::dice::Dice;
use naru_model::{
    Action, AtLimit, CanaryStep, Check, Condition, Dependency, FailureAction, Health, HttpCall, Ignored,
    Mode, OffHours, Order, Policy, Port, Power, Process, Protocol, QuietCall, Resources, Restart,
    RestartPolicy, Rollout, Run, Service, ServiceName, Span, Stack, StackName, Sticky, StickyTo, Strategy,
    TargetPort, Template, UpdateConfig, WorkPolicy,
};
use std::collections::BTreeMap;

/// What a service of a simulated stack is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Serves requests and streams from outside, takes jobs from them, and calls the engine.
    Web,
    /// Serves the web service only.
    Engine,
    /// Has no port, and takes jobs by itself.
    Worker,
    /// One instance with state, reached by TCP.
    Base,
    /// Runs once before the web service.
    Setup,
}

/// A stack as its people have it in their editor.
pub struct Draft {
    name: StackName,
    number: u16,
    /// Whether services of it are asleep at times.
    dozes: bool,
    services: BTreeMap<Kind, Sketch>,
}

struct Sketch {
    version: u64,
    behaviour: Behaviour,
    service: Service,
}

impl Kind {
    /// The service's name.
    pub fn name(self) -> ServiceName {
        match self {
            Kind::Web => "web",
            Kind::Engine => "engine",
            Kind::Worker => "worker",
            Kind::Base => "base",
            Kind::Setup => "setup",
        }
        .into()
    }

    fn target(self) -> Option<TargetPort> {
        match self {
            Kind::Web => Some(TargetPort { port: 80, protocol: Protocol::Http }),
            Kind::Engine => Some(TargetPort { port: 9000, protocol: Protocol::Http }),
            Kind::Base => Some(TargetPort { port: 5432, protocol: Protocol::Tcp }),
            Kind::Worker | Kind::Setup => None,
        }
    }
}

impl Draft {
    /// The first draft of the stack of this number.
    pub fn new(number: u16, dice: &mut Dice) -> Draft {
        let mut draft = Draft {
            name: format!("s{number}").as_str().into(),
            number,
            dozes: false,
            services: BTreeMap::new(),
        };
        draft.add(Kind::Web, dice);
        for (kind, permille) in
            [(Kind::Engine, 450), (Kind::Worker, 300), (Kind::Base, 200), (Kind::Setup, 120)]
        {
            if dice.hits(permille) {
                draft.add(kind, dice);
            }
        }
        draft
    }

    /// With services that are asleep at times.
    pub fn dozing(self, dozes: bool) -> Draft {
        Draft { dozes, ..self }
    }

    /// Its name.
    pub fn name(&self) -> &StackName {
        &self.name
    }

    /// Edits it: other templates, other policies, a service more or less.
    pub fn edit(&mut self, dice: &mut Dice) {
        let kinds: Vec<Kind> = self.services.keys().copied().collect();
        let chosen = *dice.pick(&kinds);
        for kind in kinds {
            let number = self.number;
            let sketch = self.services.get_mut(&kind).expect("its key was just read");
            if kind == chosen || dice.hits(400) {
                sketch.version += 1;
                sketch.behaviour = behaviour(kind, dice);
            }
            if dice.hits(250) {
                let template = sketch.service.template.clone();
                sketch.service = policies(kind, number, dice);
                if dice.hits(600) {
                    sketch.service.template = template;
                }
            }
        }
        match dice.below(12) {
            0 if self.services.len() > 1 => drop(self.services.remove(&Kind::Engine)),
            1 => self.add(Kind::Engine, dice),
            2 => drop(self.services.remove(&Kind::Worker)),
            3 => self.add(Kind::Worker, dice),
            _ => {}
        }
    }

    /// Makes everything in it work, by new code.
    pub fn mend(&mut self) {
        for sketch in self.services.values_mut() {
            sketch.version += 1;
            if !matches!(sketch.behaviour.fate, Fate::Serves | Fate::Finishes(_)) {
                sketch.version += 1;
                sketch.behaviour.fate = Fate::Serves;
            }
            sketch.behaviour.start = sketch.behaviour.start.min(Span::secs(10));
            sketch.service.rollout.healthy_within = Span::mins(2);
            sketch.service.rollout.max_error_permille = 1000;
        }
    }

    /// The model's form of it.
    pub fn stack(&self) -> Stack {
        let services = self.services.iter().map(|(kind, sketch)| (kind.name(), self.service(*kind, sketch)));
        Stack {
            name: self.name.clone(),
            project_dir: "/sim".into(),
            services: services.collect(),
            jobs: BTreeMap::new(),
            listeners: vec![],
            routes: vec![],
        }
    }

    /// Whether it has a service of this kind.
    pub fn has(&self, kind: Kind) -> bool {
        self.services.contains_key(&kind)
    }

    fn add(&mut self, kind: Kind, dice: &mut Dice) {
        let service = policies(kind, self.number, dice);
        let version = dice.within(1, 1000) * 1000;
        self.services.insert(kind, Sketch { version, behaviour: behaviour(kind, dice), service });
    }

    fn service(&self, kind: Kind, sketch: &Sketch) -> Service {
        let mut service = sketch.service.clone();
        let mut behaviour = sketch.behaviour;
        behaviour.version = sketch.version;
        if kind == Kind::Web && self.has(Kind::Engine) {
            behaviour.calls = Calls::Engine;
        }
        service.template.environment = behaviour.environment();
        service.power = service.power.filter(|_| self.dozes);
        if kind == Kind::Web {
            for on in [Kind::Engine, Kind::Setup].into_iter().filter(|on| self.has(*on)) {
                let condition = match on {
                    Kind::Setup => Condition::ServiceCompletedSuccessfully,
                    _ => Condition::ServiceHealthy,
                };
                service
                    .depends_on
                    .insert(on.name(), Dependency { condition, required: true, restart: false });
            }
        }
        service
    }
}

fn behaviour(kind: Kind, dice: &mut Dice) -> Behaviour {
    let fate = match kind {
        Kind::Setup => Fate::Finishes(dice.span(Span(200), Span::secs(20))),
        _ => match dice.below(100) {
            // Without a port it counts as ready by itself.
            0..=3 if kind != Kind::Worker => Fate::NeverReady,
            4..=7 => Fate::ExitsAtStart(3),
            8..=10 => Fate::CrashesAfter(dice.span(Span::secs(2), Span::mins(20))),
            11..=13 => Fate::Errs(dice.within(50, 900)),
            _ => Fate::Serves,
        },
    };
    let term = match dice.below(10) {
        0 => Term::Ignores,
        1 | 2 => Term::Slow(dice.span(Span::secs(1), Span::secs(30))),
        _ => Term::Prompt,
    };
    let jobs = match kind {
        Kind::Web | Kind::Engine => Jobs::FromRequests(*dice.pick(&[0, 0, 40, 150])),
        Kind::Worker => Jobs::ByItself(dice.span(Span::secs(20), Span::mins(10))),
        Kind::Base | Kind::Setup => Jobs::FromRequests(0),
    };
    let start = dice.span(Span(50), Span::secs(45));
    Behaviour { version: 0, start, fate, term, jobs, calls: Calls::Nobody }
}

fn policies(kind: Kind, number: u16, dice: &mut Dice) -> Service {
    let replicas = match kind {
        Kind::Base | Kind::Setup => 1,
        _ => *dice.pick(&[1, 1, 2, 2, 3, 4]),
    };
    let published = |at: u16| Some(8000 + number * 100 + at);
    let port = |published, target: TargetPort| Port {
        host_ip: "127.0.0.1".into(),
        published,
        target: target.port,
        protocol: target.protocol,
        stated: true,
    };
    let ports = match kind {
        Kind::Web => kind.target().map(|target| port(published(1), target)),
        Kind::Base => kind.target().map(|target| port(published(2), target)),
        _ => None,
    };
    let (template, rollout) = (template(kind, dice), rollout(kind, number, dice));
    // From what was drawn, so that nothing else is drawn otherwise.
    let stays = kind == Kind::Web && rollout.max_retiring % 2 == 0;
    let sticky = stays.then(|| Sticky {
        to: StickyTo::Version,
        cookie: "v".into(),
        header: None,
        max_age: None,
        keep: Span(rollout.healthy_within.0 * 4),
    });
    let power = doze(kind, &rollout);
    Service {
        build: None,
        template,
        mode: Mode::Replicated,
        max_concurrent: None,
        replicas,
        ports: ports.into_iter().collect(),
        depends_on: BTreeMap::new(),
        rollout,
        work: WorkPolicy {
            postpone_max: dice.hits(250).then(|| dice.span(Span::secs(30), Span::mins(40))),
            at_limit: if dice.hits(250) { AtLimit::Cut } else { AtLimit::Wait },
        },
        singleton: kind == Kind::Base,
        policy: Policy { sticky, ..Policy::default() },
        direct: false,
        published: Default::default(),
        power,
    }
}

/// When it is asleep, of some. From what was drawn, so that nothing else is drawn otherwise.
fn doze(kind: Kind, rollout: &Rollout) -> Option<Power> {
    let mut dice = Dice::new(rollout.healthy_within.0, 9);
    if !matches!(kind, Kind::Web | Kind::Engine | Kind::Worker) || !dice.hits(300) {
        return None;
    }
    let idle_after = dice.hits(500).then(|| dice.span(Span::secs(20), Span::mins(20)));
    let off = (idle_after.is_none() || dice.hits(500)).then(|| {
        // Every run begins at eight in the morning.
        let window = |dice: &mut Dice| {
            let begin = 8 * 60 + dice.below(100);
            let end = begin + dice.within(1, 60);
            format!("Mon-Sun {:02}:{:02}-{:02}:{:02}", begin / 60, begin % 60, end / 60, end % 60)
        };
        let windows: Vec<String> = (0..dice.within(1, 3)).map(|_| window(&mut dice)).collect();
        OffHours { windows: windows.join(", "), timezone: "UTC".into(), holidays: vec![] }
    });
    Some(Power {
        off,
        idle_after,
        by_request: dice.hits(750),
        by_person: true,
        wake_max: Span::mins(60),
        hold: Span::secs(60),
        ignore: Ignored::default(),
    })
}

/// Kept from one release to the next unless the policies are drawn anew; the behaviour is what makes the
/// difference between releases.
pub fn template(kind: Kind, dice: &mut Dice) -> Template {
    let call = |path: &str| HttpCall { path: path.into(), port: None };
    let serves = kind.target().is_some();
    let pace = *dice.pick(&[Span::secs(10), Span::secs(30), Span::mins(2)]);
    let health = Health {
        check: Check::Http(call("/healthz")),
        interval: pace,
        timeout: Span::secs(2),
        retries: dice.within(1, 3) as u32,
        start_period: Span::secs(5),
        start_interval: Span::secs(1),
    };
    let setup = kind == Kind::Setup;
    let busy = (kind == Kind::Worker && dice.hits(350)).then(|| Action::Http(call("/busy")));
    // A worker without leases can only be told by a call; else it could begin a job unseen.
    let quiet = busy.is_some() || dice.hits(500);
    Template {
        run: Run::Process(Process { command: vec!["sim".into()] }),
        environment: BTreeMap::new(),
        working_dir: "/".into(),
        user: None,
        targets: kind.target().into_iter().collect(),
        health: (serves && dice.hits(400)).then_some(health),
        restart: Restart {
            policy: if setup { RestartPolicy::No } else { RestartPolicy::OnFailure },
            delay: Span(500),
            max_attempts: dice.hits(150).then_some(5),
            window: Span::secs(30),
        },
        stop_signal: "SIGTERM".into(),
        stop_grace: *dice.pick(&[Span::secs(1), Span::secs(10), Span::secs(30)]),
        resources: Resources::default(),
        busy,
        quiet: quiet.then(|| QuietCall::Call(Action::Http(call("/drain")))),
        post_start: vec![],
        pre_stop: if dice.hits(100) { vec![Process { command: vec!["bye".into()] }.into()] } else { vec![] },
        labels: BTreeMap::new(),
        content_digest: None,
    }
}

fn rollout(kind: Kind, number: u16, dice: &mut Dice) -> Rollout {
    let steps = (0..dice.within(1, 3)).map(|n| CanaryStep {
        weight: [5, 25, 60][n as usize],
        hold: dice.span(Span::secs(2), Span::mins(2)),
    });
    let steps = steps.collect();
    let strategy = match kind {
        Kind::Web | Kind::Engine => {
            dice.weighted(&[(5, Strategy::Rolling), (4, Strategy::BlueGreen), (2, Strategy::Canary)])
        }
        _ => Strategy::Rolling,
    };
    Rollout {
        strategy,
        update: update_config(dice),
        rollback: update_config(dice),
        soak: if dice.hits(500) { Span::ZERO } else { dice.span(Span::secs(1), Span::mins(2)) },
        promote_auto: dice.hits(750),
        preview: (kind == Kind::Web && dice.hits(150)).then_some(8050 + number * 100),
        steps,
        max_retiring: dice.within(1, 4) as u32,
        healthy_within: dice.span(Span::secs(20), Span::mins(3)),
        max_error_permille: *dice.pick(&[50, 200, 1000]),
    }
}

fn update_config(dice: &mut Dice) -> UpdateConfig {
    let span = |dice: &mut Dice| dice.span(Span::secs(1), Span::secs(40));
    UpdateConfig {
        parallelism: dice.below(4) as u32,
        delay: if dice.hits(600) { Span::ZERO } else { span(dice) },
        failure_action: dice.weighted(&[
            (6, FailureAction::Rollback),
            (2, FailureAction::Pause),
            (2, FailureAction::Continue),
        ]),
        monitor: if dice.hits(500) { Span::ZERO } else { span(dice) },
        max_failure_permille: *dice.pick(&[0, 0, 300]),
        order: if dice.hits(150) { Order::StopFirst } else { Order::StartFirst },
        order_stated: true,
    }
}
