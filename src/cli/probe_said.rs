//! What pods saw, as observations, and in a sentence for the user.

use checks::evidence::{Filters, HostIdentity};
use jiff::Timestamp;

use super::failure::{Failure, Kind};
use crate::collect::{HostLook, ProbeLook};
use crate::probe::carry::Outcome as Came;
use crate::probe::machine::{Facts, MachinePlan};
use crate::probe::plan::Plan;
use crate::probe::report::{FACT, Report, vantage};
use crate::source::redact::sweep;
use crate::source::{FailureKind, Observation, Outcome, Request};
use crate::ui::Ui;

/// What came of a run.
#[derive(Debug, Default)]
pub(super) struct Saw {
    /// The nodes from which pods looked.
    pub(super) probes: Vec<ProbeLook>,
    /// The machines that pods looked at.
    pub(super) hosts: Vec<HostLook>,
    /// What they saw.
    pub(super) observations: Vec<Observation>,
    /// Whether any of them saw something.
    any: bool,
    /// Why others saw nothing.
    reasons: Vec<String>,
}

impl Saw {
    /// Keeps what pods saw from metrics-server's place, one observation a node.
    pub(super) fn pods(&mut self, plan: &Plan, outcomes: &[Came<Report>], seen_at: Timestamp, ui: Ui) {
        for (pod, outcome) in plan.pods.iter().zip(outcomes) {
            let outcome = match outcome {
                Ok(report) => {
                    self.any = true;
                    ui.note(&format!("From {}: {}.", pod.node, report.summary()));
                    let value = serde_json::to_value(report).unwrap_or_default();
                    Outcome::Fact { value: sweep::value(value, &mut 0) }
                }
                Err(why) => self.nothing(&pod.node, why, ui),
            };
            let request = Request::fact(vantage(&pod.node), FACT);
            self.observations.push(Observation { request, seen_at, outcome });
            self.probes.push(ProbeLook { node: pod.node.clone() });
        }
    }

    /// Keeps what pods saw of machines, one observation a fact, as `host` on that machine makes them.
    pub(super) fn machines(
        &mut self,
        plan: &MachinePlan,
        outcomes: &[Came<Facts>],
        seen_at: Timestamp,
        ui: Ui,
    ) {
        for (pod, outcome) in plan.pods.iter().zip(outcomes) {
            let facts = match outcome {
                Ok(facts) => {
                    self.any = true;
                    ui.note(&format!("Of the machine {}: {}.", pod.node, summary(facts)));
                    facts.clone()
                }
                Err(why) => [("identity".to_owned(), self.nothing(&pod.node, why, ui))].into(),
            };
            self.observations.extend(facts.into_iter().map(|(fact, outcome)| Observation {
                request: Request::fact(format!("host {}", pod.node), fact),
                seen_at,
                outcome,
            }));
            self.hosts.push(HostLook { name: pod.node.clone(), dials: pod.dials.clone() });
        }
    }

    fn nothing(&mut self, node: &str, why: &str, ui: Ui) -> Outcome {
        ui.note(&format!("Nothing was seen from {node}: {why}."));
        if !self.reasons.iter().any(|known| known == why) {
            self.reasons.push(why.to_owned());
        }
        Outcome::Failed { kind: FailureKind::Lacking, message: why.to_owned() }
    }

    /// A failure where no pod saw anything.
    pub(super) fn or_nothing(self) -> Result<Self, Failure> {
        if self.any {
            return Ok(self);
        }
        let about_image = self.reasons.iter().any(|why| why.contains("image"));
        let failure = Failure::new(Kind::Probe, "no pod saw anything");
        let mut failure = self.reasons.into_iter().fold(failure, Failure::context);
        if about_image {
            failure = failure.hint(
                "The image holds this program and nothing else; docs/src/container.md says how it is built.",
            );
        }
        Err(failure.hint("`metrics-preflight check` diagnoses the cluster without a probe."))
    }
}

/// What was seen of a machine, in one sentence.
fn summary(facts: &Facts) -> String {
    fn fact<T: serde::de::DeserializeOwned>(facts: &Facts, name: &str) -> Option<T> {
        match facts.get(name) {
            Some(Outcome::Fact { value }) => T::deserialize(value).ok(),
            _ => None,
        }
    }
    let system =
        fact::<HostIdentity>(facts, "identity").map_or("its system unknown".to_owned(), |it| it.system);
    let filter = match fact::<Filters>(facts, "packet filter") {
        Some(_) => "its packet filter was read",
        None => "its packet filter was not read",
    };
    let unseen = facts.values().filter(|outcome| !matches!(outcome, Outcome::Fact { .. })).count();
    match unseen {
        0 => format!("{system}; {filter}"),
        unseen => format!("{system}; {filter}; {unseen} of {} facts were not seen", facts.len()),
    }
}
