//! # The front proxy's certificate is outside its validity
//!
//! ## What it looks at
//!
//! What metrics-server's log has against the client certificate of its caller.
//!
//! Where a host of the control plane was looked at (`host`), the client certificate's dates on its disk decides for certain.
//!
//! ## Why it matters
//!
//! kubeadm issues it for a year. Where nobody renewed it, every extension server answers 401 from one day to the
//! next: *certificate has expired or is not yet valid*, and `kubectl top` sends people to their own kubeconfig.
//!
//! ## How to fix it
//!
//! Issue it anew on every control-plane host, and renew it with every upgrade of the cluster.
//!
//! ## When it is wrong
//!
//! A node whose clock is wrong rejects good certificates; then the others accept it.
//!
//! ## References
//!
//! - Failure catalogue: `front-proxy-cert-expired` (RM-H5), `proxy-client-cert-expired` (AH-D04)

use crate::check::{Check, Finding, Hop, Kind, Outcome, Results, Severity, Subject, fail};
use crate::evidence::{Evidence, FrontProxyFailure, Need};
use crate::front_proxy::{disk, identity};

pub(crate) const CHECK: Check = Check {
    code: "MP607",
    name: "proxy-client-cert-expired",
    title: "The front proxy's client certificate has expired or is not valid yet",
    hop: Hop::FrontProxy,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: disk::MODES,
    needs: &[Need::ApiService, Need::Pods, Need::Logs, Need::HostControlPlane],
    explains: identity::EXPLAINS,
    question: disk::QUESTION,
    source: include_str!("proxy_client_cert_expired.rs"),
    run,
    remedies: identity::reissue,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    disk::each_certificate(evidence, results, |_, shown, file, judgement| {
        if judgement.valid_at(disk::now(evidence, shown.host)) {
            return Ok(Outcome::Pass);
        }
        let detail =
            format!("{} is valid from {} to {}", file.path, judgement.not_before, judgement.not_after);
        let finding = Finding::new(shown.subject.clone(), detail).cite(
            &shown.host.front_proxy,
            "client.validity",
            format!("{} to {}", judgement.not_before, judgement.not_after),
            &format!("around {}", disk::now(evidence, shown.host)),
        );
        Ok(fail(finding))
    });
    if !disk::asks_cluster(evidence) {
        return;
    }
    results.about_cluster(|ctx| {
        let Some((_, FrontProxyFailure::OutsideValidity)) = identity::rejection(ctx, evidence)? else {
            return Ok(Outcome::Pass);
        };
        let subject = Subject::cluster_scoped("KubeAPIServer", "kube-apiserver");
        let finding = Finding::new(
            subject,
            "metrics-server says that its caller's certificate is outside its validity",
        );
        Ok(fail(identity::cite_log(finding, evidence, "x509: certificate has expired or is not yet valid")))
    });
}
