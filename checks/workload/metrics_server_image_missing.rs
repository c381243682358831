//! # metrics-server's image does not come
//!
//! ## What it looks at
//!
//! What the containers of metrics-server wait for (`state.waiting`), while no pod of it is Ready.
//!
//! ## Why it matters
//!
//! The pod is on its node and its image is not, so nothing runs and nobody serves the Metrics API. The kubelet tries
//! again, every five minutes in the end. What the registry said tells the cases apart: there is no such image; the
//! registry cannot be reached; its certificate is not trusted; it refuses the credential, or wants one.
//!
//! ## How to fix it
//!
//! Name an image that exists (old manifests name `k8s.gcr.io`, which has had no new image since April 2023), or let the
//! nodes reach the registry, or copy the image into one that they do reach.
//!
//! ## When it is wrong
//!
//! While another pod of metrics-server is Ready nothing is said: that is a rollout that does not get on, and metrics
//! are served all the same. The kubelet words its message as the runtime does; a case that is not recognised is told in
//! the runtime's own words.
//!
//! ## References
//!
//! - Failure catalogue: `image-registry-unreachable` (RM-B1), `image-tag-not-found-frozen-registry` (RM-B2),
//!   `unreleased-manifest-or-tag` (RM-A13)
//! - The reasons: Kubernetes, `pkg/kubelet/images/types.go`; `k8s.io/cri-api`, `pkg/errors/errors.go`

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need, Pod, Workload};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP304",
    name: "metrics-server-image-missing",
    title: "The image of metrics-server does not come to its node",
    hop: Hop::Workload,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[Need::Pods],
    explains: &[
        "metrics-server-not-ready",
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("metrics_server_image_missing.rs"),
    run,
    remedies,
};

/// What a kubelet says of a container whose image it does not have.
const REASONS: [&str; 7] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "ImageInspectError",
    "RegistryUnavailable",
    "SignatureValidationFailed",
];

/// The newest release's image, for [`remedies`].
const RELEASED: &str = "registry.k8s.io/metrics-server/metrics-server:v0.9.0";

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    let pods = &evidence.backend.pods;
    results.each(pods, support::pod_subject, |ctx, pod, subject| {
        let waiting = pod.waiting.as_deref().filter(|reason| REASONS.contains(reason));
        let Some(reason) = waiting else { return Ok(Outcome::Pass) };
        if support::serves(ctx, evidence)? {
            return Ok(Outcome::Pass);
        }
        if ctx.need(pods)?.iter().any(|other| other.started.is_some()) {
            return Ok(not_applicable(
                "another pod of metrics-server runs, and the pipeline rests on that one",
            ));
        }
        let message = pod.waiting_message.as_deref().unwrap_or_default();
        let trouble = Trouble::of(reason, message);
        let detail = format!("{} {}: {}", pod.image, trouble.words(), said(reason, message));
        let state = |field: &str| {
            let Pod { name, container, .. } = pod;
            format!("items[{name}].status.containerStatuses[{container}].state.waiting.{field}")
        };
        let mut finding = Finding::new(subject, detail)
            .cite(pods, state("reason"), reason, "a container that runs")
            .fact("reason", reason)
            .fact("message", message)
            .at(pod.node.as_deref().map(Subject::node));
        if !message.is_empty() {
            finding = finding.cite(pods, state("message"), message, "an image that is there");
        }
        Ok(fail(finding))
    });
}

/// The reason and what was said, or the reason alone.
fn said(reason: &str, message: &str) -> String {
    // The back-off repeats the reason of the last try in front of what the runtime said.
    let cause = message.split_once(": ErrImagePull: ").map_or(message, |(_, cause)| cause);
    if cause.is_empty() { reason.to_owned() } else { format!("{reason}: {cause}") }
}

/// Why an image does not come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// There is no such image, or none for the machine's architecture.
    NotThere,
    /// Nobody answered at the registry's address.
    NoAnswer,
    /// The registry's certificate is not trusted.
    Untrusted,
    /// The registry wants another credential, or does not say what it has.
    Refused,
    /// The pod forbids to pull, and the node does not have the image.
    NeverPulled,
    /// Something else.
    Other,
}

impl Trouble {
    /// Told by the words of containerd, CRI-O and Go's `net`.
    fn of(reason: &str, message: &str) -> Self {
        let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
        match reason {
            "ErrImageNeverPull" => Self::NeverPulled,
            "InvalidImageName" => Self::NotThere,
            _ if has(&["no match for platform", "no matching manifest"]) => Self::NotThere,
            _ if has(&["x509:", "certificate"]) => Self::Untrusted,
            _ if has(&[
                "denied",
                "authorization failed",
                "unauthorized",
                "Unauthorized",
                "403 Forbidden",
            ]) =>
            {
                Self::Refused
            }
            _ if has(&[
                "i/o timeout",
                "no such host",
                "server misbehaving",
                "connection refused",
                "network is unreachable",
                "no route to host",
                "handshake timeout",
                "deadline exceeded",
                "request canceled",
                "connection reset",
            ]) =>
            {
                Self::NoAnswer
            }
            _ if has(&["not found", "manifest unknown", "NAME_UNKNOWN"]) => Self::NotThere,
            _ => Self::Other,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::NotThere => "does not exist",
            Self::NoAnswer => "comes from a registry that the node does not reach",
            Self::Untrusted => "comes from a registry whose certificate the node does not trust",
            Self::Refused => "is refused by its registry",
            Self::NeverPulled => "is not on the node, and the pod forbids to pull it",
            Self::Other => "is not pulled",
        }
    }
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let (Some(Some(workload)), Some(finding)) = (evidence.backend.workload.peek(), findings.first()) else {
        return Vec::new();
    };
    let fact = |name: &str| finding.facts.get(name).map(String::as_str).unwrap_or_default();
    let remedy = |title: &str, cost: &str, step: Step| Remedy {
        title: title.to_owned(),
        audience: Audience::Production,
        cost: cost.to_owned(),
        leaves: Vec::new(),
        steps: vec![step],
    };
    let set = || {
        remedy(
            "Use an image that exists",
            "It may be another version than was meant. Nodes that reach a mirror alone need the mirror's copy, and a \
             repository or an operator that owns the workload has to name it too.",
            rolled(workload, |target| {
                format!("set image {target} {}={RELEASED}", support::word(&workload.container_name))
            }),
        )
    };
    match Trouble::of(fact("reason"), fact("message")) {
        Trouble::NotThere => vec![set()],
        Trouble::NeverPulled => vec![remedy(
            "Let the kubelet pull the image",
            "",
            rolled(workload, |target| {
                let container = workload.container;
                format!(
                    "patch {target} --type=json -p '[{{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/{container}/imagePullPolicy\",\"value\":\"IfNotPresent\"}}]'"
                )
            }),
        )],
        Trouble::NoAnswer => vec![remedy(
            "Let the nodes reach the registry",
            "registry.k8s.io sends on to other hosts for the layers; a firewall or a proxy has to let those through too.",
            Step::manual(
                "every node",
                "let the container runtime reach the registry (name server, firewall, HTTPS_PROXY of its service), or copy \
                 the image into a registry that the nodes reach and name that in the workload",
            ),
        )],
        Trouble::Untrusted => vec![remedy(
            "Let the container runtime trust the registry",
            "",
            Step::manual(
                "every node",
                "give the runtime the CA of the registry, or of the proxy that opens TLS on the way \
                 (containerd: /etc/containerd/certs.d/REGISTRY/hosts.toml)",
            ),
        )],
        Trouble::Refused => vec![
            remedy(
                "Give the pod a credential of the registry",
                "",
                Step::manual(
                    "workstation",
                    "create a Secret of type kubernetes.io/dockerconfigjson and name it in the workload's imagePullSecrets; a \
                     registry may answer so for an image that does not exist as well",
                ),
            ),
            set(),
        ],
        Trouble::Other => vec![remedy(
            "Pull the image on the node",
            "",
            Step::manual("every node", "pull the image by hand (crictl pull IMAGE) and cure what that shows"),
        )],
    }
}

/// A change of the workload that starts its pods anew, and how to see that they run.
fn rolled(workload: &Workload, change: impl Fn(&str) -> String) -> Step {
    let namespace = support::word(&workload.namespace);
    let target = format!("{}/{}", workload.kind.to_ascii_lowercase(), support::word(&workload.name));
    Step::run("workstation", format!("kubectl -n {namespace} {}", change(&target)))
        .verify(format!("kubectl -n {namespace} rollout status {target} --timeout=3m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runtime_says_tells_the_cases_apart() {
        for (said, trouble) in [
            (
                "failed to pull and unpack image \"r/ms:v9\": failed to resolve reference \"r/ms:v9\": r/ms:v9: not found",
                Trouble::NotThere,
            ),
            ("no match for platform in manifest: not found", Trouble::NotThere),
            (
                "failed to do request: Head \"https://registry.k8s.io/v2/a\": dial tcp: lookup registry.k8s.io: no such host",
                Trouble::NoAnswer,
            ),
            ("dial tcp 192.0.2.1:443: i/o timeout", Trouble::NoAnswer),
            (
                "tls: failed to verify certificate: x509: certificate signed by unknown authority",
                Trouble::Untrusted,
            ),
            (
                "pull access denied, repository does not exist or may require authorization: server message: \
                 insufficient_scope: authorization failed",
                Trouble::Refused,
            ),
            (
                "unexpected status from HEAD request to https://r/v2/ms/manifests/v9: 403 Forbidden",
                Trouble::Refused,
            ),
            ("", Trouble::Other),
        ] {
            assert_eq!(Trouble::of("ErrImagePull", said), trouble, "{said}");
        }
        assert_eq!(Trouble::of("ErrImageNeverPull", ""), Trouble::NeverPulled);
        assert_eq!(Trouble::of("InvalidImageName", ""), Trouble::NotThere);
    }
}
