//! Whether pods have the requests that a percentage is taken of, as the controller looks for them.

use super::{MetricRef, MetricSpec, Quantity, Workload, minor, selection, supplies};
use crate::Context;
use crate::check::{Finding, Undecided};
use crate::evidence::{Document, Evidence, HpaPod, Need, Obs, Plan, PodContainer, PodTemplate, Why};

/// The version from which requests of a pod as a whole count.
const POD_LEVEL: u32 = 34;

/// The request that a metric is a percentage of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Asked<'p> {
    /// `cpu` or `memory`.
    pub(crate) resource: &'p str,
    /// The one container whose request counts.
    pub(crate) container: Option<&'p str>,
}

impl<'p> Asked<'p> {
    /// What a metric asks for; nothing where it is no percentage, or of something that is never measured. An amount
    /// wins over a percentage, whatever the type says.
    pub(crate) fn of(metric: &'p MetricSpec) -> Option<Self> {
        let (resource, container) = match &metric.source {
            MetricRef::Resource { name } => (name.as_str(), None),
            MetricRef::ContainerResource { name, container } => (name.as_str(), Some(container.as_str())),
            _ => return None,
        };
        let percentage = metric.target.average_value.is_none() && metric.target.average_utilization.is_some();
        (percentage && matches!(resource, "cpu" | "memory")).then_some(Self { resource, container })
    }
}

/// What of a template keeps a percentage from being taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lack<'t> {
    /// A container has no request.
    Container(&'t PodContainer),
    /// The pod as a whole has requests, and none for the resource.
    Pod,
    /// All requests are zero.
    Zero(&'t PodContainer),
}

/// What is lacking, where requests of a pod as a whole count or not.
fn lack<'t>(template: &'t PodTemplate, asked: Asked<'_>, pod_level: bool) -> Option<Lack<'t>> {
    let resource = asked.resource;
    if pod_level && asked.container.is_none() && template.has_pod_requests() {
        return if template.pod_has(resource) { None } else { Some(Lack::Pod) };
    }
    let counts = |container: &&PodContainer| asked.container.is_none_or(|name| name == container.name);
    let mut containers = template.containers.iter().filter(counts);
    if let Some(container) = containers.clone().find(|container| container.request(resource).is_none()) {
        return Some(Lack::Container(container));
    }
    let is_zero = |container: &PodContainer| {
        container.request(resource).and_then(Quantity::read).is_some_and(Quantity::is_zero)
    };
    let first = containers.clone().next()?;
    containers.all(is_zero).then_some(Lack::Zero(first))
}

/// What is lacking in the version at hand; the version matters only where something is lacking in one and not in the
/// other.
fn of_version<'t>(
    ctx: &Context<'_>,
    evidence: &Evidence,
    template: &'t PodTemplate,
    asked: Asked<'_>,
) -> Result<Option<Lack<'t>>, Undecided> {
    let (new, old) = (lack(template, asked, true), lack(template, asked, false));
    if new == old {
        return Ok(new);
    }
    match minor(ctx, evidence) {
        Ok(minor) => Ok(if minor >= POD_LEVEL { new } else { old }),
        Err(_) if new.is_some() && old.is_some() => Ok(new),
        Err(missing) => Err(missing),
    }
}

/// What a template lacks once the LimitRanges of its namespace have added theirs. `of` is the workload, and `at` the
/// object that the template stands in.
///
/// # Errors
///
/// When a LimitRange or the version decides and was not seen.
pub(crate) fn lacking<'t>(
    ctx: &Context<'_>,
    evidence: &Evidence,
    namespace: &str,
    template: &'t PodTemplate,
    asked: Asked<'_>,
    (of, at): (&str, Option<&Document>),
) -> Result<Option<Lack<'t>>, Undecided> {
    let Some(lack) = of_version(ctx, evidence, template, asked)? else { return Ok(None) };
    if matches!(lack, Lack::Zero(_)) {
        return Ok(Some(lack));
    }
    let words = || match at {
        Some(document) => {
            format!("{}: {}", document.place_of(&pointer(lack)), words(lack, asked.resource, of))
        }
        None => words(lack, asked.resource, of),
    };
    let supplied = supplies(ctx, evidence, namespace, asked.resource, words)?;
    Ok((!supplied).then_some(lack))
}

/// What is lacking, as a sentence.
pub(crate) fn words(lack: Lack<'_>, resource: &str, of: &str) -> String {
    match lack {
        Lack::Container(container) => {
            format!("container {} of {of} has no {resource} request", container.name)
        }
        Lack::Pod => format!("the pod of {of} as a whole has requests and no {resource} request"),
        Lack::Zero(_) => format!("every {resource} request of {of} is 0"),
    }
}

/// Where a lack stands; for the pod as a whole behind the pointer of its template.
fn pointer(lack: Lack<'_>) -> String {
    match lack {
        Lack::Container(container) | Lack::Zero(container) => container.pointer.clone(),
        Lack::Pod => "/spec/template/spec/resources".to_owned(),
    }
}

/// Proves a lack by the manifest of a workload, and says what to write there.
pub(crate) fn prove(finding: Finding, workload: &Workload<'_>, lack: Lack<'_>, resource: &str) -> Finding {
    let amount = if resource == "memory" { "128Mi" } else { "100m" };
    let source = workload.source;
    let expected = format!("a {resource} request");
    match lack {
        Lack::Container(container) => {
            let yaml = format!("resources: {{requests: {{{resource}: {amount}}}}}");
            let finding = finding.cite_manifest(
                source,
                &container.pointer,
                format!("no {resource} request"),
                &expected,
            );
            let pointer = format!("{}/resources/requests/{resource}", container.pointer);
            super::edit(finding, source, &container.pointer, &yaml).change(
                source,
                pointer,
                Some(amount.into()),
            )
        }
        Lack::Pod => {
            let pointer = format!("{}/spec/resources", workload.pointer);
            let yaml = format!("requests: {{{resource}: {amount}}}");
            let finding =
                finding.cite_manifest(source, &pointer, format!("no {resource} request"), &expected);
            let field = format!("{pointer}/requests/{resource}");
            super::edit(finding, source, &pointer, &yaml).change(source, field, Some(amount.into()))
        }
        Lack::Zero(container) => {
            let field = if container.requests.contains_key(resource) { "requests" } else { "limits" };
            let pointer = format!("{}/resources/{field}/{resource}", container.pointer);
            let value = container.request(resource).unwrap_or("0");
            let finding = finding.cite_manifest(source, &pointer, value, "more than 0");
            let finding = super::edit(finding, source, &pointer, &format!("{resource}: {amount}"));
            // A request may not be more than its limit.
            let read = |text: &str| Quantity::read(text);
            let limit = container.limits.get(resource).and_then(|limit| read(limit)?.times(1));
            let fits = field == "requests"
                && (!container.limits.contains_key(resource)
                    || limit > read(amount).and_then(|it| it.times(1)));
            if fits { finding.change(source, pointer, Some(amount.into())) } else { finding }
        }
    }
}

/// A pod of the cluster as the template that it would be made from again.
pub(crate) fn as_template(pod: &HpaPod) -> PodTemplate {
    PodTemplate {
        labels: pod.labels.clone(),
        containers: pod.containers.clone(),
        pod_requests: pod.pod_requests.clone(),
        ..PodTemplate::default()
    }
}

/// The first pod that lacks a request: those of the cluster have all that they will ever have.
fn pod_lacking(
    ctx: &Context<'_>,
    evidence: &Evidence,
    pods: &mut dyn Iterator<Item = &HpaPod>,
    asked: Asked<'_>,
) -> Result<Option<(String, String)>, Undecided> {
    for pod in pods {
        let template = as_template(pod);
        let found = of_version(ctx, evidence, &template, asked)?;
        // That one pod asks for nothing does not matter while others do.
        if let Some(lack @ (Lack::Container(_) | Lack::Pod)) = found {
            return Ok(Some((pod.name.clone(), words(lack, asked.resource, &format!("pod {}", pod.name)))));
        }
    }
    Ok(None)
}

/// What keeps the percentage of a metric from being taken, as a finding; nothing where all is there.
///
/// # Errors
///
/// When something that could keep it from being taken was not seen.
pub(crate) fn judge(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
    asked: Asked<'_>,
    new: &dyn Fn(String) -> Finding,
) -> Result<Option<Finding>, Undecided> {
    let own = match evidence.gate.target_of(plan) {
        Some(document) => match evidence.gate.workload(document) {
            Some(workload) => of_manifest(ctx, evidence, plan, &workload, asked, new),
            None => Err(Undecided {
                need: Need::Template,
                why: Why::Deferred(format!("the pods that {} {} makes", document.kind, document.name)),
            }),
        },
        None => of_cluster(ctx, evidence, plan, asked, new),
    };
    let others = of_others(ctx, evidence, plan, asked, new);
    match (own, others) {
        (Ok(Some(finding)), _) | (_, Ok(Some(finding))) => Ok(Some(finding)),
        (Err(open), _) | (_, Err(open)) => Err(open),
        (Ok(None), Ok(None)) => Ok(None),
    }
}

fn of_manifest(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
    workload: &Workload<'_>,
    asked: Asked<'_>,
    new: &dyn Fn(String) -> Finding,
) -> Result<Option<Finding>, Undecided> {
    let of = workload.words();
    let at = (of.as_str(), Some(workload.source));
    let found = lacking(ctx, evidence, &plan.namespace, &workload.template, asked, at)?;
    Ok(found.map(|lack| {
        let finding = new(words(lack, asked.resource, &of));
        prove(finding, workload, lack, asked.resource)
    }))
}

/// The pods of the cluster are what counts where nothing replaces them; where there are none, their template.
fn of_cluster(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
    asked: Asked<'_>,
    new: &dyn Fn(String) -> Finding,
) -> Result<Option<Finding>, Undecided> {
    let target = &plan.spec.target;
    let name = format!("{} {}", target.kind, target.name);
    if evidence.gate.offline {
        let because = format!("{name} is in none of the manifests, and the cluster was not asked");
        return Err(Undecided { need: Need::Template, why: Why::NotAsked(because) });
    }
    let pods = ctx.need(&plan.pods)?;
    if !pods.is_empty() {
        let found = pod_lacking(ctx, evidence, &mut pods.iter(), asked)?;
        return Ok(found.map(|found| live(new, &plan.pods, &name, &found, asked)));
    }
    let Some(template) = ctx.need(&plan.template)? else {
        let what = format!("the pods that {name} makes");
        return Err(Undecided { need: Need::Template, why: Why::Deferred(what) });
    };
    let found = lacking(ctx, evidence, &plan.namespace, template, asked, (&name, None))?;
    Ok(found.map(|lack| {
        let path = format!("{}.resources.requests.{}", super::path(&pointer(lack)), asked.resource);
        new(words(lack, asked.resource, &name))
            .cite(&plan.template, path, "absent or 0", "a quantity")
            .fact("target", format!("{}/{}", target.kind.to_ascii_lowercase(), target.name))
            .fact("resource", asked.resource)
            .fact("container", container_of(lack))
    }))
}

fn container_of(lack: Lack<'_>) -> &str {
    match lack {
        Lack::Container(container) | Lack::Zero(container) => &container.name,
        Lack::Pod => "",
    }
}

fn live(
    new: &dyn Fn(String) -> Finding,
    pods: &Obs<Vec<HpaPod>>,
    of: &str,
    (pod, words): &(String, String),
    asked: Asked<'_>,
) -> Finding {
    let path = format!("items[{pod}].spec.containers[].resources.requests.{}", asked.resource);
    new(format!("{words}, and the selector of {of} matches that pod")).cite(
        pods,
        path,
        "absent",
        "a quantity",
    )
}

/// Pods of others that the selector of the target picks: the controller asks all of them for their requests.
fn of_others(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
    asked: Asked<'_>,
    new: &dyn Fn(String) -> Finding,
) -> Result<Option<Finding>, Undecided> {
    let Some(selector) = selection::selector(ctx, evidence, plan)? else { return Ok(None) };
    let target = format!("{} {}", plan.spec.target.kind, plan.spec.target.name);
    let mut open = None;
    for other in selection::others(evidence, plan, &selector) {
        let of = other.words();
        let at = (of.as_str(), Some(other.source));
        match lacking(ctx, evidence, &plan.namespace, &other.template, asked, at) {
            Ok(Some(lack @ (Lack::Container(_) | Lack::Pod))) => {
                let words = words(lack, asked.resource, &of);
                let detail = format!("{words}, and the selector of {target} matches its pods too");
                return Ok(Some(prove(new(detail), &other, lack, asked.resource)));
            }
            Ok(_) => {}
            Err(missing) => open = Some(missing),
        }
    }
    if evidence.gate.offline || evidence.gate.target_of(plan).is_none() {
        return open.map_or(Ok(None), Err);
    }
    let pods = ctx.need(&plan.pods)?;
    let found = pod_lacking(ctx, evidence, &mut selection::other_pods(evidence, plan, pods), asked)?;
    match (found, open) {
        (Some(found), _) => Ok(Some(live(new, &plan.pods, &target, &found, asked))),
        (None, Some(open)) => Err(open),
        (None, None) => Ok(None),
    }
}
