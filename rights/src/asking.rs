//! What can be asked for at the service desk: in kind, in number, for how long, and in which words.

use crate::admit::{Declined, no_sense};
use crate::desk::{Desk, too_late};
use crate::schema::applies;
use naru_model::{Change, Span};
use naru_who::{Asked, DeskRequest, PersonWrite};

/// So many of one person may be open at a time, and so many in all: more than anybody decides about.
const OPEN_OF_ONE_MAX: usize = 20;
const OPEN_MAX: usize = 1_000;

/// Those that are over are kept for a while, and up to so many.
const KEPT: Span = Span::mins(30 * 24 * 60);
const KEPT_MAX: usize = 2_000;

/// What is needed for longer is granted.
const LASTS_MAX: Span = Span::mins(7 * 24 * 60);

/// A reason is a few sentences.
const WORDS_MAX: usize = 1_000;

/// A change is about so many services at most.
const SERVICES_MAX: usize = 50;

impl Desk<'_> {
    /// What can be asked for at all.
    pub(crate) fn check(&self, asked: &Asked) -> Result<(), Declined> {
        let granted = "whoever manages people grants it: `naru grant add`";
        let (right, on) = asked.takes();
        let is_known = match asked {
            Asked::Deed { change, .. } => is_deed(change),
            Asked::Right { right, .. } => right.is_lent(),
        };
        if !is_known {
            return Err(no_sense(format!("{right} is not asked for at the service desk"), granted));
        }
        if on.len() > SERVICES_MAX {
            return Err(no_sense(format!("a request is about {SERVICES_MAX} services at most"), "ask twice"));
        }
        for on in &on {
            if on.chain().is_none() || on.stack().is_none() || !applies(right, on) {
                return Err(no_sense(
                    format!("{right} on {on} is not asked for at the service desk"),
                    granted,
                ));
            }
        }
        if asked.lasts().is_some_and(|lasts| lasts < Span::mins(1) || lasts > LASTS_MAX) {
            return Err(no_sense("a request is for a minute at least, and for 7 days at most", granted));
        }
        Ok(())
    }

    pub(crate) fn check_open(&self, asked: &Asked) -> Result<(), Declined> {
        let all = self.rights.people().requests.values();
        let open: Vec<&DeskRequest> = all.filter(|one| !one.state_at(self.now).is_over()).collect();
        let mine: Vec<&&DeskRequest> = open.iter().filter(|one| one.by == self.who.name).collect();
        if let Some(same) = mine.iter().find(|one| one.asked.is_same(asked)) {
            let state = same.state_at(self.now).word();
            return Err(too_late(format!("request {} asks for that already, and is {state}", same.id)));
        }
        if mine.len() >= OPEN_OF_ONE_MAX || open.len() >= OPEN_MAX {
            let error =
                format!("{OPEN_OF_ONE_MAX} requests of one person are open at most, {OPEN_MAX} in all");
            return Err(no_sense(error, "`naru withdraw` takes one back that is not needed any more"));
        }
        Ok(())
    }

    /// Those that were over long ago, or are too many.
    pub(crate) fn forgotten(&self) -> Vec<PersonWrite> {
        let people = self.rights.people();
        let is_over = |one: &&DeskRequest| one.state_at(self.now).is_over();
        let over: Vec<&DeskRequest> = people.requests.values().filter(is_over).collect();
        let many = over.len().saturating_sub(KEPT_MAX);
        let is_old =
            |(at, one): &(usize, &DeskRequest)| *at < many || one.lapses + KEPT + LASTS_MAX < self.now;
        let old = over.into_iter().enumerate().filter(is_old);
        old.map(|(_, one)| PersonWrite::ForgetRequest(one.id)).collect()
    }
}

/// Whether a change makes sense as something that is done once.
pub fn is_deed(change: &Change) -> bool {
    !matches!(
        change,
        Change::Deploy { .. } | Change::Import { .. } | Change::OneOff { .. } | Change::Cancel { .. }
    )
}

/// For how long it is approved: not longer than was asked for.
pub(crate) fn shortened(request: &DeskRequest, shorter: Option<Span>) -> Result<Option<Span>, Declined> {
    match (request.asked.lasts(), shorter) {
        (asked, None) => Ok(asked),
        (None, Some(_)) => {
            Err(no_sense(format!("request {} is for no time", request.id), "leave `--for` out"))
        }
        (Some(asked), Some(shorter)) if shorter > asked || shorter == Span::ZERO => {
            let error = format!("request {} is for {asked}, and is not approved for longer", request.id);
            Err(no_sense(error, "name a shorter time"))
        }
        (Some(_), shorter) => Ok(shorter),
    }
}

pub(crate) fn check_reason(reason: &str) -> Result<(), Declined> {
    if reason.trim().is_empty() {
        return Err(no_sense("without a reason nobody can decide", "`--reason` says why"));
    }
    check_words(reason)
}

/// Controls, and signs that turn the direction of what stands beside them, or are not seen.
fn misleads(sign: char) -> bool {
    sign.is_control()
        || matches!(sign, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

pub(crate) fn check_words(words: &str) -> Result<(), Declined> {
    if words.len() <= WORDS_MAX && !words.chars().any(misleads) {
        return Ok(());
    }
    Err(no_sense(format!("a reason or note is one line of at most {WORDS_MAX} bytes"), "say it shorter"))
}
