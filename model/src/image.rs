//! Images: what a reference means at a moment, and what is wanted of those that a stack is made from.

use crate::{PullPolicy, ReleaseNo, ServiceName, StackName, Time, plural};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Not;
use utoipa::ToSchema;

/// The image that a container is made from, whatever its reference means by now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UsedImage {
    /// The engine's id of it: the same content has the same id.
    pub id: String,
    /// By which a registry has it, as `NAME@sha256:…`; `None`: it was made on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// What references mean, by the reference as the file has it.
pub type Images = BTreeMap<String, UsedImage>;

impl UsedImage {
    /// Whether it has the same content as another. Registries give it other names, and engines other ids.
    pub fn is_same(&self, other: &UsedImage) -> bool {
        let digest = |one: &UsedImage| one.digest.as_ref()?.split_once('@').map(|(_, sum)| sum.to_owned());
        self.id == other.id || digest(self).is_some() && digest(self) == digest(other)
    }

    /// Twelve digits for people: of the registry's digest, or of the engine's id.
    pub fn short(&self) -> &str {
        let whole = self.digest.as_deref().unwrap_or(&self.id);
        let digits = whole.rsplit(':').next().unwrap_or(whole);
        digits.get(..12).unwrap_or(digits)
    }
}

/// What is wanted of the images of a stack's services.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ImageAct {
    /// To know what they are, of those that are here. Nothing is fetched.
    Look,
    /// To have them for a release.
    Prepare {
        /// Instead of what the file says of those that are not built.
        #[serde(default)]
        pull: Option<PullPolicy>,
        /// Of those that can be built.
        #[serde(default)]
        build: BuildChoice,
    },
    /// To fetch them.
    Pull {
        /// Instead of always.
        #[serde(default)]
        policy: Option<PullPolicy>,
    },
    /// To make those that can be built.
    Build(BuildSettings),
    /// To send those that can be built to their registries.
    Push,
}

/// Whether a release makes the images that can be built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BuildChoice {
    /// Those that are not here, and those of which the file says so.
    #[default]
    AsNeeded,
    /// All.
    Always,
    /// None.
    Never,
}

/// How images are made, beside what the file says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct BuildSettings {
    /// Values of arguments, instead of the file's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, String>,
    /// Whether no layer of earlier builds is used.
    #[serde(skip_serializing_if = "Not::not")]
    pub no_cache: bool,
    /// Whether the images that they begin with are fetched anew.
    #[serde(skip_serializing_if = "Not::not")]
    pub pull: bool,
}

/// An image that a node's engine has, as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StockImage {
    /// The engine's id.
    pub id: String,
    /// Its names, as tags and as digests.
    pub names: Vec<String>,
    /// What it takes of the disk; what it shares with others is counted for each of them.
    pub bytes: u64,
    /// When Naru pulled or built it; `None`: somebody else did.
    pub brought: Option<Time>,
    /// Containers that are made from it, whosever they are.
    pub containers: u64,
}

/// What becomes of an image, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ImageFate {
    /// Which.
    pub image: StockImage,
    /// Why it is kept, or goes.
    pub why: FateReason,
    /// Why it is there all the same, where the engine did not let it go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
}

/// Why an image is kept, or goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FateReason {
    /// Kept: Naru did not bring it.
    NotOurs,
    /// Kept: containers are made from it.
    Used {
        /// How many.
        containers: u64,
    },
    /// Kept: a release that is recorded needs it, serving, stopped, or to be gone back to.
    Needed {
        /// Of which stack.
        stack: StackName,
        /// For which service.
        service: ServiceName,
        /// The newest such release.
        release: ReleaseNo,
    },
    /// Kept: it came just now, perhaps for a release that is about to be made.
    Recent,
    /// Goes: no release that is recorded needs it.
    Unneeded,
    /// Goes: only releases of a stack that was taken down need it, and nobody goes back to those.
    Down {
        /// Which.
        stack: StackName,
    },
}

impl FateReason {
    /// Whether the image goes.
    pub fn goes(&self) -> bool {
        matches!(self, FateReason::Unneeded | FateReason::Down { .. })
    }
}

impl fmt::Display for FateReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FateReason::NotOurs => write!(f, "Naru did not bring it"),
            FateReason::Used { containers } => {
                write!(f, "{} made from it", plural(*containers, "container"))
            }
            FateReason::Needed { stack, service, release } => {
                write!(f, "release {release} of {stack} needs it for {service}")
            }
            FateReason::Recent => write!(f, "it came within the last hour"),
            FateReason::Unneeded => write!(f, "no release that is kept needs it"),
            FateReason::Down { stack } => {
                write!(f, "{stack} is down, and pulls or builds it when it comes up")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::UsedImage;

    #[test]
    fn content_is_the_same_by_id_or_by_digest() {
        let of = |id: &str, digest: Option<&str>| UsedImage {
            id: id.into(),
            digest: digest.map(|digest| format!("{digest}0123456789abcdef")),
        };
        let pulled = of("sha256:aa", Some("web@sha256:"));
        assert!(pulled.is_same(&of("sha256:aa", None)));
        assert!(pulled.is_same(&of("sha256:bb", Some("localhost:5000/web@sha256:"))));
        assert!(!pulled.is_same(&of("sha256:bb", Some("web@sha256:9"))));
        assert!(!of("sha256:aa", None).is_same(&of("sha256:bb", None)));
        assert_eq!((pulled.short(), of("sha256:aa", None).short()), ("0123456789ab", "aa"));
    }
}
