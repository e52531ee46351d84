//! Files into and out of containers, running or not to the engine: as the archives that it takes and gives.

use crate::{Error, Runtime};
use bollard::body_stream;
use bollard::query_parameters::{
    ContainerArchiveInfoOptionsBuilder, DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder,
};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use naru_model::InstanceId;
use tokio::sync::mpsc::{Receiver, Sender};

/// In Go's words, the bit that says that it is a folder.
const IS_FOLDER: u32 = 1 << 31;

impl Runtime {
    /// Hands out what is at a path of a container, as an archive.
    ///
    /// # Errors
    /// There is no such thing, or the engine does not answer.
    pub async fn copy_out(&self, id: &InstanceId, path: &str, to: Sender<Vec<u8>>) -> Result<(), Error> {
        let (engine, container) = self.container_of(id).await?;
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let mut archive = engine.docker.download_from_container(&container, Some(options));
        while let Some(piece) = archive.next().await {
            let piece = engine.ask(std::future::ready(piece), || format!("copy {path} of {id}")).await?;
            if to.send(piece.to_vec()).await.is_err() {
                break;
            }
        }
        Ok(())
    }

    /// Puts an archive into a folder of a container.
    ///
    /// # Errors
    /// There is no such folder, or the engine refuses or does not answer.
    pub async fn copy_in(&self, id: &InstanceId, folder: &str, from: Receiver<Vec<u8>>) -> Result<(), Error> {
        let (engine, container) = self.container_of(id).await?;
        let options = UploadToContainerOptionsBuilder::default().path(folder).build();
        let pieces = stream::unfold(from, |mut from| async move {
            let piece = from.recv().await?;
            Some((Bytes::from(piece), from))
        });
        let sent = engine.docker.upload_to_container(&container, Some(options), body_stream(pieces));
        engine.ask(sent, || format!("copy into {folder} of {id}")).await
    }

    /// Whether there is a folder at a path of a container. What is not there is none.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn has_folder(&self, id: &InstanceId, path: &str) -> Result<bool, Error> {
        let (engine, container) = self.container_of(id).await?;
        let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
        let asked = engine.docker.get_container_archive_info(&container, Some(options));
        match engine.ask(asked, || format!("look at {path} of {id}")).await {
            Ok(seen) => Ok(seen.file_mode & IS_FOLDER != 0),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }
}
