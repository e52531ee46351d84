//! What is seen of an edge from outside is the sum of what its processes counted: the one that serves, those that
//! drain, and those that are gone. So a count does not go back when a process hands over, nor when it ends; only
//! what one counted that was killed, since it told the last time, is missing.

use naru_model::{
    EdgeSnapshot, InProgress, InstanceSnapshot, Listener, ListenerSnapshot, RouteTable, RuleSnapshot,
};
use std::collections::BTreeMap;

/// What processes that are gone had counted, as it was seen.
#[derive(Clone, Debug, Default)]
pub struct Gone(Option<Box<EdgeSnapshot>>);

impl Gone {
    /// One more is gone. What it still carried is over.
    pub fn add(&mut self, seen: &EdgeSnapshot) {
        let mut left = seen.clone();
        for listener in &mut left.listeners {
            (listener.open, listener.held) = (0, 0);
            listener.rules.iter_mut().for_each(|rule| rule.tally.in_progress = InProgress::default());
        }
        for instance in left.instances.values_mut() {
            (instance.counts.in_progress, instance.counts.oldest) = (InProgress::default(), None);
        }
        match &mut self.0 {
            Some(sum) => sum_up(sum, &left),
            None => self.0 = Some(Box::new(left)),
        }
    }

    /// With what another counted.
    pub fn and(&self, mut seen: EdgeSnapshot) -> EdgeSnapshot {
        if let Some(gone) = &self.0 {
            let acked = seen.acked;
            sum_up(&mut seen, gone);
            seen.acked = acked;
        }
        seen
    }

    /// Only what the table names: as many rows as it has, however many processes there were.
    pub fn keep_to(&mut self, table: &RouteTable) {
        let Some(gone) = &mut self.0 else { return };
        let named: BTreeMap<&String, &Listener> =
            table.listeners.iter().map(|one| (&one.name, one)).collect();
        gone.listeners.retain(|one| named.contains_key(&one.name));
        for listener in &mut gone.listeners {
            let rules = named[&listener.name].all_rules();
            listener
                .rules
                .retain(|one| one.name.is_empty() || rules.iter().any(|rule| rule.name == one.name));
        }
        let splits = table.listeners.iter().flat_map(Listener::all_splits);
        let instances: std::collections::BTreeSet<_> =
            splits.flat_map(|split| &split.backends).map(|backend| &backend.instance).collect();
        gone.instances.retain(|id, _| instances.contains(id));
    }
}

/// Adds what one that drains counts: its connections are open, and take nothing new.
pub fn join(sum: &mut EdgeSnapshot, seen: &EdgeSnapshot) {
    let mut part = seen.clone();
    part.listeners.iter_mut().for_each(|listener| listener.draining = listener.open);
    sum_up(sum, &part);
}

fn sum_up(sum: &mut EdgeSnapshot, part: &EdgeSnapshot) {
    sum.acked = sum.acked.min(part.acked);
    for listener in &part.listeners {
        match sum.listeners.iter_mut().find(|one| one.name == listener.name) {
            Some(one) => sum_listener(one, listener),
            None => sum.listeners.push(listener.clone()),
        }
    }
    sum.listeners.sort_by(|one, other| one.name.cmp(&other.name));
    for (id, instance) in &part.instances {
        sum_instance(sum.instances.entry(id.clone()).or_default(), instance);
    }
    for (file, lines) in &part.access_logs {
        let one = sum.access_logs.entry(file.clone()).or_default();
        one.written += lines.written;
        one.dropped += lines.dropped;
    }
}

fn sum_listener(sum: &mut ListenerSnapshot, part: &ListenerSnapshot) {
    sum.accepted += part.accepted;
    sum.turned_away += part.turned_away;
    sum.open += part.open;
    sum.draining += part.draining;
    sum.held += part.held;
    for rule in &part.rules {
        let same = |one: &&mut RuleSnapshot| one.name == rule.name && one.service == rule.service;
        match sum.rules.iter_mut().find(same) {
            Some(one) => one.tally += &rule.tally,
            // It was another rule of this name, or there is none any more: what is open there still shows.
            None if !rule.tally.in_progress.is_idle() => sum.rules.push(rule.clone()),
            None => {}
        }
    }
}

fn sum_instance(sum: &mut InstanceSnapshot, part: &InstanceSnapshot) {
    sum.made_by = sum.made_by.take().or_else(|| part.made_by.clone());
    sum.counts.add(&part.counts);
    sum.answers.iter_mut().zip(part.answers).for_each(|(mine, more)| *mine += more);
    sum.ejections += part.ejections;
    sum.latencies.add(&part.latencies);
}

#[cfg(test)]
mod tests {
    use super::{Gone, join};
    use naru_model::{
        EdgeSnapshot, Generation, InProgress, ListenerSnapshot, Protocol, RouteTable, RuleSnapshot,
        RuleTally, Time,
    };

    /// A process with so many connections, all open, each with a request in progress, and as many that are over.
    fn seen(connections: u64) -> EdgeSnapshot {
        let tally = RuleTally {
            answers: [0, 0, connections, 0, 0, 0],
            in_progress: InProgress { requests: connections, ..InProgress::default() },
            ..RuleTally::default()
        };
        let listener = ListenerSnapshot {
            name: "web".into(),
            address: "127.0.0.1:80".into(),
            protocol: Protocol::Http,
            stack: "shop".into(),
            accepted: connections,
            turned_away: 0,
            open: connections,
            draining: 0,
            held: 0,
            rules: vec![RuleSnapshot { name: String::new(), service: None, tally }],
        };
        EdgeSnapshot {
            node: "node".into(),
            edge: "edge".into(),
            began: Time(1),
            at: Time(2),
            acked: Generation(connections),
            listeners: vec![listener],
            instances: Default::default(),
            access_logs: Default::default(),
            draining: vec![],
        }
    }

    #[test]
    fn no_count_goes_back_as_a_process_drains_and_ends() {
        let told = |seen: &EdgeSnapshot| {
            let one = &seen.listeners[0];
            let tally = &one.rules[0].tally;
            (one.accepted, tally.answers[2], one.open, one.draining, tally.in_progress.requests, seen.acked.0)
        };
        let mut drains = seen(8);
        join(&mut drains, &seen(3));
        assert_eq!(told(&drains), (11, 11, 11, 3, 11, 3), "chosen by its older table, too");
        let mut gone = Gone::default();
        [3, 1].iter().for_each(|n| gone.add(&seen(*n)));
        assert_eq!(told(&gone.and(seen(8))), (12, 12, 8, 0, 8, 8));
        gone.keep_to(&RouteTable::default());
        assert_eq!(told(&gone.and(seen(8))), (8, 8, 8, 0, 8, 8), "what no table names takes no room");
    }
}
