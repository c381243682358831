//! Static pods and kubelet configurations as YAML that people and `sed` can work with.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Reads one document.
pub(crate) fn parse(text: &str) -> Result<Value> {
    serde_saphyr::from_str(text).context("not YAML")
}

/// Writes one document in block style, keys sorted, as kubeadm does.
pub(crate) fn print(value: &Value) -> Result<String> {
    serde_saphyr::to_string(value).context("cannot be written as YAML")
}

/// The command of a pod's first container.
pub(crate) fn command(text: &str) -> Result<Vec<String>> {
    let pod = parse(text)?;
    let container = pod.pointer("/spec/containers/0").context("the pod has no container")?;
    let words = |key: &str| -> Vec<String> {
        container[key]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|word| word.as_str().map(str::to_owned))
            .collect()
    };
    let mut command = words("command");
    anyhow::ensure!(!command.is_empty(), "the pod's container has no command");
    command.extend(words("args"));
    Ok(command)
}

/// The environment of a pod's first container, as far as the manifest itself holds the values.
pub(crate) fn environment(text: &str) -> Result<BTreeMap<String, String>> {
    let pod = parse(text)?;
    let list = pod.pointer("/spec/containers/0/env").and_then(Value::as_array);
    let pair =
        |entry: &Value| Some((entry["name"].as_str()?.to_owned(), entry["value"].as_str()?.to_owned()));
    Ok(list.into_iter().flatten().filter_map(pair).collect())
}

/// Gives a pod's first container these variables beside those that it has.
pub(crate) fn add_environment(text: &str, variables: &[(&str, &str)]) -> Result<String> {
    let mut pod = parse(text)?;
    let container = pod.pointer_mut("/spec/containers/0").context("the pod has no container")?;
    let mut list = container["env"].as_array().cloned().unwrap_or_default();
    list.extend(variables.iter().map(|(name, value)| json!({"name": name, "value": value})));
    container["env"] = Value::Array(list);
    print(&pod)
}

/// Edits the flags (all words after the program) of a pod's first container.
pub(crate) fn edit_flags(text: &str, edit: impl FnOnce(&mut Vec<String>)) -> Result<String> {
    let mut pod = parse(text)?;
    let command = pod
        .pointer_mut("/spec/containers/0/command")
        .and_then(Value::as_array_mut)
        .context("the pod's container has no command")?;
    let mut flags: Vec<String> =
        command.iter().skip(1).filter_map(|word| word.as_str().map(str::to_owned)).collect();
    edit(&mut flags);
    command.truncate(1);
    command.extend(flags.into_iter().map(Value::String));
    print(&pod)
}

/// Sets `--name=value` in place of a flag of the same name, or adds it.
pub fn set_flag(flags: &mut Vec<String>, flag: &str) {
    let name = flag.split('=').next().unwrap_or(flag);
    match flags.iter_mut().find(|old| old.split('=').next() == Some(name)) {
        Some(old) => flag.clone_into(old),
        None => flags.push(flag.to_owned()),
    }
}

/// Removes a flag, named without its value.
pub fn remove_flag(flags: &mut Vec<String>, name: &str) {
    flags.retain(|flag| flag.split('=').next() != Some(name));
}

/// RFC 7396: objects are merged, `null` removes, all else replaces.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        if !patch.is_null() {
            *target = patch.clone();
        }
        return;
    };
    if !target.is_object() {
        *target = Value::Object(serde_json::Map::new());
    }
    let Some(object) = target.as_object_mut() else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            object.remove(key);
        } else {
            merge(object.entry(key.as_str()).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{add_environment, command, edit_flags, environment, merge, set_flag};
    use serde_json::json;

    const POD: &str = "spec:\n  containers:\n  - command:\n    - kube-apiserver\n    - --a=1\n    name: x\n";

    #[test]
    fn flags_are_edited_and_stay_one_a_line() {
        let text = edit_flags(POD, |flags| {
            set_flag(flags, "--a=2");
            set_flag(flags, "--b=*,c");
        })
        .expect("a pod");
        assert_eq!(command(&text).expect("a command"), ["kube-apiserver", "--a=2", "--b=*,c"]);
        assert!(text.contains("\n    - --a=2\n"), "{text}");
    }

    #[test]
    fn variables_are_added_to_the_first_container() {
        assert!(environment(POD).expect("a pod").is_empty());
        let text =
            add_environment(POD, &[("NO_PROXY", "a,b"), ("HTTPS_PROXY", "http://c:1")]).expect("a pod");
        assert!(text.contains("    - name: NO_PROXY\n      value: a,b\n"), "{text}");
        let found = environment(&text).expect("a pod");
        assert_eq!(found.get("HTTPS_PROXY").map(String::as_str), Some("http://c:1"));
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn a_merge_removes_with_null() {
        let mut value = json!({"a": {"b": 1, "c": 2}});
        merge(&mut value, &json!({"a": {"b": null, "d": [3]}}));
        assert_eq!(value, json!({"a": {"c": 2, "d": [3]}}));
    }
}
