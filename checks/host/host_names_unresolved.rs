//! # The machine does not resolve a name that it needs
//!
//! ## What it looks at
//!
//! The API server's name in the kubelet's kubeconfig (a kubeconfig with an address needs none), resolved on the machine as its
//! programs do: `/etc/hosts` and the name servers of `/etc/resolv.conf`. And, where metrics-server's pod on this machine waits
//! for its image, whether any of those name servers answers one question.
//!
//! ## Why it matters
//!
//! A kubelet that does not find its API server reports nothing, gets no pods, and cannot ask about metrics-server's token; it
//! works on while its connection stands, and is lost with the next one. A runtime that finds no registry pulls no image.
//!
//! ## How to fix it
//!
//! Give the machine name servers that answer, in the configuration of whatever writes `/etc/resolv.conf` (systemd-resolved,
//! `NetworkManager`, DHCP, netplan), or write the API server's address into `/etc/hosts`.
//!
//! ## When it is wrong
//!
//! Names of pods are another matter: metrics-server itself asks the cluster's name server, see
//! [cluster-dns-silent](cluster-dns-silent.md). Where the kubelet is read all the same the check passes, because names may
//! be kept in a cache. An image may be missing for another reason; with silent name servers that is told as likely only.
//! Machines with silent name servers and nothing to resolve are left alone. In a debug pod only `/etc/hosts` is looked at.
//!
//! ## References
//!
//! - resolv.conf(5), hosts(5); RFC 1035
//! - Kubernetes documentation, "Debugging DNS resolution" (the node's own resolver)

use super::place::{self, Place};
use super::role::{self, Role, role};
use crate::check::{
    Check, Context, Finding, Hop, Kind, Outcome, Question, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Host, Mode, Need, Reach, Resolver, Why};

pub(crate) const CHECK: Check = Check {
    code: "MP038",
    name: "host-names-unresolved",
    title: "The machine does not resolve a name that its kubelet or its container runtime needs",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: role::MODES,
    needs: &[
        Need::Pods,
        Need::Nodes,
        Need::NodeMetrics,
        Need::HostIdentity,
        Need::HostKubelet,
        Need::HostControlPlane,
        Need::HostResolver,
    ],
    explains: role::KUBELET_EXPLAINS,
    question: Question::Listed,
    source: include_str!("host_names_unresolved.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostResolver, |ctx, host, subject| {
        if role(ctx, host)? == Role::ControlPlane {
            return Ok(not_applicable("this host of the control plane has no kubelet"));
        }
        let resolver = ctx.need(&host.resolver)?;
        if let Some(image) = waits_for(ctx, evidence, host)?
            && let Some(words) = silent(resolver)
        {
            let detail = format!(
                "metrics-server's pod waits for the image {image}, and no name server answers: {words}"
            );
            let finding = Finding::new(subject, detail)
                .cite(&host.resolver, "servers", words, "an answer of one of them")
                .fact("run_on", place::run_on(host));
            return Ok(fail(finding.likely(&[])));
        }
        let Some(named) = &resolver.api_server else {
            return Ok(not_applicable(
                "the kubelet's kubeconfig has the API server's address, which needs no name server",
            ));
        };
        let works = || {
            Ok::<bool, Undecided>(is_ready(ctx, evidence, host)? || place::is_scraped(ctx, evidence, host)?)
        };
        let reach = match &named.reach {
            None | Some(Reach::NameNotResolved | Reach::TimedOut) if works()? => return Ok(Outcome::Pass),
            None => {
                let why = format!(
                    "the name {} is not in /etc/hosts, and programs of the machine were not asked",
                    named.name
                );
                return Err(Undecided { need: Need::HostResolver, why: Why::Lacking(why) });
            }
            Some(reach @ (Reach::NameNotResolved | Reach::TimedOut)) => reach.words(),
            Some(_) => return Ok(Outcome::Pass),
        };
        let servers =
            silent(resolver).map(|words| format!("; no name server answers: {words}")).unwrap_or_default();
        let detail = format!("the kubelet's API server is {}: {reach}{servers}", named.name);
        let finding = Finding::new(subject, detail)
            .cite(&host.resolver, "api_server", format!("{}: {reach}", named.name), "an address")
            .fact("name", named.name.clone())
            .fact("run_on", place::run_on(host));
        // The kubelet may know resolvers that this program does not have (nss-resolve, nss-mdns, nss-myhostname).
        Ok(fail(if evidence.mode == Mode::Installed { finding } else { finding.likely(&[]) }))
    });
}

/// Whether the machine's Node is Ready: then its kubelet has found the API server.
fn is_ready(ctx: &Context<'_>, evidence: &Evidence, host: &Host) -> Result<bool, Undecided> {
    Ok(place::node(place::nodes(ctx, evidence)?, host).is_some_and(|node| node.ready))
}

/// The image that a pod of metrics-server on this machine waits for.
fn waits_for(ctx: &Context<'_>, evidence: &Evidence, host: &Host) -> Result<Option<String>, Undecided> {
    if place::of(ctx, evidence, host)? == Place::Perhaps {
        return Ok(None);
    }
    let here = |node: &String| Some(node) == host.node.as_ref();
    let pods = ctx.need(&evidence.backend.pods)?.iter().filter(|pod| pod.node.as_ref().is_some_and(here));
    let is_lookup = |words: &String| words.is_empty() || words.contains("lookup ");
    let mut waiting = pods
        .filter(|pod| matches!(pod.waiting.as_deref(), Some("ErrImagePull" | "ImagePullBackOff")))
        .filter(|pod| pod.waiting_message.as_ref().is_none_or(is_lookup));
    Ok(waiting.next().map(|pod| pod.image.clone()))
}

/// What the name servers did, where there are some and none of them answered.
fn silent(resolver: &Resolver) -> Option<String> {
    let servers = &resolver.servers;
    let is_silent = |reach: &Reach| matches!(reach, Reach::Refused | Reach::TimedOut | Reach::NoRoute);
    let all = !servers.is_empty() && servers.iter().all(|server| is_silent(&server.reach));
    all.then(|| {
        let words = servers.iter().map(|server| format!("{} ({})", server.address, server.reach.words()));
        words.collect::<Vec<_>>().join(", ")
    })
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<crate::check::Remedy> {
    let steps = findings.iter().map(|finding| {
        let fact = |name: &str| finding.facts.get(name).cloned().unwrap_or_default();
        let what = "let whatever writes /etc/resolv.conf (systemd-resolved, NetworkManager, netplan, DHCP) name servers that answer";
        match fact("name") {
            name if name.is_empty() => Step::manual(fact("run_on"), what),
            name => Step::manual(
                fact("run_on"),
                format!("{what}, or write the API server's address and {name} into /etc/hosts; then start the kubelet anew"),
            )
            .verify(format!("getent hosts {}", crate::support::word(&name))),
        }
    });
    role::on_each("Let the machine resolve the names that it needs", "", steps.collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{host, kubelet, outcome, seen, unit};
    use super::*;
    use crate::evidence::{NameServer, Named};

    fn node(reach: Option<Reach>, servers: &[Reach]) -> Host {
        let servers =
            servers.iter().map(|reach| NameServer { address: "10.0.0.53".to_owned(), reach: reach.clone() });
        let resolver = Resolver {
            path: "/etc/resolv.conf".to_owned(),
            servers: servers.collect(),
            search: Vec::new(),
            api_server: Some(Named { name: "api.example".to_owned(), reach }),
        };
        Host {
            kubelet: kubelet(&[]),
            kubelet_unit: unit(),
            resolver: seen(Need::HostResolver, resolver),
            ..host()
        }
    }

    #[test]
    fn a_kubelet_needs_its_api_servers_name() {
        let silent = &[Reach::TimedOut, Reach::Refused];
        for (reach, expected) in [
            (Some(Reach::Answered), "pass"),
            (Some(Reach::NameNotResolved), "fail"),
            (Some(Reach::TimedOut), "fail"),
            (None, "open"),
        ] {
            let word = match outcome(&CHECK, node(reach.clone(), silent)) {
                Outcome::Pass => "pass",
                Outcome::Fail(_) => "fail",
                Outcome::Undecided(_) => "open",
                Outcome::NotApplicable(_) => "not here",
            };
            assert_eq!(word, expected, "{reach:?}");
        }
    }

    #[test]
    fn silent_servers_are_told_where_they_matter() {
        let Outcome::Fail(finding) = outcome(&CHECK, node(Some(Reach::NameNotResolved), &[Reach::TimedOut]))
        else {
            panic!("it fails")
        };
        assert!(finding.detail.contains("no name server answers"), "{}", finding.detail);
        let one = node(Some(Reach::NameNotResolved), &[Reach::TimedOut, Reach::Answered]);
        let Outcome::Fail(finding) = outcome(&CHECK, one) else { panic!("it fails") };
        assert!(!finding.detail.contains("no name server"), "{}", finding.detail);
        let mut by_address = node(None, &[Reach::TimedOut]);
        if let crate::evidence::Look::Seen(resolver) = &mut by_address.resolver.look {
            resolver.api_server = None;
        }
        assert!(matches!(outcome(&CHECK, by_address), Outcome::NotApplicable(_)));
    }
}
