//! What a gate was asked about, and what it comes to, in words that every format shares.

use checks::check::Severity;
use checks::diagnosis::MetricVerdict;

use super::Report;
use super::json::{Autoscaler, Document, MetricResult};
use super::text::excerpt;

/// What the headline of a gate is made from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scope {
    /// Whether no cluster was asked.
    pub(super) offline: bool,
    /// How many objects the manifests hold.
    pub(super) objects: usize,
    /// How many autoscalers were judged.
    pub(super) autoscalers: usize,
    /// How many metrics only the deploy will show.
    pub(super) deferred: usize,
    /// Whether all that is wrong are files that cannot be read.
    pub(super) only_files: bool,
    /// Whether all that is wrong is what rules of the user demand.
    pub(super) only_rules: bool,
}

impl Scope {
    pub(super) fn of(report: &Report) -> Self {
        let gate = &report.evidence.gate;
        let metrics = report.diagnosis.autoscalers.iter().flat_map(|verdict| &verdict.metrics);
        let errors = || report.root_causes().filter(|cause| cause.severity() == Severity::Error);
        let mut subjects =
            errors().flat_map(|cause| &cause.findings).map(|finding| finding.subject.kind.as_str());
        Self {
            offline: gate.offline,
            objects: gate.manifests.documents.len(),
            autoscalers: report.diagnosis.autoscalers.len(),
            deferred: metrics.filter(|metric| metric.verdict == MetricVerdict::Deferred).count(),
            only_files: errors().next().is_some() && subjects.all(|kind| kind == "File"),
            only_rules: errors().next().is_some() && errors().all(|cause| is_of_rule(cause.check.0.code)),
        }
    }

    /// The same of a document.
    pub(super) fn told(document: &Document<'_>) -> Option<Self> {
        let gate = document.gate?;
        let metrics = document.hpas.iter().flat_map(|hpa| &hpa.metrics);
        let errors = || document.root_causes.iter().filter(|cause| cause.severity == "error");
        let mut subjects = errors().flat_map(|cause| &cause.subjects);
        Some(Self {
            offline: gate.offline,
            objects: gate.objects,
            autoscalers: document.hpas.len(),
            deferred: metrics.filter(|metric| metric.verdict == "deferred").count(),
            only_files: errors().next().is_some() && subjects.all(|subject| subject.kind == "File"),
            only_rules: errors().next().is_some() && errors().all(|cause| is_of_rule(cause.code)),
        })
    }

    /// That nothing is wrong, without a full stop; `with` is what was found besides.
    pub(super) fn works(self, with: &str) -> String {
        let deferred = match self.deferred {
            0 => String::new(),
            1 => "; one metric only the deploy will show".to_owned(),
            number => format!("; {number} metrics only the deploy will show"),
        };
        match (self.autoscalers, self.objects, self.offline) {
            (0, 0, _) => format!("There is no HorizontalPodAutoscaler to judge{with}"),
            (0, 1, _) => format!("There is no HorizontalPodAutoscaler to judge in 1 object{with}"),
            (0, objects, _) => {
                format!("There is no HorizontalPodAutoscaler to judge in {objects} objects{with}")
            }
            (_, _, true) => format!(
                "Nothing in the manifests keeps the autoscalers from reading their metrics{with}{deferred}; no cluster \
                 was asked"
            ),
            _ if self.deferred > 0 => {
                format!(
                    "Nothing that can be seen keeps the autoscalers from reading their metrics{with}{deferred}"
                )
            }
            _ => format!("The autoscalers will be able to read their metrics{with}"),
        }
    }

    /// That something is wrong, without a full stop.
    pub(super) fn broken(self) -> &'static str {
        if self.only_files {
            "Not all of the manifests can be read"
        } else if self.only_rules {
            "The manifests do not keep to rules of your own"
        } else {
            "Not every autoscaler will be able to read its metrics"
        }
    }
}

/// Whether a code is one of a rule: those of the program have no dash.
fn is_of_rule(code: &str) -> bool {
    code.contains('-')
}

/// How much of a reason is shown.
const REASON: usize = 400;

/// Every metric of every autoscaler, the worst autoscalers first.
pub(super) fn metrics<'d>(document: &'d Document<'_>) -> Vec<(&'d Autoscaler<'d>, &'d MetricResult<'d>)> {
    let mut hpas: Vec<&Autoscaler<'_>> = document.hpas.iter().collect();
    hpas.sort_by_key(|hpa| std::cmp::Reverse(rank(hpa.verdict)));
    hpas.into_iter().flat_map(|hpa| hpa.metrics.iter().map(move |metric| (hpa, metric))).collect()
}

fn rank(verdict: &str) -> usize {
    ["pass", "deferred", "undecided", "fail"].iter().position(|known| *known == verdict).unwrap_or(0)
}

/// An autoscaler by its name.
pub(super) fn name(hpa: &Autoscaler<'_>) -> String {
    excerpt(&format!("{}/{}", hpa.subject.namespace.unwrap_or_default(), hpa.subject.name), REASON)
}

/// What becomes of a metric, as a sign that needs no colour.
pub(super) fn mark(verdict: &str) -> &'static str {
    match verdict {
        "pass" => "✓",
        "fail" => "✗",
        "undecided" => "?",
        _ => "·",
    }
}

/// What becomes of a metric, in words.
pub(super) fn outcome(verdict: &str) -> &'static str {
    match verdict {
        "pass" => "will be read",
        "fail" => "will not be read",
        "undecided" => "could not be decided",
        _ => "only the deploy will show it",
    }
}

/// Why, the first reason alone; empty for what will be read.
pub(super) fn why(metric: &MetricResult<'_>) -> String {
    let Some(first) = metric.reasons.first() else { return String::new() };
    let more = match metric.reasons.len() - 1 {
        0 => String::new(),
        1 => ", and one more reason".to_owned(),
        more => format!(", and {more} more reasons"),
    };
    let detail = ["not looked at: ", "only the deploy will show: "]
        .iter()
        .find_map(|prefix| first.detail.strip_prefix(prefix))
        .unwrap_or(first.detail);
    let whys = metric.reasons.iter().map(|reason| Some(reason.excused.as_ref()?.why.clone()));
    format!("{} ({}{more}){}", excerpt(detail, REASON), first.code, not_counted(whys))
}

/// What of the reasons the exit code does not count, as the end of a sentence; empty where it counts all of them.
pub(super) fn not_counted(whys: impl ExactSizeIterator<Item = Option<String>>) -> String {
    let number = whys.len();
    let whys: Vec<String> = whys.flatten().collect();
    match whys.first() {
        None => String::new(),
        Some(why) if whys.len() == number => format!("; not counted: {}", excerpt(why, REASON)),
        Some(why) => {
            format!("; {} of these reasons not counted: {}", whys.len(), excerpt(why, REASON))
        }
    }
}

/// For which version of Kubernetes the manifests were judged, as a part of a sentence; empty for that of the cluster.
pub(super) fn version(gate: super::json::Gate) -> String {
    match gate.target_minor {
        Some(minor) => format!(", judged for Kubernetes 1.{minor}"),
        None if gate.offline => ", for every version of Kubernetes that is supported".to_owned(),
        None => String::new(),
    }
}
