//! What right a change of a stack takes, and on what.

use crate::{Resource, Right};
use naru_model::{Change, ServiceName, StackName};

/// What a change takes, on each of these.
pub fn taken_by(of: &StackName, change: &Change) -> (Right, Vec<Resource>) {
    let stack = || vec![Resource::Stack(of.clone())];
    let service = |name: &ServiceName| Resource::Service(of.clone(), name.clone());
    let services = |names: &[ServiceName]| {
        if names.is_empty() { stack() } else { names.iter().map(service).collect() }
    };
    match change {
        Change::Deploy { .. } | Change::Import { .. } => (Right::Deploy, stack()),
        Change::Rollback { .. } => (Right::Rollback, stack()),
        Change::Scale { replicas } => (Right::Scale, services(&replicas.keys().cloned().collect::<Vec<_>>())),
        Change::Stop { services: names } => (Right::Stop, services(names)),
        Change::Start { services: names } => (Right::Start, services(names)),
        Change::Restart { services: names } => (Right::Restart, services(names)),
        Change::Down => (Right::Down, stack()),
        Change::Run { job } => (Right::Run, vec![service(job)]),
        // With a command of one's own, as one and with what one likes: no other than beside an instance.
        Change::OneOff { service: of, .. } => (Right::Exec, vec![service(of)]),
        Change::Cancel { job, .. } => (Right::Cancel, vec![service(job)]),
        Change::Wake { services: names, .. } => (Right::Wake, services(names)),
        Change::Extend { services: names, .. } => (Right::Extend, services(names)),
        Change::Sleep { services: names } => (Right::Sleep, services(names)),
        Change::Pause => (Right::Pause, stack()),
        Change::Resume => (Right::Resume, stack()),
        Change::Promote => (Right::Promote, stack()),
        Change::Abort => (Right::Abort, stack()),
    }
}
