//! Hop 5: the nodes, and what each tells about its kubelet.

use std::collections::BTreeMap;

use checks::evidence::{
    Backend, Csr, CsrState, LogSignal, Metrics, Need, Node, NodeAddress, Obs, RequestId, ScrapeFailure,
    Signature, Why,
};
use jiff::Timestamp;
use serde_json::Value;

use super::ask::Asker;
use super::{CollectOptions, json, kubelets};

/// Lists the nodes and looks at their kubelets.
pub(super) async fn collect(
    asker: &Asker<'_>,
    options: &CollectOptions,
    backend: &Backend,
    metrics: &Metrics,
    now: Timestamp,
) -> Obs<Vec<Node>> {
    let mut nodes =
        asker.list("/api/v1/nodes", "nodes").await.each(Need::Nodes, |item| read_node(item, backend));
    let csrs = signing_requests(asker).await;
    if let checks::evidence::Look::Seen(list) = &mut nodes.look {
        list.sort_by(|one, other| one.name.cmp(&other.name));
        for node in list.iter_mut() {
            node.csrs = csrs.clone().map(Need::Csrs, |mut all| all.remove(&node.name).unwrap_or_default());
            node.scrape_log = scrape_log(&node.name, backend, metrics, now);
        }
        kubelets::look(asker, options, list, metrics, now).await;
    }
    nodes
}

fn read_node(item: &Value, backend: &Backend) -> Option<Node> {
    let status = &item["status"];
    let name = json::name(&item["metadata"]["name"])?;
    let addresses: Vec<NodeAddress> = json::items(&status["addresses"])
        .filter_map(|entry| {
            Some(NodeAddress { kind: json::text(&entry["type"]), address: json::name(&entry["address"])? })
        })
        .collect();
    let kubelet_port = json::number(&status["daemonEndpoints"]["kubeletEndpoint"]["Port"]);
    let conditions = json::conditions(&status["conditions"]);
    let unseen = Why::NotAsked("the kubelet was not dialled".to_owned());
    Some(Node {
        ready: conditions.iter().any(|condition| condition.kind == "Ready" && condition.is_true()),
        created: json::time(&item["metadata"]["creationTimestamp"])?,
        kubelet_port,
        os: json::text(&status["nodeInfo"]["operatingSystem"]),
        kubelet_version: json::text(&status["nodeInfo"]["kubeletVersion"]),
        labels: json::labels(&item["metadata"]["labels"]),
        pod_cidr: json::name(&item["spec"]["podCIDR"]),
        dial: dial(backend, &addresses, kubelet_port),
        handshake: Obs::unseen(Need::KubeletHandshake, [], unseen.clone()),
        anonymous: Obs::unseen(Need::KubeletAnonymous, [], unseen.clone()),
        configz: Obs::unseen(Need::Configz, [], unseen.clone()),
        api_server_alert: Obs::unseen(Need::Configz, [], unseen.clone()),
        csrs: Obs::unseen(Need::Csrs, [], unseen.clone()),
        scrape_log: Obs::unseen(Need::Logs, [], unseen),
        addresses,
        name,
    })
}

/// The address and port that metrics-server dials: the first address of the first type in its order of
/// preference, without a second try (metrics-server `pkg/utils/address_resolver.go`); the node's own
/// port only with `--kubelet-use-node-status-port` (`pkg/scraper/client/resource/client.go`).
fn dial(backend: &Backend, addresses: &[NodeAddress], node_port: i64) -> Obs<Option<(String, i64)>> {
    backend.args.clone().map(Need::Pods, |args| {
        let order = Backend::flag(&args, "kubelet-preferred-address-types")
            .unwrap_or("Hostname,InternalDNS,InternalIP,ExternalDNS,ExternalIP");
        let address =
            order.split(',').find_map(|kind| addresses.iter().find(|address| address.kind == kind.trim()))?;
        let use_node_port =
            Backend::flag(&args, "kubelet-use-node-status-port").is_some_and(|value| value != "false");
        let port = match Backend::flag(&args, "kubelet-port").and_then(|port| port.parse().ok()) {
            _ if use_node_port && node_port != 0 => node_port,
            Some(port) => port,
            None => 10250,
        };
        Some((address.address.clone(), port))
    })
}

/// The requests of kubelets for serving certificates by node, newest first.
async fn signing_requests(asker: &Asker<'_>) -> Obs<BTreeMap<String, Vec<Csr>>> {
    let path = "/apis/certificates.k8s.io/v1/certificatesigningrequests?fieldSelector=spec.signerName%3Dkubernetes.io%2Fkubelet-serving";
    let listed = asker.list(path, "certificatesigningrequests.certificates.k8s.io").await;
    listed.each(Need::Csrs, read_csr).map(Need::Csrs, |list| {
        let mut by_node: BTreeMap<String, Vec<Csr>> = BTreeMap::new();
        for (node, csr) in list {
            by_node.entry(node).or_default().push(csr);
        }
        for csrs in by_node.values_mut() {
            csrs.sort_by(|one, other| (other.created, &other.name).cmp(&(one.created, &one.name)));
        }
        by_node
    })
}

fn read_csr(item: &Value) -> Option<(String, Csr)> {
    let node = item["spec"]["username"].as_str()?.strip_prefix("system:node:")?.to_owned();
    let conditions = json::conditions(&item["status"]["conditions"]);
    let find = |kind: &str| conditions.iter().find(|condition| condition.kind == kind);
    let certificate = item["status"]["certificate"].as_str().filter(|certificate| !certificate.is_empty());
    let (state, condition) = match (find("Denied"), find("Failed"), find("Approved")) {
        (Some(denied), ..) => (CsrState::Denied, Some(denied)),
        (None, Some(failed), _) => (CsrState::Failed, Some(failed)),
        (None, None, Some(approved)) if certificate.is_some() => (CsrState::Issued, Some(approved)),
        (None, None, Some(approved)) => (CsrState::Approved, Some(approved)),
        (None, None, None) => (CsrState::Pending, None),
    };
    let detail =
        condition.map(|condition| format!("{}: {}", condition.reason, condition.message)).unwrap_or_default();
    let csr = Csr {
        name: item["metadata"]["name"].as_str()?.to_owned(),
        created: json::time(&item["metadata"]["creationTimestamp"])?,
        state,
        detail,
        certificate: certificate.map(str::to_owned),
    };
    Some((node, csr))
}

/// What metrics-server last said about a node, if it is of its last scrapes and no sample came after it.
fn scrape_log(node: &str, backend: &Backend, metrics: &Metrics, now: Timestamp) -> Obs<Option<LogSignal>> {
    let from: Vec<RequestId> = backend.logs.from.clone();
    let Some(signals) = backend.logs.peek() else {
        return backend.logs.clone().map(Need::Logs, |_| None);
    };
    let pods = backend.pods.peek().map(Vec::as_slice).unwrap_or_default();
    if !pods.iter().any(|pod| pod.started.is_some()) {
        let why = Why::NotAsked("no container of metrics-server runs, so none scrapes".to_owned());
        return Obs::unseen(Need::Logs, from, why);
    }
    let sample = metrics.nodes.peek().and_then(|samples| samples.iter().find(|sample| sample.node == node));
    let args = backend.args.peek().map(Vec::as_slice).unwrap_or_default();
    let recent_s = 3 * checks::scrape_interval_s(args) + 15;
    let last = signals.iter().rev().filter(|signal| !signal.previous).find(|signal| {
        matches!(&signal.signature, Signature::ScrapeFailed { node: named, failure, .. }
            if named == node && *failure != ScrapeFailure::Other)
    });
    let current = last.filter(|signal| {
        // A node that is missed once is back with the next scrape; a fault stays.
        let again =
            signal.before.is_some_and(|before| signal.at.duration_since(before).as_secs() <= recent_s);
        again
            && now.duration_since(signal.at).as_secs() <= recent_s
            && sample.is_none_or(|sample| sample.timestamp < signal.at)
    });
    Obs::seen(Need::Logs, from, current.cloned())
}
