//! # Some kube-apiservers reach metrics-server and others do not
//!
//! ## What it looks at
//!
//! Where a control plane has several kube-apiservers (the EndpointSlices of `default/kubernetes`), each is asked directly
//! for discovery of `metrics.k8s.io`: when the pipeline shows a symptom, and when the APIService became Available less
//! than 45 s ago. One that answers `/version` and says to this that it tried and did not reach the Service, or gives no
//! answer in time, does not reach metrics-server.
//!
//! Each kube-apiserver probes metrics-server at least every 30 s and writes the outcome into the one condition
//! `Available`. So one that has stood for 45 s was found true by all of them, and nobody has to be asked.
//!
//! ## Why it matters
//!
//! What was seen through a load balancer holds for the kube-apiserver that answered. Where one of three
//! has no way to metrics-server, every third request fails, and the HPA controller sees whatever its own kube-apiserver
//! sees. The APIService hardly shows it: the others correct within milliseconds what the one writes, so it is Available
//! whenever one looks, and only `lastTransitionTime` is never older than some ten seconds.
//!
//! ## How to fix it
//!
//! Look on the host of the one that fails: its routes to the pods' addresses, its firewall, its
//! kube-proxy. The others show that metrics-server itself is sound.
//!
//! ## When it is wrong
//!
//! While the APIService is not Available, every kube-apiserver answers 503 without trying, which proves nothing: then the
//! question stays open. A kube-apiserver is asked only where its certificate verifies against the
//! kubeconfig's certificate authority, for its address or for the name in the kubeconfig, and never through a
//! proxy. Those that could not be asked leave the question open, and with it the verdict: from a place that reaches one
//! kube-apiserver alone, an APIService that has just become Available cannot be told from one that comes and goes. Why one gets 401 or 403 from metrics-server and
//! another does not is not asked.
//!
//! ## References
//!
//! - kube-aggregator: `staging/src/k8s.io/kube-aggregator/pkg/apiserver/handler_proxy.go`
//! - Failure catalogue: section 0.6 (RM), section 1.1 (AH)

use std::collections::BTreeSet;

use crate::Context;
use crate::check::{
    Check, Decision, Finding, Hop, Kind, Outcome, Question, Results, Severity, Step, Undecided, fail,
    no_remedies, not_applicable,
};
use crate::evidence::{Answer, ApiServer, Evidence, Mode, Need, Why};
use crate::front_proxy::identity;
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP609",
    name: "apiserver-instances-differ",
    title: "Some kube-apiservers reach metrics-server and others do not",
    hop: Hop::FrontProxy,
    severity: Severity::Error,
    kind: Kind::Place(&[
        "control-plane-without-pod-route",
        "kube-proxy-not-programming",
        "network-policy-blocks-ingress",
        "proxy-catches-cluster",
    ]),
    modes: &[Mode::Installed],
    needs: &[Need::ApiService, Need::MetricsDiscovery, Need::ApiServers],
    explains: identity::EXPLAINS,
    question: Question::Deciding { modes: &[Mode::Installed], unless: &[] },
    source: include_str!("apiserver_instances_differ.rs"),
    run,
    remedies: no_remedies,
};

/// Reasons with which a kube-apiserver has not come to dialling (`remote_available_controller.go`, `sync`).
const NOBODY: &[&str] =
    &["ServiceNotFound", "ServiceAccessError", "ServicePortError", "EndpointsNotFound", "MissingEndpoints"];

/// Whether this is what a kube-apiserver says that tried and did not get through. 503 alone is what it says without trying
/// as well, while the APIService is not Available (`proxyError` and `responder` in `handler_proxy.go`).
fn has_tried(answer: &Answer) -> bool {
    match answer.status {
        0 | 502 | 504 => true,
        503 => answer.message.contains("trying to reach service"),
        _ => false,
    }
}

/// Dials metrics-server's pods, by their addresses where they are known: a host needs no kubeconfig for that.
fn dial_pods(evidence: &Evidence) -> String {
    let endpoints = evidence.backend.endpoints.peek().map(Vec::as_slice).unwrap_or_default();
    let known: BTreeSet<&str> = endpoints
        .iter()
        .filter(|endpoint| endpoint.pod.is_some())
        .filter_map(|endpoint| {
            endpoint.address.parse::<std::net::Ipv4Addr>().is_ok().then_some(&*endpoint.address)
        })
        .collect();
    let addresses = if known.is_empty() {
        "$(kubectl get endpointslices -A -l kubernetes.io/service-name=metrics-server -o jsonpath='{.items[*].endpoints[*].addresses[0]}')".to_owned()
    } else {
        known.into_iter().collect::<Vec<_>>().join(" ")
    };
    format!(
        "for address in {addresses}; do ip route get $address; curl -sk -o /dev/null -w \"$address %{{http_code}}\\n\" --max-time 5 https://$address:10250/livez; done"
    )
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about(support::apiservice(), |ctx| decide(ctx, evidence));
}

fn decide(ctx: &Context<'_>, evidence: &Evidence) -> Decision {
    let Some(apiservice) = ctx.need(&evidence.registration)? else {
        return Ok(not_applicable("there is no APIService"));
    };
    if apiservice.service.is_none() {
        return Ok(not_applicable("kube-apiserver serves the Metrics API itself"));
    }
    let condition = apiservice.available.as_ref();
    if let Some(reason) = condition.filter(|it| !it.is_true()).map(|it| &*it.reason)
        && NOBODY.contains(&reason)
    {
        return Ok(not_applicable(format!("no kube-apiserver has anybody to reach: {reason}")));
    }
    // Otherwise nothing is settled by what came through one of them, who may be the one that did not answer.
    if condition.is_some_and(|it| it.is_true_for_all(evidence.taken_at))
        && !matches!(ctx.need(&evidence.metrics.discovery)?.status, 502..=504)
    {
        return Ok(Outcome::Pass);
    }
    let servers = ctx.need(&evidence.api_servers)?;
    if servers.len() < 2 {
        return Ok(not_applicable("there is one kube-apiserver"));
    }
    let (mut through, mut shut): (Vec<&ApiServer>, Vec<(&ApiServer, &Answer)>) = (Vec::new(), Vec::new());
    let mut open: Option<Undecided> = None;
    let mut masked = false;
    for server in servers {
        match ctx.need(&server.discovery) {
            Ok(answer) if has_tried(answer) => shut.push((server, answer)),
            Ok(answer) if answer.status == 503 => masked = true,
            Ok(_) => through.push(server),
            Err(missing) => open = Some(missing),
        }
    }
    if through.is_empty() || shut.is_empty() {
        if let Some(missing) = open {
            return Err(missing);
        }
        if masked {
            // One that was Available to the first and is not to another, changes just now.
            let comes_and_goes = condition.is_some_and(crate::evidence::Condition::is_true);
            let why = if comes_and_goes {
                let why =
                    "the APIService is Available since a moment ago, and not yet to every kube-apiserver";
                Why::TooEarly(why.to_owned())
            } else {
                Why::Masked("the unavailable APIService".to_owned())
            };
            return Err(Undecided { need: Need::ApiServers, why });
        }
        return Ok(Outcome::Pass);
    }
    let at = |server: &ApiServer| format!("{}:{}", server.address, server.port);
    let list =
        |servers: &[&ApiServer]| servers.iter().map(|server| at(server)).collect::<Vec<_>>().join(", ");
    let bad: Vec<&ApiServer> = shut.iter().map(|(server, _)| *server).collect();
    let (reach, do_not) =
        (if through.len() == 1 { "reaches" } else { "reach" }, if bad.len() == 1 { "does" } else { "do" });
    let detail = format!(
        "the kube-apiserver at {} {reach} metrics-server, the one at {} {do_not} not",
        list(&through),
        list(&bad)
    );
    let mut finding = Finding::new(support::apiservice(), detail);
    for (server, answer) in &shut {
        let said = if answer.status == 0 {
            answer.message.clone()
        } else {
            format!("{} {}", answer.status, answer.message)
        };
        finding = finding.cite(&server.discovery, "status", said.trim(), "200");
    }
    let hosts: Vec<&str> = bad.iter().map(|server| server.address.as_str()).collect();
    let decide = Step::run(format!("the control-plane host {}", hosts.join(", ")), dial_pods(evidence));
    Ok(fail(finding.decided_by(decide).at(support::machines_of(evidence, &bad))))
}

#[cfg(test)]
mod tests {
    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::evidence::{ApiService, Condition, Obs, ServiceRef};

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    /// What is made of an APIService that has been Available for so many seconds, and of what kube-apiservers answered.
    fn outcome(age: i64, first: Option<i64>, answers: &[Option<(i64, &str)>]) -> Outcome {
        let why = Why::NotAsked("a test".to_owned());
        let mut evidence = Evidence::unseen(Mode::Installed, NOW, &why);
        let service =
            ServiceRef { namespace: "kube-system".to_owned(), name: "metrics-server".to_owned(), port: 443 };
        let available = Condition {
            kind: "Available".to_owned(),
            status: "True".to_owned(),
            reason: "Passed".to_owned(),
            message: "all checks passed".to_owned(),
            since: Some(NOW - SignedDuration::from_secs(age)),
        };
        let apiservice = ApiService {
            created: NOW,
            service: Some(service),
            insecure_skip_tls_verify: true,
            has_ca_bundle: false,
            available: Some(available),
        };
        evidence.registration = Obs::seen(Need::ApiService, [0], Some(apiservice));
        let answer = |status: i64, message: &str| Answer { status, message: message.to_owned() };
        if let Some(status) = first {
            evidence.metrics.discovery = Obs::seen(Need::MetricsDiscovery, [1], answer(status, ""));
        }
        let servers = answers.iter().enumerate().map(|(index, said)| {
            let mut server = ApiServer::unasked(format!("10.0.0.{}", index + 1), 6443);
            server.discovery = match said {
                Some((status, message)) => Obs::seen(Need::ApiServers, [2], answer(*status, message)),
                None => Obs::unseen(Need::ApiServers, [2], Why::TimedOut("https://10.0.0.1:6443".to_owned())),
            };
            server
        });
        if !answers.is_empty() {
            evidence.api_servers = Obs::seen(Need::ApiServers, [2], servers.collect());
        }
        CHECK.run(&evidence).results.remove(0).1
    }

    const WORKS: Option<(i64, &str)> = Some((200, ""));
    const TRIED: Option<(i64, &str)> =
        Some((503, "error trying to reach service: context deadline exceeded"));
    const REFUSED: Option<(i64, &str)> = Some((503, "service unavailable"));

    #[test]
    fn an_apiservice_that_has_stood_was_found_so_by_all() {
        assert!(matches!(outcome(45, Some(200), &[]), Outcome::Pass));
        assert!(
            matches!(outcome(44, Some(200), &[]), Outcome::Undecided(_)),
            "another may not have probed yet"
        );
        assert!(
            matches!(outcome(-5, Some(200), &[]), Outcome::Undecided(_)),
            "clocks that differ prove nothing"
        );
        assert!(matches!(outcome(45, None, &[WORKS, WORKS]), Outcome::Undecided(_)));
        assert!(matches!(outcome(45, Some(500), &[]), Outcome::Pass), "whatever else is wrong, all reach it");
        assert!(matches!(outcome(45, Some(503), &[WORKS, TRIED]), Outcome::Fail(_)), "it has just begun");
        assert!(matches!(outcome(5, Some(200), &[WORKS]), Outcome::NotApplicable(_)));
        assert!(matches!(outcome(5, Some(200), &[WORKS, WORKS]), Outcome::Pass));
    }

    #[test]
    fn one_that_tried_in_vain_differs_whoever_answered_first() {
        for first in [Some(200), Some(503), None] {
            assert!(matches!(outcome(5, first, &[WORKS, TRIED]), Outcome::Fail(_)), "{first:?}");
            assert!(
                matches!(outcome(5, first, &[WORKS, Some((0, "no answer"))]), Outcome::Fail(_)),
                "{first:?}"
            );
        }
        let Outcome::Fail(finding) = outcome(5, Some(200), &[WORKS, TRIED, None]) else {
            panic!("one differs")
        };
        assert!(
            finding.detail.contains("10.0.0.1:6443 reaches")
                && finding.detail.contains("10.0.0.2:6443 does not")
        );
    }

    #[test]
    fn what_was_not_tried_or_not_asked_is_open() {
        assert!(matches!(outcome(5, Some(200), &[WORKS, REFUSED]), Outcome::Undecided(_)));
        assert!(matches!(outcome(5, Some(200), &[WORKS, None]), Outcome::Undecided(_)));
        assert!(matches!(outcome(5, Some(503), &[TRIED, None]), Outcome::Undecided(_)));
        assert!(matches!(outcome(5, Some(503), &[TRIED, TRIED]), Outcome::Pass), "they do not differ");
    }
}
