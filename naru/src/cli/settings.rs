//! Settings: everything that arguments and environment say, resolved once.
//!
//! No other module of the command line reads the environment. The variables stand in [`VARIABLES`].

use super::args::{OutputArgs, ProgressKind, ProjectArgs};
use super::fail::Fail;
use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// An environment variable that Naru's command line reads.
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub meaning: &'static str,
}

const HOME: &str = "NARU_HOME";
const SERVER: &str = "NARU_SERVER";
const FILE: &str = "COMPOSE_FILE";
const SEPARATOR: &str = "COMPOSE_PATH_SEPARATOR";
const NAME: &str = "COMPOSE_PROJECT_NAME";
const PROFILES: &str = "COMPOSE_PROFILES";
const ENV_FILES: &str = "COMPOSE_ENV_FILES";
const NO_COLOR: &str = "NO_COLOR";
const TERM: &str = "TERM";
const LOG: &str = "NARU_LOG";
const ZONE: &str = "NARU_ZONE";
const WORK_URL: &str = "NARU_WORK_URL";

/// All of them.
pub const VARIABLES: [Variable; 12] = [
    Variable {
        name: HOME,
        meaning: "where state lives; default: `$XDG_STATE_HOME/naru`, `~/.local/state/naru`",
    },
    Variable { name: SERVER, meaning: "a server elsewhere, where no `--server` is given" },
    Variable { name: FILE, meaning: "the Compose files, where no `-f` is given" },
    Variable { name: SEPARATOR, meaning: "what separates the files in `COMPOSE_FILE`; default `:`" },
    Variable { name: NAME, meaning: "the stack's name, where no `-p` is given" },
    Variable { name: PROFILES, meaning: "profiles, separated by commas, beside `--profile`" },
    Variable {
        name: ENV_FILES,
        meaning: "files of variables, separated by commas, where no `--env-file` is given",
    },
    Variable { name: NO_COLOR, meaning: "if not empty: no colours" },
    Variable { name: TERM, meaning: "if `dumb`: no colours, and nothing is rewritten in place" },
    Variable { name: LOG, meaning: "what server, agent and edge log, such as `debug`; default `info`" },
    Variable {
        name: ZONE,
        meaning: "the zone of this machine, for the roles that are started (`naru serve`, or the first command): see `traffic.zone`",
    },
    Variable { name: WORK_URL, meaning: "in an instance: where `naru work run` takes its lease" },
];

/// Whether colours are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Where the stream is a terminal.
    OnTerminals,
    /// Nowhere.
    Never,
}

/// What arguments and environment say.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where state lives; absolute. An instance, in which `naru work run` is typed, may have no such place.
    home: Option<PathBuf>,
    /// The server elsewhere that is meant.
    pub server: Option<String>,
    /// The folder that the command was typed in.
    pub folder: PathBuf,
    /// Which stack, and from which files.
    pub project: ProjectArgs,
    /// How progress is shown; never [`ProgressKind::Auto`].
    pub progress: ProgressKind,
    /// Whether colours are written.
    pub colour: Colour,
    /// The user's environment, for `${…}` in the files.
    pub environment: BTreeMap<String, String>,
}

impl Settings {
    /// Where state lives.
    ///
    /// # Errors
    /// The environment names no place.
    pub fn home(&self) -> Result<&Path, Fail> {
        self.home.as_deref().ok_or_else(|| {
            Fail::new("there is no place for state: neither NARU_HOME nor HOME is set")
                .help("set NARU_HOME to a folder of yours")
        })
    }

    /// The same for a picture on a terminal.
    pub fn colours(&self) -> naru_live::Colours {
        match self.colour {
            Colour::OnTerminals => naru_live::Colours::Shown,
            Colour::Never => naru_live::Colours::Hidden,
        }
    }

    /// Whether the terminal can do nothing but show lines.
    pub fn is_dumb(&self) -> bool {
        self.environment.get(TERM).is_some_and(|term| term == "dumb")
    }

    /// The stack's name, where arguments or environment say it.
    pub fn stated_name(&self) -> Option<&str> {
        let from_environment = || self.environment.get(NAME).filter(|name| !name.is_empty());
        self.project.project_name.as_ref().or_else(from_environment).map(String::as_str)
    }

    /// Whether there are files to load: stated, or lying in this folder or one above it. `.env` may name them
    /// too.
    pub fn names_files(&self) -> bool {
        let names = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml", ".env"];
        let start = self.project.project_directory.as_deref().unwrap_or(Path::new(""));
        let start = self.folder.join(start);
        !self.project.file.is_empty()
            || self.environment.contains_key(FILE)
            || start.ancestors().any(|at| names.iter().any(|name| at.join(name).is_file()))
    }

    /// Where an instance takes leases, if this is within one.
    pub fn work_url(&self) -> Option<String> {
        self.environment.get(WORK_URL).cloned()
    }

    /// `before` are the arguments before the verb, `after` those behind it.
    ///
    /// # Errors
    /// There is no present folder.
    pub fn resolve(
        before: ProjectArgs,
        after: ProjectArgs,
        output: OutputArgs,
        server: Option<String>,
    ) -> Result<Settings, Fail> {
        // Variables that are not UTF-8 cannot be named in a Compose file.
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let environment: BTreeMap<String, String> = std::env::vars_os().filter_map(text).collect();
        let folder = std::env::current_dir()
            .map_err(|error| Fail::new(format!("the present folder cannot be used: {error}")))?;
        let dumb = environment.get(TERM).is_some_and(|term| term == "dumb");
        let plain = dumb || environment.get(NO_COLOR).is_some_and(|value| !value.is_empty());
        let in_place = std::io::stderr().is_terminal() && !dumb;
        Ok(Settings {
            home: home(&environment, &folder),
            server: server.or_else(|| environment.get(SERVER).filter(|url| !url.is_empty()).cloned()),
            project: with_env_files(before.merge(after), &environment),
            progress: match output.progress {
                ProgressKind::Auto if in_place => ProgressKind::Tty,
                ProgressKind::Auto => ProgressKind::Plain,
                stated => stated,
            },
            colour: if plain { Colour::Never } else { Colour::OnTerminals },
            environment,
            folder,
        })
    }
}

fn home(environment: &BTreeMap<String, String>, folder: &Path) -> Option<PathBuf> {
    let stated = |name: &str| environment.get(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let default = || {
        let state = stated("XDG_STATE_HOME").filter(|path| path.is_absolute());
        Some(state.or_else(|| Some(stated("HOME")?.join(".local/state")))?.join("naru"))
    };
    Some(folder.join(stated(HOME).or_else(default)?))
}

/// Compose's other variables may stand in `.env` as well, so that the loader reads them; this one says where
/// such files are.
fn with_env_files(mut args: ProjectArgs, environment: &BTreeMap<String, String>) -> ProjectArgs {
    if args.env_file.is_empty() {
        let listed = environment.get(ENV_FILES).into_iter().flat_map(|list| list.split(','));
        args.env_file = listed.map(str::trim).filter(|path| !path.is_empty()).map(PathBuf::from).collect();
    }
    args
}

#[cfg(test)]
mod tests {
    use super::{ProjectArgs, home, with_env_files};
    use std::collections::BTreeMap;
    use std::path::{Path, PathBuf};

    fn environment(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
    }

    #[test]
    fn files_of_variables_come_from_the_environment_unless_they_are_typed() {
        let said = environment(&[("COMPOSE_ENV_FILES", "a.env, b.env")]);
        let from_environment = with_env_files(ProjectArgs::default(), &said);
        assert_eq!(from_environment.env_file, [PathBuf::from("a.env"), PathBuf::from("b.env")]);
        let typed = ProjectArgs { env_file: vec!["c.env".into()], ..ProjectArgs::default() };
        assert_eq!(with_env_files(typed, &said).env_file, [PathBuf::from("c.env")]);
    }

    #[test]
    fn what_stands_after_the_verb_wins() {
        let named = |name: &str, file: &str| ProjectArgs {
            project_name: Some(name.into()),
            file: vec![file.into()],
            ..ProjectArgs::default()
        };
        let merged = named("before", "1").merge(named("after", "2"));
        assert_eq!(merged.project_name.as_deref(), Some("after"));
        assert_eq!(merged.file, [PathBuf::from("1"), PathBuf::from("2")]);
        assert_eq!(
            named("before", "1").merge(ProjectArgs::default()).project_name.as_deref(),
            Some("before")
        );
    }

    #[test]
    fn home_is_absolute_and_has_a_default() {
        let at = Path::new("/here");
        let place = |pairs: &[(&str, &str)]| home(&environment(pairs), at);
        assert_eq!(place(&[("NARU_HOME", "state")]).unwrap(), Path::new("/here/state"));
        assert_eq!(place(&[("HOME", "/home/you")]).unwrap(), Path::new("/home/you/.local/state/naru"));
        assert_eq!(place(&[("HOME", "/h"), ("XDG_STATE_HOME", "/x")]).unwrap(), Path::new("/x/naru"));
        assert_eq!(place(&[]), None);
    }
}
