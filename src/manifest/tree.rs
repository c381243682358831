//! YAML as a tree that knows where each of its values stands.

use std::collections::HashMap;
use std::rc::Rc;

use checks::evidence::ProblemKind;
use granit_parser::{ErrorKind, Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::Value;

use super::scalar;
use super::{DEPTH, Memory};

/// A place in a file; lines and columns count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// From the first character to behind the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: At,
    pub(super) end: At,
}

/// A value and its place.
pub(super) struct Node {
    pub(super) range: Range,
    pub(super) content: Content,
    /// How many levels are below it, with those of its aliases.
    height: usize,
}

pub(super) enum Content {
    Scalar(Value),
    List(Vec<Rc<Node>>),
    Map(Vec<Entry>),
    /// What an anchor names: the value stands there, and is meant here.
    Alias(Rc<Node>),
}

/// A field of a map.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: Rc<str>,
    pub(super) key_at: Range,
    pub(super) value: Rc<Node>,
}

/// A key that stands twice in one map.
pub(super) struct Twice {
    pub(super) key: Rc<str>,
    pub(super) first: Range,
    pub(super) second: Range,
}

/// Why a document cannot be read.
pub(super) struct Broken {
    pub(super) at: Range,
    pub(super) kind: ProblemKind,
    pub(super) message: String,
}

/// What was read of a piece of a file.
#[derive(Default)]
pub(super) struct Trees {
    pub(super) documents: Vec<Rc<Node>>,
    pub(super) twice: Vec<Twice>,
    pub(super) broken: Option<Broken>,
}

/// So many keys that stand twice are told of in one piece.
const TWICE: usize = 20;

impl Node {
    /// The value that is meant, where this is an alias of it.
    pub(super) fn meant(&self) -> &Self {
        let mut node = self;
        while let Content::Alias(target) = &node.content {
            node = target;
        }
        node
    }

    /// A field of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Rc<Self>> {
        match &self.meant().content {
            Content::Map(entries) => {
                entries.iter().find(|entry| &*entry.key == key).map(|entry| &entry.value)
            }
            _ => None,
        }
    }

    /// The text, where it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.meant().content {
            Content::Scalar(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_null(&self) -> bool {
        matches!(&self.meant().content, Content::Scalar(Value::Null))
    }
}

/// Reads the documents of a text that begins at `start` in its file.
pub(super) fn read(text: &str, start: At, memory: &mut Memory) -> Trees {
    let mut options = granit_parser::Options::default();
    options.set_emit_comments(false);
    // JSON has keys of any length.
    options.simple_key_max_lookahead = 65_536;
    let mut builder = Builder {
        parser: Parser::new_from_str_with_options(text, options),
        start,
        marked: marked(text),
        memory,
        anchors: HashMap::new(),
        trees: Trees::default(),
    };
    if let Err(broken) = builder.stream() {
        builder.trees.broken = Some(broken);
    }
    builder.trees
}

/// The line on which the contents begin, if a byte order mark stands before them: files were put behind one another, with
/// a comment at the head of the later one. Within the contents a mark is a character like any other.
fn marked(text: &str) -> Option<usize> {
    let says_nothing = |line: &str| line.trim().is_empty() || line.starts_with(['#', '%']);
    let bare = |line: &'_ str| line.strip_prefix('\u{feff}').is_some_and(|rest| !says_nothing(rest));
    let mut lines = super::pieces::lines(text).enumerate();
    let (index, line) =
        lines.find(|(_, line)| !says_nothing(line.strip_prefix('\u{feff}').unwrap_or(line)))?;
    bare(line).then_some(index + 1)
}

struct Builder<'t, 'm> {
    parser: Parser<'t, StrInput<'t>>,
    start: At,
    /// The line, from 1, whose byte order mark the parser takes for none of its columns.
    marked: Option<usize>,
    memory: &'m mut Memory,
    anchors: HashMap<usize, Rc<Node>>,
    trees: Trees,
}

impl<'t> Builder<'t, '_> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, Broken> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok(next)) => Ok(Some(next)),
            Some(Err(error)) => {
                let at = self.at(*error.marker());
                let kind = match error.kind() {
                    ErrorKind::RecursionLimitExceeded => ProblemKind::TooLarge,
                    _ => ProblemKind::Syntax,
                };
                Err(Broken { at: Range { start: at, end: at }, kind, message: error.info() })
            }
        }
    }

    fn at(&self, marker: Marker) -> At {
        let first = if marker.line() <= 1 { self.start.column } else { 1 };
        let first = first + usize::from(self.marked == Some(marker.line()));
        At { line: self.start.line + marker.line().saturating_sub(1), column: first + marker.col() }
    }

    fn range(&self, span: Span) -> Range {
        Range { start: self.at(span.start), end: self.at(span.end) }
    }

    fn stream(&mut self) -> Result<(), Broken> {
        while let Some((event, span)) = self.next()? {
            match event {
                Event::DocumentStart(..) | Event::DocumentEnd | Event::StreamStart | Event::StreamEnd => {}
                event => {
                    self.anchors.clear();
                    let document = self.node(event, span, 0)?;
                    self.trees.documents.push(document);
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Rc<Node>, Broken> {
        let range = self.range(span);
        if depth > DEPTH {
            return Err(too_large(range, format!("it is nested deeper than {DEPTH} levels")));
        }
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.spend(text.len(), range)?;
                (anchor, scalar_node(&text, style, tag.as_deref(), range)?)
            }
            Event::SequenceStart(_, anchor, _) => (anchor, self.list(range, depth)?),
            Event::MappingStart(_, anchor, _) => (anchor, self.map(range, depth)?),
            Event::Alias(id) => {
                let target = self.anchors.get(&id).cloned();
                let target =
                    target.ok_or_else(|| syntax(range, "the anchor's value contains its own alias"))?;
                self.spend(0, range)?;
                (0, Node { range, height: target.height, content: Content::Alias(target) })
            }
            _ => return Err(syntax(range, "a value was expected here")),
        };
        if depth + node.height > DEPTH {
            return Err(too_large(
                range,
                format!("with its aliases it is nested deeper than {DEPTH} levels"),
            ));
        }
        let node = Rc::new(node);
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }

    fn list(&mut self, mut range: Range, depth: usize) -> Result<Node, Broken> {
        let mut items = Vec::new();
        let mut height = 0;
        loop {
            let (event, span) = self.expect(range)?;
            if matches!(event, Event::SequenceEnd) {
                self.close(&mut range, span);
                return Ok(Node { range, content: Content::List(items), height });
            }
            let item = self.node(event, span, depth + 1)?;
            range.end = range.end.max(item.range.end);
            height = height.max(item.height + 1);
            items.push(item);
        }
    }

    fn map(&mut self, mut range: Range, depth: usize) -> Result<Node, Broken> {
        let mut map = Map::default();
        loop {
            let (event, span) = self.expect(range)?;
            if matches!(event, Event::MappingEnd) {
                self.close(&mut range, span);
                let height = map.entries.iter().map(|entry| entry.value.height + 1).max().unwrap_or(0);
                return Ok(Node { range, content: Content::Map(map.entries), height });
            }
            let merges = matches!(&event, Event::Scalar(text, ScalarStyle::Plain, _, _) if text == "<<");
            let key = self.node(event, span, depth + 1)?;
            let (event, span) = self.expect(range)?;
            let mut value = self.node(event, span, depth + 1)?;
            if value.range.start == value.range.end && value.is_null() && value.range.start > key.range.end {
                // A value that is left out stands behind its key, and not where the next thing begins.
                let range = Range { start: key.range.end, end: key.range.end };
                value = Rc::new(Node { range, content: Content::Scalar(Value::Null), height: 0 });
            }
            range.end = range.end.max(key.range.end).max(value.range.end);
            if merges {
                self.merge(&mut map, &value)?;
                continue;
            }
            let name = match &key.meant().content {
                Content::Scalar(name) => scalar::key(name.clone()),
                _ => None,
            };
            let name =
                name.ok_or_else(|| syntax(key.range, "the key of a map has to be a text or a number"))?;
            self.spend(0, key.range)?;
            let twice = map.own(Entry { key: name.into(), key_at: key.range, value });
            if let Some(twice) = twice.filter(|_| self.trees.twice.len() < TWICE) {
                self.trees.twice.push(twice);
            }
        }
    }

    /// Takes over the fields of one map or of several, of which the first counts most. As in go-yaml 2 a merge that
    /// stands behind a field of the map itself overrides it.
    fn merge(&mut self, map: &mut Map, value: &Rc<Node>) -> Result<(), Broken> {
        let wanted = || syntax(value.range, "what is merged has to be a map or a list of maps");
        let sources: Vec<Rc<Node>> = match &value.meant().content {
            Content::Map(_) => vec![Rc::clone(value)],
            Content::List(items) => items.iter().rev().cloned().collect(),
            _ => return Err(wanted()),
        };
        for source in sources {
            let Content::Map(entries) = &source.meant().content else { return Err(wanted()) };
            for entry in entries {
                self.spend(0, value.range)?;
                map.put(entry.clone());
            }
        }
        Ok(())
    }

    fn expect(&mut self, around: Range) -> Result<(Event<'t>, Span), Broken> {
        self.next()?.ok_or_else(|| syntax(around, "the file ends within this value"))
    }

    /// Brackets end with their closing one; blocks end with the last thing in them.
    fn close(&self, range: &mut Range, span: Span) {
        if !span.is_empty() {
            range.end = range.end.max(self.at(span.end));
        }
    }

    fn spend(&mut self, bytes: usize, at: Range) -> Result<(), Broken> {
        self.memory.spend(bytes).map_err(|message| too_large(at, message))
    }
}

/// The fields of a map that is being read.
#[derive(Default)]
struct Map {
    entries: Vec<Entry>,
    /// Where each key is in `entries`, and whether the map has it of its own.
    index: HashMap<Rc<str>, (usize, bool)>,
}

impl Map {
    /// A field that stands in the map itself; the last one counts.
    fn own(&mut self, entry: Entry) -> Option<Twice> {
        let (key, second) = (Rc::clone(&entry.key), entry.key_at);
        let before = self.index.get(&key).copied();
        let first = before.filter(|(_, own)| *own).map(|(index, _)| self.entries[index].key_at);
        self.put(entry);
        self.index.entry(Rc::clone(&key)).and_modify(|(_, own)| *own = true);
        first.map(|first| Twice { key, first, second })
    }

    fn put(&mut self, entry: Entry) {
        if let Some((index, _)) = self.index.get(&entry.key) {
            self.entries[*index] = entry;
        } else {
            self.index.insert(Rc::clone(&entry.key), (self.entries.len(), false));
            self.entries.push(entry);
        }
    }
}

fn scalar_node(text: &str, style: ScalarStyle, tag: Option<&Tag>, range: Range) -> Result<Node, Broken> {
    let value = match tag.map(Tag::core_suffix) {
        Some(Some(tag)) => scalar::tagged(tag, text),
        None if style == ScalarStyle::Plain => scalar::resolve(text),
        _ => Ok(text.into()),
    };
    let value = value.map_err(|message| syntax(range, message))?;
    Ok(Node { range, content: Content::Scalar(value), height: 0 })
}

fn syntax(at: Range, message: impl Into<String>) -> Broken {
    Broken { at, kind: ProblemKind::Syntax, message: message.into() }
}

fn too_large(at: Range, message: impl Into<String>) -> Broken {
    Broken { at, kind: ProblemKind::TooLarge, message: message.into() }
}
