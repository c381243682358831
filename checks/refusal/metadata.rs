//! The names, labels and annotations of an object.

use serde_json::Value;

use super::{Fault, is_absent, lacks_text};

/// What `ValidateObjectMeta` refuses.
pub(super) fn faults(body: &Value, faults: &mut Vec<Fault>) {
    let metadata = &body["metadata"];
    let (name, generated) = (&metadata["name"], &metadata["generateName"]);
    if lacks_text(name) && lacks_text(generated) {
        faults.push(Fault::missing("/metadata/name", "a name"));
    }
    for (field, value) in [("name", name.as_str()), ("generateName", generated.as_str())] {
        let Some(text) = value.filter(|text| !text.is_empty()) else { continue };
        // What is generated is put behind it, so it may end with a dash.
        let text = if field == "generateName" { text.trim_end_matches('-') } else { text };
        if !is_subdomain(text) {
            let what = format!("{field} is no name of an object");
            let expected = "small letters, digits, `-` and `.`, with a letter or digit at both ends";
            faults.push(Fault::new(format!("/metadata/{field}"), &metadata[field], what, expected));
        }
    }
    if let Some(namespace) = metadata["namespace"].as_str().filter(|text| !text.is_empty())
        && !is_label(namespace)
    {
        let expected = "small letters, digits and `-`, with a letter or digit at both ends";
        let what = "namespace is no name of a namespace";
        faults.push(Fault::new("/metadata/namespace", &metadata["namespace"], what, expected));
    }
    for (field, is_label) in [("labels", true), ("annotations", false)] {
        for (key, value) in metadata[field].as_object().into_iter().flatten() {
            let pointer = format!("/metadata/{field}/{}", key.replace('~', "~0").replace('/', "~1"));
            // The API server takes keys of annotations in any case.
            let known = if is_label { key.clone() } else { key.to_lowercase() };
            if !is_qualified(&known) {
                let key = Value::from(key.as_str());
                faults.push(Fault::new(
                    pointer,
                    &key,
                    "it is no key of a label or annotation",
                    "example.com/name",
                ));
            } else if is_label
                && !is_absent(value)
                && value.as_str().is_some_and(|text| !is_label_value(text))
            {
                let expected = "letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";
                faults.push(Fault::new(pointer, value, "it is no value of a label", expected));
            }
        }
    }
}

/// RFC 1123: the parts of a name of a host.
fn is_part(text: &str) -> bool {
    let ends =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = text.as_bytes();
    ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_part)
}

/// A name of a namespace or of a container.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= 63 && is_part(text)
}

fn is_word(text: &str) -> bool {
    let ends = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(byte))
}

fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_word(text)
}

/// A name with or without the domain of who gave it, such as `example.com/name`.
pub(super) fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        Some((domain, name)) => is_subdomain(domain) && is_word(name),
        None => is_word(text),
    }
}
