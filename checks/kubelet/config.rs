//! The configuration that a kubelet runs with: as `configz` shows it, or where that was not seen as its own machine does.

use crate::Context;
use crate::check::{Finding, Undecided};
use crate::evidence::{Evidence, Host, KubeletConfig, Need, Node, Obs, Why};

/// A configuration, and where it was read.
pub(super) struct Config<'e> {
    /// What it says.
    pub(super) value: &'e KubeletConfig,
    from: From<'e>,
}

enum From<'e> {
    Configz(&'e Obs<KubeletConfig>),
    Machine(&'e Host),
}

impl Config<'_> {
    /// Adds a field of it to a finding's proof.
    pub(super) fn cite(&self, finding: Finding, field: &str, value: &str, expected: &str) -> Finding {
        match &self.from {
            From::Configz(configz) => {
                finding.cite(configz, format!("kubeletconfig.{field}"), value, expected)
            }
            From::Machine(host) => finding.cite(&host.kubelet_file, field, value, expected),
        }
    }
}

/// The configuration of a node's kubelet.
///
/// # Errors
///
/// When neither `configz` nor the machine shows it; then with what kept `configz` from being seen.
pub(super) fn look<'e>(
    ctx: &Context<'_>,
    evidence: &'e Evidence,
    node: &'e Node,
) -> Result<Config<'e>, Undecided> {
    let open = match ctx.need(&node.configz) {
        Ok(value) => return Ok(Config { value, from: From::Configz(&node.configz) }),
        Err(open) => open,
    };
    let host = evidence.hosts.iter().find(|host| host.node.as_ref() == Some(&node.name));
    host.and_then(|host| of_machine(ctx, host).ok()).ok_or(open)
}

/// The configuration of a machine's kubelet.
///
/// # Errors
///
/// When no kubelet runs there, or it may run with something else than the file holds now.
pub(super) fn of_machine<'e>(ctx: &Context<'_>, host: &'e Host) -> Result<Config<'e>, Undecided> {
    let undecided = |why: Why| Undecided { need: Need::HostKubelet, why };
    let Some(process) = ctx.need(&host.kubelet)? else {
        return Err(undecided(Why::Lacking("no kubelet runs on it".to_owned())));
    };
    let file = ctx.need(&host.kubelet_file)?.as_ref().filter(|file| file.exists && file.error.is_empty());
    let Some((file, value)) = file.and_then(|file| Some((file, file.config.as_ref()?))) else {
        return Err(undecided(Why::Lacking("the kubelet's configuration file cannot be read".to_owned())));
    };
    match (file.changed, process.started) {
        (Some(changed), Some(started)) if changed <= started => {
            Ok(Config { value, from: From::Machine(host) })
        }
        _ => Err(undecided(Why::Masked("kubelet-config-not-read".to_owned()))),
    }
}
