//! Files and documents into one tree, layer by layer, in the order of the specification.
//!
//! For each document: interpolation, `extends`, what it resets, `include`, merge, uniqueness, schema,
//! long forms, uniqueness again (a range of ports may repeat a single one). The schema is checked on the
//! merged tree, since a layer by itself need not be whole; positions tell where each part came from.

use crate::dotenv;
use crate::files::{Files, advice, why};
use crate::interpolate::{Variables, interpolate};
use crate::merge;
use crate::normalize::{self, Surroundings};
use crate::schema::{self, Check, Unknown};
use crate::short::lengthen;
use crate::unique::enforce;
use crate::{check, extends};
use naru_yaml as yaml;
use naru_yaml::{Map, Node, Path, Pos, Report, Value, unix_path};

/// What loading works with.
pub(crate) struct Loader<'a> {
    pub report: &'a mut Report,
    pub files: &'a Files,
    pub unknown: Unknown,
    /// Files read so far: `include` and `extends` may name the same ones over and over.
    pub reads: usize,
}

/// Files that one stack may read, included and extended ones counted each time.
const MOST_READS: usize = 500;

/// Levels of `include`. Each is a level of recursion.
const DEEPEST: usize = 20;

impl Loader<'_> {
    /// The text of a Compose file that is named at `named`, and the number that stands for it in positions.
    pub fn read(&mut self, path: &str, named: Pos) -> Option<(String, u16)> {
        let text = self.text(path, named)?;
        let number = self.report.add_source(path, &text);
        Some((text, number))
    }

    fn text(&mut self, path: &str, named: Pos) -> Option<String> {
        self.reads += 1;
        if self.reads > MOST_READS {
            let message = format!("more than {MOST_READS} files are included or extended");
            self.report.error_advised(named, message, "look for files that include each other");
            return None;
        }
        let read = self.files.read(path);
        read.map_err(|error| {
            let message = format!("cannot read {}: {}", self.report.name_of(path), why(&error));
            self.report.error_advised(named, message, advice(&error));
        })
        .ok()
    }

    /// All layers of `files` merged, with absolute paths. `chain` is what has led here by `include`.
    pub fn model(&mut self, files: &[String], near: &Surroundings<'_>, named: Pos, chain: &[String]) -> Node {
        let mut root: Option<Node> = None;
        for path in files {
            let Some((text, number)) = self.read(path, named) else { continue };
            let mut chain = chain.to_vec();
            chain.push(path.clone());
            for document in yaml::parse(self.report, number, &text) {
                root = self.layer(root, document, near, &chain);
            }
        }
        let mut root = root.unwrap_or(Node::new(Value::Map(Map::new()), named));
        normalize::set_defaults(&mut root);
        check::objects(self.report, &root, &Path::default());
        normalize::resolve_paths(&mut root, near);
        root
    }

    fn layer(
        &mut self,
        base: Option<Node>,
        document: yaml::Document,
        near: &Surroundings<'_>,
        chain: &[String],
    ) -> Option<Node> {
        let top = Path::default();
        let yaml::Document { root: mut layer, resets } = document;
        if layer.map().is_none() {
            let message = format!("a Compose file is a mapping, and this is {}", layer.kind());
            self.report.error_advised(layer.pos, message, "begin with services:");
            return base;
        }
        interpolate(self.report, &mut layer, &top, near.variables);
        let file = chain.last().map(String::as_str).unwrap_or_default();
        extends::apply(self, &mut layer, file, near, &resets);
        let mut base = base;
        if let Some(base) = &mut base {
            merge::reset(base, &resets);
        }
        self.include(&mut layer, near, chain);
        let mut root = match base {
            Some(base) => merge::merge(self.report, base, layer, &top),
            None => layer,
        };
        self.settle(&mut root);
        Some(root)
    }

    /// A merged tree made unique, checked and brought into long forms.
    fn settle(&mut self, root: &mut Node) {
        let top = Path::default();
        enforce(self.report, root, &top);
        let schema = &*schema::COMPOSE;
        Check { root: schema, of: "Compose", unknown: self.unknown, report: self.report }
            .run(schema, root, &top);
        self.check_own(root);
        if let Some(version) = root.map_mut().and_then(|map| map.shift_remove("version")) {
            self.report.warn_advised(
                version.key,
                "version has no meaning any more, and is ignored",
                "remove it",
            );
        }
        lengthen(self.report, root, &top);
        normalize::each_service(root, |_, service| drop_blank_dns(service));
        enforce(self.report, root, &top);
    }

    fn check_own(&mut self, root: &Node) {
        let schema = &*naru_meaning::SCHEMA;
        let job_schema = &*naru_meaning::JOB_SCHEMA;
        for (kind, schema) in [("services", schema), ("jobs", job_schema)] {
            for (name, service) in root.get(kind).into_iter().flat_map(Node::entries) {
                let Some(own) = service.get("x-naru") else { continue };
                let path = Path::of(&[kind, name, "x-naru"]);
                Check { root: schema, of: "x-naru", unknown: self.unknown, report: self.report }
                    .run(schema, own, &path);
            }
        }
    }

    fn include(&mut self, layer: &mut Node, near: &Surroundings<'_>, chain: &[String]) {
        let Some(included) = layer.map_mut().and_then(|map| map.shift_remove("include")) else { return };
        let top = Path::default();
        let schema = &*schema::COMPOSE;
        let path = top.key("include");
        Check { root: schema, of: "Compose", unknown: self.unknown, report: self.report }.run(
            &schema["properties"]["include"],
            &included,
            &path,
        );
        for entry in included.items() {
            self.include_one(layer, entry, near, chain);
        }
    }

    fn include_one(&mut self, layer: &mut Node, entry: &Node, near: &Surroundings<'_>, chain: &[String]) {
        let files = match entry.str() {
            Some(path) => vec![near.absolute(path)],
            None => paths(entry, "path", near),
        };
        let Some(first) = files.first() else { return };
        if chain.len() > DEEPEST {
            let message = format!("files include each other over more than {DEEPEST} levels");
            return self.report.error_advised(entry.pos, message, "include them from one file");
        }
        if chain.contains(first) {
            let way: Vec<&str> = chain.iter().chain([first]).map(|path| self.report.name_of(path)).collect();
            let message = format!("files include each other in a circle: {}", way.join(" → "));
            return self.report.error_advised(entry.pos, message, "remove one of these includes");
        }
        let folder = match entry.get_str("project_directory") {
            Some(folder) => near.absolute(folder),
            None => unix_path::folder(first),
        };
        let variables = self.included_variables(entry, &folder, near);
        let inner = Surroundings { folder: &folder, variables: &variables };
        let model = self.model(&files, &inner, entry.pos, chain);
        self.import(layer, model);
    }

    /// What is set outside, and what the entry's env files add: its own, or `.env` of its folder.
    fn included_variables(&mut self, entry: &Node, folder: &str, near: &Surroundings<'_>) -> Variables {
        let mut env_files = paths(entry, "env_file", near);
        let beside = format!("{folder}/.env");
        if env_files.is_empty() && self.files.exists(&beside) {
            env_files.push(beside);
        }
        let mut variables = near.variables.clone();
        for path in &env_files {
            for (name, value) in self.env_file(path, entry.pos, near.variables) {
                variables.entry(name).or_insert(value);
            }
        }
        variables
    }

    /// The variables of an env file that is named at `named`.
    pub fn env_file(&mut self, path: &str, named: Pos, outside: &Variables) -> Variables {
        let Some(text) = self.text(path, named) else { return Variables::new() };
        let read = dotenv::parse(&text, &|name| outside.get(name).cloned());
        read.unwrap_or_else(|fault| {
            let number = self.report.add_secret_source(path);
            let pos = Pos { file: number, line: fault.line as u32, col: 1, width: 1 };
            self.report.error_advised(pos, fault.what, "write it as NAME=VALUE");
            Variables::new()
        })
    }

    /// Takes over what an included file defines; the same name for something else is a conflict.
    fn import(&mut self, layer: &mut Node, model: Node) {
        let Value::Map(kinds) = model.value else { return };
        let near = layer.clone_place();
        let Some(map) = layer.map_mut() else { return };
        for (kind, entries) in kinds {
            let known = ["services", "jobs", "volumes", "networks", "secrets", "configs", "models"];
            let Value::Map(entries) = entries.value else { continue };
            if !known.contains(&kind.as_str()) {
                continue;
            }
            let empty = Node::derived(Value::Map(Map::new()), &near);
            let Some(own) = map.entry(kind.clone()).or_insert(empty).map_mut() else { continue };
            for (name, entry) in entries {
                match own.get(&name) {
                    Some(conflict) if !conflict.same(&entry) => {
                        let message = format!("{kind}.{name} is also in a file that is included");
                        self.report.error_advised(conflict.key, message, "rename one of them");
                    }
                    Some(_) => {}
                    None => drop(own.insert(name, entry)),
                }
            }
        }
    }
}

/// One path or a list of them at `key`, absolute.
fn paths(entry: &Node, key: &str, near: &Surroundings<'_>) -> Vec<String> {
    let Some(node) = entry.get(key) else { return Vec::new() };
    node.items().iter().filter_map(Node::str).chain(node.str()).map(|path| near.absolute(path)).collect()
}

/// A blank `dns` entry, as a variable that is not set leaves it, counts as none.
fn drop_blank_dns(service: &mut Map) {
    if let Some(Value::List(list)) = service.get_mut("dns").map(|node| &mut node.value) {
        list.retain(|item| !item.is_null() && item.str() != Some(""));
    }
}
