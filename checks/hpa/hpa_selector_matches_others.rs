//! # The selector of the HPA's target matches pods of others
//!
//! ## What it looks at
//!
//! The label selector of the target against the pod templates of all other workloads, Jobs and CronJobs of
//! the namespace in the manifests, and the pods of the cluster that it matches against their owners.
//!
//! ## Why it matters
//!
//! The controller goes by labels alone. It counts the usage and the requests of every pod that the selector
//! matches, a finished one as well, so the average is that of a mixture and scaling follows somebody else's
//! load. Where such a pod lacks a request, the metric cannot be read at all; that is `hpa-request-missing`.
//!
//! ## How to fix it
//!
//! Take the shared label off the other template, or give the target a selector with a label of its own. The
//! selector of a Deployment cannot be changed, so the Deployment is made anew.
//!
//! ## When it is wrong
//!
//! Workloads that share labels on purpose, such as a canary beside its stable version, are meant to be
//! counted together.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-selector-matches-foreign-pods` (AH-H10), `hpa-completed-pods-counted` (AH-H11)
//! - Kubernetes `pkg/controller/podautoscaler/replica_calculator.go`

use std::collections::BTreeSet;

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Need};
use crate::hpa;
use crate::plan::{self, selection};

pub(crate) const CHECK: Check = Check {
    code: "MP912",
    name: "hpa-selector-matches-others",
    title: "The selector of the HPA's target matches pods of others",
    hop: Hop::Hpa,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: hpa::GATE,
    needs: &[Need::HpaTarget, Need::HpaPods],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_selector_matches_others.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    // Two autoscalers over the same pods are another, worse fault.
    let scaled: BTreeSet<_> = hpa::applied(evidence)
        .filter_map(|it| Some((it.namespace.as_str(), std::ptr::from_ref(evidence.gate.target_of(it)?))))
        .collect();
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        if hpa::has_no_target(ctx, evidence, plan)? {
            return Ok(not_applicable("it has no target that can be scaled"));
        }
        let Some(selector) = selection::selector(ctx, evidence, plan)? else {
            return Ok(not_applicable("neither manifest nor cluster shows the selector of its target"));
        };
        let target = format!("{} {}", plan.spec.target.kind, plan.spec.target.name);
        let scaled = |other: &plan::Workload<'_>| {
            scaled.contains(&(plan.namespace.as_str(), std::ptr::from_ref(other.document)))
        };
        let found = selection::others(evidence, plan, &selector).find(|other| !scaled(other));
        if let Some(other) = found {
            let mut keys = selector.keys().into_iter();
            let key = keys.find(|key| other.template.labels.contains_key(*key)).unwrap_or_default();
            let value = other.template.labels.get(key).map_or("", String::as_str);
            let pointer = format!("{}/metadata/labels/{}", other.pointer, plan::escaped(key));
            let detail =
                format!("the selector {selector} of {target} matches the pods of {} as well", other.words());
            let finding = Finding::new(subject, detail).cite_manifest(
                other.source,
                &pointer,
                format!("{key}: {value}"),
                "labels that the selector does not match",
            );
            return Ok(fail(finding));
        }
        if evidence.gate.offline {
            return Ok(Outcome::Pass);
        }
        let pods = ctx.need(&plan.pods)?;
        let Some(pod) = selection::other_pods(evidence, plan, pods).next() else { return Ok(Outcome::Pass) };
        let owner = match &pod.owner {
            Some((kind, name)) => format!("belongs to {kind} {name}"),
            None => "belongs to nobody".to_owned(),
        };
        let detail =
            format!("the selector {selector} of {target} matches pod {} too, which {owner}", pod.name);
        let path = format!("items[{}].metadata.ownerReferences", pod.name);
        Ok(fail(Finding::new(subject, detail).cite(&plan.pods, path, owner, "an owner that is the target")))
    });
}

fn remedies(_: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    vec![Remedy {
        title: "Keep the labels of the others apart from the selector".to_owned(),
        audience: Audience::Production,
        cost:
            "Where it is the Deployment that changes: its selector is fixed, so it is deleted and made anew."
                .to_owned(),
        leaves: Vec::new(),
        steps: vec![Step::manual(
            "the manifest",
            "take the label that the selector asks for off the other pod template, or add a label that only the \
             target has to its selector and its template",
        )],
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::testing::{cpu, deployment, hpa as autoscaler, offline, result, results, word, words};

    fn cron_job(labels: &Value) -> Value {
        json!({
            "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "report", "namespace": "shop"},
            "spec": {"jobTemplate": {"spec": {"template": {
                "metadata": {"labels": labels}, "spec": {"containers": [{"name": "report"}]},
            }}}},
        })
    }

    #[test]
    fn the_pods_of_a_cron_job_are_found() {
        let with = |labels: Value| {
            let web = deployment("web", json!([{"name": "web"}]));
            offline(&[web, autoscaler("web", json!([cpu(70)])), cron_job(&labels)])
        };
        let evidence = with(json!({"app": "web", "part": "report"}));
        assert_eq!(
            words(&result(&CHECK, &evidence)),
            "the selector app=web of Deployment web matches the pods of CronJob report as well"
        );
        let Outcome::Fail(finding) = result(&CHECK, &evidence) else { panic!() };
        assert_eq!(finding.citations[0].path, "spec.jobTemplate.spec.template.metadata.labels.app");
        assert_eq!(word(&result(&CHECK, &with(json!({"app": "report"})))), "pass");
    }

    #[test]
    fn a_workload_with_an_autoscaler_of_its_own_is_another_fault() {
        let mut api = deployment("api", json!([{"name": "api"}]));
        api["spec"]["template"]["metadata"]["labels"] = json!({"app": "web"});
        api["spec"]["selector"] = json!({"matchLabels": {"app": "web"}});
        let web = deployment("web", json!([{"name": "web"}]));
        let hpas = [autoscaler("web", json!([cpu(70)])), autoscaler("api", json!([cpu(70)]))];
        let evidence = offline(&[vec![web, api], hpas.to_vec()].concat());
        assert!(results(&CHECK, &evidence).values().all(|outcome| word(outcome) == "pass"));
    }
}
