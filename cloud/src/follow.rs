//! A want, followed from outside to its end.

use naru_api::{Client, ShowAssets};
use naru_model::{AssetView, Pursuit, Time};
use std::collections::BTreeSet;
use std::time::Duration;

/// Between two questions how it goes.
const ASK_AGAIN: Duration = Duration::from_millis(500);

/// How a want ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As wanted.
    Well,
    /// Otherwise, and why.
    Badly(String),
}

/// Tells each step until the want has ended; with another asset, where one stands in.
pub async fn see_through(client: &Client, mut asset: AssetView, mut tell: impl FnMut(&str)) -> Ended {
    let mut told: BTreeSet<(Time, String)> = BTreeSet::new();
    let wanted = asset.want.as_ref().map(|want| want.wanted);
    loop {
        if asset.want.as_ref().map(|want| want.wanted) != wanted {
            let why = asset.log.first().map(|entry| entry.text.clone()).unwrap_or_default();
            return Ended::Badly(format!("{}: something else is wanted since: {why}", asset.name));
        }
        let steps = asset.log.iter().map(|entry| (entry.at, format!("{}: {}", asset.name, entry.text)));
        let mut news: Vec<_> = steps.filter(|step| !told.contains(step)).collect();
        if let Some(Pursuit::Failed { .. } | Pursuit::Overtaken { .. }) = asset.pursuit {
            let last = news.pop().map(|(_, text)| text);
            news.iter().for_each(|(_, text)| tell(text));
            return Ended::Badly(last.unwrap_or_else(|| format!("{}: it ended otherwise", asset.name)));
        }
        news.iter().for_each(|(_, text)| tell(text));
        told.extend(news);
        let instead = match &asset.pursuit {
            Some(Pursuit::Reached { .. }) => return Ended::Well,
            Some(Pursuit::Elsewhere { by, .. }) => Some(by.clone()),
            _ => None,
        };
        tokio::time::sleep(ASK_AGAIN).await;
        // A server that does not answer at present is back in a moment, and goes on with what is wanted.
        let Ok(view) = client.assets(ShowAssets::Known).await else { continue };
        let next = view.assets.into_iter().find(|one| match &instead {
            Some(by) => one.name == *by,
            None => one.id == asset.id,
        });
        asset = next.unwrap_or(asset);
    }
}
