//! # Two autoscalers scale the same pods
//!
//! ## What it looks at
//!
//! Every other HorizontalPodAutoscaler and ScaledObject of the namespace, among the manifests and in the
//! cluster: whether it has the same target, and whether the selector of its target matches pods that the
//! selector of this HPA's target matches too. One in the cluster of the same name as one in the manifests is
//! replaced, and no rival.
//!
//! ## Why it matters
//!
//! The controller refuses to choose: *pods by selector app=web are controlled by multiple HPAs*, and it reads
//! no metric for either of them. KEDA makes an HPA of every ScaledObject, so the two fight in the same way.
//!
//! ## How to fix it
//!
//! One autoscaler a target: write all metrics into one HPA, or all triggers into one ScaledObject. Where
//! selectors overlap, give each workload a label of its own; the selector of a Deployment cannot be changed,
//! so it is made anew.
//!
//! ## When it is wrong
//!
//! While there is no pod yet, the controller does not notice. A ScaledObject that takes over an HPA by its
//! name is no rival of it.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-selector-ambiguous` (AH-H09), `keda-duplicate-hpa` (AH-G05),
//!   `hpa-name` (AH-K12)
//! - Kubernetes `pkg/controller/podautoscaler/horizontal.go`, `validateAndParseSelector`

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Need};
use crate::hpa;
use crate::plan::cite_own;
use crate::plan::rivals::{self, Rivals};

pub(crate) const CHECK: Check = Check {
    code: "MP911",
    name: "hpa-target-shared",
    title: "Two autoscalers scale the same pods",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: hpa::GATE,
    needs: &[Need::Hpas, Need::HpaTarget, Need::HpaPods, Need::Kinds],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: hpa::GATE, unless: &[] },
    source: include_str!("hpa_target_shared.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    let rivals = Rivals::of(evidence);
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        let new = |detail: String| Finding::new(subject.clone(), detail);
        let target = rivals::of_target(ctx, evidence, plan, &rivals, &new);
        if let Ok(Some(finding)) = target {
            let name = plan.spec.target.name.as_str();
            let cited = ("/spec/scaleTargetRef/name", name, "a target of its own");
            return Ok(fail(cite_own(ctx, evidence, plan, finding, cited)?));
        }
        if hpa::has_no_target(ctx, evidence, plan)? {
            target?;
            return Ok(not_applicable("it has no target that can be scaled"));
        }
        let pods = rivals::of_pods(ctx, evidence, plan, &rivals, &new);
        if let Ok(Some(finding)) = pods {
            return Ok(fail(finding));
        }
        target.and(pods)?;
        Ok(Outcome::Pass)
    });
}

fn remedies(_: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    vec![Remedy {
        title: "Leave one autoscaler for each target".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![Step::manual(
            "the manifest",
            "write the metrics of all of them into spec.metrics of one HPA, or as triggers into one ScaledObject, and \
             delete the others; where their targets differ and share pods, give each workload a label of its own in \
             spec.selector and in its template",
        )],
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::{Hpa, HpaStatus, Obs, Why};
    use crate::plan::testing::{
        cpu, deployment, forbidden, hpa as autoscaler, offline, online, results, scale, seen, word, words,
    };

    fn named(name: &str, target: &str) -> Value {
        let mut object = autoscaler(target, json!([cpu(70)]));
        object["metadata"]["name"] = json!(name);
        object
    }

    fn of(evidence: &Evidence, name: &str) -> String {
        words(&results(&CHECK, evidence)[&format!("shop/{name}")])
    }

    #[test]
    fn two_autoscalers_of_one_target_are_found() {
        let web = deployment("web", json!([]));
        let objects =
            [web.clone(), named("web-cpu", "web"), named("web-memory", "web"), named("other", "api")];
        let evidence = offline(&objects);
        assert_eq!(
            of(&evidence, "web-cpu"),
            "HorizontalPodAutoscaler web-memory has the same target, Deployment web"
        );
        assert_eq!(
            of(&evidence, "web-memory"),
            "HorizontalPodAutoscaler web-cpu has the same target, Deployment web"
        );
        assert_eq!(of(&evidence, "other"), "pass");
        let twice = offline(&[web, named("web", "web"), named("web", "web")]);
        assert_eq!(of(&twice, "web"), "pass", "the last of one name is what is applied");
    }

    #[test]
    fn the_same_names_in_two_namespaces_do_not_meet() {
        let mut elsewhere = [deployment("web", json!([])), named("web-b", "web")];
        for object in &mut elsewhere {
            object["metadata"]["namespace"] = json!("other");
        }
        let here = [deployment("web", json!([])), named("web", "web")];
        assert_eq!(of(&offline(&[here, elsewhere].concat()), "web"), "pass");
    }

    #[test]
    fn a_scaled_object_makes_a_second_one() {
        let scaled = |advanced: Value| {
            json!({
                "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
                "metadata": {"name": "web", "namespace": "shop"},
                "spec": {"scaleTargetRef": {"name": "web"}, "advanced": advanced},
            })
        };
        let with = |advanced| offline(&[deployment("web", json!([])), named("web", "web"), scaled(advanced)]);
        assert_eq!(
            of(&with(json!({})), "web"),
            "ScaledObject web has the same target, Deployment web, and KEDA makes an HorizontalPodAutoscaler \
             keda-hpa-web of it"
        );
        let takes_over = json!({"horizontalPodAutoscalerConfig": {"name": "web"}});
        assert_eq!(of(&with(takes_over), "web"), "pass");
    }

    #[test]
    fn overlapping_selectors_are_found() {
        let mut api = deployment("api", json!([]));
        api["spec"]["template"]["metadata"]["labels"] = json!({"app": "api", "tier": "front"});
        let mut web = deployment("web", json!([]));
        web["spec"]["selector"] = json!({"matchLabels": {"tier": "front"}});
        web["spec"]["template"]["metadata"]["labels"] = json!({"tier": "front"});
        let evidence = offline(&[web, api.clone(), named("web", "web"), named("api", "api")]);
        for name in ["web", "api"] {
            assert!(of(&evidence, name).contains("both match the pods of Deployment api"), "{name}");
        }
        let apart = offline(&[deployment("web", json!([])), api, named("web", "web"), named("api", "api")]);
        assert_eq!((of(&apart, "web"), of(&apart, "api")), ("pass".to_owned(), "pass".to_owned()));
    }

    fn live(name: &str, target: &str, selector: &str) -> Hpa {
        Hpa {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            created: jiff::Timestamp::UNIX_EPOCH,
            target: ("apps/v1".to_owned(), "Deployment".to_owned(), target.to_owned()),
            metrics: Vec::new(),
            spec: crate::plan::HpaSpec::read("autoscaling/v2", &json!({})),
            filled: Vec::new(),
            status: HpaStatus::default(),
            conditions: Vec::new(),
            scale: scale(selector),
            pods: Obs::unseen(Need::HpaPods, [], Why::NotRecorded),
        }
    }

    #[test]
    fn those_of_the_cluster_count_unless_they_are_replaced() {
        let mut evidence = online(&[deployment("web", json!([])), named("web", "web")]);
        let mut with = |hpas: Obs<Vec<Hpa>>| {
            evidence.gate.namespaces.get_mut("shop").expect("the namespace").hpas = hpas;
            results(&CHECK, &evidence).remove("shop/web").expect("a result")
        };
        let mut seen = |hpas| with(seen(Need::Hpas, hpas));
        assert_eq!(word(&seen(vec![live("web", "web", "app=web")])), "pass", "its own former self");
        assert_eq!(
            words(&seen(vec![live("old", "web", "app=web")])),
            "HorizontalPodAutoscaler old of the cluster has the same target, Deployment web"
        );
        assert_eq!(word(&seen(vec![live("api", "api", "app=api")])), "pass");
        assert_eq!(word(&seen(vec![live("api", "api", "app in (api,web)")])), "fail");
        assert_eq!(word(&with(forbidden(Need::Hpas))), "open");
    }
}
