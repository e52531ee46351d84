//! Before the first file is read: which files, which folder, which variables, which name.

use crate::dotenv;
use crate::files::{Files, STDIN, advice, why};
use crate::interpolate::{Need, Variables, substitute};
use crate::load::Options;
use naru_yaml as yaml;
use naru_yaml::{Pos, Report, unix_path};

/// What loading starts from.
#[derive(Clone, Debug)]
pub(crate) struct Start {
    /// Absolute paths, in the order of merging.
    pub files: Vec<String>,
    /// The project's folder, absolute.
    pub folder: String,
    pub variables: Variables,
    pub profiles: Vec<String>,
    pub name: String,
}

const FILE_NAMES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];

const OVERRIDE_NAMES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// Finds out where to start, from `current`, the folder that relative paths are relative to. `None`: the
/// report says why not.
pub(crate) fn discover(
    report: &mut Report,
    files: &Files,
    options: &Options,
    current: &str,
) -> Option<Start> {
    let text = |path: &std::path::Path| unix_path::absolute(current, &path.to_string_lossy(), None);
    let given_folder = options.project_dir.as_deref().map(text);
    let first_folder = given_folder.clone().unwrap_or_else(|| current.to_string());
    let env_files: Vec<String> = options.env_files.iter().map(|path| text(path)).collect();
    let mut variables = options.environment.clone();
    add_env_files(report, files, &mut variables, &env_files, &first_folder);

    let file = |path: &str| compose_file(current, path);
    let given: Vec<String> = options.files.iter().map(|path| file(&path.to_string_lossy())).collect();
    let paths = match (given.is_empty(), variables.get("COMPOSE_FILE")) {
        (false, _) => given,
        (true, Some(list)) => from_variable(list, &variables).map(file).collect(),
        (true, None) => search(report, files, &first_folder)?,
    };
    let first = paths.first()?;
    let folder = given_folder.unwrap_or_else(|| match first.as_str() {
        STDIN => current.to_string(),
        path => unix_path::folder(path),
    });
    if folder != first_folder && env_files.is_empty() {
        add_env_files(report, files, &mut variables, &[], &folder);
    }
    let profiles = active_profiles(options, &variables);
    let name = project_name(report, files, options, &variables, &paths, &folder)?;
    variables.insert("COMPOSE_PROJECT_NAME".into(), name.clone());
    Some(Start { files: paths, folder, variables, profiles, name })
}

fn active_profiles(options: &Options, variables: &Variables) -> Vec<String> {
    match (options.profiles.is_empty(), variables.get("COMPOSE_PROFILES")) {
        (true, Some(list)) => {
            let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
            names.map(str::to_string).collect()
        }
        _ => options.profiles.clone(),
    }
}

/// Adds what env files say to what is set already; that wins. Without any given, `.env` of the folder.
fn add_env_files(report: &mut Report, files: &Files, into: &mut Variables, given: &[String], folder: &str) {
    let beside = format!("{folder}/.env");
    let paths = match given {
        [] if files.exists(&beside) => std::slice::from_ref(&beside),
        given => given,
    };
    let mut found = Variables::new();
    for path in paths {
        let text = match files.read(path) {
            Ok(text) => text,
            Err(error) => {
                let message = format!("cannot read the env file {path}: {}", why(&error));
                report.error_advised(Pos::NOWHERE, message, advice(&error));
                continue;
            }
        };
        let number = report.add_secret_source(path);
        let outside = |name: &str| into.get(name).or_else(|| found.get(name)).cloned();
        match dotenv::parse(&text, &outside) {
            Ok(read) => {
                found.extend(read.into_iter().filter(|(name, _)| !name.starts_with(char::is_numeric)))
            }
            Err(fault) => {
                let pos = Pos { file: number, line: fault.line as u32, col: 1, width: 1 };
                report.error_advised(pos, fault.what, "write it as NAME=VALUE");
            }
        }
    }
    for (name, value) in found {
        into.entry(name).or_insert(value);
    }
}

fn from_variable<'a>(list: &'a str, variables: &'a Variables) -> impl Iterator<Item = &'a str> {
    let separator = variables.get("COMPOSE_PATH_SEPARATOR").filter(|text| !text.is_empty());
    let separator = separator.map_or(":", String::as_str);
    list.split(separator).filter(|path| !path.is_empty())
}

/// A Compose file's path, absolute; standard input stays as it is.
fn compose_file(current: &str, path: &str) -> String {
    if path == STDIN { path.to_string() } else { unix_path::absolute(current, path, None) }
}

/// The first of the known names in `folder` or one above it, with the override file beside it.
fn search(report: &mut Report, files: &Files, folder: &str) -> Option<Vec<String>> {
    let mut at = folder.to_string();
    loop {
        let here = |names: [&str; 4]| names.map(|name| format!("{}/{name}", at.trim_end_matches('/')));
        let found: Vec<String> = here(FILE_NAMES).into_iter().filter(|path| files.exists(path)).collect();
        if let Some(first) = found.first() {
            if found.len() > 1 {
                report.warn(
                    Pos::NOWHERE,
                    format!("there are several files here: {}; the first is used", found.join(", ")),
                );
            }
            let over = here(OVERRIDE_NAMES).into_iter().find(|path| files.exists(path));
            return Some([first.clone()].into_iter().chain(over).collect());
        }
        if at == "/" || !at.contains('/') {
            let message = format!("there is no compose.yaml in {folder} or above it");
            report.error_advised(Pos::NOWHERE, message, "name the file with -f, or go to its folder");
            return None;
        }
        at = unix_path::folder(&at);
    }
}

fn project_name(
    report: &mut Report,
    files: &Files,
    options: &Options,
    variables: &Variables,
    paths: &[String],
    folder: &str,
) -> Option<String> {
    let from_outside = options
        .project_name
        .as_ref()
        .or_else(|| variables.get("COMPOSE_PROJECT_NAME").filter(|n| !n.is_empty()));
    if let Some(name) = from_outside {
        return valid_name(report, name);
    }
    let written = paths.iter().filter_map(|path| written_name(files, path, variables)).next_back();
    let kept = written.as_deref().map(normalized).filter(|name| !name.is_empty());
    let name = kept.unwrap_or_else(|| normalized(folder.rsplit('/').next().unwrap_or_default()));
    if name.is_empty() {
        let message = format!("the folder {folder} gives no name for the stack");
        report.error_advised(
            Pos::NOWHERE,
            message,
            "write name: at the top of the file, or give one with -p",
        );
        return None;
    }
    if let Some(written) = written.filter(|written| *written != name) {
        let message = format!("the name \"{written}\" cannot be a stack's, and becomes {name}");
        report.warn_advised(Pos::NOWHERE, message, NAME_ADVICE);
    }
    short_enough(report, name)
}

/// A stack's or a service's name: both are part of file names and, later, of names in DNS, whose labels have
/// at most so many characters.
pub(crate) const LONGEST_NAME: usize = 63;

fn short_enough(report: &mut Report, name: String) -> Option<String> {
    if name.len() <= LONGEST_NAME {
        return Some(name);
    }
    let message = format!("the stack's name has {} characters, and {LONGEST_NAME} are the most", name.len());
    report.error_advised(
        Pos::NOWHERE,
        message,
        "write a shorter name: at the top of the file, or give one with -p",
    );
    None
}

/// What a stack may be called.
const NAME_ADVICE: &str = "lower-case letters, digits, - and _ may be in it, and a letter or digit begins it";

fn valid_name(report: &mut Report, name: &str) -> Option<String> {
    if normalized(name) == name && !name.is_empty() {
        return short_enough(report, name.to_string());
    }
    let message = format!("\"{name}\" cannot be the name of a stack");
    report.error_advised(Pos::NOWHERE, message, NAME_ADVICE);
    None
}

/// The `name` that a file gives itself. Whatever else is wrong with the file is told later.
fn written_name(files: &Files, path: &str, variables: &Variables) -> Option<String> {
    let text = files.read(path).ok()?;
    if !text.contains("name") {
        return None;
    }
    let mut silent = Report::default();
    let documents = yaml::parse(&mut silent, 0, &text);
    let written = documents.iter().filter_map(|document| document.root.get_str("name")).next_back()?;
    let mut look_up = |name: &str, _: Need| variables.get(name).cloned();
    substitute(written, &mut look_up).ok()
}

/// What may be in a name, in lower case.
fn normalized(name: &str) -> String {
    let fits = |c: &char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let kept: String = name.to_lowercase().chars().filter(fits).collect();
    kept.trim_start_matches(['-', '_']).to_string()
}
