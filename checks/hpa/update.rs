//! An autoscaler that a deploy changes: what it asked for before, and what it asks for after, with the values that the
//! controller read last.

use crate::Context;
use crate::check::{Outcome, Undecided, not_applicable};
use crate::evidence::{Document, Evidence, Hpa, HpaPod, MetricValue, Need, Obs, Plan, PodTemplate, Why};
use crate::plan::demand::{Demand, Goal, Unit};
use crate::plan::{self, MetricRef, MetricSpec, Quantity};
use crate::support;

/// What is told of is at least so many times as many pods, or as few.
const FACTOR: i64 = 2;
/// And at least so many more or fewer.
const PODS: i64 = 2;

/// An autoscaler before and after.
#[derive(Clone, Copy)]
pub(super) struct Update<'e> {
    pub(super) evidence: &'e Evidence,
    pub(super) plan: &'e Plan,
    pub(super) document: &'e Document,
    /// The autoscalers of the namespace, of which [`Update::there`] is one.
    pub(super) list: &'e Obs<Vec<Hpa>>,
    pub(super) there: &'e Hpa,
}

/// A metric of both whose value the controller read, with what it asks for under each of the targets.
pub(super) struct Change<'e> {
    pub(super) metric: &'e MetricSpec,
    pub(super) value: &'e MetricValue,
    pub(super) is_new: bool,
    pub(super) goals: (Option<Goal>, Goal),
    pub(super) before: Demand,
    pub(super) after: Result<Demand, Undecided>,
}

impl Change<'_> {
    /// What it asks for after the deploy, where its target is new.
    pub(super) fn asked(&self) -> Option<&Demand> {
        self.after.as_ref().ok().filter(|_| self.is_new)
    }
}

impl<'e> Update<'e> {
    /// The autoscaler of a manifest that is in the cluster too; or why there is nothing to compare.
    ///
    /// # Errors
    ///
    /// When the autoscalers of the namespace were not seen.
    pub(super) fn of(
        ctx: &Context<'_>,
        evidence: &'e Evidence,
        plan: &'e Plan,
    ) -> Result<Result<Self, Outcome>, Undecided> {
        let Some(document) = plan::own(evidence, plan) else {
            return Ok(Err(not_applicable("it is in the cluster only")));
        };
        let Some(namespace) = evidence.gate.namespaces.get(&plan.namespace) else {
            return Ok(Err(not_applicable("no cluster was asked for it")));
        };
        let list = &namespace.hpas;
        Ok(match ctx.need(list)?.iter().find(|hpa| hpa.name == plan.name) {
            Some(there) => Ok(Self { evidence, plan, document, list, there }),
            None => Err(not_applicable("it is not in the cluster yet")),
        })
    }

    /// The metric in the cluster that a metric of the manifest takes the place of: of several alike, each its own.
    fn theirs(&self, index: usize) -> Option<&'e MetricSpec> {
        let metrics = &self.plan.spec.metrics;
        let source = &metrics.get(index)?.source;
        let earlier = metrics.iter().take(index).filter(|metric| metric.source == *source).count();
        self.there.spec.metrics.iter().filter(|metric| metric.source == *source).nth(earlier)
    }

    /// Whether the manifest says another target than the cluster for a metric that both have.
    pub(super) fn is_new(&self, index: usize) -> bool {
        let (Some(metric), Some(theirs)) = (self.plan.spec.metrics.get(index), self.theirs(index)) else {
            return false;
        };
        // What a manifest leaves to the API's default may stay as it is.
        let is_written = !self.document.at(&metric.pointer).is_null();
        is_written
            && match (Goal::of(metric), Goal::of(theirs)) {
                (Some(ours), Some(old)) => !ours.is_same(&old),
                _ => metric.target != theirs.target,
            }
    }

    /// How many pods run, when all are ready and measured.
    pub(super) fn steady(&self, ctx: &Context<'_>) -> Result<i64, Undecided> {
        let open = |why| Undecided { need: Need::Hpas, why };
        let condition = |kind: &str| self.there.conditions.iter().find(|it| it.kind == kind);
        let (able, active) = (condition("AbleToScale"), condition("ScalingActive"));
        if active.is_some_and(|active| active.reason == "ScalingDisabled") {
            return Ok(0);
        }
        if able.or(active).is_none() {
            return Err(open(Why::TooEarly("the HPA controller has not looked at it".to_owned())));
        }
        if [able, active].iter().any(|it| it.is_none_or(|it| it.status != "True")) {
            let what = "what keeps the HPA controller from scaling now";
            return Err(open(Why::Masked(what.to_owned())));
        }
        let run = self.there.status.replicas;
        let pods = ctx.need(&self.plan.pods)?.iter().filter(|pod| pod.phase != "Failed");
        let is_measured = |pod: &&_| {
            let HpaPod { phase, ready, created, .. } = pod;
            phase == "Running" && *ready && support::age_s(self.evidence, *created) >= plan::YOUNG_S
        };
        let (all, measured) = (pods.clone().count(), pods.filter(is_measured).count());
        let is = |count: usize| i64::try_from(count) == Ok(run);
        if run != self.there.status.desired || !is(all) || !is(measured) {
            let why = format!(
                "pods come and go: {run} are there for the HPA controller, which wants {}, and of {all} that are \
                 selected {measured} are ready and have been measured",
                self.there.status.desired
            );
            return Err(open(Why::TooEarly(why)));
        }
        Ok(run)
    }

    /// What a metric asks for before and after.
    pub(super) fn change(&self, ctx: &Context<'_>, index: usize, run: i64) -> Result<Change<'e>, Undecided> {
        let open = |why| Undecided { need: Need::Hpas, why };
        let metric = &self.plan.spec.metrics[index];
        let name = metric.source.name();
        let Some(theirs) = self.theirs(index) else {
            return Err(open(Why::Deferred(format!("what {name} asks for, which is new"))));
        };
        let Some(goal) = Goal::of(metric) else {
            return Err(open(Why::Masked(format!("the target of {name}, which cannot be counted with"))));
        };
        let values = || self.there.status.values.iter().filter(|value| value.source == metric.source);
        if values().next().is_none() {
            let what = format!("what keeps the HPA controller from reading {name}");
            return Err(open(Why::Masked(what)));
        }
        let found = values().find_map(|value| Some((value, goal.demand(value, run)?)));
        let Some((value, after)) = found else {
            let what = format!("{} of {name}, which nobody has read yet", goal.unit.field());
            return Err(open(Why::Deferred(what)));
        };
        let old = Goal::of(theirs);
        let before = old.as_ref().and_then(|old| old.demand(value, run));
        let requests =
            if goal.unit == Unit::Percent { self.changes_requests(ctx, metric) } else { Ok(false) };
        let after = requests.and_then(|change| {
            let why = || Why::Deferred(format!("what {name} is in percent of requests that change with it"));
            if change { Err(Undecided { need: Need::Template, why: why() }) } else { Ok(after) }
        });
        let before = before.unwrap_or(Demand { pods: (run, run), ratio: (1.0, 1.0), is_bounded: true });
        Ok(Change { metric, value, is_new: self.is_new(index), goals: (old, goal), before, after })
    }

    /// Whether the manifests give the pods other requests than they have.
    fn changes_requests(&self, ctx: &Context<'_>, metric: &MetricSpec) -> Result<bool, Undecided> {
        let Some(ours) = self.evidence.gate.workload_of(self.plan) else { return Ok(false) };
        let Some(theirs) = ctx.need(&self.plan.template)? else { return Ok(false) };
        let resource = metric.source.name();
        let only = match &metric.source {
            MetricRef::ContainerResource { container, .. } => Some(container.as_str()),
            _ => None,
        };
        Ok(requests(&ours.template, resource, only) != requests(theirs, resource, only))
    }

    /// The pods that so many become by the bounds of the manifest, as the controller applies them.
    pub(super) fn bounded(&self, pods: i64) -> i64 {
        let spec = &self.plan.spec;
        // A bound that the manifest leaves out may stay as it is.
        let is_given = !self.document.at("/spec/minReplicas").is_null();
        let min = if is_given { spec.min } else { spec.min.max(self.there.spec.min) };
        pods.min(spec.max.or(self.there.spec.max).unwrap_or(i64::MAX)).max(min)
    }

    /// The change by which there are twice as many pods, or a number that the controller cannot hold.
    pub(super) fn grown<'c>(&self, changes: &'c [Change<'e>], run: i64) -> Option<&'c Change<'e>> {
        let (ours, theirs) = (&self.plan.spec.behavior, &self.there.spec.behavior);
        let is_far =
            |from: i64, to: i64| to >= from.saturating_mul(FACTOR) && to.saturating_sub(from) >= PODS;
        let beyond = |it: &&Change<'_>| it.asked().is_some_and(Demand::is_beyond) && !it.before.is_beyond();
        if let Some(change) = changes.iter().find(beyond)
            && (is_far(run, self.bounded(i64::MAX)) && !ours.up.is_off(&theirs.up)
                || is_far(self.bounded(0), run) && !ours.down.is_off(&theirs.down))
        {
            return Some(change);
        }
        let before = changes.iter().map(|change| change.before.pods.1).max()?;
        let asked = changes.iter().filter_map(|change| Some((change, change.asked()?)));
        let (change, after) = asked.max_by_key(|(_, after)| after.pods.0)?;
        let tolerance = tolerance(ours.up.tolerance(&theirs.up));
        let pods = self.bounded(after.pods.0);
        // Bounds that let a jump happen are meant; what counts is a target that makes it.
        let is_of_target = is_far(run, pods) && !is_far(run, self.bounded(before));
        let is_twice = after.pods.0 >= before.saturating_mul(FACTOR);
        // Rounding up makes four pods out of three.
        let is_read = after.ratio.0 >= 2.0 && after.ratio.0 > 1.0 + tolerance;
        (is_of_target && is_twice && is_read && !ours.up.is_off(&theirs.up)).then_some(change)
    }

    /// The change by which there are half as many pods, if every other metric is known.
    pub(super) fn shrunk<'c>(&self, changes: &'c [Change<'e>], run: i64) -> Option<&'c Change<'e>> {
        let (ours, theirs) = (&self.plan.spec.behavior, &self.there.spec.behavior);
        let tolerance = tolerance(ours.down.tolerance(&theirs.down));
        let asked = changes.iter().filter_map(|change| change.after.as_ref().ok());
        let asked = asked.map(|after| match after.ratio.1 {
            ratio if ratio >= 1.0 - tolerance => after.pods.1.max(run),
            _ => after.pods.1,
        });
        let after = asked.max()?;
        let before = changes.iter().map(|change| change.before.pods.0).max()?;
        let new = changes.iter().filter(|change| change.asked().is_some());
        let change = new.max_by_key(|change| change.before.pods.0)?;
        let is_far = |to: i64| to.saturating_mul(FACTOR) <= run && run.saturating_sub(to) >= PODS;
        let is_of_target = is_far(self.bounded(after)) && !is_far(self.bounded(before));
        let is_half = after.saturating_mul(FACTOR) <= before;
        (is_of_target && is_half && !ours.down.is_off(&theirs.down)).then_some(change)
    }
}

/// A tolerance of a manifest; none where there is none, or none that can be read.
fn tolerance(text: Option<&str>) -> f64 {
    let milli = text.and_then(Quantity::read).and_then(Quantity::milli).unwrap_or_default();
    f64::from(i32::try_from(milli).unwrap_or(i32::MAX)) / 1000.0
}

/// The requests of a resource that a percentage is taken of, by container.
fn requests<'t>(
    template: &'t PodTemplate,
    resource: &str,
    only: Option<&str>,
) -> Vec<(&'t str, Option<Quantity>)> {
    let read = |text: Option<&str>| text.and_then(Quantity::read);
    let counts = |name: &str| only.is_none_or(|only| only == name);
    let containers = template.containers.iter().filter(|container| counts(&container.name));
    let mut requests: Vec<_> = containers.map(|it| (it.name.as_str(), read(it.request(resource)))).collect();
    let whole = template.pod_requests.get(resource).or_else(|| template.pod_limits.get(resource));
    requests.push(("", read(whole.map(String::as_str))));
    requests.sort_unstable();
    requests
}
