//! # The HPA's pods lack the request that its metric needs
//!
//! ## What it looks at
//!
//! For every metric with a utilization target: whether each container of each pod that the target's selector
//! matches requests that resource. Init containers that restart count; a request on the pod counts for all.
//! In a gate it is the pod template of the manifest, with limits and the LimitRanges of its namespace, and
//! the templates and pods of others that the same selector matches.
//!
//! ## Why it matters
//!
//! Utilization is a percentage of the request. One container without it is enough: *missing request for cpu
//! in container app of Pod web-1*, and the HPA shows `<unknown>`. Requests that add up to 0 leave nothing to
//! take a percentage of: *no metrics returned matched known pods*.
//!
//! ## How to fix it
//!
//! Give every container the request, injected sidecars included; or use a `ContainerResource` metric on the
//! container that has it, or a target of the type `AverageValue`.
//!
//! ## When it is wrong
//!
//! The pods are what counts, not the template: limits become requests and a LimitRange adds them when a pod
//! is made. Pods of somebody else that share the labels count as well. Without a look at the LimitRanges of
//! the cluster the gate leaves a missing request open. A webhook that adds requests, such as that of a
//! VerticalPodAutoscaler, is not foreseen.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-missing-request` (AH-I01 to I05)
//! - Kubernetes `pkg/controller/podautoscaler/replica_calculator.go`

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, HpaPod, MetricSource, MetricSpec, Mode, Need};
use crate::hpa;
use crate::plan::requests::{self, Asked};
use crate::plan::{self, cite_own};
use crate::support::word;

pub(crate) const CHECK: Check = Check {
    code: "MP901",
    name: "hpa-request-missing",
    title: "The HPA's pods lack the resource request that its metric needs",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: hpa::BOTH,
    needs: &[Need::Version, Need::Hpas, Need::HpaTarget, Need::HpaPods, Need::Template, Need::LimitRanges],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: hpa::GATE, unless: &[] },
    source: include_str!("hpa_request_missing.rs"),
    run,
    remedies,
};

fn needs_request(metric: &MetricSpec) -> bool {
    metric.utilization && matches!(metric.source, MetricSource::Resource | MetricSource::ContainerResource)
}

/// The first container of a pod without the request that a metric needs.
fn lacking<'p>(pod: &'p HpaPod, metric: &MetricSpec) -> Option<&'p str> {
    let counts = |name: &str| metric.container.as_deref().is_none_or(|wanted| wanted == name);
    if metric.container.is_none() && pod.pod_requests.contains_key(&metric.name) {
        return None;
    }
    pod.containers
        .iter()
        .find(|container| counts(&container.name) && !container.requests.contains_key(&metric.name))
        .map(|container| container.name.as_str())
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    if evidence.mode == Mode::Gate {
        return gate(evidence, results);
    }
    results.each(&evidence.hpas, hpa::subject, |ctx, hpa, subject| {
        if !hpa.metrics.iter().any(needs_request) {
            return Ok(not_applicable("no metric of it is a percentage of a request"));
        }
        let pods = ctx.need(&hpa.pods)?;
        let found = hpa.metrics.iter().filter(|metric| needs_request(metric)).find_map(|metric| {
            pods.iter().find_map(|pod| lacking(pod, metric).map(|container| (metric, pod, container)))
        });
        let Some((metric, pod, container)) = found else { return Ok(Outcome::Pass) };
        let resource = &metric.name;
        let detail = format!("container {container} of pod {} has no request for {resource}", pod.name);
        let path = format!("items[{}].spec.containers[{container}].resources.requests.{resource}", pod.name);
        let (_, kind, name) = &hpa.target;
        Ok(fail(
            Finding::new(subject, detail)
                .cite(&hpa.pods, path, "absent", "a quantity")
                .fact("target", format!("{}/{name}", kind.to_ascii_lowercase()))
                .fact("container", container)
                .fact("resource", resource),
        ))
    });
}

fn gate(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_metric(evidence, results, |ctx, plan, (_, metric), subject| {
        let Some(asked) = Asked::of(metric) else {
            return Ok(not_applicable("it is no percentage of a request"));
        };
        if hpa::has_no_target(ctx, evidence, plan)? {
            return Ok(not_applicable("its HPA has no target that can be scaled"));
        }
        let new = |detail: String| Finding::new(subject.clone(), detail);
        let Some(finding) = requests::judge(ctx, evidence, plan, asked, &new)? else {
            return Ok(Outcome::Pass);
        };
        let percent = metric.target.average_utilization.unwrap_or_default();
        let value = format!("{percent} % of the {} request", asked.resource);
        Ok(fail(cite_own(
            ctx,
            evidence,
            plan,
            finding,
            (&metric.pointer, &value, "a request to take it of"),
        )?))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = plan::edits(findings);
    for finding in findings.iter().filter(|finding| finding.facts.contains_key("target")) {
        let fact = |name| finding.facts.get(name).map(String::as_str).unwrap_or_default();
        let (namespace, target, container, resource) = (
            word(&finding.subject.namespace),
            word(fact("target")),
            word(fact("container")),
            fact("resource"),
        );
        let amount = if resource == "memory" { "128Mi" } else { "100m" };
        steps.push(Step::run("workstation", format!("kubectl -n {namespace} top pod --containers")));
        steps.push(
            Step::run(
                "workstation",
                format!("kubectl -n {namespace} set resources {target} -c {container} --requests={resource}={amount}"),
            )
            .verify(format!(
                "kubectl -n {namespace} wait --for=condition=ScalingActive hpa/{} --timeout=5m",
                word(&finding.subject.name)
            )),
        );
    }
    if steps.is_empty() {
        let what = "give the container a request in the manifest that its pods are made from, or take the label \
                    that the selector of the HPA's target asks for off those pods";
        steps.push(Step::manual("the manifest", what));
    }
    vec![Remedy {
        title:
            "Give the containers a request; choose the amount from their usage, and keep it in their manifest"
                .to_owned(),
        audience: Audience::Production,
        cost: "The pods are replaced, and the scheduler sets the request aside on their nodes.".to_owned(),
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
        cpu, deployment, forbidden, hpa as autoscaler, offline, online, result, scale, seen, word as short,
        words,
    };

    fn judged(containers: Value) -> [Evidence; 2] {
        let objects = [deployment("web", containers), autoscaler("web", json!([cpu(70)]))];
        [offline(&objects), online(&objects)]
    }

    fn said(evidence: &Evidence) -> String {
        words(&result(&CHECK, evidence))
    }

    #[test]
    fn a_container_without_a_request_is_found_and_named() {
        let containers = json!([
            {"name": "app", "resources": {"requests": {"cpu": "100m"}}},
            {"name": "log-shipper", "resources": {"requests": {"memory": "1Gi"}}},
        ]);
        let [offline, online] = judged(containers);
        assert_eq!(said(&online), "container log-shipper of Deployment web has no cpu request");
        let open = said(&offline);
        assert!(
            open.contains("app.yaml:")
                && open.contains("container log-shipper of Deployment web has no cpu request"),
            "{open}"
        );
        assert!(open.contains("a LimitRange of namespace shop could supply it"), "{open}");
        let Outcome::Fail(finding) = result(&CHECK, &online) else { panic!() };
        let steps = remedies(&online, &[&finding]);
        assert!(steps[0].steps[0].manual.contains("resources: {requests: {cpu: 100m}}"), "{steps:?}");
        assert_eq!(finding.citations.len(), 2, "{finding:?}");
    }

    #[test]
    fn everything_that_becomes_a_request_counts() {
        for containers in [
            json!([{"name": "app", "resources": {"requests": {"cpu": "100m"}}}]),
            json!([{"name": "app", "resources": {"limits": {"cpu": "1"}}}]),
            json!([{"name": "a", "resources": {"requests": {"cpu": "0"}}}, {"name": "b", "resources": {"limits": {"cpu": 1}}}]),
        ] {
            for evidence in judged(containers.clone()) {
                assert_eq!(said(&evidence), "pass", "{containers}");
            }
        }
    }

    #[test]
    fn requests_of_zero_are_found() {
        let containers =
            json!([{"name": "app", "resources": {"requests": {"cpu": "0"}, "limits": {"cpu": "1"}}}]);
        for evidence in judged(containers) {
            assert_eq!(said(&evidence), "every cpu request of Deployment web is 0");
        }
    }

    #[test]
    fn sidecars_that_restart_count_and_other_init_containers_do_not() {
        let mut object = deployment("web", json!([{"name": "app", "resources": {"requests": {"cpu": "1"}}}]));
        object["spec"]["template"]["spec"]["initContainers"] = json!([{"name": "setup"}]);
        let objects = [object.clone(), autoscaler("web", json!([cpu(70)]))];
        assert_eq!(said(&online(&objects)), "pass");
        object["spec"]["template"]["spec"]["initContainers"][0]["restartPolicy"] = json!("Always");
        let objects = [object, autoscaler("web", json!([cpu(70)]))];
        assert_eq!(said(&online(&objects)), "container setup of Deployment web has no cpu request");
    }

    #[test]
    fn requests_of_the_pod_count_from_1_34() {
        let mut object = deployment("web", json!([{"name": "a"}, {"name": "b"}]));
        object["spec"]["template"]["spec"]["resources"] = json!({"requests": {"cpu": "1"}});
        let objects = [object.clone(), autoscaler("web", json!([cpu(70)]))];
        let with = |minor| {
            let mut evidence = online(&objects);
            evidence.gate.target_minor = minor;
            evidence
        };
        assert_eq!(said(&with(None)), "pass");
        assert_eq!(said(&with(Some(34))), "pass");
        assert_eq!(said(&with(Some(33))), "container a of Deployment web has no cpu request");
        assert!(said(&offline(&objects)).contains("--target-version"), "the version decides");
        // Only memory on the pod: one container with cpu is enough for all.
        object["spec"]["template"]["spec"]["resources"] = json!({"requests": {"memory": "1Gi"}});
        let of = |object: &Value| online(&[object.clone(), autoscaler("web", json!([cpu(70)]))]);
        assert_eq!(
            said(&of(&object)),
            "the pod of Deployment web as a whole has requests and no cpu request"
        );
        let open = said(&offline(&[object.clone(), autoscaler("web", json!([cpu(70)]))]));
        assert!(open.contains("LimitRange"), "it is lacking in every version: {open}");
        object["spec"]["template"]["spec"]["containers"][1]["resources"] = json!({"requests": {"cpu": "1"}});
        assert_eq!(said(&of(&object)), "pass");
    }

    #[test]
    fn limit_ranges_supply_requests_in_their_namespace() {
        let range = |namespace: &str, field: &str| {
            json!({
                "apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "defaults", "namespace": namespace},
                "spec": {"limits": [{"type": "Container", field: {"cpu": "100m"}}]},
            })
        };
        let objects =
            |range| [deployment("web", json!([{"name": "app"}])), autoscaler("web", json!([cpu(70)])), range];
        for field in ["default", "defaultRequest", "min", "max"] {
            assert_eq!(said(&offline(&objects(range("shop", field)))), "pass", "{field}");
        }
        assert_eq!(short(&result(&CHECK, &online(&objects(range("other", "default"))))), "fail");
        let mut evidence = online(&objects(range("other", "default")));
        let namespace = evidence.gate.namespaces.get_mut("shop").expect("the namespace");
        namespace.default_requests = seen(Need::LimitRanges, vec!["cpu".to_owned()]);
        assert_eq!(said(&evidence), "pass");
        let namespace = evidence.gate.namespaces.get_mut("shop").expect("the namespace");
        namespace.default_requests = forbidden(Need::LimitRanges);
        assert_eq!(short(&result(&CHECK, &evidence)), "open");
    }

    #[test]
    fn other_metrics_need_no_request() {
        for metrics in [
            json!([{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}]),
            json!([{"type": "External", "external": {"metric": {"name": "q"}, "target": {"type": "Value", "value": "1"}}}]),
        ] {
            let objects = [deployment("web", json!([{"name": "app"}])), autoscaler("web", metrics)];
            assert_eq!(short(&result(&CHECK, &online(&objects))), "n/a");
        }
    }

    #[test]
    fn a_container_resource_asks_one_container() {
        let metric = |container: &str| {
            json!([{"type": "ContainerResource", "containerResource": {
                "name": "cpu", "container": container, "target": {"type": "Utilization", "averageUtilization": 60},
            }}])
        };
        let containers = json!([{"name": "app", "resources": {"requests": {"cpu": "1"}}}, {"name": "logs"}]);
        let of = |container: &str| {
            said(&online(&[deployment("web", containers.clone()), autoscaler("web", metric(container))]))
        };
        assert_eq!(of("app"), "pass");
        assert_eq!(of("logs"), "container logs of Deployment web has no cpu request");
    }

    #[test]
    fn pods_of_others_under_the_same_selector_are_asked_too() {
        let mut job = deployment("web", json!([{"name": "report"}]));
        job["kind"] = json!("Job");
        job["apiVersion"] = json!("batch/v1");
        job["metadata"]["name"] = json!("report");
        let app = json!([{"name": "app", "resources": {"requests": {"cpu": "1"}}}]);
        let objects = [deployment("web", app), autoscaler("web", json!([cpu(70)])), job.clone()];
        assert_eq!(
            said(&online(&objects)),
            "container report of Job report has no cpu request, and the selector of Deployment web matches its pods too"
        );
        assert_eq!(short(&result(&CHECK, &offline(&objects))), "open");
        let mut elsewhere = objects;
        elsewhere[2]["metadata"]["namespace"] = json!("other");
        assert_eq!(said(&online(&elsewhere)), "pass");
    }

    fn pod(name: &str, owner: &str, requests: &[&str]) -> HpaPod {
        let requests = requests.iter().map(|name| ((*name).to_owned(), "1".to_owned())).collect();
        HpaPod {
            name: name.to_owned(),
            node: None,
            phase: "Running".to_owned(),
            ready: true,
            created: jiff::Timestamp::UNIX_EPOCH,
            labels: [("pod-template-hash".to_owned(), "abc".to_owned())].into(),
            owner: Some(("ReplicaSet".to_owned(), owner.to_owned())),
            containers: vec![PodContainer { name: "app".to_owned(), requests, ..PodContainer::default() }],
            pod_requests: [].into(),
        }
    }

    #[test]
    fn pods_of_the_cluster_count_where_the_deploy_does_not_replace_them() {
        let app = json!([{"name": "app", "resources": {"requests": {"cpu": "1"}}}]);
        let mut evidence = online(&[deployment("web", app), autoscaler("web", json!([cpu(70)]))]);
        let mut with = |pods: Vec<HpaPod>| {
            evidence.gate.plans[0].pods = seen(Need::HpaPods, pods);
            said(&evidence)
        };
        assert_eq!(with(vec![pod("web-1", "web-abc", &[])]), "pass", "its own pods are replaced");
        assert_eq!(
            with(vec![pod("web-1", "web-abc", &["cpu"]), pod("batch-1", "batch-abc", &["memory"])]),
            "container app of pod batch-1 has no cpu request, and the selector of Deployment web matches that pod"
        );
        evidence.gate.plans[0].pods = forbidden(Need::HpaPods);
        assert_eq!(short(&result(&CHECK, &evidence)), "open");
    }

    #[test]
    fn a_target_of_the_cluster_is_judged_by_its_pods() {
        let mut evidence = online(&[autoscaler("web", json!([cpu(70)]))]);
        assert_eq!(short(&result(&CHECK, &evidence)), "n/a", "there is no target at all");
        evidence.gate.plans[0].scale = scale("app=web");
        evidence.gate.plans[0].pods = seen(Need::HpaPods, vec![pod("web-1", "web-abc", &["cpu"])]);
        assert_eq!(said(&evidence), "pass");
        evidence.gate.plans[0].pods = seen(Need::HpaPods, vec![pod("web-1", "web-abc", &[])]);
        assert_eq!(short(&result(&CHECK, &evidence)), "fail");
        evidence.gate.plans[0].pods = seen(Need::HpaPods, Vec::new());
        assert_eq!(short(&result(&CHECK, &evidence)), "open", "its template was not seen");
        let open = offline(&[autoscaler("web", json!([cpu(70)]))]);
        assert_eq!(
            said(&open),
            "open: not looked at: Deployment web is in none of the manifests, and the cluster was not asked"
        );
    }
}
