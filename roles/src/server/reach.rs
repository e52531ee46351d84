//! Connecting people with instances: who asked is written down, and the rest is the agent's.

use super::core::Api;
use crate::door;
use naru_api::{Duplex, Event, EventKind, ExecOrder, Ground, ReachOrder, Refused};
use naru_home::wall;
use naru_model::InstanceRecord;
use tokio::net::UnixStream;

/// Characters of a command that are written down: what is longer is a script, and its beginning tells which.
const COMMAND_MAX: usize = 2_000;

impl Api {
    /// Connects somebody with an instance.
    pub(super) async fn connect(&self, order: ReachOrder, actor: String) -> Result<Box<dyn Duplex>, Refused> {
        let order = match order {
            ReachOrder::Exec(order) => ReachOrder::Exec(self.written_down(order, actor).await?),
            other => other,
        };
        let away = |error: std::io::Error| {
            let error = format!("the agent does not answer: {error}");
            Refused::new(Ground::Unavailable, error, "its log is in the folder `log` of NARU_HOME")
        };
        let mut stream = UnixStream::connect(&self.door).await.map_err(away)?;
        door::ask(&mut stream, &order).await.map_err(away)?;
        Ok(Box::new(stream))
    }

    /// The order, with who gave it; which was told as an event.
    async fn written_down(&self, order: ExecOrder, actor: String) -> Result<ExecOrder, Refused> {
        let id = order.instance.clone();
        let found = self.read(move |world, _| world.instances.get(&id).cloned()).await?;
        let found = found.ok_or_else(|| {
            let hint = "`naru ps` lists instances";
            Refused::new(Ground::NotFound, format!("there is no instance {}", order.instance), hint)
        })?;
        let order = ExecOrder { actor, ..order };
        self.chronicle.tell(&event(&found, &order));
        Ok(order)
    }
}

/// Names of variables and their values are nobody's business.
fn event(of: &InstanceRecord, order: &ExecOrder) -> Event {
    let mut command = order.command.join(" ");
    if let Some((end, _)) = command.char_indices().nth(COMMAND_MAX) {
        command.truncate(end);
        command.push('…');
    }
    Event {
        time: wall(),
        kind: EventKind::Exec,
        stack: of.stack.clone(),
        service: Some(of.service.clone()),
        instance: Some(of.id.clone()),
        operation: None,
        actor: Some(order.actor.clone()),
        text: command,
    }
}
