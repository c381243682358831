//! What the faults of the front proxy's identity share.

use std::fmt::Write as _;

use crate::Context;
use crate::check::{Audience, Finding, Remedy, Step, Undecided};
use crate::evidence::{
    AnonymousAccess, Distribution, Evidence, FrontProxyFailure, LogSignal, Need, Signature, Why,
};
use crate::front_proxy::disk;
use crate::support;

/// What a broken identity brings about.
pub(super) const EXPLAINS: &[&str] =
    &["apiservice-unavailable", "metrics-api-unanswered", "hpa-metrics-unreadable", "node-metrics-missing"];

/// Every kube-apiserver probes at least every 30 s (kube-aggregator's availability controller), so an
/// older rejection is of a fault that is gone.
const PROBED_S: i64 = 45;

/// "Masked", where anonymous callers may do everything: whether a caller's identity is lost on the way to
/// metrics-server, nobody can tell then (AH-E07).
pub(super) fn masked(ctx: &Context<'_>, evidence: &Evidence) -> Option<Undecided> {
    let access = ctx.need(&evidence.front_proxy.anonymous_access).ok()?;
    (*access == AnonymousAccess::Everything).then(|| Undecided {
        need: Need::AnonymousAccess,
        why: Why::Masked("the privileges of anonymous callers, which let every caller through".to_owned()),
    })
}

/// What metrics-server last had against the certificate of its caller.
///
/// # Errors
///
/// When its log was not seen, or when it serves nobody, so that its silence proves nothing.
pub(super) fn rejection<'e>(
    ctx: &Context<'_>,
    evidence: &'e Evidence,
) -> Result<Option<(&'e LogSignal, &'e FrontProxyFailure)>, Undecided> {
    // While kube-apiserver's own probe gets through, a rejected certificate was somebody else's.
    let probe = ctx.need(&evidence.registration)?.as_ref().and_then(|api| api.available.as_ref());
    if probe.is_some_and(crate::evidence::Condition::is_true) {
        return Ok(None);
    }
    let lines = support::current_signals(ctx, evidence, |signature| match signature {
        Signature::CallerRejected { failure } => Some(failure),
        _ => None,
    })?;
    let present = |(signal, _): &(&LogSignal, _)| support::age_s(evidence, signal.at) <= PROBED_S;
    if let Some(last) = lines.into_iter().next_back().filter(present) {
        return Ok(Some(last));
    }
    if support::serves(ctx, evidence)? {
        return Ok(None);
    }
    let why = Why::NotAsked("metrics-server does not serve, so it has rejected nobody".to_owned());
    Err(Undecided { need: Need::Logs, why })
}

/// Sets flags of kube-apiserver in kubeadm's static pod manifest, in one go; the kubelet then restarts it. The
/// copy is made outside the manifests' folder, where the kubelet would run it, and keeps mode and owner.
fn set_flags(flags: &[(&str, &str)]) -> Step {
    let mut script = String::from(
        "manifest=/etc/kubernetes/manifests/kube-apiserver.yaml\nnew=/etc/kubernetes/kube-apiserver.yaml.new\ncp -p \"$manifest\" \"$new\"\nset_flag() { sed -i -e \"/^ *- $1=/d\" -e \"s|^\\( *\\)- kube-apiserver\\$|&\\n\\1- $1=$2|\" \"$new\"; }\n",
    );
    for (name, value) in flags {
        // Writing to a String cannot fail.
        let _ = writeln!(script, "set_flag --{name} {}", support::word(value));
    }
    script.push_str("mv \"$new\" \"$manifest\"\n");
    let mut runs_with = String::new();
    if let Some((name, value)) = flags.last() {
        let flag = support::word(&format!("--{name}={value}"));
        runs_with = format!(
            "ps -ww -o args= -C kube-apiserver | grep -cF -- {flag} && kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz"
        );
        // The kubelet looks at its manifests every 20 s; the next step needs the new kube-apiserver.
        let _ = write!(
            script,
            "for try in $(seq 60); do\n  {{ {runs_with}; }} >/dev/null 2>&1 && break\n  sleep 2\ndone"
        );
    }
    let script = support::on_host("/etc/kubernetes/manifests/kube-apiserver.yaml", &script);
    Step::run("every control-plane host", script).verify(runs_with)
}

/// Whether kubeadm's files are what the control plane runs with.
fn is_kubeadm(evidence: &Evidence) -> bool {
    match evidence.cluster.distribution {
        Distribution::Unknown => evidence.hosts.iter().any(disk::is_kubeadm),
        known => known == Distribution::Kubeadm,
    }
}

/// kubeadm's flags for the receiving side.
pub(super) const REQUESTHEADER_FLAGS: &[(&str, &str)] = &[
    ("requestheader-client-ca-file", "/etc/kubernetes/pki/front-proxy-ca.crt"),
    ("requestheader-allowed-names", "front-proxy-client"),
    ("requestheader-username-headers", "X-Remote-User"),
    ("requestheader-group-headers", "X-Remote-Group"),
    ("requestheader-extra-headers-prefix", "X-Remote-Extra-"),
];

/// kubeadm's flags for the sending side.
pub(super) const PROXY_CLIENT_FLAGS: &[(&str, &str)] = &[
    ("proxy-client-cert-file", "/etc/kubernetes/pki/front-proxy-client.crt"),
    ("proxy-client-key-file", "/etc/kubernetes/pki/front-proxy-client.key"),
];

/// A cure by flags of kube-apiserver, printed for kubeadm's manifest where that is what runs.
pub(super) fn by_flags(
    evidence: &Evidence,
    title: &str,
    flags: &[(&str, &str)],
    before: Vec<Step>,
) -> Remedy {
    let mut steps = before;
    if is_kubeadm(evidence) {
        steps.push(set_flags(flags));
    } else {
        let list: Vec<String> = flags.iter().map(|(name, value)| format!("--{name}={value}")).collect();
        steps.push(Step::manual(
            "every control-plane host",
            format!("start kube-apiserver with {} (paths as on your hosts), and restart it", list.join(" ")),
        ));
    }
    Remedy {
        title: title.to_owned(),
        audience: Audience::Production,
        cost: "Each kube-apiserver restarts once.".to_owned(),
        leaves: Vec::new(),
        steps,
    }
}

/// Issues the front proxy's client certificate anew, from the CA that the cluster publishes.
fn issue_client_certificate() -> Step {
    Step::run(
        "every control-plane host",
        support::on_host(
            "/etc/kubernetes/pki/front-proxy-ca.key",
            "cd /etc/kubernetes/pki\nold=/etc/kubernetes/pki-$(date +%Y%m%d-%H%M%S)\nmkdir \"$old\"\ncp -p front-proxy-client.* \"$old\"\nrm -f front-proxy-client.crt front-proxy-client.key\nkubeadm init phase certs front-proxy-client || { cp -p \"$old\"/* .; exit 1; }",
        ),
    )
    .verify("openssl verify -CAfile /etc/kubernetes/pki/front-proxy-ca.crt /etc/kubernetes/pki/front-proxy-client.crt")
}

/// The cure for a client certificate that metrics-server does not accept: another one from the published CA.
pub(super) fn reissue(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let title = "Issue the front proxy's client certificate from the published CA";
    if !is_kubeadm(evidence) {
        return vec![Remedy {
            title: title.to_owned(),
            audience: Audience::Production,
            cost: String::new(),
            leaves: Vec::new(),
            steps: vec![Step::manual(
                "every control-plane host",
                "sign a new client certificate with the CA of --requestheader-client-ca-file, for client authentication and with a common name from --requestheader-allowed-names; write it to --proxy-client-cert-file and --proxy-client-key-file, and restart kube-apiserver",
            )],
        }];
    }
    let before = vec![issue_client_certificate()];
    vec![by_flags(evidence, title, PROXY_CLIENT_FLAGS, before)]
}

/// Cites the line in which metrics-server rejects its caller.
pub(super) fn cite_log(finding: Finding, evidence: &Evidence, words: &str) -> Finding {
    finding.cite(&evidence.backend.logs, "log", words, "an accepted client certificate")
}
