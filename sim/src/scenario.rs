//! What a seed brings: how many nodes and stacks, which orders, which faults, how much traffic.
//!
//! Faults fall where they hurt: most of them within seconds of an order.

use crate::ground::DAWN;
use naru_model::{Span, Time};
use naru_sim_stacks::Dice;

/// One seed's world.
pub(crate) struct Scenario {
    pub(crate) nodes: usize,
    pub(crate) stacks: Vec<StackScenario>,
    /// Whether services are asleep at times.
    pub(crate) dozes: bool,
    pub(crate) windows: Vec<Window>,
    pub(crate) blows: Vec<(Time, Blow)>,
    /// From here on no fault happens, no order is given and no client comes.
    pub(crate) calm: Time,
    /// How long edges and agents gather before they report.
    pub(crate) gather: Span,
    /// How long the store takes for a transaction.
    pub(crate) commit: Span,
}

/// One stack's people and clients.
pub(crate) struct StackScenario {
    pub(crate) orders: Vec<(Time, OrderKind)>,
    /// From one request to the next, on the mean.
    pub(crate) request_every: Span,
    /// The same for streams; `None`: nobody opens one.
    pub(crate) stream_every: Option<Span>,
}

/// What people order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OrderKind {
    Deploy,
    Rollback,
    Scale,
    Stop,
    Start,
    Restart,
    Down,
    Pause,
    Resume,
    Promote,
    Abort,
    Wake,
    Extend,
    Sleep,
}

/// A time in which messages and transactions suffer.
pub(crate) struct Window {
    pub(crate) from: Time,
    pub(crate) to: Time,
    /// Of a thousand messages, so many are lost.
    pub(crate) lost: u64,
    /// Of a thousand messages, so many come twice.
    pub(crate) doubled: u64,
    /// Messages take up to so long.
    pub(crate) late: Span,
    /// Of a thousand transactions, so many are refused.
    pub(crate) refused: u64,
    /// Of a thousand transactions, the outcome of so many is not told.
    pub(crate) unknown: u64,
}

/// What kinds of faults a seed has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// Those of server, agents, store and messages: they excuse nothing.
    Control,
    /// Edges and instances too.
    Any,
}

/// A fault at a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// The server is killed, and starts again after this.
    Server(Span),
    /// A node's agent.
    Agent(usize, Span),
    /// A node's edge.
    Edge(usize, Span),
    /// One of the instances, whichever.
    Instance,
    /// One of the instances fails its health check for so long.
    Sickness(Span),
    /// The server's clock is set forward by this.
    Clock(Span),
}

impl Scenario {
    pub(crate) fn draw(seed: u64) -> Scenario {
        let mut dice = Dice::new(seed, 0);
        let horizon = dice.span(Span::mins(3), Span::mins(90));
        let end = DAWN + horizon;
        let stacks = (0..dice.weighted(&[(4, 1), (1, 2)])).map(|_| StackScenario::draw(&mut dice, horizon));
        let mut stacks: Vec<_> = stacks.collect();
        // Thrown by other dice: the other orders are what they were.
        let mut powers = Dice::new(seed, 7);
        let dozes = powers.hits(350);
        for (_, order) in stacks.iter_mut().flat_map(|stack| stack.orders.iter_mut().skip(1)) {
            if dozes && powers.hits(250) {
                let kinds = [(4, OrderKind::Wake), (3, OrderKind::Sleep), (1, OrderKind::Extend)];
                *order = powers.weighted(&kinds);
            }
        }
        let nodes = dice.weighted(&[(3, 1), (1, 2)]);
        let orders: Vec<Time> = stacks.iter().flat_map(|stack| &stack.orders).map(|(at, _)| *at).collect();
        let near = |dice: &mut Dice| near_an_order(dice, &orders, end);
        let trouble = Trouble::draw(&mut dice);
        let (most_windows, most_blows) = if trouble == Trouble::None { (1, 1) } else { (4, 9) };
        let windows =
            (0..dice.below(most_windows)).map(|_| Window::draw(&mut dice, near)).collect::<Vec<_>>();
        let blow = |dice: &mut Dice| (near(dice), Blow::draw(dice, nodes, trouble));
        let mut blows = (0..dice.below(most_blows)).map(|_| blow(&mut dice)).collect::<Vec<_>>();
        // Thrown by other dice: the other faults are what they were.
        let mut clocks = Dice::new(seed, 6);
        if trouble != Trouble::None && clocks.hits(250) {
            let at = DAWN + Span(clocks.below(horizon.0));
            blows.push((at, Blow::Clock(clocks.span(Span::secs(20), Span::mins(180)))));
        }
        let ends = windows.iter().map(|window| window.to).chain(blows.iter().map(|(at, _)| *at));
        let calm = ends.chain([end]).max().unwrap_or(end) + Span::secs(1);
        Scenario {
            nodes,
            stacks,
            dozes,
            windows,
            blows,
            calm,
            gather: *dice.pick(&[Span(100), Span(500), Span::secs(2)]),
            commit: *dice.pick(&[Span(1), Span(5), Span(100)]),
        }
    }
}

impl StackScenario {
    fn draw(dice: &mut Dice, horizon: Span) -> StackScenario {
        let mut orders = vec![(DAWN + Span(dice.within(0, 2000)), OrderKind::Deploy)];
        let hurried = dice.hits(300);
        let longest = if hurried { Span::secs(15) } else { Span(horizon.0 / 3).max(Span::secs(20)) };
        for _ in 0..dice.within(1, if hurried { 14 } else { 8 }) {
            let last = orders.last().map_or(DAWN, |(at, _)| *at);
            let next = last + dice.span(Span(300), longest);
            if next < DAWN + horizon {
                orders.push((next, OrderKind::draw(dice)));
            }
        }
        let requests = dice.within(40, 300);
        let streams = dice.below(20);
        StackScenario {
            orders,
            request_every: Span(horizon.0 / requests),
            stream_every: horizon.0.checked_div(streams).map(Span),
        }
    }
}

impl OrderKind {
    fn draw(dice: &mut Dice) -> OrderKind {
        dice.weighted(&[
            (40, OrderKind::Deploy),
            (9, OrderKind::Rollback),
            (12, OrderKind::Scale),
            (6, OrderKind::Stop),
            (6, OrderKind::Start),
            (7, OrderKind::Restart),
            (4, OrderKind::Down),
            (4, OrderKind::Pause),
            (4, OrderKind::Resume),
            (4, OrderKind::Promote),
            (4, OrderKind::Abort),
        ])
    }
}

impl Window {
    fn draw(dice: &mut Dice, near: impl Fn(&mut Dice) -> Time) -> Window {
        let from = near(dice);
        let some = |dice: &mut Dice, most| if dice.hits(500) { dice.below(most) } else { 0 };
        Window {
            from,
            to: from + dice.span(Span::secs(1), Span::mins(3)),
            lost: some(dice, 600),
            doubled: some(dice, 400),
            late: if dice.hits(600) { dice.span(Span(50), Span::secs(30)) } else { Span(20) },
            refused: some(dice, 400),
            unknown: some(dice, 500),
        }
    }
}

impl Trouble {
    fn draw(dice: &mut Dice) -> Trouble {
        dice.weighted(&[(1, Trouble::None), (4, Trouble::Control), (5, Trouble::Any)])
    }
}

impl Blow {
    fn draw(dice: &mut Dice, nodes: usize, trouble: Trouble) -> Blow {
        let down = dice.span(Span(50), Span::mins(1));
        let node = dice.below(nodes as u64) as usize;
        let elsewhere = if trouble == Trouble::Any { 1 } else { 0 };
        dice.weighted(&[
            (3, Blow::Server(down)),
            (3, Blow::Agent(node, down)),
            (2 * elsewhere, Blow::Edge(node, down)),
            (2 * elsewhere, Blow::Instance),
            (elsewhere, Blow::Sickness(down)),
        ])
    }
}

/// A time shortly after one of the orders, or any time.
fn near_an_order(dice: &mut Dice, orders: &[Time], end: Time) -> Time {
    if dice.hits(700) {
        let order = *dice.pick(orders);
        return (order + dice.span(Span(4), Span::mins(2))).min(end);
    }
    DAWN + Span(dice.below(end.since(DAWN).0))
}
