//! # Nobody serves the API of the HPA's metric
//!
//! ## What it looks at
//!
//! For metrics of the types `Pods` and `Object` whether the cluster serves `custom.metrics.k8s.io`, and for
//! `External` whether it serves `external.metrics.k8s.io`, in a version that the controller knows (`v1beta2` or
//! `v1beta1`, and `v1beta1`).
//!
//! ## Why it matters
//!
//! metrics-server serves CPU and memory only. Everything else needs an adapter that registers the API; without
//! one the controller says *no custom metrics API (custom.metrics.k8s.io) registered*.
//!
//! ## How to fix it
//!
//! Install an adapter for the system that holds the metric: prometheus-adapter, KEDA, the cloud's own.
//!
//! ## When it is wrong
//!
//! A served group does not prove that the metric is there.
//!
//! ## References
//!
//! - Failure catalogue: `custom-metrics-api-not-registered` (AH-F01), `external-metrics-api-not-registered` (AH-G01)

use crate::Context;
use crate::check::{
    Audience, Check, Decision, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step,
    Subject, fail, not_applicable,
};
use crate::evidence::{Evidence, Hpa, MetricSource, Mode, Need};
use crate::hpa::{self, gate};

pub(crate) const CHECK: Check = Check {
    code: "MP903",
    name: "hpa-metrics-api-missing",
    title: "Nobody serves the API of the HPA's metric",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::Gate],
    needs: &[Need::Groups, Need::Hpas],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: &[Mode::Gate], unless: &[] },
    source: include_str!("hpa_metrics_api_missing.rs"),
    run,
    remedies,
};

/// The groups that an HPA's metrics need, each with the first metric that needs it.
fn wanted(hpa: &Hpa) -> impl Iterator<Item = (&'static str, &str)> {
    hpa.metrics.iter().filter_map(|metric| match metric.source {
        MetricSource::Pods | MetricSource::Object => Some(("custom.metrics.k8s.io", metric.name.as_str())),
        MetricSource::External => Some(("external.metrics.k8s.io", metric.name.as_str())),
        MetricSource::Resource | MetricSource::ContainerResource => None,
    })
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    if evidence.mode == Mode::Gate {
        gate::each_metric(evidence, results, |ctx, metric, subject| planned(ctx, evidence, metric, subject));
        return;
    }
    results.each(&evidence.hpas, hpa::subject, |ctx, hpa, subject| {
        if wanted(hpa).next().is_none() {
            return Ok(not_applicable("it needs no adapter"));
        }
        let groups = ctx.need(&evidence.cluster.groups)?;
        let missing = wanted(hpa).find(|(group, _)| !groups.iter().any(|served| served.group == *group));
        let Some((group, metric)) = missing else { return Ok(Outcome::Pass) };
        Ok(fail(
            Finding::new(subject, format!("metric {metric} needs {group}, which nobody serves"))
                .cite(&evidence.hpas, format!("items[{}].spec.metrics", hpa.name), metric, "")
                .cite(&evidence.cluster.groups, "groups[].name", format!("no {group}"), group),
        ))
    });
}

/// The versions that the controller knows (`k8s.io/metrics/pkg/client`).
fn known(group: &str) -> &'static [&'static str] {
    if group == "custom.metrics.k8s.io" { &["v1beta2", "v1beta1"] } else { &["v1beta1"] }
}

/// For an autoscaler that is to be deployed.
fn planned(ctx: &Context<'_>, evidence: &Evidence, metric: &gate::Metric<'_>, subject: Subject) -> Decision {
    let name = metric.spec.source.name();
    let group = match metric.spec.source.group() {
        Some(group) if group != "metrics.k8s.io" => group,
        _ => return Ok(not_applicable("it needs no adapter")),
    };
    if evidence.gate.offline {
        return Ok(not_applicable("manifests alone are judged"));
    }
    let groups = ctx.need(&evidence.cluster.groups)?;
    let served: Vec<&str> =
        groups.iter().filter(|served| served.group == group).map(|served| served.version.as_str()).collect();
    if served.iter().any(|version| known(group).contains(version)) {
        return Ok(Outcome::Pass);
    }
    let (detail, value) = if served.is_empty() {
        (format!("metric {name} needs {group}, which nobody serves"), format!("no {group}"))
    } else {
        let served = served.join(", ");
        (format!("metric {name} needs {group}, which is served as {served} alone"), served)
    };
    let finding = Finding::new(subject, detail);
    let pointer = &metric.spec.pointer;
    Ok(fail(gate::cite(finding, evidence, metric.plan, pointer, name, "").cite(
        &evidence.cluster.groups,
        "groups[].name",
        value,
        &format!("{group}/{}", known(group)[0]),
    )))
}

fn remedies(_: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    vec![Remedy {
        title: "Install an adapter that serves the metric".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![Step::manual(
            "workstation",
            "install the adapter of the system that holds the metric (prometheus-adapter, KEDA, the cloud's own), and give it a rule for this metric",
        )],
    }]
}
