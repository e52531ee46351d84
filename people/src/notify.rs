//! `naru notify`: who is told of what happens, and whether that arrives.

use crate::{Around, Problem, span};
use clap::{Args, Subcommand};
use naru_chronicle::notifier;
use naru_notify::{Channels, FILE, Transport};
use naru_show::table::{Table, foreign};
use std::path::Path;

/// What `naru notify` takes.
#[derive(Args, Debug)]
pub struct NotifyArgs {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Send a notice by a channel, to see whether it arrives
    Test {
        /// As notify.yaml names it
        channel: String,
    },
}

impl NotifyArgs {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let home = around.home()?;
        let channels = read(&home, around)?;
        match self.what {
            None => list(&home, &channels, around),
            Some(What::Test { channel }) => test(&channel, &channels, around).await,
        }
    }
}

fn read(home: &Path, around: &impl Around) -> Result<Channels, Problem> {
    match naru_notify::load(home) {
        Ok(Some(channels)) => Ok(channels),
        Ok(None) => {
            let help = "the guide (docs/guide.md, \"Told of what happens\") shows how to write it";
            Err(Problem::Failed(format!("there is no {}", home.join(FILE).display()), help.into()))
        }
        Err(error) => {
            around.data(&format!("{error}\n"))?;
            Err(Problem::Bad)
        }
    }
}

async fn test(name: &str, channels: &Channels, around: &impl Around) -> Result<(), Problem> {
    let Some(channel) = channels.channels.get(name) else {
        let known: Vec<&str> = channels.channels.keys().map(String::as_str).collect();
        let help = format!("the channels are: {}", known.join(", "));
        return Err(Problem::Usage(format!("there is no channel {name:?}"), help));
    };
    match channel.send(&notifier::test_notice(name)).await {
        Ok(()) => {
            around.result(&format!("sent a test by {name}"));
            Ok(())
        }
        Err(fault) => Err(Problem::Failed(
            format!("{name}: not sent: {fault}"),
            "see to the channel in notify.yaml".into(),
        )),
    }
}

fn list(home: &Path, channels: &Channels, around: &impl Around) -> Result<(), Problem> {
    let outbox = notifier::outbox(home).map_err(|error| {
        Problem::failed(format!("what was sent cannot be read: {error}"), "see to NARU_HOME")
    })?;
    let mut table = Table::new(&["CHANNEL", "TYPE", "SENT", "LAST", "WAITING", "FAILED", "LAST ERROR"]);
    for (name, transport) in &channels.config.channels {
        let kind = match transport {
            Transport::Webhook(_) => "webhook",
            Transport::Mail(_) => "mail",
        };
        let post = outbox.channels.get(name).cloned().unwrap_or_default();
        let error = post.last_error.as_ref().map(|(at, why)| format!("{}: {why}", span::date(*at)));
        table.row([
            name.clone(),
            kind.into(),
            post.sent.to_string(),
            post.last_sent.map(span::date).unwrap_or_default(),
            post.waiting().to_string(),
            post.failed.to_string(),
            foreign(&error.unwrap_or_default()).to_string(),
        ]);
    }
    around.data(&table.render())
}
