//! Env files: `.env` beside the Compose file, `--env-file`, and the `env_file` key.
//!
//! `KEY=value`, `export KEY=value`, `KEY: value`, `KEY` alone (taken from outside), comments, single and
//! double quotes over several lines, escapes in double quotes, variables outside single quotes. They hold
//! secrets: a fault names the line and repeats none of it.

use crate::interpolate::{Fault, Need, substitute};
use std::collections::BTreeMap;

/// Why an env file cannot be read, and on which of its lines.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub(crate) struct EnvFault {
    pub line: usize,
    pub what: String,
}

/// The variables of an env file. `outside` is asked first for variables in values, then what the file has
/// said so far.
pub(crate) fn parse(
    text: &str,
    outside: &dyn Fn(&str) -> Option<String>,
) -> Result<BTreeMap<String, String>, EnvFault> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { text, at: 0, known: BTreeMap::new(), outside };
    while reader.skip_to_statement() {
        reader.statement()?;
    }
    Ok(reader.known)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    known: BTreeMap<String, String>,
    outside: &'a dyn Fn(&str) -> Option<String>,
}

impl<'a> Reader<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn fault<T>(&self, what: impl Into<String>) -> Result<T, EnvFault> {
        let line = self.text[..self.at].matches('\n').count() + 1;
        Err(EnvFault { line, what: what.into() })
    }

    fn skip_to_statement(&mut self) -> bool {
        loop {
            let rest = self.rest();
            self.at += rest.len() - rest.trim_start().len();
            if !self.rest().starts_with('#') {
                return !self.rest().is_empty();
            }
            self.skip_line();
        }
    }

    fn skip_line(&mut self) {
        self.at += self.rest().find('\n').map_or(self.rest().len(), |end| end + 1);
    }

    fn statement(&mut self) -> Result<(), EnvFault> {
        if let Some(rest) = self.rest().strip_prefix("export")
            && rest.starts_with([' ', '\t'])
        {
            self.at += "export".len() + (rest.len() - rest.trim_start_matches([' ', '\t']).len());
        }
        let line = self.rest().lines().next().unwrap_or_default();
        let end = line.find(['=', ':']).unwrap_or(line.len());
        let name = line[..end].trim_end();
        if name.contains(char::is_whitespace) {
            return self.fault("a variable's name has a blank in it");
        }
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '[' | ']');
        if name.is_empty() || !name.chars().all(fits) {
            return self.fault("what stands before = is not a variable's name");
        }
        if end == line.len() {
            self.skip_line();
            if let Some(value) = (self.outside)(name) {
                self.known.insert(name.to_string(), value);
            }
            return Ok(());
        }
        self.at += end + 1;
        let blanks = self.rest().len() - self.rest().trim_start_matches([' ', '\t', '\r']).len();
        self.at += blanks;
        let value = self.value()?;
        self.known.insert(name.to_string(), value);
        Ok(())
    }

    fn value(&mut self) -> Result<String, EnvFault> {
        match self.rest().chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote),
            _ => {
                let line = self.rest().split('\n').next().unwrap_or_default();
                let value = line.split(" #").next().unwrap_or_default().trim_end();
                let value = self.expand(value)?;
                self.skip_line();
                Ok(value)
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Result<String, EnvFault> {
        let body = &self.rest()[1..];
        let mut escaped = false;
        let mut raw = String::new();
        for (at, c) in body.char_indices() {
            match c {
                '\\' if !escaped => {
                    escaped = true;
                    continue;
                }
                _ if c == quote && !escaped => {
                    let value = if quote == '"' { self.expand(&unescape(&raw))? } else { raw };
                    self.at += at + 2;
                    return Ok(value);
                }
                _ if escaped && c != quote => raw.push('\\'),
                _ => {}
            }
            escaped = false;
            raw.push(c);
        }
        self.fault("a quote is not closed")
    }

    fn expand(&self, value: &str) -> Result<String, EnvFault> {
        let mut look_up =
            |name: &str, _: Need| (self.outside)(name).or_else(|| self.known.get(name).cloned());
        substitute(value, &mut look_up).or_else(|fault| match fault {
            Fault::Missing { .. } => self.fault(fault.to_string()),
            Fault::Form(_) | Fault::Depth => {
                self.fault("a variable in the value has a form that is not known")
            }
        })
    }
}

/// The escapes of a shell in double quotes; `\$` becomes `$$`, which stands for a dollar sign.
fn unescape(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('r') => out.push('\r'),
            Some('t') => out.push('\t'),
            Some('a') => out.push('\x07'),
            Some('b') => out.push('\x08'),
            Some('f') => out.push('\x0c'),
            Some('v') => out.push('\x0b'),
            Some('\\') => out.push('\\'),
            Some('$') => out.push_str("$$"),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn env_files_read_as_the_reference_reads_them() {
        let text = "# comment\nA=1\nexport B = two # not this\nC: 'three $A'\nD=\"four ${A}\\n\\$A\"\nE\nF\n\
                    G='it\\'s'\nH=\"a\nb\"\nI=\nJ=x#y\n";
        let outside = |name: &str| (name == "E").then(|| "five".to_string());
        let read = parse(text, &outside).unwrap();
        let want = [
            ("A", "1"),
            ("B", "two"),
            ("C", "three $A"),
            ("D", "four 1\n$A"),
            ("E", "five"),
            ("G", "it's"),
            ("H", "a\nb"),
            ("I", ""),
            ("J", "x#y"),
        ];
        let want = want.map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(read.into_iter().collect::<Vec<_>>(), want);
    }

    #[test]
    fn faults_tell_the_line() {
        let outside = |_: &str| None;
        assert_eq!(parse("A=1\nB C=2", &outside).unwrap_err().line, 2);
        assert_eq!(parse("A=1\n\nB='x", &outside).unwrap_err().line, 3);
        assert_eq!(parse("A=${", &outside).unwrap_err().line, 1);
    }
}
