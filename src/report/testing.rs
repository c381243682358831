//! Reports over small invented checks, for the tests of every format.

use checks::check::{
    Audience, Check, Decision, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step,
    Subject, Undecided, fail, no_remedies,
};
use checks::diagnosis::{AutoscalerVerdict, MetricOutcome, MetricVerdict, Policy, Reason, diagnose};
use checks::evidence::{
    AccessReviews, Backend, Cluster, Distribution, Evidence, FrontProxy, Gate, Metrics, Mode, Need, Obs,
    Plan, RequestSeen, ServerVersion, Why,
};
use checks::plan::{HpaSpec, MetricRef, MetricSpec, MetricTarget, ObjectRef};
use jiff::Timestamp;

use super::Report;
use crate::exit::Exit;

/// All is well.
pub(crate) fn pass() -> Report {
    report(const { &[API, REGISTRATION, KUBELETS_FINE] })
}

/// A certain cause with two cures, a likely one, a symptom that they explain, and a hazard.
pub(crate) fn broken() -> Report {
    report(const { &[API, BLOCKED, SELF_SIGNED, INSECURE, MISSING_METRICS] })
}

/// Fifty kubelets that did not answer, a permission that lacks, and more that matters less.
pub(crate) fn undecided() -> Report {
    report(const { &[API, KUBELETS_SILENT, LOGS_FORBIDDEN, LISTED_OPEN] })
}

/// A symptom without a cause, and an open question that could be one.
pub(crate) fn unexplained() -> Report {
    report(const { &[API, LOGS_FORBIDDEN, MISSING_METRICS] })
}

/// A check that panics.
pub(crate) fn panicked() -> Report {
    report(const { &[API, DEFECTIVE] })
}

/// A cluster that tries to write to the reader's terminal.
pub(crate) fn hostile() -> Report {
    let mut report = report(const { &[API, HOSTILE] });
    report.context = Some("\u{1b}]0;owned\u{7}".to_owned());
    report.evidence.cluster.clock_offset_s = -42;
    report
}

/// A gate with every verdict on a metric, a proof with a place, and a cure that is a patch.
pub(crate) fn gate() -> Report {
    let mut report = report(const { &[API, SELF_SIGNED, LOGS_FORBIDDEN] });
    let text = "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata:\n  name: web\n  namespace: shop\n\
                spec:\n  maxReplicas: \"10\"\n";
    let manifests = crate::manifest::read_text("web.yaml", text).manifests;
    let document = manifests.documents[0].clone();
    let metric = |name: &str| MetricSpec {
        pointer: "/spec/metrics/0".to_owned(),
        source: MetricRef::Resource { name: name.to_owned() },
        target: MetricTarget::default(),
    };
    let plan = |document: Option<usize>| Plan {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        document,
        spec: HpaSpec {
            target: ObjectRef::default(),
            min: 1,
            max: Some(10),
            behavior: checks::plan::Behavior::default(),
            metrics: ["cpu", "memory", "queue", "latency"].map(metric).into(),
        },
        live: None,
        events: unseen(Need::Events),
        target: unseen(Need::Kinds),
        scale: unseen(Need::HpaTarget),
        template: unseen(Need::Template),
        pods: unseen(Need::HpaPods),
        scale_permitted: unseen(Need::ControllerAccess),
        metrics: Vec::new(),
    };
    let outcome = |verdict: MetricVerdict| MetricOutcome {
        verdict,
        reasons: if verdict == MetricVerdict::Pass {
            Vec::new()
        } else {
            vec![Reason {
                code: "MP909",
                name: "hpa-container-missing",
                detail: "there is no wbe".to_owned(),
                subject: Subject::namespaced("HorizontalPodAutoscaler", "shop", "web"),
            }]
        },
    };
    let all = [MetricVerdict::Pass, MetricVerdict::Deferred, MetricVerdict::Undecided, MetricVerdict::Fail];
    report.diagnosis.autoscalers = [0, 1]
        .map(|plan| AutoscalerVerdict {
            plan,
            verdict: MetricVerdict::Fail,
            metrics: all.map(outcome).into(),
        })
        .into();
    report.diagnosis.mode = Mode::Gate;
    report.evidence.gate =
        Gate { manifests, plans: vec![plan(Some(0)), plan(None)], offline: true, ..Gate::default() };
    let cause = report.diagnosis.root_causes.first_mut().expect("a root cause");
    let finding = cause.findings.remove(0);
    let finding = finding.cite_manifest(&document, "/spec/maxReplicas", "\"10\"", "a whole number");
    cause.findings.insert(0, finding.change(&document, "/spec/maxReplicas", Some(10.into())));
    report
}

/// Every report, with the name of its snapshot.
pub(crate) fn reports() -> Vec<(&'static str, Report)> {
    vec![
        ("pass", pass()),
        ("broken", broken()),
        ("undecided", undecided()),
        ("unexplained", unexplained()),
        ("panicked", panicked()),
        ("hostile", hostile()),
        ("gate", gate()),
    ]
}

/// Every JSON document, those of failed runs too.
pub(crate) fn documents() -> Vec<(&'static str, String)> {
    let error = |kind| super::json::Error {
        kind,
        message: "cannot reach the API server: connection refused".to_owned(),
        hint: Some("Is the cluster running?".to_owned()),
    };
    let mut documents: Vec<(&'static str, String)> =
        reports().into_iter().map(|(name, report)| (name, rendered(&report, None))).collect();
    documents.push(("interrupted", rendered(&unexplained(), Some(&error("interrupted")))));
    for (name, exit) in [("usage", Exit::Usage), ("unreachable", Exit::Unreachable), ("bug", Exit::Bug)] {
        documents
            .push((name, super::json::render(&super::json::without_evidence("check", exit, &error(name)))));
    }
    documents
}

fn rendered(report: &Report, error: Option<&super::json::Error>) -> String {
    super::json::render(&super::json::document(report, error))
}

fn report(checks: &'static [Check]) -> Report {
    let evidence = evidence();
    let policy = Policy::default();
    let diagnosis = quietly(|| diagnose(checks, &evidence, policy));
    let exit = Exit::of(&diagnosis, false);
    let (context, server) = (Some("lab".to_owned()), Some("https://10.0.0.1:6443".to_owned()));
    Report { diagnosis, evidence, policy, context, server, exit }
}

/// Without the message that a panic of the defective check would leave among the tests' output.
fn quietly<T>(act: impl FnOnce() -> T) -> T {
    static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let value = act();
    std::panic::set_hook(hook);
    value
}

fn time() -> Timestamp {
    "2026-11-20T22:04:05Z".parse().expect("a fixed time")
}

fn evidence() -> Evidence {
    let request = |request: &str| RequestSeen { request: request.to_owned(), seen_at: time() };
    Evidence {
        taken_at: time(),
        mode: Mode::Installed,
        requests: vec![
            request("GET /version"),
            request("GET /apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io"),
            request("GET /api/v1/nodes?limit=500"),
            request("handshake 10.0.0.11:10250"),
        ],
        cluster: Cluster {
            version: Obs::seen(
                Need::Version,
                [0],
                ServerVersion { git_version: "v1.36.2".to_owned(), minor: 36 },
            ),
            whoami: unseen(Need::Whoami),
            groups: unseen(Need::Groups),
            distribution: Distribution::Kubeadm,
            clock_offset_s: 0,
        },
        registration: unseen(Need::ApiService),
        backend: Backend {
            service: unseen(Need::Service),
            endpoints: unseen(Need::EndpointSlices),
            pods: unseen(Need::Pods),
            workload: unseen(Need::Workload),
            logs: unseen(Need::Logs),
            root_ca: unseen(Need::RootCa),
            reviews: AccessReviews {
                account: None,
                get_node_metrics: unseen(Need::AccessReviews),
                list_nodes: unseen(Need::AccessReviews),
                list_pods: unseen(Need::AccessReviews),
                get_auth_config: unseen(Need::AccessReviews),
                create_access_reviews: unseen(Need::AccessReviews),
            },
            candidates: unseen(Need::Service),
            args: unseen(Need::Pods),
        },
        nodes: Obs::seen(Need::Nodes, [2], Vec::new()),
        front_proxy: FrontProxy {
            auth_config: unseen(Need::AuthConfig),
            apiserver_flags: unseen(Need::ApiServerFlags),
            anonymous_access: unseen(Need::AnonymousAccess),
            anonymous_bindings: unseen(Need::AnonymousBindings),
        },
        metrics: Metrics {
            discovery: unseen(Need::MetricsDiscovery),
            nodes_answer: unseen(Need::NodeMetrics),
            nodes: unseen(Need::NodeMetrics),
        },
        hpas: unseen(Need::Hpas),
        controller_lease: unseen(Need::ControllerLease),
        gate: Gate::default(),
        policies: unseen(Need::NetworkPolicies),
        api_servers: unseen(Need::ApiServers),
        hosts: Vec::new(),
        probes: Vec::new(),
    }
}

fn unseen<T>(need: Need) -> Obs<T> {
    Obs::unseen(need, [], Why::NotRecorded)
}

fn handshake() -> Obs<()> {
    Obs::seen(Need::KubeletHandshake, [3], ())
}

const BASE: Check = Check {
    code: "MP000",
    name: "base",
    title: "Nothing",
    hop: Hop::Api,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall],
    needs: &[],
    explains: &[],
    question: Question::Listed,
    source: "//! # Nothing\n//!\n//! ## What it looks at\n//! Nothing.\n",
    run: |_, results| results.about_cluster(|_| Ok(Outcome::Pass)),
    remedies: no_remedies,
};

const API: Check =
    Check { code: "MP001", name: "api-server-refuses", title: "The API server refuses", ..BASE };

const REGISTRATION: Check = Check {
    code: "MP101",
    name: "metrics-api-not-registered",
    title: "The Metrics API is not registered",
    hop: Hop::Registration,
    ..BASE
};

const KUBELETS_FINE: Check =
    Check { code: "MP501", name: "kubelet-unreachable", hop: Hop::Kubelet, run: nodes_fine, ..BASE };

const RESTS: Question = Question::Deciding { modes: &[Mode::Installed, Mode::BeforeInstall], unless: &[] };

fn nodes(count: usize) -> Vec<Subject> {
    (1..=count).map(|number| Subject::node(format!("node{number}"))).collect()
}

fn each(results: &mut Results<'_>, count: usize, decide: impl Fn(usize, Subject) -> Decision) {
    for (index, node) in nodes(count).into_iter().enumerate() {
        results.about(node.clone(), |_| decide(index, node));
    }
}

fn nodes_fine(_: &Evidence, results: &mut Results<'_>) {
    each(results, 3, |_, _| Ok(Outcome::Pass));
}

const SELF_SIGNED: Check = Check {
    code: "MP510",
    name: "kubelet-cert-self-signed",
    title: "The kubelet serves a certificate that it signed itself",
    hop: Hop::Kubelet,
    explains: &["node-metrics-missing"],
    run: |_, results| each(results, 7, |index, node| Ok(fail(self_signed(index, node)))),
    remedies: |_, _| vec![serving_certificates(), insecure_tls()],
    ..BASE
};

fn self_signed(index: usize, node: Subject) -> Finding {
    let detail = format!("it was issued by \"{}-ca@1763676245\"", node.name);
    let finding = Finding::new(node, detail);
    if index > 0 {
        return finding;
    }
    finding.cite(&handshake(), "certificate.issuer", "CN=node1-ca@1763676245", "the cluster's CA").cite(
        &handshake(),
        "certificate.subjectAltNames",
        "DNS:node1",
        "IP:10.0.0.11",
    )
}

fn serving_certificates() -> Remedy {
    Remedy {
        title: "let the cluster's CA sign the kubelets' serving certificates".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![
            Step::run(
                "every node",
                "grep -q '^serverTLSBootstrap:' /var/lib/kubelet/config.yaml || \
                 echo 'serverTLSBootstrap: true' >> /var/lib/kubelet/config.yaml\n\
                 systemctl restart kubelet",
            )
            .verify("systemctl is-active kubelet"),
            Step::run("workstation", "kubectl certificate approve csr-abcde csr-fghij"),
            Step::manual("node node7", "Ask whoever runs this node to do the same there."),
        ],
    }
}

fn insecure_tls() -> Remedy {
    Remedy {
        title: "do not verify the kubelets' certificates".to_owned(),
        audience: Audience::Lab,
        cost: "metrics-server then believes anyone who answers at a kubelet's address.".to_owned(),
        leaves: vec!["kubelet-insecure-tls"],
        steps: vec![Step::run(
            "workstation",
            "kubectl -n kube-system patch deployment metrics-server --type=json -p '[{\"op\":\"add\",\
             \"path\":\"/spec/template/spec/containers/0/args/-\",\"value\":\"--kubelet-insecure-tls\"}]'",
        )],
    }
}

const BLOCKED: Check = Check {
    code: "MP401",
    name: "pod-network-to-api-blocked",
    title: "Pods cannot reach the API server",
    hop: Hop::ApiAccess,
    run: |_, results| {
        results.about_cluster(|_| {
            let step = Step::run("node node1", "iptables-save -c | grep -- --dport\\ 6443")
                .verify("curl -ks https://10.96.0.1/livez");
            let detail = "The log of metrics-server says `dial tcp 10.96.0.1:443: i/o timeout`.";
            let finding = Finding::new(Subject::cluster(), detail)
                .likely(&["ip-forwarding-off", "network-policy-blocks"])
                .decided_by(step);
            let log = Obs::seen(Need::Logs, [], ());
            Ok(fail(finding.cite(&log, "log line", "dial tcp 10.96.0.1:443: i/o timeout", "")))
        });
    },
    ..BASE
};

const INSECURE: Check = Check {
    code: "MP710",
    name: "anonymous-binding",
    title: "Anyone may read the metrics of nodes",
    hop: Hop::Authorization,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    run: |_, results| {
        let subject = Subject::cluster_scoped("ClusterRoleBinding", "open-door");
        results.about(subject.clone(), |_| Ok(fail(Finding::new(subject, ""))));
    },
    ..BASE
};

const MISSING_METRICS: Check = Check {
    code: "MP810",
    name: "node-metrics-missing",
    title: "The Metrics API lacks nodes",
    hop: Hop::Metrics,
    kind: Kind::Symptom,
    run: |_, results| {
        each(results, 7, |_, node| {
            let detail = format!("There are no metrics of {}.", node.name);
            Ok(fail(Finding::new(node, detail).cite(
                &Obs::seen(Need::Nodes, [2], ()),
                "items[].metadata.name",
                "no such item",
                "every Ready node",
            )))
        });
    },
    ..BASE
};

const KUBELETS_SILENT: Check = Check {
    code: "MP501",
    name: "kubelet-unreachable",
    title: "A kubelet does not answer",
    hop: Hop::Kubelet,
    question: RESTS,
    run: |_, results| {
        each(results, 50, |index, _| {
            let why = Why::TimedOut(format!("10.0.0.{}:10250", index + 11));
            Err(Undecided { need: Need::KubeletHandshake, why })
        });
    },
    ..BASE
};

const LOGS_FORBIDDEN: Check = Check {
    code: "MP402",
    name: "api-certificate-unknown",
    title: "metrics-server does not trust the API server",
    hop: Hop::ApiAccess,
    question: RESTS,
    explains: &["node-metrics-missing"],
    run: |_, results| {
        results.about_cluster(|_| {
            let why = Why::Forbidden { verb: "get".to_owned(), resource: "pods/log".to_owned() };
            Err(Undecided { need: Need::Logs, why })
        });
    },
    ..BASE
};

const LISTED_OPEN: Check = Check {
    code: "MP520",
    name: "kubelet-anonymous",
    hop: Hop::Kubelet,
    run: |_, results| {
        each(results, 50, |_, _| Err(Undecided { need: Need::KubeletAnonymous, why: Why::NotSampled }));
    },
    ..BASE
};

const DEFECTIVE: Check = Check {
    code: "MP999",
    name: "defective",
    hop: Hop::Hpa,
    run: |_, _| panic!("index out of bounds: the len is 0 but the index is 0"),
    ..BASE
};

const HOSTILE: Check = Check {
    code: "MP511",
    name: "kubelet-cert-expired",
    title: "The kubelet's certificate has expired",
    hop: Hop::Kubelet,
    run: |_, results| {
        let node = Subject::node("node\u{1b}[2J1");
        results.about(node.clone(), |_| {
            let finding = Finding::new(node, "It \u{202e}says\r\n\u{7}Fixed: all is well\u{9b}31m.");
            Ok(fail(finding.cite(&handshake(), "certificate\n.notAfter", "\u{0}yesterday\u{8}", "later")))
        });
    },
    remedies: |_, findings| {
        let name = &findings[0].subject.name;
        vec![Remedy {
            steps: vec![Step::run(format!("node {name}"), format!("restart '{name}'"))],
            ..insecure_tls()
        }]
    },
    ..BASE
};
