//! Images without containers: what there is, pulled, made and sent, for whoever makes releases.

use crate::brought::Brought;
use crate::build::{self, Recipe};
use crate::engine::Engine;
use crate::image::{self, Image, Progress};
use crate::{Error, push, stock};
use naru_model::{PullPolicy, StockImage};
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;

/// The images of the engine that a home uses. A cheap handle.
///
/// It leaves the home's own files to the [`crate::Runtime`]: the two may be in two processes.
pub struct Images {
    engine: Engine,
    brought: Brought,
}

impl Images {
    /// Of the home whose runtime has the folder `own`. No engine is asked.
    pub fn of(own: &Path, sockets: Result<Vec<PathBuf>, String>) -> Images {
        Images { engine: Engine::beside(own, sockets), brought: Brought::of(own) }
    }

    /// An image is about to be used: it is not taken for garbage before somebody has had the time to.
    pub fn touch(&self, image: &str) {
        self.brought.touch(image);
    }

    /// What is here under a name or id.
    ///
    /// # Errors
    /// No engine answers, or it refuses.
    pub async fn find(&self, named: &str) -> Result<Option<Image>, Error> {
        image::find(&self.engine.get_again().await?, named).await
    }

    /// What is here under a name, or in its registry, as the policy says.
    ///
    /// # Errors
    /// No engine answers, or the image cannot be had.
    pub async fn fetch(
        &self,
        named: &str,
        platform: Option<&str>,
        policy: PullPolicy,
        mut told: impl FnMut(Progress),
    ) -> Result<Image, Error> {
        let engine = self.engine.get_again().await?;
        image::by_policy(&engine, named, platform, policy, &mut told).await
    }

    /// Makes an image from sources. Each line that the builder says goes to `lines`, which may be slow.
    ///
    /// # Errors
    /// No engine answers, the sources cannot be read, or the build failed.
    pub async fn build(&self, recipe: Recipe, lines: mpsc::Sender<String>) -> Result<Image, Error> {
        let engine = self.engine.get_again().await?;
        build::build(&engine, recipe, lines).await
    }

    /// All images of the engine, and who uses them.
    ///
    /// # Errors
    /// No engine answers, or the home's books of what it brought cannot be read.
    pub async fn stock(&self) -> Result<Vec<StockImage>, Error> {
        stock::stock(&self.engine.get_again().await?, &self.brought).await
    }

    /// Whether this home ever brought an image that may be there still. No engine is asked.
    pub fn has_brought(&self) -> bool {
        self.brought.all().is_ok_and(|all| !all.is_empty())
    }

    /// Removes an image under all its names.
    ///
    /// # Errors
    /// No engine answers, or it does not let the image go.
    pub async fn remove(&self, image: &StockImage) -> Result<(), Error> {
        stock::remove(&self.engine.get_again().await?, &self.brought, image).await
    }

    /// Sends an image to its registry.
    ///
    /// # Errors
    /// No engine answers, or the registry refuses.
    pub async fn push(&self, named: &str, mut told: impl FnMut(Progress)) -> Result<Image, Error> {
        let engine = self.engine.get_again().await?;
        push::push(&engine, named, &mut told).await
    }
}
