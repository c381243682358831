//! # kube-apiserver sends calls to metrics-server through a proxy
//!
//! ## What it looks at
//!
//! `HTTPS_PROXY` and `NO_PROXY` in the environment of the kube-apiserver that runs, and the range of Service addresses in its
//! flags (`--service-cluster-ip-range`), or the range of pods where it dials pods (`--enable-aggregator-routing`).
//!
//! ## Why it matters
//!
//! kube-apiserver obeys these variables when it calls extension servers. A proxy outside the cluster cannot reach a
//! Service's address: calls fail with `proxyconnect`, time out, or come back as a 403 of the proxy's own, which looks as
//! if metrics-server had refused its caller. kubeadm copies the variables of whoever ran it into the manifest.
//!
//! ## How to fix it
//!
//! Add the ranges of Services and pods to `NO_PROXY`, in the manifest or unit, so that it lasts.
//!
//! ## When it is wrong
//!
//! A proxy may reach the cluster's addresses after all. Where the Metrics API answers, it passes.
//!
//! ## References
//!
//! - `golang.org/x/net/http/httpproxy` on what `NO_PROXY` may hold
//! - Failure catalogue: `apiserver-egress-proxy-env` (AH-B06)

use std::net::IpAddr;

use super::{API_SERVER_MANIFEST as MANIFEST, place, role};
use crate::Context;
use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Remedy, Results, Severity, Step, Undecided, fail, not_applicable,
};
use crate::evidence::{Component, Evidence, Host, Mode, Need, Why};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP039",
    name: "proxy-catches-cluster",
    title: "kube-apiserver sends what is for metrics-server to a proxy",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::Host],
    needs: &[Need::MetricsDiscovery, Need::HostControlPlane, Need::HostSystem],
    explains: &[
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: role::QUESTION,
    source: include_str!("proxy_catches_cluster.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostControlPlane, |ctx, host, subject| {
        let Some(component) = ctx.need(&host.api_server)? else {
            return Ok(not_applicable("no kube-apiserver is here"));
        };
        if component.seen_as != "process" {
            return Ok(not_applicable("kube-apiserver does not run"));
        }
        let proxies = ctx.need(&host.proxies)?;
        let value = |name: &str| {
            let own = proxies.iter().find(|proxy| proxy.of == "kube-apiserver" && proxy.name == name);
            own.map(|proxy| proxy.value.as_str())
        };
        let Some(proxy) = value("HTTPS_PROXY") else { return Ok(Outcome::Pass) };
        let exceptions = value("NO_PROXY").unwrap_or_default();
        let ranges = ranges(ctx, host, component)?;
        let Some(caught) = ranges.iter().find(|range| !is_excepted(range, exceptions)) else {
            return Ok(Outcome::Pass);
        };
        // Where the Metrics API answers, the proxy lets it through.
        if evidence.mode != Mode::Host && ctx.need(&evidence.metrics.discovery)?.status == 200 {
            return Ok(Outcome::Pass);
        }
        let detail = format!("its kube-apiserver sends calls to {caught} to {proxy}");
        let mut finding = Finding::new(subject, detail).fact("ranges", ranges.join(","));
        if component.path == MANIFEST {
            finding = finding.fact("manifest", MANIFEST);
        }
        let finding = finding.fact("run_on", place::run_on(host)).cite(
            &host.proxies,
            "kube-apiserver NO_PROXY",
            if exceptions.is_empty() { "not set" } else { exceptions },
            caught,
        );
        Ok(fail(finding.likely(&[])))
    });
}

/// Where kube-apiserver finds extension servers: at addresses of Services, or of pods.
fn ranges(ctx: &Context<'_>, host: &Host, component: &Component) -> Result<Vec<String>, Undecided> {
    let by_pods = component.flags.get("enable-aggregator-routing").is_some_and(|value| value == "true");
    let text = if by_pods {
        ctx.need(&host.controller_manager)?.as_ref().and_then(|manager| manager.flags.get("cluster-cidr"))
    } else {
        component.flags.get("service-cluster-ip-range")
    };
    let ranges: Vec<String> =
        text.into_iter().flat_map(|text| text.split(',')).map(|range| range.trim().to_owned()).collect();
    if ranges.is_empty() || ranges.iter().any(|range| read(range).is_none()) {
        let what = if by_pods { "the range of pods" } else { "the range of Services" };
        let why = Why::Lacking(format!("{what} stands in no flag here"));
        return Err(Undecided { need: Need::HostControlPlane, why });
    }
    Ok(ranges)
}

/// Whether `NO_PROXY` holds all of a range. Names of domains say nothing of addresses.
fn is_excepted(range: &str, exceptions: &str) -> bool {
    let Some((address, length)) = read(range) else { return false };
    exceptions.split(',').map(str::trim).any(|entry| {
        entry == "*"
            || read(entry).is_some_and(|(start, shorter)| shorter <= length && is_in(address, start, shorter))
    })
}

/// An address with the length of its range; a single address is a range of itself.
fn read(range: &str) -> Option<(IpAddr, u32)> {
    let (address, length) =
        range.split_once('/').map_or((range, None), |(address, length)| (address, Some(length)));
    let address: IpAddr = address.parse().ok()?;
    let most = if address.is_ipv4() { 32 } else { 128 };
    let length = length.map_or(Some(most), |length| length.parse().ok())?;
    (length <= most).then_some((address, length))
}

fn is_in(address: IpAddr, start: IpAddr, length: u32) -> bool {
    match (address, start) {
        (IpAddr::V4(address), IpAddr::V4(start)) => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            u32::from(address) & mask == u32::from(start) & mask
        }
        (IpAddr::V6(address), IpAddr::V6(start)) => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            u128::from(address) & mask == u128::from(start) & mask
        }
        _ => false,
    }
}

fn place(finding: &Finding) -> String {
    finding.facts.get("run_on").cloned().unwrap_or_default()
}

/// Adds ranges to `NO_PROXY` of kubeadm's manifest, which has the variables as they were in the shell of whoever ran it, in
/// letters large or small; the kubelet then starts kube-apiserver anew. The copy is made outside the manifests' folder,
/// where the kubelet would run it. Where the variables come from elsewhere nothing is changed.
fn edit_manifest(ranges: &str) -> String {
    let added = format!("{ranges},.svc,.cluster.local");
    let script = format!(
        "manifest={MANIFEST}\nnew=/etc/kubernetes/kube-apiserver.yaml.new\nold=$(pgrep -o -x kube-apiserver || true)\ncp -p \"$manifest\" \"$new\"\nif grep -qi '^ *- name: no_proxy$' \"$new\"; then\n  sed -i '/^ *- name: [Nn][Oo]_[Pp][Rr][Oo][Xx][Yy]$/{{n;s#value: *[\"\\x27]\\{{0,1\\}}\\([^\"\\x27]*\\)[\"\\x27]\\{{0,1\\}} *$#value: \"\\1,{added}\"#}}' \"$new\"\nelse\n  sed -i 's#^\\( *\\)- name: [Hh][Tt][Tt][Pp][Ss]_[Pp][Rr][Oo][Xx][Yy]$#\\1- name: NO_PROXY\\n\\1  value: \"{added}\"\\n&#' \"$new\"\nfi\ngrep -qF '{added}' \"$new\" || {{ echo 'the variables do not come from this manifest: nothing was changed' >&2; rm \"$new\"; exit 1; }}\nmv \"$new\" \"$manifest\"\nfor try in $(seq 60); do\n  now=$(pgrep -o -x kube-apiserver || true)\n  [ -n \"$now\" ] && [ \"$now\" != \"$old\" ] && kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /readyz >/dev/null 2>&1 && break\n  sleep 2\ndone"
    );
    support::on_host(MANIFEST, &script)
}

/// Whether the kube-apiserver that runs has these ranges.
fn obeys(ranges: &str) -> String {
    format!(
        "tr '\\0' '\\n' < /proc/$(pgrep -o -x kube-apiserver)/environ | grep -i '^no_proxy=' | grep -F '{ranges}'"
    )
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings
        .iter()
        .map(|finding| {
            let ranges = finding.facts.get("ranges").map_or("", String::as_str);
            if finding.facts.contains_key("manifest") {
                return Step::run(place(finding), edit_manifest(ranges)).verify(obeys(ranges));
            }
            let what = format!(
                "add {ranges},.svc,.cluster.local to NO_PROXY in the environment of kube-apiserver, in its manifest \
                 (/etc/kubernetes/manifests/kube-apiserver.yaml) or unit, and let it start anew"
            );
            Step::manual(place(finding), what).verify(obeys(ranges))
        })
        .collect();
    role::on_each("Keep the proxy out of the cluster", "kube-apiserver restarts once.", steps)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{flags, host, outcome, seen};
    use super::*;
    use crate::evidence::HostProxy;

    fn control_plane(exceptions: Option<&str>) -> Host {
        let component = Component {
            seen_as: "process".to_owned(),
            path: String::new(),
            flags: flags(&[("service-cluster-ip-range", "10.96.0.0/12")]),
            declared: None,
            started: None,
        };
        let proxy = |name: &str, value: &str| HostProxy {
            of: "kube-apiserver".to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
        };
        let mut proxies = vec![proxy("HTTPS_PROXY", "http://proxy:3128")];
        proxies.extend(exceptions.map(|exceptions| proxy("NO_PROXY", exceptions)));
        Host {
            api_server: seen(Need::HostControlPlane, Some(component)),
            proxies: seen(Need::HostSystem, proxies),
            ..host()
        }
    }

    #[test]
    fn a_proxy_must_leave_the_services_alone() {
        for (exceptions, passes) in [
            (None, false),
            (Some(".svc,.cluster.local,localhost"), false),
            (Some("10.96.0.1"), false),
            (Some("10.96.0.0/16"), false),
            (Some("10.96.0.0/12"), true),
            (Some("localhost, 10.0.0.0/8"), true),
            (Some("*"), true),
            (Some("0.0.0.0/0"), true),
        ] {
            let is_pass = matches!(outcome(&CHECK, control_plane(exceptions)), Outcome::Pass);
            assert_eq!(is_pass, passes, "{exceptions:?}");
        }
        let without = Host { proxies: seen(Need::HostSystem, Vec::new()), ..control_plane(None) };
        assert!(matches!(outcome(&CHECK, without), Outcome::Pass));
        let unseen = Host { proxies: host().proxies, ..control_plane(None) };
        assert!(matches!(outcome(&CHECK, unseen), Outcome::Undecided(_)));
    }
}
