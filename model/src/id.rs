//! Names, numbers and generations: one type each, so that none stands in for another.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use utoipa::ToSchema;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(transparent)]
        #[schema(value_type = String)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                $name(text.into())
            }
        }

        impl From<String> for $name {
            fn from(text: String) -> Self {
                $name(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
        )]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl $name {
            /// The one after this.
            pub fn next(self) -> Self {
                $name(self.0 + 1)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

text_id! {
    /// The name of a stack: lower-case letters, digits, `-` and `_`, as Compose's project names.
    StackName
}
text_id! {
    /// The name of a service within its stack.
    ServiceName
}
text_id! {
    /// One running copy of a service: `STACK.SERVICE.RELEASE.N`, never used again. Fit for a file name.
    InstanceId
}
text_id! {
    /// A machine.
    NodeId
}
text_id! {
    /// One life of an edge process: a new process is a new edge, with counters from zero.
    EdgeId
}
text_id! {
    /// What a person calls an asset.
    AssetName
}
text_id! {
    /// An asset: `PROVIDER/MACHINE`.
    AssetId
}
number_id! {
    /// The number of a release within its stack, from 1. A rollback is a new number with old contents.
    ReleaseNo
}
number_id! {
    /// The number of an operation, from 1, unique on its server.
    OperationId
}
number_id! {
    /// How new a piece of desired state is. A receiver refuses what is older than what it has applied.
    Generation
}

impl InstanceId {
    /// The id of the `n`th instance that its stack ever made.
    pub fn new(stack: &StackName, service: &ServiceName, release: ReleaseNo, n: u64) -> InstanceId {
        format!("{stack}.{service}.{release}.{n}").into()
    }
}

impl AssetId {
    /// The asset that this machine of this provider is.
    pub fn new(provider: &str, machine: &str) -> AssetId {
        format!("{provider}/{machine}").into()
    }

    /// Its provider.
    pub fn provider(&self) -> &str {
        self.0.split_once('/').map_or("", |(provider, _)| provider)
    }

    /// The cloud's name for it.
    pub fn machine(&self) -> &str {
        self.0.split_once('/').map_or(&self.0, |(_, machine)| machine)
    }
}
