//! Values as text of YAML.

use serde_json::Value;

/// A text without quotes where YAML takes it so, and in those of JSON otherwise.
pub(super) fn plain(text: &str) -> String {
    let is_word = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte));
    let means_more = serde_json::from_str::<Value>(text).is_ok()
        || ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str());
    if is_word && !means_more { text.to_owned() } else { Value::from(text).to_string() }
}

/// A value on one line.
pub(super) fn flow(value: &Value, is_json: bool) -> String {
    match value {
        _ if is_json => value.to_string(),
        Value::Object(map) => {
            let fields: Vec<String> =
                map.iter().map(|(key, value)| format!("{}: {}", plain(key), flow(value, false))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(list) => {
            format!("[{}]", list.iter().map(|value| flow(value, false)).collect::<Vec<_>>().join(", "))
        }
        Value::String(text) => plain(text),
        other => other.to_string(),
    }
}

/// A field in block style.
pub(super) fn block(key: &str, value: &Value, indent: usize) -> Vec<String> {
    let margin = " ".repeat(indent);
    let key = plain(key);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let fields = map.iter().flat_map(|(key, value)| block(key, value, indent + 2));
            std::iter::once(format!("{margin}{key}:")).chain(fields).collect()
        }
        Value::Array(list) if !list.is_empty() => {
            let items = list.iter().map(|value| format!("{margin}  - {}", flow(value, false)));
            std::iter::once(format!("{margin}{key}:")).chain(items).collect()
        }
        value => vec![format!("{margin}{key}: {}", flow(value, false))],
    }
}
