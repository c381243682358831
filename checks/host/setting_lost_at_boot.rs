//! # What works now is wrong after the next boot
//!
//! ## What it looks at
//!
//! What `net.ipv4.ip_forward` is now and what a file sets it to at boot; the policy of FORWARD that a program or a saved set of
//! rules loads at boot, tried on the rules of now; and whether systemd starts the kubelet. Where pods are on a bridge,
//! `net.bridge.bridge-nf-call-iptables` as well, and where routes lead two ways, `rp_filter`.
//!
//! ## Why it matters
//!
//! A cure by `sysctl -w` or `iptables -P` lasts until the machine is started again, mostly in a night of updates. Then the
//! fault is back, on one machine after the other.
//!
//! ## How to fix it
//!
//! Put the setting into the file that has the last word, which is named; enable the unit.
//!
//! ## When it is wrong
//!
//! Where no file sets forwarding at all, a CNI or Docker may do it each time; that stays open. Programs that set
//! something anew after the files were read are not known.
//!
//! ## References
//!
//! - Failure catalogue: `ip-forward-or-bridge-nf-disabled` (RM-C1b), `forward-policy-drop` (RM-C1a)
//! - sysctl.d(5), systemd.preset(5)

use super::alone::BRIDGES;
use super::bridge_netfilter_off::NAME as BRIDGE;
use super::ip_forward_off::FOUR;
use super::place;
use super::reverse_path_filter_strict::doubled;
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
    needs: &[Need::HostIdentity, Need::HostSettings, Need::HostFilters, Need::HostKubelet, Need::HostRoutes],
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

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
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
        if let Some(words) = fact("by_hand") {
            return Step::manual(run_on, words);
        }
        Step::manual(
            run_on,
            format!("accept pods' packets in {}, or have the CNI do so", fact("loader").unwrap_or_default()),
        )
    });
    vec![Remedy {
        title: "Let the machine be after a boot as it is now".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}
