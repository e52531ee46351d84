//! What a container mounts, and the files that it is given: volumes, folders, memory, secrets and configs.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Not;
use utoipa::ToSchema;

/// Something mounted in a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Mount {
    /// What.
    pub source: MountSource,
    /// Where, absolute.
    pub target: String,
    /// Whether it may not be written.
    #[serde(default, skip_serializing_if = "Not::not")]
    pub read_only: bool,
}

impl Mount {
    /// The named volume, if it is one.
    pub fn volume(&self) -> Option<&Volume> {
        match &self.source {
            MountSource::Volume { volume, .. } => volume.as_ref(),
            _ => None,
        }
    }
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MountSource {
    /// A file or folder of the host.
    Bind {
        /// Absolute.
        path: String,
        /// Whether a folder is made there if nothing is.
        #[serde(default, skip_serializing_if = "Not::not")]
        create_host_path: bool,
        /// How mounts below it are seen on the other side (`rprivate`, `rshared`, …).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        propagation: Option<String>,
        /// `z` (shared) or `Z` (its own): what SELinux is told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        selinux: Option<String>,
        /// `enabled`, `disabled`, `writable` or `readonly`: what becomes of mounts below it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recursive: Option<String>,
    },
    /// A volume of the engine.
    Volume {
        /// Which; `None`: one of the instance's own, without a name, which goes with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        volume: Option<Volume>,
        /// Whether what the image has there is not copied into it when it is new.
        #[serde(default, skip_serializing_if = "Not::not")]
        nocopy: bool,
        /// The folder in it that is mounted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subpath: Option<String>,
        /// Labels of a volume without a name.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        labels: BTreeMap<String, String>,
    },
    /// Memory.
    Tmpfs {
        /// Bytes; `None`: no limit but the host's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        size: Option<u64>,
        /// Permission bits.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mode: Option<u32>,
    },
    /// What an image holds.
    Image {
        /// Its reference.
        image: String,
        /// The folder in it that is mounted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        subpath: Option<String>,
    },
}

/// A named volume of the engine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Volume {
    /// What the engine knows it by.
    pub name: String,
    /// Its key in the file.
    pub key: String,
    /// Whether it is there already and is never made or removed.
    #[serde(skip_serializing_if = "Not::not")]
    pub external: bool,
    /// Who provides it; `None`: the engine's default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// The driver's options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_options: BTreeMap<String, String>,
    /// Labels of the volume.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// A secret or config, as a file in a container.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ContentFile {
    /// What it is.
    pub kind: ContentKind,
    /// Its key in the file.
    pub name: String,
    /// Where it is, absolute.
    pub target: String,
    /// Permission bits.
    pub mode: u32,
    /// Whose it is, by number; `None`: root's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Which group's it is, by number; `None`: root's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
    /// What is in it: another content is another release.
    pub content: ContentId,
}

/// Secret or config.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ContentKind {
    /// Not for everyone's eyes.
    Secret,
    /// For anyone's.
    Config,
}

impl ContentKind {
    /// The word.
    pub fn word(self) -> &'static str {
        match self {
            ContentKind::Secret => "secret",
            ContentKind::Config => "config",
        }
    }
}

/// Which content: the SHA-256 of its bytes, 64 hex digits in lower case. It is the name of the file that holds it,
/// so nothing else can be one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String")]
#[schema(value_type = String, pattern = "^[0-9a-f]{64}$")]
pub struct ContentId(String);

impl ContentId {
    /// That of `content`.
    pub fn of(content: &[u8]) -> ContentId {
        ContentId(Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ContentId {
    type Error = String;

    fn try_from(text: String) -> Result<ContentId, String> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        match text.len() == 64 && text.bytes().all(is_digit) {
            true => Ok(ContentId(text)),
            false => Err("a content's id is 64 hex digits in lower case".into()),
        }
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_is_named_by_its_digest_and_by_nothing_else() {
        let id = ContentId::of(b"");
        assert!(id.as_str().starts_with("e3b0c44298fc1c14"), "{id}");
        let again: ContentId = serde_json::from_str(&format!("\"{id}\"")).expect("its own form");
        assert_eq!(again, id);
        for other in ["", "../../etc/passwd", &id.as_str()[1..], &id.as_str().to_uppercase()] {
            assert!(ContentId::try_from(other.to_string()).is_err(), "{other}");
        }
    }
}
