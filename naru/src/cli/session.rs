//! One command at work: its settings, its printer, and the ways to the server and to the files.

use super::fail::{Code, Fail};
use super::load;
use super::printer::Printer;
use super::settings::Settings;
use naru_api::Client;
use naru_compose::{Loaded, Unsupported};
use naru_model::StackName;
use naru_people::{Around, Problem};
use naru_roles::keeper;
use std::path::{Path, PathBuf};

/// One command at work.
pub struct Session {
    /// What arguments and environment say.
    pub settings: Settings,
    /// Where it writes.
    pub printer: Printer,
}

impl Session {
    /// The server of this user, which may or may not run: asking it something tells.
    ///
    /// # Errors
    /// NARU_HOME is of no use.
    pub fn client(&self) -> Result<Client, Fail> {
        match &self.settings.server {
            Some(url) => Ok(naru_people::remote::client(self.settings.home()?, url)?),
            None => Ok(keeper::client(self.settings.home()?)?),
        }
    }

    /// The server of this user, started if it does not run.
    ///
    /// # Errors
    /// It could not be started.
    pub async fn ensured(&self) -> Result<Client, Fail> {
        match self.settings.server {
            Some(_) => self.client(),
            None => Ok(keeper::ensure(self.settings.home()?).await?),
        }
    }

    /// Does what a verb about people says.
    ///
    /// # Errors
    /// It cannot be done.
    pub async fn people(&self, verb: naru_people::Verb) -> Result<Code, Fail> {
        Ok(verb.run(self).await.map(|()| Code::Done)?)
    }

    /// What the files say. Warnings are shown.
    ///
    /// # Errors
    /// The files cannot be used; what is wrong with them was shown.
    pub fn load(&self, unsupported: Unsupported) -> Result<Loaded, Fail> {
        load::load(&self.settings, &self.printer, unsupported)
    }

    /// The same, where the stack is to be run.
    ///
    /// # Errors
    /// The files cannot be used, or the stack cannot be run here and now; why was shown.
    pub fn runnable(&self, unsupported: Unsupported) -> Result<Loaded, Fail> {
        load::runnable(&self.settings, &self.printer, unsupported)
    }

    /// The stack that a question is about: `-p`, or what the files say. `None`, where there is neither: all.
    ///
    /// # Errors
    /// There are files, and they cannot be used.
    pub fn scope(&self) -> Result<Option<StackName>, Fail> {
        load::name(&self.settings, &self.printer)
    }

    /// The stack that an order is about.
    ///
    /// # Errors
    /// Nothing says which.
    pub async fn stack(&self, client: &Client) -> Result<StackName, Fail> {
        if let Some(stack) = self.scope()? {
            return Ok(stack);
        }
        let stacks = client.stacks().await?;
        let names: Vec<&str> = stacks.iter().map(|stack| stack.name.as_str()).collect();
        let help = match names.as_slice() {
            [] => "no stack runs; `naru up -f FILE` starts one".to_string(),
            names => format!("`-p NAME` or `-f FILE` says which; running: {}", names.join(", ")),
        };
        Err(Fail { code: Code::Usage, ..Fail::new("which stack? There is no Compose file here") }.help(help))
    }
}

impl Around for Session {
    fn client(&self) -> Result<Client, Problem> {
        self.client().map_err(|fail| Problem::Failed(fail.error, fail.help.unwrap_or_default()))
    }

    fn home(&self) -> Result<PathBuf, Problem> {
        let home = self.settings.home().map(Path::to_path_buf);
        home.map_err(|fail| Problem::Failed(fail.error, fail.help.unwrap_or_default()))
    }

    fn data(&self, text: &str) -> Result<(), Problem> {
        self.printer.data(text).map_err(|_| Problem::Closed)
    }

    fn result(&self, text: &str) {
        self.printer.result(text);
    }

    fn note(&self, text: &str) {
        self.printer.note(text);
    }
}
