//! Which resource a kind is, and whether it has a scale: discovery, group by group.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use checks::evidence::{Look, Need, Obs, TargetKind, Why};
use serde_json::Value;

use super::super::ask::{Asker, why};
use super::super::json;
use crate::source::{Request, segment};

/// The kinds of the groups that were asked for so far.
#[derive(Default)]
pub(super) struct Kinds {
    groups: Mutex<BTreeMap<String, Obs<Vec<Kind>>>>,
}

/// A kind that the API serves.
#[derive(Clone, Debug)]
pub(super) struct Kind {
    /// Its name, such as `Deployment`.
    pub(super) name: String,
    /// The resource, such as `deployments`.
    pub(super) resource: String,
    /// The path of its group and version, such as `/apis/apps/v1`.
    pub(super) root: String,
    /// The group, empty for the core.
    pub(super) group: String,
    /// Whether it has a scale.
    pub(super) scalable: bool,
    /// Whether its objects are in namespaces.
    pub(super) namespaced: bool,
}

impl Kind {
    /// The resource as RBAC and the custom metrics API write it, such as `deployments.apps`.
    pub(super) fn permission(&self) -> String {
        match self.group.as_str() {
            "" => self.resource.clone(),
            group => format!("{}.{group}", self.resource),
        }
    }

    /// Whether this program may read its objects for the template of their pods.
    pub(super) fn has_readable_template(&self) -> bool {
        self.group == "apps"
            && matches!(self.resource.as_str(), "deployments" | "replicasets" | "statefulsets")
    }
}

/// What a kind is to an autoscaler.
pub(super) fn kind_of(found: Option<Kind>) -> TargetKind {
    match found {
        None => TargetKind::Unknown,
        Some(kind) if kind.scalable => TargetKind::Scalable,
        Some(_) => TargetKind::NotScalable,
    }
}

impl Kinds {
    /// The kind of this name in this group; `None` when the API serves none.
    pub(super) async fn find(&self, asker: &Asker<'_>, group: &str, kind: &str) -> Obs<Option<Kind>> {
        // The controller's mapper knows every kind in lower case too (seen on 1.36).
        let own = |all: &Obs<Vec<Kind>>| {
            let is_own = |known: &&Kind| known.name == kind || known.name.to_lowercase() == kind;
            let look = match &all.look {
                Look::Seen(kinds) => Look::Seen(kinds.iter().find(is_own).cloned()),
                Look::Unseen(why) => Look::Unseen(why.clone()),
            };
            Obs { need: Need::Kinds, from: all.from.clone(), look }
        };
        if let Some(known) = self.groups.lock().unwrap_or_else(PoisonError::into_inner).get(group) {
            return own(known);
        }
        let found = served(asker, group).await;
        let own = own(&found);
        self.groups.lock().unwrap_or_else(PoisonError::into_inner).insert(group.to_owned(), found);
        own
    }
}

/// Every kind of a group: of its preferred version, and of the others what that version lacks, as the controller's
/// mapping from kinds to resources has them all.
async fn served(asker: &Asker<'_>, group: &str) -> Obs<Vec<Kind>> {
    if group.is_empty() {
        return version(asker, "", "/api/v1").await;
    }
    let Ok(path) = segment(group) else {
        return Obs::unseen(Need::Kinds, [], Why::Unreadable("the API group has no usable name".to_owned()));
    };
    let asked = asker.ask(Request::get(format!("/apis/{path}"))).await;
    if asked.status() == Some(404) {
        return Obs::seen(Need::Kinds, [asked.id], Vec::new());
    }
    let Some(body) = asked.observation.json() else {
        let why = why(&asked.observation, "get", &format!("/apis/{group}"));
        return Obs::unseen(Need::Kinds, [asked.id], why);
    };
    let preferred = json::text(&body["preferredVersion"]["version"]);
    let mut versions: Vec<String> =
        json::items(&body["versions"]).map(|version| json::text(&version["version"])).collect();
    versions.sort_by_key(|version| *version != preferred);
    let mut all: Obs<Vec<Kind>> = Obs::seen(Need::Kinds, [asked.id], Vec::new());
    for name in versions.iter().take(8) {
        let Ok(segment) = segment(name) else { continue };
        let found = version(asker, group, &format!("/apis/{path}/{segment}")).await;
        let Some(kinds) = found.peek() else { return found };
        if let Look::Seen(known) = &mut all.look {
            for kind in kinds {
                if !known.iter().any(|earlier| earlier.name == kind.name) {
                    known.push(kind.clone());
                }
            }
        }
        all.from.extend(&found.from);
    }
    all
}

async fn version(asker: &Asker<'_>, group: &str, root: &str) -> Obs<Vec<Kind>> {
    let asked = asker.ask(Request::get(root)).await;
    if asked.status() == Some(404) {
        return Obs::seen(Need::Kinds, [asked.id], Vec::new());
    }
    asked.read(Need::Kinds, "get", root, |body| Some(kinds(group, root, body)))
}

fn kinds(group: &str, root: &str, body: &Value) -> Vec<Kind> {
    let names: Vec<&str> =
        json::items(&body["resources"]).filter_map(|resource| resource["name"].as_str()).collect();
    json::items(&body["resources"])
        .filter_map(|resource| {
            let name = resource["name"].as_str().filter(|name| !name.contains('/'))?;
            Some(Kind {
                name: json::name(&resource["kind"])?,
                resource: segment(name).ok()?,
                root: root.to_owned(),
                group: group.to_owned(),
                namespaced: resource["namespaced"] == true,
                scalable: names.iter().any(|other| other.strip_suffix("/scale") == Some(name)),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_scale_makes_a_kind_scalable() {
        let body = json!({"resources": [
            {"name": "deployments", "kind": "Deployment", "namespaced": true},
            {"name": "deployments/scale", "kind": "Scale", "namespaced": true},
            {"name": "daemonsets", "kind": "DaemonSet", "namespaced": true},
            {"name": "../secrets", "kind": "Trick"},
        ]});
        let found = kinds("apps", "/apis/apps/v1", &body);
        let words: Vec<_> =
            found.iter().map(|kind| (kind.name.as_str(), kind.permission(), kind.scalable)).collect();
        let expected = [
            ("Deployment", "deployments.apps".to_owned(), true),
            ("DaemonSet", "daemonsets.apps".to_owned(), false),
        ];
        assert_eq!(words, expected);
    }
}
