//! The JSON document as YAML.

use super::json::{self, Document};

/// The document as YAML that ends with a line break.
pub(crate) fn render(document: &Document<'_>) -> String {
    // A document of strings, numbers and lists always has a YAML form; JSON is one.
    of(document).unwrap_or_else(|| json::render(document))
}

/// Anything as YAML that ends with a line break.
pub(crate) fn of(value: &impl serde::Serialize) -> Option<String> {
    let mut options = serde_saphyr::SerializerOptions::default();
    // A folded block is nice to read and easily misread: text stands on one line, quoted where it must be.
    options.prefer_block_scalars = false;
    serde_saphyr::to_string_with_options(value, options).ok()
}
