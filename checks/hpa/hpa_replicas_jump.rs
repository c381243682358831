//! # The change makes the HPA's replicas jump
//!
//! ## What it looks at
//!
//! An autoscaler of the manifests that is in the cluster too, and works there: the values of its metrics that the
//! controller wrote last (`status.currentMetrics`), and how many pods the targets of the manifest ask for with them,
//! counted as the controller counts. It is told when that is at least twice as many as run, or at most half as many; and
//! when `maxReplicas` falls below the number that runs.
//!
//! ## Why it matters
//!
//! `averageValue: 500` where `500m` was meant, 5 % for 50 %, bytes for MiB: the API server takes each of them, and the
//! controller does what they say. Pods that are above `maxReplicas` are removed at once: neither the metrics nor
//! `behavior` are asked (`pkg/controller/podautoscaler/horizontal.go`, `reconcileAutoscaler`). And a target so small that
//! more than 2,147,483,647 pods are asked for is no large number for the controller but one that it cannot hold: on amd64 it
//! becomes a negative one, and the autoscaler goes to `minReplicas`.
//!
//! ## How to fix it
//!
//! Write the target in the unit of the value that is read. Where the jump is meant, go there in steps, or limit with
//! `behavior` how many pods come or go in a period.
//!
//! ## When it is wrong
//!
//! It holds for the values that were read last: at night it may see nothing of a fault that shows at noon.
//!
//! - How fast the controller gets there is not foretold. Without `behavior` it doubles the number at most, or goes to 4, in
//!   one step of usually 15 seconds on the way up, and waits usually five minutes on the way down.
//! - The number is that of the first decision. Where more pods do not lower the value of each, as with memory, the controller
//!   goes on.
//! - A way that `behavior` closes (`selectPolicy: Disabled`) is not warned of, and its `tolerance` is heeded. That of the
//!   controller's flag, 10 % as a rule, is no matter at a factor of two.
//! - A single pod more or less is never told of, nor what bounds alone bring about, other than pods that are removed at once:
//!   bounds are plain numbers, and meant. Metrics that come or go are decisions too.
//! - While pods come and go, or where requests change together with a percentage of them, nothing can be said.
//!
//! ## References
//!
//! - <https://kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale/#algorithm-details>
//! - `pkg/controller/podautoscaler/replica_calculator.go` of Kubernetes

use crate::Context;
use crate::check::{
    Audience, Check, Decision, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step,
    Subject, Undecided, fail, not_applicable,
};
use crate::evidence::{Evidence, Need};
use crate::hpa;
use crate::hpa::update::{Change, Update};
use crate::plan::demand::{Demand, read_words};

pub(crate) const CHECK: Check = Check {
    code: "MP931",
    name: "hpa-replicas-jump",
    title: "The change makes the HPA's replicas jump",
    hop: Hop::Hpa,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: hpa::GATE,
    needs: &[Need::Hpas, Need::HpaTarget, Need::HpaPods, Need::Template],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_replicas_jump.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        let update = match Update::of(ctx, evidence, plan)? {
            Ok(update) => update,
            Err(other) => return Ok(other),
        };
        let (ours, theirs) = (&plan.spec.target, &update.there.spec.target);
        if (ours.group(), &ours.kind, &ours.name) != (theirs.group(), &theirs.kind, &theirs.name) {
            return Ok(not_applicable("it scales something else than the one in the cluster"));
        }
        match update.cut(ctx, &subject)? {
            Some(finding) => Ok(fail(finding)),
            None => update.jump(ctx, subject),
        }
    });
}

impl Update<'_> {
    /// Pods that are above a lower maximum.
    fn cut(&self, ctx: &Context<'_>, subject: &Subject) -> Result<Option<Finding>, Undecided> {
        let Some(max) = self.plan.spec.max else { return Ok(None) };
        let Some(old) = self.there.spec.max.filter(|old| max < *old) else { return Ok(None) };
        let Some(scale) = ctx.need(&self.plan.scale)? else { return Ok(None) };
        let run = scale.replicas;
        if max < 1 || run <= max {
            return Ok(None);
        }
        let gone = run - max;
        let detail = format!(
            "{run} pods run now, and maxReplicas falls from {old} to {max}: the controller removes {gone} at once, \
             whatever the metrics and behavior say"
        );
        let finding = Finding::new(subject.clone(), detail)
            .cite_manifest(self.document, "/spec/maxReplicas", max.to_string(), &format!("at least {run}"))
            .cite(&self.plan.scale, "spec.replicas", run.to_string(), &format!("at most {max}"))
            .fact("cure", format!("let maxReplicas be {run} or more until fewer pods run"));
        Ok(Some(finding))
    }

    /// More or fewer pods, by targets that are new.
    fn jump(&self, ctx: &Context<'_>, subject: Subject) -> Decision {
        let metrics = 0..self.plan.spec.metrics.len();
        if !metrics.clone().any(|index| self.is_new(index)) {
            return Ok(Outcome::Pass);
        }
        let run = match self.steady(ctx)? {
            0 => return Ok(not_applicable("it runs no pods")),
            run => run,
        };
        let (mut changes, mut open, mut veiled) = (Vec::new(), None, None);
        for index in metrics {
            let change = self.change(ctx, index, run);
            let missing = change.as_ref().map_or_else(Some, |change| change.after.as_ref().err());
            if let Some(missing) = missing {
                let place = if self.is_new(index) { &mut open } else { &mut veiled };
                place.get_or_insert_with(|| missing.clone());
            }
            changes.extend(change);
        }
        if let Some(change) = self.grown(&changes, run) {
            return Ok(fail(self.finding(subject, change, &changes, run)));
        }
        match self.shrunk(&changes, run) {
            // One metric that asks for more keeps the pods, and so does one that cannot be read.
            Some(change) => match open.or(veiled) {
                Some(missing) => Err(missing),
                None => Ok(fail(self.finding(subject, change, &changes, run))),
            },
            None => open.map_or(Ok(Outcome::Pass), Err),
        }
    }

    fn finding(&self, subject: Subject, change: &Change<'_>, changes: &[Change<'_>], run: i64) -> Finding {
        let Change { metric, value, goals: (old, goal), .. } = change;
        let (unit, read) = read_words(value, goal.unit);
        let name = metric.source.name();
        let asks = |change: &Change<'_>| change.after.as_ref().map_or(0, |after| after.pods.1);
        let (pods, most) = (asks(change), changes.iter().map(asks).max().unwrap_or_default());
        let is_beyond = change.asked().is_some_and(Demand::is_beyond);
        let bounded = self.bounded(most);
        let other = if most > pods { format!(", and another metric for {most}") } else { String::new() };
        let stop = match bounded {
            _ if is_beyond => {
                ", more than the controller can hold: what becomes of them depends on its processor, and on \
                               amd64 it is fewer than none"
                    .to_owned()
            }
            _ if bounded > most => format!(", and minReplicas keeps {bounded}"),
            _ if bounded < most => format!(", and maxReplicas stops it at {bounded}"),
            _ => String::new(),
        };
        let asked = change.asked().map(Demand::words).unwrap_or_default();
        let asked = if asked == "1" { "1 pod".to_owned() } else { format!("{asked} pods") };
        let was = old.as_ref().map(|old| format!(", with {}", old.words())).unwrap_or_default();
        let detail = format!(
            "with the {read} of {name} that the controller read last, a target of {} asks for {asked}{other}{stop}; {run} \
             run now{was}",
            goal.words(),
        );
        let expected = match old {
            Some(old) => format!("near {}, as in the cluster", old.words()),
            None => format!("near {read}"),
        };
        let pointer = match metric.source.field() {
            Some(field) if metric.pointer.starts_with("/spec/metrics/") => {
                format!("{}/{field}/target/{}", metric.pointer, goal.unit.field())
            }
            _ => metric.pointer.clone(),
        };
        let field = metric.source.field().unwrap_or_default();
        let path = format!(
            "items[{}].status.currentMetrics[{}].{field}.current.{}",
            self.plan.name,
            value.index,
            unit.field()
        );
        let cure =
            format!("write the target that is meant, in the unit of what is read ({read} now): {expected}");
        Finding::new(subject, detail)
            .cite_manifest(self.document, &pointer, goal.text(), &expected)
            .cite(self.list, path, read, &format!("near {}", goal.words()))
            .fact("cure", cure)
    }
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().filter_map(|finding| {
        let citation = finding.citations.iter().find(|citation| citation.place.is_some())?;
        let place = citation.place.as_ref()?;
        let fact = |name| finding.facts.get(name).map(String::as_str).unwrap_or_default();
        let what = format!("{}:{}: at {}: {}", place.file, place.line, citation.path, fact("cure"));
        Some(Step::manual("the manifest", what))
    });
    let meant = "where the jump is meant, limit it with behavior.scaleUp.policies or behavior.scaleDown.policies, or go \
                 there in several changes";
    vec![Remedy {
        title: "Write the target that is meant, or get there in steps".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: steps.chain([Step::manual("the manifest", meant)]).collect(),
    }]
}

#[cfg(test)]
mod tests;
