//! # Another program listens at the kubelet's port
//!
//! ## What it looks at
//!
//! Who listens at the port of the kubelet's configuration (10250 by default), and whether the kubelet runs.
//!
//! ## Why it matters
//!
//! A kubelet that does not get its port ends ("bind: address already in use"), or another program answers
//! metrics-server in its place. metrics-server itself takes 10250 where it runs in the host's network.
//!
//! ## How to fix it
//!
//! Move the other program to another port (metrics-server with `hostNetwork` by `--secure-port`), and start the kubelet.
//!
//! ## When it is wrong
//!
//! Without root it is not seen whose socket it is; then only a kubelet that does not run at all proves it.
//!
//! ## References
//!
//! - metrics-server, FAQ on `hostNetwork` and port 10250
//! - Failure catalogue: `kubelet-port-wrong` (RM-D9)

use super::role::{self, Role, role};
use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Remedy, Results, Severity, Step, fail, not_applicable,
};
use crate::evidence::{Evidence, Need};

pub(crate) const CHECK: Check = Check {
    code: "MP035",
    name: "kubelet-port-taken",
    title: "Another program listens at the kubelet's port",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: role::MODES,
    needs: &[Need::HostKubelet, Need::HostControlPlane, Need::HostListeners],
    explains: role::KUBELET_EXPLAINS,
    question: role::QUESTION,
    source: include_str!("kubelet_port_taken.rs"),
    run,
    remedies,
};

/// `pkg/cluster/ports/ports.go`.
const USUAL: i64 = 10250;

fn run(_: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostKubelet, |ctx, host, subject| {
        if role(ctx, host)? == Role::ControlPlane {
            return Ok(not_applicable("this host of the control plane has no kubelet"));
        }
        let file = ctx.need(&host.kubelet_file)?.as_ref();
        let port = file.and_then(|file| file.config.as_ref()).map_or(USUAL, |config| config.port);
        let listeners = ctx.need(&host.listeners)?;
        let runs = ctx.need(&host.kubelet)?.is_some();
        // A kubelet that is started again and again may have its socket for a moment, so a name that is seen counts.
        let other = listeners.iter().find(|listener| {
            listener.port == port
                && match &listener.process {
                    // What holds several components has the kubelet within itself.
                    Some(name) => {
                        !matches!(name.as_str(), "kubelet" | "hyperkube" | "kubelite")
                            && !name.starts_with("k3s")
                    }
                    None => !runs,
                }
        });
        let Some(other) = other else { return Ok(Outcome::Pass) };
        let who = other.process.as_deref().unwrap_or("another program");
        let at = if other.address.contains(':') {
            format!("[{}]:{port}", other.address)
        } else {
            format!("{}:{port}", other.address)
        };
        let finding = Finding::new(subject, format!("{who} listens at {at}")).fact("port", port.to_string());
        Ok(fail(finding.cite(&host.listeners, at, who, "kubelet")))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings
        .iter()
        .map(|finding| {
            let port = finding.facts.get("port").map_or("10250", String::as_str);
            let what = "stop the program at the kubelet's port or give it another port in its own configuration, and \
                        start the kubelet (`systemctl restart kubelet`)";
            Step::manual(role::place(&finding.subject), what).verify(format!("ss -ltnp 'sport = :{port}' | grep -w kubelet"))
        })
        .collect();
    role::on_each("Give the port back to the kubelet", "", steps)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{file, host, kubelet, outcome, seen, unit};
    use super::*;
    use crate::evidence::{Host, Listener};

    #[test]
    fn whose_port_it_is_decides() {
        let node = |runs: bool, process: Option<&str>| Host {
            kubelet: if runs { kubelet(&[]) } else { seen(Need::HostKubelet, None) },
            kubelet_unit: unit(),
            kubelet_file: seen(Need::HostKubelet, Some(file())),
            listeners: seen(
                Need::HostListeners,
                vec![Listener { address: "::".to_owned(), port: 10250, process: process.map(str::to_owned) }],
            ),
            ..host()
        };
        assert!(matches!(outcome(&CHECK, node(true, Some("kubelet"))), Outcome::Pass));
        assert!(matches!(outcome(&CHECK, node(true, Some("metrics-server"))), Outcome::Fail(_)));
        assert!(matches!(outcome(&CHECK, node(false, None)), Outcome::Fail(_)), "the kubelet does not run");
        assert!(matches!(outcome(&CHECK, node(true, None)), Outcome::Pass), "it may be the kubelet's");
    }
}
