//! Redaction: what of an answer becomes part of an observation.
//!
//! It happens once, when the observation is made, so nothing behind this module ever sees more. Three steps:
//!
//! 1. the allow-list: of each kind of object only the fields declared in [`fields`] survive, everything else is
//!    dropped, whatever it is called;
//! 2. values that may carry secrets although their field is declared: command lines ([`flags`]), environment
//!    variables, configuration files, URLs;
//! 3. the sweep ([`sweep`]): patterns of secrets in what is left are masked and counted.
//!
//! A container log never becomes part of an observation: a [`LogFilter`] makes structured data of it.

mod fields;
pub mod flags;
pub mod sweep;

use serde_json::{Map, Value};

use super::observation::{Body, TEXT_LIMIT};
use fields::{Field, Rule};

/// Makes structured data of a container log. What it returns stands in the observation instead of the log.
pub type LogFilter = fn(&str) -> Value;

/// The filter that keeps nothing.
#[must_use]
pub fn no_logs(_log: &str) -> Value {
    Value::Null
}

/// What stands where the value of an undeclared flag was.
pub const REDACTED: &str = "<redacted>";

/// A redacted body and how many strings the sweep masked in it.
#[derive(Debug, PartialEq)]
pub struct Redacted {
    /// What is left.
    pub body: Body,
    /// How many strings the sweep masked.
    pub masked: u64,
}

/// Redacts the answer to a GET or POST of `target` (path with query).
#[must_use]
pub fn body(target: &str, status: u16, bytes: &[u8], log_filter: LogFilter) -> Redacted {
    let path = target.split('?').next().unwrap_or_default();
    let success = (200..300).contains(&status);
    let is_log = path.starts_with("/api/v1/namespaces/") && path.ends_with("/log");
    let mut masked = 0;
    if success && is_log {
        let value = sweep::value(log_filter(&String::from_utf8_lossy(bytes)), &mut masked);
        return Redacted { body: Body::Json(value), masked };
    }
    let body = match serde_json::from_slice(bytes) {
        _ if bytes.iter().all(u8::is_ascii_whitespace) => Body::None,
        Ok(Value::String(text)) => Body::Text(text_body(&text, &mut masked)),
        Ok(value) if success && path == "/flagz" => {
            Body::Json(sweep::value(flags::flagz_json(&value), &mut masked))
        }
        Ok(value) => Body::Json(sweep::value(document(path, value), &mut masked)),
        Err(_) if success && path == "/flagz" => {
            Body::Text(text_body(&flags::flagz_text(&String::from_utf8_lossy(bytes)), &mut masked))
        }
        Err(_) => Body::Text(text_body(&String::from_utf8_lossy(bytes), &mut masked)),
    };
    Redacted { body, masked }
}

/// Redacts a message of our own, such as an error of the network, for an observation.
#[must_use]
pub fn message(text: &str) -> (String, u64) {
    let mut masked = 0;
    (text_body(text, &mut masked), masked)
}

/// Swept first and cut then: cutting first could cut a secret out of its pattern.
fn text_body(text: &str, masked: &mut u64) -> String {
    // Sixteen times what is kept bounds the sweep; it ends at a place where nothing of the kept part is decided.
    let text = cut(text, 16 * TEXT_LIMIT);
    let mut swept = sweep::text(text, masked);
    let end = cut(&swept, TEXT_LIMIT).len();
    swept.truncate(end);
    swept
}

fn cut(text: &str, limit: usize) -> &str {
    let mut end = text.len().min(limit);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Keeps the declared fields of a document, found by its kind; documents without a kind are known by their path.
fn document(path: &str, value: Value) -> Value {
    let kind = match value.get("kind").and_then(Value::as_str) {
        Some(kind) => kind.to_owned(),
        None if path == "/version" => "Version".to_owned(),
        None if path.starts_with("/api/v1/nodes/") && path.ends_with("/proxy/configz") => {
            "Configz".to_owned()
        }
        None => return Value::Object(Map::new()),
    };
    match kind.strip_suffix("List") {
        Some(item) if fields::kind(&kind).is_none() => list(item, value),
        _ => object(&kind, &value),
    }
}

/// A list: its own version and continuation, and each item as its kind, which items need not state.
fn list(kind: &str, value: Value) -> Value {
    let Value::Object(mut map) = value else { return Value::Null };
    let items = map.remove("items");
    let mut kept = match keep(&Value::Object(map), fields::list(), "") {
        Some(Value::Object(kept)) => kept,
        _ => Map::new(),
    };
    if let Some(Value::Array(items)) = items {
        kept.insert("items".to_owned(), items.iter().map(|item| object(kind, item)).collect());
    }
    Value::Object(kept)
}

fn object(kind: &str, value: &Value) -> Value {
    let name = value.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default().to_owned();
    keep(value, fields::kind(kind).unwrap_or_else(fields::unknown), &name)
        .unwrap_or(Value::Object(Map::new()))
}

/// Copies what is declared. An array is looked through: its items are what the field declares. A scalar where an
/// object is declared is dropped.
fn keep(value: &Value, field: &Field, name: &str) -> Option<Value> {
    match (&field.rule, value) {
        (Rule::Fields(_), Value::Array(items)) => {
            Some(items.iter().filter_map(|item| keep(item, field, name)).collect())
        }
        (Rule::Fields(fields), Value::Object(map)) => Some(Value::Object(
            fields
                .iter()
                .filter_map(|(key, field)| Some((key.clone(), keep(map.get(key)?, field, name)?)))
                .collect(),
        )),
        (Rule::Fields(_), _) | (Rule::Scalar, Value::Array(_) | Value::Object(_)) => None,
        (Rule::Scalar | Rule::Whole, _) => Some(value.clone()),
        (Rule::Scalars, Value::Array(items)) => {
            Some(items.iter().filter(|item| !item.is_array() && !item.is_object()).cloned().collect())
        }
        (Rule::Command, Value::Array(items)) => Some(flags::command_line(items, true)),
        (Rule::Arguments, Value::Array(items)) => Some(flags::command_line(items, false)),
        (Rule::Environment, Value::Array(items)) => Some(flags::environment(items)),
        (Rule::ConfigMap, Value::Object(data)) => Some(config_map(name, data)),
        (Rule::Annotations, Value::Object(map)) => Some(Value::Object(
            map.iter().filter(|(key, _)| fields::ANNOTATIONS.contains(&key.as_str())).map(clone).collect(),
        )),
        // A value of another form than its field has in Kubernetes.
        _ => None,
    }
}

fn clone((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}

/// The data of a `ConfigMap`: values of the three that the pipeline itself reads, of all others the keys alone.
fn config_map(name: &str, data: &Map<String, Value>) -> Value {
    let text = |value: &Value| match (name, value) {
        ("extension-apiserver-authentication", Value::String(_)) => Some(value.clone()),
        _ => None,
    };
    data.iter()
        .map(|(key, value)| {
            let kept = match (name, key.as_str(), value) {
                ("kube-root-ca.crt", "ca.crt", Value::String(_)) => value.clone(),
                ("kubeadm-config", "ClusterConfiguration", Value::String(text)) => {
                    Value::String(flags::kubeadm(text))
                }
                _ => text(value).unwrap_or_else(|| REDACTED.into()),
            };
            (key.clone(), kept)
        })
        .collect::<Map<_, _>>()
        .into()
}

#[cfg(test)]
mod tests;
