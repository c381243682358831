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
//! Turn swap off now and at boot, and start the kubelet: the lines of `/etc/fstab` become comments, a copy of the file stays
//! beside it, and `swap.target` is masked, with which systemd starts what its generators find. Kubernetes can also run with swap (`failSwapOn: false` and
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
use super::swap;
use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Remedy, Results, Severity, Step, fail, not_applicable,
};
use crate::evidence::{Evidence, Need};

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
    question: role::QUESTION,
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
        if !swap::stops_the_kubelet(ctx, host)? {
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

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings
        .iter()
        .map(|finding| {
            let host = swap::host(evidence, &finding.subject);
            let verify = format!(
                "[ \"$(wc -l < /proc/swaps)\" -le 1 ] && {} && systemctl is-active kubelet",
                swap::stays_off(host)
            );
            let script = swap::script(host, "systemctl restart kubelet\n");
            Step::run(role::place(&finding.subject), script).verify(verify)
        })
        .collect();
    role::on_each("Turn swap off, now and at boot", "Programs lose the room that swap gave them.", steps)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{file, flags, host, kubelet, outcome, seen, unit};
    use super::*;
    use crate::evidence::{Host, KubeletFile, Mode, SwapAtBoot, SwapSource, Unit, unseen};

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
        // Without a file the unit's flags say it.
        let by_flag = |value: &str| {
            let unit = Unit {
                flags: flags(&[("fail-swap-on", value)]),
                ..unit().peek().cloned().flatten().expect("one")
            };
            Host {
                kubelet_file: seen(Need::HostKubelet, None),
                kubelet_unit: seen(Need::HostKubelet, Some(unit)),
                ..node(1 << 30, file())
            }
        };
        assert!(matches!(outcome(&CHECK, by_flag("false")), Outcome::Pass));
        assert!(matches!(outcome(&CHECK, by_flag("true")), Outcome::Fail(_)));
    }

    #[test]
    fn the_cure_holds_every_source_off_that_the_target_does_not() {
        let source = |kind: &str, name: &str, file: &str| SwapSource {
            kind: kind.to_owned(),
            name: name.to_owned(),
            file: file.to_owned(),
            doubt: String::new(),
        };
        let sources = vec![
            source("fstab", "/swapfile", "/etc/fstab"),
            source("unit", "dev-sdb 1.swap", "/etc/systemd/system/dev-sdb 1.swap"),
            source("service", "zramswap.service", "/lib/systemd/system/zramswap.service"),
        ];
        let host = Host {
            kubelet: seen(Need::HostKubelet, None),
            kubelet_unit: unit(),
            kubelet_file: seen(Need::HostKubelet, Some(file())),
            swap_bytes: seen(Need::HostSystem, 1 << 30),
            swap_at_boot: seen(Need::HostSystem, SwapAtBoot { sources, turned_off_by: None }),
            ..host()
        };
        let evidence = Evidence { hosts: vec![host], ..unseen(Mode::Host) };
        let outcomes = CHECK.run(&evidence);
        let Outcome::Fail(finding) = &outcomes.results[0].1 else { panic!("it is on") };
        let step = &remedies(&evidence, &[finding])[0].steps[0];
        for line in [
            "sed -i -E",
            "systemctl mask swap.target\n",
            "systemctl disable --now -- 'dev-sdb 1.swap'\n",
            "systemctl mask --now -- zramswap.service\n",
            "systemctl restart kubelet\n",
        ] {
            assert!(step.command.contains(line), "{}", step.command);
        }
        assert!(
            step.verify.contains("! systemctl is-enabled --quiet -- zramswap.service"),
            "{}",
            step.verify
        );
    }
}
