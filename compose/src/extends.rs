//! `extends`: a service takes over another of the same file or of another, and is merged over it.

use crate::interpolate;
use crate::layers::Loader;
use crate::merge;
use crate::normalize::{self, Surroundings};
use crate::short::lengthen;
use crate::unique::enforce;
use naru_yaml as yaml;
use naru_yaml::{Map, Node, Path, Value, unix_path};
use std::collections::BTreeMap;

/// Replaces every service of `layer` that extends another by the merged one.
pub(crate) fn apply(
    loader: &mut Loader<'_>,
    layer: &mut Node,
    file: &str,
    near: &Surroundings<'_>,
    resets: &[Path],
) {
    let Some(Value::Map(services)) = layer.get("services").map(|node| node.value.clone()) else { return };
    if !services.values().any(|service| service.get("extends").is_some()) {
        return;
    }
    let mut extender = Extender { loader, near, read: BTreeMap::new(), is_refused: false };
    let own = Scope { file: file.into(), folder: near.folder.into(), services, resets: resets.to_vec() };
    let names: Vec<String> = own.services.keys().cloned().collect();
    for name in names {
        if extender.is_refused {
            return;
        }
        let merged = extender.resolve(&own, &name, &mut Vec::new());
        if let (Some(merged), Some(services)) =
            (merged, layer.map_mut().and_then(|map| map.get_mut("services")))
            && let Some(services) = services.map_mut()
        {
            services.insert(name, merged);
        }
    }
}

/// Levels of `extends`. Each is a level of recursion.
const DEEPEST: usize = 50;

/// The services that a name is looked up in.
#[derive(Clone)]
struct Scope {
    file: String,
    /// What `extends.file` is relative to.
    folder: String,
    services: Map,
    resets: Vec<Path>,
}

struct Extender<'a, 'l, 'n> {
    loader: &'a mut Loader<'l>,
    near: &'a Surroundings<'n>,
    read: BTreeMap<String, Option<Scope>>,
    /// A way was too long. Each service further along would find the same, all the way again.
    is_refused: bool,
}

impl Extender<'_, '_, '_> {
    /// The service `name` of `scope` with all that it extends. `None`: it is not there, or not a mapping.
    fn resolve(&mut self, scope: &Scope, name: &str, way: &mut Vec<String>) -> Option<Node> {
        let service = scope.services.get(name)?.clone();
        let Some(extends) = service.get("extends").cloned() else { return Some(service) };
        let path = Path::of(&["services", name]);
        let step = format!("{name} in {}", self.loader.report.name_of(&scope.file));
        if let Some((message, advice)) = no_way_on(&step, way) {
            self.loader.report.error_in(&path, extends.pos, message, advice);
            self.is_refused |= way.len() > DEEPEST;
            return None;
        }
        way.push(step);
        let base = self.base(scope, name, &extends, way);
        way.pop();
        let mut merged = match base {
            Some(base) => {
                let base = reset_in(base, name, &scope.resets);
                merge::merge(self.loader.report, base, service, &path)
            }
            None => service,
        };
        if let Some(map) = merged.map_mut() {
            map.shift_remove("extends");
        }
        Some(merged)
    }

    fn base(&mut self, scope: &Scope, name: &str, extends: &Node, way: &mut Vec<String>) -> Option<Node> {
        let path = Path::of(&["services", name]);
        let Some(wanted) = extends.str().or_else(|| extends.get_str("service")) else {
            let message = format!("services.{name}.extends does not name a service");
            self.loader.report.error_in(&path, extends.key, message, "add service: NAME");
            return None;
        };
        let other = match extends.get("file").and_then(|file| Some((file, file.str()?))) {
            Some((node, file)) => Some(self.scope_of(&unix_path::absolute(&scope.folder, file, None), node)?),
            None => None,
        };
        let scope = other.as_ref().unwrap_or(scope);
        if !scope.services.contains_key(wanted) {
            let names = scope.services.keys().map(String::as_str);
            let advice = naru_yaml::nearest(wanted, names).unwrap_or("name a service of that file".into());
            let file = self.loader.report.name_of(&scope.file);
            let message = format!("services.{name} extends \"{wanted}\", which is not in {file}");
            self.loader.report.error_in(&path, extends.pos, message, advice);
            return None;
        }
        self.resolve(scope, wanted, way)
    }

    /// The services of another file, in long forms and with absolute paths.
    fn scope_of(&mut self, path: &str, named: &Node) -> Option<Scope> {
        if let Some(known) = self.read.get(path) {
            return known.clone();
        }
        let scope = self.read_scope(path, named);
        self.read.insert(path.to_string(), scope.clone());
        scope
    }

    fn read_scope(&mut self, path: &str, named: &Node) -> Option<Scope> {
        let (text, number) = self.loader.read(path, named.pos)?;
        let top = Path::default();
        let mut root: Option<Node> = None;
        let mut resets = Vec::new();
        for mut document in yaml::parse(self.loader.report, number, &text) {
            interpolate::interpolate(self.loader.report, &mut document.root, &top, self.near.variables);
            root = Some(match root {
                Some(mut base) => {
                    merge::reset(&mut base, &document.resets);
                    merge::merge(self.loader.report, base, document.root, &top)
                }
                None => document.root,
            });
            resets.extend(document.resets);
        }
        let mut root = root?;
        enforce(self.loader.report, &mut root, &top);
        lengthen(self.loader.report, &mut root, &top);
        let folder = unix_path::folder(path);
        let near = Surroundings { folder: &folder, variables: self.near.variables };
        normalize::resolve_paths(&mut root, &near);
        let Some(Value::Map(services)) = root.get("services").map(|node| node.value.clone()) else {
            let message = format!("{} has no services to extend", self.loader.report.name_of(path));
            self.loader.report.error_advised(named.pos, message, "name a file with services:");
            return None;
        };
        Some(Scope { file: path.into(), folder: folder.clone(), services, resets })
    }
}

/// What is wrong with going on to `step`, and what to do about it.
fn no_way_on(step: &String, way: &[String]) -> Option<(String, &'static str)> {
    if way.contains(step) {
        let message = format!("services extend each other in a circle: {} → {step}", way.join(" → "));
        return Some((message, "break the circle"));
    }
    let message = format!("services extend each other over more than {DEEPEST} levels");
    (way.len() > DEEPEST).then_some((message, "extend a service nearer to the base"))
}

/// Drops from a base what the extending file resets in the service that extends it.
fn reset_in(base: Node, name: &str, resets: &[Path]) -> Node {
    let wrap = |name: &str, node: Node| {
        let place = node.clone_place();
        Node::derived(Value::Map([(name.to_string(), node)].into()), &place)
    };
    let mut root = wrap("services", wrap(name, base.clone()));
    merge::reset(&mut root, resets);
    root.at(&["services", name]).cloned().unwrap_or(base)
}
