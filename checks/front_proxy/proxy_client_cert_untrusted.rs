//! # The front proxy's certificate was signed by another CA than the published one
//!
//! ## What it looks at
//!
//! What metrics-server's log has against the client certificate of its caller, against the CA that the
//! cluster publishes for the front proxy.
//!
//! Where a host of the control plane was looked at (`host`), the CA that signed the client certificate on its disk decides for certain.
//!
//! ## Why it matters
//!
//! metrics-server answers 401 to every request, and `kubectl top` says *You must be logged in to the
//! server*, which sends people to their own kubeconfig. It happens when the front proxy's CA was made anew,
//! restored from a backup, or copied to one control-plane host only.
//!
//! ## How to fix it
//!
//! Issue the front proxy's client certificate from the CA in use, on every control-plane host. Where the CA
//! really changed, publish both first.
//!
//! ## When it is wrong
//!
//! The message shows the issuer's key identifier of the last rejected certificate. With several
//! kube-apiservers it may be the certificate of one of them only.
//!
//! ## References
//!
//! - Failure catalogue: `requestheader-ca-mismatch` (RM-H2), `proxy-client-cert-untrusted` (AH-D03)

use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, Subject, fail, not_applicable,
};
use crate::evidence::{Evidence, FrontProxyFailure, Need};
use crate::front_proxy::{disk, identity};

pub(crate) const CHECK: Check = Check {
    code: "MP603",
    name: "proxy-client-cert-untrusted",
    title: "The front proxy's client certificate was signed by another CA than the cluster publishes",
    hop: Hop::FrontProxy,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: disk::MODES,
    needs: &[Need::ApiService, Need::Pods, Need::Logs, Need::AuthConfig, Need::HostControlPlane],
    explains: identity::EXPLAINS,
    question: Question::Listed,
    source: include_str!("proxy_client_cert_untrusted.rs"),
    run,
    remedies: identity::reissue,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    disk::each_certificate(evidence, results, |ctx, shown, file, judgement| {
        if !disk::is_untrusted(ctx, evidence, shown, file)? {
            return Ok(Outcome::Pass);
        }
        let detail =
            format!("{} was signed by {}, which is not the published CA", file.path, judgement.issuer);
        let finding = Finding::new(shown.subject.clone(), detail);
        Ok(fail(finding.cite(
            &shown.host.front_proxy,
            "client.issuer",
            &judgement.issuer,
            "the published CA",
        )))
    });
    if !disk::asks_cluster(evidence) {
        return;
    }
    results.about_cluster(|ctx| {
        let config = ctx.need(&evidence.front_proxy.auth_config)?;
        if config.as_ref().and_then(|config| config.requestheader_ca.as_ref()).is_none() {
            return Ok(not_applicable("the cluster publishes no CA for the front proxy"));
        }
        let Some((_, FrontProxyFailure::UnknownAuthority { akid })) = identity::rejection(ctx, evidence)?
        else {
            return Ok(Outcome::Pass);
        };
        let issuer = if akid.is_empty() { String::new() } else { format!(" (issuer's key {akid})") };
        let detail = format!("metrics-server rejects its caller's certificate{issuer}");
        let subject = Subject::cluster_scoped("KubeAPIServer", "kube-apiserver");
        let words = "x509: certificate signed by unknown authority";
        Ok(fail(identity::cite_log(Finding::new(subject, detail), evidence, words)))
    });
}
