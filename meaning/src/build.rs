//! How a service's image is made.

use crate::container::{extra_hosts, ulimits};
use crate::service::{is_true, number, text, texts, words};
use naru_model::Build;
use naru_yaml::Node;

/// `build` of the service; `None`: its image is fetched.
pub(crate) fn build(node: &Node) -> Option<Build> {
    let written = node.get("build").filter(|_| node.at(&["x-naru", "process"]).is_none())?;
    Some(Build {
        context: text(written, "context").unwrap_or_default(),
        dockerfile: text(written, "dockerfile"),
        inline: text(written, "dockerfile_inline"),
        args: texts(written.get("args")),
        target: text(written, "target"),
        additional_contexts: texts(written.get("additional_contexts")),
        labels: texts(written.get("labels")),
        tags: words(written, "tags"),
        platforms: words(written, "platforms"),
        cache_from: words(written, "cache_from"),
        cache_to: words(written, "cache_to"),
        no_cache: is_true(written.get("no_cache")),
        pull: is_true(written.get("pull")),
        network: text(written, "network"),
        extra_hosts: extra_hosts(written),
        shm_size: number(written, "shm_size"),
        ulimits: ulimits(written),
    })
}
