//! What network policies allow a pod, as rules of `iptables-restore` for its own network namespace.

use std::fmt::Write as _;
use std::net::Ipv4Addr;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

/// Where the API server listens, and the Service of it. A pod's own network sees the Service's address; who allows
/// the one has allowed the other.
const API: (&str, u64) = ("172.30.0.10", 6443);
const API_SERVICE: (&str, u64) = ("10.96.0.1", 443);

/// The rules for a pod; none when no policy selects it. `node` is where packets of its own node come from, which are
/// always let in, because the kubelet probes from there.
pub(super) fn rules(policies: &Value, pod: &Value, node: &[String]) -> Result<Option<String>> {
    let (mut ingress, mut egress) = (None, None);
    for policy in super::items(policies).filter(|policy| selects(policy, pod)) {
        let spec = &policy["spec"];
        for (kind, chain) in [("Ingress", &mut ingress), ("Egress", &mut egress)] {
            if !types(spec).contains(&kind) {
                continue;
            }
            let accepted = chain.get_or_insert_with(String::new);
            for rule in spec[kind.to_lowercase()].as_array().into_iter().flatten() {
                *accepted += &accept(kind, rule)?;
            }
        }
    }
    if ingress.is_none() && egress.is_none() {
        return Ok(None);
    }
    let mut text = "*filter\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n".to_owned();
    for (chain, interface, accepted) in [("INPUT", "-i", ingress), ("OUTPUT", "-o", egress)] {
        let Some(accepted) = accepted else { continue };
        writeln!(text, "-A {chain} {interface} lo -j ACCEPT")?;
        writeln!(text, "-A {chain} -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT")?;
        if chain == "INPUT" {
            for address in node {
                writeln!(text, "-A INPUT -s {address} -j ACCEPT")?;
            }
        }
        writeln!(text, "{accepted}-A {chain} -j DROP")?;
    }
    text += "COMMIT\n";
    Ok(Some(text))
}

/// The types of a policy; by default `Ingress`, and `Egress` when there are such rules.
fn types(spec: &Value) -> Vec<&str> {
    match spec["policyTypes"].as_array() {
        Some(types) => types.iter().filter_map(Value::as_str).collect(),
        None if spec["egress"].is_array() => vec!["Ingress", "Egress"],
        None => vec!["Ingress"],
    }
}

fn selects(policy: &Value, pod: &Value) -> bool {
    policy["metadata"]["namespace"] == pod["metadata"]["namespace"]
        && policy["spec"]["podSelector"]["matchLabels"]
            .as_object()
            .is_none_or(|labels| labels.iter().all(|(name, value)| pod["metadata"]["labels"][name] == *value))
}

/// The lines that accept what one rule of a policy allows.
fn accept(kind: &str, rule: &Value) -> Result<String> {
    let (chain, side, peers) =
        if kind == "Egress" { ("OUTPUT", "-d", &rule["to"]) } else { ("INPUT", "-s", &rule["from"]) };
    let mut blocks = Vec::new();
    for peer in peers.as_array().into_iter().flatten() {
        blocks.push(block(peer)?);
    }
    let mut ports = Vec::new();
    for port in rule["ports"].as_array().into_iter().flatten() {
        let protocol = port["protocol"].as_str().unwrap_or("TCP").to_lowercase();
        ensure!(port["endPort"].is_null(), "ranges of ports are not understood");
        let number = match &port["port"] {
            Value::Null => None,
            number => Some(number.as_u64().context("names of ports are not understood")?),
        };
        ports.push((protocol, number));
    }
    let mut text = String::new();
    let mut line = |address: Option<&str>, protocol: Option<&str>, port: Option<u64>| {
        let address = address.map(|address| format!(" {side} {address}")).unwrap_or_default();
        let protocol = protocol.map(|protocol| format!(" -p {protocol}")).unwrap_or_default();
        let port = port.map(|port| format!(" --dport {port}")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(text, "-A {chain}{address}{protocol}{port} -j ACCEPT");
    };
    // Without peers everybody is meant, without ports all of them.
    let addresses: Vec<Option<&str>> = if blocks.is_empty() {
        vec![None]
    } else {
        blocks.iter().map(|block| Some(block.as_str())).collect()
    };
    for address in addresses {
        if ports.is_empty() {
            line(address, None, None);
        }
        for (protocol, port) in &ports {
            line(address, Some(protocol), *port);
        }
        let api = address.map_or(Ok(true), |block| holds(block, API.0))?;
        let open = ports.is_empty()
            || ports.iter().any(|(name, port)| name == "tcp" && port.is_none_or(|port| port == API.1));
        if kind == "Egress" && api && open {
            line(Some(API_SERVICE.0), Some("tcp"), Some(API_SERVICE.1));
        }
    }
    Ok(text)
}

fn block(peer: &Value) -> Result<String> {
    let block = &peer["ipBlock"];
    let Some(cidr) = block["cidr"].as_str() else {
        bail!("peers other than an ipBlock are not understood: {peer}");
    };
    ensure!(block["except"].is_null(), "exceptions of an ipBlock are not understood");
    Ok(cidr.to_owned())
}

/// Whether a block holds an address.
fn holds(cidr: &str, address: &str) -> Result<bool> {
    let (network, length) = cidr.split_once('/').context("a block has a length")?;
    let length: u32 = length.parse()?;
    let (network, address): (Ipv4Addr, Ipv4Addr) = (network.parse()?, address.parse()?);
    let mask = u32::MAX.checked_shl(32_u32.saturating_sub(length)).unwrap_or_default();
    Ok(u32::from(network) & mask == u32::from(address) & mask)
}

/// Fails when one of them says what is not understood.
pub(crate) fn understood(policies: &Value) -> Result<()> {
    for policy in super::items(policies) {
        let name = &policy["metadata"]["name"];
        let spec = &policy["spec"];
        ensure!(spec["podSelector"]["matchExpressions"].is_null(), "{name}: expressions are not understood");
        for kind in ["Ingress", "Egress"] {
            for rule in spec[kind.to_lowercase()].as_array().into_iter().flatten() {
                accept(kind, rule).with_context(|| format!("policy {name}"))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{holds, rules, understood};
    use crate::NetworkPolicy;
    use crate::manifest::parse;

    fn list(policy: NetworkPolicy) -> Value {
        json!({"items": [parse(policy.manifest()).expect("a policy")]})
    }

    fn pod(app: &str) -> Value {
        json!({"metadata": {"namespace": "kube-system", "labels": {"k8s-app": app}}})
    }

    fn of(policy: NetworkPolicy) -> String {
        let node = ["10.244.1.1".to_owned()];
        rules(&list(policy), &pod("metrics-server"), &node).expect("understood").expect("selected")
    }

    #[test]
    fn what_is_not_allowed_is_dropped_in_the_direction_of_the_policy_only() {
        let egress = of(NetworkPolicy::EgressWithoutApi);
        assert!(egress.contains("-A OUTPUT -d 172.30.0.0/24 -p tcp --dport 10250 -j ACCEPT\n"), "{egress}");
        assert!(egress.contains("-A OUTPUT -p udp --dport 53 -j ACCEPT\n"), "{egress}");
        assert!(egress.ends_with("-A OUTPUT -j DROP\nCOMMIT\n"), "{egress}");
        assert!(!egress.contains("10.96.0.1") && !egress.contains("-A INPUT"), "{egress}");
        let ingress = of(NetworkPolicy::IngressWithoutControlPlane);
        assert!(ingress.contains("-A INPUT -s 10.244.1.1 -j ACCEPT\n"), "{ingress}");
        assert!(ingress.contains("-A INPUT -s 10.244.0.0/16 -p tcp --dport 10250 -j ACCEPT\n"), "{ingress}");
        assert!(
            ingress.ends_with("-A INPUT -j DROP\nCOMMIT\n") && !ingress.contains("-A OUTPUT"),
            "{ingress}"
        );
    }

    #[test]
    fn who_allows_the_api_server_allows_its_service() {
        let mut policies = list(NetworkPolicy::EgressWithoutApi);
        policies["items"][0]["spec"]["egress"][1]["ports"][0]["port"] = json!(6443);
        let text = rules(&policies, &pod("metrics-server"), &[]).expect("understood").expect("selected");
        assert!(text.contains("-A OUTPUT -d 10.96.0.1 -p tcp --dport 443 -j ACCEPT\n"), "{text}");
    }

    #[test]
    fn other_pods_are_left_alone_and_other_policies_refused() {
        let policies = list(NetworkPolicy::EgressWithoutApi);
        assert_eq!(rules(&policies, &pod("web"), &[]).expect("understood"), None);
        let mut other = policies.clone();
        other["items"][0]["spec"]["egress"][1]["to"] = json!([{"podSelector": {}}]);
        assert!(understood(&policies).is_ok() && understood(&other).is_err());
    }

    #[test]
    fn blocks_hold_what_they_cover() {
        for (cidr, expected) in
            [("172.30.0.0/24", true), ("0.0.0.0/0", true), ("172.30.0.10/32", true), ("172.31.0.0/16", false)]
        {
            assert_eq!(holds(cidr, "172.30.0.10").expect("a block"), expected, "{cidr}");
        }
    }
}
