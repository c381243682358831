//! # Some kube-apiservers reach metrics-server and others do not
//!
//! ## What it looks at
//!
//! Where a control plane has several kube-apiservers (the EndpointSlices of `default/kubernetes`) and
//! the pipeline shows a symptom, each is asked directly for discovery of `metrics.k8s.io`. One that answers
//! `/version` and gives 502, 503, 504 or no answer in time to this does not reach metrics-server.
//!
//! ## Why it matters
//!
//! What was seen through a load balancer holds for the kube-apiserver that answered. Where one of three
//! has no way to metrics-server, every third request fails, the APIService changes between Available and not, and
//! the HPA controller sees whatever its own kube-apiserver sees.
//!
//! ## How to fix it
//!
//! Look on the host of the one that fails: its routes to the pods' addresses, its firewall, its
//! kube-proxy. The others show that metrics-server itself is sound.
//!
//! ## When it is wrong
//!
//! While the APIService is not Available, every kube-apiserver answers 503 without trying: as long as none
//! gets through, nothing is said here. A kube-apiserver is asked only where its certificate verifies against the
//! kubeconfig's certificate authority, for its address or for the name in the kubeconfig, and never through a
//! proxy. Those that could not be asked leave the question open. Why one gets 401 or 403 from metrics-server and
//! another does not is not asked.
//!
//! ## References
//!
//! - kube-aggregator: `staging/src/k8s.io/kube-aggregator/pkg/apiserver/handler_proxy.go`
//! - Failure catalogue: section 0.6 (RM), section 1.1 (AH)

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
    ]),
    modes: &[Mode::Installed],
    needs: &[Need::ApiService, Need::MetricsDiscovery, Need::ApiServers],
    explains: identity::EXPLAINS,
    question: Question::Listed,
    source: include_str!("apiserver_instances_differ.rs"),
    run,
    remedies: no_remedies,
};

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
    let first = ctx.need(&evidence.metrics.discovery)?;
    let available = apiservice.available.as_ref().is_some_and(crate::evidence::Condition::is_true);
    if available && first.status == 200 {
        return Ok(Outcome::Pass);
    }
    let servers = ctx.need(&evidence.api_servers)?;
    if servers.len() < 2 {
        return Ok(not_applicable("there is one kube-apiserver"));
    }
    let (mut through, mut shut): (Vec<&ApiServer>, Vec<(&ApiServer, &Answer)>) = (Vec::new(), Vec::new());
    let mut open: Option<Undecided> = None;
    for server in servers {
        match ctx.need(&server.discovery) {
            Ok(answer) if matches!(answer.status, 0 | 502..=504) => shut.push((server, answer)),
            Ok(_) => through.push(server),
            Err(missing) => open = Some(missing),
        }
    }
    if through.is_empty() || shut.is_empty() {
        if let Some(missing) = open {
            return Err(missing);
        }
        if shut.is_empty() {
            return Ok(Outcome::Pass);
        }
        let why =
            "the state of the APIService: none gets through now, and while it is not Available none tries";
        return Err(Undecided { need: Need::ApiServers, why: Why::Masked(why.to_owned()) });
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
    let decide = Step::run(
        format!("the control-plane host {}", hosts.join(", ")),
        "for address in $(kubectl get endpointslices -A -l kubernetes.io/service-name=metrics-server -o jsonpath='{.items[*].endpoints[*].addresses[0]}'); do ip route get $address; curl -sk -o /dev/null -w \"$address %{http_code}\\n\" --max-time 5 https://$address:10250/livez; done",
    );
    Ok(fail(finding.decided_by(decide).at(support::machines_of(evidence, &bad))))
}
