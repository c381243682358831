//! Who settles the cgroup driver of a machine, and whether the kubelet and its runtime agree on it.

use jiff::Timestamp;

use super::{place, role};
use crate::Context;
use crate::check::{Audience, Finding, Remedy, Step, Undecided};
use crate::evidence::{Evidence, Host, Mode, Need, Runtime, Why};
use crate::support;

/// What each of them uses.
pub(super) enum Drivers {
    /// The same, or the kubelet takes what the runtime tells it.
    Agree,
    /// Not the same.
    Differ(Differing),
    /// The question does not arise, and why.
    NotHere(&'static str),
}

/// Two drivers.
pub(super) struct Differing {
    /// The kubelet's, by its file or its flags.
    pub(super) kubelet: String,
    /// The runtime's, by its files.
    pub(super) runtime: String,
    /// Something that was changed since the program that reads it was started, and so holds after its next start.
    pub(super) pending: Option<String>,
}

impl Differing {
    /// Whether no pod can start: with systemd runc takes no path of a cgroup, and CRI-O without systemd takes no slice
    /// (`SandboxCgroupPath` in CRI-O's `internal/config/cgmgr`).
    pub(super) fn stops_pods(&self, runtime: &Runtime) -> bool {
        self.pending.is_none() && (self.runtime == "systemd" || runtime.name == "crio")
    }

    /// A finding with its proof.
    pub(super) fn finding(&self, finding: Finding, host: &Host, runtime: &Runtime) -> Finding {
        finding
            .cite(&host.kubelet_file, "cgroupDriver", self.kubelet.clone(), &self.runtime)
            .cite(&host.runtime, "cgroup_driver", self.runtime.clone(), &self.kubelet)
            .fact("run_on", place::run_on(host))
            .fact("runtime", runtime.name.clone())
            .fact("file", runtime.path.clone())
            .fact("driver", self.kubelet.clone())
    }
}

/// What the kubelet and its runtime use.
pub(super) fn look<'e>(
    ctx: &Context<'_>,
    evidence: &'e Evidence,
    host: &'e Host,
) -> Result<(Drivers, Option<&'e Runtime>), Undecided> {
    let not_here = |why| Ok((Drivers::NotHere(why), None));
    if role::role(ctx, host)? == role::Role::ControlPlane {
        return not_here("this host of the control plane has no kubelet");
    }
    let Some(process) = ctx.need(&host.kubelet)? else {
        return not_here("the kubelet does not run");
    };
    let Some(runtime) = ctx.need(&host.runtime)? else {
        return Err(lacking("no container runtime was found"));
    };
    let (kubelet, gate, changed) = match ctx.need(&host.kubelet_file)? {
        Some(file) if file.exists && file.error.is_empty() => {
            (file.cgroup_driver.clone(), file.cgroup_driver_from_cri, file.changed.map(|at| (at, &file.path)))
        }
        Some(_) => {
            let why = Why::Masked("kubelet-config-not-read".to_owned());
            return Err(Undecided { need: Need::HostKubelet, why });
        }
        None => {
            let flag = process.flags.get("cgroup-driver");
            (flag.cloned().unwrap_or_else(|| "cgroupfs".to_owned()), None, None)
        }
    };
    if !["systemd", "cgroupfs"].contains(&kubelet.as_str()) {
        return Err(lacking("the kubelet's own setting is neither `systemd` nor `cgroupfs`"));
    }
    // The start of a process is known to a second or two: from the time of the boot, which is cut to the second.
    let after = |since: Option<Timestamp>, at: Timestamp| {
        since.is_some_and(|since| at.duration_since(since).as_secs() > 2)
    };
    let of_kubelet = changed
        .filter(|(at, _)| after(process.started, *at))
        .map(|(_, path)| format!("{path} was changed since the kubelet was started"));
    let of_runtime = runtime
        .changed
        .filter(|at| after(runtime.started, *at))
        .map(|_| format!("{} was changed since {} was started", runtime.path, runtime.name));
    let pending = of_kubelet.or(of_runtime);
    let own = runtime.cgroup_driver.as_ref();
    if own == Some(&kubelet) {
        return match pending {
            None => Ok((Drivers::Agree, Some(runtime))),
            Some(words) => Err(lacking(format!("{words}, and what it runs with is not known"))),
        };
    }
    // They differ, or the runtime's is not known. Where the kubelet asks the runtime, its own setting does not count.
    if asks(ctx, evidence, host, runtime, gate)? {
        return Ok((Drivers::Agree, Some(runtime)));
    }
    let Some(own) = own else {
        return Err(lacking(format!("{} does not say it in a form that is read here", runtime.path)));
    };
    Ok((Drivers::Differ(Differing { kubelet, runtime: own.clone(), pending }), Some(runtime)))
}

fn lacking(words: impl Into<String>) -> Undecided {
    Undecided { need: Need::HostRuntime, why: Why::Lacking(words.into()) }
}

/// Whether the kubelet takes the driver that the runtime tells it (`getCgroupDriverFromCRI` in
/// `cmd/kubelet/app/server.go`; KEP 4033): from 1.28 on behind a feature gate, which is on by default since 1.31. A runtime
/// that does not know the question leaves the kubelet to its own setting.
fn asks(
    ctx: &Context<'_>,
    evidence: &Evidence,
    host: &Host,
    runtime: &Runtime,
    gate: Option<bool>,
) -> Result<bool, Undecided> {
    if gate == Some(false) {
        return Ok(false);
    }
    let unknown = |what: &str| lacking(format!("whether {what}, its version was not seen"));
    let first = match runtime.name.as_str() {
        "containerd" => (2, 0),
        "crio" => (1, 28),
        _ => {
            return Err(lacking(format!(
                "whether {} tells the kubelet its driver is not known",
                runtime.name
            )));
        }
    };
    let answers = runtime.version.as_deref().and_then(major_and_minor);
    let answers = answers.ok_or_else(|| unknown("the runtime tells the kubelet its driver"))?;
    if answers < first {
        return Ok(false);
    }
    let nodes = if evidence.mode == Mode::Host { &[][..] } else { ctx.need(&evidence.nodes)? };
    let running = place::node(nodes, host).map(|node| node.kubelet_version.as_str());
    let version = running.or(runtime.kubelet_version.as_deref()).and_then(major_and_minor);
    let version = version.ok_or_else(|| unknown("the kubelet asks the runtime for the driver"))?;
    Ok(version >= (1, if gate == Some(true) { 28 } else { 31 }))
}

fn major_and_minor(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.trim_start_matches('v').split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}

/// Gives the runtime the kubelet's driver, in whose cgroups the pods are that run already.
pub(super) fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().map(|finding| {
        let fact = |name: &str| finding.facts.get(name).map_or("", String::as_str);
        let (on, driver, file) = (fact("run_on"), fact("driver"), support::word(fact("file")));
        let (from, to) = if driver == "systemd" { ("false", "true") } else { ("true", "false") };
        match fact("runtime") {
            // Elsewhere somebody else writes the file and starts containerd, such as RKE2 and k0s from templates.
            "containerd" if fact("file").starts_with("/etc/containerd/") => Step::run(
                on,
                support::on_host(
                    &file,
                    &format!(
                        "sed -i.before 's/SystemdCgroup *= *{from}/SystemdCgroup = {to}/' {file}\n\
                         grep -q 'SystemdCgroup = {to}' {file} || {{ echo 'SystemdCgroup is not in the file: add it to the options of the runtime' >&2; exit 1; }}\n\
                         systemctl restart containerd"
                    ),
                ),
            )
            .verify(format!("grep 'SystemdCgroup = {to}' {file} && systemctl is-active containerd")),
            "crio" => {
                let conmon = if driver == "systemd" { "system.slice" } else { "pod" };
                let path = "/etc/crio/crio.conf.d/99-zz-cgroup-manager.conf";
                Step::run(
                    on,
                    format!(
                        "(\nset -e\nmkdir -p /etc/crio/crio.conf.d\nprintf '[crio.runtime]\\ncgroup_manager = \"{driver}\"\\nconmon_cgroup = \"{conmon}\"\\n' > {path}\n\
                         systemctl restart crio\n)"
                    ),
                )
                .verify(format!("grep '\"{driver}\"' {path} && systemctl is-active crio"))
            }
            name => Step::manual(on, format!("let {name} use the cgroup driver {driver}, and start it anew")),
        }
    });
    vec![Remedy {
        title: "Give the runtime the kubelet's cgroup driver".to_owned(),
        audience: Audience::Production,
        cost: "The runtime starts anew, pods go on running. Where systemd runs the machine, both should use `systemd`: change both on a machine that was drained.".to_owned(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}

/// A machine with these drivers, whose containerd is 1.7.
#[cfg(test)]
pub(super) fn machine(kubelet: &str, runtime: Option<&str>, edit: impl FnOnce(&mut Runtime)) -> Host {
    use super::testing::{file, host, kubelet as process, seen, unit};
    let at = |time: &str| Some(format!("2026-11-21T{time}Z").parse().expect("a time"));
    let mut seen_runtime = Runtime {
        name: "containerd".to_owned(),
        path: "/etc/containerd/config.toml".to_owned(),
        cgroup_driver: runtime.map(str::to_owned),
        version: Some("1.7.13".to_owned()),
        kubelet_version: Some("1.34.1".to_owned()),
        changed: at("09:00:00"),
        started: at("10:00:00"),
    };
    edit(&mut seen_runtime);
    let config =
        crate::evidence::KubeletFile { cgroup_driver: kubelet.to_owned(), changed: at("09:00:00"), ..file() };
    Host {
        kubelet: process(&[("config", "/etc/kubelet.yaml")]),
        kubelet_unit: unit(),
        kubelet_file: seen(Need::HostKubelet, Some(config)),
        runtime: seen(Need::HostRuntime, Some(seen_runtime)),
        ..host()
    }
}
