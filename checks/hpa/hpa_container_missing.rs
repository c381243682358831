//! # The container that the HPA's metric names does not exist
//!
//! ## What it looks at
//!
//! For every metric of the type `ContainerResource`: whether the pods of the target have a container of that
//! name, among their containers or the init containers that restart. Pods of others that the same selector
//! matches need one as well.
//!
//! ## Why it matters
//!
//! The API accepts any name. The controller then says *did not receive metrics for targeted pods (pods might
//! be unready)*, which sounds like something that passes. Where only some of the pods lack the container, it
//! says *container app not found in Pod web-1* from Kubernetes 1.35 on.
//!
//! ## How to fix it
//!
//! Write the name as it stands in the pod template.
//!
//! ## When it is wrong
//!
//! A container that a webhook adds is in no manifest. The names that well-known meshes give are left open;
//! others pass when the pods of the cluster have the container and their template has not.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-containerresource-container-missing` (AH-I06)
//! - Kubernetes `pkg/controller/podautoscaler/replica_calculator.go`

use crate::Context;
use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Evidence, HpaPod, Need, Plan, PodTemplate, Why};
use crate::hpa;
use crate::plan::nearest::is_near;
use crate::plan::{self, MetricRef, cite_own, minor, own, selection};

pub(crate) const CHECK: Check = Check {
    code: "MP909",
    name: "hpa-container-missing",
    title: "The container that the HPA's metric names does not exist",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: hpa::GATE,
    needs: &[Need::Version, Need::Hpas, Need::HpaTarget, Need::HpaPods, Need::Template],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: hpa::GATE, unless: &[] },
    source: include_str!("hpa_container_missing.rs"),
    run,
    remedies,
};

/// Containers that webhooks add under these names.
const INJECTED: &[&str] =
    &["istio-proxy", "linkerd-proxy", "daprd", "vault-agent", "otc-container", "envoy", "consul-dataplane"];

/// From this version on one pod without the container is enough to fail.
const EACH_POD: u32 = 35;

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_metric(evidence, results, |ctx, plan, (_, metric), subject| {
        let MetricRef::ContainerResource { container, .. } = &metric.source else {
            return Ok(not_applicable("it is of no container"));
        };
        if hpa::has_no_target(ctx, evidence, plan)? {
            return Ok(not_applicable("its HPA has no target that can be scaled"));
        }
        let pointer = format!("{}/containerResource/container", metric.pointer);
        let cited = (pointer.as_str(), container.as_str(), "the name of a container");
        let mut finding = match judge(ctx, evidence, plan, container)? {
            None => return Ok(Outcome::Pass),
            Some(finding) => {
                let new = Finding::new(subject, finding.detail);
                let mut new = cite_own(ctx, evidence, plan, new, cited)?;
                new.citations.extend(finding.citations);
                new.facts.extend(finding.facts);
                new
            }
        };
        if let (Some(document), Some(near)) = (own(evidence, plan), finding.facts.get("near").cloned()) {
            finding = plan::edit(finding, document, &pointer, &format!("container: {near}"));
            finding = finding.change(document, pointer.as_str(), Some(near.into()));
        }
        Ok(fail(finding))
    });
}

/// A finding without its subject, where a container is not there.
fn judge(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
    container: &str,
) -> Result<Option<Finding>, Undecided> {
    let subject = plan::subject(plan);
    let target = format!("{} {}", plan.spec.target.kind, plan.spec.target.name);
    let new = |detail: String| Finding::new(subject.clone(), detail);
    let absent = |names: &[String]| {
        format!("the pods of {target} have no container {container}; they have {}", names.join(", "))
    };
    let Some(document) = evidence.gate.target_of(plan) else {
        if evidence.gate.offline {
            let because = format!("{target} is in none of the manifests, and the cluster was not asked");
            return Err(Undecided { need: Need::Template, why: Why::NotAsked(because) });
        }
        let pods = ctx.need(&plan.pods)?;
        let names = match ctx.need(&plan.template)? {
            _ if pods.iter().any(|pod| has(pod, container)) => return Ok(None),
            Some(template) if template.container(container).is_some() => return Ok(None),
            Some(template) => names(template),
            None if pods.is_empty() => return Err(deferred(&target)),
            None => Vec::new(),
        };
        if INJECTED.contains(&container) && pods.is_empty() {
            return Err(deferred(&target));
        }
        let path = "spec.template.spec.containers[].name";
        let finding = new(absent(&names)).cite(&plan.template, path, list(&names), container);
        return Ok(Some(near(finding, &names, container)));
    };
    let Some(workload) = evidence.gate.workload(document) else { return Err(deferred(&target)) };
    if workload.template.container(container).is_none() {
        // A webhook adds what the pods have and the template in the cluster has not.
        if !evidence.gate.offline && ctx.need(&plan.pods)?.iter().any(|pod| has(pod, container)) {
            let before = ctx.need(&plan.template)?;
            if before.as_ref().is_some_and(|before| before.container(container).is_none()) {
                return Ok(None);
            }
        }
        if INJECTED.contains(&container) {
            return Err(deferred(&target));
        }
        let names = names(&workload.template);
        let pointer = format!("{}/spec/containers", workload.pointer);
        let finding = new(absent(&names)).cite_manifest(workload.source, &pointer, list(&names), container);
        return Ok(Some(near(finding, &names, container)));
    }
    let Some(selector) = selection::selector(ctx, evidence, plan)? else { return Ok(None) };
    for other in selection::others(evidence, plan, &selector) {
        if other.template.container(container).is_none() && minor(ctx, evidence)? >= EACH_POD {
            let names = names(&other.template);
            let detail = format!(
                "the pods of {} have no container {container}, and the selector of {target} matches them too",
                other.words(),
            );
            let pointer = format!("{}/spec/containers", other.pointer);
            return Ok(Some(new(detail).cite_manifest(other.source, &pointer, list(&names), container)));
        }
    }
    if evidence.gate.offline {
        return Ok(None);
    }
    let pods = ctx.need(&plan.pods)?;
    let Some(pod) = selection::other_pods(evidence, plan, pods).find(|pod| !has(pod, container)) else {
        return Ok(None);
    };
    if minor(ctx, evidence)? < EACH_POD {
        return Ok(None);
    }
    let detail =
        format!("pod {} has no container {container}, and the selector of {target} matches it too", pod.name);
    let path = format!("items[{}].spec.containers[].name", pod.name);
    Ok(Some(new(detail).cite(&plan.pods, path, format!("no {container}"), container)))
}

fn has(pod: &HpaPod, container: &str) -> bool {
    pod.containers.iter().any(|it| it.name == container)
}

fn names(template: &PodTemplate) -> Vec<String> {
    template.containers.iter().map(|container| container.name.clone()).collect()
}

fn list(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

fn near(finding: Finding, names: &[String], container: &str) -> Finding {
    let near = names.iter().find(|name| is_near(name, container));
    match near.or_else(|| names.first().filter(|_| names.len() == 1)) {
        Some(near) => finding.fact("near", near),
        None => finding,
    }
}

fn deferred(target: &str) -> Undecided {
    let what = format!("the containers in the pods that {target} makes");
    Undecided { need: Need::Template, why: Why::Deferred(what) }
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = plan::edits(findings);
    if steps.is_empty() {
        let what = "write a container of the pod template at spec.metrics[].containerResource.container";
        steps.push(Step::manual("the manifest", what));
    }
    vec![Remedy {
        title: "Name a container that the pods have".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps,
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::PodContainer;
    use crate::plan::testing::{
        cpu, deployment, hpa as autoscaler, offline, online, result, seen, word, words,
    };

    fn metric(container: &str) -> Value {
        json!([{"type": "ContainerResource", "containerResource": {
            "name": "cpu", "container": container, "target": {"type": "Utilization", "averageUtilization": 60},
        }}])
    }

    fn objects(container: &str) -> Vec<Value> {
        let mut web = deployment("web", json!([{"name": "web"}, {"name": "logs"}]));
        web["spec"]["template"]["spec"]["initContainers"] =
            json!([{"name": "setup"}, {"name": "proxy", "restartPolicy": "Always"}]);
        vec![web, autoscaler("web", metric(container))]
    }

    #[test]
    fn the_container_has_to_be_in_the_template() {
        for (container, expected) in [
            ("web", "pass"),
            ("proxy", "pass"),
            ("wbe", "the pods of Deployment web have no container wbe; they have web, logs, proxy"),
            ("setup", "the pods of Deployment web have no container setup; they have web, logs, proxy"),
        ] {
            assert_eq!(words(&result(&CHECK, &offline(&objects(container)))), expected);
        }
        let Outcome::Fail(finding) = result(&CHECK, &offline(&objects("wbe"))) else { panic!() };
        assert_eq!(finding.facts["yaml"], "container: web");
        assert_eq!(word(&result(&CHECK, &offline(&objects("istio-proxy")))), "open");
        let other = [deployment("web", json!([])), autoscaler("web", json!([cpu(70)]))];
        assert_eq!(word(&result(&CHECK, &offline(&other))), "n/a");
    }

    #[test]
    fn what_a_webhook_adds_passes_when_the_pods_have_it() {
        let mut evidence = online(&objects("agent"));
        assert_eq!(word(&result(&CHECK, &evidence)), "fail");
        let agent = PodContainer { name: "agent".to_owned(), ..PodContainer::default() };
        let pod = HpaPod {
            name: "web-1".to_owned(),
            node: None,
            phase: "Running".to_owned(),
            ready: true,
            created: jiff::Timestamp::UNIX_EPOCH,
            labels: [("pod-template-hash".to_owned(), "abc".to_owned())].into(),
            owner: Some(("ReplicaSet".to_owned(), "web-abc".to_owned())),
            containers: vec![agent.clone()],
            pod_requests: [].into(),
        };
        evidence.gate.plans[0].pods = seen(Need::HpaPods, vec![pod]);
        evidence.gate.plans[0].template = seen(Need::Template, Some(PodTemplate::default()));
        assert_eq!(word(&result(&CHECK, &evidence)), "pass");
        let renamed = PodTemplate { containers: vec![agent], ..PodTemplate::default() };
        evidence.gate.plans[0].template = seen(Need::Template, Some(renamed));
        assert_eq!(word(&result(&CHECK, &evidence)), "fail", "the deploy takes the container away");
    }

    #[test]
    fn pods_of_others_need_it_too_from_1_35() {
        let mut other = deployment("other", json!([{"name": "other"}]));
        other["spec"]["template"]["metadata"]["labels"] = json!({"app": "web"});
        let objects = [objects("web"), vec![other]].concat();
        let mut evidence = online(&objects);
        assert_eq!(word(&result(&CHECK, &evidence)), "fail");
        evidence.gate.target_minor = Some(34);
        assert_eq!(word(&result(&CHECK, &evidence)), "pass");
        assert_eq!(word(&result(&CHECK, &offline(&objects))), "open", "the version decides");
    }
}
