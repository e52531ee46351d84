//! The shared files, `~/.aws/config` and `~/.aws/credentials`: profiles with their settings.

use crate::{Environment, Fault};
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

/// Files with some hundred profiles have some ten KiB.
const FILE_MAX: u64 = 1 << 20;

/// A profile's settings.
pub type Profile = BTreeMap<String, String>;

/// The profiles of both files; what the file of credentials says comes first.
#[derive(Default)]
pub struct Profiles {
    all: BTreeMap<String, Profile>,
    files: Vec<PathBuf>,
}

impl Profiles {
    /// Those that the environment names.
    ///
    /// # Errors
    /// A file is there, and cannot be read.
    pub fn read(environment: &Environment) -> Result<Profiles, Fault> {
        let mut profiles = Profiles::default();
        let config = environment.path("AWS_CONFIG_FILE", "~/.aws/config");
        let credentials = environment.path("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials");
        for (path, kind) in [(config, Kind::Config), (credentials, Kind::Credentials)] {
            let Some(path) = path else { continue };
            if let Some(text) = text(&path)? {
                sections(&text, kind, &mut profiles.all);
            }
            profiles.files.push(path);
        }
        Ok(profiles)
    }

    /// A profile.
    pub fn get(&self, name: &str) -> Option<&Profile> {
        self.all.get(name)
    }

    /// Where they were looked for.
    pub fn places(&self) -> String {
        let files: Vec<String> = self.files.iter().map(|path| path.display().to_string()).collect();
        files.join(", ")
    }
}

/// Which of the two files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Config,
    Credentials,
}

fn text(path: &Path) -> Result<Option<String>, Fault> {
    let broken =
        |error: std::io::Error| Fault::Settings(format!("{} cannot be read: {error}", path.display()));
    let file = match std::fs::File::open(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        opened => opened.map_err(broken)?,
    };
    let mut text = String::new();
    file.take(FILE_MAX).read_to_string(&mut text).map_err(broken)?;
    Ok(Some(text))
}

/// Sections of `name = value`. Lines that are indented belong to the setting above, and are none of those that are used here.
fn sections(text: &str, kind: Kind, into: &mut BTreeMap<String, Profile>) {
    let mut current: Option<String> = None;
    for line in text.lines() {
        let is_part = line.starts_with([' ', '\t']);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) || is_part {
            continue;
        }
        if let Some(head) = line.strip_prefix('[') {
            let head = head.split(']').next().unwrap_or_default().trim();
            current = profile_name(head, kind);
        } else if let (Some(name), Some((key, value))) = (&current, line.split_once('=')) {
            // A remark begins after a blank.
            let value = value.split(" #").next().unwrap_or_default().split(" ;").next().unwrap_or_default();
            let profile = into.entry(name.clone()).or_default();
            profile.insert(key.trim().to_lowercase(), value.trim().into());
        }
    }
}

/// `[profile NAME]` in one file, `[NAME]` in the other; `[default]` in both.
fn profile_name(head: &str, kind: Kind) -> Option<String> {
    match kind {
        Kind::Credentials => Some(head.into()),
        Kind::Config if head == "default" => Some(head.into()),
        Kind::Config => {
            let rest = head.strip_prefix("profile")?;
            rest.starts_with(char::is_whitespace).then(|| rest.trim().trim_matches('"').to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Profiles;
    use crate::Environment;

    #[test]
    fn both_files_are_read_and_the_one_of_credentials_wins() {
        let folder = tempfile::tempdir().unwrap();
        let (config, credentials) = (folder.path().join("config"), folder.path().join("credentials"));
        std::fs::write(
            &config,
            "[default]\nregion = eu-west-1 # here\n[profile ops]\nregion=us-east-1\naws_access_key_id = OLD\ns3 =\n  x = y\n\
             [sso-session a]\nregion = x\n",
        )
        .unwrap();
        std::fs::write(
            &credentials,
            "# keys\n[ops]\naws_access_key_id = NEW\naws_secret_access_key = a=b/c+d==\n",
        )
        .unwrap();
        let pairs = [("AWS_CONFIG_FILE", &config), ("AWS_SHARED_CREDENTIALS_FILE", &credentials)];
        let environment: Environment =
            pairs.into_iter().map(|(name, path)| (name.to_string(), path.display().to_string())).collect();
        let profiles = Profiles::read(&environment).unwrap();
        assert_eq!(profiles.get("default").unwrap()["region"], "eu-west-1");
        let ops = profiles.get("ops").unwrap();
        assert_eq!((ops["region"].as_str(), ops["aws_access_key_id"].as_str()), ("us-east-1", "NEW"));
        assert_eq!(ops["aws_secret_access_key"], "a=b/c+d==");
        assert!(profiles.get("a").is_none() && !ops.contains_key("x"));
    }
}
