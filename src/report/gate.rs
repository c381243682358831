//! What a gate was asked about, and what it comes to, in words that every format shares.

use checks::check::Severity;
use checks::diagnosis::MetricVerdict;

use super::Report;

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
        }
    }

    /// That nothing is wrong, without a full stop.
    pub(super) fn works(self) -> String {
        let deferred = match self.deferred {
            0 => String::new(),
            1 => "; one metric only the deploy will show".to_owned(),
            number => format!("; {number} metrics only the deploy will show"),
        };
        match (self.autoscalers, self.objects, self.offline) {
            (0, 0, _) => "There is no HorizontalPodAutoscaler to judge".to_owned(),
            (0, 1, _) => "There is no HorizontalPodAutoscaler to judge in 1 object".to_owned(),
            (0, objects, _) => format!("There is no HorizontalPodAutoscaler to judge in {objects} objects"),
            (_, _, true) => format!(
                "Nothing in the manifests keeps the autoscalers from reading their metrics{deferred}; no cluster was \
                 asked"
            ),
            _ if self.deferred > 0 => {
                format!("Nothing that can be seen keeps the autoscalers from reading their metrics{deferred}")
            }
            _ => "The autoscalers will be able to read their metrics".to_owned(),
        }
    }

    /// That something is wrong, without a full stop.
    pub(super) fn broken(self) -> &'static str {
        if self.only_files {
            "Not all of the manifests can be read"
        } else {
            "Not every autoscaler will be able to read its metrics"
        }
    }
}
