//! What became of a kubelet's requests for a serving certificate, and whether it has one.

use crate::Context;
use crate::check::Undecided;
use crate::evidence::{Csr, CsrState, DiskCertificate, Evidence, Host, Need, Node};
use crate::kubelet::config;
use crate::kubelet::tls::{self, View};

/// What the checks of signing requests read.
pub(super) const NEEDS: &[Need] = &[
    Need::Pods,
    Need::Logs,
    Need::RootCa,
    Need::Nodes,
    Need::KubeletHandshake,
    Need::Configz,
    Need::Csrs,
    Need::HostKubelet,
];

/// The requests of a kubelet since it last got a certificate.
pub(super) struct Open<'n> {
    /// Those that somebody denied, newest first.
    pub(super) denied: Vec<&'n Csr>,
    /// Those that nobody has decided, newest first.
    pub(super) pending: Vec<&'n Csr>,
}

/// The open requests of a node's kubelet.
pub(super) fn open<'n>(ctx: &Context<'_>, node: &'n Node) -> Result<Open<'n>, Undecided> {
    let csrs = ctx.need(&node.csrs)?;
    let issued = csrs.iter().filter(|csr| csr.state == CsrState::Issued).map(|csr| csr.created).max();
    let since = |state: CsrState| -> Vec<&'n Csr> {
        csrs.iter()
            .filter(|csr| csr.state == state && issued.is_none_or(|issued| csr.created > issued))
            .collect()
    };
    Ok(Open { denied: since(CsrState::Denied), pending: since(CsrState::Pending) })
}

/// Whether the kubelet has no certificate to present.
///
/// # Errors
///
/// When neither a handshake nor anybody who dialled the kubelet nor its own machine can tell.
pub(super) fn has_no_certificate(
    ctx: &Context<'_>,
    evidence: &Evidence,
    node: &Node,
) -> Result<bool, Undecided> {
    let seen = tls::view(ctx, evidence, node).and_then(|view| match view {
        View::NoCertificate => Ok(true),
        View::NotVerified => tls::presents_nothing(ctx, node),
        _ => Ok(false),
    });
    seen.or_else(|open| {
        let host = evidence.hosts.iter().find(|host| host.node.as_ref() == Some(&node.name));
        let on_disk = host.map(|host| requested(ctx, host));
        match on_disk {
            Some(Ok(Some(file))) => Ok(file.chain.is_none()),
            _ => Err(open),
        }
    })
}

/// The file in which a machine's kubelet keeps the certificate that it asks the cluster for; nothing where it asks for
/// none.
pub(super) fn requested<'h>(
    ctx: &Context<'_>,
    host: &'h Host,
) -> Result<Option<&'h DiskCertificate>, Undecided> {
    let config = config::of_machine(ctx, host)?;
    if !config.value.server_tls_bootstrap || !config.value.tls_cert_file.is_empty() {
        return Ok(None);
    }
    Ok(ctx.need(&host.kubelet_certificates)?.iter().find(|file| file.role == "kubelet serving"))
}

/// A certificate signing request in words.
pub(super) fn words(csr: &Csr) -> String {
    format!("{} of {}", csr.name, csr.created)
}
