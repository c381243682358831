//! What the manifests at hand say: documents, and where each of their fields stands.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The manifests that a gate is asked about.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Manifests {
    /// The documents, in the order of the files and of their place in them. The items of a `List` stand here one by
    /// one.
    pub documents: Vec<Document>,
    /// What could not be read.
    pub problems: Vec<Problem>,
    /// The lines of every file, by its name as the user gave it, for showing the place of a fault.
    pub files: BTreeMap<String, Vec<String>>,
    /// The files of `files` whose text is not their lines with a line feed behind each.
    #[serde(default)]
    pub odd: BTreeMap<String, Odd>,
}

/// How the text of a file differs from its lines with a line feed behind each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Odd {
    /// The last line has no end.
    OpenEnd,
    /// Lines end in another way, or a byte order mark stands before the first.
    Other,
}

/// One Kubernetes object of a manifest.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Document {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `metadata.namespace`; empty where the manifest leaves it to whoever applies it.
    pub namespace: String,
    /// `metadata.name`; empty where it is generated or missing.
    pub name: String,
    /// The whole object.
    pub body: Value,
    /// Where the object begins.
    pub place: Place,
    /// Where the values of its fields stand, by JSON pointer such as `/spec/metrics/0/type`. A field of a map has its
    /// key's place under the pointer with `#` behind it.
    pub places: BTreeMap<String, Place>,
}

/// A place in a file. Lines and columns count from 1; columns count characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// The file as the user gave it; `-` is standard input.
    pub file: String,
    /// The line on which it begins.
    pub line: usize,
    /// The column at which it begins.
    pub column: usize,
    /// The line on which it ends.
    pub end_line: usize,
    /// The column behind its last character.
    pub end_column: usize,
}

/// Something in a file that is no Kubernetes object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// What is wrong, as one sentence without a full stop.
    pub message: String,
    /// What to do about it; empty where the message says it all.
    pub hint: String,
}

/// The kinds of [`Problem`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// It is neither YAML nor JSON.
    Syntax,
    /// A key stands twice in one map; parsers keep one of the two without a word.
    DuplicateKey,
    /// A template that was never rendered.
    Template,
    /// It is YAML and no Kubernetes object: `apiVersion`, `kind` or `metadata` is missing.
    NotAnObject,
    /// It is larger or deeper than a manifest may be here.
    TooLarge,
    /// A link or a special file that is not followed.
    Unreadable,
}

impl Document {
    /// Where the value of a field stands; where there is none, the nearest thing around it.
    #[must_use]
    pub fn place_of(&self, pointer: &str) -> &Place {
        let mut rest = pointer;
        loop {
            if let Some(place) = self.places.get(rest) {
                return place;
            }
            match rest.rfind('/') {
                Some(end) => {
                    rest = &rest[..end];
                    // What is missing is missing under this key.
                    if let Some(place) = self.places.get(&format!("{rest}#")) {
                        return place;
                    }
                }
                None => return &self.place,
            }
        }
    }

    /// A field by its JSON pointer; null where there is none.
    #[must_use]
    pub fn at(&self, pointer: &str) -> &Value {
        self.body.pointer(pointer).unwrap_or(&Value::Null)
    }

    /// Its name; one that has none, or whose name is made when it is applied, goes by its place.
    #[must_use]
    pub fn name_or_place(&self) -> String {
        if self.name.is_empty() {
            format!("without a name at {}:{}", self.place.file, self.place.line)
        } else {
            self.name.clone()
        }
    }

    /// The group of the API, empty for the core.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(line: usize) -> Place {
        Place { file: "web.yaml".to_owned(), line, column: 1, end_line: line, end_column: 2 }
    }

    #[test]
    fn a_missing_field_stands_where_its_parent_does() {
        let document = Document {
            api_version: "autoscaling/v2".to_owned(),
            kind: "HorizontalPodAutoscaler".to_owned(),
            namespace: String::new(),
            name: "web".to_owned(),
            body: serde_json::json!({"spec": {"metrics": []}}),
            place: place(1),
            places: BTreeMap::from([("/spec".to_owned(), place(5)), ("/spec/metrics".to_owned(), place(9))]),
        };
        assert_eq!(document.place_of("/spec/metrics").line, 9);
        assert_eq!(document.place_of("/spec/metrics/0/resource/name").line, 9);
        assert_eq!(document.place_of("/spec/minReplicas").line, 5);
        assert_eq!(document.place_of("/metadata/name").line, 1);
        assert_eq!(document.group(), "autoscaling");
        assert_eq!(document.place_of("/spec").to_string(), "web.yaml:5:1");
    }
}
