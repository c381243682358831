//! # What works now is wrong after the next boot
//!
//! ## What it looks at
//!
//! What `net.ipv4.ip_forward` is now and what a file sets it to at boot; the policy of FORWARD that a program or a saved set of
//! rules loads at boot, tried on the rules of now; and whether systemd starts the kubelet. Where pods are on a bridge,
//! `net.bridge.bridge-nf-call-iptables` as well, and what loads the module `br_netfilter`, without which there is no such
//! setting; and where routes lead two ways, `rp_filter`. Where the kubelet does not start with swap (`failSwapOn`, true by
//! default), what turns swap on: lines of `/etc/fstab` without `noauto`, units of kind `swap`, partitions that systemd finds by
//! their type, zram-generator and services that make swap.
//!
//! ## Why it matters
//!
//! A cure by `sysctl -w` or `iptables -P` lasts until the machine is started again, mostly in a night of updates. Then the
//! fault is back, on one machine after the other.
//!
//! ## How to fix it
//!
//! Put the setting into the file that has the last word, which is named; enable the unit; name the module in
//! `/etc/modules-load.d`; make the line of fstab a comment, and mask `swap.target`.
//!
//! ## When it is wrong
//!
//! Where no file sets forwarding at all, a CNI or Docker may do it each time; that stays open. Programs that set
//! something anew after the files were read are not known. Who loads `br_netfilter` is looked for in `modules-load.d`,
//! `/etc/modules`, the kernel's arguments, units that are started, their scripts, `rc.local`, cron and cloud-init; a pod with enough
//! privileges may load it too, which nothing shows: that finding is likely, not certain. flannel, kube-proxy and containerd
//! do not load it. Where Docker is started, the machine is one of k3s, RKE2, k0s or `MicroK8s`, another module uses it, or a
//! file below `/etc` mentions it, it stays open. Where something says `swapoff` at boot, as a
//! drop-in of the kubelet's unit may, swap is taken for off; that is looked for in the same places, and so that finding is
//! likely too.
//!
//! ## References
//!
//! - Failure catalogue: `ip-forward-or-bridge-nf-disabled` (RM-C1b), `forward-policy-drop` (RM-C1a)
//! - sysctl.d(5), systemd.preset(5), modules-load.d(5), fstab(5), systemd.swap(5)
//! - `pkg/kubelet/cm/container_manager_linux.go`, `NewContainerManager`; flannel-io/flannel 2068 and 2082

use super::alone::BRIDGES;
use super::bridge_netfilter_off::NAME as BRIDGE;
use super::ip_forward_off::FOUR;
use super::reverse_path_filter_strict::doubled;
use super::{place, role, swap};
use crate::check::{
    Audience, Check, Context, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step,
    Subject, Undecided, fail, not_applicable,
};
use crate::evidence::{Evidence, Host, Mode, Need, Why};
use crate::filter::{Backend, Filters, Hook, Interface, Outcome as Passed, Packet, Policy};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP019",
    name: "setting-lost-at-boot",
    title: "What the pipeline rests on is right now, and wrong after the machine's next boot",
    hop: Hop::Host,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: &[
        Need::HostIdentity,
        Need::HostSettings,
        Need::HostFilters,
        Need::HostKubelet,
        Need::HostSystem,
        Need::HostRoutes,
    ],
    explains: &[],
    question: Question::Listed,
    source: include_str!("setting_lost_at_boot.rs"),
    run,
    remedies,
};

fn forwarding(ctx: &Context<'_>, host: &Host, subject: &Subject) -> Result<Option<Finding>, Undecided> {
    let setting = place::setting(ctx, host, FOUR)?;
    let (Some("1"), Some(boot)) = (setting.now.as_deref(), &setting.boot) else { return Ok(None) };
    if boot.value != "0" {
        return Ok(None);
    }
    let detail = format!("`{FOUR}` is 1, and {} sets it to 0 at boot", boot.file);
    Ok(Some(
        Finding::new(subject.clone(), detail)
            .cite(&host.settings, format!("{FOUR} in {}", boot.file), "0", "1")
            .fact("run_on", place::run_on(host))
            .fact("file", boot.file.clone()),
    ))
}

/// What matters where the machine's routes say so: that bridged packets pass iptables where pods are on a bridge, and that
/// reverse paths are not strict where there are two ways.
fn by_routes(ctx: &Context<'_>, host: &Host, subject: &Subject) -> Result<Option<Finding>, Undecided> {
    let routes = ctx.need(&host.routes)?;
    let mut wanted: Vec<(String, &str)> = Vec::new();
    if routes.iter().any(|route| BRIDGES.contains(&route.device.as_str())) {
        wanted.push((BRIDGE.to_owned(), "1"));
    }
    if let Some((one, other)) = doubled(routes) {
        // The higher of `all` and the interface's own counts, and 2 is loose.
        for device in ["all", &one.device, &other.device] {
            let name = format!("net.ipv4.conf.{}.rp_filter", device.replace('.', "/"));
            wanted.push((name, "2"));
        }
    }
    let settings = ctx.need(&host.settings)?;
    for (name, expected) in wanted {
        // Only 1 is strict.
        let is_wrong = |value: &str| if expected == "1" { value != "1" } else { value == "1" };
        let Some(setting) = settings.iter().find(|setting| setting.name == name) else { continue };
        let (Some(now), Some(boot)) = (setting.now.as_deref(), &setting.boot) else { continue };
        if is_wrong(now) || !is_wrong(&boot.value) {
            continue;
        }
        let detail = format!("`{name}` is {now}, and {} sets it to {} at boot", boot.file, boot.value);
        let found = Finding::new(subject.clone(), detail)
            .cite(&host.settings, format!("{name} in {}", boot.file), boot.value.clone(), expected)
            .fact("run_on", place::run_on(host))
            .fact("by_hand", format!("set `{name}` to {expected} in {}", boot.file));
        return Ok(Some(found));
    }
    Ok(None)
}

/// The bridges whose makers load no `br_netfilter` themselves: the CNI's plugin `bridge`, flannel above all, which ends
/// without it since 0.26.1. kube-router and Weave Net load it.
const LOADED_BY_NOBODY: [&str; 2] = ["cni0", "cbr0"];

/// Where the setting for bridges is there because a module is, and nothing loads that at boot.
fn bridge_module(ctx: &Context<'_>, host: &Host, subject: &Subject) -> Result<Option<Finding>, Undecided> {
    let routes = ctx.need(&host.routes)?;
    let Some(bridge) = routes.iter().find(|route| LOADED_BY_NOBODY.contains(&route.device.as_str())) else {
        return Ok(None);
    };
    let settings = ctx.need(&host.settings)?;
    let find = |name: &str| settings.iter().find(|setting| setting.name == name);
    let (Some(setting), Some(module)) = (find(BRIDGE), find("module br_netfilter")) else { return Ok(None) };
    if setting.now.as_deref() != Some("1") || module.now.as_deref() != Some("loaded") {
        return Ok(None);
    }
    match &module.boot {
        Some(boot) if boot.value == "loaded" => return Ok(None),
        Some(boot) => {
            let why = Why::NotAsked(format!("no file loads br_netfilter at boot; {} may", boot.file));
            return Err(Undecided { need: Need::HostSettings, why });
        }
        None => {}
    }
    let detail = format!(
        "pods are on the bridge {}, `{BRIDGE}` is 1 because br_netfilter is loaded, and nothing that this machine shows loads it at boot",
        bridge.device
    );
    let found = Finding::new(subject.clone(), detail)
        .cite(&host.settings, "module br_netfilter at boot", "nothing loads it", "a file of modules-load.d")
        .fact("run_on", place::run_on(host))
        .fact("module", "br_netfilter")
        .likely(&[]);
    Ok(Some(found))
}

/// Where a kubelet that does not start with swap will find it.
fn swap(ctx: &Context<'_>, host: &Host, subject: &Subject) -> Result<Option<Finding>, Undecided> {
    if !place::has_kubelet(ctx, host)? || !swap::stops_the_kubelet(ctx, host)? {
        return Ok(None);
    }
    let now = *ctx.need(&host.swap_bytes)?;
    if now > 0 && role::running(ctx, host)?.is_none() {
        // `swap-stops-kubelet` answers.
        return Ok(None);
    }
    let boot = ctx.need(&host.swap_at_boot)?;
    if boot.turned_off_by.is_some() {
        return Ok(None);
    }
    let Some(source) = boot.sources.iter().find(|source| source.doubt.is_empty()) else {
        let Some(source) = boot.sources.first() else { return Ok(None) };
        let why =
            Why::NotAsked(format!("{} names {} as swap, and {}", source.file, source.name, source.doubt));
        return Err(Undecided { need: Need::HostSystem, why });
    };
    let how = if now > 0 { "swap was turned on after the kubelet's start" } else { "swap is off" };
    let detail = format!(
        "{how}, {} turns it on at boot ({}), and the kubelet does not start with it: failSwapOn is true",
        source.file, source.name
    );
    let mut found = Finding::new(subject.clone(), detail)
        .cite(&host.swap_at_boot, source.file.clone(), source.name.clone(), "no swap")
        .fact("run_on", place::run_on(host))
        .fact("swap", source.file.clone())
        // Who turns it off again at boot may do it in a way that is not looked for.
        .likely(&[]);
    if now > 0 {
        found = found.cite(&host.swap_bytes, "swap", now.to_string(), "0");
    }
    Ok(Some(found))
}

/// Whether pods' packets pass now by the policy alone, and would not under DROP.
fn rests_on_the_policy(filters: &Filters) -> bool {
    let Some(any) = crate::filter::Addresses::read("0.0.0.0/0") else { return false };
    let mut packet = Packet::tcp(any, any, 10250);
    (packet.source, packet.translated) = (None, Some(false));
    (packet.input, packet.output) = (Interface::of_the_cluster(), Interface::of_the_cluster());
    if filters.decide(Hook::Forward, &packet).outcome != Passed::Accept {
        return false;
    }
    // Which of both kinds of iptables loads it cannot be told: it has to be so with either.
    let mut stopped = Vec::new();
    for (at, set) in filters.rulesets.iter().enumerate().filter(|(_, set)| set.backend != Backend::Nftables) {
        let chain = set.bases.iter().position(|base| base.hook == Hook::Forward && base.table == "filter");
        let Some(chain) = chain.filter(|_| set.family == packet.family) else { continue };
        let mut then = filters.clone();
        then.rulesets[at].bases[chain].policy = Policy::Drop;
        stopped.push(then.decide(Hook::Forward, &packet).outcome.is_stopped());
    }
    !stopped.is_empty() && stopped.into_iter().all(|stopped| stopped)
}

fn policy(ctx: &Context<'_>, host: &Host, subject: &Subject) -> Result<Option<Finding>, Undecided> {
    let loaders = ctx.need(&host.filter_loaders)?;
    let drops =
        |policy: &String| policy.eq_ignore_ascii_case("drop") || policy.eq_ignore_ascii_case("reject");
    let Some(loader) = loaders.iter().find(|loader| loader.forward_policy.as_ref().is_some_and(drops)) else {
        return Ok(None);
    };
    if !rests_on_the_policy(ctx.need(&host.filters)?) {
        return Ok(None);
    }
    let detail = format!(
        "pods' packets pass by the policy ACCEPT alone, and {} loads DROP at boot ({})",
        loader.name, loader.file
    );
    Ok(Some(
        Finding::new(subject.clone(), detail)
            .cite(&host.filter_loaders, loader.file.clone(), "DROP", "a rule that accepts pods' packets")
            .fact("run_on", place::run_on(host))
            .fact("loader", loader.file.clone()),
    ))
}

fn kubelet(ctx: &Context<'_>, host: &Host, subject: &Subject) -> Result<Option<Finding>, Undecided> {
    let (Some(_), Some(unit)) = (ctx.need(&host.kubelet)?, ctx.need(&host.kubelet_unit)?) else {
        return Ok(None);
    };
    if unit.enabled {
        return Ok(None);
    }
    let found = Finding::new(subject.clone(), "the kubelet runs, and systemd does not start it at boot")
        .cite(&host.kubelet_unit, unit.file.clone(), "disabled", "enabled")
        .fact("run_on", place::run_on(host))
        .fact("unit", unit.file.clone());
    Ok(Some(found))
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostSettings, |ctx, host, subject| {
        if evidence.mode != Mode::Host && host.node.is_none() {
            ctx.need(&host.identity)?;
            return Ok(not_applicable("it is no node of the cluster, and so runs no pods"));
        }
        let found = [
            forwarding(ctx, host, &subject),
            policy(ctx, host, &subject),
            kubelet(ctx, host, &subject),
            by_routes(ctx, host, &subject),
            swap(ctx, host, &subject),
            bridge_module(ctx, host, &subject),
        ];
        let mut missing = None;
        for one in found {
            match one {
                Ok(Some(finding)) => return Ok(fail(finding)),
                Ok(None) => {}
                Err(undecided) => {
                    missing.get_or_insert(undecided);
                }
            }
        }
        if let Some(missing) = missing {
            return Err(missing);
        }
        if place::setting(ctx, host, FOUR)?.boot.is_none() {
            let why = Why::NotAsked(format!(
                "no file sets `{FOUR}`; a program may set it after each boot, or none"
            ));
            return Err(Undecided { need: Need::HostSettings, why });
        }
        Ok(Outcome::Pass)
    });
}

/// Read at each boot by systemd and by `OpenRC`; the test shows a name there.
const MODULES: &str = "/etc/modules-load.d/kubernetes-bridge.conf";

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().map(|finding| {
        let fact = |name: &str| finding.facts.get(name).cloned();
        let run_on = fact("run_on").unwrap_or_default();
        if let Some(file) = fact("file") {
            let file = support::word(&file);
            let script = format!("sed -i 's/^\\([[:space:]]*-\\{{0,1\\}}net[./]ipv4[./]ip_forward[[:space:]]*=[[:space:]]*\\)0/\\11/' {file}");
            return Step::run(run_on, support::on_host(&file, &script)).verify(format!("grep 'ip_forward[[:space:]]*=[[:space:]]*1' {file}"));
        }
        if fact("unit").is_some() {
            return Step::run(run_on, "systemctl enable kubelet.service").verify("systemctl is-enabled kubelet.service");
        }
        if let Some(module) = fact("module") {
            return Step::run(run_on, format!("mkdir -p /etc/modules-load.d\necho {module} > {MODULES}"))
                .verify(format!("grep -x {module} {MODULES}"));
        }
        if fact("swap").is_some() {
            let host = swap::host(evidence, &finding.subject);
            return Step::run(run_on, swap::script(host, "")).verify(swap::stays_off(host));
        }
        if let Some(words) = fact("by_hand") {
            return Step::manual(run_on, words);
        }
        Step::manual(
            run_on,
            format!("accept pods' packets in {}, or have the CNI do so", fact("loader").unwrap_or_default()),
        )
    });
    let cost = if findings.iter().any(|finding| finding.facts.contains_key("swap")) {
        "Swap is turned off at once, and what is in it has to fit into memory."
    } else {
        ""
    };
    vec![Remedy {
        title: "Let the machine be after a boot as it is now".to_owned(),
        audience: Audience::Production,
        cost: cost.to_owned(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}
