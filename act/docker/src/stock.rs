//! What an engine has of images, and their removal.

use crate::Error;
use crate::brought::Brought;
use crate::engine::Found;
use crate::image::Image;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptionsBuilder,
};
use naru_model::StockImage;
use std::collections::{BTreeMap, BTreeSet};

/// All images with a name or made by a build's last step, and who uses them. What was brought and is gone is forgotten.
pub(crate) async fn stock(engine: &Found, brought: &Brought) -> Result<Vec<StockImage>, Error> {
    let mut brought_at = brought.all()?;
    let all = ListContainersOptionsBuilder::default().all(true).build();
    let containers = engine.docker.list_containers(Some(all));
    let mut used: BTreeMap<String, u64> = BTreeMap::new();
    for one in engine.ask(containers, || "list containers".into()).await? {
        *used.entry(one.image_id.unwrap_or_default()).or_default() += 1;
    }
    let listed = engine.docker.list_images(Some(ListImagesOptionsBuilder::default().build()));
    let mut stock = Vec::new();
    for one in engine.ask(listed, || "list images".into()).await? {
        let names = one.repo_tags.into_iter().chain(one.repo_digests);
        let names = names.filter(|name| !name.contains("<none>")).collect();
        let containers = used.get(&one.id).copied().unwrap_or_default();
        let (bytes, brought) = (one.size.max(0) as u64, brought_at.remove(&one.id));
        stock.push(StockImage { id: one.id, names, bytes, brought, containers });
    }
    for gone in brought_at.keys() {
        brought.forget(gone)?;
    }
    Ok(stock)
}

/// The images that are there before one is brought.
pub(crate) struct Before(BTreeSet<String>);

impl Before {
    pub(crate) async fn of(engine: &Found) -> Result<Before, Error> {
        let listed = engine.docker.list_images(Some(ListImagesOptionsBuilder::default().build()));
        let listed = engine.ask(listed, || "list images".into()).await?;
        Ok(Before(listed.into_iter().map(|one| one.id).collect()))
    }

    /// What was not there before is entered as brought.
    pub(crate) fn enter(&self, engine: &Found, image: &Image) -> Result<(), Error> {
        match &engine.brought {
            Some(brought) if !self.0.contains(&image.id) => brought.enter(&image.id),
            _ => Ok(()),
        }
    }
}

/// Removes an image under each of its names. What the engine will not let go stays.
pub(crate) async fn remove(engine: &Found, brought: &Brought, image: &StockImage) -> Result<(), Error> {
    let tags = image.names.iter().filter(|name| !name.contains('@')).cloned();
    let all: Vec<String> = tags.chain([image.id.clone()]).collect();
    for name in all {
        let options = RemoveImageOptionsBuilder::default().build();
        let removed = engine.docker.remove_image(&name, Some(options), None);
        match engine.ask(removed, || format!("remove image {name}")).await {
            // With its last name it is gone altogether.
            Err(error) if error.is_missing() => {}
            other => drop(other?),
        }
    }
    brought.forget(&image.id)
}
