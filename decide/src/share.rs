//! What two instances of a service would have to share, and what follows for a release.
//!
//! A new instance is started before an old one goes, unless there is a thing of which there is one: a name, a port of the
//! host, an address. Then the old one goes first, whatever the file says of the order. A volume that both would write
//! is left to one of them at a time as well, where there is one instance and nobody wrote down that two may have it.

use naru_model::{
    Connection, Container, MountSource, Order, Refusal, Service, ServiceName, Stack, Strategy, UpdateConfig,
};
use std::fmt;

/// Something that only one instance can have at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sole<'a> {
    /// The file says that there is one instance at most.
    Singleton,
    /// The container's name.
    Name(&'a str),
    /// A port of the host, without the edge.
    Port(u16),
    /// An address on a network.
    Address(&'a str),
    /// A volume that it writes, by the file's key.
    Volume(&'a str),
}

impl fmt::Display for Sole<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Sole::Singleton => f.write_str("a singleton"),
            Sole::Name(name) => write!(f, "`container_name: {name}` is a name for one"),
            Sole::Port(port) => write!(f, "port {port} of the host, without the edge, is for one"),
            Sole::Address(address) => write!(f, "the address {address} is for one"),
            Sole::Volume(key) => {
                write!(
                    f,
                    "two would write the volume `{key}`; `deploy.update_config.order: start-first` lets them"
                )
            }
        }
    }
}

/// What no two instances of the service can have, whatever the file says.
pub(crate) fn sole(service: &Service) -> Option<Sole<'_>> {
    if service.singleton {
        return Some(Sole::Singleton);
    }
    let container = service.template.run.container()?;
    let name = container.name.as_deref().map(Sole::Name);
    name.or_else(|| host_port(service, container)).or_else(|| address(container))
}

fn host_port<'a>(service: &Service, container: &Container) -> Option<Sole<'a>> {
    let own = service.template.targets.first().filter(|_| container.connection == Connection::Host);
    let published = || container.ports.iter().find_map(|port| port.published);
    own.map(|target| target.port).or_else(published).map(Sole::Port)
}

fn address(container: &Container) -> Option<Sole<'_>> {
    let Connection::Networks(all) = &container.connection else { return None };
    let own = |one: &'_ naru_model::Attachment| one.ipv4_address.is_some() || one.ipv6_address.is_some();
    let one = all.iter().find(|one| own(one))?;
    one.ipv4_address.as_deref().or(one.ipv6_address.as_deref()).map(Sole::Address)
}

/// Why the old instance goes before the new one starts; `None`: it does not.
pub(crate) enum StopFirst<'a> {
    /// There is a thing for one.
    Sole(Sole<'a>),
    /// The file asks for it.
    Asked,
}

/// Whether old goes before new under this configuration, and why.
pub(crate) fn stop_first<'a>(service: &'a Service, config: &UpdateConfig) -> Option<StopFirst<'a>> {
    if let Some(sole) = sole(service) {
        return Some(StopFirst::Sole(sole));
    }
    if config.order == Order::StopFirst {
        return Some(StopFirst::Asked);
    }
    let stated = config.order_stated || service.rollout.strategy != Strategy::Rolling;
    let volume = written_volume(service).filter(|_| !stated && service.replicas <= 1);
    volume.map(|key| StopFirst::Sole(Sole::Volume(key)))
}

/// A named volume that an instance may write.
pub(crate) fn written_volume(service: &Service) -> Option<&str> {
    let mounts = &service.template.run.container()?.mounts;
    let mut volumes = mounts.iter().filter(|mount| !mount.read_only).filter_map(|mount| mount.volume());
    volumes.next().map(|volume| volume.key.as_str())
}

/// A folder or file of the host that an instance may write.
pub(crate) fn written_folder(service: &Service) -> Option<&str> {
    let mounts = &service.template.run.container()?.mounts;
    mounts.iter().filter(|mount| !mount.read_only).find_map(|mount| match &mount.source {
        MountSource::Bind { path, .. } => Some(path.as_str()),
        _ => None,
    })
}

/// Services that ask for more of a thing than there is.
pub(crate) fn check_sole(stack: &Stack) -> Result<(), Refusal> {
    for (name, service) in &stack.services {
        check_count(name, service, service.replicas)?;
        let side_by_side = service.rollout.strategy != Strategy::Rolling;
        if let Some(sole) = sole(service).filter(|_| side_by_side && service.replicas > 0) {
            let error = format!("`{name}` is to have two releases side by side, and cannot: {sole}");
            return Err(Refusal::new(error, "remove `x-naru.rollout.strategy`, or what is for one"));
        }
    }
    Ok(())
}

/// More instances than there are things for them.
pub(crate) fn check_count(name: &ServiceName, service: &Service, wanted: u32) -> Result<(), Refusal> {
    match sole(service).filter(|_| wanted > 1) {
        None => Ok(()),
        Some(Sole::Singleton) => {
            let error = format!("`{name}` is a singleton: at most one instance at any time");
            Err(Refusal::new(error, "change `x-naru.singleton` in the file to scale it"))
        }
        Some(sole) => {
            let error = format!("`{name}` cannot have {wanted} instances: {sole}");
            Err(Refusal::new(error, "remove it from the file, or have one instance"))
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use naru_model::{Attachment, EnginePort, Mount, TargetPort, Transport, Volume};
    use serde_json::json;

    /// A service of one container and one port, replaced a few at a time.
    pub fn service(container: Container) -> Service {
        let update = json!({
            "parallelism": 1, "delay": 0, "failure_action": "rollback", "monitor": 5000,
            "max_failure_permille": 0, "order": "start-first",
        });
        let json = json!({
            "template": {
                "run": { "container": container }, "environment": {}, "working_dir": "", "user": null,
                "targets": [{ "port": 80, "protocol": "http" }], "health": null,
                "restart": { "policy": "on-failure", "delay": 100, "max_attempts": null, "window": 10000 },
                "stop_signal": "", "stop_grace": 10000, "resources": {}, "busy": null, "quiet": null,
                "post_start": [], "pre_stop": [], "labels": {}, "content_digest": null,
            },
            "mode": "replicated", "replicas": 1, "ports": [], "depends_on": {},
            "rollout": {
                "strategy": "rolling", "update": update, "rollback": update, "soak": 0, "promote_auto": true,
                "preview": null, "steps": [], "max_retiring": 10, "healthy_within": 120_000,
                "max_error_permille": 100,
            },
            "work": { "postpone_max": null, "at_limit": "wait" }, "singleton": false,
        });
        serde_json::from_value(json).expect("a service's form")
    }

    pub fn web() -> Container {
        Container::of("web:1")
    }

    pub fn volume(read_only: bool) -> Mount {
        let volume = Volume { name: "shop_data".into(), key: "data".into(), ..Volume::default() };
        let source = MountSource::Volume {
            volume: Some(volume),
            nocopy: false,
            subpath: None,
            labels: Default::default(),
        };
        Mount { source, target: "/data".into(), read_only }
    }

    fn why(service: &Service) -> Option<String> {
        stop_first(service, &service.rollout.update).map(|why| match why {
            StopFirst::Sole(sole) => sole.to_string(),
            StopFirst::Asked => "asked".into(),
        })
    }

    #[test]
    fn a_thing_for_one_is_handed_over_whatever_the_order() {
        let address = Attachment { ipv4_address: Some("10.0.0.5".into()), ..Attachment::default() };
        let port = |published| EnginePort {
            host_ip: "0.0.0.0".into(),
            published,
            target: 80,
            transport: Transport::Tcp,
        };
        let networks = |one| Connection::Networks(vec![one]);
        let cases = [
            (Container { name: Some("db".into()), ..web() }, Some("`container_name: db` is a name for one")),
            (
                Container { connection: Connection::Host, ..web() },
                Some("port 80 of the host, without the edge, is for one"),
            ),
            (
                Container { ports: vec![port(Some(443))], ..web() },
                Some("port 443 of the host, without the edge, is for one"),
            ),
            (Container { ports: vec![port(None)], ..web() }, None),
            (Container { connection: networks(address), ..web() }, Some("the address 10.0.0.5 is for one")),
            (Container { connection: networks(Attachment::default()), ..web() }, None),
        ];
        for (container, want) in cases {
            let mut service = service(container);
            assert_eq!(why(&service).as_deref(), want);
            service.rollout.update.order_stated = true;
            assert_eq!(why(&service).as_deref(), want, "nothing overrules it");
            assert_eq!(check_count(&"web".into(), &service, 2).is_err(), want.is_some());
            assert!(check_count(&"web".into(), &service, 1).is_ok());
        }
        let mut alone = service(Container { connection: Connection::Host, ..web() });
        alone.template.targets = Vec::<TargetPort>::new();
        assert_eq!(why(&alone), None, "without a port it takes none of the host's");
    }

    #[test]
    fn a_volume_is_handed_over_unless_somebody_wrote_otherwise() {
        let held = service(Container { mounts: vec![volume(false)], ..web() });
        assert!(why(&held).is_some_and(|why| why.starts_with("two would write the volume `data`")));
        let mut stated = held.clone();
        stated.rollout.update.order_stated = true;
        let mut many = held.clone();
        many.replicas = 2;
        let mut green = held.clone();
        green.rollout.strategy = Strategy::BlueGreen;
        let read = service(Container { mounts: vec![volume(true)], ..web() });
        let tmpfs = MountSource::Tmpfs { size: None, mode: None };
        let memory = Mount { source: tmpfs, target: "/tmp".into(), read_only: false };
        let memory = service(Container { mounts: vec![memory], ..web() });
        for (other, what) in [
            (&stated, "the order is written"),
            (&many, "there are two already"),
            (&green, "the strategy is written"),
            (&read, "it is only read"),
            (&memory, "memory is each one's own"),
        ] {
            assert_eq!(why(other), None, "{what}");
        }
        let mut asked = read;
        asked.rollout.update.order = Order::StopFirst;
        assert_eq!(why(&asked).as_deref(), Some("asked"));
    }

    #[test]
    fn two_releases_side_by_side_need_two_of_everything() {
        let stack = |service: &Service| Stack {
            jobs: Default::default(),
            name: "shop".into(),
            project_dir: "/".into(),
            services: [("web".into(), service.clone())].into(),
            listeners: vec![],
            routes: vec![],
        };
        let mut named = service(Container { name: Some("db".into()), ..web() });
        assert!(check_sole(&stack(&named)).is_ok());
        named.rollout.strategy = Strategy::BlueGreen;
        let refusal = check_sole(&stack(&named)).expect_err("one name, two releases");
        assert_eq!(
            refusal.error,
            "`web` is to have two releases side by side, and cannot: `container_name: db` is a name for one"
        );
    }
}
