//! What is known of packets where a machine was looked at and no cluster was asked.

use crate::check::{Context, Question, Undecided};
use crate::evidence::{Host, Mode, Need, Route, Why};
use crate::filter::{Addresses, Family, Filters};

/// A machine that was asked alone must not be called fit where its packet filter, its forwarding or its rules for Services were
/// not seen: nothing else that it shows proves that packets come through. Beside a cluster the pipeline itself proves it.
pub(super) const QUESTION: Question = Question::Deciding { modes: &[Mode::Host], unless: &[] };

/// Interfaces at which the CNI's plugin `bridge` and those that are made of it have the pods of a machine.
pub(super) const BRIDGES: [&str; 4] = ["cni0", "cbr0", "kube-bridge", "weave"];
/// The beginnings of the names of interfaces that lead to one pod each: Calico's, and those of kindnet and ptp.
const PODS: [&str; 2] = ["cali", "veth"];
/// The most addresses of a machine that are tried.
const ADDRESSES: usize = 64;

/// Ranges of addresses that no machine has towards another one: this host, loopback, link-local, multicast and reserved
/// (RFC 6890, tables 1 to 20).
const NOBODYS: [&str; 9] = [
    "0.0.0.0/8",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "224.0.0.0/4",
    "240.0.0.0/4",
    "::/128",
    "::1/128",
    "fe80::/10",
    "ff00::/8",
];

/// Addresses that a packet between a pod and another machine neither comes from nor goes to: those of nobody, and those of
/// Services, which rules of kube-proxy refuse where nobody stands behind them.
pub(super) fn never(filters: &Filters) -> Vec<Addresses> {
    NOBODYS.iter().filter_map(|range| Addresses::read(range)).chain(filters.services()).collect()
}

/// Where the pods of a machine are: the range of their bridge, or else the address of one of them.
pub(super) struct Pods {
    /// Where packets of pods come from.
    pub(super) source: Addresses,
    /// All of the machine's pods, where its routes show that.
    pub(super) range: Option<Addresses>,
}

/// The addresses of the machine's pods, as its routes show them; nothing where they show none.
pub(super) fn pods(ctx: &Context<'_>, host: &Host) -> Result<Option<Pods>, Undecided> {
    let direct = || ctx.need(&host.routes).map(|routes| routes.iter().filter(|route| route.via.is_none()));
    for route in direct()?.filter(|route| BRIDGES.contains(&route.device.as_str())) {
        if let Some(source) = Addresses::read(&route.destination) {
            return Ok(Some(Pods { source, range: Some(source) }));
        }
    }
    let to_a_pod = |device: &str| PODS.iter().any(|start| device.starts_with(start));
    for route in direct()?.filter(|route| to_a_pod(&route.device)) {
        let address = route.destination.trim_end_matches("/32").trim_end_matches("/128");
        if let Some(source) = Addresses::read(address).filter(|_| !address.contains('/')) {
            // Calico refuses what goes to addresses of its block that no pod has: such a route names the block.
            let range = blocks(ctx.need(&host.routes)?).into_iter().find(|block| block.holds(source));
            return Ok(Some(Pods { source, range }));
        }
    }
    Ok(None)
}

/// Calico's blocks of pods on this machine. It refuses what goes to addresses of its block that no pod has, and such a
/// route names the block. So may an operator's own for any range: a block has the size of one, and a pod in it.
fn blocks(routes: &[Route]) -> Vec<Addresses> {
    let pods: Vec<Addresses> = routes
        .iter()
        .filter(|route| PODS.iter().any(|start| route.device.starts_with(start)))
        .filter_map(|route| Addresses::read(&route.destination).filter(|one| one.is_single()))
        .collect();
    let mut blocks: Vec<(u8, Addresses)> = routes
        .iter()
        .filter(|route| route.device.is_empty())
        .filter_map(|route| {
            let (_, bits) = route.destination.split_once('/')?;
            let bits: u8 = bits.parse().ok()?;
            let block = Addresses::read(&route.destination)?;
            let is_block = BLOCKS.iter().any(|sizes| sizes.0 == block.family() && sizes.1.contains(&bits));
            (is_block && pods.iter().any(|pod| block.holds(*pod))).then_some((bits, block))
        })
        .collect();
    blocks.sort_by_key(|(bits, _)| std::cmp::Reverse(*bits));
    blocks.into_iter().map(|(_, block)| block).collect()
}

/// The sizes that Calico lets its blocks have, in bits of the prefix (`IPPool.spec.blockSize`).
const BLOCKS: [(Family, std::ops::RangeInclusive<u8>); 2] =
    [(Family::Ipv4, 20..=31), (Family::Ipv6, 116..=127)];

/// Whether these are addresses of somebody in particular, and not all or half of them.
fn is_narrow(range: Addresses) -> bool {
    range.to_string().split_once('/').is_some_and(|(_, bits)| bits.parse::<u8>().is_ok_and(|bits| bits >= 8))
}

/// Interfaces behind which there are neither nodes nor pods: of Docker, libvirt and LXD.
const OTHERS: [&str; 6] = ["docker", "br-", "virbr", "lxdbr", "lxcbr", "lo"];
/// The beginnings of the names of interfaces that lead to pods of other machines: flannel's, Calico's.
const OVERLAYS: [&str; 4] = ["flannel", "vxlan.calico", "tunl0", "wireguard.cali"];

/// Where this machine's routes show that metrics-server's packets to one of its addresses can come from: the networks of these
/// addresses, where the other nodes are, and the ranges of pods, here and behind the interfaces of the CNI. Nodes and pods
/// of other networks are not among them. For cures alone: it proves nothing.
pub(super) fn senders(host: &Host, own: &[Addresses]) -> Vec<Addresses> {
    let routes = host.routes.peek().map(Vec::as_slice).unwrap_or_default();
    let starts = |device: &str, with: &[&str]| with.iter().any(|start| device.starts_with(start));
    let blocks = blocks(routes);
    let mut found: Vec<Addresses> = Vec::new();
    for route in routes {
        let Some(range) = Addresses::read(&route.destination).filter(|range| is_narrow(*range)) else {
            continue;
        };
        let (device, is_direct) = (route.device.as_str(), route.via.is_none());
        let is_block = device.is_empty() && blocks.contains(&range);
        let is_of_pods = BRIDGES.contains(&device) || starts(device, &OVERLAYS) || is_block;
        let is_of_nodes = is_direct
            && !device.is_empty()
            && !range.is_single()
            && !starts(device, &OTHERS)
            && own.iter().any(|address| range.holds(*address));
        let fits = own.iter().any(|address| address.family() == range.family());
        if (is_of_pods || is_of_nodes) && fits && !found.iter().any(|known| known.holds(range)) {
            found.retain(|known| !range.holds(*known));
            found.push(range);
        }
    }
    found
}

/// Says where the ranges of nodes and pods stand that have to be filled in.
pub(super) const RANGES: &str = "`kubectl get nodes -o custom-columns=NODE:.metadata.name,ADDRESSES:.status.addresses[*].address,PODS:.spec.podCIDR` prints them";

/// The addresses at which the kubelet may be known to the cluster: what `--node-ip` says, or else all of the machine's that
/// are no Service's, of IP version 4 where it has any (the kubelet takes that first: `pkg/kubelet/nodestatus/setters.go`).
pub(super) fn own(ctx: &Context<'_>, host: &Host) -> Result<Vec<Addresses>, Undecided> {
    let identity = ctx.need(&host.identity)?;
    let process = ctx.need(&host.kubelet)?.as_ref().map(|process| &process.flags);
    let flags = match process {
        Some(flags) => Some(flags),
        None => ctx.need(&host.kubelet_unit)?.as_ref().map(|unit| &unit.flags),
    };
    let read = |text: &str| Addresses::read(text.trim()).filter(|_| !text.contains(['/', '-']));
    let mut own: Vec<Addresses> = identity.addresses.iter().filter_map(|text| read(text)).collect();
    let named = flags.and_then(|flags| flags.get("node-ip")).map(String::as_str).unwrap_or_default();
    if let Some(named) = named.split(',').find_map(read).filter(|named| own.contains(named)) {
        return Ok(vec![named]);
    }
    let listings = host.service_rules.peek().map(|rules| rules.listings.as_slice()).unwrap_or_default();
    let services: Vec<Addresses> =
        listings.iter().flat_map(|listing| &listing.services).map(|service| service.address.into()).collect();
    own.retain(|address| !services.contains(address));
    if own.iter().any(|address| address.family() == Family::Ipv4) {
        own.retain(|address| address.family() == Family::Ipv4);
    }
    let why = match own.len() {
        0 => "the machine has no address but loopback and link-local ones".to_owned(),
        1..=ADDRESSES => return Ok(own),
        many => format!("which of the machine's {many} addresses is the kubelet's is not known here"),
    };
    Err(Undecided { need: Need::HostIdentity, why: Why::NotAsked(why) })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{host, kubelet, outcome, seen};
    use super::super::{forward_policy_drop, ip_forward_off, kubelet_port_filtered};
    use super::*;
    use crate::check::{Check, Outcome};
    use crate::diagnosis::{Policy, Verdict, diagnose};
    use crate::evidence::{Evidence, HostIdentity, Process, Route, Setting, unseen};
    use crate::filter::{Backend, Filters, iptables};

    /// What the kubelet writes (`pkg/kubelet/kubelet_network_linux.go`).
    const KUBELET: &str = "-A INPUT -j KUBE-FIREWALL\n-A KUBE-FIREWALL ! -s 127.0.0.0/8 -d 127.0.0.0/8 -m comment --comment \"block incoming localnet connections\" -m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT -j DROP\n";
    /// What kube-proxy writes for a Service without endpoints.
    const SERVICE: &str = "-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES\n-A KUBE-SERVICES -d 10.96.253.69/32 -p tcp -m comment --comment \"kube-system/metrics-server:https has no endpoints\" -m tcp --dport 443 -j REJECT --reject-with icmp-port-unreachable\n";

    fn machine(rules: &str) -> Host {
        let route = |destination: &str, device: &str| Route {
            destination: destination.to_owned(),
            via: None,
            device: device.to_owned(),
        };
        let identity = HostIdentity {
            addresses: ["172.17.0.1", "192.168.56.11", "10.244.1.1", "fd00::1"].map(str::to_owned).into(),
            ..HostIdentity::default()
        };
        let setting =
            Setting { name: "net.ipv4.ip_forward".to_owned(), now: Some("1".to_owned()), boot: None };
        Host {
            identity: seen(Need::HostIdentity, identity),
            kubelet: kubelet(&[]),
            kubelet_unit: seen(Need::HostKubelet, None),
            kubelet_file: seen(Need::HostKubelet, None),
            settings: seen(Need::HostSettings, vec![setting]),
            api_server: seen(Need::HostControlPlane, None),
            filters: seen(Need::HostFilters, filters(rules)),
            routes: seen(Need::HostRoutes, vec![route("0.0.0.0/0", "eth0"), route("10.244.1.0/24", "cni0")]),
            ..host()
        }
    }

    fn filters(rules: &str) -> Filters {
        let text = format!(
            "*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n:KUBE-FIREWALL -\n:KUBE-SERVICES -\n{rules}COMMIT\n"
        );
        Filters::new(vec![iptables(Backend::IptablesNft, Family::Ipv4, text.lines())], Vec::new())
    }

    fn is_open(check: &Check, host: Host, with: &str) {
        let outcome = outcome(check, host);
        let Outcome::Undecided(open) = &outcome else { panic!("{}: {outcome:?}", check.name) };
        assert!(open.why.to_string().contains(with), "{}", open.why);
    }

    #[test]
    fn a_healthy_node_is_decided_though_kubelet_and_kube_proxy_drop_packets_of_others() {
        for check in [&forward_policy_drop::CHECK, &kubelet_port_filtered::CHECK, &ip_forward_off::CHECK] {
            let outcome = outcome(check, machine(&format!("{KUBELET}{SERVICE}")));
            assert!(matches!(outcome, Outcome::Pass), "{}: {outcome:?}", check.name);
        }
    }

    #[test]
    fn a_rule_that_may_concern_the_kubelet_leaves_it_open_and_one_that_does_is_named() {
        let check = &kubelet_port_filtered::CHECK;
        let some = "-A INPUT -s 192.168.56.0/24 -p tcp -m tcp --dport 10250 -j DROP\n";
        is_open(check, machine(some), "some of these packets");
        let one = "-A INPUT -d 172.17.0.1/32 -p tcp -m tcp --dport 10250 -j DROP\n";
        is_open(check, machine(one), "which of them is the kubelet's is not known");
        let named = Host { kubelet: kubelet(&[("node-ip", "192.168.56.11")]), ..machine(one) };
        assert!(matches!(outcome(check, named), Outcome::Pass));
        let all = "-A INPUT -s 127.0.0.0/8 -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 10250 -j DROP\n";
        assert!(matches!(outcome(check, machine(all)), Outcome::Fail(_)));
        // Another Service is no machine; a machine with a Service's address in another chain may be one.
        let other = SERVICE.replace("KUBE-SERVICES", "MINE").replace(":KUBE", ":MINE");
        is_open(&forward_policy_drop::CHECK, machine(&format!("-N MINE\n{other}")), "10.96.253.69");
    }

    #[test]
    fn the_pods_range_is_that_of_their_bridge() {
        let check = &forward_policy_drop::CHECK;
        let drop = |rules: &str| machine(&format!("{rules}-A FORWARD -j DROP\n"));
        let flannel = "-A FORWARD -s 10.244.0.0/16 -j ACCEPT\n";
        assert!(matches!(outcome(check, drop(flannel)), Outcome::Pass));
        let Outcome::Fail(finding) = outcome(check, drop("")) else { panic!("it is dropped") };
        assert!(
            finding.detail.starts_with("packets from 10.244.1.0/24 to other machines"),
            "{}",
            finding.detail
        );
        // One pod stands for the others, and is no range to let through.
        let mut one = drop("");
        let route = |destination: &str, device: &str| Route {
            destination: destination.to_owned(),
            via: None,
            device: device.to_owned(),
        };
        one.routes = seen(Need::HostRoutes, vec![route("10.244.1.5/32", "cali12345")]);
        let Outcome::Fail(finding) = outcome(check, one) else { panic!("it is dropped") };
        assert!(
            finding.detail.starts_with("packets from 10.244.1.5 to other machines"),
            "{}",
            finding.detail
        );
        assert_eq!(finding.facts.get("range").map(String::as_str), Some(""));
        let step = &cure(&forward_policy_drop::CHECK, &finding).steps[0];
        assert!(step.command.is_empty(), "{}", step.command);
        assert!(step.manual.contains("iptables-nft, table filter, chain FORWARD"), "{}", step.manual);
        assert!(step.manual.contains("PODS:.spec.podCIDR"), "{}", step.manual);
        // Calico's block is.
        let mut block = drop("");
        block.routes = seen(
            Need::HostRoutes,
            vec![
                // What an operator refuses is no range of pods.
                route("10.0.0.0/8", ""),
                route("10.244.0.0/20", ""),
                route("10.244.1.5/32", "cali12345"),
                route("10.244.1.0/26", ""),
            ],
        );
        let Outcome::Fail(finding) = outcome(check, block) else { panic!("it is dropped") };
        let command = &cure(&forward_policy_drop::CHECK, &finding).steps[0].command;
        assert!(command.contains("iptables-nft -I FORWARD -s 10.244.1.0/26 -j ACCEPT"), "{command}");
    }

    fn cure(check: &Check, finding: &crate::check::Finding) -> crate::check::Remedy {
        let mut remedies = (check.remedies)(&unseen(Mode::Host), &[finding]);
        assert_eq!(remedies.len(), 1);
        remedies.remove(0)
    }

    #[test]
    fn alone_the_routes_say_whom_to_let_through() {
        let check = &kubelet_port_filtered::CHECK;
        let rule = "-A INPUT -p tcp -m tcp --dport 10250 -j DROP\n";
        let with = |routes: &[(&str, Option<&str>, &str)]| {
            let routes = routes.iter().map(|(to, via, device)| Route {
                destination: (*to).to_owned(),
                via: via.map(str::to_owned),
                device: (*device).to_owned(),
            });
            Host { routes: seen(Need::HostRoutes, routes.collect()), ..machine(rule) }
        };
        let Outcome::Fail(finding) = outcome(
            check,
            with(&[
                ("0.0.0.0/0", Some("192.168.56.1"), "eth0"),
                ("10.0.0.0/8", Some("192.168.56.2"), "eth0"),
                ("172.17.0.0/16", None, "docker0"),
                ("10.128.0.0/9", None, ""),
                ("172.20.1.0/26", None, ""),
                ("192.168.56.0/24", None, "eth0"),
                ("10.244.1.0/24", None, "cni0"),
                ("10.244.2.0/24", Some("10.244.2.0"), "flannel.1"),
            ]),
        ) else {
            panic!("it is dropped")
        };
        let remedy = cure(check, &finding);
        let command = &remedy.steps[0].command;
        for range in ["192.168.56.0/24", "10.244.1.0/24", "10.244.2.0/24"] {
            let rule = format!("iptables-nft -I INPUT -p tcp -s {range} --dport 10250 -j ACCEPT");
            assert!(command.contains(&rule), "{command}");
        }
        assert_eq!(command.matches("ExecStart=").count(), 3, "{command}");
        assert!(remedy.cost.contains("`check --with` knows them"), "{}", remedy.cost);
        // Without such routes a person fills them in.
        let Outcome::Fail(finding) = outcome(check, with(&[("0.0.0.0/0", Some("192.168.56.1"), "eth0")]))
        else {
            panic!("it is dropped")
        };
        let step = &cure(check, &finding).steps[0];
        assert!(step.command.is_empty() && step.manual.contains("PODS:.spec.podCIDR"), "{}", step.manual);
    }

    #[test]
    fn an_address_that_kube_proxy_names_is_still_the_machines() {
        let external = "-A INPUT -j KUBE-SERVICES\n-A KUBE-SERVICES -d 192.168.56.11/32 -p tcp -m tcp --dport 443 -j REJECT\n-A INPUT -d 192.168.56.11/32 -p tcp -m tcp --dport 10250 -j DROP\n";
        let named = Host { kubelet: kubelet(&[("node-ip", "192.168.56.11")]), ..machine(external) };
        assert!(matches!(outcome(&kubelet_port_filtered::CHECK, named), Outcome::Fail(_)));
    }

    fn verdict(host: Host) -> Verdict {
        static CHECKS: [Check; 3] =
            [forward_policy_drop::CHECK, kubelet_port_filtered::CHECK, ip_forward_off::CHECK];
        let evidence = Evidence { hosts: vec![host], ..unseen(Mode::Host) };
        diagnose(&CHECKS, &evidence, Policy::default()).verdict
    }

    #[test]
    fn a_machine_whose_rules_were_not_seen_is_not_fit() {
        assert_eq!(verdict(machine("")), Verdict::Pass);
        let why = || Why::NotPermitted("the packet filter is read by root only".to_owned());
        let unseen =
            Host { filters: crate::evidence::Obs::unseen(Need::HostFilters, [], why()), ..machine("") };
        assert_eq!(verdict(unseen), Verdict::Undecided);
        let unseen =
            Host { settings: crate::evidence::Obs::unseen(Need::HostSettings, [], why()), ..machine("") };
        assert_eq!(verdict(unseen), Verdict::Undecided);
        let mut long = filters("");
        for chain in
            long.rulesets.iter_mut().flat_map(|set| set.chains.values_mut()).flat_map(|it| it.values_mut())
        {
            chain.left_out = 49_000;
        }
        assert_eq!(
            verdict(Host { filters: seen(Need::HostFilters, long), ..machine("") }),
            Verdict::Undecided
        );
        // Without a kubelet there are no pods whose packets it would forward.
        let process: Option<Process> = None;
        let control_plane =
            Host { kubelet: seen(Need::HostKubelet, process), ..machine("-A FORWARD -j DROP\n") };
        assert_eq!(verdict(control_plane), Verdict::Pass);
    }
}
