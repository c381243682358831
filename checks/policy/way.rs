//! What the checks of policies share: what is known of the cluster's network, and what a verdict comes to.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::{Direction, Other, Verdict, Way, judge};
use crate::Context;
use crate::check::{Decision, Outcome, Step, Undecided};
use crate::evidence::{Evidence, Need, NetworkPolicy, Node, Pod, Why};
use crate::net::{self, Cidr};
use crate::support;

/// API groups of policies that are not read here, and whose they are.
const DIALECTS: &[(&str, &str)] = &[
    ("cilium.io", "Cilium"),
    ("crd.projectcalico.org", "Calico"),
    ("projectcalico.org", "Calico"),
    ("policy.networking.k8s.io", "AdminNetworkPolicy"),
    ("crd.antrea.io", "Antrea"),
    ("k8s.ovn.org", "OVN-Kubernetes"),
];

/// The policies of metrics-server's namespace, and the nodes around it.
pub(crate) struct Surroundings<'e> {
    policies: &'e [NetworkPolicy],
    nodes: &'e [Node],
    /// Whose policies there may be besides.
    dialect: Option<&'static str>,
}

/// What has to be known before any way can be judged.
///
/// # Errors
///
/// When the policies, the nodes or the API groups were not seen.
pub(crate) fn surroundings<'e>(
    ctx: &Context<'_>,
    evidence: &'e Evidence,
) -> Result<Surroundings<'e>, Undecided> {
    let policies = ctx.need(&evidence.policies)?;
    let nodes = ctx.need(&evidence.nodes)?;
    let groups = ctx.need(&evidence.cluster.groups)?;
    let served = |name: &str| groups.iter().any(|group| group.group == name);
    let dialect = DIALECTS.iter().find(|(group, _)| served(group)).map(|(_, whose)| *whose);
    Ok(Surroundings { policies, nodes, dialect })
}

impl Surroundings<'_> {
    /// Judges one way of a pod to or from a machine.
    pub(crate) fn judge(&self, direction: Direction, pod: &Pod, other: Other<'_>, port: i64) -> Verdict {
        let own = pod.node.as_deref().and_then(|name| self.nodes.iter().find(|node| node.name == name));
        let own_node: Vec<IpAddr> = own.map(addresses).unwrap_or_default();
        let way = Way {
            direction,
            pod,
            own_node: &own_node,
            other,
            port,
            protocol: "TCP",
            blocks_miss_machines: self.dialect == Some("Cilium"),
        };
        judge(self.policies, &way)
    }

    /// Judges a way of a pod to a machine.
    pub(crate) fn egress(&self, pod: &Pod, address: IpAddr, port: i64) -> Verdict {
        let as_pod = self.is_of_pods(address);
        self.judge(Direction::Egress, pod, Other::Machine { address, also: None, as_pod }, port)
    }

    /// Whether an address is one that pods have.
    fn is_of_pods(&self, address: IpAddr) -> bool {
        let ranges = self.nodes.iter().filter_map(|node| Cidr::parse(node.pod_cidr.as_deref()?));
        ranges.into_iter().any(|range| range.contains(address))
    }

    /// The node that has this address.
    pub(crate) fn node_at(&self, address: IpAddr) -> Option<&Node> {
        self.nodes.iter().find(|node| addresses(node).contains(&address))
    }

    /// The pods' addresses on a node, where its network takes them from the range that the node states.
    pub(crate) fn pods_of(&self, node: &Node, pods: &[Pod], endpoints: &[(IpAddr, &str)]) -> Option<String> {
        let states = |name: &str| {
            let node = self.nodes.iter().find(|node| node.name == name)?;
            Cidr::parse(node.pod_cidr.as_deref()?)
        };
        let kept = |(address, pod): &(IpAddr, &str)| {
            let of = pods.iter().find(|one| one.name == *pod).and_then(|one| states(one.node.as_deref()?));
            of.is_some_and(|range| range.contains(*address))
        };
        (!endpoints.is_empty() && endpoints.iter().all(kept)).then(|| node.pod_cidr.clone()).flatten()
    }

    /// Nothing is denied by what was read: that settles it only where nothing else restricts pods.
    pub(crate) fn ruled_out(&self) -> Decision {
        match self.dialect {
            None => Ok(Outcome::Pass),
            Some(whose) => Err(unknown(format!("{whose} has policies of its own, which are not read"))),
        }
    }
}

/// The addresses of a node that are no names.
fn addresses(node: &Node) -> Vec<IpAddr> {
    node.addresses.iter().filter_map(|entry| net::ip(&entry.address)).collect()
}

/// What the objects do not say.
pub(crate) fn unknown(why: impl Into<String>) -> Undecided {
    Undecided { need: Need::NetworkPolicies, why: Why::Unsupported(why.into()) }
}

/// `ADDRESS/32` or `ADDRESS/128`.
pub(crate) fn block(address: &str) -> Option<String> {
    let bits = if net::ip(address)?.is_ipv4() { 32 } else { 128 };
    Some(format!("{address}/{bits}"))
}

/// A step that creates a NetworkPolicy for metrics-server's pods; `body` is what follows the podSelector. Policies add up, so
/// that one which has this name already is left as it is, and the new one gets a number.
pub(crate) fn apply(evidence: &Evidence, name: &str, body: &str) -> Option<Step> {
    let pod = evidence.backend.pods.peek()?.first()?;
    let policies = evidence.policies.peek().map(Vec::as_slice).unwrap_or_default();
    let is_taken =
        |name: &str| policies.iter().any(|policy| policy.namespace == pod.namespace && policy.name == name);
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let name = std::iter::once(name.to_owned()).chain(numbered).find(|name| !is_taken(name))?;
    let service = evidence.backend.service.peek().and_then(Option::as_ref);
    let selector = service.map(|service| &service.selector).filter(|selector| !selector.is_empty());
    let mut labels = String::new();
    for (key, value) in selector.unwrap_or(&pod.labels) {
        // Quoted, so that `true` and `1` stay text. Writing to a String cannot fail.
        let _ = writeln!(labels, "      {key}: \"{value}\"");
    }
    let namespace = &pod.namespace;
    let script = format!(
        "kubectl apply -f - <<'POLICY'\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata:\n  name: {name}\n  namespace: {namespace}\nspec:\n  podSelector:\n    matchLabels:\n{labels}{body}POLICY"
    );
    let namespace = support::word(namespace);
    Some(
        Step::run("workstation", script)
            .verify(format!("kubectl -n {namespace} describe networkpolicy {name}")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{NetworkPolicy, Obs};

    #[test]
    fn a_policy_that_is_there_is_not_overwritten() {
        let mut evidence: Evidence =
            serde_json::from_str(include_str!("../rules/tests/everything.json")).expect("the evidence");
        let namespace = evidence.backend.pods.peek().expect("pods")[0].namespace.clone();
        let policy = |namespace: &str, name: &str| NetworkPolicy {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            pod_selector: serde_json::Value::Null,
            ingress: None,
            egress: None,
        };
        let mut created = |policies: Vec<NetworkPolicy>| {
            evidence.policies = Obs::seen(Need::NetworkPolicies, [], policies);
            apply(&evidence, "out", "  policyTypes: [Egress]\n").expect("a step")
        };
        assert!(created(vec![policy("another", "out")]).command.contains("\n  name: out\n"));
        let step = created(vec![policy(&namespace, "out"), policy(&namespace, "out-2")]);
        assert!(step.command.contains("\n  name: out-3\n"), "{}", step.command);
        assert!(step.verify.ends_with("describe networkpolicy out-3"), "{}", step.verify);
    }
}
