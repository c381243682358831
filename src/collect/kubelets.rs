//! What the kubelets themselves answer: to a handshake, to a caller without a credential, and to
//! kube-apiserver when it is asked for their configuration.

use checks::evidence::{Handshake, KubeletConfig, Metrics, Mode, Need, Node, Obs, Why};
use jiff::Timestamp;
use serde_json::Value;

use super::ask::{Asked, Asker, why};
use super::{CollectOptions, KubeletLook, json};
use crate::source::{Host, Outcome, Request, segment};

/// So many kubelets are dialled before it is decided whether any can be reached from here.
const FIRST: usize = 8;
/// Above this many nodes only the suspect ones are dialled.
const MAX_DIALLED: usize = 1000;
/// So many kubelets are asked for their configuration, the suspect ones first.
const MAX_CONFIGZ: usize = 20;
/// A sample of this age still shows a node that is scraped.
const FRESH_S: i64 = 180;

/// Looks at the kubelets of these nodes.
pub(super) async fn look(
    asker: &Asker<'_>,
    options: &CollectOptions,
    nodes: &mut [Node],
    metrics: &Metrics,
    now: Timestamp,
) {
    let suspect: Vec<bool> = nodes.iter().map(|node| is_suspect(node, options.mode, metrics, now)).collect();
    dial_all(asker, options, nodes, &suspect).await;
    ask_configurations(asker, options, nodes, &suspect).await;
}

/// Whether a node has no fresh metrics, or may not have any yet.
fn is_suspect(node: &Node, mode: Mode, metrics: &Metrics, now: Timestamp) -> bool {
    let fresh = metrics.nodes.peek().is_some_and(|samples| {
        samples.iter().any(|sample| {
            sample.node == node.name && now.duration_since(sample.timestamp).as_secs() <= FRESH_S
        })
    });
    mode == Mode::BeforeInstall || !fresh
}

/// Dials the kubelets: the first few, and the others if any of those answered.
async fn dial_all(asker: &Asker<'_>, options: &CollectOptions, nodes: &mut [Node], suspect: &[bool]) {
    if options.kubelets == KubeletLook::Never {
        let why = Why::NotAsked("--kubelets=never".to_owned());
        for node in nodes {
            not_dialled(node, &why);
        }
        return;
    }
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|&index| !suspect[index]);
    if nodes.len() > MAX_DIALLED && !options.all_nodes {
        let left =
            order.split_off(order.iter().filter(|&&index| suspect[index]).count().clamp(FIRST, MAX_DIALLED));
        for index in left {
            not_dialled(&mut nodes[index], &Why::NotSampled);
        }
    }
    let rest = order.split_off(order.len().min(FIRST));
    dial(asker, nodes, &order).await;
    let reached = |node: &Node| !node.handshake.from.is_empty() && node.handshake.peek().is_some();
    let silent = order.iter().any(|&index| !nodes[index].handshake.from.is_empty())
        && !order.iter().any(|&index| reached(&nodes[index]));
    if silent && options.kubelets == KubeletLook::Auto && !rest.is_empty() {
        let why = Why::Unreachable(format!("the first {} kubelets did not answer from here", order.len()));
        for index in rest {
            not_dialled(&mut nodes[index], &why);
        }
        return;
    }
    dial(asker, nodes, &rest).await;
}

fn not_dialled(node: &mut Node, why: &Why) {
    node.handshake = Obs::unseen(Need::KubeletHandshake, [], why.clone());
    node.anonymous = Obs::unseen(Need::KubeletAnonymous, [], why.clone());
}

/// One handshake a kubelet, and one request without a credential to those that answered.
async fn dial(asker: &Asker<'_>, nodes: &mut [Node], indices: &[usize]) {
    let mut targets = Vec::new();
    for &index in indices {
        match target(&nodes[index]) {
            Ok(target) => targets.push((index, target)),
            Err(why) => not_dialled(&mut nodes[index], &why),
        }
    }
    let requests = targets.iter().map(|(_, (host, port))| Request::handshake(host.clone(), *port)).collect();
    let answers = asker.all(requests).await;
    let mut open = Vec::new();
    for ((index, target), asked) in targets.into_iter().zip(answers) {
        let node = &mut nodes[index];
        node.handshake = handshake(&asked);
        match node.handshake.peek() {
            Some(Handshake::Certificates(_)) => open.push((index, target)),
            Some(_) => node.anonymous = unanswered("the kubelet ended the handshake"),
            None => node.anonymous = unanswered("the kubelet did not answer the handshake"),
        }
    }
    let requests =
        open.iter().map(|(_, (host, port))| Request::kubelet_healthz(host.clone(), *port)).collect();
    let answers = asker.all(requests).await;
    for ((index, _), asked) in open.into_iter().zip(answers) {
        nodes[index].anonymous = match asked.status() {
            Some(status) => Obs::seen(Need::KubeletAnonymous, [asked.id], i64::from(status)),
            None => {
                Obs::unseen(Need::KubeletAnonymous, [asked.id], why(&asked.observation, "get", "the kubelet"))
            }
        };
    }
}

fn unanswered(why: &str) -> Obs<i64> {
    Obs::unseen(Need::KubeletAnonymous, [], Why::NotAsked(why.to_owned()))
}

/// Whom metrics-server dials for a node.
fn target(node: &Node) -> Result<(Host, u16), Why> {
    match &node.dial.look {
        checks::evidence::Look::Unseen(why) => Err(why.clone()),
        checks::evidence::Look::Seen(None) => {
            Err(Why::NotAsked("metrics-server finds no address to dial".to_owned()))
        }
        checks::evidence::Look::Seen(Some((address, port))) => {
            let host: Host = address.parse().map_err(|error| Why::Unreadable(format!("{error}")))?;
            let port = u16::try_from(*port).map_err(|_| Why::Unreadable(format!("{port} is no port")))?;
            Ok((host, port))
        }
    }
}

fn handshake(asked: &Asked) -> Obs<Handshake> {
    let seen = match &asked.observation.outcome {
        Outcome::Certificates { chain_der_base64, .. } => Handshake::Certificates(chain_der_base64.clone()),
        Outcome::TlsAlert { chain_der_base64, .. } if !chain_der_base64.is_empty() => {
            Handshake::Certificates(chain_der_base64.clone())
        }
        Outcome::TlsAlert { alert, .. } => Handshake::Alert(alert.clone()),
        Outcome::NotTls => Handshake::NotTls,
        _ => {
            let why = why(&asked.observation, "dial", "the kubelet");
            return Obs::unseen(Need::KubeletHandshake, [asked.id], why);
        }
    };
    Obs::seen(Need::KubeletHandshake, [asked.id], seen)
}

/// Asks kube-apiserver for the running configuration of kubelets, the suspect ones first.
async fn ask_configurations(
    asker: &Asker<'_>,
    options: &CollectOptions,
    nodes: &mut [Node],
    suspect: &[bool],
) {
    let mut order: Vec<usize> = (0..nodes.len()).collect();
    order.sort_by_key(|&index| !suspect[index]);
    let limit = if options.all_nodes { order.len() } else { MAX_CONFIGZ };
    let rest = order.split_off(order.len().min(limit));
    for index in rest {
        nodes[index].configz = Obs::unseen(Need::Configz, [], Why::NotSampled);
        nodes[index].api_server_alert = Obs::unseen(Need::Configz, [], Why::NotSampled);
    }
    let mut asked_of = Vec::new();
    for index in order {
        if let Ok(name) = segment(&nodes[index].name) {
            asked_of.push((index, Request::get(format!("/api/v1/nodes/{name}/proxy/configz"))));
        }
    }
    let (indices, requests): (Vec<usize>, Vec<Request>) = asked_of.into_iter().unzip();
    for (index, asked) in indices.into_iter().zip(asker.all(requests).await) {
        nodes[index].configz = asked.read(Need::Configz, "get", "nodes/proxy", read_configz);
        nodes[index].api_server_alert = api_server_alert(&asked);
    }
}

fn read_configz(body: &Value) -> Option<KubeletConfig> {
    let config = body["kubeletconfig"].as_object()?;
    let field = |name: &str| config.get(name).unwrap_or(&Value::Null);
    let authentication = field("authentication");
    Some(KubeletConfig {
        webhook_authentication: authentication["webhook"]["enabled"].as_bool()?,
        anonymous: authentication["anonymous"]["enabled"].as_bool()?,
        authorization_mode: json::text(&field("authorization")["mode"]),
        server_tls_bootstrap: field("serverTLSBootstrap").as_bool().unwrap_or_default(),
        tls_cert_file: json::text(field("tlsCertFile")),
        port: json::number(field("port")),
        read_only_port: json::number(field("readOnlyPort")),
    })
}

/// The alert in kube-apiserver's words `remote error: tls: internal error`, when it dialled the kubelet.
fn api_server_alert(asked: &Asked) -> Obs<Option<String>> {
    match asked.status() {
        Some(200) => Obs::seen(Need::Configz, [asked.id], None),
        Some(500 | 502 | 503) => {
            let message = asked.message();
            let alert =
                message.split_once("remote error: tls: ").map(|(_, alert)| alert.trim().replace(' ', "_"));
            Obs::seen(Need::Configz, [asked.id], alert)
        }
        _ => Obs::unseen(Need::Configz, [asked.id], why(&asked.observation, "get", "nodes/proxy")),
    }
}
