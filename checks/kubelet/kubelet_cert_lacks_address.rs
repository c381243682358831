//! # The kubelet's certificate is not for the address that metrics-server dials
//!
//! ## What it looks at
//!
//! The names in the certificate that the kubelet presents, against the address that metrics-server picks
//! for the node: the first of `status.addresses` of the first type in `--kubelet-preferred-address-types`.
//! Where the kubelet cannot be reached from here, metrics-server's own verdict in its log.
//!
//! ## Why it matters
//!
//! metrics-server refuses the connection: *certificate is valid for A, not B*. It happens when a node
//! changed its address, has several, or got a certificate that was made by hand.
//!
//! ## How to fix it
//!
//! Let the cluster sign the kubelets' certificates: a kubelet asks for exactly the addresses of its Node
//! object. Or issue a certificate that holds the address as an IP name; the common name does not count.
//!
//! ## When it is wrong
//!
//! The certificate that a kubelet generates itself lacks the address as well; that is another cause.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-cert-name-mismatch` (RM-E3), `kubelet-cert-cn-only` (RM-E4)

use crate::check::{Check, Finding, Hop, Kind, Outcome, Results, Severity, fail, not_applicable};
use crate::evidence::{Evidence, ScrapeFailure};
use crate::kubelet::tls::{self, View};

pub(crate) const CHECK: Check = Check {
    code: "MP506",
    name: "kubelet-cert-lacks-address",
    title: "The kubelet's serving certificate does not hold the address that metrics-server dials",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: tls::MODES,
    needs: tls::NEEDS,
    explains: tls::EXPLAINS,
    question: tls::QUESTION,
    source: include_str!("kubelet_cert_lacks_address.rs"),
    run,
    remedies: tls::remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_nodes(|ctx, node, subject| match tls::view(ctx, evidence, node)? {
        View::NotVerified => Ok(not_applicable("metrics-server does not verify kubelets")),
        View::NotDialled => Err(tls::no_address()),
        View::NoCertificate => Ok(not_applicable("the kubelet has no certificate")),
        View::Seen(leaf, _) if leaf.covers_address => Ok(Outcome::Pass),
        View::Seen(leaf, _) if leaf.is_kubelet_default() => {
            Ok(not_applicable("it is the kubelet's own certificate"))
        }
        View::Seen(leaf, address) => {
            let names = if leaf.names.is_empty() { "no names".to_owned() } else { leaf.names.join(", ") };
            let detail = format!("it is valid for {names}, not for {address}");
            let finding = Finding::new(subject, detail);
            Ok(fail(tls::cite_leaf(finding, node, "subject alternative names", &names, &address)))
        }
        View::Logged(ScrapeFailure::NoIpSans) => {
            if tls::serves_own_file(ctx.need(&node.configz)?) {
                return Ok(not_applicable("it is the kubelet's own certificate"));
            }
            let finding = Finding::new(subject, "metrics-server says that it holds no IP address").cite(
                &node.scrape_log,
                "log",
                "it doesn't contain any IP SANs",
                "the address of the node",
            );
            Ok(fail(finding))
        }
        View::Logged(ScrapeFailure::OtherNames(names)) => {
            let finding =
                Finding::new(subject, format!("metrics-server says that it is valid for {names} only")).cite(
                    &node.scrape_log,
                    "log",
                    format!("certificate is valid for {names}"),
                    "the address of the node",
                );
            Ok(fail(finding))
        }
        View::Logged(ScrapeFailure::CommonNameOnly) => {
            let finding = Finding::new(subject, "metrics-server says that it holds a common name only").cite(
                &node.scrape_log,
                "log",
                "certificate relies on legacy Common Name field",
                "the address of the node",
            );
            Ok(fail(finding))
        }
        View::Logged(ScrapeFailure::OutsideValidity) => Err(tls::masked("the certificate's dates")),
        View::Logged(_) => Ok(Outcome::Pass),
    });
}
