//! What waits to be sent, what was, and what could not be: on disk, so that a server that ends loses nothing and sends nothing
//! twice.
//!
//! That a notice is being sent is written down before the first byte of it goes. One that a server was in the middle of when it ended may have
//! arrived: it is not sent again, and counts as failed.

use crate::notices::Kept;
use naru_model::{Span, Time};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};

/// More wait for a channel than anybody reads: the oldest are dropped, which is told.
const WAITING_MAX: usize = 100;

/// Between tries; then it has failed.
const WAITS: [Span; 6] =
    [Span::secs(1), Span::secs(5), Span::secs(30), Span::secs(120), Span::secs(600), Span::secs(3600)];

/// An event's place: when it was, and which of those at that time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Place(pub(crate) Time, pub(crate) u32);

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbox {
    /// The last event that was looked at.
    pub(crate) seen: Place,
    /// By the channels' names.
    pub channels: BTreeMap<String, Post>,
}

/// What goes by one channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Post {
    waiting: VecDeque<Waiting>,
    /// How many were sent.
    pub sent: u64,
    /// When the last one was.
    #[serde(default)]
    pub last_sent: Option<Time>,
    /// How many could not be sent.
    pub failed: u64,
    /// What was wrong last, and when.
    #[serde(default)]
    pub last_error: Option<(Time, String)>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    notice: Kept,
    tries: usize,
    due: Time,
    under_way: bool,
}

/// What became of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tried {
    /// It will be tried again.
    Again,
    /// It will not be sent.
    Failed,
}

impl Outbox {
    /// One that a server left behind.
    pub(crate) fn taken_up(mut self, now: Time) -> Outbox {
        for post in self.channels.values_mut() {
            let before = post.waiting.len();
            post.waiting.retain(|waiting| !waiting.under_way);
            if post.waiting.len() < before {
                post.fails(
                    now,
                    "the server ended while a notice was sent: it may have arrived, and is not sent again",
                );
            }
        }
        self
    }

    /// One more for a channel.
    pub(crate) fn add(&mut self, channel: &str, notice: Kept, now: Time) {
        let post = self.channels.entry(channel.into()).or_default();
        if post.waiting.len() >= WAITING_MAX {
            // The first may be under way.
            post.waiting.remove(1);
            post.fails(now, "more notices wait than there is room for: the oldest was dropped");
        }
        post.waiting.push_back(Waiting { notice, tries: 0, due: now, under_way: false });
    }

    /// The next notice of each channel that is due, which is then under way.
    pub(crate) fn due(&mut self, now: Time) -> Vec<(String, Kept)> {
        let next = |(name, post): (&String, &mut Post)| {
            let first = post.waiting.front_mut().filter(|first| !first.under_way && first.due <= now)?;
            first.under_way = true;
            Some((name.clone(), first.notice.clone()))
        };
        self.channels.iter_mut().filter_map(next).collect()
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Time> {
        let firsts = self.channels.values().filter_map(|post| post.waiting.front());
        firsts.filter(|first| !first.under_way).map(|first| first.due).min()
    }

    /// It was sent.
    pub(crate) fn sent(&mut self, channel: &str, now: Time) {
        if let Some(post) = self.channels.get_mut(channel) {
            post.waiting.pop_front();
            post.sent += 1;
            post.last_sent = Some(now);
        }
    }

    /// It was not; `lasting`: and never will be.
    pub(crate) fn not_sent(&mut self, channel: &str, why: &naru_notify::Fault, now: Time) -> Tried {
        let Some(post) = self.channels.get_mut(channel) else { return Tried::Failed };
        let Some(first) = post.waiting.front_mut() else { return Tried::Failed };
        first.under_way = false;
        if let (naru_notify::Fault::Passing(_), Some(wait)) = (why, WAITS.get(first.tries)) {
            first.tries += 1;
            first.due = now + *wait;
            post.last_error = Some((now, why.to_string()));
            return Tried::Again;
        }
        post.waiting.pop_front();
        post.fails(now, &why.to_string());
        Tried::Failed
    }

    /// What is for channels that there are no more.
    pub(crate) fn keep(&mut self, is_there: impl Fn(&str) -> bool) {
        self.channels.retain(|name, post| is_there(name) || post.waiting.iter().any(|one| one.under_way));
    }
}

impl Post {
    fn fails(&mut self, now: Time, why: &str) {
        self.failed += 1;
        self.last_error = Some((now, why.into()));
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::{Outbox, Tried, WAITING_MAX, WAITS};
    use crate::notices::Kept;
    use naru_model::Time;
    use naru_notify::{Fault, Notice};

    fn notice(title: &str) -> Kept {
        let (time, text, link, fields) = (Time(1), String::new(), None, vec![]);
        Kept::from(Notice { time, title: title.into(), text, link, fields })
    }

    #[test]
    fn a_passing_fault_is_tried_again_with_growing_waits_and_then_no_more() {
        let (mut outbox, mut now) = (Outbox::default(), Time(0));
        outbox.add("chat", notice("a"), now);
        for wait in WAITS {
            assert_eq!(outbox.due(now).len(), 1);
            assert_eq!(outbox.due(now).len(), 0, "one at a time");
            assert_eq!(outbox.not_sent("chat", &Fault::Passing("x".into()), now), Tried::Again);
            assert_eq!(outbox.next(), Some(now + wait));
            assert_eq!(outbox.due(now).len(), 0);
            now = now + wait;
        }
        assert_eq!(outbox.due(now).len(), 1);
        assert_eq!(outbox.not_sent("chat", &Fault::Passing("x".into()), now), Tried::Failed);
        assert_eq!((outbox.next(), outbox.channels["chat"].failed), (None, 1));
    }

    #[test]
    fn a_lasting_fault_is_not_tried_again_and_others_go_on() {
        let mut outbox = Outbox::default();
        outbox.add("chat", notice("a"), Time(0));
        outbox.add("chat", notice("b"), Time(0));
        outbox.add("mail", notice("a"), Time(0));
        assert_eq!(outbox.due(Time(0)).len(), 2);
        assert_eq!(outbox.not_sent("chat", &Fault::Lasting("404".into()), Time(0)), Tried::Failed);
        outbox.sent("mail", Time(0));
        assert_eq!(outbox.due(Time(0)), [("chat".to_string(), notice("b"))]);
        outbox.sent("chat", Time(1));
        let chat = &outbox.channels["chat"];
        assert_eq!((chat.sent, chat.failed, chat.waiting()), (1, 1, 0));
    }

    #[test]
    fn what_was_under_way_when_the_server_ended_is_not_sent_twice() {
        let mut outbox = Outbox::default();
        outbox.add("chat", notice("a"), Time(0));
        outbox.add("chat", notice("b"), Time(0));
        outbox.due(Time(0));
        let left: Outbox = serde_json::from_str(&serde_json::to_string(&outbox).unwrap()).unwrap();
        let mut outbox = left.taken_up(Time(5));
        assert_eq!(outbox.channels["chat"].failed, 1);
        assert_eq!(outbox.due(Time(5)), [("chat".to_string(), notice("b"))]);
    }

    #[test]
    fn a_channel_that_is_stuck_has_a_bound() {
        let mut outbox = Outbox::default();
        for n in 0..WAITING_MAX + 5 {
            outbox.add("chat", notice(&n.to_string()), Time(0));
        }
        let chat = &outbox.channels["chat"];
        assert_eq!((chat.waiting(), chat.failed), (WAITING_MAX, 5));
    }
}
