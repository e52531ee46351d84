//! The one printer: data goes to standard output, everything said about it to standard error.

use super::args::ProgressKind;
use super::fail::Fail;
use super::paint;
use super::settings::{Colour, Settings};
use anstream::adapter::strip_str;
use anstream::{AutoStream, ColorChoice};
use serde::Serialize;
use serde_json::json;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};

/// Writes for people and programs.
#[derive(Clone, Copy, Debug)]
pub struct Printer {
    out: ColorChoice,
    err: ColorChoice,
    form: Form,
}

/// The form of what goes to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Lines.
    Text,
    /// One JSON object a line, whatever is said.
    Json,
    /// Errors only.
    Quiet,
}

impl Printer {
    /// With colours where the settings and the streams want them.
    pub fn new(settings: &Settings) -> Printer {
        let choice = |terminal: bool| match settings.colour {
            Colour::OnTerminals if terminal => ColorChoice::AlwaysAnsi,
            _ => ColorChoice::Never,
        };
        let form = match settings.progress {
            ProgressKind::Json => Form::Json,
            ProgressKind::Quiet => Form::Quiet,
            ProgressKind::Auto | ProgressKind::Tty | ProgressKind::Plain => Form::Text,
        };
        Printer { out: choice(io::stdout().is_terminal()), err: choice(io::stderr().is_terminal()), form }
    }

    /// Without colours, for what goes wrong before settings are known.
    pub fn plain() -> Printer {
        Printer { out: ColorChoice::Never, err: ColorChoice::Never, form: Form::Text }
    }

    /// Data, as it is.
    ///
    /// # Errors
    /// Standard output cannot be written. Nobody reading any longer (`naru ps | head`) ends the command
    /// silently.
    pub fn data(&self, text: &str) -> Result<(), Fail> {
        let mut out = AutoStream::new(io::stdout(), self.out);
        out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(broken)
    }

    /// A value as JSON, indented.
    ///
    /// # Errors
    /// As [`Printer::data`].
    pub fn json(&self, value: &impl Serialize) -> Result<(), Fail> {
        // The model's types have only text keys, so writing them cannot fail.
        let text = serde_json::to_string_pretty(value).map_err(Fail::new)?;
        self.data(&(text + "\n"))
    }

    /// A line of progress, in the form that the settings ask for: it is shown as it is.
    pub fn progress(&self, line: impl Display) {
        self.raw(&format!("{line}\n"));
    }

    /// Text on standard error as it is. Where that cannot be written, nobody can be told.
    pub fn raw(&self, text: &str) {
        let mut err = AutoStream::new(io::stderr(), self.err);
        let _ = err.write_all(text.as_bytes()).and_then(|()| err.flush());
    }

    /// A line about how it went.
    pub fn result(&self, text: impl Display) {
        self.say("result", &text, &text);
    }

    /// Something that may surprise.
    pub fn warn(&self, text: impl Display) {
        self.say("warning", &text, format_args!("{} {text}", paint::warning("warning:")));
    }

    /// Something that a person should know.
    pub fn note(&self, text: impl Display) {
        self.say("note", &text, format_args!("{} {text}", paint::bold("note:")));
    }

    /// What is found in the files; `rendered` shows it with its place.
    pub fn found(&self, severity: &'static str, text: impl Display, rendered: &str) {
        // Nothing but errors, and these are some.
        if self.form == Form::Quiet && severity == "error" {
            return self.progress(rendered.trim_end());
        }
        self.say(severity, text, rendered.trim_end());
    }

    /// What went wrong, and what to do.
    pub fn fail(&self, fail: &Fail) {
        if fail.error.is_empty() {
            return;
        }
        if self.form == Form::Json {
            let error = strip_str(&fail.error).to_string();
            let code = fail.code.number();
            let object = json!({"event": "error", "text": error, "help": fail.help, "code": code});
            return self.progress(object);
        }
        self.progress(format_args!("{} {}", paint::error("error:"), fail.error));
        if let Some(help) = &fail.help {
            self.progress(format_args!("  {} {help}", paint::bold("help:")));
        }
    }

    fn say(&self, event: &str, text: impl Display, line: impl Display) {
        match self.form {
            Form::Text => self.progress(line),
            Form::Json => {
                let text = strip_str(text.to_string().trim()).to_string();
                self.progress(json!({"event": event, "text": text}));
            }
            Form::Quiet => {}
        }
    }

    /// Whether a person can be asked.
    pub fn can_ask(&self) -> bool {
        io::stdin().is_terminal() && io::stderr().is_terminal()
    }

    /// Asks; only `y` and `yes` are a yes.
    ///
    /// # Errors
    /// Standard input cannot be read.
    pub fn ask(&self, question: &str) -> Result<Answer, Fail> {
        self.raw(&format!("{question} [y/N] "));
        let mut line = String::new();
        io::stdin().read_line(&mut line).map_err(Fail::new)?;
        let yes = ["y", "yes"].contains(&line.trim().to_lowercase().as_str());
        Ok(if yes { Answer::Yes } else { Answer::No })
    }

    /// Whether compose's diagnostics are shown with colours.
    pub fn diagnostics(&self) -> naru_compose::Style {
        match self.err {
            ColorChoice::Never => naru_compose::Style::Plain,
            _ => naru_compose::Style::Colour,
        }
    }
}

/// What a person answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Do it.
    Yes,
    /// Do not.
    No,
}

/// How many columns and lines the terminal behind standard error has; 80 and 24 where it does not say.
pub fn terminal_size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(io::stderr()).ok();
    let known = size.filter(|size| size.ws_col > 0 && size.ws_row > 0);
    known.map_or((80, 24), |size| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

fn broken(error: io::Error) -> Fail {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Fail::silent(super::fail::Code::Done),
        _ => Fail::new(format!("standard output cannot be written: {error}")),
    }
}
