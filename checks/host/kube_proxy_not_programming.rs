//! # Nothing translates the addresses of Services on the machine
//!
//! ## What it looks at
//!
//! What is programmed for Services in any of the three ways that kube-proxy has: the chain `KUBE-SERVICES` in the table `nat`
//! of iptables, the table `kube-proxy` of nftables, and the virtual servers of IPVS; and whether kube-proxy runs.
//!
//! ## Why it matters
//!
//! Every cluster has at least the Service `kubernetes`. Without a rule for it a pod's packets to `10.96.0.1:443` go nowhere:
//! metrics-server ends with `i/o timeout`. On a control-plane host kube-apiserver itself dials the Service of
//! metrics-server, unless it was told to dial pods (`--enable-aggregator-routing`).
//!
//! ## How to fix it
//!
//! Start kube-proxy on the machine, and see in its log why it ended.
//!
//! ## When it is wrong
//!
//! Cilium, Calico's eBPF data plane, OVN-Kubernetes and Antrea translate without these rules. Where their interfaces are seen
//! the answer stays open. Where a pod of metrics-server on the machine is Ready and the Metrics API answers, this check
//! passes.
//!
//! ## References
//!
//! - Failure catalogue: `kube-proxy-not-programming` (RM-C1c), `clusterip-unreachable-from-control-plane` (AH-B01)
//! - Kubernetes `pkg/proxy/iptables/proxier.go`, `pkg/proxy/nftables/proxier.go`, `pkg/proxy/ipvs/proxier.go`

use super::alone;
use super::place::{self, Place};
use crate::check::{
    Audience, Check, Context, Finding, Hop, Kind, Outcome, Remedy, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Distribution, Evidence, Host, Mode, Need, Why};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP013",
    name: "kube-proxy-not-programming",
    title: "Nothing on the machine translates the addresses of Services",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: &[
        Need::Pods,
        Need::MetricsDiscovery,
        Need::HostIdentity,
        Need::HostServiceRules,
        Need::HostKubelet,
        Need::HostKubeProxy,
        Need::HostControlPlane,
        Need::HostRoutes,
    ],
    explains: super::EXPLAINS,
    question: alone::QUESTION,
    source: include_str!("kube_proxy_not_programming.rs"),
    run,
    remedies,
};

/// For so long kube-proxy may be at work on its first rules.
const STARTING_S: i64 = 60;

/// Why the machine does not need the rules for Services; nothing where it does.
fn not_needed(
    ctx: &Context<'_>,
    evidence: &Evidence,
    host: &Host,
) -> Result<Option<&'static str>, Undecided> {
    match place::of(ctx, evidence, host)? {
        Place::Pod | Place::HostNetwork => return Ok(None),
        Place::Perhaps if place::has_kubelet(ctx, host)? => return Ok(None),
        Place::Perhaps | Place::Elsewhere => {}
    }
    let Some(server) = ctx.need(&host.api_server)? else {
        return Ok(Some("neither a pod of metrics-server nor kube-apiserver runs on it"));
    };
    let is = |flag: &str, value: &str| server.flags.get(flag).is_some_and(|own| own == value);
    Ok(if is("enable-aggregator-routing", "true") {
        Some("kube-apiserver dials pods, not Services (--enable-aggregator-routing)")
    } else if server.flags.contains_key("egress-selector-config-file") {
        Some("kube-apiserver reaches the cluster by another way (--egress-selector-config-file)")
    } else {
        None
    })
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostServiceRules, |ctx, host, subject| {
        if let Some(why) = not_needed(ctx, evidence, host)? {
            return Ok(not_applicable(why));
        }
        if place::serves(ctx, evidence, host)? {
            return Ok(Outcome::Pass);
        }
        let rules = ctx.need(&host.service_rules)?;
        let undecided = |need, why| Err(Undecided { need, why });
        match rules.programmed() {
            Some(true) => return Ok(Outcome::Pass),
            Some(false) => {}
            None => {
                let why = rules.unread.first().map_or("a listing ended early", |unread| unread.why.as_str());
                return undecided(Need::HostServiceRules, Why::Unreadable(why.to_owned()));
            }
        }
        if let Some(name) = place::bypass(ctx.need(&host.routes)?) {
            return Err(place::masked(Need::HostServiceRules, name, "translate the addresses of Services"));
        }
        let (detail, certain) = match ctx.need(&host.kube_proxy)? {
            None => ("no Service is programmed, and kube-proxy does not run".to_owned(), true),
            Some(proxy) => {
                let age = proxy.started.map(|started| host.taken_at.duration_since(started).as_secs());
                if age.is_some_and(|age| age < STARTING_S) {
                    let why = Why::TooEarly("kube-proxy has just started".to_owned());
                    return undecided(Need::HostKubeProxy, why);
                }
                ("no Service is programmed, though kube-proxy runs".to_owned(), false)
            }
        };
        let found = Finding::new(subject, detail)
            .cite(&host.service_rules, "services", "none", "at least that of default/kubernetes")
            .fact("run_on", place::run_on(host));
        let found = found.cite(
            &host.kube_proxy,
            "kube-proxy",
            if certain { "does not run" } else { "runs" },
            "runs and has programmed Services",
        );
        Ok(fail(if certain { found } else { found.likely(&[]) }))
    });
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = Vec::new();
    for finding in findings {
        let run_on = finding.facts.get("run_on").cloned().unwrap_or_default();
        steps.push(
            Step::run(
                run_on,
                "systemctl enable --now kube-proxy 2>/dev/null || echo 'kube-proxy is no service of this machine'",
            )
            .verify(support::SERVICES_PROGRAMMED),
        );
    }
    // kubeadm runs it as a DaemonSet, unless somebody left that phase out.
    if evidence.cluster.distribution == Distribution::Kubeadm {
        steps.push(Step::run(
            "workstation",
            "if kubectl -n kube-system get daemonset kube-proxy >/dev/null 2>&1; then\n  kubectl -n kube-system rollout restart daemonset/kube-proxy\n  kubectl -n kube-system rollout status daemonset/kube-proxy --timeout=3m\nfi",
        ));
    }
    steps.extend(support::restart_metrics_server(evidence));
    vec![Remedy {
        title: "Run kube-proxy on the machine".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps,
    }]
}
