//! What a machine is to the cluster.

use crate::Context;
use crate::check::Undecided;
use crate::evidence::{Host, Need, Why};

/// What a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A kubelet runs here or is installed, whatever else there is.
    Node,
    /// kube-apiserver is here, and no kubelet.
    ControlPlane,
}

/// What a machine is; undecided where it is neither, because then another machine was meant.
pub(super) fn role(ctx: &Context<'_>, host: &Host) -> Result<Role, Undecided> {
    if ctx.need(&host.kubelet)?.is_some() || ctx.need(&host.kubelet_unit)?.is_some() {
        return Ok(Role::Node);
    }
    if ctx.need(&host.api_server)?.is_some() {
        return Ok(Role::ControlPlane);
    }
    let why = "neither a kubelet nor kube-apiserver runs here or has a unit or manifest: this is no machine of a cluster";
    Err(Undecided { need: Need::HostKubelet, why: Why::Lacking(why.to_owned()) })
}
