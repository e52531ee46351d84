//! Whether what a person orders can be wanted.

use crate::fleet::Fleet;
use crate::record::{note, wanted};
use naru_model::{
    AssetId, AssetName, AssetOrder, AssetReason, AssetRecord, AssetWant, MachineState, Pursuit, Refusal,
    Time, Wanted, quantity,
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
        if let Some(open) = before.filter(|record| record.pursuit == Pursuit::Open)
            && open.want.wanted == order.wanted
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
            instead_of: None,
        };
        let mut record = wanted(before, &id, name, want);
        note(&mut record, now, AssetReason::Ordered { wanted: wanted_is, actor, message });
        Ok(record)
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
