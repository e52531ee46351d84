//! Rust's tokens, as far as tidy needs them: what is code, what is text in quotes, what is a comment.
//!
//! A lexer and not a parser, so that it reads every source that is being worked on, and needs no library.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Names, keywords and numbers.
    Word,
    /// One character of punctuation.
    Mark,
    /// Text, byte or character literal, with its quotes.
    Quoted,
    /// With its slashes.
    Comment,
    /// With its tick.
    Lifetime,
}

/// A token and where it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    /// From 1.
    pub line: usize,
}

/// A function with a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    /// Of the `fn`, from 1.
    pub line: usize,
    /// From the `fn` to the closing brace, both counted.
    pub lines: usize,
}

impl Token {
    /// Whether it is this name or this mark.
    pub fn is(&self, text: &str) -> bool {
        matches!(self.kind, Kind::Word | Kind::Mark) && self.text == text
    }
}

/// All tokens of a source, in order.
pub fn tokens(source: &str) -> Vec<Token> {
    let chars: Vec<char> = source.chars().collect();
    let (mut tokens, mut at, mut line) = (Vec::new(), 0, 1);
    while at < chars.len() {
        if chars[at].is_whitespace() {
            line += usize::from(chars[at] == '\n');
            at += 1;
            continue;
        }
        let (kind, end) = token(&chars, at);
        let text: String = chars[at..end].iter().collect();
        let lines = text.matches('\n').count();
        tokens.push(Token { kind, text, line });
        line += lines;
        at = end;
    }
    tokens
}

/// The functions with a body among the tokens, those inside others included.
pub fn functions(tokens: &[Token]) -> Vec<Function> {
    let code: Vec<&Token> = tokens.iter().filter(|t| t.kind != Kind::Comment).collect();
    let mut found = Vec::new();
    for (at, pair) in code.windows(2).enumerate() {
        if pair[0].is("fn")
            && pair[1].kind == Kind::Word
            && let Some(end) = body_end(&code[at..])
        {
            let line = pair[0].line;
            found.push(Function { name: pair[1].text.clone(), line, lines: end - line + 1 });
        }
    }
    found
}

/// The line of the brace that closes the body of the function that begins here; `None` when it has none.
fn body_end(code: &[&Token]) -> Option<usize> {
    let mut depth = 0;
    let mut in_body = false;
    for token in code.iter().filter(|t| t.kind == Kind::Mark) {
        match token.text.as_str() {
            "(" | "[" => depth += 1,
            "{" => {
                in_body |= depth == 0;
                depth += 1;
            }
            ")" | "]" | "}" => {
                depth -= 1;
                if depth == 0 && in_body {
                    return Some(token.line);
                }
            }
            ";" if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

/// What begins at `at`, which is no space, and where it ends.
fn token(chars: &[char], at: usize) -> (Kind, usize) {
    let next = |n: usize| chars.get(at + n).copied().unwrap_or('\0');
    match chars[at] {
        '/' if next(1) == '/' => (Kind::Comment, find(chars, at, |c| c == '\n')),
        '/' if next(1) == '*' => (Kind::Comment, block_comment(chars, at)),
        '"' => (Kind::Quoted, quoted(chars, at, '"')),
        '\'' if next(1) == '\\' || (next(2) == '\'' && next(1) != '\'') => {
            (Kind::Quoted, quoted(chars, at, '\''))
        }
        '\'' => (Kind::Lifetime, find(chars, at + 1, |c| !is_word(c))),
        'r' | 'b' | 'c' => prefixed(chars, at).unwrap_or_else(|| word(chars, at)),
        c if is_word(c) => word(chars, at),
        _ => (Kind::Mark, at + 1),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

fn word(chars: &[char], at: usize) -> (Kind, usize) {
    (Kind::Word, find(chars, at, |c| !is_word(c)))
}

fn find(chars: &[char], from: usize, stop: impl Fn(char) -> bool) -> usize {
    (from..chars.len()).find(|&i| stop(chars[i])).unwrap_or(chars.len())
}

/// Past the quote that ends what `at` begins.
fn quoted(chars: &[char], at: usize, quote: char) -> usize {
    let mut i = at + 1;
    while i < chars.len() && chars[i] != quote {
        i += 1 + usize::from(chars[i] == '\\');
    }
    (i + 1).min(chars.len())
}

/// `r"…"`, `br#"…"#`, `b'x'`, `c"…"` and the like.
fn prefixed(chars: &[char], at: usize) -> Option<(Kind, usize)> {
    let letters = find(chars, at, |c| !matches!(c, 'r' | 'b' | 'c'));
    let raw = chars[at..letters].contains(&'r');
    let hashes = if raw { find(chars, letters, |c| c != '#') } else { letters };
    match chars.get(hashes)? {
        '"' if raw => Some((Kind::Quoted, raw_end(chars, hashes + 1, hashes - letters))),
        quote @ ('"' | '\'') if letters - at == 1 && !raw => {
            Some((Kind::Quoted, quoted(chars, letters, *quote)))
        }
        _ => None,
    }
}

fn raw_end(chars: &[char], from: usize, hashes: usize) -> usize {
    let closes = |i: usize| {
        chars[i] == '"' && chars[i + 1..].iter().take(hashes).filter(|c| **c == '#').count() == hashes
    };
    (from..chars.len()).find(|&i| closes(i)).map_or(chars.len(), |i| i + 1 + hashes)
}

fn block_comment(chars: &[char], at: usize) -> usize {
    let (mut depth, mut i) = (0, at);
    while i + 1 < chars.len() {
        match (chars[i], chars[i + 1]) {
            ('/', '*') => (depth, i) = (depth + 1, i + 2),
            ('*', '/') => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            return i;
        }
    }
    chars.len()
}

#[cfg(test)]
mod tests {
    use super::{Kind, functions, tokens};

    fn of(kind: Kind, source: &str) -> Vec<String> {
        tokens(source).into_iter().filter(|t| t.kind == kind).map(|t| t.text).collect()
    }

    #[test]
    fn quotes_and_comments_are_no_code() {
        let source = r##"let a = "fn \" // x"; let b = r#"a " b"#; /* fn /* nested */ x */ c // fn y"##;
        assert_eq!(of(Kind::Word, source), ["let", "a", "let", "b", "c"]);
        assert_eq!(of(Kind::Quoted, source), [r#""fn \" // x""#, r##"r#"a " b"#"##]);
        assert_eq!(of(Kind::Comment, source), ["/* fn /* nested */ x */", "// fn y"]);
    }

    #[test]
    fn ticks_are_characters_or_lifetimes() {
        let source = r"fn f<'a>(x: &'a str) { g('x', '\'', b'{', '{', '_') }";
        assert_eq!(of(Kind::Lifetime, source), ["'a", "'a"]);
        assert_eq!(of(Kind::Quoted, source), ["'x'", r"'\''", "b'{'", "'{'", "'_'"]);
    }

    #[test]
    fn words_that_begin_like_a_prefix_are_words() {
        assert_eq!(of(Kind::Word, "bcr rb r#type b c"), ["bcr", "rb", "r", "type", "b", "c"]);
    }

    #[test]
    fn functions_are_measured_from_fn_to_brace() {
        let source = "//! x\ntrait T {\n fn none(&self);\n}\nfn one() {}\n\
                      fn outer<const N: usize>(a: [u8; 3]) -> fn(u8)\nwhere\n A: B,\n{\n fn inner() {\n }\n}\n";
        let found: Vec<_> =
            functions(&tokens(source)).into_iter().map(|f| (f.name, f.line, f.lines)).collect();
        let want = [("one", 5, 1), ("outer", 6, 7), ("inner", 10, 2)];
        assert_eq!(found, want.map(|(name, line, lines)| (name.to_string(), line, lines)));
    }

    #[test]
    fn lines_are_counted_through_long_tokens() {
        let found = tokens("a /* \n\n */ b \"\n\" c");
        let lines: Vec<_> = found.iter().map(|t| (t.text.chars().next().unwrap(), t.line)).collect();
        assert_eq!(lines, [('a', 1), ('/', 1), ('b', 3), ('"', 3), ('c', 4)]);
    }
}
