//! NetworkPolicies, and the kube-apiservers that they have to let through: asked for where a symptom asks for them.

use checks::evidence::{
    Answer, ApiServer, ApiService, Backend, Condition, Look, Metrics, Need, NetworkPolicy, Node, Obs, Peer,
    PolicyPort, PolicyRule, Why,
};
use jiff::Timestamp;
use serde_json::Value;

use super::ask::{self, Asker};
use super::json;
use crate::source::guard::INSTANCE_PATHS;
use crate::source::{FailureKind, Host, Outcome, Request, segment};

/// What was seen of them.
pub(super) struct Policies {
    pub(super) policies: Obs<Vec<NetworkPolicy>>,
    pub(super) api_servers: Obs<Vec<ApiServer>>,
}

/// The most rules, peers or ports of one policy that are read; a policy with more is not read at all.
const MAX_PARTS: usize = 2_000;

/// Lists what a symptom asks for.
pub(super) async fn collect(
    asker: &Asker<'_>,
    registration: &Obs<Option<ApiService>>,
    backend: &Backend,
    nodes: &Obs<Vec<Node>>,
    metrics: &Metrics,
    now: Timestamp,
) -> Policies {
    let has_symptom = has_symptom(registration, backend, nodes, metrics);
    let mut found = nothing(&Why::NotAsked("nothing of the pipeline asks for them".to_owned()));
    if has_symptom || may_come_and_go(registration, now) {
        found.api_servers = asked(asker, api_servers(asker).await).await;
    }
    if has_symptom {
        found.policies = policies(asker, registration).await;
    }
    found
}

/// Lists the policies of metrics-server's namespace.
async fn policies(asker: &Asker<'_>, registration: &Obs<Option<ApiService>>) -> Obs<Vec<NetworkPolicy>> {
    let service = registration.peek().and_then(|found| found.as_ref()?.service.as_ref());
    let namespace = service.and_then(|service| segment(&service.namespace).ok());
    let Some(namespace) = namespace else {
        let why = Why::NotAsked("the namespace of metrics-server is not known".to_owned());
        return Obs::unseen(Need::NetworkPolicies, [], why);
    };
    let policies = asker
        .list(
            &format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"),
            &format!("networkpolicies.networking.k8s.io in {namespace}"),
        )
        .await;
    let mut policies = policies.each(Need::NetworkPolicies, |item| Some(read_policy(item)));
    // A policy that cannot be read may allow what the others deny.
    if policies.peek().is_some_and(|list| list.iter().any(Option::is_none)) {
        let why = Why::Unreadable(format!("a NetworkPolicy in {namespace} is not of the form that is read"));
        policies = Obs::unseen(Need::NetworkPolicies, policies.from, why);
    }
    policies.map(Need::NetworkPolicies, |list| list.into_iter().flatten().collect())
}

/// The addresses behind the Service `default/kubernetes`.
async fn api_servers(asker: &Asker<'_>) -> Obs<Vec<ApiServer>> {
    let listed = asker
        .list(
            "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes",
            "endpointslices.discovery.k8s.io in default",
        )
        .await;
    let read = |slice: &Value| {
        let ports: Vec<i64> = json::items(&slice["ports"]).map(|port| json::number(&port["port"])).collect();
        let addresses =
            json::items(&slice["endpoints"]).flat_map(|endpoint| json::texts(&endpoint["addresses"]));
        let servers = addresses.flat_map(|address| {
            ports.iter().map(move |port| ApiServer::unasked(address.clone(), *port)).collect::<Vec<_>>()
        });
        Some(servers.filter(|server| server.address.parse::<std::net::IpAddr>().is_ok()).collect::<Vec<_>>())
    };
    listed.each(Need::ApiServers, read).map(Need::ApiServers, |slices| {
        let mut all: Vec<ApiServer> = slices.into_iter().flatten().collect();
        all.sort_by(|one, other| (&one.address, one.port).cmp(&(&other.address, other.port)));
        all.dedup_by(|one, other| one.address == other.address && one.port == other.port);
        all
    })
}

/// So many kube-apiservers are asked; control planes have three, or five.
const MAX_ASKED: usize = 7;

/// Asks each kube-apiserver of several whether it reaches metrics-server. One that stands alone has answered already.
async fn asked(asker: &Asker<'_>, mut servers: Obs<Vec<ApiServer>>) -> Obs<Vec<ApiServer>> {
    let Look::Seen(list) = &mut servers.look else { return servers };
    if list.len() < 2 {
        return servers;
    }
    let [version, discovery] = INSTANCE_PATHS;
    let request = |server: &ApiServer, path: &str| {
        let address: Host = server.address.parse().ok()?;
        Some(Request::api_server(address, u16::try_from(server.port).ok()?, path))
    };
    let first: Vec<Request> =
        list.iter().take(MAX_ASKED).filter_map(|server| request(server, version)).collect();
    asker.all(first).await;
    for server in list.iter_mut().skip(MAX_ASKED) {
        server.discovery = Obs::unseen(Need::ApiServers, [], Why::NotSampled);
    }
    let second: Vec<Request> =
        list.iter().take(MAX_ASKED).filter_map(|server| request(server, discovery)).collect();
    asker.all(second).await;
    for server in list.iter_mut().take(MAX_ASKED) {
        let (Some(first), Some(second)) = (request(server, version), request(server, discovery)) else {
            continue;
        };
        let alive = asker.ask(first).await;
        if alive.status().is_none() {
            let why = ask::why(&alive.observation, "get", "/version");
            server.discovery = Obs::unseen(Need::ApiServers, [alive.id], why);
            continue;
        }
        let answer = asker.ask(second).await;
        let timed_out =
            matches!(&answer.observation.outcome, Outcome::Failed { kind: FailureKind::TimedOut, .. });
        server.discovery = if timed_out {
            let message = "it answers for itself, and gave no answer to this in time".to_owned();
            Obs::seen(Need::ApiServers, [answer.id], Answer { status: 0, message })
        } else {
            super::answer(&answer, Need::ApiServers)
        };
    }
    servers
}

fn nothing(why: &Why) -> Policies {
    Policies {
        policies: Obs::unseen(Need::NetworkPolicies, [], why.clone()),
        api_servers: Obs::unseen(Need::ApiServers, [], why.clone()),
    }
}

/// Whether anything is wrong that a policy may have brought about. A pipeline that works costs no request.
fn has_symptom(
    registration: &Obs<Option<ApiService>>,
    backend: &Backend,
    nodes: &Obs<Vec<Node>>,
    metrics: &Metrics,
) -> bool {
    let condition = registration.peek().and_then(|found| found.as_ref()?.available.as_ref());
    let pods = backend.pods.peek().map(Vec::as_slice).unwrap_or_default();
    let nodes = nodes.peek().map(Vec::as_slice).unwrap_or_default();
    condition.is_some_and(|condition: &Condition| !condition.is_true())
        || metrics.discovery.peek().is_some_and(|answer| matches!(answer.status, 502..=504))
        || pods.iter().any(|pod| !pod.ready)
        || nodes.iter().any(|node| matches!(node.scrape_log.peek(), Some(Some(_))))
}

/// Whether the APIService is Available since just now. It may be new; or one kube-apiserver of several does not reach
/// metrics-server, and the others correct what it writes.
fn may_come_and_go(registration: &Obs<Option<ApiService>>, now: Timestamp) -> bool {
    let condition = registration.peek().and_then(|found| found.as_ref()?.available.as_ref());
    condition.is_some_and(|condition| condition.is_true() && !condition.is_true_for_all(now))
}

fn read_policy(item: &Value) -> Option<NetworkPolicy> {
    let spec = &item["spec"];
    let types = json::texts(&spec["policyTypes"]);
    // The API server fills the types in (`pkg/apis/networking/v1/defaults.go`); for what is written by hand the same
    // holds: ingress always, egress where there are rules for it.
    let egress_rules = json::items(&spec["egress"]).next().is_some();
    let of = |kind: &str, default: bool| {
        if types.is_empty() { default } else { types.iter().any(|one| one == kind) }
    };
    let ingress = if of("Ingress", true) { Some(rules(&spec["ingress"], "from")?) } else { None };
    let egress = if of("Egress", egress_rules) { Some(rules(&spec["egress"], "to")?) } else { None };
    Some(NetworkPolicy {
        namespace: json::name(&item["metadata"]["namespace"])?,
        name: json::name(&item["metadata"]["name"])?,
        pod_selector: match &spec["podSelector"] {
            Value::Null => Value::Object(serde_json::Map::new()),
            selector => selector.clone(),
        },
        ingress,
        egress,
    })
}

/// Each part of a list that may be absent; nothing where it is no list, is too long, or a part cannot be read.
fn parts<T>(value: &Value, read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    match value {
        Value::Null => Some(Vec::new()),
        Value::Array(items) if items.len() <= MAX_PARTS => items.iter().map(read).collect(),
        _ => None,
    }
}

fn rules(value: &Value, peers: &str) -> Option<Vec<PolicyRule>> {
    parts(value, |rule| {
        rule.is_object().then_some(())?;
        Some(PolicyRule { peers: parts(&rule[peers], peer)?, ports: parts(&rule["ports"], port)? })
    })
}

fn peer(value: &Value) -> Option<Peer> {
    let selector = |name: &str| value.get(name).filter(|selector| !selector.is_null()).cloned();
    match (
        value.get("ipBlock").filter(|block| !block.is_null()),
        selector("podSelector"),
        selector("namespaceSelector"),
    ) {
        (Some(block), None, None) => Some(Peer::Block {
            cidr: block["cidr"].as_str()?.to_owned(),
            except: parts(&block["except"], |range| range.as_str().map(str::to_owned))?,
        }),
        (None, None, None) | (Some(_), ..) => None,
        (None, pods, namespaces) => Some(Peer::Pods { pods, namespaces }),
    }
}

fn port(value: &Value) -> Option<PolicyPort> {
    let port = match &value["port"] {
        Value::Null => None,
        Value::Number(number) => Some(number.to_string()),
        Value::String(name) => Some(name.clone()),
        _ => return None,
    };
    let protocol = value["protocol"].as_str().unwrap_or("TCP").to_owned();
    Some(PolicyPort { protocol, port, end: value["endPort"].as_i64() })
}

#[cfg(test)]
#[path = "policies_tests.rs"]
mod tests;
