//! What an autoscaler targets, among the manifests.

use serde_json::Value;

use super::kinds;
use super::labels::Selector;
use super::template::read_template;
use crate::evidence::{Document, Gate, Plan, PodTemplate, TargetKind};

/// Something in the manifests that makes pods.
#[derive(Clone, Debug)]
pub(crate) struct Workload<'e> {
    /// Its object.
    pub(crate) document: &'e Document,
    /// The object that the template stands in: itself, or the one that it refers to.
    pub(crate) source: &'e Document,
    /// Where its template stands in [`Workload::source`].
    pub(crate) pointer: &'static str,
    /// Its template.
    pub(crate) template: PodTemplate,
}

impl Workload<'_> {
    /// What it is, such as `Deployment web`.
    pub(crate) fn words(&self) -> String {
        format!("{} {}", self.document.kind, self.document.name)
    }

    /// The selector of its pods, where the manifest shows it.
    pub(crate) fn selector(&self) -> Option<Selector> {
        let selector = self.source.at("/spec/selector");
        if self.document.kind == "ReplicationController" && self.document.group().is_empty() {
            let own = selector.as_object().is_some_and(|map| !map.is_empty());
            let labels = || selector.as_object().into_iter().flatten();
            let own_labels = || {
                labels().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
            };
            return Some(Selector::of(&if own { own_labels() } else { self.template.labels.clone() }));
        }
        Selector::read(selector).filter(|selector| !selector.is_empty())
    }
}

impl Gate {
    /// The namespace in which an object of the manifests ends up.
    #[must_use]
    pub fn namespace_of<'e>(&'e self, document: &'e Document) -> &'e str {
        if document.namespace.is_empty() { &self.namespace } else { &document.namespace }
    }

    /// The objects of a group and kind in a namespace.
    pub(crate) fn objects<'e>(
        &'e self,
        group: &'e str,
        kind: &'e str,
        namespace: &'e str,
    ) -> impl Iterator<Item = &'e Document> {
        let found = self.found().of_kind(namespace, group, kind).iter();
        let documents = found.filter_map(|index| self.manifests.documents.get(*index));
        documents.filter(move |document| {
            kinds::is(kind, &document.kind)
                && document.group() == group
                && self.namespace_of(document) == namespace
        })
    }

    /// The object that an autoscaler targets, by group, kind and name: the controller takes any version.
    pub(crate) fn target_of<'e>(&'e self, plan: &'e Plan) -> Option<&'e Document> {
        let target = &plan.spec.target;
        let found = self.found().of_name(&plan.namespace, target.group(), &target.kind, &target.name);
        let is_it = |document: &&Document| {
            kinds::is(&target.kind, &document.kind)
                && document.group() == target.group()
                && self.namespace_of(document) == plan.namespace
                && document.name == target.name
        };
        found.iter().rev().filter_map(|index| self.manifests.documents.get(*index)).find(is_it)
    }

    /// The workload that an autoscaler targets; nothing where it is not in the manifests or shows no template.
    pub(crate) fn workload_of<'e>(&'e self, plan: &'e Plan) -> Option<Workload<'e>> {
        self.workload(self.target_of(plan)?)
    }

    /// What of an object makes pods.
    pub(crate) fn workload<'e>(&'e self, document: &'e Document) -> Option<Workload<'e>> {
        let pointer = template_pointer(document);
        if document.at(pointer)["spec"]["containers"].is_array() {
            let template = read_template(document.at(pointer), pointer);
            return Some(Workload { document, source: document, pointer, template });
        }
        // A Rollout of Argo may take over the template of a Deployment.
        let reference = document.at("/spec/workloadRef");
        if !reference.is_object() {
            return None;
        }
        let text = |field: &str| reference[field].as_str().unwrap_or_default();
        let group = text("apiVersion").split_once('/').map_or("", |(group, _)| group);
        let mut sources = self.objects(group, text("kind"), self.namespace_of(document));
        let source = sources.find(|source| source.name == text("name"))?;
        let pointer = template_pointer(source);
        let has = source.at(pointer)["spec"]["containers"].is_array();
        has.then(|| Workload {
            document,
            source,
            pointer,
            template: read_template(source.at(pointer), pointer),
        })
    }

    /// Everything in a namespace whose pods have labels that a selector matches.
    pub(crate) fn matching<'e>(
        &'e self,
        namespace: &'e str,
        selector: &'e Selector,
    ) -> impl Iterator<Item = Workload<'e>> {
        let found = self.found();
        // Of the labels that are asked for the rarest leaves the fewest.
        let with = |(label, values): (&str, &[String])| {
            let lists = values.iter().map(|value| found.makers_with(namespace, label, value));
            lists.collect::<Vec<&[usize]>>()
        };
        let rarest =
            selector.asked().map(with).min_by_key(|lists| lists.iter().map(|it| it.len()).sum::<usize>());
        let mut places = rarest.unwrap_or_else(|| vec![found.makers_of(namespace)]).concat();
        places.sort_unstable();
        places.dedup();
        places.into_iter().filter_map(move |place| {
            let (index, _) = found.makers.get(place).filter(|(_, labels)| selector.matches(labels))?;
            let document = self.manifests.documents.get(*index)?;
            if self.namespace_of(document) == namespace { self.workload(document) } else { None }
        })
    }

    /// What the manifests say of a kind: built in, or from a custom resource definition among them.
    pub(crate) fn kind(&self, group: &str, kind: &str) -> Option<TargetKind> {
        kinds::built_in(group, kind).or_else(|| Some(self.definition(group, kind)?.kind()))
    }

    /// The custom resource definition of a kind among the manifests.
    pub(crate) fn definition<'e>(&'e self, group: &str, kind: &str) -> Option<Definition<'e>> {
        let places = &self.found().definitions;
        let mut definitions = places.iter().filter_map(|index| self.manifests.documents.get(*index));
        let document = definitions
            .find(|it| *it.at("/spec/group") == *group && is_kind(it.at("/spec/names/kind"), kind))?;
        Some(Definition { document })
    }
}

/// A custom resource definition among the manifests.
#[derive(Clone, Copy, Debug)]
pub struct Definition<'e> {
    /// Its object.
    pub document: &'e Document,
}

impl Definition<'_> {
    /// The scales of the versions that are served: each the `subresources.scale`, or null.
    fn scales(&self) -> impl Iterator<Item = &Value> {
        let versions = self.document.at("/spec/versions").as_array().into_iter().flatten();
        versions.filter(|version| version["served"] == true).map(|version| &version["subresources"]["scale"])
    }

    /// Whether any served version has a scale; the controller tries all versions.
    #[must_use]
    pub fn kind(&self) -> TargetKind {
        let scalable = self.scales().any(Value::is_object);
        if scalable { TargetKind::Scalable } else { TargetKind::NotScalable }
    }

    /// Whether a scale of it says which pods belong to it.
    #[must_use]
    pub fn has_selector(&self) -> bool {
        self.scales().any(|scale| scale["labelSelectorPath"].is_string())
    }
}

fn is_kind(name: &Value, reference: &str) -> bool {
    name.as_str().is_some_and(|name| kinds::is(reference, name))
}

/// Where the template of what makes pods stands.
pub(super) fn template_pointer(document: &Document) -> &'static str {
    match document.kind.as_str() {
        "CronJob" => "/spec/jobTemplate/spec/template",
        "Pod" if document.group().is_empty() => "",
        _ => "/spec/template",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::testing::offline;

    fn hpa(api_version: &str, kind: &str) -> Value {
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
            "spec": {"scaleTargetRef": {"apiVersion": api_version, "kind": kind, "name": "web"}, "maxReplicas": 3},
        })
    }

    fn workload(api_version: &str, kind: &str, namespace: &str, image: &str) -> Value {
        json!({
            "apiVersion": api_version, "kind": kind, "metadata": {"name": "web", "namespace": namespace},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{"name": image}]},
                },
            },
        })
    }

    fn container(objects: &[Value]) -> Option<String> {
        let gate = offline(objects).gate;
        let found = gate.workload_of(&gate.plans[0])?;
        Some(found.template.containers[0].name.clone())
    }

    #[test]
    fn a_kind_in_small_letters_is_found() {
        let objects = [hpa("apps/v1", "deployment"), workload("apps/v1", "Deployment", "", "here")];
        assert_eq!(container(&objects).as_deref(), Some("here"));
        assert_eq!(
            container(&[hpa("apps/v1", "Deployments"), workload("apps/v1", "Deployment", "", "x")]),
            None
        );
    }

    #[test]
    fn a_target_is_found_by_group_kind_and_name_in_its_namespace() {
        let there = |objects: &[Value]| container(objects).as_deref() == Some("here");
        assert!(there(&[
            hpa("apps/v1beta1", "Deployment"),
            workload("apps/v1", "Deployment", "other", "elsewhere"),
            workload("apps/v1", "StatefulSet", "shop", "other"),
            workload("apps/v1", "Deployment", "", "here"),
        ]));
        assert!(there(&[
            hpa("argoproj.io/v1alpha1", "Rollout"),
            workload("argoproj.io/v1alpha1", "Rollout", "shop", "here")
        ]));
        assert_eq!(
            container(&[hpa("extensions/v1beta1", "Deployment"), workload("apps/v1", "Deployment", "", "x")]),
            None
        );
    }

    #[test]
    fn a_rollout_may_take_the_template_of_a_deployment() {
        let mut rollout = workload("argoproj.io/v1alpha1", "Rollout", "", "none");
        rollout["spec"] =
            json!({"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}});
        let objects =
            [hpa("argoproj.io/v1alpha1", "Rollout"), rollout, workload("apps/v1", "Deployment", "", "taken")];
        assert_eq!(container(&objects).as_deref(), Some("taken"));
    }

    #[test]
    fn definitions_among_the_manifests_say_what_can_be_scaled() {
        let definition = |subresources: Value| {
            json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "farms.example.org"},
                "spec": {
                    "group": "example.org", "names": {"kind": "Farm", "plural": "farms"},
                    "versions": [{"name": "v1", "served": true, "subresources": subresources}],
                },
            })
        };
        let kind = |subresources| offline(&[definition(subresources)]).gate.kind("example.org", "Farm");
        assert_eq!(
            kind(json!({"scale": {"specReplicasPath": ".spec.replicas"}})),
            Some(TargetKind::Scalable)
        );
        assert_eq!(kind(json!({"status": {}})), Some(TargetKind::NotScalable));
        assert_eq!(offline(&[]).gate.kind("example.org", "Farm"), None);
        assert_eq!(offline(&[]).gate.kind("apps", "Deployment"), Some(TargetKind::Scalable));
    }
}
