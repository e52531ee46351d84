//! How a command ends: the exit codes, and the one shape of an error that people read.
//!
//! Whatever goes wrong is translated here, once: `error: SENTENCE`, then `  help: WHAT TO DO`.

use super::args::Cli;
use clap::CommandFactory;
use naru_api::ClientError;
use naru_chain::admin::LookError;
use naru_model::Refusal;
use naru_people::Problem;
use naru_roles::keeper::StartError;
use naru_show::moment::NoMoment;
use std::fmt;
use std::process::ExitCode;

/// The exit codes, all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Done.
    Done,
    /// The operation failed or was rolled back, or something that the command needs is broken.
    Failed,
    /// Used in a wrong way; for `plan`: something would change.
    Usage,
    /// No server answers.
    NoServer,
    /// The server refused the order, and nothing was changed.
    Refused,
    /// Detached by Ctrl-C: the operation goes on.
    Detached,
    /// The exit status of the command that `work run` or `exec` ran.
    Command(u8),
}

impl Code {
    /// Every code of Naru's own with what it means, for the reference.
    pub const TABLE: [(Code, &str); 6] = [
        (Code::Done, "done; for `plan`: nothing would change"),
        (Code::Failed, "the operation failed or was rolled back, or a file or the system is at fault"),
        (Code::Usage, "the command was used in a wrong way; for `plan`: something would change"),
        (Code::NoServer, "no server is running, or it does not answer"),
        (Code::Refused, "the order was refused, by the server or by who was asked: nothing was changed"),
        (Code::Detached, "Ctrl-C while following an operation: detached, the operation goes on"),
    ];

    /// The number that the shell sees.
    pub fn number(self) -> u8 {
        match self {
            Code::Done => 0,
            Code::Failed => 1,
            Code::Usage => 2,
            Code::NoServer => 3,
            Code::Refused => 4,
            Code::Detached => 130,
            Code::Command(status) => status,
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code.number())
    }
}

/// Why a command ended other than well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fail {
    /// One sentence, without a full stop. Empty: all was said already.
    pub error: String,
    /// What to do.
    pub help: Option<String>,
    /// The exit code.
    pub code: Code,
}

impl Fail {
    /// Something that the command needs is broken.
    pub fn new(error: impl fmt::Display) -> Fail {
        Fail { error: error.to_string(), help: None, code: Code::Failed }
    }

    /// The command was used in a wrong way.
    pub fn usage(error: impl fmt::Display) -> Fail {
        Fail { code: Code::Usage, ..Fail::new(error) }
    }

    /// All was said; only the code is left.
    pub fn silent(code: Code) -> Fail {
        Fail { code, ..Fail::new("") }
    }

    /// With what to do.
    pub fn help(self, help: impl fmt::Display) -> Fail {
        Fail { help: Some(help.to_string()), ..self }
    }
}

impl Fail {
    /// What was typed makes no sense. The parser's own words come in paragraphs: what is wrong, and perhaps a
    /// tip.
    pub fn typed(error: &clap::Error, typed: impl IntoIterator<Item = String>) -> Fail {
        let text = error.render().to_string();
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let wrong = words(text.split("\n\n").next().unwrap_or_default());
        let tips = text.lines().filter_map(|line| line.trim().strip_prefix("tip: "));
        let tips: Vec<String> = tips.map(words).collect();
        let command = Cli::command();
        let verb = typed.into_iter().find(|word| command.find_subcommand(word).is_some());
        let verb = verb.map(|verb| format!(" {verb}")).unwrap_or_default();
        let more = format!("`naru{verb} --help` shows what can be typed");
        let help = if tips.is_empty() { more } else { tips.join("; ") };
        Fail::usage(wrong.strip_prefix("error: ").unwrap_or(&wrong)).help(help)
    }
}

impl From<ClientError> for Fail {
    fn from(error: ClientError) -> Fail {
        match error {
            ClientError::Refused(refused) => {
                let Refusal { error, hint } = refused.refusal;
                Fail { error, help: hint, code: Code::Refused }
            }
            ClientError::NoServer { at, source } if at.starts_with("https://") => Fail {
                error: format!("the server at {at} does not answer: {source}"),
                help: None,
                code: Code::NoServer,
            },
            ClientError::NoServer { at, .. } => Fail {
                error: format!("no server is running (nobody answers at {at})"),
                help: Some("`naru up` starts one, and so does `naru serve`".into()),
                code: Code::NoServer,
            },
            unknown @ (ClientError::Protocol(_) | ClientError::TimedOut(_)) => Fail {
                help: Some("an order may have been taken all the same: `naru history` tells".into()),
                code: Code::NoServer,
                ..Fail::new(unknown)
            },
        }
    }
}

impl From<Problem> for Fail {
    fn from(problem: Problem) -> Fail {
        let told = |error, help: String, code| Fail {
            error,
            help: Some(help).filter(|help| !help.is_empty()),
            code,
        };
        match problem {
            Problem::Client(error) => error.into(),
            Problem::Usage(error, help) => told(error, help, Code::Usage),
            Problem::Failed(error, help) => told(error, help, Code::Failed),
            Problem::No => Fail::silent(Code::Refused),
            Problem::Bad => Fail::silent(Code::Failed),
            Problem::Closed => Fail::silent(Code::Done),
        }
    }
}

impl From<NoMoment> for Fail {
    fn from(NoMoment(text): NoMoment) -> Fail {
        Fail::usage(format!("`{text}` is neither a duration nor a date"))
            .help("write `10m`, `1h30m`, `2026-11-23` or `2026-11-23T09:41:02Z`")
    }
}

impl From<LookError> for Fail {
    fn from(error: LookError) -> Fail {
        let help = matches!(error, LookError::NoEdge { .. }).then(|| {
            "`naru up` starts one, and so does `naru serve`; `naru ls` tells whether a server runs".into()
        });
        Fail { code: Code::NoServer, help, ..Fail::new(error) }
    }
}

impl From<StartError> for Fail {
    fn from(error: StartError) -> Fail {
        match error {
            StartError::Client(error) => error.into(),
            StartError::Upgrade(_) => Fail::new(error),
            StartError::Home(_) | StartError::System(_) | StartError::Keeper { .. } => {
                Fail { code: Code::NoServer, ..Fail::new(error) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Fail};
    use crate::cli::args::Cli;
    use clap::Parser;

    fn said(typed: &str) -> (String, String) {
        let words: Vec<String> = typed.split(' ').map(str::to_string).collect();
        let fail = Fail::typed(&Cli::try_parse_from(&words).unwrap_err(), words);
        assert_eq!(fail.code, Code::Usage);
        (fail.error, fail.help.unwrap())
    }

    #[test]
    fn what_was_typed_wrongly_is_told_in_the_one_shape() {
        let (error, help) = said("naru pss");
        assert_eq!(error, "unrecognized subcommand 'pss'");
        assert!(help.contains("'ps'"), "{help}");
        let (error, help) = said("naru scale");
        assert_eq!(error, "the following required arguments were not provided: <SERVICE=N>...");
        assert_eq!(help, "`naru scale --help` shows what can be typed");
        let (error, _) = said("naru scale api");
        assert_eq!(error, "invalid value 'api' for '<SERVICE=N>...': write SERVICE=N, such as api=3");
    }
}
