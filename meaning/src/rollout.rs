//! How one release replaces another: `deploy.update_config`, `deploy.rollback_config`, `x-naru.rollout`.

use crate::read::Reader;
use naru_model::{CanaryStep, FailureAction, Health, Order, Rollout, Span, Strategy, UpdateConfig};
use naru_yaml::Node;

/// Whether two instances may run at the same time (`x-naru.singleton`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Together {
    Allowed,
    Never,
}

/// The rollout of the service at `node`.
pub(crate) fn rollout(
    reader: &mut Reader<'_>,
    node: &Node,
    health: Option<&Health>,
    together: Together,
) -> Rollout {
    let own = node.at(&["x-naru", "rollout"]);
    let get = |key: &str| own.and_then(|own| own.get(key));
    let strategies =
        [("rolling", Strategy::Rolling), ("blue-green", Strategy::BlueGreen), ("canary", Strategy::Canary)];
    let strategy =
        reader.word("x-naru.rollout.strategy", get("strategy"), &strategies).unwrap_or(Strategy::Rolling);
    let promote = reader.word("x-naru.rollout.promote", get("promote"), &[("auto", true), ("manual", false)]);
    let max_retiring = reader.whole("x-naru.rollout.max_retiring", get("max_retiring"), 1, 1000);
    let healthy_within = reader.span("x-naru.rollout.healthy_within", get("healthy_within"));
    let rollout = Rollout {
        strategy,
        update: update(reader, node, "update_config", FailureAction::Rollback),
        rollback: update(reader, node, "rollback_config", FailureAction::Pause),
        soak: reader.span("x-naru.rollout.soak", get("soak")).unwrap_or(Span::ZERO),
        promote_auto: promote.unwrap_or(true),
        preview: reader.port("x-naru.rollout.preview", get("preview")),
        steps: steps(reader, get("steps")),
        max_retiring: max_retiring.and_then(|count| u32::try_from(count).ok()).unwrap_or(10),
        healthy_within: healthy_within.unwrap_or_else(|| patience(health)),
        max_error_permille: reader
            .permille("x-naru.rollout.max_error_ratio", get("max_error_ratio"))
            .unwrap_or(100),
    };
    agree(reader, own, &rollout, together);
    rollout
}

/// Keys that have no meaning for the strategy are errors, not passed over.
fn agree(reader: &mut Reader<'_>, own: Option<&Node>, rollout: &Rollout, together: Together) {
    let get = |key: &str| own.and_then(|own| own.get(key));
    let blue_green = rollout.strategy == Strategy::BlueGreen;
    let canary = rollout.strategy == Strategy::Canary;
    let alone = together == Together::Never;
    let keys =
        [("soak", blue_green), ("preview", blue_green), ("promote", blue_green || canary), ("steps", canary)];
    for (key, fits) in keys {
        if let Some(node) = get(key).filter(|_| !fits) {
            let wanted = if key == "steps" { "canary" } else { "blue-green" };
            let what = format!("x-naru.rollout.{key} has no meaning for this strategy");
            reader.lack(node.key, what, format!("remove it, or write strategy: {wanted}"));
        }
    }
    if let Some(node) = get("strategy").filter(|_| canary && rollout.steps.is_empty()) {
        let advice = "add steps: [{ weight: 10, for: 5m }, …]";
        reader.lack(node.pos, "x-naru.rollout.strategy canary needs steps", advice);
    }
    if let Some(node) = get("strategy").filter(|_| alone && rollout.strategy != Strategy::Rolling) {
        let what = "x-naru.rollout.strategy has two releases side by side, and x-naru.singleton forbids it";
        reader.error(node.pos, what, "keep one of them");
    }
}

/// Two minutes, or as long as the health check takes to give up.
fn patience(health: Option<&Health>) -> Span {
    let own = health.map(|health| {
        health.start_period + (health.interval + health.timeout).times(u64::from(health.retries))
    });
    own.unwrap_or_default().max(Span::secs(120))
}

fn update(reader: &mut Reader<'_>, node: &Node, group: &str, natural_action: FailureAction) -> UpdateConfig {
    let written = node.at(&["deploy", group]);
    let get = |key: &str| written.and_then(|written| written.get(key));
    let key = |name: &str| format!("deploy.{group}.{name}");
    let actions: &[(&str, FailureAction)] = match natural_action {
        FailureAction::Rollback => &[
            ("continue", FailureAction::Continue),
            ("pause", FailureAction::Pause),
            ("rollback", FailureAction::Rollback),
        ],
        // A rollback that fails cannot be rolled back.
        _ => &[("continue", FailureAction::Continue), ("pause", FailureAction::Pause)],
    };
    let orders = [("start-first", Order::StartFirst), ("stop-first", Order::StopFirst)];
    let order = reader.word(&key("order"), get("order"), &orders);
    let parallelism = reader.whole(&key("parallelism"), get("parallelism"), 0, u64::from(u32::MAX));
    UpdateConfig {
        parallelism: parallelism.and_then(|count| u32::try_from(count).ok()).unwrap_or(1),
        delay: reader.span(&key("delay"), get("delay")).unwrap_or(Span::ZERO),
        failure_action: reader
            .word(&key("failure_action"), get("failure_action"), actions)
            .unwrap_or(natural_action),
        monitor: reader.span(&key("monitor"), get("monitor")).unwrap_or(Span::secs(5)),
        max_failure_permille: reader
            .permille(&key("max_failure_ratio"), get("max_failure_ratio"))
            .unwrap_or(0),
        order: order.unwrap_or(Order::StartFirst),
        order_stated: order.is_some(),
    }
}

/// Steps of a canary. More are a program's doing.
const MOST_STEPS: usize = 100;

fn steps(reader: &mut Reader<'_>, node: Option<&Node>) -> Vec<CanaryStep> {
    let (mut found, mut last) = (Vec::new(), 0);
    let items = node.map(Node::items).unwrap_or_default();
    if let Some(node) = node.filter(|_| items.len() > MOST_STEPS) {
        reader.error(
            node.key,
            "x-naru.rollout.steps has too many steps",
            format!("{MOST_STEPS} are the most"),
        );
    }
    for item in items.iter().take(MOST_STEPS) {
        let Some(weight) = reader.whole("x-naru.rollout.steps.weight", item.get("weight"), 1, 100) else {
            if item.get("weight").is_none() {
                reader.lack(item.pos, "x-naru.rollout.steps has a step without a weight", "add weight: 10");
            }
            continue;
        };
        let hold = reader.span("x-naru.rollout.steps.for", item.get("for"));
        if weight <= last {
            let what = format!("x-naru.rollout.steps: {weight} is not more than {last}, the step before");
            reader.error(item.pos, what, "let the weights grow");
        }
        last = weight;
        found.push(CanaryStep { weight: weight as u32, hold: hold.unwrap_or(Span::ZERO) });
    }
    found
}
