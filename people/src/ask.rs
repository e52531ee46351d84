//! Secrets and decisions of whoever sits at the terminal. No secret is an argument: arguments are seen by all.

use crate::Problem;
use std::io::{self, BufRead, IsTerminal, Read, Write};

/// Longer ones are none.
const SECRET_MAX: u64 = 4096;

/// A secret: from the first line of standard input, or typed unseen.
///
/// # Errors
/// There is no terminal to ask on, or nothing comes.
pub fn secret(prompt: &str, from_stdin: bool) -> Result<String, Problem> {
    let help = "`--password-stdin` takes it from standard input";
    let read = if from_stdin { line() } else { rpassword::prompt_password(prompt) };
    let secret =
        read.map_err(|error| Problem::failed(format!("the password cannot be read: {error}"), help))?;
    if secret.is_empty() {
        return Err(Problem::Usage("an empty password is none".into(), help.into()));
    }
    Ok(secret)
}

/// A new secret: typed twice where it is typed.
///
/// # Errors
/// As [`secret`], or the two differ.
pub fn new_secret(of: &str, from_stdin: bool) -> Result<String, Problem> {
    let first = secret(&format!("New password of {of}: "), from_stdin)?;
    if !from_stdin && secret("Once more: ", false)? != first {
        return Err(Problem::Usage("the two are not the same".into(), "type it again".into()));
    }
    Ok(first)
}

fn line() -> io::Result<String> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(SECRET_MAX).read_until(b'\n', &mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text"))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_string())
}

/// What somebody answers; where nobody can be asked, there is no answer.
pub fn line_at_terminal(question: &str) -> Option<String> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    eprint!("{question}: ");
    let _ = io::stderr().flush();
    line().ok().map(|line| line.trim().to_string())
}

/// Whether somebody says yes; where nobody can be asked, there is no answer.
pub fn yes(question: &str) -> Option<bool> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return None;
    }
    eprint!("{question} [y/N] ");
    let _ = io::stderr().flush();
    let mut line = String::new();
    io::stdin().read_line(&mut line).ok()?;
    Some(["y", "yes"].contains(&line.trim().to_lowercase().as_str()))
}
