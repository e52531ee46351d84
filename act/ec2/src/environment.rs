//! Variables, as a value: nothing here reads the process's own behind anybody's back.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Variables of the environment. Some are secrets, so that it prints none of them.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process.
    pub fn of_process() -> Environment {
        // What is not UTF-8 is none of the variables that are asked for.
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect()
    }

    /// A variable that is set, and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// A path, with `~` for the user's folder.
    pub(crate) fn path(&self, name: &str, default: &str) -> Option<PathBuf> {
        let path = self.get(name).unwrap_or(default);
        match path.strip_prefix("~/") {
            Some(rest) => Some(PathBuf::from(self.get("HOME")?).join(rest)),
            None => Some(path.into()),
        }
    }
}

impl FromIterator<(String, String)> for Environment {
    fn from_iter<T: IntoIterator<Item = (String, String)>>(pairs: T) -> Environment {
        Environment(pairs.into_iter().collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment of {} variables", self.0.len())
    }
}
