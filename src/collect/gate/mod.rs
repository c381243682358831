//! The autoscalers that are to be deployed, and what of the cluster decides whether they will read their metrics.

mod dry_run;
mod events;
mod kinds;
mod namespaces;
mod rbac;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use checks::evidence::{
    Document, Evidence, Gate, HpaTarget, Look, Manifests, Metrics, Mode, Namespace, Need, Obs, Plan,
    PlanMetric, RequestId, Why,
};
use checks::plan::HpaSpec;
use jiff::Timestamp;

use super::ask::Asker;
use super::hpas::read_pod;
use super::{CollectOptions, cluster, json};
use crate::source::{Request, Source, guard, segment};
use kinds::{Kinds, kind_of};
use rbac::Roles;

/// So many autoscalers are judged one by one.
const MAX_PLANS: usize = 500;
/// Metrics of nodes that are older are looked into, in seconds. How often metrics-server scrapes is not known yet.
const OLD_S: i64 = 180;
/// And so many metrics of all of them.
const MAX_METRICS: usize = 2_000;

/// What a gate is asked.
#[expect(clippy::struct_excessive_bools, reason = "questions that are asked apart from each other")]
#[derive(Clone, Debug, Default)]
pub struct GateInput {
    /// What the manifests say.
    pub manifests: Manifests,
    /// The namespace of manifests that name none; where it is not given, that of the context.
    pub namespace: Option<String>,
    /// Judge the autoscalers of the cluster as well.
    pub live: bool,
    /// Ask no cluster.
    pub offline: bool,
    /// Look at the whole metrics pipeline also where the Metrics API gives what the autoscalers need.
    pub pipeline: bool,
    /// Ask the API server what it says of the manifests in a dry run.
    pub dry_run: bool,
    /// The minor version of Kubernetes 1 that the manifests are for.
    pub target_minor: Option<u32>,
}

/// Judges manifests without a cluster: nothing of one was seen.
pub(super) fn offline(source: &Source, input: &GateInput) -> Evidence {
    let why = Why::NotAsked("--offline".to_owned());
    let mut evidence = Evidence::unseen(Mode::Gate, source.now(), &why);
    evidence.gate = start(source, input);
    for plan in &mut evidence.gate.plans {
        *plan = unseen_plan(plan.clone(), &why);
    }
    evidence
}

/// Looks at what the autoscalers need, and at the whole pipeline where the Metrics API does not give it or it was asked for.
pub(super) async fn collect(source: &Source, options: &CollectOptions, input: &GateInput) -> Evidence {
    let asker = Asker::new(source);
    let why = Why::NotAsked("the Metrics API gives what the autoscalers need".to_owned());
    let mut gate = start(source, input);
    if input.live && gate.left_out == 0 {
        add_live(&asker, options, source, &mut gate).await;
    }
    // Where there are too many nothing is judged, so nobody needs to be asked.
    if gate.left_out > 0 {
        let why = Why::NotAsked("there are too many autoscalers".to_owned());
        let evidence = Evidence::unseen(Mode::Gate, source.now(), &why);
        return Evidence { gate, requests: asker.into_requests(), ..evidence };
    }
    let seen = cluster::collect(&asker, source).await;
    let (kinds, roles) = (Kinds::default(), Roles::default());
    let scaled = gate.manifests.documents.iter().filter(|document| document.kind == "ScaledObject");
    let scaled = scaled.map(|document| gate.namespace_of(document).to_owned());
    let names: BTreeSet<String> =
        gate.plans.iter().map(|plan| plan.namespace.clone()).chain(scaled).collect();
    // The source bounds how many requests are on their way at a time.
    let spaces =
        futures::future::join_all(names.iter().map(|name| namespaces::look(&asker, &seen, name))).await;
    gate.namespaces = names.into_iter().zip(spaces).collect();
    let is_absent = |(_, space): &(&String, &Namespace)| space.exists.peek() == Some(&false);
    let absent: BTreeMap<String, Vec<RequestId>> = (gate.namespaces.iter().filter(is_absent))
        .map(|(name, space)| (name.clone(), space.exists.from.clone()))
        .collect();
    let plans = gate.plans.iter_mut().map(|plan| async {
        let absent = absent.get(&plan.namespace);
        follow(&asker, &kinds, plan, absent.map(Vec::as_slice)).await;
        values::look(&asker, &kinds, &roles, &seen, plan).await;
        if absent.is_some() {
            values::defer(plan);
        }
        if events::are_wanted(plan) {
            events::look(&asker, plan).await;
        }
    });
    futures::future::join_all(plans).await;
    if input.dry_run {
        gate.trials = dry_run::look(&asker, &kinds, &gate).await;
    }
    let metrics = super::metrics(&asker).await;
    let mut evidence = if input.pipeline || lacks_metrics(&gate, &metrics, source.now()) {
        gate.pipeline = true;
        Box::pin(super::pipeline(&asker, source, options, seen)).await
    } else {
        let mut evidence = Evidence::unseen(Mode::Gate, source.now(), &why);
        evidence.cluster = seen;
        evidence.metrics = metrics;
        evidence
    };
    evidence.mode = Mode::Gate;
    if !gate.plans.is_empty() {
        evidence.controller_lease = super::hpas::controller_lease(&asker).await;
    }
    evidence.gate = gate;
    evidence.requests = asker.into_requests();
    evidence
}

/// What the manifests name, before anybody was asked.
fn start(source: &Source, input: &GateInput) -> Gate {
    let namespace = input.namespace.clone().or_else(|| source.context_namespace().map(str::to_owned));
    let namespace = namespace.unwrap_or_else(|| "default".to_owned());
    let mut plans: Vec<Option<Plan>> = Vec::new();
    let mut places: BTreeMap<(String, String), usize> = BTreeMap::new();
    for (index, document) in input.manifests.documents.iter().enumerate() {
        let Some(plan) = declared(document, index, &namespace) else { continue };
        // Of two that have one name the last is what is applied.
        if let Some(earlier) = places.insert((plan.namespace.clone(), plan.name.clone()), plans.len())
            && let Some(earlier) = plans.get_mut(earlier)
        {
            *earlier = None;
        }
        plans.push(Some(plan));
    }
    let mut plans: Vec<Plan> = plans.into_iter().flatten().collect();
    let left_out = limit(&mut plans);
    Gate {
        manifests: input.manifests.clone(),
        namespace,
        offline: input.offline,
        target_minor: input.target_minor,
        live: Obs::unseen(Need::Hpas, [], Why::NotAsked("without --live".to_owned())),
        pipeline: false,
        plans,
        trials: Vec::new(),
        left_out,
        namespaces: BTreeMap::new(),
        index: checks::plan::Index::default(),
    }
}

/// Leaves as many as are judged, and says how many those are that are not.
fn limit(plans: &mut Vec<Plan>) -> usize {
    let mut metrics = 0;
    let mut fits = |plan: &Plan| {
        metrics += plan.spec.metrics.len();
        metrics <= MAX_METRICS
    };
    let keep = plans.iter().take(MAX_PLANS).take_while(|plan| fits(plan)).count();
    plans.drain(keep..).count()
}

fn declared(document: &Document, index: usize, namespace: &str) -> Option<Plan> {
    if document.kind != "HorizontalPodAutoscaler" {
        return None;
    }
    let namespace = if document.namespace.is_empty() { namespace } else { &document.namespace };
    let spec = HpaSpec::read(&document.api_version, &document.body);
    Some(plan(namespace, &document.name_or_place(), Some(index), spec))
}

fn plan(namespace: &str, name: &str, document: Option<usize>, spec: HpaSpec) -> Plan {
    let why = Why::NotAsked("what leads to it was not seen".to_owned());
    let plan = Plan {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        document,
        spec,
        live: None,
        events: Obs::unseen(Need::Events, [], Why::NotAsked("its conditions tell".to_owned())),
        target: Obs::unseen(Need::Kinds, [], why.clone()),
        scale: Obs::unseen(Need::HpaTarget, [], why.clone()),
        template: Obs::unseen(Need::Template, [], why.clone()),
        pods: Obs::unseen(Need::HpaPods, [], why.clone()),
        scale_permitted: Obs::unseen(Need::ControllerAccess, [], why.clone()),
        metrics: Vec::new(),
    };
    unseen_plan(plan, &why)
}

/// The same plan, of which nothing was seen in the cluster.
fn unseen_plan(plan: Plan, why: &Why) -> Plan {
    let metrics = plan.spec.metrics.iter();
    Plan {
        target: Obs::unseen(Need::Kinds, [], why.clone()),
        scale: Obs::unseen(Need::HpaTarget, [], why.clone()),
        template: Obs::unseen(Need::Template, [], why.clone()),
        pods: Obs::unseen(Need::HpaPods, [], why.clone()),
        scale_permitted: Obs::unseen(Need::ControllerAccess, [], why.clone()),
        metrics: metrics
            .map(|metric| PlanMetric {
                described: Obs::unseen(Need::Kinds, [], why.clone()),
                permitted: Obs::unseen(Need::ControllerAccess, [], why.clone()),
                answer: Obs::unseen(values::need(&metric.source), [], why.clone()),
            })
            .collect(),
        ..plan
    }
}

/// Adds the autoscalers of the cluster, and marks those of the manifests that are there already.
async fn add_live(asker: &Asker<'_>, options: &CollectOptions, source: &Source, gate: &mut Gate) {
    let hpas = super::hpas::list_all(asker, options, source.context_namespace()).await;
    let Look::Seen(list) = &hpas.look else {
        gate.live = hpas.map(Need::Hpas, |_| ());
        return;
    };
    for hpa in list {
        let own = |plan: &Plan| plan.namespace == hpa.namespace && plan.name == hpa.name;
        if let Some(plan) = gate.plans.iter_mut().find(|plan| own(plan)) {
            plan.live = Some(hpa.clone());
        } else {
            let mut added = plan(&hpa.namespace, &hpa.name, None, hpa.spec.clone());
            added.live = Some(hpa.clone());
            gate.plans.push(added);
        }
    }
    gate.left_out += limit(&mut gate.plans);
    gate.live = hpas.map(Need::Hpas, |_| ());
}

/// Follows the reference to the target: its kind, its scale, its template and its pods. Of a namespace that is not there,
/// as the requests in `absent` have shown, nothing more is asked.
async fn follow(asker: &Asker<'_>, kinds: &Kinds, plan: &mut Plan, absent: Option<&[RequestId]>) {
    let target = &plan.spec.target;
    let found = kinds.find(asker, target.group(), &target.kind).await;
    plan.target = found.clone().map(Need::Kinds, kind_of);
    let found = match found.look {
        Look::Seen(Some(kind)) if kind.scalable => kind,
        Look::Seen(_) => return nothing(plan, &Why::Unsupported("the kind has no scale".to_owned())),
        Look::Unseen(why) => return nothing(plan, &why),
    };
    if let Some(from) = absent {
        nothing(plan, &namespaces::not_there(&plan.namespace));
        plan.pods = Obs::seen(Need::HpaPods, from, Vec::new());
        return;
    }
    let (Ok(namespace), Ok(name)) = (segment(&plan.namespace), segment(&target.name)) else {
        return nothing(plan, &Why::Unreadable("the target has no usable name".to_owned()));
    };
    let root = format!("{}/namespaces/{namespace}/{}/{name}", found.root, found.resource);
    let asked = asker.ask(Request::get(format!("{root}/scale"))).await;
    let permission = format!("{}/scale in {}", found.permission(), plan.namespace);
    plan.scale = asked.find(Need::HpaTarget, "get", &permission, |body| {
        Some(HpaTarget {
            replicas: json::number(&body["spec"]["replicas"]),
            selector: json::text(&body["status"]["selector"]),
        })
    });
    if found.has_readable_template() {
        let asked = asker.ask(Request::get(&root)).await;
        let permission = format!("{} in {}", found.permission(), plan.namespace);
        plan.template = asked.find(Need::Template, "get", &permission, |body| {
            Some(checks::plan::read_template(&body["spec"]["template"], "/spec/template"))
        });
    } else {
        plan.template = Obs::unseen(
            Need::Template,
            [],
            Why::Unsupported(format!("pods of a {} are known when they run", target.kind)),
        );
    }
    plan.pods = match &plan.scale.look {
        Look::Unseen(why) => Obs::unseen(Need::HpaPods, plan.scale.from.clone(), why.clone()),
        Look::Seen(None) => Obs::seen(Need::HpaPods, plan.scale.from.clone(), Vec::new()),
        Look::Seen(Some(scale)) if scale.selector.is_empty() => {
            Obs::unseen(Need::HpaPods, [], Why::NotAsked("the target has no selector".to_owned()))
        }
        Look::Seen(Some(scale)) => {
            let selector = guard::query_value(&scale.selector);
            let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}");
            let pods = asker.list(&path, &format!("pods in {}", plan.namespace)).await;
            pods.each(Need::HpaPods, read_pod)
        }
    };
}

fn nothing(plan: &mut Plan, why: &Why) {
    plan.scale = Obs::unseen(Need::HpaTarget, [], why.clone());
    plan.template = Obs::unseen(Need::Template, [], why.clone());
    plan.pods = Obs::unseen(Need::HpaPods, [], why.clone());
}

/// Whether the Metrics API does not give a resource metric that an autoscaler needs, so that the reason is looked for.
fn lacks_metrics(gate: &Gate, metrics: &Metrics, now: Timestamp) -> bool {
    let lacks = |plan: &Plan| {
        let asked = plan.spec.metrics.iter().zip(&plan.metrics);
        asked.filter(|(metric, _)| metric.source.group() == Some("metrics.k8s.io")).any(|(_, seen)| {
            match &seen.answer.look {
                Look::Unseen(why) => {
                    matches!(why, Why::TimedOut(_) | Why::Unreachable(_) | Why::Unreadable(_))
                }
                Look::Seen(answer) if answer.status != 200 => true,
                Look::Seen(answer) if !answer.items.is_empty() => false,
                Look::Seen(_) => old_pods(plan, now).unwrap_or_else(|| no_node_metrics(metrics, now)),
            }
        })
    };
    gate.plans.iter().any(lacks)
}

/// Whether an autoscaler has pods for which there should be metrics by now; nothing where it has none.
fn old_pods(plan: &Plan, now: Timestamp) -> Option<bool> {
    let pods = plan.pods.peek().filter(|pods| !pods.is_empty())?;
    Some(pods.iter().any(|pod| {
        pod.phase == "Running" && now.duration_since(pod.created).as_secs() > checks::plan::YOUNG_S
    }))
}

/// Whether the Metrics API has nothing about any node, or nothing that is from now.
fn no_node_metrics(metrics: &Metrics, now: Timestamp) -> bool {
    let is_old = |time: Timestamp| now.duration_since(time).as_secs() > OLD_S;
    metrics.nodes.peek().is_some_and(|nodes| nodes.iter().all(|metric| is_old(metric.timestamp)))
}
