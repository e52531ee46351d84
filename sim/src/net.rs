//! Messages between server, agents and edges. Each may be lost, late, doubled or overtaken.

use crate::event::Event;
use crate::ground::Ground;
use naru_model::{AgentReport, Desired, EdgeId, EdgeReport, InstanceId, RouteTable, Span};
use std::rc::Rc;

/// What is sent.
#[derive(Clone)]
pub(crate) enum Message {
    /// To a node's agent: all that it is to have.
    Desired(usize, Rc<Desired>),
    /// To a node's edge: the routes.
    Table(usize, Rc<RouteTable>),
    /// To the server, from an agent.
    AgentReport(usize, Rc<AgentReport>),
    /// To this life of the server, from an edge: the connection is gone with the server, and what was under way on
    /// it. The order in which an edge hands in reports rests on that.
    EdgeReport(usize, Rc<EdgeReport>, u32),
    /// To an agent: the server took the report of this incarnation and number.
    AgentHeard(usize, u64, u64),
    /// To an edge: the server took the report of this number, and has no record of these instances any more.
    EdgeHeard(usize, EdgeId, u64, Vec<InstanceId>),
}

/// Sends it: it arrives once, later, or, within a window of faults, never, twice or much later.
pub(crate) fn send(ground: &mut Ground, message: Message) {
    let (lost, doubled, late) =
        ground.window().map_or((0, 0, Span(20)), |window| (window.lost, window.doubled, window.late));
    if ground.net.hits(lost) {
        return;
    }
    if ground.net.hits(doubled) {
        let again = Span(1 + ground.net.below(late.0 * 2));
        ground.after(again, Event::Arrives(Box::new(message.clone())));
    }
    let delay = Span(1 + ground.net.below(late.0));
    ground.after(delay, Event::Arrives(Box::new(message)));
}
