//! YAML text to trees: anchors, aliases and `<<` resolved, within a budget.
//!
//! An alias is replaced by a copy of what it stands for. Copies are counted, since ten lines of nested
//! aliases can stand for millions of values; depth is limited, since every later step recurses.

use crate::diagnostic::{Pos, Report};
use crate::scalar::resolve;
use crate::tree::{Map, Node, Path, Tag, Value};
use granit_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, options};
use std::borrow::Cow;
use std::collections::HashMap;

/// One `---` document: a layer of its own.
#[derive(Debug)]
pub struct Document {
    /// What it says.
    pub root: Node,
    /// Where `!reset` and `!override` stand: what earlier layers have there is dropped.
    pub resets: Vec<Path>,
}

/// Values that aliases may add to one file. The largest of 638 public files has 436
/// values in all.
const MOST_COPIES: usize = 20_000;

/// Levels of nesting, aliases included. 638 public files have up to 10.
const DEEPEST: usize = 100;

/// The documents of a text. On a syntax error it is reported, and what came before it is returned.
pub fn parse(report: &mut Report, file: u16, text: &str) -> Vec<Document> {
    let options = options! {
        emit_comments: false,
        block_scalar_eof_without_line_feed: true,
        flow_nesting_limit: DEEPEST,
        block_nesting_limit: DEEPEST,
    };
    let parser = Parser::new_from_str_with_options(text, options);
    let mut reader = Reader { parser, file, anchors: HashMap::new(), copies: 0, report };
    let mut documents = Vec::new();
    while let Some(root) = reader.document() {
        let Some(mut root) = root else { break };
        let mut resets = Vec::new();
        take_resets(&mut root, &Path::default(), &mut resets);
        documents.push(Document { root, resets });
    }
    documents
}

/// Removes what is tagged `!reset`, and lists where it and what is tagged `!override` stand.
fn take_resets(node: &mut Node, path: &Path, resets: &mut Vec<Path>) {
    match &mut node.value {
        Value::Map(map) => {
            for (key, value) in map.iter_mut() {
                let path = path.key(key);
                if value.tag != Tag::None {
                    resets.push(path);
                } else {
                    take_resets(value, &path, resets);
                }
            }
            map.retain(|_, value| value.tag != Tag::Reset);
        }
        Value::List(list) => {
            list.iter_mut().for_each(|item| take_resets(item, &path.item(), resets));
            list.retain(|item| item.tag != Tag::Reset);
        }
        _ => {}
    }
}

/// What an anchor stands for, and what a copy of it costs.
struct Anchored {
    node: Node,
    size: usize,
    depth: usize,
}

struct Reader<'a, 'r> {
    parser: Parser<'a, StrInput<'a>>,
    file: u16,
    anchors: HashMap<usize, Anchored>,
    copies: usize,
    report: &'r mut Report,
}

/// Reading cannot go on: the error is in the report.
struct Stop;

type Read<T> = Result<T, Stop>;

impl<'a> Reader<'a, '_> {
    /// The next document; `Some(None)` when reading cannot go on.
    fn document(&mut self) -> Option<Option<Node>> {
        loop {
            match self.next() {
                Ok((Event::DocumentStart(..), _)) => break,
                Ok((Event::StreamEnd, _)) => return None,
                Ok(_) => {}
                Err(Stop) => return Some(None),
            }
        }
        self.anchors.clear();
        let root = self.next().and_then(|(event, span)| self.node(event, span, 0));
        Some(root.ok())
    }

    fn next(&mut self) -> Read<(Event<'a>, Span)> {
        match self.parser.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => Err(self.syntax(&error)),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn syntax(&mut self, error: &ScanError) -> Stop {
        let mark = error.marker();
        let pos = Pos { file: self.file, line: mark.line() as u32, col: mark.col() as u32 + 1, width: 1 };
        let said = error.info();
        for (name, quote) in [("double-quoted", '"'), ("single-quoted", '\'')] {
            if let Some(begin) = self.report.odd_above(pos, quote).filter(|_| said.contains(name)) {
                let message = "this is not valid YAML: the text that begins here ends in the wrong place";
                self.report.error_advised(begin, message, "close the quote");
                return Stop;
            }
        }
        let advice = advice_for(&said);
        self.report.error_advised(pos, format!("this is not valid YAML: {said}"), advice);
        Stop
    }

    fn pos(&self, span: Span) -> Pos {
        let start = span.start;
        let one_line = span.end.line() == start.line();
        let width = if one_line { span.end.index().saturating_sub(start.index()).max(1) } else { 1 };
        Pos { file: self.file, line: start.line() as u32, col: start.col() as u32 + 1, width: width as u32 }
    }

    fn node(&mut self, event: Event<'a>, span: Span, depth: usize) -> Read<Node> {
        let pos = self.pos(span);
        if depth > DEEPEST {
            return Err(self.stop(pos, "this is nested too deeply", "100 levels are the most"));
        }
        let tag = event.tag().map(|tag| tag.original());
        let anchor = event.anchor_id();
        let mut node = match event {
            Event::Scalar(text, style, ..) => self.scalar(text, style, tag.as_deref(), pos)?,
            Event::SequenceStart(..) => Node::new(Value::List(self.list(depth)?), pos),
            Event::MappingStart(..) => Node::new(Value::Map(self.mapping(depth)?), pos),
            Event::Alias(id) => return self.copy(id, pos, depth),
            _ => return Err(self.stop(pos, "a value is missing here", "write one, or remove the key")),
        };
        node.tag = self.tag(tag.as_deref(), pos);
        if let Some(id) = anchor {
            let (size, deep) = measure(&node);
            self.anchors.insert(id, Anchored { node: node.clone(), size, depth: deep });
        }
        Ok(node)
    }

    fn stop(&mut self, pos: Pos, message: &str, advice: &str) -> Stop {
        self.report.error_advised(pos, message, advice);
        Stop
    }

    fn tag(&mut self, tag: Option<&str>, pos: Pos) -> Tag {
        match tag {
            Some("!reset") => Tag::Reset,
            Some("!override") => Tag::Override,
            Some(other) if !other.starts_with("!!") && other != "!" => {
                let message = format!("the tag {other} is not known");
                self.report.error_advised(pos, message, "Compose knows !reset and !override");
                Tag::None
            }
            _ => Tag::None,
        }
    }

    fn scalar(&mut self, text: Cow<'a, str>, style: ScalarStyle, tag: Option<&str>, pos: Pos) -> Read<Node> {
        let as_text = |text: Cow<'a, str>| Ok(Node::new(Value::Str(text.into_owned()), pos));
        match tag {
            Some("!!str" | "!") => return as_text(text),
            Some("!!int" | "!!float" | "!!bool" | "!!null") => {}
            _ if style != ScalarStyle::Plain => return as_text(text),
            _ => {}
        }
        match resolve(&text) {
            Ok(value) => Ok(Node::new(value, pos)),
            Err(what) => {
                let message = format!("{text} is {what} in YAML, and no key of Compose takes one");
                let advice = format!("write it as text: \"{text}\"");
                self.report.error_advised(pos, message, advice);
                as_text(text)
            }
        }
    }

    fn list(&mut self, depth: usize) -> Read<Vec<Node>> {
        let mut list = Vec::new();
        loop {
            let (event, span) = self.next()?;
            if event == Event::SequenceEnd {
                return Ok(list);
            }
            list.push(self.node(event, span, depth + 1)?);
        }
    }

    fn mapping(&mut self, depth: usize) -> Read<Map> {
        let (mut map, mut sources, mut merge_key) = (Map::new(), Vec::new(), None);
        loop {
            let (event, span) = self.next()?;
            if event == Event::MappingEnd {
                break;
            }
            let is_merge = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, ..) if text == "<<");
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.next()?;
            let mut value = self.node(event, span, depth + 1)?;
            value.key = key.pos;
            let Some(name) = self.key_name(&key) else { continue };
            let known = match is_merge {
                true => merge_key.replace(key.pos),
                false => map.get(&name).map(|known: &Node| known.key),
            };
            match known {
                Some(known) => self.duplicate(&key, &name, known),
                None if is_merge => sources = self.merge_sources(value),
                None => drop(map.insert(name, value)),
            }
        }
        add_merged(&mut map, sources);
        Ok(map)
    }

    fn duplicate(&mut self, key: &Node, name: &str, known: Pos) {
        let message = format!("the key \"{name}\" is already there, on line {}", known.line);
        self.report.error_advised(key.pos, message, "keep one of them");
    }

    fn key_name(&mut self, key: &Node) -> Option<String> {
        if let Value::Str(name) = &key.value {
            return Some(name.clone());
        }
        let (message, advice) = match key.scalar() {
            Some(text) => (
                format!("a key has to be a text, and {text} is {}", key.kind()),
                format!("put it in quotes: \"{text}\""),
            ),
            None => (
                format!("a key has to be a text, and this is {}", key.kind()),
                "name the key; put a text that begins with { or [ in quotes".into(),
            ),
        };
        self.report.error_advised(key.pos, message, advice);
        None
    }

    fn merge_sources(&mut self, value: Node) -> Vec<Node> {
        let pos = value.pos;
        match value.value {
            Value::Map(_) => vec![value],
            Value::List(list) if list.iter().all(|item| item.map().is_some()) => list,
            _ => {
                let message = "<< takes a mapping, or a list of mappings";
                self.report.error_advised(pos, message, "give it an alias of a mapping: <<: *name");
                Vec::new()
            }
        }
    }

    fn copy(&mut self, id: usize, pos: Pos, depth: usize) -> Read<Node> {
        let Some(anchored) = self.anchors.get(&id) else {
            return Err(self.stop(
                pos,
                "this alias lies within what it stands for",
                "move the anchor to where it ends before its alias",
            ));
        };
        self.copies += anchored.size;
        if self.copies > MOST_COPIES || depth + anchored.depth > DEEPEST {
            let message = "the aliases of this file stand for too many values";
            let advice = format!("{MOST_COPIES} values and {DEEPEST} levels are the most");
            return Err(self.stop(pos, message, &advice));
        }
        Ok(anchored.node.clone())
    }
}

/// Adds the keys of the sources of `<<`; what is written in the map itself wins, then earlier sources.
fn add_merged(map: &mut Map, sources: Vec<Node>) {
    for source in sources {
        let Value::Map(source) = source.value else { continue };
        for (key, value) in source {
            map.entry(key).or_insert(value);
        }
    }
}

/// How many values a node has, and how many levels.
fn measure(node: &Node) -> (usize, usize) {
    let children: Vec<(usize, usize)> = match &node.value {
        Value::List(list) => list.iter().map(measure).collect(),
        Value::Map(map) => map.values().map(measure).collect(),
        _ => return (1, 1),
    };
    let size = children.iter().map(|(size, _)| size).sum::<usize>() + 1;
    let depth = children.iter().map(|(_, depth)| *depth).max().unwrap_or(0) + 1;
    (size, depth)
}

fn advice_for(said: &str) -> &'static str {
    match said {
        _ if said.contains("anchor") => {
            "define the anchor (&name) above its first alias (*name), or put a text that begins with * in quotes"
        }
        _ if said.contains("unexpected character") => "put a text that begins with this character in quotes",
        _ if said.contains("mapping values") => {
            "put a text with \": \" in it in quotes; if it is none, a : is missing just above, or this is \
             indented too far"
        }
        _ if said.contains("tab") => "indent with blanks: YAML does not take tabs",
        _ if said.contains("nesting") || said.contains("recursion") => "100 levels are the most",
        _ => "look at the indentation, and at quotes and brackets that are not closed, here and just above",
    }
}
