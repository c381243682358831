//! # kube-apiserver has no client certificate for extension servers
//!
//! ## What it looks at
//!
//! `--proxy-client-cert-file` and `--proxy-client-key-file` among the flags of the kube-apiserver that
//! answered: from `/flagz` (Kubernetes 1.36 and later), or from its static pod.
//!
//! Where a host of the control plane was looked at (`host`), the flags of kube-apiserver and the file that they name on its disk decides for certain.
//!
//! ## Why it matters
//!
//! Without both, kube-apiserver calls metrics-server without a certificate. metrics-server then takes every
//! caller for `system:anonymous` and answers 403. One of the two alone is ignored without a word.
//!
//! ## How to fix it
//!
//! Issue a client certificate from the front proxy's CA and set both flags on every kube-apiserver. Never
//! grant rights to `system:anonymous` instead: that opens the cluster to anyone on the network.
//!
//! ## When it is wrong
//!
//! Where the flags cannot be seen and anonymous callers may do everything, nothing shows whether the certificate
//! is there: every call gets through, and the check is undecided as masked. The flags are those of one
//! kube-apiserver. Where several run, the others may differ.
//!
//! ## References
//!
//! - Failure catalogue: `proxy-client-cert-missing` (RM-H1), `proxy-client-cert-not-configured` (AH-D01),
//!   `proxy-client-cert-half-pair` (AH-D02)

use crate::check::{Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Subject, fail};
use crate::evidence::{Evidence, Mode, Need};
use crate::front_proxy::{disk, identity};

pub(crate) const CHECK: Check = Check {
    code: "MP602",
    name: "proxy-client-cert-missing",
    title: "kube-apiserver has no client certificate for extension servers (--proxy-client-cert-file is not set)",
    hop: Hop::FrontProxy,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: &[Need::ApiServerFlags, Need::AnonymousAccess, Need::HostControlPlane],
    explains: identity::EXPLAINS,
    question: Question::Listed,
    source: include_str!("proxy_client_cert_missing.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    disk::each(evidence, results, |_, shown| {
        let flags = &shown.component.flags;
        let unset = ["proxy-client-cert-file", "proxy-client-key-file"]
            .into_iter()
            .find(|name| flags.get(*name).is_none_or(String::is_empty));
        let finding = |detail: String| Finding::new(shown.subject.clone(), detail);
        if let Some(name) = unset {
            let found = finding(format!("its kube-apiserver runs without --{name}"));
            return Ok(fail(found.cite(
                &shown.host.api_server,
                format!("flags.{name}"),
                "not set",
                "a file",
            )));
        }
        match shown.file {
            Some(file) if file.chain.is_none() => {
                let found = finding(format!("{} is not there", file.path));
                Ok(fail(found.cite(&shown.host.front_proxy, "client.chain", "none", "a certificate")))
            }
            _ => Ok(Outcome::Pass),
        }
    });
    if !disk::asks_cluster(evidence) {
        return;
    }
    results.about_cluster(|ctx| {
        let flags = match ctx.need(&evidence.front_proxy.apiserver_flags) {
            Ok(flags) => flags,
            Err(missing) => return Err(identity::masked(ctx, evidence).unwrap_or(missing)),
        };
        let missing: Vec<&str> = ["proxy-client-cert-file", "proxy-client-key-file"]
            .into_iter()
            .filter(|name| flags.get(*name).is_none_or(String::is_empty))
            .collect();
        let [first, ..] = missing.as_slice() else { return Ok(Outcome::Pass) };
        let subject = Subject::cluster_scoped("KubeAPIServer", "kube-apiserver");
        let finding = Finding::new(subject, format!("it runs without --{}", missing.join(" and --"))).cite(
            &evidence.front_proxy.apiserver_flags,
            format!("--{first}"),
            "not set",
            "a file",
        );
        Ok(fail(finding))
    });
}

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    vec![identity::by_flags(
        evidence,
        "Give every kube-apiserver the front proxy's client certificate",
        identity::PROXY_CLIENT_FLAGS,
        Vec::new(),
    )]
}
