//! # Swap keeps the kubelet from starting
//!
//! ## What it looks at
//!
//! Swap in use (`/proc/swaps`), `failSwapOn` of the kubelet's configuration, true by default, and whether the kubelet runs.
//!
//! ## Why it matters
//!
//! With `failSwapOn: true` a kubelet ends at its start where swap is on: "running with swap on is not supported, please
//! disable swap or set --fail-swap-on flag to false". The node is not Ready, and nobody answers metrics-server. It
//! often comes after a reboot, when swap that was only turned off by hand is on again.
//!
//! ## How to fix it
//!
//! Turn swap off now and at boot, and start the kubelet. Kubernetes can also run with swap (`failSwapOn: false` and
//! `memorySwap`), where that is wanted.
//!
//! ## When it is wrong
//!
//! A kubelet may be kept from starting by something else besides.
//!
//! ## References
//!
//! - `pkg/kubelet/cm/container_manager_linux.go`, `NewContainerManager`
//! - <https://kubernetes.io/docs/concepts/cluster-administration/swap-memory-management/>

use super::role::{self, Role, role};
use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Need, Why};

pub(crate) const CHECK: Check = Check {
    code: "MP034",
    name: "swap-stops-kubelet",
    title: "Swap is on, and the kubelet does not start with it",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: role::MODES,
    needs: &[Need::HostKubelet, Need::HostControlPlane, Need::HostSystem],
    explains: role::KUBELET_EXPLAINS,
    question: Question::Listed,
    source: include_str!("swap_stops_kubelet.rs"),
    run,
    remedies,
};

fn run(_: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostKubelet, |ctx, host, subject| {
        if role(ctx, host)? == Role::ControlPlane {
            return Ok(not_applicable("this host of the control plane has no kubelet"));
        }
        if role::running(ctx, host)?.is_some() {
            return Ok(Outcome::Pass);
        }
        let swap = *ctx.need(&host.swap_bytes)?;
        if swap == 0 {
            return Ok(Outcome::Pass);
        }
        let fails = match ctx.need(&host.kubelet_file)? {
            Some(file) if file.exists && file.error.is_empty() => file.fail_swap_on,
            Some(_) => {
                let why = Why::Masked("kubelet-config-missing".to_owned());
                return Err(Undecided { need: Need::HostKubelet, why });
            }
            None => {
                let unit = ctx.need(&host.kubelet_unit)?.as_ref();
                unit.and_then(|unit| unit.flags.get("fail-swap-on")).is_none_or(|value| value != "false")
            }
        };
        if !fails {
            return Ok(Outcome::Pass);
        }
        let detail = format!(
            "{} MiB of swap are in use, failSwapOn is true, and the kubelet does not run",
            swap >> 20
        );
        let finding = Finding::new(subject, detail).cite(&host.swap_bytes, "swap", swap.to_string(), "0");
        Ok(fail(finding.cite(&host.kubelet, "process", "none", "a kubelet")))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let script = "(\nset -e\nswapoff -a\nsed -i.before-swapoff -e '/^[^#].*[[:space:]]swap[[:space:]]/s/^/#/' /etc/fstab\n\
                  systemctl mask swap.target\nsystemctl restart kubelet\n)";
    let steps = findings
        .iter()
        .map(|finding| {
            Step::run(role::place(&finding.subject), script)
                .verify("[ \"$(wc -l < /proc/swaps)\" -le 1 ] && systemctl is-active kubelet")
        })
        .collect();
    role::on_each("Turn swap off, now and at boot", "Programs lose the room that swap gave them.", steps)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{file, host, kubelet, outcome, seen, unit};
    use super::*;
    use crate::evidence::{Host, KubeletFile};

    #[test]
    fn swap_matters_to_a_kubelet_that_does_not_run() {
        let node = |swap: i64, file: KubeletFile| Host {
            kubelet: seen(Need::HostKubelet, None),
            kubelet_unit: unit(),
            kubelet_file: seen(Need::HostKubelet, Some(file)),
            swap_bytes: seen(Need::HostSystem, swap),
            ..host()
        };
        assert!(matches!(outcome(&CHECK, node(1 << 30, file())), Outcome::Fail(_)));
        assert!(matches!(outcome(&CHECK, node(0, file())), Outcome::Pass));
        let tolerant = KubeletFile { fail_swap_on: false, ..file() };
        assert!(matches!(outcome(&CHECK, node(1 << 30, tolerant)), Outcome::Pass));
        let gone = KubeletFile { exists: false, ..file() };
        assert!(matches!(outcome(&CHECK, node(1 << 30, gone)), Outcome::Undecided(_)));
        let runs = Host { kubelet: kubelet(&[]), ..node(1 << 30, file()) };
        assert!(matches!(outcome(&CHECK, runs), Outcome::Pass));
    }
}
