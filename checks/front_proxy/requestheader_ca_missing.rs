//! # The cluster publishes no CA for the front proxy
//!
//! ## What it looks at
//!
//! The key `requestheader-client-ca-file` of the ConfigMap `kube-system/extension-apiserver-authentication`,
//! which every kube-apiserver publishes from its flags; and metrics-server's complaint about it. On a machine alone (`host`)
//! the flag of the kube-apiserver there.
//!
//! ## Why it matters
//!
//! kube-apiserver calls metrics-server with a client certificate and names the real caller in headers.
//! Without that CA metrics-server believes neither: 401 or 403 for every request, for every extension
//! server.
//!
//! ## How to fix it
//!
//! Start every kube-apiserver with the `--requestheader-*` flags. kubeadm, k3s and the managed clusters do;
//! clusters that were set up by hand often do not.
//!
//! ## When it is wrong
//!
//! kube-apiserver drops an expired CA from the ConfigMap; then the flag is there and the key is not.
//!
//! ## References
//!
//! - Failure catalogue: `aggregation-layer-disabled` (RM-C13), `requestheader-ca-missing-from-configmap` (AH-D09)
//! - <https://kubernetes.io/docs/tasks/extend-kubernetes/configure-aggregation-layer/>

use crate::check::{Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Subject, fail};
use crate::evidence::{Evidence, Mode, Need, Signature};
use crate::front_proxy::{disk, identity};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP601",
    name: "requestheader-ca-missing",
    title: "The cluster publishes no CA for the front proxy (--requestheader-client-ca-file is not set)",
    hop: Hop::FrontProxy,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: &[Need::Pods, Need::Logs, Need::AuthConfig, Need::HostControlPlane],
    explains: identity::EXPLAINS,
    question: Question::Deciding { modes: &[Mode::BeforeInstall], unless: &[] },
    source: include_str!("requestheader_ca_missing.rs"),
    run,
    remedies,
};

const FIELD: &str = "data.requestheader-client-ca-file";

/// The flag from which kube-apiserver publishes the CA.
const FLAG: &str = "requestheader-client-ca-file";

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    if !disk::asks_cluster(evidence) {
        return disk::each(evidence, results, |_, shown| {
            if shown.component.flags.get(FLAG).is_some_and(|file| !file.is_empty()) {
                return Ok(Outcome::Pass);
            }
            let finding =
                Finding::new(shown.subject.clone(), format!("its kube-apiserver runs without --{FLAG}"))
                    .cite(&shown.host.api_server, format!("flags.{FLAG}"), "not set", "a file");
            // Every kube-apiserver writes into the same ConfigMap; another one may publish a CA.
            Ok(fail(finding.likely(&[])))
        });
    }
    results.about_cluster(|ctx| {
        let published = &evidence.front_proxy.auth_config;
        let subject = Subject::namespaced("ConfigMap", "kube-system", "extension-apiserver-authentication");
        match ctx.need(published) {
            Ok(Some(config)) if config.requestheader_ca.as_ref().is_some_and(|ca| !ca.is_empty()) => {
                Ok(Outcome::Pass)
            }
            Ok(config) => {
                let detail = if config.is_some() {
                    "it has no requestheader-client-ca-file"
                } else {
                    "it does not exist: no kube-apiserver publishes a CA"
                };
                Ok(fail(Finding::new(subject, detail).cite(published, FIELD, "absent", "a certificate")))
            }
            Err(missing) => {
                let lines = support::current_signals(ctx, evidence, |signature| {
                    matches!(signature, Signature::RequestHeaderCaMissing).then_some(())
                });
                match lines.map(|lines| !lines.is_empty()) {
                    Ok(true) => Ok(fail(identity::cite_log(
                        Finding::new(subject, "metrics-server finds no requestheader-client-ca-file in it"),
                        evidence,
                        "missing content for CA bundle requestheader-client-ca-file",
                    ))),
                    _ => Err(missing),
                }
            }
        }
    });
}

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let mut remedy = identity::by_flags(
        evidence,
        "Let every kube-apiserver publish the CA of the front proxy",
        identity::REQUESTHEADER_FLAGS,
        Vec::new(),
    );
    remedy.steps.extend(support::restart_metrics_server(evidence));
    vec![remedy]
}
