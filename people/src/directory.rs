//! `naru directory`: whether people can come in by the directory, step by step.

use crate::{Around, Problem, ask};
use clap::{Args, Subcommand};
use naru_directory::{Directory, Step};
use naru_model::plural;
use naru_show::table::foreign;

/// What `naru directory` takes.
#[derive(Args, Debug)]
pub struct DirectoryArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Try directory.yaml of NARU_HOME: each server, TLS, the service account; and a user, if one is named
    Check {
        /// Try this user's password too, and tell which groups they have
        user: Option<String>,
        /// Read the user's password from the first line of standard input
        #[arg(long, requires = "user")]
        password_stdin: bool,
    },
}

impl DirectoryArgs {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let What::Check { user, password_stdin } = self.what;
        let home = around.home()?;
        let file = home.join(naru_directory::FILE);
        let loaded = match naru_directory::load(&home) {
            Ok(loaded) => loaded,
            Err(error) => {
                around.data(&format!("{error}\n"))?;
                return Err(Problem::Bad);
            }
        };
        let Some(directory) = loaded else {
            let help = "the guide (docs/guide.md, \"People of a directory\") shows how to write it";
            return Err(Problem::Failed(format!("there is no {}", file.display()), help.into()));
        };
        let password = match &user {
            Some(user) => {
                Some(ask::secret(&format!("Password of {user} in the directory: "), password_stdin)?)
            }
            None => None,
        };
        let all = Check { around, directory: &directory };
        all.run(&file.display().to_string(), user.as_deref().zip(password.as_deref())).await
    }
}

struct Check<'a, A> {
    around: &'a A,
    directory: &'a Directory,
}

impl<A: Around> Check<'_, A> {
    async fn run(&self, file: &str, user: Option<(&str, &str)>) -> Result<(), Problem> {
        let config = self.directory.config();
        let groups = config.groups.as_ref().map_or(0, |groups| groups.map.len());
        let count = plural(config.servers.len() as u64, "server");
        self.around
            .data(&format!("{file}\n  ok     {count}, {} mapped\n", plural(groups as u64, "group")))?;
        let mut bad = false;
        let mut right = None;
        for (at, server) in config.servers.iter().enumerate() {
            let mut steps = vec![];
            naru_directory::server(self.directory, at, &mut |step| steps.push(step)).await;
            let failed = steps.iter().any(|step| step.result.is_err());
            self.tell(&server.url(), &steps)?;
            bad |= failed;
            if !failed {
                right = right.or(Some(at));
            }
        }
        // One attempt, whatever the number of servers: the directory counts.
        if let Some((name, password)) = user {
            let Some(at) = right else {
                self.around.note("the user was not tried: no server is right");
                return Err(Problem::Bad);
            };
            let mut steps = vec![];
            naru_directory::user(self.directory, at, name, password, &mut |step| steps.push(step)).await;
            bad |= steps.iter().any(|step| step.result.is_err());
            self.tell(&format!("{name} at {}", config.servers[at].url()), &steps)?;
        }
        if bad { Err(Problem::Bad) } else { Ok(()) }
    }

    fn tell(&self, about: &str, steps: &[Step]) -> Result<(), Problem> {
        let mut text = format!("{about}\n");
        for Step { name, result } in steps {
            let (word, said) = match result {
                Ok(said) => ("ok", said),
                Err(said) => ("FAILED", said),
            };
            text += &format!("  {word:<6} {name:<8} {}\n", foreign(said));
        }
        self.around.data(&text)
    }
}
