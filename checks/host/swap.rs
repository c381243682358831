//! Swap and the kubelet: whether it starts with it, and how swap is turned off for good.

use std::fmt::Write as _;

use crate::check::{Context, Subject, Undecided};
use crate::evidence::{Evidence, Host, Need, SwapSource, Why};
use crate::support;

/// Whether the kubelet refuses to start with swap: `failSwapOn`, true by default, in its file or as a flag.
pub(super) fn stops_the_kubelet(ctx: &Context<'_>, host: &Host) -> Result<bool, Undecided> {
    match ctx.need(&host.kubelet_file)? {
        Some(file) if file.exists && file.error.is_empty() => Ok(file.fail_swap_on),
        Some(_) => {
            let why = Why::Masked("kubelet-config-missing".to_owned());
            Err(Undecided { need: Need::HostKubelet, why })
        }
        None => {
            let process = ctx.need(&host.kubelet)?.as_ref().map(|process| &process.flags);
            let flags = match process {
                Some(flags) => Some(flags),
                None => ctx.need(&host.kubelet_unit)?.as_ref().map(|unit| &unit.flags),
            };
            let flag = flags.and_then(|flags| flags.get("fail-swap-on"));
            Ok(flag.is_none_or(|value| !["false", "f", "0", "F", "False", "FALSE"].contains(&value.as_str())))
        }
    }
}

/// The machine that a finding is about.
pub(super) fn host<'e>(evidence: &'e Evidence, subject: &Subject) -> Option<&'e Host> {
    let is_meant = |host: &&Host| host.node.as_deref().unwrap_or(&host.name) == subject.name;
    evidence.hosts.iter().find(is_meant)
}

/// A line of fstab that brings swap, as grep and sed know it; one with `noauto` is left.
const LINE: &str = "^[[:space:]]*[^#[:space:]]+[[:space:]]+[^[:space:]]+[[:space:]]+swap([[:space:]]|$)";
const NOAUTO: &str = "[[:space:],]noauto([[:space:],]|$)";

/// With which `OpenRC` reads fstab for swap at boot.
const OPENRC: &str = "/etc/runlevels/boot/swap";

/// The units that have to be kept from starting one by one, each with the word for it: what an owner wrote below `/etc`
/// cannot be masked.
fn units(host: Option<&Host>) -> Vec<(&'static str, String)> {
    let sources = host.and_then(|host| host.swap_at_boot.peek()).map(|boot| boot.sources.as_slice());
    let own = |source: &&SwapSource| ["unit", "service"].contains(&source.kind.as_str());
    let how = |source: &SwapSource| {
        let word = if source.file.starts_with("/etc/") { "disable" } else { "mask" };
        (word, support::word(&source.name))
    };
    sources.unwrap_or_default().iter().filter(own).map(how).collect()
}

/// A script that turns swap off, now and at boot; run again it changes nothing more.
pub(super) fn script(host: Option<&Host>, and_then: &str) -> String {
    let mut script = format!(
        "(\nset -e\nswapoff -a\nif grep -sE '{LINE}' /etc/fstab | grep -qvE '{NOAUTO}'; then\n  [ -e /etc/fstab.before-swapoff ] || cp -p /etc/fstab /etc/fstab.before-swapoff\n  sed -i -E '/{NOAUTO}/!s/{LINE}/#&/' /etc/fstab\nfi\n[ ! -e {OPENRC} ] || rc-update del swap boot\n! command -v systemctl >/dev/null || systemctl mask swap.target\n"
    );
    for (how, unit) in units(host) {
        // Writing to a String cannot fail.
        let _ = writeln!(script, "systemctl {how} --now -- {unit}");
    }
    script + and_then + ")"
}

/// What shows that swap stays off after a boot.
pub(super) fn stays_off(host: Option<&Host>) -> String {
    let mut words = format!(
        "! grep -sE '{LINE}' /etc/fstab | grep -qvE '{NOAUTO}' && [ ! -e {OPENRC} ] && {{ ! command -v systemctl >/dev/null || [ \"$(systemctl is-enabled swap.target)\" = masked ]; }}"
    );
    for (_, unit) in units(host) {
        let _ = write!(words, " && ! systemctl is-enabled --quiet -- {unit}");
    }
    words
}
