//! Starting: everything that can be refused is refused before a process is made.

use crate::error::{Doing, Error, StartError};
use crate::folder::{Durable, Folder, LAUNCH, LaunchRecord, METADATA, SHIM_ERRORS, StateRecord, private};
use crate::launch::Launch;
use crate::pid::pause;
use crate::runtime::RunNo;
use crate::session::Theirs;
use crate::shim::Report;
use crate::streams;
use crate::sweep::{Seen, sweep};
use crate::user::Identity;
use naru_model::InstanceId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A shim answers within its own bound of 20 s; past this it is stuck itself.
const REPORT_LIMIT: Duration = Duration::from_secs(30);
/// A report is a few names and a sentence.
const MAX_REPORT: u64 = 1 << 20;
/// A lock may be held for an instant by a child of the agent that has not reached its exec yet.
const LOCK_LIMIT: Duration = Duration::from_millis(100);
/// How much of a shim's last words is worth repeating.
const LAST_WORDS: usize = 2000;

/// Starts the instance of `folder` and returns once its program runs. Blocks.
pub(crate) fn start(
    shim: &[String],
    (id, folder): (&InstanceId, &Folder),
    launch: &Launch,
    metadata: &[u8],
    theirs: Option<Theirs>,
) -> Result<StateRecord, StartError> {
    let user = launch.user.as_deref().map(Identity::find).transpose()?;
    let change = user.clone().map(Identity::needed).transpose()?.flatten();
    check(launch).map_err(|why| StartError::Unstartable(format!("instance {id}: {why}")))?;
    folder.make()?;
    let lock = lock(folder)?.ok_or_else(|| StartError::AlreadyRunning(id.clone()))?;
    let last = folder.last_run();
    if let Some(state) = folder.state_of(last)
        && state.is_alive()
    {
        return Err(StartError::AlreadyRunning(id.clone()));
    }
    let record = LaunchRecord::new(RunNo(last.0 + 1), launch, user.as_ref(), change);
    let record = LaunchRecord { session: theirs.as_ref().map(|theirs| theirs.kind), ..record };
    folder.write(METADATA, metadata, Durable::No)?;
    folder.write_record(LAUNCH, &record)?;
    let report = start_shim(shim, folder, lock, theirs).inspect_err(|_| {
        // A shim killed in the middle may have come as far as the instance.
        folder.state_of(record.run).map(|state| sweep(folder, &state, Seen::JustNow));
    })?;
    match report {
        Report::Running(state) => Ok(state),
        Report::Unstartable(why) => Err(StartError::Unstartable(format!("instance {id}: {why}"))),
        Report::Failed(why) => Err(Error::Command(format!("instance {id}: {why}")).into()),
    }
}

fn check(launch: &Launch) -> Result<(), String> {
    let named = |name: &str| !name.is_empty() && !name.contains(['=', '\0']);
    if launch.argv.first().is_none_or(String::is_empty) {
        return Err("the command is empty".into());
    }
    if let Some(word) = launch.argv.iter().find(|word| word.contains('\0')) {
        return Err(format!("the command holds a zero byte, in {word:?}"));
    }
    if let Some(name) = launch.environment.keys().find(|name| !named(name)) {
        return Err(format!("{name:?} cannot be the name of an environment variable"));
    }
    // The value may be a secret.
    if let Some((name, _)) = launch.environment.iter().find(|(_, value)| value.contains('\0')) {
        return Err(format!("the value of environment variable {name} holds a zero byte"));
    }
    if !launch.working_dir.is_absolute() {
        return Err(format!("working_dir {:?} is not absolute", launch.working_dir));
    }
    Ok(())
}

fn lock(folder: &Folder) -> Result<Option<File>, Error> {
    let deadline = Instant::now() + LOCK_LIMIT;
    loop {
        match folder.lock()? {
            None if Instant::now() < deadline => pause(Duration::from_millis(2)),
            other => return Ok(other),
        }
    }
}

fn start_shim(shim: &[String], folder: &Folder, lock: File, theirs: Option<Theirs>) -> Result<Report, Error> {
    let said = || format!("start the shim {:?}", shim.join(" "));
    let [program, arguments @ ..] = shim else {
        return Err(Error::Command("no command leads to a shim".into()));
    };
    let errors =
        private().create(true).write(true).truncate(true).open(folder.file(SHIM_ERRORS)).doing(said)?;
    let mut command = Command::new(program);
    command.args(arguments).arg(folder.path()).env_clear().process_group(0);
    command.stdin(Stdio::from(lock)).stdout(Stdio::piped()).stderr(Stdio::from(errors));
    let open = theirs.as_ref().map(|theirs| streams::hand_over(&mut command, &theirs.fds)).transpose();
    let open = open.doing(said)?;
    let mut child = command.spawn().doing(said)?;
    // From here on the shim alone has them, so that their ends are seen.
    drop((open, theirs));
    let pipe = child.stdout.take();
    // The parent of two: it ends at once.
    child.wait().doing(said)?;
    let report =
        pipe.and_then(|pipe| read_report(pipe).ok()).and_then(|json| serde_json::from_slice(&json).ok());
    report.ok_or_else(|| {
        let words = std::fs::read_to_string(folder.file(SHIM_ERRORS)).unwrap_or_default();
        let words: String = words.trim().chars().take(LAST_WORDS).collect();
        Error::Command(format!(
            "the shim {:?} ended before it had started anything: {words:?}",
            shim.join(" ")
        ))
    })
}

fn read_report(mut pipe: impl Read + rustix::fd::AsFd) -> std::io::Result<Vec<u8>> {
    let limit = Timespec { tv_sec: REPORT_LIMIT.as_secs() as i64, tv_nsec: 0 };
    if poll(&mut [PollFd::new(&pipe, PollFlags::IN)], Some(&limit))? == 0 {
        return Err(std::io::ErrorKind::TimedOut.into());
    }
    // Written at once, then closed.
    let mut json = Vec::new();
    (&mut pipe).take(MAX_REPORT).read_to_end(&mut json)?;
    Ok(json)
}
