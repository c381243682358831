//! The reference of what a rule can read and call, for the book.

use std::fmt::Write as _;

use super::functions::{FUNCTIONS, SPECIAL};
use super::schema::{Object, Shape};
use super::view::EVIDENCE;

/// The reference in Markdown.
#[must_use]
pub fn markdown() -> String {
    let mut text = String::new();
    for object in EVIDENCE.reachable() {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "### {}\n\n{}\n\n| field | type | what it is |\n|---|---|---|\n",
            object.name,
            object.doc.trim()
        );
        for field in object.fields {
            let _ = writeln!(text, "| `{}` | {} | {} |", field.name, kind(&field.shape), cell(field.doc));
        }
        text.push('\n');
    }
    text.push_str("### Functions\n\n| call | what it gives |\n|---|---|\n");
    for (call, doc) in SPECIAL {
        let _ = writeln!(text, "| `{call}` | {} |", cell(doc));
    }
    for function in FUNCTIONS {
        let _ = writeln!(text, "| `{}` | {} |", function.signature(), cell(function.doc));
    }
    text
}

fn cell(doc: &str) -> String {
    doc.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

/// The type of a field in words, with a link to the object that it holds.
fn kind(shape: &'static Shape) -> String {
    match shape {
        Shape::Bool => "bool".to_owned(),
        Shape::Int => "int".to_owned(),
        Shape::Text => "string".to_owned(),
        Shape::TextUnless(..) => "string, looked for".to_owned(),
        Shape::Time => "timestamp".to_owned(),
        Shape::Texts | Shape::SomeTexts(_) => "map(string, string)".to_owned(),
        Shape::List(inner) => format!("list of {}", kind(inner)),
        Shape::Object(object) => link(object),
        Shape::Optional(inner) => format!("{}, optional", kind(inner)),
        Shape::Seen(_, inner) => format!("{}, looked for", kind(inner)),
    }
}

fn link(object: &Object) -> String {
    format!("[{}](#{})", object.name, object.name.to_ascii_lowercase())
}
