//! # kube-apiserver does not reach metrics-server
//!
//! ## What it looks at
//!
//! A failure to connect in the condition of the APIService: a time-out, a refused connection, no route.
//!
//! ## Why it matters
//!
//! metrics-server is Ready and the API server cannot talk to it: no route into the pod network, a firewall on
//! its port, a NetworkPolicy, no kube-proxy on the control-plane host. Neither certificates nor the kubelets
//! are involved. Where the message has `proxyconnect`, kube-apiserver did not try: it sent the call to the proxy of its
//! environment (`HTTPS_PROXY`, `NO_PROXY`).
//!
//! ## How to fix it
//!
//! Try the address of the message from each control-plane host, and the pod's own address: where the pod
//! answers and the Service does not, kube-proxy is missing there.
//!
//! ## When it is wrong
//!
//! While the pod moves to another node the message can be some seconds old.
//!
//! ## References
//!
//! - Failure catalogue: `control-plane-cannot-reach-pod-network` (RM-I1 to I4), section 3 (AH)

use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, Step, fail, no_remedies, not_applicable,
};
use crate::evidence::{ApiService, Condition, Evidence, Mode, Need};
use crate::front_proxy::identity;
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP606",
    name: "metrics-server-unreachable-from-apiserver",
    title: "kube-apiserver does not reach metrics-server",
    hop: Hop::FrontProxy,
    severity: Severity::Error,
    kind: Kind::Place(&[
        "apiserver-instances-differ",
        "pod-network-to-api-blocked",
        "forward-policy-drop",
        "ip-forward-off",
        "kube-proxy-not-programming",
        "network-policy-blocks-ingress",
        "control-plane-without-pod-route",
        "proxy-catches-cluster",
    ]),
    modes: &[Mode::Installed],
    needs: &[Need::ApiService],
    explains: identity::EXPLAINS,
    question: Question::Listed,
    source: include_str!("metrics_server_unreachable_from_apiserver.rs"),
    run,
    remedies: no_remedies,
};

/// Go's words where the way leads through a proxy of the environment (net/http, `Transport.dialConn`).
const PROXY: &str = "proxyconnect";

const WORDS: &[&str] = &[
    "i/o timeout",
    "context deadline exceeded",
    "Client.Timeout exceeded",
    "connection refused",
    "no route to host",
    "network is unreachable",
    "timed out waiting for https://",
    // A connection of before on which pings have no answer any more (golang.org/x/net/http2, `closeForLostPing`).
    "http2: client connection lost",
    PROXY,
];

/// The condition that says that no connection came about, and the words in it that do.
pub(super) fn failure(apiservice: &ApiService) -> Option<(&Condition, &'static str)> {
    let condition = apiservice.available.as_ref().filter(|condition| !condition.is_true())?;
    let words = WORDS.iter().find(|words| condition.message.contains(**words))?;
    Some((condition, words))
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about(support::apiservice(), |ctx| {
        let Some(apiservice) = ctx.need(&evidence.registration)? else {
            return Ok(not_applicable("there is no APIService"));
        };
        let Some((condition, words)) = failure(apiservice) else { return Ok(Outcome::Pass) };
        let by_proxy = condition.message.contains(PROXY);
        let script = if by_proxy {
            "tr '\\0' '\\n' < /proc/$(pgrep -o -x kube-apiserver)/environ | grep -i _proxy="
        } else {
            "for address in $(kubectl get endpointslices -A -l kubernetes.io/service-name=metrics-server -o jsonpath='{.items[*].endpoints[*].addresses[0]}'); do curl -sk -o /dev/null -w \"$address %{http_code}\\n\" --max-time 5 https://$address:10250/livez; done"
        };
        let decide = Step::run("every control-plane host", script);
        let way = if by_proxy { "went to a proxy and " } else { "" };
        let finding = Finding::new(support::apiservice(), format!("its probe {way}ended with \"{words}\""))
            .cite(&evidence.registration, "status.conditions[Available].message", &condition.message, "all checks passed")
            .decided_by(decide)
            .at(support::nodes_of_pods(evidence))
            .at(support::control_plane(evidence));
        Ok(fail(finding))
    });
}
