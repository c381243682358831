//! From observations to evidence: one file a hop, each following the references of the one before.

mod ask;
mod backend;
mod cluster;
mod front_proxy;
mod gate;
mod hosts;
mod hpas;
mod json;
mod kubelets;
mod nodes;
mod policies;
mod probes;

use checks::evidence::{
    Answer, Cluster, Evidence, Gate, LogSignal, Metrics, Mode, Need, NodeMetric, Obs, Why,
};
use serde_json::Value;

use crate::source::{Request, Source};
use ask::{Asked, Asker};
pub use gate::GateInput;
pub use hosts::HostLook;
#[cfg(target_os = "linux")]
pub use json::pem_certificates;
pub(crate) use json::strings;
pub use probes::ProbeLook;

/// What to look at.
#[derive(Clone, Debug)]
pub struct CollectOptions {
    /// The question.
    pub mode: Mode,
    /// Look at the HPAs of this namespace only.
    pub namespace: Option<String>,
    /// Whether kubelets are dialled from here.
    pub kubelets: KubeletLook,
    /// Ask every kubelet for its configuration, not only those that are suspect.
    pub all_nodes: bool,
    /// What a gate is asked; nothing for any other question.
    pub gate: Option<GateInput>,
    /// The minor version of Kubernetes 1 that machines are to get.
    pub target_minor: Option<u32>,
    /// The machines that were looked at from within.
    pub hosts: Vec<HostLook>,
    /// The nodes from which a pod looked in metrics-server's place.
    pub probes: Vec<ProbeLook>,
}

/// Whether kubelets are dialled from where the program runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KubeletLook {
    /// Dial them, and stop early where none of the first answers.
    #[default]
    Auto,
    /// Dial every one of them.
    Always,
    /// Dial none.
    Never,
}

/// Turns a container's log into signatures; nothing else of it is kept.
#[must_use]
pub fn filter_log(log: &str) -> Value {
    serde_json::to_value(checks::evidence::read_log(log)).unwrap_or_default()
}

/// Looks at what the question is about.
pub async fn collect(source: &Source, options: &CollectOptions) -> Evidence {
    if options.mode == Mode::Host {
        return of_machines(source, options).await;
    }
    match &options.gate {
        Some(input) if input.offline => gate::offline(source, input),
        Some(input) => Box::pin(gate::collect(source, options, input)).await,
        None => {
            let asker = Asker::new(source);
            let cluster = cluster::collect(&asker, source).await;
            let mut evidence = Box::pin(pipeline(&asker, source, options, cluster)).await;
            evidence.hosts =
                Box::pin(hosts::collect(&asker, &options.hosts, &evidence.nodes, evidence.taken_at)).await;
            evidence.gate.target_minor = options.target_minor;
            evidence.probes = probes::collect(&asker, &options.probes, evidence.taken_at).await;
            evidence.hpas = hpas::collect(&asker, options, source.context_namespace()).await;
            if evidence.hpas.peek().is_some_and(|hpas| !hpas.is_empty()) {
                evidence.controller_lease = hpas::controller_lease(&asker).await;
            }
            evidence.requests = asker.into_requests();
            evidence
        }
    }
}

/// Looks at machines alone.
async fn of_machines(source: &Source, options: &CollectOptions) -> Evidence {
    let asker = Asker::new(source);
    let why = Why::NotAsked("no cluster was asked, only this machine".to_owned());
    let mut evidence = Evidence::unseen(Mode::Host, source.now(), &why);
    evidence.hosts =
        Box::pin(hosts::collect(&asker, &options.hosts, &evidence.nodes, evidence.taken_at)).await;
    evidence.gate.target_minor = options.target_minor;
    evidence.requests = asker.into_requests();
    evidence
}

/// Looks at the whole pipeline, but for the HPAs at its end.
async fn pipeline(
    asker: &Asker<'_>,
    source: &Source,
    options: &CollectOptions,
    cluster: Cluster,
) -> Evidence {
    let (registration, front_proxy) = (backend::registration(asker).await, front_proxy::collect(asker).await);
    let metrics = metrics(asker).await;
    let backend = backend::collect(asker, options.mode, &registration).await;
    let taken_at = source.now();
    let nodes = nodes::collect(asker, options, &backend, &metrics, taken_at).await;
    let asked_for = policies::collect(asker, &registration, &backend, &nodes, &metrics, taken_at).await;
    let cluster = cluster::with_distribution(asker, cluster, &nodes).await;
    Evidence {
        taken_at,
        mode: options.mode,
        requests: Vec::new(),
        cluster,
        registration,
        backend,
        nodes,
        front_proxy,
        metrics,
        hpas: Obs::unseen(Need::Hpas, [], Why::NotAsked("the pipeline was the question".to_owned())),
        controller_lease: Obs::unseen(
            Need::ControllerLease,
            [],
            Why::NotAsked("no autoscaler was seen that it would serve".to_owned()),
        ),
        gate: Gate::default(),
        policies: asked_for.policies,
        api_servers: asked_for.api_servers,
        hosts: Vec::new(),
        probes: Vec::new(),
    }
}

/// What the Metrics API answers to the caller.
async fn metrics(asker: &Asker<'_>) -> Metrics {
    let root = "/apis/metrics.k8s.io/v1beta1";
    let asked = asker.all(vec![Request::get(root), Request::get(format!("{root}/nodes"))]).await;
    let [discovery, nodes] = asked.as_slice() else { unreachable!("two requests have two answers") };
    let samples = nodes.read(Need::NodeMetrics, "list", "nodes.metrics.k8s.io", |body| {
        Some(json::items(&body["items"]).filter_map(node_metric).collect())
    });
    Metrics {
        discovery: answer(discovery, Need::MetricsDiscovery),
        nodes_answer: answer(nodes, Need::NodeMetrics),
        nodes: samples,
    }
}

/// An HTTP answer as it is; undecided where there was none.
fn answer(asked: &Asked, need: Need) -> Obs<Answer> {
    match asked.status() {
        Some(status) => {
            let message = if status == 200 { String::new() } else { asked.message() };
            Obs::seen(need, [asked.id], Answer { status: i64::from(status), message })
        }
        None => Obs::unseen(need, [asked.id], ask::why(&asked.observation, "get", "metrics.k8s.io")),
    }
}

fn node_metric(item: &Value) -> Option<NodeMetric> {
    let window: jiff::Span =
        item["window"].as_str().and_then(|window| window.parse().ok()).unwrap_or_default();
    let window_s = window.total(jiff::Unit::Second).unwrap_or_default();
    Some(NodeMetric {
        node: json::text(&item["metadata"]["name"]),
        timestamp: json::time(&item["timestamp"])?,
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a window is a few seconds; casts of floats saturate"
        )]
        window_s: window_s as i64,
    })
}

/// The signals in the answer to a request for a log, marked with where they come from.
fn signals(asked: &Asked, pod: &str, previous: bool) -> Option<Vec<LogSignal>> {
    let body = asked.observation.json()?;
    let mut signals: Vec<LogSignal> = serde_json::from_value(body.clone()).ok()?;
    for signal in &mut signals {
        pod.clone_into(&mut signal.pod);
        signal.previous = previous;
    }
    Some(signals)
}
