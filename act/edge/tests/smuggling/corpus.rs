//! The corpora: cases by class, each with its bytes and with what was found.
//!
//! `## ` names a class, `# ` a case; `< ` has its bytes (`\r`, `\n`, `\t`, `\xNN`, `\*N*text*` for N times a text);
//! a line `|` waits for what is due; `@ ` changes the case; the lines below are what was found.

use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Mutex;

/// A corpus.
pub struct Corpus {
    file: PathBuf,
    /// What it has to say of itself.
    preface: Vec<String>,
    pub cases: Vec<Case>,
}

/// A case of a corpus.
pub struct Case {
    pub class: String,
    pub title: String,
    /// Its bytes, and where they pause.
    pub pieces: Vec<Vec<u8>>,
    /// What is said after `@`.
    pub settings: Vec<String>,
    source: Vec<String>,
    /// What was found, a line each.
    pub found: Vec<String>,
}

impl Corpus {
    pub fn read(name: &str) -> Corpus {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/smuggling").join(name);
        let text = std::fs::read_to_string(&file).unwrap();
        let mut corpus = Corpus { file, preface: vec![], cases: vec![] };
        let mut class = String::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if let Some(name) = line.strip_prefix("## ") {
                class = name.to_owned();
            } else if let Some(title) = line.strip_prefix("# ") {
                corpus.cases.push(Case::new(&class, title));
            } else if let Some(case) = corpus.cases.last_mut() {
                case.take(line);
            } else {
                corpus.preface.push(line.to_owned());
            }
        }
        corpus
    }

    /// Its text with what was found.
    fn text(&self) -> String {
        let mut text = self.preface.join("\n") + "\n";
        let mut class = "";
        for case in &self.cases {
            if case.class != class {
                class = &case.class;
                write!(text, "\n## {class}\n").unwrap();
            }
            write!(text, "\n# {}\n", case.title).unwrap();
            case.source.iter().chain(&case.found).for_each(|line| writeln!(text, "{line}").unwrap());
        }
        text
    }

    /// Checks that what was found is what the file says, and the table in the documents too.
    pub fn check(&self, section: &str) {
        // The tests of one program share the page in the documents.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _one = ONE_AT_A_TIME.lock();
        check(&self.file, &self.text());
        let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/edge-conformance.md");
        let all = std::fs::read_to_string(&docs).unwrap();
        let (begin, end) = (format!("<!-- {section} -->\n"), format!("<!-- end of {section} -->"));
        let from = all.find(&begin).expect("the section's mark") + begin.len();
        let to = all.find(&end).expect("the mark of the section's end");
        check(&docs, &format!("{}{}{}", &all[..from], self.table(), &all[to..]));
    }

    fn table(&self) -> String {
        let mut table = "| class | case | what the edge does |\n| --- | --- | --- |\n".to_owned();
        for case in &self.cases {
            let found: Vec<_> =
                case.found.iter().map(|line| line.trim_start_matches(['>', '=', ' '])).collect();
            let found = found.join("; ").replace('|', "\\|");
            writeln!(table, "| {} | {} | {found} |", case.class, case.title).unwrap();
        }
        table
    }
}

fn check(file: &PathBuf, actual: &str) {
    let expected = std::fs::read_to_string(file).unwrap();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file, actual).unwrap();
    } else if actual != expected {
        let differ = actual.lines().zip(expected.lines()).find(|(a, e)| a != e);
        panic!("{} says otherwise; UPDATE=1 writes it anew: {differ:#?}", file.display());
    }
}

impl Case {
    fn new(class: &str, title: &str) -> Case {
        Case {
            class: class.into(),
            title: title.into(),
            pieces: vec![vec![]],
            settings: vec![],
            source: vec![],
            found: vec![],
        }
    }

    fn take(&mut self, line: &str) {
        match line.split_at(line.len().min(2)) {
            ("< ", text) => self.pieces.last_mut().unwrap().extend(unescape(text)),
            ("@ ", setting) => self.settings.push(setting.to_owned()),
            ("|", _) => self.pieces.push(vec![]),
            // What was found before.
            _ => return,
        }
        self.source.push(line.to_owned());
    }

    /// The word after a setting's name.
    pub fn setting(&self, name: &str) -> Option<&str> {
        self.settings.iter().find_map(|setting| setting.strip_prefix(name)).map(str::trim)
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.pieces.concat()
    }
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        if c != '\\' {
            out.extend(c.to_string().bytes());
            continue;
        }
        let (code, after) = rest.split_at(1);
        rest = after;
        match code {
            "r" => out.push(b'\r'),
            "n" => out.push(b'\n'),
            "t" => out.push(b'\t'),
            "x" => {
                out.push(u8::from_str_radix(&rest[..2], 16).unwrap());
                rest = &rest[2..];
            }
            "*" => {
                let mut parts = rest.splitn(3, '*');
                let times = parts.next().unwrap().parse().unwrap();
                out.extend(unescape(parts.next().unwrap()).repeat(times));
                rest = parts.next().unwrap();
            }
            other => out.extend(other.bytes()),
        }
    }
    out
}
