//! What an instance, and a command run beside it, is started with.

use super::ports::PortMap;
use naru_logs::LogLimits;
use naru_model::{Process, Run};
use naru_process::{Launch, expand};
use naru_supervise::Memory;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The launch of an instance whose ports and work address are settled.
///
/// # Errors
/// In words, what cannot be.
pub(super) fn launch(memory: &Memory, ports: &PortMap, work_url: &str) -> Result<Launch, String> {
    let desired = &memory.desired;
    let Run::Process(process) = &desired.template.run else {
        return Err("it is a container".into());
    };
    let mut launch = Launch {
        argv: vec![],
        environment: environment(memory, ports, work_url),
        working_dir: PathBuf::from(&desired.template.working_dir),
        user: desired.template.user.clone(),
        resources: desired.template.resources.clone(),
        log: LogLimits::default(),
    };
    let literal = desired.one_off.is_some_and(|terms| terms.literal);
    launch.argv = if literal { process.command.clone() } else { expanded(process, &launch)? };
    Ok(launch)
}

/// A command with its names replaced. What a shell is given with `-c` is left to the shell, which has the
/// same environment.
///
/// # Errors
/// In words, what cannot be.
pub(super) fn expanded(process: &Process, launch: &Launch) -> Result<Vec<String>, String> {
    let environment = launch.full_environment().map_err(|error| error.to_string())?;
    let (ours, shells) = match process.command.as_slice() {
        [shell, flag, ..] if is_shell(shell) && flag == "-c" => process.command.split_at(2),
        all => all.split_at(all.len()),
    };
    let mut argv = expand(ours, &environment).map_err(|error| error.to_string())?;
    argv.extend_from_slice(shells);
    if argv.is_empty() { Err("the command is empty".into()) } else { Ok(argv) }
}

fn is_shell(program: &str) -> bool {
    matches!(program.rsplit('/').next(), Some("sh" | "bash" | "dash" | "ash" | "zsh" | "ksh"))
}

/// The file's environment, then what the server adds, then what this node knows.
fn environment(memory: &Memory, ports: &PortMap, work_url: &str) -> BTreeMap<String, String> {
    let desired = &memory.desired;
    let mut all = desired.template.environment.clone();
    all.extend(desired.environment.clone());
    if let Some(port) = desired.template.targets.first().and_then(|target| ports.get(&target.port)) {
        all.insert("PORT".into(), port.to_string());
    }
    all.extend(ports.iter().map(|(target, port)| (format!("NARU_PORT_{target}"), port.to_string())));
    let own = [
        ("NARU_WORK_URL", work_url.to_owned()),
        ("NARU_INSTANCE", memory.id.to_string()),
        ("NARU_STACK", desired.stack.to_string()),
        ("NARU_SERVICE", desired.service.to_string()),
        ("NARU_RELEASE", desired.release.to_string()),
    ];
    all.extend(own.map(|(name, value)| (name.to_owned(), value)));
    all
}
