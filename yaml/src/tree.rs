//! The tree that every step works on until the last: YAML values that remember where they were written.
//!
//! Merging, defaults and checks all happen on this tree, so that whatever turns out to be wrong, however
//! late, can still be shown in the file. Types come last.

use crate::diagnostic::Pos;
use indexmap::IndexMap;

/// A mapping, in the order of the file.
pub type Map = IndexMap<String, Node>;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// What is written.
    pub value: Value,
    /// Where the value is written.
    pub pos: Pos,
    /// Where its key is written; for a list item, the same as `pos`.
    pub key: Pos,
    /// Its tag.
    pub tag: Tag,
    /// Whether it stands in the file itself.
    pub origin: Origin,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub enum Value {
    /// Nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Str(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping.
    Map(Map),
}

/// The tags that Compose knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tag {
    /// No tag, or one of YAML's own.
    None,
    /// `!reset`: what earlier layers said is dropped.
    Reset,
    /// `!override`: this value stands instead of what earlier layers said.
    Override,
}

/// Whether a text stands in the file or came from a variable. What came from a variable may be secret and
/// is not repeated in messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Written in the file.
    File,
    /// Given by a variable.
    Variable,
}

impl Node {
    /// A value at `pos`.
    pub fn new(value: Value, pos: Pos) -> Node {
        Node { value, pos, key: pos, tag: Tag::None, origin: Origin::File }
    }

    /// A node that is not in any file, standing where `near` does.
    pub fn derived(value: Value, near: &Node) -> Node {
        Node { value, pos: near.pos, key: near.key, tag: Tag::None, origin: near.origin }
    }

    /// A text that is not in any file, standing where `near` does.
    pub fn text(text: impl Into<String>, near: &Node) -> Node {
        Node::derived(Value::Str(text.into()), near)
    }

    /// Nothing, standing where this does.
    pub fn clone_place(&self) -> Node {
        Node::derived(Value::Null, self)
    }

    /// The mapping, if it is one.
    pub fn map(&self) -> Option<&Map> {
        match &self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The mapping to change, if it is one.
    pub fn map_mut(&mut self) -> Option<&mut Map> {
        match &mut self.value {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The list, if it is one.
    pub fn list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(list) => Some(list),
            _ => None,
        }
    }

    /// The text, if it is one.
    pub fn str(&self) -> Option<&str> {
        match &self.value {
            Value::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The value of `key`, if this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.map()?.get(key)
    }

    /// The text of the value of `key`, if it is a text.
    pub fn get_str(&self, key: &str) -> Option<&str> {
        self.get(key)?.str()
    }

    /// The node under `path`, keys only.
    pub fn at(&self, path: &[&str]) -> Option<&Node> {
        path.iter().try_fold(self, |node, key| node.get(key))
    }

    /// Whether it is nothing.
    pub fn is_null(&self) -> bool {
        matches!(self.value, Value::Null)
    }

    /// The entries of a map, none for anything else.
    pub fn entries(&self) -> impl Iterator<Item = (&String, &Node)> {
        self.map().into_iter().flatten()
    }

    /// The items of a list, none for anything else.
    pub fn items(&self) -> &[Node] {
        self.list().unwrap_or_default()
    }

    /// The scalar as the reference prints it; `None` for lists, maps and null.
    pub fn scalar(&self) -> Option<String> {
        match &self.value {
            Value::Bool(value) => Some(value.to_string()),
            Value::Int(value) => Some(value.to_string()),
            Value::Float(value) => Some(crate::scalar::print_float(*value)),
            Value::Str(text) => Some(text.clone()),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The value for a message: quoted, cut at 40 characters, and not shown where a variable gave it.
    pub fn shown(&self) -> String {
        if self.origin == Origin::Variable {
            return "the value that the variable gives".into();
        }
        match self.scalar() {
            Some(text) if text.chars().count() > 40 => {
                format!("\"{}…\"", text.chars().take(40).collect::<String>())
            }
            Some(text) => format!("\"{text}\""),
            None => self.kind().into(),
        }
    }

    /// What it is, in a reader's words.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Str(_) => "a text",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
        }
    }

    /// Equality of what is said, wherever it stands.
    pub fn same(&self, other: &Node) -> bool {
        match (&self.value, &other.value) {
            (Value::Null, Value::Null) => true,
            (Value::Bool(a), Value::Bool(b)) => a == b,
            (Value::Int(a), Value::Int(b)) => a == b,
            (Value::Float(a), Value::Float(b)) => a == b,
            (Value::Str(a), Value::Str(b)) => a == b,
            (Value::List(a), Value::List(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same(b)),
            (Value::Map(a), Value::Map(b)) => {
                a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| a.same(b)))
            }
            _ => false,
        }
    }
}

/// Where a node stands in the tree: keys, and `[]` for a list item.
#[derive(Clone, Debug, Default)]
pub struct Path(Vec<String>);

impl Path {
    /// The path of these parts.
    pub fn of(parts: &[&str]) -> Path {
        Path(parts.iter().map(|part| part.to_string()).collect())
    }

    /// The path of the value of `key` below this.
    pub fn key(&self, key: &str) -> Path {
        let mut parts = Vec::with_capacity(self.0.len() + 1);
        parts.extend_from_slice(&self.0);
        parts.push(key.to_string());
        Path(parts)
    }

    /// The path of an item of the list here.
    pub fn item(&self) -> Path {
        self.key("[]")
    }

    /// The parts, from the top.
    pub fn parts(&self) -> &[String] {
        &self.0
    }

    /// Whether it is matched by a dotted pattern, in which `*` stands for any one part. A job is written as a service is:
    /// a pattern for services matches the same place of a job.
    pub fn matches(&self, pattern: &str) -> bool {
        let mut parts = self.0.iter().map(String::as_str).enumerate();
        let same = |want: &str, part: &str| want == "*" || want == part;
        let is = |want, (at, part)| same(want, part) || at == 0 && want == "services" && part == "jobs";
        pattern.split('.').all(|want| parts.next().is_some_and(|part| is(want, part)))
            && parts.next().is_none()
    }

    /// The service, or job, that it lies in.
    pub fn service(&self) -> Option<&str> {
        match self.0.as_slice() {
            [first, name, ..] if first == "services" || first == "jobs" => Some(name),
            _ => None,
        }
    }
}

/// As a person reads it: `services.web.ports[]`.
impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join(".").replace(".[]", "[]"))
    }
}
