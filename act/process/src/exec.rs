//! Commands beside a running instance: health checks, busy checks, orders to be quiet.
//!
//! Each runs under a short-lived shim, which is the agent's child and holds a pipe from it: the command ends
//! when its time is over, when nobody awaits it any more, and when the agent dies.

use crate::error::{Doing, Error};
use crate::runtime::{ExecEnd, ExecOutput};
use crate::shim::{EXEC, ExecReport, ExecRequest};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// What is kept of a command's output: its end, which says why.
const TAIL: usize = 4096;
/// A report is one short sentence.
const MAX_REPORT: u64 = 64 << 10;
/// Past its time, a command is killed within the shim's own bound of 5 s.
const GRACE: Duration = Duration::from_secs(10);

pub(crate) async fn exec(
    shim: &[String],
    folder: &Path,
    argv: &[String],
    timeout: Duration,
) -> Result<ExecOutput, Error> {
    let said = || format!("run {:?}", argv.join(" "));
    let [program, arguments @ ..] = shim else {
        return Err(Error::Command("no command leads to a shim".into()));
    };
    let mut child = Command::new(program)
        .args(arguments)
        .arg(folder)
        .arg(EXEC)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .doing(said)?;
    let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
        return Err(Error::Command(format!("{}: no pipes", said())));
    };
    let request = ExecRequest { argv: argv.to_vec(), timeout_ms: timeout.as_millis() as u64 };
    let mut line = serde_json::to_vec(&request).doing(said)?;
    line.push(b'\n');
    let talk = async {
        stdin.write_all(&line).await?;
        let mut report = Vec::new();
        let mut stderr = stderr.take(MAX_REPORT);
        let (tail, read) = tokio::join!(read_tail(stdout), stderr.read_to_end(&mut report));
        read?;
        Ok::<_, std::io::Error>((tail, report, child.wait().await?))
    };
    let (tail, report, _) = match tokio::time::timeout(timeout + GRACE, talk).await {
        Ok(done) => done.doing(said)?,
        Err(_) => {
            return Err(Error::Command(format!("{}: it cannot be killed: stuck in the kernel", said())));
        }
    };
    let tail = String::from_utf8_lossy(&tail).into_owned();
    match serde_json::from_slice(&report).doing(said)? {
        ExecReport::Ended(exit) => Ok(ExecOutput { end: ExecEnd::Exit(exit), tail }),
        ExecReport::TimedOut => Ok(ExecOutput { end: ExecEnd::TimedOut, tail }),
        ExecReport::Unstartable(why) => Err(Error::Command(why)),
    }
}

/// Reads all and keeps the end.
async fn read_tail(mut from: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut tail = Vec::with_capacity(TAIL * 2);
    // Doubled, so that each byte is moved once at most.
    while matches!(from.read_buf(&mut tail).await, Ok(count) if count > 0) {
        if tail.len() >= TAIL * 2 {
            tail.drain(..tail.len() - TAIL);
        }
    }
    tail.drain(..tail.len().saturating_sub(TAIL));
    tail
}
