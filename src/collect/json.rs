//! Reading fields of Kubernetes objects.

use std::collections::BTreeMap;

use checks::evidence::{Condition, EndpointPort};
use jiff::Timestamp;
use serde_json::Value;

/// A string field; empty where there is none.
pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A name that may stand in a printed command: Kubernetes' own names hold nothing else, a stranger's recording
/// may.
pub(super) fn is_plain(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:/@".contains(&byte))
}

/// The field as a name; nothing where it is none.
pub(super) fn name(value: &Value) -> Option<String> {
    value.as_str().filter(|text| is_plain(text)).map(str::to_owned)
}

/// A time field.
pub(super) fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// A number field; 0 where there is none.
pub(super) fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_default()
}

/// The items of an array field; none where there is no array.
pub(super) fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The strings of an array field.
pub(super) fn texts(value: &Value) -> Vec<String> {
    items(value).filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Labels; those that Kubernetes would not accept are left out.
pub(super) fn labels(value: &Value) -> BTreeMap<String, String> {
    let plain = |(key, value): &(String, String)| is_plain(key) && (value.is_empty() || is_plain(value));
    strings(value).into_iter().filter(plain).collect()
}

/// A map of strings.
pub(crate) fn strings(value: &Value) -> BTreeMap<String, String> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Labels as the query parameter `labelSelector` writes them.
pub(super) fn selector(labels: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    crate::source::guard::query_value(&pairs.join(","))
}

/// `status.conditions`.
pub(super) fn conditions(value: &Value) -> Vec<Condition> {
    items(value)
        .map(|condition| Condition {
            kind: text(&condition["type"]),
            status: text(&condition["status"]),
            reason: text(&condition["reason"]),
            message: text(&condition["message"]),
            since: time(&condition["lastTransitionTime"]),
        })
        .collect()
}

/// The ports of a container.
pub(super) fn ports(container: &Value) -> Vec<EndpointPort> {
    items(&container["ports"])
        .map(|port| EndpointPort {
            name: name(&port["name"]).unwrap_or_default(),
            port: number(&port["containerPort"]),
        })
        .collect()
}

/// The certificates of a PEM bundle, each as base64 of its DER.
pub fn pem_certificates(pem: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut current: Option<String> = None;
    for line in pem.lines().map(str::trim) {
        match line {
            "-----BEGIN CERTIFICATE-----" => current = Some(String::new()),
            "-----END CERTIFICATE-----" => found.extend(current.take()),
            _ => {
                if let Some(body) = &mut current {
                    body.push_str(line);
                }
            }
        }
    }
    found
}
