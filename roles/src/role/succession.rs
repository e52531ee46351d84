//! How an edge process that is started to take over goes about it, and says to its keeper how that went.

use naru_chain::{Succession, succeed};
use naru_home::{Failure, Home};
use std::io::{self, Write};

/// The variable by which a keeper tells an edge to take over from the one that serves.
pub const TAKE_OVER: &str = "NARU_TAKE_OVER";

/// Whether this process is to take over.
pub(super) fn is_wanted() -> bool {
    std::env::var_os(TAKE_OVER).is_some()
}

/// Takes over, if anybody serves. One that cannot becomes one that waits for the role's lock, so that there is
/// somebody to start at once when the old one ends.
pub(super) async fn take_over(home: &Home) -> Result<Option<Succession>, Failure> {
    let outcome = succeed(home, home.node()?).await;
    match &outcome {
        Ok(Some(succession)) => {
            say(if succession.serves() { "over" } else { "refused: the old edge goes on" })
        }
        Ok(None) => say("alone"),
        Err(why) => {
            tracing::warn!(why, "does not take over");
            say(&format!("refused: {why}"));
        }
    }
    Ok(outcome.unwrap_or_default())
}

/// One word, or line, to the keeper; stdout then leads nowhere.
fn say(word: &str) {
    // The keeper may be gone.
    let _ = writeln!(io::stdout(), "{word}");
    let _ = io::stdout().flush();
    if let Ok(nowhere) = std::fs::OpenOptions::new().write(true).open("/dev/null") {
        let _ = rustix::stdio::dup2_stdout(nowhere);
    }
}
