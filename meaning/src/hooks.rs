//! Commands at points of an instance's life: `post_start`, `pre_stop`, and what runs before it, `pre_start`.

use crate::read::Reader;
use crate::service::{Runs, is_true, text, texts};
use naru_model::{HookCommand, Prelude, PreludeRuns};
use naru_yaml::Node;

/// The commands below `key`.
pub(crate) fn hooks(reader: &mut Reader<'_>, node: &Node, key: &str, runs: Runs) -> Vec<HookCommand> {
    let written = node.get(key).map(Node::items).unwrap_or_default();
    written.iter().filter_map(|hook| command(reader, hook, key, runs)).collect()
}

/// What `pre_start` runs before a container starts. (A process has none: it is told so with the other keys.)
pub(crate) fn preludes(reader: &mut Reader<'_>, node: &Node) -> Vec<Prelude> {
    let written = node.get("pre_start").map(Node::items).unwrap_or_default();
    let prelude = |hook: &Node| Prelude {
        // Without a command it is the image's own that runs.
        command: match hook.get("command").is_some_and(|command| !command.is_null()) {
            true => command(reader, hook, "pre_start", Runs::Container).unwrap_or_default(),
            false => in_container(hook),
        },
        image: text(hook, "image"),
        runs: if is_true(hook.get("per_replica")) { PreludeRuns::EachInstance } else { PreludeRuns::Once },
    };
    written.iter().map(prelude).collect()
}

fn command(reader: &mut Reader<'_>, hook: &Node, key: &str, runs: Runs) -> Option<HookCommand> {
    let Some(command) = hook.get("command").filter(|command| command.list().is_some()) else {
        reader.lack(hook.key, format!("{key} has an entry without a command"), "add command: […]");
        return None;
    };
    let process = reader.command(&format!("{key}.command"), command)?;
    if runs == Runs::Container {
        return Some(HookCommand { process, ..in_container(hook) });
    }
    for (other, value) in hook.entries().filter(|(name, _)| *name != "command") {
        let what = format!("{key}.{other} has no effect on a process, ignored");
        reader.warn(value.key, what, "write it in the command");
    }
    Some(process.into())
}

/// All but the command.
fn in_container(hook: &Node) -> HookCommand {
    HookCommand {
        process: Default::default(),
        user: text(hook, "user"),
        working_dir: text(hook, "working_dir"),
        environment: texts(hook.get("environment")),
        privileged: is_true(hook.get("privileged")),
    }
}
