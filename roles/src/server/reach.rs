//! Connecting people with instances: who asked is written down, and the rest is the agent's.

use super::core::Api;
use crate::door;
use naru_api::{Duplex, Event, EventKind, ExecOrder, Ground, ReachOrder, Refused};
use naru_home::wall;
use naru_model::{Change, Demand, InstanceId};
use tokio::net::UnixStream;

/// Characters of a command that are written down: what is longer is a script, and its beginning tells which.
const TEXT_MAX: usize = 2_000;

impl Api {
    /// Connects somebody with an instance.
    pub(super) async fn connect(&self, order: ReachOrder, actor: String) -> Result<Box<dyn Duplex>, Refused> {
        let order = match order {
            ReachOrder::Exec(order) => {
                self.write_down(&order.instance, EventKind::Exec, order.command.join(" "), &actor).await?;
                ReachOrder::Exec(ExecOrder { actor, ..order })
            }
            ReachOrder::CopyOut(of) => {
                self.write_down(&of.instance, EventKind::Copy, format!("{} out of it", of.path), &actor)
                    .await?;
                ReachOrder::CopyOut(of)
            }
            ReachOrder::CopyIn(of) => {
                let words = format!("{} into it, to {}", of.name, of.path);
                self.write_down(&of.instance, EventKind::Copy, words, &actor).await?;
                ReachOrder::CopyIn(of)
            }
            // It was written down when it was ordered.
            order @ (ReachOrder::Usage(_) | ReachOrder::Run(_)) => order,
        };
        let away = |error: std::io::Error| {
            let error = format!("the agent does not answer: {error}");
            Refused::new(Ground::Unavailable, error, "its log is in the folder `log` of NARU_HOME")
        };
        let mut stream = UnixStream::connect(&self.door).await.map_err(away)?;
        door::ask(&mut stream, &order).await.map_err(away)?;
        Ok(Box::new(stream))
    }

    /// Tells, as an event, who does what with an instance. Names of variables and their values are nobody's business.
    async fn write_down(
        &self,
        id: &InstanceId,
        kind: EventKind,
        text: String,
        actor: &str,
    ) -> Result<(), Refused> {
        let wanted = id.clone();
        let found = self.read(move |world, _| world.instances.get(&wanted).cloned()).await?;
        let found = found.ok_or_else(|| {
            let hint = "`naru ps` lists instances";
            Refused::new(Ground::NotFound, format!("there is no instance {id}"), hint)
        })?;
        self.chronicle.tell(&Event {
            time: wall(),
            kind,
            stack: found.stack,
            service: Some(found.service),
            instance: Some(found.id),
            operation: None,
            actor: Some(actor.into()),
            text: shortened(text),
        });
        Ok(())
    }

    /// Tells, as an event, who runs what of a service.
    pub(super) fn tell_run(&self, demand: &Demand, run: u64) {
        let Change::OneOff { service, with } = &demand.change else { return };
        let words: Vec<&str> =
            [&with.entrypoint, &with.command].into_iter().flatten().flatten().map(String::as_str).collect();
        let what = if words.is_empty() { "its own command".into() } else { words.join(" ") };
        self.chronicle.tell(&Event {
            time: wall(),
            kind: EventKind::Run,
            stack: demand.stack.clone(),
            service: Some(service.clone()),
            instance: None,
            operation: None,
            actor: Some(demand.actor.clone()),
            text: shortened(format!("one-off {run} of {service}: {what}")),
        });
    }
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(TEXT_MAX) {
        text.truncate(end);
        text.push('…');
    }
    text
}
