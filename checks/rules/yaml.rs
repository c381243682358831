//! Reading YAML that users write: bounded, and every fault with its place.

use serde::de::DeserializeOwned;

use super::nearest::nearest;
use super::problem::Problem;

/// Reads a text into its type. Anchors and aliases are not needed, and not taken.
///
/// # Errors
///
/// When the text is no YAML, or not of this type.
pub fn read<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, Problem> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 50_000,
            max_nodes: 25_000,
            max_depth: 24,
            flow_nesting_limit: 24,
            max_aliases: 0,
            max_anchors: 0,
            max_documents: 1,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let location = error.location();
        let message: String = error.without_snippet().to_string().chars().take(400).collect();
        let place = location.map(|location| (location.line(), location.column()));
        let hint = near(&message);
        Problem::at(name, text, place, message.replace('\n', " ")).hint(hint)
    })
}

/// The name that was probably meant, of those that serde lists behind one that it does not know.
fn near(message: &str) -> Option<String> {
    let list = message.split_once("unknown field").or_else(|| message.split_once("unknown variant"))?.1;
    let (unknown, known) = list.split_once(", expected ")?;
    let known = known.split(" at line ").next().unwrap_or_default();
    let known = known.strip_prefix("one of ").unwrap_or(known);
    let plain = |name: &'_ str| name.trim_matches([' ', '`', ':']).to_owned();
    let known: Vec<String> = known.split(", ").map(plain).collect();
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    nearest(&plain(unknown), &known).map(|near| format!("did you mean `{near}`?"))
}
