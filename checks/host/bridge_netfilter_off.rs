//! # Packets between pods of one bridge pass the Services' rules by
//!
//! ## What it looks at
//!
//! `net.bridge.bridge-nf-call-iptables` and the module `br_netfilter`, on machines whose CNI puts pods on a bridge (`cni0`,
//! `cbr0`, `kube-bridge`, `weave`), as the routes show.
//!
//! ## Why it matters
//!
//! Where a Service leads to a pod on the same bridge, the answer goes back over the bridge without passing iptables, and comes
//! from an address that was never dialled. The caller waits in vain, on that machine and sometimes only.
//!
//! ## How to fix it
//!
//! Load `br_netfilter` and set `net.bridge.bridge-nf-call-iptables` to 1, both in files that are read at boot.
//!
//! ## When it is wrong
//!
//! metrics-server dials nodes, not pods, and kube-apiserver is on no bridge: it is never the root cause of their silence.
//! A CNI without a bridge does not need it.
//!
//! ## References
//!
//! - Failure catalogue: `ip-forward-or-bridge-nf-disabled` (RM-C1b)
//! - Kubernetes documentation, "Network Plugins"; Linux `Documentation/networking/bridge.rst`

use super::alone::BRIDGES;
use super::place;
use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need};

pub(crate) const CHECK: Check = Check {
    code: "MP020",
    name: "bridge-netfilter-off",
    title: "Packets over the pods' bridge pass the rules for Services by",
    hop: Hop::Host,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: &[Need::HostSettings, Need::HostRoutes],
    explains: &[],
    question: Question::Listed,
    source: include_str!("bridge_netfilter_off.rs"),
    run,
    remedies,
};

pub(super) const NAME: &str = "net.bridge.bridge-nf-call-iptables";

fn run(_: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostSettings, |ctx, host, subject| {
        let routes = ctx.need(&host.routes)?;
        let Some(bridge) = routes.iter().find(|route| BRIDGES.contains(&route.device.as_str())) else {
            return Ok(not_applicable("no route leads to a bridge of pods"));
        };
        let setting = place::setting(ctx, host, NAME)?;
        let now = setting.now.as_deref().unwrap_or("not there: br_netfilter is not loaded");
        if now == "1" {
            return Ok(Outcome::Pass);
        }
        let finding =
            Finding::new(subject, format!("pods are on the bridge {}, and `{NAME}` is {now}", bridge.device))
                .cite(&host.settings, NAME, now, "1")
                .fact("run_on", place::run_on(host));
        Ok(fail(finding))
    });
}

const SCRIPT: &str = "echo br_netfilter > /etc/modules-load.d/kubernetes-bridge.conf\necho 'net.bridge.bridge-nf-call-iptables = 1' > /etc/sysctl.d/99-zz-kubernetes-bridge.conf\nmodprobe br_netfilter\nsysctl -p /etc/sysctl.d/99-zz-kubernetes-bridge.conf";

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().map(|finding| {
        let run_on = finding.facts.get("run_on").cloned().unwrap_or_default();
        Step::run(run_on, SCRIPT).verify(format!("sysctl -n {NAME} | grep -x 1"))
    });
    vec![Remedy {
        title: "Let bridged packets pass iptables, now and after each boot".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}
