//! # The HPA never scales
//!
//! ## What it looks at
//!
//! Bounds that are equal, a way that `behavior` switches off, a percentage that the limits of the containers keep out
//! of reach, and a percentage of memory with a JVM, which does not give memory back.
//!
//! ## Why it matters
//!
//! Everything looks healthy, the metrics are read, and the number of replicas stays where it is: under load nothing is
//! added, or nothing is ever removed.
//!
//! ## How to fix it
//!
//! Write what is given for the field; or remove the autoscaler where a fixed number is what is wanted.
//!
//! ## When it is wrong
//!
//! Equal bounds may be meant for a time. A container is throttled at its limit of CPU, so its usage does not exceed
//! it but for moments. `scaleDown` alone that is switched off is taken for what was wanted. That a program is a JVM is
//! guessed from its arguments and environment, and some collectors do give memory back.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-selectpolicy-disabled` (AH-J10), `hpa-min-equals-max` (AH-J11),
//!   `hpa-target-unreachable` (AH-I19), `hpa-memory-utilisation-above-baseline` (AH-I18)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
};
use crate::evidence::{Evidence, Mode, Plan, PodContainer};
use crate::hpa::{self, gate};
use crate::plan::{self, MetricRef, MetricSpec, Quantity, Workload};

pub(crate) const CHECK: Check = Check {
    code: "MP915",
    name: "hpa-never-scales",
    title: "The HPA never scales, or in one direction only",
    hop: Hop::Hpa,
    severity: Severity::Warning,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_never_scales.rs"),
    run,
    remedies,
};

/// A reason: the pointer of the field, what it holds, what is to be written, and a sentence.
struct Reason {
    pointer: String,
    value: String,
    expected: String,
    what: String,
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |_, plan, subject| {
        let mut reasons = bounds(plan);
        reasons.extend(behaviour(evidence, plan));
        if let Some(workload) = evidence.gate.workload_of(plan) {
            reasons.extend(plan.spec.metrics.iter().filter_map(|metric| unreachable(metric, &workload)));
            reasons.extend(plan.spec.metrics.iter().filter_map(|metric| heap(metric, &workload)));
        }
        let Some(first) = reasons.first() else { return Ok(Outcome::Pass) };
        let mut finding = Finding::new(subject, first.what.clone());
        for Reason { pointer, value, expected, .. } in &reasons {
            finding = gate::cite(finding, evidence, plan, pointer, value, expected);
        }
        if let (Some(document), [Reason { expected, pointer, .. }]) = (plan::own(evidence, plan), &*reasons)
            && expected == "Max"
        {
            finding = finding.change(document, pointer.as_str(), Some("Max".into()));
        }
        Ok(fail(finding))
    });
}

fn bounds(plan: &Plan) -> Vec<Reason> {
    let (least, most) = (plan.spec.min, plan.spec.max);
    if most != Some(least) {
        return Vec::new();
    }
    vec![Reason {
        pointer: "/spec/maxReplicas".to_owned(),
        value: least.to_string(),
        expected: format!("more than {least}"),
        what: format!("minReplicas and maxReplicas are both {least}"),
    }]
}

/// A way that is switched off. To scale up is what an autoscaler is for; whoever switches off the way down alone
/// wants to keep what was added.
fn behaviour(evidence: &Evidence, plan: &Plan) -> Option<Reason> {
    let document = plan::own(evidence, plan)?;
    let is_off = |way: &str| document.at(&format!("/spec/behavior/{way}/selectPolicy")) == "Disabled";
    if !is_off("scaleUp") {
        return None;
    }
    let what = if is_off("scaleDown") { "both ways are switched off" } else { "the way up is switched off" };
    Some(Reason {
        pointer: "/spec/behavior/scaleUp/selectPolicy".to_owned(),
        value: "Disabled".to_owned(),
        expected: "Max".to_owned(),
        what: what.to_owned(),
    })
}

/// A percentage of the request that the limits do not let the containers reach.
fn unreachable(metric: &MetricSpec, workload: &Workload<'_>) -> Option<Reason> {
    let percent = metric.target.average_utilization?;
    let template = &workload.template;
    let (name, field, containers): (_, _, Vec<&PodContainer>) = match &metric.source {
        MetricRef::Resource { name } if !template.has_pod_requests() => {
            (name, "resource", template.containers.iter().collect())
        }
        MetricRef::ContainerResource { name, container } => {
            (name, "containerResource", vec![template.container(container)?])
        }
        _ => return None,
    };
    let mut requested = Quantity::default();
    let mut limit = Quantity::default();
    for container in containers {
        requested = requested.plus(Quantity::read(container.request(name)?)?)?;
        limit = limit.plus(Quantity::read(container.limits.get(name)?)?)?;
    }
    if requested.is_zero() || requested.times(percent)? < limit.times(100)? {
        return None;
    }
    Some(Reason {
        pointer: if metric.pointer.starts_with("/spec/metrics/") {
            format!("{}/{field}/target/averageUtilization", metric.pointer)
        } else {
            metric.pointer.clone()
        },
        value: percent.to_string(),
        expected: format!("less than the limit of {limit} allows with a request of {requested}"),
        what: format!("{percent} % of the {name} request ({requested}) is no less than the limit ({limit})"),
    })
}

/// A percentage of memory with a JVM: its heap does not shrink when replicas are added.
fn heap(metric: &MetricSpec, workload: &Workload<'_>) -> Option<Reason> {
    let percent = metric.target.average_utilization?;
    let field = match &metric.source {
        MetricRef::Resource { name } if name == "memory" => "resource",
        MetricRef::ContainerResource { name, .. } if name == "memory" => "containerResource",
        _ => return None,
    };
    let containers = workload.source.at(workload.pointer)["spec"]["containers"].to_string();
    if !["-Xm", "JAVA_TOOL_OPTIONS", "JAVA_OPTS", "\"java\""].iter().any(|sign| containers.contains(sign)) {
        return None;
    }
    Some(Reason {
        pointer: format!("{}/{field}/target/averageUtilization", metric.pointer),
        value: percent.to_string(),
        expected: "a metric of cpu, or one that falls when replicas are added".to_owned(),
        what: format!(
            "a JVM keeps its memory, so {percent} % of the request stays exceeded once it is, and the number of \
             replicas stays at its maximum"
        ),
    })
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let citations = findings.iter().flat_map(|finding| &finding.citations);
    let steps = citations.map(|citation| {
        let what =
            || format!("at {}, instead of {} write {}", citation.path, citation.value, citation.expected);
        plan::rewrite(citation).unwrap_or_else(|| Step::manual("the autoscaler", what()))
    });
    vec![Remedy {
        title: "Let the autoscaler scale".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::testing::{offline, result, words};

    fn judged(spec: &Value, container: &Value) -> String {
        let mut spec = spec.clone();
        spec["scaleTargetRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let hpa = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                         "metadata": {"name": "web"}, "spec": spec});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
                                "spec": {"template": {"spec": {"containers": [container]}}}});
        words(&result(&CHECK, &offline(&[hpa, deployment])))
    }

    fn utilization(name: &str, percent: i64) -> Value {
        json!({"maxReplicas": 5, "metrics": [{"type": "Resource", "resource": {"name": name,
               "target": {"type": "Utilization", "averageUtilization": percent}}}]})
    }

    #[test]
    fn bounds_and_ways_that_leave_no_choice() {
        let plain = json!({"name": "app"});
        assert_eq!(judged(&json!({"maxReplicas": 5}), &plain), "pass");
        assert_eq!(judged(&json!({"maxReplicas": 1}), &plain), "minReplicas and maxReplicas are both 1");
        let off = |up: &str, down: &str| {
            let behavior = json!({"scaleUp": {"selectPolicy": up}, "scaleDown": {"selectPolicy": down}});
            judged(&json!({"maxReplicas": 5, "behavior": behavior}), &plain)
        };
        assert_eq!(off("Disabled", "Max"), "the way up is switched off");
        assert_eq!(off("Disabled", "Disabled"), "both ways are switched off");
        assert_eq!(off("Max", "Disabled"), "pass");
    }

    #[test]
    fn a_percentage_above_the_limit_is_never_reached() {
        let container = |limit: &str| json!({"name": "app", "resources": {"requests": {"cpu": "500m"}, "limits": {"cpu": limit}}});
        assert_eq!(
            judged(&utilization("cpu", 120), &container("500m")),
            "120 % of the cpu request (500m) is no less than the limit (500m)"
        );
        assert_eq!(judged(&utilization("cpu", 120), &container("1")), "pass");
        assert_eq!(judged(&utilization("cpu", 80), &container("500m")), "pass");
        let unlimited = json!({"name": "app", "resources": {"requests": {"cpu": "500m"}}});
        assert_eq!(judged(&utilization("cpu", 500), &unlimited), "pass");
    }

    #[test]
    fn a_heap_does_not_shrink() {
        let java = json!({"name": "app", "env": [{"name": "JAVA_TOOL_OPTIONS", "value": "-Xmx1g"}]});
        assert!(judged(&utilization("memory", 70), &java).starts_with("a JVM keeps its memory"));
        assert_eq!(judged(&utilization("cpu", 70), &java), "pass");
        assert_eq!(judged(&utilization("memory", 70), &json!({"name": "app"})), "pass");
    }
}
