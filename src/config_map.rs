//! The report as a ConfigMap: one object, which the user has named, and nothing else that is there.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::is_label;
use crate::source::guard::Refused;
use crate::source::live::{Client, ConnectError, ConnectOptions, guarded_client};
use crate::source::redact;

/// The label that tells a ConfigMap of this program from any other.
const MARK: &str = "metrics-preflight/report";
/// The most that a ConfigMap holds, in bytes (`MaxSecretSize` in `pkg/apis/core/types.go`, which ConfigMaps share),
/// less something for the keys.
const LIMIT: usize = (1 << 20) - (1 << 12);
/// Where a report is cut that leaves no room otherwise.
const CUT: &str = "\n(The report is longer than a ConfigMap holds.)\n";

/// Where the report goes: `NAMESPACE/NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The namespace, which has to be there.
    pub(crate) namespace: String,
    /// The ConfigMap, which may be there.
    pub(crate) name: String,
}

impl std::str::FromStr for Place {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if is_label(namespace) && is_name(name) => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("give it as NAMESPACE/NAME, in small letters, digits and dashes"),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}/{}", self.namespace, self.name)
    }
}

/// A DNS subdomain, as the names of ConfigMaps are.
fn is_name(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// What goes into it.
#[derive(Clone, Debug)]
pub(crate) struct Content {
    /// The report for people, without colours.
    pub(crate) table: String,
    /// The JSON document.
    pub(crate) document: String,
    /// The exit code.
    pub(crate) exit: u8,
    /// When the cluster was looked at, RFC 3339.
    pub(crate) looked_at: String,
}

impl Content {
    /// The keys of the ConfigMap. A document that leaves no room for the report stays out; a report that is longer
    /// than all the room is cut, and says so.
    fn data(&self) -> BTreeMap<&'static str, String> {
        let mut data = BTreeMap::from([
            ("exit-code", self.exit.to_string()),
            ("looked-at", self.looked_at.clone()),
            ("report.txt", cut(&self.table, LIMIT)),
        ]);
        if self.table.len() + self.document.len() <= LIMIT {
            data.insert("report.json", self.document.clone());
        }
        data
    }
}

fn cut(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(limit - CUT.len());
    format!("{}{CUT}", &text[..end])
}

/// Why the report is not there.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The configuration does not lead to a cluster.
    Configuration(ConnectError),
    /// Something else is kept under this name.
    Foreign,
    /// The API server said no to this verb: the status and its words.
    Refused(&'static str, u16, String),
    /// There was no answer.
    Lost(String),
}

/// Writes the report, in place of an earlier one.
///
/// # Errors
/// When it could not be written, or when it would replace what is not a report.
pub(crate) async fn write(options: &ConnectOptions, place: &Place, content: &Content) -> Result<(), Trouble> {
    let client = guarded_client(options, guard).await.map_err(Trouble::Configuration)?;
    let all = format!("/api/v1/namespaces/{}/configmaps", place.namespace);
    let one = format!("{all}/{}", place.name);
    match call(&client, "get", "GET", &one, None).await {
        Ok(there) => {
            let renewed = renewed(there, content)?;
            call(&client, "update", "PUT", &one, Some(&renewed)).await.map(drop)
        }
        Err(Trouble::Refused(_, 404, _)) => {
            call(&client, "create", "POST", &all, Some(&fresh(place, content))).await.map(drop)
        }
        Err(trouble) => Err(trouble),
    }
}

/// A ConfigMap that is not there yet.
fn fresh(place: &Place, content: &Content) -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"namespace": place.namespace, "name": place.name, "labels": {MARK: "true"}},
        "data": content.data(),
    })
}

/// The ConfigMap that is there, with its own metadata: so whoever has changed it meanwhile makes this one fail.
fn renewed(mut there: Value, content: &Content) -> Result<Value, Trouble> {
    let holds = |field: &str| there[field].as_object().is_some_and(|data| !data.is_empty());
    let is_ours = there["metadata"]["labels"].get(MARK).is_some();
    if !is_ours && (holds("data") || holds("binaryData")) {
        return Err(Trouble::Foreign);
    }
    let Some(meta) = there.get_mut("metadata").and_then(Value::as_object_mut) else {
        return Err(Trouble::Lost("what answers is not an API server".to_owned()));
    };
    meta.remove("managedFields");
    let labels = meta.entry("labels").or_insert_with(|| Value::Object(Map::new()));
    let Some(labels) = labels.as_object_mut() else {
        return Err(Trouble::Lost("what answers is not an API server".to_owned()));
    };
    labels.insert(MARK.to_owned(), json!("true"));
    Ok(json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": meta,
        "data": content.data(),
    }))
}

async fn call(
    client: &Client,
    verb: &'static str,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Value, Trouble> {
    let body = body.map(Value::to_string);
    let answer = client.send(method, path, body.as_deref()).await;
    let answer = answer.map_err(|failure| Trouble::Lost(redact::message(&failure.message).0))?;
    let value: Value = serde_json::from_slice(&answer.bytes).unwrap_or_default();
    if (200..300).contains(&answer.status) {
        return Ok(value);
    }
    let words = value["message"].as_str().unwrap_or("without a reason");
    Err(Trouble::Refused(verb, answer.status, redact::message(words).0))
}

/// What may leave: to read one ConfigMap, and to write one with the mark of a report.
fn guard(method: &str, target: &str, body: Option<&str>) -> Result<(), Refused> {
    let segments: Vec<&str> = target.strip_prefix('/').unwrap_or_default().split('/').collect();
    let body: Option<Value> = body.and_then(|body| serde_json::from_str(body).ok());
    let is_report = |namespace: &str, name: Option<&str>| {
        let Some(body) = &body else { return false };
        let meta = &body["metadata"];
        body["kind"] == "ConfigMap"
            && meta["labels"][MARK] == "true"
            && meta["namespace"] == namespace
            && meta["name"].as_str().is_some_and(is_name)
            && name.is_none_or(|name| meta["name"] == name)
    };
    let fits = match (method, segments.as_slice()) {
        ("GET", ["api", "v1", "namespaces", namespace, "configmaps", name]) => {
            is_label(namespace) && is_name(name) && body.is_none()
        }
        ("PUT", ["api", "v1", "namespaces", namespace, "configmaps", name]) => {
            is_label(namespace) && is_report(namespace, Some(name))
        }
        ("POST", ["api", "v1", "namespaces", namespace, "configmaps"]) => {
            is_label(namespace) && is_report(namespace, None)
        }
        _ => false,
    };
    if fits {
        Ok(())
    } else {
        Err(Refused { reason: format!("{method} {target}: it is not about a report") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content() -> Content {
        Content {
            table: "the report\n".to_owned(),
            document: "{}\n".to_owned(),
            exit: 1,
            looked_at: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    fn place() -> Place {
        "ops/report".parse().expect("a place")
    }

    #[test]
    fn a_place_is_a_namespace_and_a_name() {
        assert_eq!(place(), Place { namespace: "ops".to_owned(), name: "report".to_owned() });
        assert!("ops/my.report-2".parse::<Place>().is_ok());
        for text in
            ["report", "ops/", "/report", "ops/a/b", "ops/../x", "Ops/report", "ops/-a", "ops/a?b", "o.p/a"]
        {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_report_is_left_alone() {
        let there = |object: Value| renewed(object, &content());
        let foreign = json!({"metadata": {"name": "coredns"}, "data": {"Corefile": "."}});
        assert!(matches!(there(foreign), Err(Trouble::Foreign)));
        let binary = json!({"metadata": {"name": "other"}, "binaryData": {"a": "AA=="}});
        assert!(matches!(there(binary), Err(Trouble::Foreign)));
        for broken in [json!({"data": {}}), json!({"metadata": {"labels": ["a"]}}), json!("x")] {
            assert!(matches!(there(broken), Err(Trouble::Lost(_))));
        }
        // An empty one was made for the report; an earlier report is replaced, and what others have added stays.
        let empty = json!({"metadata": {"name": "report", "namespace": "ops", "resourceVersion": "7"}});
        let ours = json!({
            "metadata": {"name": "report", "namespace": "ops", "resourceVersion": "7", "managedFields": [],
                         "labels": {MARK: "true", "team": "a"}},
            "data": {"exit-code": "0", "old": "x"},
        });
        for (object, labels) in [(empty, json!({MARK: "true"})), (ours, json!({MARK: "true", "team": "a"}))] {
            let written = there(object).expect("a report");
            assert_eq!(written["data"]["exit-code"], "1");
            assert_eq!(written["data"].get("old"), None);
            let meta =
                json!({"name": "report", "namespace": "ops", "resourceVersion": "7", "labels": labels});
            assert_eq!(written["metadata"], meta);
        }
    }

    #[test]
    fn a_report_fits_into_a_config_map_and_says_where_it_does_not() {
        let size = |content: &Content| {
            content.data().iter().map(|(key, value)| key.len() + value.len()).sum::<usize>()
        };
        let small = content();
        assert_eq!(small.data().len(), 4);
        let documents = Content { document: "x".repeat(LIMIT), ..content() };
        assert!(!documents.data().contains_key("report.json") && size(&documents) < 1 << 20);
        let long = Content { table: "ü".repeat(LIMIT), ..content() };
        assert!(long.data()["report.txt"].ends_with(CUT) && size(&long) < 1 << 20);
    }

    #[test]
    fn nothing_leaves_but_a_report() {
        let report = fresh(&place(), &content()).to_string();
        let one = "/api/v1/namespaces/ops/configmaps/report";
        assert!(guard("GET", one, None).is_ok());
        assert!(guard("PUT", one, Some(&report)).is_ok());
        assert!(guard("POST", "/api/v1/namespaces/ops/configmaps", Some(&report)).is_ok());
        for (method, target, body) in [
            ("DELETE", one, None),
            ("PATCH", one, Some(report.as_str())),
            ("PUT", one, None),
            ("PUT", one, Some("{\"kind\": \"ConfigMap\"}")),
            ("PUT", "/api/v1/namespaces/ops/configmaps/other", Some(&report)),
            ("POST", "/api/v1/namespaces/kube-system/configmaps", Some(&report)),
            ("POST", "/api/v1/namespaces/ops/secrets", Some(&report)),
            ("GET", "/api/v1/namespaces/ops/secrets/report", None),
            ("GET", "/api/v1/namespaces/ops/configmaps", None),
            ("GET", "/api/v1/namespaces/ops/configmaps/report?watch=1", None),
        ] {
            assert!(guard(method, target, body).is_err(), "{method} {target}");
        }
    }
}
