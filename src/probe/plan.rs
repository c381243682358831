//! The plan of a run: in whose place the pods look, on which nodes, and what they dial.

use std::net::IpAddr;

use checks::evidence::{Backend, Evidence, Look, Mode, Node, Why};
use checks::plan::{Labels, Selector};
use jiff::Timestamp;
use serde_json::Value;

use super::errand::Errand;
use super::labels::{self, Named};
use super::machine::{self, MachinePlan};
use super::manifest;
use super::message::{Group, Message, Unreadable};
use super::nodes::{self, Wanted};
use super::report::{Kubelet, Report};
use super::run::Run;
use super::task::{KubeletTask, METRICS_PATH, Task};
use crate::source::live::is_forbidden;
use crate::source::{Request, Source, segment};

/// The time that the program inside has for its dials.
const INSIDE_S: u64 = 30;
/// How long after its deadline a run may still be cleaning up.
const CLEANING_S: u64 = 60;
/// The most kubelets that one pod dials; more would not fit into what it can say.
pub const KUBELETS: usize = 1000;

/// What the user wants.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The image with this program.
    pub image: String,
    /// On which nodes.
    pub nodes: Wanted,
    /// The time for all pods together, in seconds.
    pub deadline_s: u64,
    /// Whether machines are looked at as well.
    pub machines: bool,
}

/// In whose place the pods look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Place {
    /// The namespace.
    pub namespace: String,
    /// The ServiceAccount.
    pub service_account: String,
    /// The labels besides the marks of a probe.
    pub labels: Labels,
    /// As metrics-server's.
    pub host_network: bool,
    /// As metrics-server's.
    pub dns_policy: Option<String>,
    /// As metrics-server's.
    pub tolerations: Value,
    /// The image.
    pub image: String,
    /// When the kubelet ends a pod.
    pub deadline_s: u64,
    /// In what it differs from metrics-server's pod.
    pub differs: Vec<String>,
    /// Why NetworkPolicies may treat both differently.
    pub policies_differ: Option<String>,
}

/// One pod.
#[derive(Clone, Debug, PartialEq)]
pub struct PodPlan {
    /// Its name.
    pub name: String,
    /// Its node.
    pub node: String,
    /// What it dials.
    pub task: Task,
}

/// All of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The run.
    pub run: Run,
    /// In whose place.
    pub place: Place,
    /// The pods.
    pub pods: Vec<PodPlan>,
    /// The pods that look at machines first, where they are wanted.
    pub machines: Option<MachinePlan>,
    /// What is to be told of the choice.
    pub notes: Vec<String>,
}

impl Errand for Plan {
    type Seen = Report;

    fn run(&self) -> &Run {
        &self.run
    }

    fn namespace(&self) -> &str {
        &self.place.namespace
    }

    fn own_namespace(&self) -> Option<Value> {
        None
    }

    fn names(&self) -> Vec<String> {
        self.pods.iter().map(|pod| pod.name.clone()).collect()
    }

    fn manifest(&self, place: usize, owner: Option<(&str, &str)>) -> Value {
        manifest::pod(&self.place, &self.run, &self.pods[place], owner)
    }

    fn image(&self) -> &str {
        &self.place.image
    }

    fn deadline_s(&self) -> u64 {
        self.place.deadline_s
    }

    fn containers(&self) -> &'static [&'static str] {
        &[manifest::CONTAINER]
    }

    /// What a pod saw, with the names of what it was told to dial.
    fn read(&self, place: usize, said: &[&str], now: Timestamp) -> Result<Report, Unreadable> {
        let message = Message::read(said.first().copied().unwrap_or_default())?;
        let unfit = || Look::Unseen(Why::NotAsked("it did not fit into what a pod can say".to_owned()));
        let reach = |place: usize| {
            let holds = |group: &&Group| group.1.iter().any(|(from, to)| (*from..=*to).contains(&place));
            message.kubelets.iter().find(holds).map_or_else(unfit, |group| group.0.clone())
        };
        let kubelets = self.pods[place].task.kubelets.iter().enumerate();
        let address = |host: &str, port: u16| {
            if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
        };
        Ok(Report {
            namespace: self.place.namespace.clone(),
            taken_at: now,
            differs: self.place.differs.clone(),
            policies_differ: self.place.policies_differ.clone(),
            kubelets: kubelets
                .map(|(place, kubelet)| Kubelet {
                    node: kubelet.node.clone(),
                    address: address(&kubelet.address, kubelet.port),
                    reach: reach(place),
                })
                .collect(),
            api: message.api,
            api_direct: message.direct,
            service: message.service,
            dns: message.dns,
        })
    }
}

/// Makes the plan from what `check` saw, and from what NetworkPolicies, Services and controllers select.
///
/// # Errors
/// One sentence, when there is nothing to plan.
pub async fn make(source: &Source, evidence: &Evidence, wish: &Wish, now: Timestamp) -> Result<Plan, String> {
    let times = if wish.machines { 2 } else { 1 };
    let run = Run::begin(now, times * (wish.deadline_s + CLEANING_S))?;
    let place = place(source, evidence, wish, &run).await?;
    let Some(nodes) = evidence.nodes.peek() else {
        return Err("the nodes were not seen, so it is not known where to look from".to_owned());
    };
    let own = evidence.backend.pods.peek().map(Vec::as_slice).unwrap_or_default();
    let own: Vec<String> = own.iter().filter_map(|pod| pod.node.clone()).collect();
    let (chosen, mut notes) = nodes::choose(nodes, &own, &[], &wish.nodes)?;
    let machines = if wish.machines {
        // What is to be said of the choice is said already.
        let (chosen, _) = nodes::choose(nodes, &own, &machine::suspects(evidence), &wish.nodes)?;
        Some(MachinePlan::make(evidence, &run, &chosen, &wish.image, wish.deadline_s))
    } else {
        None
    };
    let task = task(source, evidence, nodes, &mut notes).await;
    let pods = chosen
        .into_iter()
        .enumerate()
        .map(|(number, node)| PodPlan { name: run.name(number), node, task: task.clone() })
        .collect();
    Ok(Plan { run, place, pods, machines, notes })
}

/// Where nothing is installed: the namespace that the released manifest uses.
const NAMESPACE: &str = "kube-system";

async fn place(source: &Source, evidence: &Evidence, wish: &Wish, run: &Run) -> Result<Place, String> {
    let pod = evidence.backend.pods.peek().and_then(|pods| pods.iter().max_by_key(|pod| pod.ready));
    let workload = evidence.backend.workload.peek().and_then(Option::as_ref);
    let mut place = Place {
        image: wish.image.clone(),
        deadline_s: wish.deadline_s,
        tolerations: Value::Array(Vec::new()),
        ..Place::default()
    };
    let (path, own) = match (pod, workload) {
        (Some(pod), _) => {
            place.namespace.clone_from(&pod.namespace);
            (
                format!("/api/v1/namespaces/{}/pods/{}", part(&pod.namespace)?, part(&pod.name)?),
                pod.labels.clone(),
            )
        }
        (None, Some(workload)) if workload.kind == "Deployment" => {
            place.namespace.clone_from(&workload.namespace);
            let (namespace, name) = (part(&workload.namespace)?, part(&workload.name)?);
            (format!("/apis/apps/v1/namespaces/{namespace}/deployments/{name}"), workload.labels.clone())
        }
        _ => {
            NAMESPACE.clone_into(&mut place.namespace);
            "default".clone_into(&mut place.service_account);
            let why =
                if evidence.mode == Mode::BeforeInstall { "is not installed yet" } else { "was not found" };
            place
                .differs
                .push(format!("metrics-server {why}: it runs as the ServiceAccount default of {NAMESPACE}"));
            return Ok(place);
        }
    };
    let answer = source.ask(Request::get(path)).await;
    let Some(object) = answer.json() else {
        return Err("the pod or the Deployment of metrics-server cannot be read again".to_owned());
    };
    let spec =
        if object["kind"] == "Deployment" { &object["spec"]["template"]["spec"] } else { &object["spec"] };
    place.service_account = spec["serviceAccountName"].as_str().unwrap_or("default").to_owned();
    place.host_network = spec["hostNetwork"] == true;
    place.dns_policy = spec["dnsPolicy"].as_str().map(str::to_owned);
    if spec["tolerations"].is_array() {
        place.tolerations = spec["tolerations"].clone();
    }
    if !place.host_network {
        let (policies, takers) =
            (policies(source, &place.namespace).await, takers(source, &place.namespace).await);
        let choice = labels::choose(&own, &policies, &takers, &run.id).map_err(|taker| {
            format!("{taker} in {} would take the pod of a probe for its own", place.namespace)
        })?;
        place.labels = choice.carried;
        place.policies_differ = choice.policies_differ;
        place.differs.extend(
            place
                .policies_differ
                .iter()
                .map(|why| format!("NetworkPolicies may treat it differently: {why}")),
        );
    }
    Ok(place)
}

fn part(name: &str) -> Result<String, String> {
    segment(name).map_err(|refused| refused.reason)
}

async fn policies(source: &Source, namespace: &str) -> Result<Vec<Named>, String> {
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{}/networkpolicies", part(namespace)?);
    let list = list(source, &path).await?;
    let name = |policy: &Value| policy["metadata"]["name"].as_str().unwrap_or_default().to_owned();
    let read = list.iter().map(|policy| {
        let selector = &policy["spec"]["podSelector"];
        let selector = if selector.is_null() {
            Selector::read(&serde_json::json!({}))
        } else {
            Selector::read(selector)
        };
        let selector =
            selector.ok_or_else(|| format!("the selector of NetworkPolicy {} is unknown", name(policy)))?;
        Ok(Named { whose: format!("NetworkPolicy {}", name(policy)), selector })
    });
    read.collect()
}

/// Whoever would send traffic to a pod of these labels, or take it for one of its own.
async fn takers(source: &Source, namespace: &str) -> Result<Vec<Named>, String> {
    let namespace = part(namespace)?;
    let mut takers = Vec::new();
    for service in list(source, &format!("/api/v1/namespaces/{namespace}/services")).await? {
        let selector = crate::collect::strings(&service["spec"]["selector"]);
        if !selector.is_empty() {
            let name = service["metadata"]["name"].as_str().unwrap_or_default();
            takers.push(Named { whose: format!("Service {name}"), selector: Selector::of(&selector) });
        }
    }
    for (kind, plural) in [
        ("Deployment", "deployments"),
        ("ReplicaSet", "replicasets"),
        ("StatefulSet", "statefulsets"),
        ("DaemonSet", "daemonsets"),
    ] {
        for object in list(source, &format!("/apis/apps/v1/namespaces/{namespace}/{plural}")).await? {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let selector =
                Selector::read(&object["spec"]["selector"]).filter(|selector| !selector.is_empty());
            takers.extend(selector.map(|selector| Named { whose: format!("{kind} {name}"), selector }));
        }
    }
    Ok(takers)
}

/// A list, all pages of it.
async fn list(source: &Source, path: &str) -> Result<Vec<Value>, String> {
    let mut items = Vec::new();
    let mut next = String::new();
    for _ in 0..40 {
        let answer = source.ask(Request::get(format!("{path}?limit=500{next}"))).await;
        let Some(body) = answer.json() else {
            let kind = path.rsplit('/').next().unwrap_or_default();
            return Err(match answer.response() {
                Some((403, _)) => format!("to list {kind} is not permitted"),
                Some((status, _)) => format!("the list of {kind} gave status {status}"),
                None => format!("the list of {kind} gave no answer"),
            });
        };
        items.extend(body["items"].as_array().into_iter().flatten().cloned());
        match body["metadata"]["continue"].as_str().filter(|token| !token.is_empty()) {
            Some(token) => next = format!("&continue={}", crate::source::guard::query_value(token)),
            None => return Ok(items),
        }
    }
    Err("there are too many of them".to_owned())
}

/// What every pod dials.
async fn task(source: &Source, evidence: &Evidence, nodes: &[Node], notes: &mut Vec<String>) -> Task {
    let args = evidence.backend.args.peek().map(Vec::as_slice).unwrap_or_default();
    let mut kubelets = kubelets(source, nodes).await;
    if kubelets.len() > KUBELETS {
        notes.push(format!(
            "{KUBELETS} of {} kubelets are dialled: no more fit into what a pod can say",
            kubelets.len()
        ));
        kubelets.truncate(KUBELETS);
    }
    Task {
        kubelets,
        api: api_servers(source).await,
        service: evidence.backend.service.peek().and_then(Option::as_ref).and_then(|service| {
            let address: IpAddr = service.cluster_ip.parse().ok()?;
            let port = service.ports.first()?.port;
            Some(std::net::SocketAddr::new(address, u16::try_from(port).ok()?).to_string())
        }),
        token: has_token(args),
        seconds: INSIDE_S,
    }
}

/// Whether metrics-server shows kubelets its token, and trusts the CA that every pod has: only then can a pod in its
/// place do the same.
fn has_token(args: &[String]) -> bool {
    let own_ca = Backend::flag(args, "kubelet-certificate-authority")
        .is_none_or(|file| file.starts_with("/var/run/secrets/kubernetes.io/serviceaccount/"));
    own_ca && Backend::flag(args, "kubelet-client-certificate").is_none()
}

async fn kubelets(source: &Source, nodes: &[Node]) -> Vec<KubeletTask> {
    let paths = paths(source).await;
    let mut kubelets: Vec<(bool, KubeletTask)> = Vec::new();
    for node in nodes {
        let Some(Some((address, port))) = node.dial.peek() else { continue };
        let Ok(port) = u16::try_from(*port) else { continue };
        if address.parse().is_ok_and(is_forbidden) || address.contains(',') {
            continue;
        }
        let path = paths.iter().find(|(name, _)| *name == node.name).map(|(_, path)| path.clone());
        let path = path.unwrap_or_else(|| METRICS_PATH.to_owned());
        kubelets.push((
            node.ready,
            KubeletTask { node: node.name.clone(), address: address.clone(), port, path },
        ));
    }
    // Of a node that is not Ready no answer is expected; it comes last.
    kubelets.sort_by_key(|(ready, _)| !ready);
    kubelets.into_iter().map(|(_, kubelet)| kubelet).collect()
}

/// The nodes that want to be asked elsewhere (`metrics.k8s.io/resource-metrics-path`).
async fn paths(source: &Source) -> Vec<(String, String)> {
    let nodes = list(source, "/api/v1/nodes").await.unwrap_or_default();
    let path = |node: &Value| {
        let path = node["metadata"]["annotations"]["metrics.k8s.io/resource-metrics-path"].as_str()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._".contains(&byte);
        let path = path.starts_with('/').then_some(path)?;
        let name = node["metadata"]["name"].as_str()?;
        path.bytes().all(plain).then(|| (name.to_owned(), path.to_owned()))
    };
    nodes.iter().filter_map(path).collect()
}

/// The API servers behind the Service `kubernetes`.
async fn api_servers(source: &Source) -> Vec<String> {
    let path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes&limit=500";
    let answer = source.ask(Request::get(path)).await;
    let Some(body) = answer.json() else { return Vec::new() };
    let mut addresses = Vec::new();
    for slice in body["items"].as_array().into_iter().flatten() {
        let port = slice["ports"][0]["port"].as_u64().and_then(|port| u16::try_from(port).ok());
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            let address =
                endpoint["addresses"][0].as_str().and_then(|address| address.parse::<IpAddr>().ok());
            if let (Some(address), Some(port)) = (address.filter(|address| !is_forbidden(*address)), port) {
                addresses.push(std::net::SocketAddr::new(address, port).to_string());
            }
        }
    }
    addresses.truncate(16);
    addresses
}
