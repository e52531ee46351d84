//! What people are shown.

use crate::fleet::{Asset, Fleet};
use naru_model::{AssetHours, AssetId, AssetName, AssetView, AssetsView, MachineState, ProviderView, Time};

impl Fleet {
    /// All assets, in the order of their names.
    pub fn view(&self, now: Time) -> AssetsView {
        let providers = self.providers.values().map(|watched| ProviderView {
            name: watched.provider.name.clone(),
            kind: watched.provider.kind.word().into(),
            looked: watched.looked,
            fault: watched.fault.clone(),
        });
        let (names, hours) = (self.names(), self.all_hours());
        let mut assets: Vec<AssetView> = self
            .assets
            .iter()
            .filter(|(_, asset)| asset.seen.is_some() || asset.record.is_some())
            .map(|(id, asset)| {
                let hours = self.hours_view(&hours, (id, &names[id]), now);
                self.one(id, asset, names[id].clone(), hours)
            })
            .collect();
        assets.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        AssetsView { providers: providers.collect(), assets, fault: None }
    }

    fn one(&self, id: &AssetId, asset: &Asset, name: AssetName, hours: Option<AssetHours>) -> AssetView {
        let record = asset.record.as_ref();
        AssetView {
            id: id.clone(),
            name,
            machine: asset.seen.as_ref().map(|seen| seen.machine.clone()),
            since: since(asset),
            group: self.group(id).cloned(),
            hours,
            work: self.work_on(id),
            want: record.map(|record| record.want.clone()),
            pursuit: record.map(|record| record.pursuit.clone()),
            log: record.map(|record| record.log.clone()).unwrap_or_default(),
        }
    }
}

/// The cloud knows it better than whoever looks from time to time.
fn since(asset: &Asset) -> Option<Time> {
    let seen = asset.seen.as_ref()?;
    let told = match seen.machine.state {
        MachineState::Pending | MachineState::Running => seen.machine.launched,
        _ => seen.machine.changed,
    };
    Some(told.unwrap_or(seen.since))
}
