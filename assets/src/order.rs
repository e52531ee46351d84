//! Whether what a person orders can be wanted.

use crate::fleet::{Asset, Fleet};
use crate::hours::by;
use crate::kept::AssetRecord;
use crate::record::{note, wanted};
use naru_model::{
    AssetId, AssetName, AssetOrder, AssetReason, AssetWant, MachineState, Pursuit, Refusal, Span, Time,
    Wanted, quantity,
};

impl Fleet {
    /// The record of an order. It is stored, and then applied.
    ///
    /// # Errors
    /// There is no such asset, it is gone, or work is in progress on it.
    pub fn order(&self, order: &AssetOrder, actor: &str, now: Time) -> Result<AssetRecord, Refusal> {
        let (id, name) = self.find(&order.asset)?;
        let asset = self.assets.get(&id).ok_or_else(|| unknown(&order.asset))?;
        let Some(seen) = &asset.seen else {
            let error = format!("{name} is not among the machines that its cloud lists");
            return Err(Refusal::new(error, "`naru assets ls` shows when it was looked at, and what failed"));
        };
        let state = seen.machine.state;
        if matches!(state, MachineState::ShuttingDown | MachineState::Terminated) {
            let error = format!("{name} is {state}: its cloud removed it for good");
            return Err(Refusal::new(error, "make another machine with the same tags"));
        }
        if order.wanted != Wanted::On
            && let Some(work) = self.work_on(&id).filter(|work| !work.is_idle())
        {
            let error =
                format!("{} in progress on {name}, which is the machine that Naru runs on", quantity(work));
            return Err(Refusal::new(error, "`naru work` lists it; stop the machine when it is done"));
        }
        let before = asset.record.as_ref();
        let (until, kept_since) = self.lasts(order, (&id, &name), asset, now)?;
        if let Some(open) = before.filter(|record| record.pursuit == Pursuit::Open)
            && (open.want.wanted, open.want.until) == (order.wanted, until)
        {
            return Ok(open.clone());
        }
        let (wanted_is, actor) = (order.wanted, actor.to_string());
        let message = order.message.clone();
        let want = AssetWant {
            wanted: wanted_is,
            actor: actor.clone(),
            message: message.clone(),
            at: now,
            until,
            kept_since,
            instead_of: None,
        };
        let mut record = wanted(before, &id, name, want);
        note(&mut record, now, AssetReason::Ordered { wanted: wanted_is, actor, until, message });
        Ok(record)
    }

    /// Until when it is wanted on, and since when such wants have kept it on.
    fn lasts(
        &self,
        order: &AssetOrder,
        (id, name): (&AssetId, &AssetName),
        asset: &Asset,
        now: Time,
    ) -> Result<(Option<Time>, Option<Time>), Refusal> {
        if order.wanted != Wanted::On {
            let what = "only what is wanted on has an end";
            return match order.within {
                Some(_) => Err(Refusal::new(what, "leave the time out")),
                None => Ok((None, None)),
            };
        }
        let hours = self.all_hours();
        let hours = self.hours_of(&hours, id, name);
        let most = self.provider(id.provider()).map(|provider| provider.power.wake_max).unwrap_or_default();
        let kept = asset.kept_on(now).and_then(|_| asset.record.as_ref()?.want.kept_since);
        let since = kept.unwrap_or(now);
        let latest = since + most;
        match order.within {
            None => {
                // In the hours in which it is off, nobody keeps it on without an end.
                let off = hours.filter(|hours| by(hours, now) == Wanted::Off);
                let until = off.map(|hours| hours.next_change(now).map_or(latest, |next| next.min(latest)));
                Ok((until, until.map(|_| since)))
            }
            Some(Span(0)) => {
                Err(Refusal::new("for no time at all is not at all", "say for how long, as `--for 2h`"))
            }
            Some(within) if now + within > latest => {
                let error = format!("{name} may be kept on for {most}: until {} at the latest", latest.utc());
                Err(Refusal::new(
                    error,
                    "`wake_max` in assets.yaml says for how long; without an end, leave `--for` out",
                ))
            }
            Some(within) => Ok((Some(now + within), Some(since))),
        }
    }

    /// The asset that a person means: by its name, or by the cloud's.
    fn find(&self, said: &str) -> Result<(AssetId, AssetName), Refusal> {
        let names = self.names();
        let named = names
            .iter()
            .filter(|(id, name)| name.as_str() == said || id.machine() == said || id.as_str() == said);
        let found: Vec<_> = named.collect();
        match found.as_slice() {
            [(id, name)] => Ok(((**id).clone(), (*name).clone())),
            [] => Err(unknown(said)),
            several => {
                let ids: Vec<&str> = several.iter().map(|(id, _)| id.as_str()).collect();
                let error = format!("{said} is several assets: {}", ids.join(", "));
                Err(Refusal::new(error, "name one of them in full, or give it a name in assets.yaml"))
            }
        }
    }
}

fn unknown(said: &str) -> Refusal {
    Refusal::new(format!("there is no asset {said}"), "`naru assets ls` lists them")
}
