//! `$NAME` and `${NAME}` in a command, from the instance's environment.
//!
//! No shell is involved and a value is never split: one word stays one word. `$$` is a dollar. Anything
//! cleverer (`${NAME:-x}`, globs) is an error, since a command that silently means another is worse.

use std::collections::BTreeMap;

/// A word of a command cannot be expanded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// The environment has no such name.
    #[error("{word:?} names ${name}, which the instance's environment does not have (write $$ for a dollar)")]
    Unknown {
        /// The word as written.
        word: String,
        /// The name.
        name: String,
    },
    /// A dollar that begins neither `$NAME` nor `${NAME}`.
    #[error("{word:?}: a dollar must begin $NAME or ${{NAME}}; write $$ for a dollar")]
    Form {
        /// The word as written.
        word: String,
    },
}

/// Replaces the names in every word of `argv`.
///
/// # Errors
/// An unknown name, or a dollar in another form.
pub fn expand(argv: &[String], environment: &BTreeMap<String, String>) -> Result<Vec<String>, ExpandError> {
    argv.iter().map(|word| expand_word(word, environment)).collect()
}

fn expand_word(word: &str, environment: &BTreeMap<String, String>) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(word.len());
    let mut rest = word;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let (name, after) = split_name(rest).ok_or_else(|| ExpandError::Form { word: word.to_owned() })?;
        let unknown = || ExpandError::Unknown { word: word.to_owned(), name: name.to_owned() };
        out.push_str(environment.get(name).ok_or_else(unknown)?);
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// `NAME…` or `{NAME}…` into the name and what follows.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let (body, braced) = match text.strip_prefix('{') {
        Some(body) => (body, true),
        None => (text, false),
    };
    let fits = |(at, c): (usize, char)| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit());
    let end = body.char_indices().find(|&c| !fits(c)).map_or(body.len(), |(at, _)| at);
    let (name, after) = body.split_at(end);
    let after = if braced { after.strip_prefix('}')? } else { after };
    (!name.is_empty()).then_some((name, after))
}

#[cfg(test)]
mod tests {
    use super::expand;
    use std::collections::BTreeMap;

    fn check(word: &str) -> String {
        let environment = [("PORT", "8080"), ("A_1", "two words"), ("EMPTY", "")]
            .map(|(k, v)| (k.to_owned(), v.to_owned()));
        match expand(&[word.to_owned()], &BTreeMap::from(environment)) {
            Ok(words) => words.join("|"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_are_replaced_and_words_stay_whole() {
        assert_eq!(check("--port=$PORT"), "--port=8080");
        assert_eq!(check("${PORT}1$EMPTY-${A_1}"), "80801-two words");
        assert_eq!(check("$$PORT costs 5$$"), "$PORT costs 5$");
        assert_eq!(check("$$$PORT"), "$8080");
        assert_eq!(check("plain é"), "plain é");
    }

    #[test]
    fn an_unknown_name_and_a_stray_dollar_are_errors() {
        let unknown = "which the instance's environment does not have (write $$ for a dollar)";
        assert_eq!(check("-p $PROT"), format!("\"-p $PROT\" names $PROT, {unknown}"));
        assert_eq!(check("$PORTé$PORT_"), format!("\"$PORTé$PORT_\" names $PORT_, {unknown}"));
        for word in ["5$", "$1", "${PORT", "${}", "${PORT:-1}", "$ PORT"] {
            assert!(check(word).ends_with("must begin $NAME or ${NAME}; write $$ for a dollar"), "{word}");
        }
    }
}
