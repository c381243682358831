//! # A webhook adds a container whose request nothing sets
//!
//! ## What it looks at
//!
//! For every HPA with a utilization target on all containers: whether the annotations and labels of the pod
//! template, or of the Namespace in the manifests, ask a well-known webhook for a sidecar (Linkerd, Dapr,
//! Istio, the agent of Vault, the collector of OpenTelemetry), and whether anything there sets its request.
//! Where pods of the target run with that container, they decide.
//!
//! ## Why it matters
//!
//! The manifest looks complete, and the pod has one container more: *missing request for cpu in container
//! linkerd-proxy of Pod web-1*. With Istio the mesh sets requests, until an annotation on one resource
//! replaces them all.
//!
//! ## How to fix it
//!
//! Write the annotation that sets the request of the sidecar, or use a `ContainerResource` metric on your own
//! container.
//!
//! ## When it is wrong
//!
//! The webhook may have requests in a configuration of its own, which no manifest shows, or may not be
//! installed.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-missing-request-injected-sidecar` (AH-I02)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Need};
use crate::hpa::{self, injectors};
use crate::plan::requests::Asked;
use crate::plan::{self, supplies};

pub(crate) const CHECK: Check = Check {
    code: "MP926",
    name: "hpa-sidecar-request-unknown",
    title: "A webhook adds a container whose request nothing sets",
    hop: Hop::Hpa,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: hpa::GATE,
    needs: &[Need::HpaPods, Need::LimitRanges],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_sidecar_request_unknown.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        let mut asked = plan.spec.metrics.iter().filter_map(Asked::of).filter(|it| it.container.is_none());
        let Some(workload) = evidence.gate.workload_of(plan) else {
            return Ok(not_applicable("no manifest shows the pod template of its target"));
        };
        let template = &workload.template;
        if template.has_pod_requests() {
            return Ok(not_applicable("the pod as a whole has requests"));
        }
        let found = asked.find_map(|asked| {
            let injected = injectors::without_request(evidence, &plan.namespace, template, asked.resource);
            // One that the template writes out itself is no surprise.
            let injected = injected.into_iter().find(|it| template.container(it.container).is_none())?;
            Some((asked.resource, injected))
        });
        let Some((resource, injected)) = found else { return Ok(Outcome::Pass) };
        // A LimitRange fills in what a webhook leaves open: the admission plugin runs after it once more.
        let supplied = supplies(ctx, evidence, &plan.namespace, resource, String::new);
        let supplied = if evidence.gate.offline { supplied.unwrap_or(false) } else { supplied? };
        if supplied {
            return Ok(Outcome::Pass);
        }
        let container = injected.container;
        if !evidence.gate.offline {
            let pods = ctx.need(&plan.pods)?;
            let mut seen = pods.iter().flat_map(|pod| &pod.containers).filter(|it| it.name == container);
            if seen.clone().next().is_some() && seen.all(|it| it.requests.contains_key(resource)) {
                return Ok(Outcome::Pass);
            }
        }
        let detail = format!(
            "{} adds the container {container} to the pods of {}, and {} is not set",
            injected.by,
            workload.words(),
            injected.request,
        );
        let mut finding = Finding::new(subject, detail);
        let key = plan::escaped(&injected.because);
        let annotations = format!("{}/metadata/annotations", workload.pointer);
        if injected.of_namespace {
            let value = format!("{} on namespace {}", injected.because, plan.namespace);
            finding =
                finding.cite_manifest(workload.source, &annotations, value, "a request for the sidecar");
        } else {
            let pointer = format!("{annotations}/{key}");
            let value = workload.source.at(&pointer).as_str().filter(|it| !it.is_empty()).unwrap_or("empty");
            let value = format!("{}: {value}", injected.because);
            finding = finding.cite_manifest(workload.source, &pointer, value, "a request for the sidecar");
        }
        if injected.request.contains('/') {
            let amount = if resource == "memory" { "64Mi" } else { "50m" };
            let yaml = format!("{}: {amount}", injected.request);
            finding = plan::edit(finding, workload.source, &annotations, &yaml);
            let pointer = format!("{annotations}/{}", plan::escaped(&injected.request));
            finding = finding.change(workload.source, pointer, Some(amount.into()));
        }
        Ok(fail(finding))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = plan::edits(findings);
    if steps.is_empty() {
        let what = "set the request of the sidecar where its webhook reads it, such as spec.resources of the \
                    OpenTelemetryCollector";
        steps.push(Step::manual("the manifest", what));
    }
    vec![Remedy {
        title: "Give the sidecar a request".to_owned(),
        audience: Audience::Production,
        cost: "The scheduler sets it aside for every pod.".to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::{HpaPod, PodContainer};
    use crate::plan::testing::{
        cpu, deployment, forbidden, hpa as autoscaler, offline, online, result, seen, word, words,
    };

    fn objects(annotations: Value) -> Vec<Value> {
        let mut web = deployment("web", json!([{"name": "app", "resources": {"requests": {"cpu": "1"}}}]));
        web["spec"]["template"]["metadata"]["annotations"] = annotations;
        vec![web, autoscaler("web", json!([cpu(70)]))]
    }

    fn of(annotations: Value) -> String {
        words(&result(&CHECK, &offline(&objects(annotations))))
    }

    #[test]
    fn sidecars_without_a_request_are_found() {
        for (annotations, expected) in [
            (
                json!({"linkerd.io/inject": "enabled"}),
                "Linkerd adds the container linkerd-proxy to the pods of Deployment web, and \
                 config.linkerd.io/proxy-cpu-request is not set",
            ),
            (
                json!({"dapr.io/enabled": "true"}),
                "Dapr adds the container daprd to the pods of Deployment web, and dapr.io/sidecar-cpu-request is not set",
            ),
            (json!({"linkerd.io/inject": "enabled", "config.linkerd.io/proxy-cpu-request": "10m"}), "pass"),
            (json!({"linkerd.io/inject": "disabled"}), "pass"),
            (json!({"dapr.io/enabled": "true", "dapr.io/sidecar-cpu-limit": "1"}), "pass"),
            (json!({"sidecar.istio.io/inject": "true"}), "pass"),
            (
                json!({"sidecar.istio.io/inject": "true", "sidecar.istio.io/proxyMemory": "64Mi"}),
                "Istio adds the container istio-proxy to the pods of Deployment web, and sidecar.istio.io/proxyCPU is \
                 not set",
            ),
            (json!({"vault.hashicorp.com/agent-inject": "true"}), "pass"),
            (
                json!({"sidecar.opentelemetry.io/inject": "true"}),
                "OpenTelemetry adds the container otc-container to the pods of Deployment web, and \
                 spec.resources.requests of its OpenTelemetryCollector is not set",
            ),
            (json!({}), "pass"),
        ] {
            assert_eq!(of(annotations.clone()), expected, "{annotations}");
        }
    }

    #[test]
    fn the_namespace_among_the_manifests_counts() {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "shop", "annotations": {"linkerd.io/inject": "enabled"}},
        });
        let with = |annotations| {
            let mut objects = objects(annotations);
            objects.push(namespace.clone());
            word(&result(&CHECK, &offline(&objects)))
        };
        assert_eq!(with(json!({})), "fail");
        assert_eq!(with(json!({"linkerd.io/inject": "disabled"})), "pass");
    }

    #[test]
    fn pods_that_run_decide() {
        let mut evidence = online(&objects(json!({"linkerd.io/inject": "enabled"})));
        let pod = |requests: &[&str]| HpaPod {
            name: "web-1".to_owned(),
            node: None,
            phase: "Running".to_owned(),
            ready: true,
            created: jiff::Timestamp::UNIX_EPOCH,
            labels: [].into(),
            owner: None,
            containers: vec![PodContainer {
                name: "linkerd-proxy".to_owned(),
                requests: requests.iter().map(|it| ((*it).to_owned(), "1".to_owned())).collect(),
                ..PodContainer::default()
            }],
            pod_requests: [].into(),
        };
        let mut with = |pods| {
            evidence.gate.plans[0].pods = pods;
            word(&result(&CHECK, &evidence))
        };
        assert_eq!(with(seen(Need::HpaPods, vec![pod(&["cpu"])])), "pass");
        assert_eq!(with(seen(Need::HpaPods, vec![pod(&[])])), "fail");
        assert_eq!(with(seen(Need::HpaPods, Vec::new())), "fail");
        assert_eq!(with(forbidden(Need::HpaPods)), "open");
    }
}
