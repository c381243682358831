//! The front proxy's identity as a machine of the control plane has it on disk.
//!
//! kube-apiserver reads these files anew when they change (`dynamiccertificates`, since 1.19), so what is on disk is
//! what it shows.

use jiff::Timestamp;

use crate::Context;
use crate::cert::{self, Chain, Judgement};
use crate::check::{Decision, Results, Subject, Undecided, not_applicable};
use crate::evidence::{Component, DiskCertificate, Evidence, Host, Mode, Need, Why};

/// Where the question makes sense.
pub(super) const MODES: &[Mode] = &[Mode::Installed, Mode::Host];

/// What kube-apiserver on one machine has to show.
pub(super) struct Shown<'h> {
    /// The machine.
    pub(super) host: &'h Host,
    /// It as a subject.
    pub(super) subject: Subject,
    /// kube-apiserver there.
    pub(super) component: &'h Component,
    /// The file, where the flag names one.
    pub(super) file: Option<&'h DiskCertificate>,
}

/// Whether the API is asked besides the machines.
pub(super) fn asks_cluster(evidence: &Evidence) -> bool {
    evidence.mode != Mode::Host
}

/// Decides about every machine with a kube-apiserver.
pub(super) fn each(
    evidence: &Evidence,
    results: &mut Results<'_>,
    decide: impl Fn(&Context<'_>, &Shown<'_>) -> Decision,
) {
    for host in &evidence.hosts {
        let subject = Subject::host(host);
        results.about(subject.clone(), |ctx| {
            let Some(component) = ctx.need(&host.api_server)? else {
                return Ok(not_applicable("no kube-apiserver is here"));
            };
            let file = ctx.need(&host.front_proxy)?.client.as_ref();
            decide(ctx, &Shown { host, subject, component, file })
        });
    }
}

/// The same, where a certificate is there.
pub(super) fn each_certificate(
    evidence: &Evidence,
    results: &mut Results<'_>,
    decide: impl Fn(&Context<'_>, &Shown<'_>, &DiskCertificate, &Judgement) -> Decision,
) {
    each(evidence, results, |ctx, shown| {
        let with_chain = shown.file.and_then(|file| Some((file, file.chain.as_ref()?)));
        let Some((file, chain)) = with_chain else {
            return Ok(not_applicable("kube-apiserver has no client certificate to show"));
        };
        decide(ctx, shown, file, &judge(file, chain, &[], now(evidence, shown.host))?)
    });
}

/// The time at which dates are judged: the API server's, as far as the machine knows it.
pub(super) fn now(evidence: &Evidence, host: &Host) -> Timestamp {
    if asks_cluster(evidence) { evidence.taken_at } else { host.taken_at }
}

fn judge(
    file: &DiskCertificate,
    chain: &[String],
    roots: &[String],
    now: Timestamp,
) -> Result<Judgement, Undecided> {
    cert::judge(chain, roots, "", now).ok_or_else(|| {
        let why = Why::Unreadable(format!("{} holds no certificate that can be read", file.path));
        Undecided { need: Need::HostControlPlane, why }
    })
}

/// Whether the chain ends at none of the CAs that callers are judged by: the published ones, or where no cluster was
/// asked those that this kube-apiserver publishes itself.
///
/// # Errors
///
/// When these were not seen or a signature cannot be judged.
pub(super) fn is_untrusted(
    ctx: &Context<'_>,
    evidence: &Evidence,
    shown: &Shown<'_>,
    file: &DiskCertificate,
) -> Result<bool, Undecided> {
    let roots = if asks_cluster(evidence) {
        ctx.need(&evidence.front_proxy.auth_config)?
            .as_ref()
            .and_then(|config| config.requestheader_ca.clone())
    } else {
        ctx.need(&shown.host.front_proxy)?.ca.as_ref().and_then(|file| file.chain.clone())
    };
    let Some(roots) = roots.filter(|roots| !roots.is_empty()) else { return Ok(false) };
    let chain = file.chain.as_deref().unwrap_or_default();
    match judge(file, chain, &roots, now(evidence, shown.host))?.chain {
        Chain::Trusted => Ok(false),
        Chain::UnknownIssuer | Chain::OtherKey => Ok(true),
        Chain::IssuerNotValid | Chain::NotJudged => {
            let why =
                Why::Unreadable(format!("who signed the certificate in {} cannot be judged", file.path));
            Err(Undecided { need: Need::HostControlPlane, why })
        }
    }
}

/// The names that callers may have: the published ones, or where no cluster was asked those of this kube-apiserver's own
/// flag. None allows all.
pub(super) fn allowed_names(
    ctx: &Context<'_>,
    evidence: &Evidence,
    shown: &Shown<'_>,
) -> Result<Vec<String>, Undecided> {
    if asks_cluster(evidence) {
        let config = ctx.need(&evidence.front_proxy.auth_config)?;
        return Ok(config.as_ref().map(|config| config.allowed_names.clone()).unwrap_or_default());
    }
    let flag = shown.component.flags.get("requestheader-allowed-names");
    let names = flag.into_iter().flat_map(|names| names.split(',')).map(str::trim);
    Ok(names.filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

/// Whether kubeadm's files are what this cluster runs with, as a machine shows it.
pub(super) fn is_kubeadm(host: &Host) -> bool {
    let component = host.api_server.peek().and_then(Option::as_ref);
    component.is_some_and(|component| component.path == "/etc/kubernetes/manifests/kube-apiserver.yaml")
}
