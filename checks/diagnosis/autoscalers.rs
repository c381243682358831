//! The verdict of a gate on every autoscaler, metric by metric.

use std::collections::BTreeMap;

use serde::Serialize;

use super::CheckReport;
use crate::check::{Hop, Kind, Outcome, Question, Severity, Subject};
use crate::evidence::{Evidence, Mode, Plan, Why};
use crate::plan;

/// What becomes of an autoscaler.
#[derive(Clone, Debug)]
pub struct AutoscalerVerdict {
    /// Its place in [`crate::evidence::Gate::plans`].
    pub plan: usize,
    /// The worst of its metrics, and of what is said of it as a whole.
    pub verdict: MetricVerdict,
    /// Its metrics, in their order.
    pub metrics: Vec<MetricOutcome>,
}

/// What becomes of a metric.
#[derive(Clone, Debug)]
pub struct MetricOutcome {
    /// Whether the controller will read it.
    pub verdict: MetricVerdict,
    /// What keeps it from being read, or from being known.
    pub reasons: Vec<Reason>,
}

/// Why a metric will not be read, or why that is not known.
#[derive(Clone, Debug)]
pub struct Reason {
    /// The code of the check.
    pub code: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub detail: String,
    /// What it says it of: the autoscaler, or one of its metrics.
    pub subject: Subject,
}

/// Whether the HPA controller will read a metric; the worst comes last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum MetricVerdict {
    /// It will.
    Pass,
    /// Only what runs after the deploy can show it.
    Deferred,
    /// Something that decides it was not seen.
    Undecided,
    /// It will not.
    Fail,
}

impl MetricVerdict {
    /// The word in the JSON document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Deferred => "deferred",
            Self::Undecided => "undecided",
            Self::Fail => "fail",
        }
    }
}

/// What is said of each subject.
type Said<'r> = BTreeMap<&'r Subject, Vec<(MetricVerdict, Reason)>>;

/// The verdicts on all autoscalers that a gate was asked about.
pub(super) fn verdicts(reports: &[CheckReport], evidence: &Evidence) -> Vec<AutoscalerVerdict> {
    let said = said(reports);
    let plans = evidence.gate.plans.iter().enumerate();
    plans.map(|(index, plan)| verdict(&said, index, plan)).collect()
}

fn verdict(said: &Said<'_>, index: usize, plan: &Plan) -> AutoscalerVerdict {
    let of = |subject: &Subject| said.get(subject).map(Vec::as_slice).unwrap_or_default();
    let whole = of(&plan::subject(plan));
    let metrics: Vec<MetricOutcome> = (0..plan.spec.metrics.len())
        .map(|metric| {
            let own = of(&plan::metric_subject(plan, metric));
            let all: Vec<_> = whole.iter().chain(own).collect();
            let verdict = all.iter().map(|(verdict, _)| *verdict).max().unwrap_or(MetricVerdict::Pass);
            let reasons =
                all.into_iter().filter(|(own, _)| *own == verdict).map(|(_, reason)| reason.clone());
            MetricOutcome { verdict, reasons: reasons.collect() }
        })
        .collect();
    let worst = metrics.iter().map(|metric| metric.verdict).chain(whole.iter().map(|(verdict, _)| *verdict));
    AutoscalerVerdict { plan: index, verdict: worst.max().unwrap_or(MetricVerdict::Pass), metrics }
}

/// What keeps metrics from being read. A check that only warns, or whose open answer is only listed, says nothing of
/// that.
fn said(reports: &[CheckReport]) -> Said<'_> {
    let mut said = Said::new();
    for report in reports {
        let check = report.check.0;
        let decides = check.hop == Hop::Hpa
            && check.severity == Severity::Error
            && matches!(check.kind, Kind::Cause | Kind::Symptom);
        let deciding =
            matches!(check.question, Question::Deciding { modes, .. } if modes.contains(&Mode::Gate));
        for (subject, outcome) in report.results.iter().filter(|_| decides) {
            let (verdict, detail) = match outcome {
                Outcome::Fail(finding) => (MetricVerdict::Fail, finding.detail.clone()),
                Outcome::Undecided(missing) if matches!(missing.why, Why::Deferred(_)) => {
                    (MetricVerdict::Deferred, missing.why.to_string())
                }
                Outcome::Undecided(missing) if deciding => {
                    (MetricVerdict::Undecided, missing.why.to_string())
                }
                Outcome::Undecided(_) | Outcome::Pass | Outcome::NotApplicable(_) => continue,
            };
            let reason = Reason { code: check.code, name: check.name, detail, subject: subject.clone() };
            said.entry(subject).or_default().push((verdict, reason));
        }
    }
    said
}
