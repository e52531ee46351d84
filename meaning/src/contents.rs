//! Secrets and configs of containers: files whose content is read here, and handed out beside the stack.

use crate::Project;
use crate::read::Reader;
use crate::service::{is_true, text};
use naru_model::{ContentFile, ContentId, ContentKind};
use naru_schedule::{Addresses, Fetched, Sources, Told};
use naru_yaml::Node;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::{fmt, io};

/// Reads contents, and keeps them until they are handed over.
pub(crate) struct Shelf<'a> {
    variables: &'a BTreeMap<String, String>,
    read: &'a dyn Fn(&str) -> io::Result<Vec<u8>>,
    addresses: &'a Addresses,
    held: RefCell<BTreeMap<ContentId, Vec<u8>>>,
}

/// What is in the secrets and configs of a stack. It is never shown: its form for debugging has only the number.
#[derive(Clone, Default, PartialEq)]
pub struct Contents(pub BTreeMap<ContentId, Vec<u8>>);

impl fmt::Debug for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Contents of {} files", self.0.len())
    }
}

/// All contents of a stack together, 16 MiB: they are held in memory and sent at once. Swarm, which has the same notion,
/// allows 500 KiB for a secret.
const MOST_BYTES: usize = 16 << 20;

impl<'a> Shelf<'a> {
    pub fn new(project: &Project<'a>) -> Shelf<'a> {
        let Project { variables, read, addresses, .. } = *project;
        Shelf { variables, read, addresses, held: RefCell::default() }
    }

    pub fn into_contents(self) -> Contents {
        Contents(self.held.into_inner())
    }

    /// The files of the service at `node`. What cannot be read is left out, and keeps the stack from being run.
    pub fn files(&self, reader: &mut Reader<'_>, node: &Node, root: &Node) -> Vec<ContentFile> {
        let mut files = Vec::new();
        for (kind, key) in [(ContentKind::Secret, "secrets"), (ContentKind::Config, "configs")] {
            for reference in node.get(key).map(Node::items).unwrap_or_default() {
                let name = reference.get_str("source").unwrap_or_default();
                let Some(object) = root.at(&[key, name]) else { continue };
                match self.content(object) {
                    Ok(content) => files.push(file(reader, kind, name, reference, content)),
                    Err(Fault { why, advice }) => {
                        reader.unfit(reference.pos, format!("{key}.{name}: {why}"), advice);
                    }
                }
            }
        }
        files
    }

    fn content(&self, object: &Node) -> Result<ContentId, Fault> {
        if is_true(object.get("external")) || object.get("driver").is_some() {
            let why = "it is kept by someone else, and Naru has no way to ask".to_string();
            return Err(Fault { why, advice: "give it by file, environment or content" });
        }
        let bytes = match (text(object, "file"), text(object, "environment"), object.get_str("content")) {
            (Some(path), _, _) => (self.read)(&path).map_err(|error| unreadable(&path, &error))?,
            (None, Some(name), _) => match self.variables.get(&name) {
                Some(value) => value.clone().into_bytes(),
                None => {
                    let why = format!("the variable {name}, which is its content, is not set");
                    return Err(Fault { why, advice: "set it, or write it in .env" });
                }
            },
            (None, None, content) => content.unwrap_or_default().as_bytes().to_vec(),
        };
        let id = ContentId::of(&bytes);
        let mut held = self.held.borrow_mut();
        let all: usize = held.values().map(Vec::len).sum();
        if !held.contains_key(&id) && all + bytes.len() > MOST_BYTES {
            let why = format!("with it, secrets and configs are more than {} MiB together", MOST_BYTES >> 20);
            return Err(Fault { why, advice: "mount large files as volumes" });
        }
        held.insert(id.clone(), bytes);
        Ok(id)
    }
}

/// Calendars are a part of what a service means, and not handed out.
impl Sources for Shelf<'_> {
    fn file(&self, path: &str) -> Result<String, Told> {
        let told = |Fault { why, advice }| Told::new(why, advice);
        let bytes = (self.read)(path).map_err(|error| told(unreadable(path, &error)))?;
        String::from_utf8(bytes)
            .map_err(|_| Told::new(format!("{path} is not UTF-8 text"), "save it as UTF-8"))
    }

    fn address(&self, address: &str) -> Result<Fetched, naru_schedule::Fault> {
        self.addresses.get(address)
    }
}

/// Why a content cannot be had, and what to do.
struct Fault {
    why: String,
    advice: &'static str,
}

fn unreadable(path: &str, error: &io::Error) -> Fault {
    let (why, advice) = match error.kind() {
        io::ErrorKind::NotFound => ("is not there".to_string(), "create it"),
        io::ErrorKind::PermissionDenied => ("may not be read by this user".into(), "let this user read it"),
        io::ErrorKind::IsADirectory => ("is a folder".into(), "name a file, or mount the folder as a volume"),
        io::ErrorKind::FileTooLarge => ("is larger than 1 MiB".into(), "mount it as a volume"),
        _ => (format!("cannot be read: {error}"), "check its path"),
    };
    Fault { why: format!("{path} {why}"), advice }
}

fn file(
    reader: &mut Reader<'_>,
    kind: ContentKind,
    name: &str,
    reference: &Node,
    content: ContentId,
) -> ContentFile {
    let folder = match kind {
        ContentKind::Secret => "/run/secrets/",
        ContentKind::Config => "/",
    };
    let target = text(reference, "target").unwrap_or_else(|| name.to_string());
    let mode = reference.get_str("mode").and_then(|octal| u32::from_str_radix(octal, 8).ok());
    ContentFile {
        kind,
        name: name.to_string(),
        target: if target.starts_with('/') { target } else { format!("{folder}{target}") },
        mode: mode.unwrap_or(0o444),
        uid: owner(reader, kind, reference, "uid"),
        gid: owner(reader, kind, reference, "gid"),
        content,
    }
}

/// `uid` and `gid` are numbers: names would be the image's, which is not asked.
fn owner(reader: &mut Reader<'_>, kind: ContentKind, reference: &Node, key: &str) -> Option<u32> {
    let written = reference.get(key)?;
    let number = written.scalar().and_then(|text| text.parse().ok());
    if number.is_none() {
        let what = format!("{}s.{key} must be a number, not {}", kind.word(), written.shown());
        reader.unfit(written.pos, what, "write the number, as \"1000\"");
    }
    number
}
