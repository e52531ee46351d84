//! A program that gives credentials, as the shared files name it.

use super::{Document, Held};
use crate::Fault;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::process::Command;

/// A program that waits for somebody at a screen will not get an answer.
const WITHIN: Duration = Duration::from_secs(30);

/// A document has some KiB.
const OUTPUT_MAX: u64 = 64 << 10;

/// What the program gives. What it writes to standard error is nobody's: there may be secrets in it.
pub async fn credentials(command: &str, source: &str) -> Result<Held, Fault> {
    let source = format!("the credential_process of {source}");
    let broken = |what: String| Fault::Settings(format!("{source}: {what}"));
    let mut child = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| broken(format!("it cannot be started: {error}")))?;
    let output = child.stdout.take();
    let reading = async {
        let mut text = String::new();
        if let Some(output) = output {
            output.take(OUTPUT_MAX).read_to_string(&mut text).await?;
        }
        Ok::<_, std::io::Error>((child.wait().await?, text))
    };
    let ended = tokio::time::timeout(WITHIN, reading).await;
    let ended = ended.map_err(|_| broken(format!("it did not end within {WITHIN:?}")))?;
    let (status, text) = ended.map_err(|error| broken(format!("what it says cannot be read: {error}")))?;
    if !status.success() {
        return Err(broken(format!("it ended with {status}")));
    }
    Document::read(&text, &source)
}
