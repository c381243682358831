//! # The front proxy's name is not on the list of allowed names
//!
//! ## What it looks at
//!
//! The common name that metrics-server's log says is not allowed, and the published list
//! `requestheader-allowed-names`.
//!
//! Where a host of the control plane was looked at (`host`), the client certificate's common name on its disk decides for certain.
//!
//! ## Why it matters
//!
//! metrics-server trusts the CA and refuses the name: 401 for every request. A widespread tutorial sets
//! `--requestheader-allowed-names=aggregator` for a certificate whose name is `front-proxy-client`.
//!
//! ## How to fix it
//!
//! Add the certificate's common name to the flag on every kube-apiserver. The published list only grows, so
//! an old name stays until the ConfigMap is deleted and published anew.
//!
//! ## When it is wrong
//!
//! A list that is empty allows every name; one that holds an empty string allows none.
//!
//! ## References
//!
//! - Failure catalogue: `requestheader-allowed-names-mismatch` (RM-H3, AH-D07)

use crate::check::{Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Subject, fail};
use crate::evidence::{Evidence, FrontProxyFailure, Need};
use crate::front_proxy::{disk, identity};

pub(crate) const CHECK: Check = Check {
    code: "MP604",
    name: "proxy-client-name-not-allowed",
    title: "The front proxy's common name is not in --requestheader-allowed-names",
    hop: Hop::FrontProxy,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: disk::MODES,
    needs: &[Need::ApiService, Need::Pods, Need::Logs, Need::AuthConfig, Need::HostControlPlane],
    explains: identity::EXPLAINS,
    question: Question::Listed,
    source: include_str!("proxy_client_name_not_allowed.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    disk::each_certificate(evidence, results, |ctx, shown, file, judgement| {
        let allowed = disk::allowed_names(ctx, evidence, shown)?;
        let name = &judgement.common_name;
        if allowed.is_empty() || allowed.contains(name) {
            return Ok(Outcome::Pass);
        }
        let detail = format!("the name in {} is \"{name}\"; allowed is {}", file.path, allowed.join(", "));
        let finding = Finding::new(shown.subject.clone(), detail).fact("cn", name);
        Ok(fail(finding.cite(&shown.host.front_proxy, "client.commonName", name, &allowed.join(", "))))
    });
    if !disk::asks_cluster(evidence) {
        return;
    }
    results.about_cluster(|ctx| {
        let Some((_, FrontProxyFailure::NameNotAllowed { cn })) = identity::rejection(ctx, evidence)? else {
            return Ok(Outcome::Pass);
        };
        let config = &evidence.front_proxy.auth_config;
        let subject = Subject::cluster_scoped("KubeAPIServer", "kube-apiserver");
        let words = format!("subject with cn={cn} is not in the allowed list");
        let mut finding = Finding::new(subject, format!("its certificate's name is \"{cn}\"")).fact("cn", cn);
        if let Ok(Some(published)) = ctx.need(config) {
            let names = published.allowed_names.join(", ");
            finding.detail = format!("its certificate's name is \"{cn}\"; allowed is {names}");
            finding = finding.cite(config, "data.requestheader-allowed-names", names, cn);
        }
        Ok(fail(identity::cite_log(finding, evidence, &words)))
    });
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let Some(cn) = findings.first().and_then(|finding| finding.facts.get("cn")) else { return Vec::new() };
    // The names that are allowed stay: with several control-plane hosts they may be in use elsewhere.
    // Where they were not seen, a flag that leaves them out would do harm.
    let Some(Some(published)) = evidence.front_proxy.auth_config.peek() else { return Vec::new() };
    let mut names: Vec<&str> = published.allowed_names.iter().map(String::as_str).collect();
    names.push(cn);
    let plain =
        |name: &&str| name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._:@".contains(&byte));
    if !names.iter().all(plain) {
        return Vec::new();
    }
    let mut remedy = identity::by_flags(
        evidence,
        "Allow the front proxy's name on every kube-apiserver",
        &[("requestheader-allowed-names", &names.join(","))],
        Vec::new(),
    );
    remedy.cost =
        format!("Each kube-apiserver restarts once. First see that {cn} is the name of its own certificate.");
    vec![remedy]
}
