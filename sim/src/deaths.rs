//! What ends processes and edges, and what becomes of the work that they had.

use crate::event::{Event, ProcessEvent};
use crate::host::{Death, Mood, State};
use crate::sight::Sight;
use crate::sim::Sim;
use crate::work::{Call, End, Kind, Place, WorkId};
use naru_model::{Exit, Span};
use naru_supervise::Input;

/// A request that may be repeated is begun so often.
const TRIES: u32 = 5;

impl Sim {
    /// A process ends, with all that was in progress on it.
    pub(crate) fn process_ends(&mut self, pid: u32, death: Death) {
        let process = self.host.get(pid);
        if !process.lives() || (death == Death::Term && process.signalled.is_none()) {
            return;
        }
        let exit = match death {
            Death::Own(exit) => exit,
            Death::Struck | Death::Killed => Exit::Signal(9),
            Death::Term => Exit::Signal(15),
        };
        let (instance, node, run) = (process.instance.clone(), process.node, process.run);
        let open: Vec<WorkId> = process.open.iter().copied().collect();
        let by_order = process.signalled.is_some() && self.is_cut(&instance);
        self.ground.note(u64::from(pid), || format!("{instance}: process {pid} {exit}"));
        self.host.get_mut(pid).state = State::Dead(exit.clone());
        for id in open {
            self.work_breaks(id, if by_order { End::Cut } else { End::Lost });
        }
        self.checks.struck(&instance, self.ground.now);
        self.checks.look_again();
        self.answer(node, &instance, Span(1), Input::Exited { run, exit });
    }

    /// The process that had it is gone: it is sent to another where that may be, or ends.
    fn work_breaks(&mut self, id: WorkId, end: End) {
        let work = self.books.get(id).clone();
        if matches!(work.place, Place::Ended(_)) {
            return;
        }
        match (work.kind, &work.place) {
            (Kind::Idempotent, Place::On { instance, carrier: Some((node, _)), .. })
                if work.placing < TRIES =>
            {
                self.ground.sees(Sight::HandedOver);
                self.leaves_edge(&work, None);
                self.books.truth_mut(instance).handed_over += 1;
                let since = self.ground.now;
                self.books.lift(&mut self.host, id, Place::Held { node: *node, since });
                let work = self.books.get_mut(id);
                work.placing += 1;
                if let Call::Waits(child, _) = std::mem::replace(&mut work.call, Call::None) {
                    self.work_ends(child, End::Done);
                }
                self.dispatch(id, *node);
            }
            _ => self.work_ends(id, end),
        }
    }

    /// An edge dies, with all that it carried and held.
    pub(crate) fn edge_dies(&mut self, node: usize, down: Span) {
        if !self.edges[node].is_up() {
            return;
        }
        self.ground.proclaim(node as u64, || format!("FAULT: edge {node} is killed, for {down}"));
        let life = self.edges[node].life;
        self.edges[node].dies();
        let mine = |id: &WorkId| match self.books.get(*id).place {
            Place::Held { node: at, .. } => at == node,
            Place::On { carrier: Some(carrier), .. } => carrier == (node, life),
            _ => false,
        };
        let carried: Vec<WorkId> = self.books.open().filter(mine).collect();
        if !carried.is_empty() {
            self.ground.sees(Sight::EdgeDiedBusy);
        }
        // Calls before those that wait for them: they end for their own sake.
        for id in carried.into_iter().rev() {
            self.work_ends(id, End::Dropped);
        }
        self.checks.edge_struck(self.ground.now);
        let life = self.edges[node].life;
        self.ground.after(down, Event::Edge { node, life, what: crate::event::EdgeEvent::Starts });
    }

    /// Something happens to a process.
    pub(crate) fn process_event(&mut self, pid: u32, what: ProcessEvent) {
        match what {
            ProcessEvent::Ends(death) => self.process_ends(pid, death),
            _ if !self.host.get(pid).lives() => {}
            ProcessEvent::Serves => {
                self.host.get_mut(pid).state = State::Serving;
                self.next_job(pid);
            }
            ProcessEvent::Sickens => {
                let instance = self.host.get(pid).instance.clone();
                self.ground.proclaim(u64::from(pid), || format!("FAULT: {instance} fails its health check"));
                self.host.get_mut(pid).state = State::Sick;
                self.checks.struck(&instance, self.ground.now);
                self.checks.look_again();
            }
            ProcessEvent::Recovers => {
                if self.host.get(pid).state == State::Sick {
                    self.host.get_mut(pid).state = State::Serving;
                }
            }
            ProcessEvent::TakesJob => {
                let process = self.host.get(pid);
                let takes = process.mood == Mood::Takes && process.accepts() && self.ground.now < self.calm;
                if takes {
                    let instance = process.instance.clone();
                    self.starts_job(pid, &instance);
                    self.next_job(pid);
                }
            }
            ProcessEvent::Hushes => self.host.get_mut(pid).mood = Mood::Quiet,
        }
    }
}
