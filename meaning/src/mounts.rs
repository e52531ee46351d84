//! What a container mounts, with the volumes as the engine knows them.

use crate::service::{is_true, text, texts};
use naru_model::{Mount, MountSource, Volume};
use naru_yaml::Node;
use std::collections::BTreeMap;

/// `volumes` of the service.
pub(crate) fn mounts(node: &Node, root: &Node) -> Vec<Mount> {
    let mount = |node: &Node| Mount {
        source: mounted(node, root),
        target: text(node, "target").unwrap_or_default(),
        read_only: is_true(node.get("read_only")),
    };
    node.get("volumes").map(Node::items).unwrap_or_default().iter().map(mount).collect()
}

fn mounted(node: &Node, root: &Node) -> MountSource {
    let source = text(node, "source");
    let detail = |group: &str, key: &str| node.at(&[group, key]).and_then(Node::scalar);
    match node.get_str("type") {
        Some("bind") => MountSource::Bind {
            path: source.unwrap_or_default(),
            create_host_path: is_true(node.at(&["bind", "create_host_path"])),
            propagation: detail("bind", "propagation"),
            selinux: detail("bind", "selinux"),
            recursive: detail("bind", "recursive"),
        },
        Some("tmpfs") => MountSource::Tmpfs {
            size: detail("tmpfs", "size").and_then(|size| size.parse().ok()),
            mode: detail("tmpfs", "mode").and_then(|mode| mode.parse().ok()),
        },
        Some("image") => {
            MountSource::Image { image: source.unwrap_or_default(), subpath: detail("image", "subpath") }
        }
        _ => MountSource::Volume {
            volume: source.map(|key| volume(root, key)),
            nocopy: is_true(node.at(&["volume", "nocopy"])),
            subpath: detail("volume", "subpath"),
            labels: texts(node.at(&["volume", "labels"])),
        },
    }
}

/// The top-level volume of this key.
fn volume(root: &Node, key: String) -> Volume {
    let written = root.at(&["volumes", &key]);
    let text = |name: &str| written.and_then(|volume| volume.get(name)).and_then(Node::scalar);
    Volume {
        name: text("name").unwrap_or_else(|| key.clone()),
        external: text("external").as_deref() == Some("true"),
        driver: text("driver"),
        driver_options: texts(written.and_then(|volume| volume.get("driver_opts"))),
        labels: texts(written.and_then(|volume| volume.get("labels"))),
        key,
    }
}

/// `tmpfs` of the service: options by the folder that they are for.
pub(crate) fn tmpfs(node: &Node) -> BTreeMap<String, String> {
    let written = node.get("tmpfs").map(Node::items).unwrap_or_default().iter().filter_map(Node::scalar);
    let split = |text: String| match text.split_once(':') {
        Some((folder, options)) => (folder.to_string(), options.to_string()),
        None => (text, String::new()),
    };
    written.map(split).collect()
}
