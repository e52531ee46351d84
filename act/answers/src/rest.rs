//! What is said in the place of a service that is asleep or waking.

use crate::{Answer, Content};
use naru_model::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// A page asks again after so many seconds, where nothing else is known.
const AGAIN: u64 = 3;

/// A page does not wait longer than this before it asks again: somebody may have woken the service.
const LONGEST: u64 = 30;

/// Why nobody answers.
#[derive(Clone, Copy, Debug)]
pub struct Rest {
    /// One sentence, for programs.
    pub reason: &'static str,
    /// In how many seconds the service is on again, if that is known.
    pub again: Option<u64>,
}

impl Rest {
    /// It is on again then, if that is known.
    pub fn until(reason: &'static str, until: Option<Time>) -> Rest {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Time(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX));
        Rest { reason, again: until.map(|until| until.since(now).0.div_ceil(1000).max(1)) }
    }

    /// For programs.
    pub fn plain(self) -> Answer {
        let again = self.again.unwrap_or(AGAIN).to_string();
        Answer::told(503, self.reason).with("Retry-After", &again)
    }

    /// For people: it looks again by itself.
    pub fn page(self) -> Answer {
        let again = self.again.unwrap_or(AGAIN).min(LONGEST);
        let (title, text) = match self.again {
            Some(seconds) => ("Asleep", format!("The service is asleep, and on again in {}.", span(seconds))),
            None => {
                ("Waking up", "The service is waking up. This page shows it as soon as it answers.".into())
            }
        };
        let page = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <meta http-equiv=\"refresh\" content=\"{again}\"><title>{title}</title>\
             <style>body{{font:1.1rem/1.5 system-ui,sans-serif;margin:20vh auto;max-width:32rem;padding:0 1rem}}\
             @media(prefers-color-scheme:dark){{body{{background:#111;color:#eee}}}}</style></head>\
             <body><h1>{title}</h1><p>{text}</p></body></html>\n"
        );
        let lines = format!(
            "X-Naru-Reason: {}\r\nRetry-After: {again}\r\nCache-Control: no-store\r\n\
             Content-Type: text/html; charset=utf-8\r\n",
            self.reason
        );
        Answer { status: 503, reason: self.reason, lines, body: Content::Text(page.into_bytes().into()) }
    }
}

fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} seconds"),
        120..7200 => format!("{} minutes", seconds / 60),
        _ => format!("{} hours", seconds / 3600),
    }
}
