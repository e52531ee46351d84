//! The way from files to a stack.

use crate::canonical;
use crate::discover::{LONGEST_NAME, Start, discover};
use crate::files::{Files, STDIN, Stdin};
use crate::layers::Loader;
use crate::normalize::Surroundings;
use crate::schema::Unknown;
use naru_meaning::{Addresses, Contents, Meant, Unsupported};
use naru_model::Stack;
use naru_yaml::{Diagnostic, Errors, Node, Pos, Report};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What to load, and how.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// `-f`, in the order of merging; `-` is standard input. Empty: `COMPOSE_FILE`, else `compose.yaml` here or in a folder above.
    pub files: Vec<PathBuf>,
    /// `-p`. `None`: `COMPOSE_PROJECT_NAME`, else the file's `name`, else the folder's.
    pub project_name: Option<String>,
    /// `--project-directory`. `None`: the folder of the first file; for standard input, this folder.
    pub project_dir: Option<PathBuf>,
    /// `--env-file`. Empty: `.env` in the project's folder, if there is one.
    pub env_files: Vec<PathBuf>,
    /// The variables of the caller's environment.
    pub environment: BTreeMap<String, String>,
    /// `--profile`; `*` is all. Empty: `COMPOSE_PROFILES`.
    pub profiles: Vec<String>,
    /// What follows when a key is known and has no effect yet, or is not known.
    pub unsupported: Unsupported,
    /// What reads the calendars at addresses.
    pub addresses: Addresses,
}

/// What the files say.
#[derive(Clone, Debug, PartialEq)]
pub struct Loaded {
    /// The stack, every default filled in.
    pub stack: Stack,
    /// What is in its secrets and configs, of which the stack has only digests. Not to be shown.
    pub contents: Contents,
    /// The canonical form: what `docker compose config --format json` prints, with `x-naru` kept.
    pub canonical: serde_json::Value,
    /// What has no effect or may surprise, in the order of the files and lines.
    pub warnings: Vec<Diagnostic>,
    /// Why the stack cannot be run here and now, though the files are right: each is an error for whoever wants
    /// to run it, and none for whoever looks at it.
    pub unfit: Vec<Diagnostic>,
    /// The files that were merged, absolute (or `-`), without included and extended ones.
    pub files: Vec<String>,
}

impl Loaded {
    /// The same, if the stack can be run here and now.
    ///
    /// # Errors
    /// All that keeps it from being run.
    pub fn runnable(self) -> Result<Loaded, Errors> {
        match self.unfit.is_empty() {
            true => Ok(self),
            false => Err(Errors { errors: self.unfit, warnings: self.warnings }),
        }
    }

    /// The canonical form as YAML, to be read as a Compose file again.
    pub fn yaml(&self) -> String {
        naru_yaml::to_yaml(&self.canonical)
    }
}

/// Loads what `options` says from the disk.
///
/// # Errors
///
/// All that is wrong with the files, each with its place.
pub fn load(options: &Options) -> Result<Loaded, Errors> {
    let current = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    load_from(&Files::Disk(Stdin::default()), options, &current.to_string_lossy())
}

/// Loads from texts in memory, by their absolute paths; nothing is read from the disk. Relative paths in
/// `options` are relative to `/`.
///
/// # Errors
///
/// All that is wrong with the texts, each with its place.
pub fn load_texts(texts: BTreeMap<String, String>, options: &Options) -> Result<Loaded, Errors> {
    load_from(&Files::Memory(texts), options, "/")
}

fn load_from(files: &Files, options: &Options, current: &str) -> Result<Loaded, Errors> {
    let mut report = Report::seen_from(current);
    let loaded = discover(&mut report, files, options, current)
        .and_then(|start| load_start(&mut report, files, options, start));
    let failed = report.error_count() > 0;
    let unfit = report.take_unfit();
    let (errors, warnings) = report.finish();
    match loaded {
        Some(loaded) if !failed => Ok(Loaded { warnings, unfit, ..loaded }),
        _ => Err(Errors { errors, warnings }),
    }
}

/// `None` where there is nothing to go on with; the report says why.
fn load_start(report: &mut Report, files: &Files, options: &Options, start: Start) -> Option<Loaded> {
    let unknown = match options.unsupported {
        Unsupported::Loose => Unknown::Ignore,
        Unsupported::Warn | Unsupported::Strict => Unknown::Refuse,
    };
    let near = Surroundings { folder: &start.folder, variables: &start.variables };
    let mut loader = Loader { report, files, unknown, reads: 0 };
    let root = loader.model(&start.files, &near, Pos::NOWHERE, &[]);
    if root.entries().next().is_none() {
        if report.error_count() == 0 {
            let named = |path: &String| match path.as_str() {
                STDIN => "standard input".to_string(),
                path => report.name_of(path).to_string(),
            };
            let names: Vec<String> = start.files.iter().map(named).collect();
            let message = format!("nothing is written in {}", names.join(", "));
            report.error_advised(root.pos, message, "begin with services:");
        }
        return None;
    }
    naru_meaning::tell_file(loader.report, &root, options.unsupported);
    let project = canonical::project(&mut loader, root, &start)?;
    let canonical = canonical::to_json(&project.root);
    let Meant { stack, contents } = meaning(report, files, options, &start, &project);
    published_once(report, &project.root);
    short_names(report, &project.root);
    distinct_addresses(report, &project.root);
    Some(Loaded { stack, contents, canonical, warnings: vec![], unfit: vec![], files: start.files })
}

fn meaning(
    report: &mut Report,
    files: &Files,
    options: &Options,
    start: &Start,
    project: &canonical::Project,
) -> Meant {
    let project = naru_meaning::Project {
        root: &project.root,
        broken: &project.broken,
        texts: &project.contents,
        name: &start.name,
        folder: &start.folder,
        variables: &start.variables,
        read: &|path| files.read_bytes(path),
        addresses: &options.addresses,
        unsupported: options.unsupported,
    };
    naru_meaning::stack(report, &project)
}

fn short_names(report: &mut Report, root: &Node) {
    for (key, whose) in [("services", "a service's"), ("jobs", "a job's")] {
        for (name, entry) in root.get(key).into_iter().flat_map(Node::entries) {
            let count = name.len();
            if count > LONGEST_NAME {
                let message = format!("{whose} name has {count} characters, and {LONGEST_NAME} are the most");
                report.error_advised(entry.key, message, "write a shorter one");
            }
        }
    }
}

/// The variables that name services' addresses have fewer characters than their names.
fn distinct_addresses(report: &mut Report, root: &Node) {
    let mut known: BTreeMap<String, &str> = BTreeMap::new();
    for (name, service) in root.get("services").into_iter().flat_map(Node::entries) {
        let upper = name.to_uppercase().replace(|c: char| !c.is_ascii_alphanumeric(), "_");
        let Some(other) = known.insert(upper.clone(), name) else { continue };
        let message =
            format!("services {other} and {name} have the same variable for their address: NARU_URL_{upper}");
        report.warn_advised(service.key, message, "rename one of them");
    }
}

/// Two services cannot publish the same port.
fn published_once(report: &mut Report, root: &Node) {
    let mut known: BTreeMap<(String, String), &str> = BTreeMap::new();
    for (name, service) in root.get("services").into_iter().flat_map(Node::entries) {
        for port in service.get("ports").map(Node::items).unwrap_or_default() {
            let Some(published) = port.get("published") else { continue };
            let host = port.get_str("host_ip").unwrap_or("0.0.0.0");
            let protocol = port.get_str("protocol").unwrap_or("tcp");
            let key = (published.scalar().unwrap_or_default(), format!("{host}/{protocol}"));
            let Some(other) = known.insert(key, name).filter(|other| *other != name.as_str()) else {
                continue;
            };
            let message = format!(
                "services.{name}.ports publishes {}, which services.{other} does too",
                published.scalar().unwrap_or_default()
            );
            report.error_advised(published.pos, message, "publish one of them elsewhere");
        }
    }
}
