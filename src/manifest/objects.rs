//! From trees to the objects of Kubernetes, and to the problems of what is none.

use std::collections::BTreeMap;
use std::rc::Rc;

use checks::evidence::{Document, Place, ProblemKind};
use serde_json::Value;

use super::pieces::{Piece, lines, pieces};
use super::tree::{At, Broken, Content, Node, Range, Twice};
use super::{DOCUMENTS, LISTS, Memory, Reader, start_of, tree};

/// Reads the documents of a file.
pub(super) fn read_file(reader: &mut Reader, name: &str, text: &str, is_named: bool) {
    let mut file = File { reader, name, is_named, documents: 0, problems: 0, passed_over: 0 };
    for piece in pieces(text) {
        file.piece(piece);
    }
    let (documents, problems, passed_over) = (file.documents, file.problems, file.passed_over);
    if is_named && documents == 0 && problems == 0 {
        let message = "there is no object of Kubernetes in it: none has `apiVersion` and `kind`";
        let hint = "name a manifest, or the directory that holds them; \
                    a kustomization is rendered by `kustomize build DIR`, a chart by `helm template DIR`";
        reader.problem(start_of(name), ProblemKind::NotAnObject, message, hint);
    } else {
        reader.reading.passed_over += passed_over;
    }
}

struct File<'r, 'n> {
    reader: &'r mut Reader,
    name: &'n str,
    is_named: bool,
    documents: usize,
    problems: usize,
    passed_over: usize,
}

/// What the items of a typed list are, where they do not say it.
#[derive(Clone, Copy)]
struct Inherited<'l> {
    api_version: &'l str,
    kind: &'l str,
}

impl File<'_, '_> {
    fn place(&self, range: Range) -> Place {
        place(self.name, range)
    }

    fn problem(&mut self, at: Range, kind: ProblemKind, message: impl Into<String>, hint: &str) {
        self.problems += 1;
        let place = self.place(at);
        self.reader.problem(place, kind, message, hint);
    }

    fn piece(&mut self, piece: Piece<'_>) {
        let trees = tree::read(piece.text, piece.start, &mut Memory::new());
        let before = self.documents;
        for document in &trees.documents {
            self.object(document, 0, None);
        }
        if self.documents > before {
            for twice in &trees.twice {
                self.twice(twice);
            }
        }
        if let Some(broken) = trees.broken {
            self.broken(&broken, piece);
        }
    }

    fn twice(&mut self, twice: &Twice) {
        let (line, column) = (twice.first.start.line, twice.first.start.column);
        let message = format!(
            "the key \"{}\" stands twice in one map: here, and first in line {line}, column {column}",
            twice.key
        );
        let hint =
            "remove one of the two; kubectl takes the last without a word, stricter tools refuse the file";
        self.problem(twice.second, ProblemKind::DuplicateKey, message, hint);
    }

    fn broken(&mut self, broken: &Broken, piece: Piece<'_>) {
        let text = piece.text;
        let is_manifest = self.is_named || text.contains("apiVersion") && text.contains("kind");
        if !is_manifest {
            self.passed_over += 1;
            return;
        }
        let template = match broken.kind {
            ProblemKind::Syntax => first(piece, "{{", "}}").map(|range| (range, RENDER)),
            _ => None,
        };
        let template = template.or_else(|| {
            let range = first(piece, "${", "}").filter(|range| range.start.line == broken.at.start.line)?;
            (broken.kind == ProblemKind::Syntax).then_some((range, SUBSTITUTE))
        });
        match (template, broken.kind) {
            (Some((range, hint)), _) => {
                self.problem(range, ProblemKind::Template, "this is a template that was not rendered", hint);
            }
            (None, ProblemKind::TooLarge) => {
                self.problem(
                    broken.at,
                    ProblemKind::TooLarge,
                    broken.message.clone(),
                    "split it, or write it flatter",
                );
            }
            (None, kind) => {
                let message = format!("this is neither YAML nor JSON: {}", broken.message);
                let (at, hint) = match tab(piece, broken.at) {
                    Some(at) => (at, "indent with spaces; YAML does not take tabs"),
                    None => (broken.at, ""),
                };
                self.problem(at, kind, message, hint);
            }
        }
    }

    fn object(&mut self, node: &Rc<Node>, depth: usize, inherited: Option<Inherited<'_>>) {
        if node.is_null() {
            return;
        }
        let field =
            |name: &str| node.get(name).and_then(|value| value.text()).filter(|text| !text.is_empty());
        let api_version = field("apiVersion").or(inherited.map(|inherited| inherited.api_version));
        let kind = field("kind").or(inherited.map(|inherited| inherited.kind));
        let (api_version, kind) = match (api_version, kind) {
            (Some(api_version), Some(kind)) if !api_version.starts_with("kustomize.config.k8s.io/") => {
                (api_version, kind)
            }
            (None, Some(_)) if looks_like_object(node) => return self.half(node, "apiVersion"),
            (Some(_), None) if looks_like_object(node) => return self.half(node, "kind"),
            _ => {
                self.passed_over += 1;
                return;
            }
        };
        match (kind.strip_suffix("List"), node.get("items").map(|items| &items.meant().content)) {
            (Some(of), Some(Content::List(items))) => {
                if depth == LISTS {
                    let message = format!("more than {LISTS} lists lie in each other");
                    return self.problem(
                        node.range,
                        ProblemKind::TooLarge,
                        message,
                        "write the objects one by one",
                    );
                }
                let inherited = (!of.is_empty()).then_some(Inherited { api_version, kind: of });
                for item in items {
                    self.object(item, depth + 1, inherited);
                }
                // A list without items is an answer of "nothing", and no fault.
                self.documents += usize::from(items.is_empty());
            }
            (Some(""), _) => self.documents += 1,
            _ => self.document(node, api_version, kind),
        }
    }

    fn half(&mut self, node: &Rc<Node>, lacks: &str) {
        let at = node.get(lacks).map_or(node.range, |value| value.range);
        let message = format!("this looks like an object of Kubernetes and has no `{lacks}`");
        self.problem(
            at,
            ProblemKind::NotAnObject,
            message,
            "write it as a text, as in `apiVersion: autoscaling/v2`",
        );
    }

    fn document(&mut self, node: &Rc<Node>, api_version: &str, kind: &str) {
        if self.reader.reading.manifests.documents.len() >= DOCUMENTS {
            // Told once a file.
            if self.problems == 0 {
                let message = format!("there are more than {DOCUMENTS} objects");
                self.problem(node.range, ProblemKind::TooLarge, message, "name fewer files");
            }
            return;
        }
        let mut places = BTreeMap::new();
        let memory = &mut self.reader.memory;
        let before = memory.clone();
        let mut writer = Writer { file: self.name, memory, places: &mut places, inside: 0, copies: 0 };
        let body = match writer.write(node, &mut String::new()) {
            Ok(body) => body,
            Err((range, message)) if 2 * writer.copies < places.len() => {
                let message = format!("{message}, with the objects before it");
                return self.problem(range, ProblemKind::TooLarge, message, "name fewer files");
            }
            Err((_, message)) => {
                // The objects behind it are not at fault. Half of what was left bounds what many such ones may cost.
                self.reader.memory = before.halved();
                let message = format!("its aliases stand for so much that {message}");
                let hint = "write out what is meant: an alias of what holds aliases multiplies them";
                return self.problem(node.range, ProblemKind::TooLarge, message, hint);
            }
        };
        let text =
            |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let document = Document {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: text("/metadata/namespace"),
            name: text("/metadata/name"),
            place: self.place(node.range),
            body,
            places,
        };
        self.documents += 1;
        let templates = templates(&document);
        let is_template = !templates.is_empty();
        for (place, hint) in templates {
            self.problems += 1;
            let message = "this is a template that was not rendered";
            self.reader.problem(place, ProblemKind::Template, message, hint);
        }
        // Nothing true can be said of an autoscaler whose words are still open.
        if !(is_template && kind == AUTOSCALER) {
            self.reader.reading.manifests.documents.push(document);
        }
    }
}

const AUTOSCALER: &str = "HorizontalPodAutoscaler";
const RENDER: &str = "render it and hand the result over: `helm template DIR`, `kustomize build DIR` or what writes it, piped into \
     `metrics-preflight gate -f -`";
const SUBSTITUTE: &str = "put the values in first and hand the result over, such as `envsubst < FILE` piped into `metrics-preflight gate -f -`";

/// A map that somebody meant for an object: it has what only objects have.
fn looks_like_object(node: &Node) -> bool {
    let has_map =
        |name: &str| node.get(name).is_some_and(|value| matches!(value.meant().content, Content::Map(_)));
    has_map("metadata") || has_map("spec")
}

/// The first place of a text between these two in a piece.
fn first(piece: Piece<'_>, open: &str, close: &str) -> Option<Range> {
    lines(piece.text).enumerate().find_map(|(index, line)| {
        let begin = line.find(open)?;
        let end = line[begin..].find(close).map_or(line.len(), |at| begin + at + close.len());
        let shift = if index == 0 { piece.start.column } else { 1 };
        let at =
            |byte: usize| At { line: piece.start.line + index, column: shift + line[..byte].chars().count() };
        Some(Range { start: at(begin), end: at(end) })
    })
}

/// The tab with which the line of a fault begins, or the one behind it.
fn tab(piece: Piece<'_>, at: Range) -> Option<Range> {
    lines(piece.text).enumerate().find_map(|(index, line)| {
        let number = piece.start.line + index;
        let blank: String = line.chars().take_while(|c| c.is_whitespace()).collect();
        let column = blank.chars().position(|c| c == '\t')? + 1;
        let is_here = (at.start.line..=at.start.line + 1).contains(&number) && !line.trim().is_empty();
        let place = |column| At { line: number, column };
        is_here.then(|| Range { start: place(column), end: place(column + 1) })
    })
}

/// Templates in the fields that decide: names, what an autoscaler asks for, and the resources of containers.
fn templates(document: &Document) -> Vec<(Place, &'static str)> {
    let autoscales = matches!(document.kind.as_str(), AUTOSCALER | "ScaledObject" | "VerticalPodAutoscaler");
    let decides = |pointer: &str| {
        matches!(pointer, "/metadata/name" | "/metadata/namespace")
            || autoscales && pointer.starts_with("/spec/") && !pointer.contains("/metadata/")
            || pointer.contains("/resources/")
    };
    let mut found = Vec::new();
    for (pointer, place) in &document.places {
        if !decides(pointer) {
            continue;
        }
        let Some(text) = document.body.pointer(pointer).and_then(Value::as_str) else { continue };
        if text.contains("{{") && text.contains("}}") {
            found.push((place.clone(), RENDER));
        } else if text.find("${").is_some_and(|at| text[at..].contains('}')) {
            found.push((place.clone(), SUBSTITUTE));
        }
    }
    found.sort();
    found.dedup();
    found
}

/// Writes a tree as a value, and the places of everything in it.
struct Writer<'w> {
    file: &'w str,
    memory: &'w mut Memory,
    places: &'w mut BTreeMap<String, Place>,
    /// So many aliases lead to what is written.
    inside: usize,
    /// So many values stand there by an alias.
    copies: usize,
}

impl Writer<'_> {
    fn write(&mut self, node: &Node, pointer: &mut String) -> Result<Value, (Range, String)> {
        let meant = node.meant();
        let is_alias = usize::from(!std::ptr::eq(meant, node));
        self.inside += is_alias;
        self.copies += usize::from(self.inside > 0);
        let text = match &meant.content {
            Content::Scalar(Value::String(text)) => text.len(),
            _ => 0,
        };
        let names = 2 * (pointer.len() + self.file.len());
        self.memory.spend(text.saturating_add(names)).map_err(|message| (node.range, message))?;
        self.places.insert(pointer.clone(), place(self.file, node.range));
        let length = pointer.len();
        let value = match &meant.content {
            Content::Scalar(value) => value.clone(),
            Content::List(items) => {
                let mut list = Vec::with_capacity(items.len());
                for (index, item) in items.iter().enumerate() {
                    pointer.push('/');
                    pointer.push_str(&index.to_string());
                    list.push(self.write(item, pointer)?);
                    pointer.truncate(length);
                }
                Value::Array(list)
            }
            Content::Map(entries) => {
                let mut map = serde_json::Map::new();
                for entry in entries {
                    pointer.push('/');
                    pointer.push_str(&entry.key.replace('~', "~0").replace('/', "~1"));
                    self.places.insert(format!("{pointer}#"), place(self.file, entry.key_at));
                    let value = self.write(&entry.value, pointer)?;
                    pointer.truncate(length);
                    map.insert(entry.key.to_string(), value);
                }
                Value::Object(map)
            }
            Content::Alias(_) => unreachable!("an alias was followed to what it means"),
        };
        self.inside -= is_alias;
        Ok(value)
    }
}

fn place(file: &str, range: Range) -> Place {
    let Range { start, end } = range;
    Place {
        file: file.to_owned(),
        line: start.line,
        column: start.column,
        end_line: end.line,
        end_column: end.column,
    }
}
