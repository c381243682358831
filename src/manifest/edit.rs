//! Changes a manifest field by field, and takes only a change whose result reads as it was meant.
//!
//! A change is one of text: a value takes the place of another, a line goes, or lines are added beside their siblings.
//! What came of it is read again. Anchors, comments and odd layouts can so make a change impossible, and never wrong.

use checks::evidence::{Document, Manifests, Place};
use checks::plan;
use serde_json::Value;

use super::{
    read_text,
    scalar_text::{block, flow, plain},
};

/// A line, and where it stood before any change; nothing for a new one.
pub(crate) type Line = (Option<usize>, String);

/// A file in the making.
pub(crate) struct Draft {
    name: String,
    lines: Vec<Line>,
    manifests: Manifests,
    /// Where its documents began before any change.
    begins: Vec<Place>,
}

/// What a field is to hold: the number of its document in the file, its pointer, and the value; nothing where it is to
/// go.
pub(crate) type Change<'c> = (usize, &'c str, Option<&'c Value>);

impl Draft {
    /// A file as it is; nothing where its text is not at hand.
    pub(crate) fn new(manifests: &Manifests, name: &str) -> Option<Self> {
        let lines = manifests.files.get(name)?;
        let lines = lines.iter().enumerate().map(|(index, line)| (Some(index), line.clone())).collect();
        let manifests = read(name, &lines);
        let begins = manifests.documents.iter().map(|document| document.place.clone()).collect();
        Some(Self { name: name.to_owned(), lines, manifests, begins })
    }

    /// The number of the document that began here before any change.
    pub(crate) fn document(&self, place: &Place) -> Option<usize> {
        self.begins.iter().position(|begin| begin == place)
    }

    /// The lines as they have become.
    pub(crate) fn lines(&self) -> &[Line] {
        &self.lines
    }

    /// Makes all of these changes, or none of them where one cannot be made with certainty.
    pub(crate) fn apply(&mut self, changes: &[Change<'_>]) -> bool {
        let before = (self.lines.clone(), self.manifests.clone());
        let is_done = changes.iter().all(|change| self.change(*change).is_some());
        if !is_done {
            (self.lines, self.manifests) = before;
        }
        is_done
    }

    fn change(&mut self, (index, pointer, value): Change<'_>) -> Option<()> {
        let document = self.manifests.documents.get(index)?;
        let mut meant: Vec<Value> = self.manifests.documents.iter().map(|it| it.body.clone()).collect();
        plan::change(meant.get_mut(index)?, pointer, value)?;
        let lines = match value {
            None => removed(&self.lines, document, pointer)?,
            Some(value) => written(&self.lines, document, pointer, value)?,
        };
        let manifests = read(&self.name, &lines);
        let is_meant = manifests.documents.iter().map(|it| &it.body).eq(&meant);
        if !is_meant || manifests.problems.len() > self.manifests.problems.len() {
            return None;
        }
        (self.lines, self.manifests) = (lines, manifests);
        Some(())
    }
}

fn read(name: &str, lines: &Vec<Line>) -> Manifests {
    let mut text = String::new();
    for (_, line) in lines {
        text.push_str(line);
        text.push('\n');
    }
    read_text(name, &text).manifests
}

/// A line cut at two columns.
fn cut(line: &str, from: usize, to: usize) -> Option<(&str, &str, &str)> {
    let byte = |column: usize| {
        let characters = line.chars().count();
        let index = column.checked_sub(1).filter(|index| *index <= characters)?;
        Some(line.char_indices().nth(index).map_or(line.len(), |(byte, _)| byte))
    };
    let (from, to) = (byte(from)?, byte(to)?);
    Some((line.get(..from)?, line.get(from..to)?, line.get(to..)?))
}

fn line_of(lines: &[Line], number: usize) -> Option<&str> {
    lines.get(number.checked_sub(1)?).map(|(_, line)| line.as_str())
}

fn replaced(lines: &[Line], number: usize, text: String) -> Option<Vec<Line>> {
    let mut lines = lines.to_vec();
    *lines.get_mut(number.checked_sub(1)?)? = (None, text);
    Some(lines)
}

fn written(lines: &[Line], document: &Document, pointer: &str, value: &Value) -> Option<Vec<Line>> {
    let there = document.body.pointer(pointer).filter(|it| !it.is_null());
    if there.is_none() {
        return added(lines, document, pointer, value);
    }
    let place = document.places.get(pointer).filter(|place| place.line == place.end_line)?;
    let line = line_of(lines, place.line)?;
    let (before, old, after) = cut(line, place.column, place.end_column)?;
    let quoted = old.starts_with('"') && value.is_string();
    let new = if quoted { value.to_string() } else { flow(value, old.starts_with('"')) };
    replaced(lines, place.line, format!("{before}{new}{after}"))
}

/// Adds a field, and the maps around it that lack.
fn added(lines: &[Line], document: &Document, pointer: &str, value: &Value) -> Option<Vec<Line>> {
    let mut parent = pointer;
    let mut missing: Vec<String> = Vec::new();
    while document.body.pointer(parent).is_none_or(Value::is_null) {
        let (rest, step) = parent.rsplit_once('/')?;
        missing.insert(0, step.replace("~1", "/").replace("~0", "~"));
        parent = rest;
    }
    let map = document.body.pointer(parent)?.as_object()?;
    let (key, inner) = missing.split_first()?;
    if map.contains_key(key) {
        // It holds nothing; where its value would begin, layouts differ.
        return None;
    }
    let value = inner.iter().rev().fold(value.clone(), |value, step| {
        Value::Object(serde_json::Map::from_iter([(step.clone(), value)]))
    });
    let own = document.places.get(parent)?;
    let line = line_of(lines, own.line)?;
    if let Some((before, "{", after)) = cut(line, own.column, own.column + 1) {
        let is_json = lines.iter().find_map(|(_, line)| line.trim_start().chars().next()) == Some('{');
        let key = if is_json { Value::from(key.as_str()).to_string() } else { plain(key) };
        let comma = if map.is_empty() { "" } else { ", " };
        let text = format!("{before}{{{key}: {}{comma}{after}", flow(&value, is_json));
        return replaced(lines, own.line, text);
    }
    let (after, indent) = gap(lines, document, parent, map)?;
    let new = block(key, &value, indent).into_iter().map(|line| (None, line));
    let mut lines = lines.to_vec();
    lines.splice(after..after, new);
    Some(lines)
}

/// Behind how many lines a field can be added to a map in block style, and its indentation: below its last field that
/// takes one line, or above its first.
fn gap(
    lines: &[Line],
    document: &Document,
    parent: &str,
    map: &serde_json::Map<String, Value>,
) -> Option<(usize, usize)> {
    let mut fields: Vec<(&Place, &Place)> = map
        .keys()
        .filter_map(|key| {
            let pointer = format!("{parent}/{}", key.replace('~', "~0").replace('/', "~1"));
            Some((document.places.get(&format!("{pointer}#"))?, document.places.get(&pointer)?))
        })
        .collect();
    fields.sort();
    let (first, _) = fields.first()?;
    let indent = first.column.checked_sub(1)?;
    let short = |(key, value): &&(&Place, &Place)| {
        key.line == value.line && value.end_line == value.line && value.end_column > value.column
    };
    if let Some((key, _)) = fields.iter().rev().find(short) {
        return Some((key.line, indent));
    }
    let begins = |key: &Place| {
        let before =
            line_of(lines, key.line).and_then(|line| Some(cut(line, 1, key.column)?.1.trim().is_empty()));
        before.unwrap_or(false)
    };
    begins(first).then(|| (first.line - 1, indent))
}

/// Takes out the lines of a field that shares them with nothing.
fn removed(lines: &[Line], document: &Document, pointer: &str) -> Option<Vec<Line>> {
    let key = document.places.get(&format!("{pointer}#"))?;
    let value = document.places.get(pointer)?;
    let line = line_of(lines, key.line)?;
    if !cut(line, 1, key.column)?.1.trim().is_empty() {
        return None;
    }
    let opens = line_of(lines, value.line).and_then(|line| cut(line, value.column, value.column + 1));
    let is_block = document.body.pointer(pointer).is_some_and(|it| it.is_object() || it.is_array())
        && !opens.is_some_and(|(_, sign, _)| sign == "{" || sign == "[");
    let end = if is_block {
        let below = format!("{pointer}/");
        let inside = document.places.iter().filter(|(at, _)| at.starts_with(&below) && !at.ends_with('#'));
        let leaves = inside
            .filter(|(at, _)| document.body.pointer(at).is_some_and(|it| !it.is_object() && !it.is_array()));
        leaves.map(|(_, place)| place.end_line).max()?
    } else {
        value.end_line
    };
    let mut lines = lines.to_vec();
    let range = key.line.checked_sub(1)?..end.max(key.line);
    lines.get(range.clone())?;
    lines.drain(range);
    Some(lines)
}
