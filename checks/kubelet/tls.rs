//! What is known of a kubelet's serving certificate, and the cure that most of its faults share.

use crate::Context;
use crate::cert::{self, Judgement};
use crate::check::{Audience, Finding, Proof, Question, Remedy, Step, Undecided};
use crate::evidence::{
    Backend, CsrState, Distribution, Evidence, Handshake, KubeletConfig, Mode, Need, Node, ScrapeFailure,
    Signature, Why,
};
use crate::support;

/// The modes in which the kubelets' certificates matter.
pub(super) const MODES: &[Mode] = &[Mode::Installed, Mode::BeforeInstall];

/// Before metrics-server is there, nothing but the certificate itself can answer.
pub(super) const QUESTION: Question =
    Question::Deciding { modes: &[Mode::BeforeInstall], unless: &[Proof::FreshNodeMetrics] };

/// What the checks of a kubelet's certificate read.
pub(super) const NEEDS: &[Need] =
    &[Need::Pods, Need::Logs, Need::RootCa, Need::Nodes, Need::KubeletHandshake, Need::Configz, Need::Csrs];

/// The kubelet's configuration where kubeadm and its kind keep it.
pub(super) const KUBELET_CONFIG: &str = "/var/lib/kubelet/config.yaml";

/// Succeeds when the kubelet's file leaves authentication and authorization to the API server.
pub(super) const ASKS_API_SERVER: &str = "sed -n '/^authentication:/,/^[^ ]/{/^  webhook:/,/enabled:/p}' /var/lib/kubelet/config.yaml | grep 'enabled: true' && ! grep -x '  mode: AlwaysAllow' /var/lib/kubelet/config.yaml";

/// What a bad certificate brings about.
pub(super) const EXPLAINS: &[&str] = &[
    "metrics-server-not-ready",
    "apiservice-unavailable",
    "metrics-api-unanswered",
    "node-metrics-missing",
    "hpa-metrics-unreadable",
];

/// What is known of the certificate that a kubelet presents to metrics-server.
pub(super) enum View {
    /// metrics-server does not verify it.
    NotVerified,
    /// metrics-server has no address to dial.
    NotDialled,
    /// It was seen.
    Seen(Box<Judgement>, String),
    /// The kubelet has none to present.
    NoCertificate,
    /// metrics-server's log says what it has against it; the first fault only.
    Logged(ScrapeFailure),
}

/// What is known of the certificate of a node's kubelet: from a handshake, or from metrics-server's own
/// words where the kubelet cannot be reached from here.
pub(super) fn view(ctx: &Context<'_>, evidence: &Evidence, node: &Node) -> Result<View, Undecided> {
    let args = ctx.need(&evidence.backend.args)?;
    if is_unverified(args) {
        return Ok(View::NotVerified);
    }
    let Some((address, _)) = ctx.need(&node.dial)? else { return Ok(View::NotDialled) };
    let handshake = match ctx.need(&node.handshake) {
        Ok(handshake) => handshake,
        Err(missing) => return logged(ctx, node, missing),
    };
    match handshake {
        Handshake::Alert(alert) if alert == "internal_error" => tied_alert(ctx, node),
        Handshake::Alert(alert) => Err(unreadable(format!("the kubelet broke the handshake off: {alert}"))),
        Handshake::NotTls => Err(unreadable("the port does not speak TLS".to_owned())),
        Handshake::Certificates(chain) => {
            if let Some(file) = Backend::flag(args, "kubelet-certificate-authority")
                && !file.starts_with("/var/run/secrets/kubernetes.io/serviceaccount/")
            {
                return Err(Undecided {
                    need: Need::RootCa,
                    why: Why::Unsupported(format!(
                        "metrics-server trusts {file}, which only its pod can read"
                    )),
                });
            }
            let roots = ctx.need(&evidence.backend.root_ca)?;
            let Some(judgement) = cert::judge(chain, roots, address, evidence.taken_at) else {
                return Err(unreadable("the certificate cannot be decoded".to_owned()));
            };
            if !judgement.names_node(&node.name) && !log_agrees(ctx, node, address) {
                return Err(unreadable(format!(
                    "what answers at {address} presents \"{}\", which does not name node {}",
                    judgement.subject, node.name
                )));
            }
            Ok(View::Seen(Box::new(judgement), address.clone()))
        }
    }
}

/// That what answers at the node's address is its kubelet: its certificate names the node.
///
/// # Errors
///
/// When no certificate was seen, or one that names somebody else.
pub(super) fn tied(ctx: &Context<'_>, evidence: &Evidence, node: &Node) -> Result<(), Undecided> {
    let names = match ctx.need(&node.handshake)? {
        Handshake::Certificates(chain) => cert::judge(chain, &[], "", evidence.taken_at),
        Handshake::Alert(_) | Handshake::NotTls => None,
    };
    match names {
        Some(leaf) if leaf.names_node(&node.name) => Ok(()),
        _ => Err(unreadable("what answers at the node's address cannot be tied to the node".to_owned())),
    }
}

/// A peer that has no certificate to present names nobody. It is this node's kubelet when the kubelet is known to
/// wait for one, or when metrics-server or kube-apiserver met the same alert.
fn tied_alert(ctx: &Context<'_>, node: &Node) -> Result<View, Undecided> {
    let logged = matches!(scrape_failure(ctx, node), Some(ScrapeFailure::NoCertificate));
    let met = matches!(ctx.need(&node.api_server_alert), Ok(Some(alert)) if alert == "internal_error");
    let waits =
        ctx.need(&node.csrs).is_ok_and(|csrs| csrs.first().is_some_and(|csr| csr.state != CsrState::Issued));
    if logged || met || waits {
        return Ok(View::NoCertificate);
    }
    Err(unreadable("what answers there has no certificate and cannot be tied to the node".to_owned()))
}

/// Whether a kubelet whose certificate nobody verifies breaks handshakes off for want of one.
pub(super) fn presents_nothing(ctx: &Context<'_>, node: &Node) -> Result<bool, Undecided> {
    match ctx.need(&node.handshake) {
        Ok(Handshake::Alert(alert)) if alert == "internal_error" => tied_alert(ctx, node).map(|_| true),
        Ok(_) => Ok(false),
        Err(missing) => match scrape_failure(ctx, node) {
            Some(ScrapeFailure::NoCertificate) => Ok(true),
            _ => match ctx.need(&node.api_server_alert) {
                Ok(Some(alert)) if alert == "internal_error" => Ok(true),
                _ => Err(missing),
            },
        },
    }
}

/// metrics-server finds no address of the types that it looks for, so nothing can be said of a certificate.
pub(super) fn no_address() -> Undecided {
    let why =
        Why::Unsupported("the node has no address of the types that metrics-server looks for".to_owned());
    Undecided { need: Need::Nodes, why }
}

fn unreadable(what: String) -> Undecided {
    Undecided { need: Need::KubeletHandshake, why: Why::Unreadable(what) }
}

/// Whether metrics-server is told not to verify kubelets.
pub(super) fn is_unverified(args: &[String]) -> bool {
    let on = |name| Backend::flag(args, name).is_some_and(|value| value != "false");
    on("kubelet-insecure-tls") || on("deprecated-kubelet-completely-insecure")
}

fn logged(ctx: &Context<'_>, node: &Node, missing: Undecided) -> Result<View, Undecided> {
    match scrape_failure(ctx, node) {
        Some(ScrapeFailure::NoCertificate) => Ok(View::NoCertificate),
        Some(failure) if is_certificate_fault(failure) => Ok(View::Logged(failure.clone())),
        _ => match ctx.need(&node.api_server_alert) {
            Ok(Some(alert)) if alert == "internal_error" => Ok(View::NoCertificate),
            _ => Err(missing),
        },
    }
}

/// What metrics-server last said about a node. "No log" is no statement about a certificate, so it
/// reads as nothing said.
fn scrape_failure<'n>(ctx: &Context<'_>, node: &'n Node) -> Option<&'n ScrapeFailure> {
    match &ctx.need(&node.scrape_log).ok()?.as_ref()?.signature {
        Signature::ScrapeFailed { failure, .. } => Some(failure),
        _ => None,
    }
}

/// Whether a failure to scrape is a fault of the certificate.
pub(super) fn is_certificate_fault(failure: &ScrapeFailure) -> bool {
    matches!(
        failure,
        ScrapeFailure::NoIpSans
            | ScrapeFailure::OtherNames(_)
            | ScrapeFailure::CommonNameOnly
            | ScrapeFailure::UnknownAuthority
            | ScrapeFailure::OutsideValidity
            | ScrapeFailure::WrongUsage
            | ScrapeFailure::NoCertificate
    )
}

/// Whether metrics-server met a bad certificate at the same address.
fn log_agrees(ctx: &Context<'_>, node: &Node, address: &str) -> bool {
    let Ok(Some(signal)) = ctx.need(&node.scrape_log) else { return false };
    match &signal.signature {
        Signature::ScrapeFailed { address: logged, failure, .. } => {
            logged == address && is_certificate_fault(failure)
        }
        _ => false,
    }
}

/// Whether the kubelet's configuration says that it serves the certificate that it generated itself:
/// no bootstrap, and the path that the kubelet fills in (`cmd/kubelet/app/server.go`, `InitializeTLS`).
pub(super) fn serves_own_file(config: &KubeletConfig) -> bool {
    !config.server_tls_bootstrap && config.tls_cert_file.ends_with("/pki/kubelet.crt")
}

/// Clocks differ by this much without anybody noticing; nearer to either end nothing is decided.
const SKEW_S: i64 = 60;

/// Whether an end of a certificate's validity lies within the known skew of clocks.
pub(super) fn is_near_an_end(leaf: &Judgement, evidence: &Evidence) -> bool {
    [leaf.not_before, leaf.not_after].iter().any(|end| support::age_s(evidence, *end).abs() <= SKEW_S)
}

/// The dates of a certificate decide nothing so near to one of them.
pub(super) fn too_near_to_an_end() -> Undecided {
    unreadable("the end of its validity lies within the known skew of clocks".to_owned())
}

/// A masked fault: Go reports dates, then names, then chain, and stops at the first.
pub(super) fn masked(by: &str) -> Undecided {
    Undecided { need: Need::KubeletHandshake, why: Why::Masked(format!("{by}, which Go reports first")) }
}

/// Cites the leaf that a kubelet presented.
pub(super) fn cite_leaf(finding: Finding, node: &Node, what: &str, value: &str, expected: &str) -> Finding {
    finding.cite(&node.handshake, format!("leaf certificate, {what}"), value, expected)
}

/// Approves the pending serving requests of these nodes, after the requester was checked.
pub(super) fn approve(nodes: &[&str]) -> Step {
    let list = nodes.join(" ");
    Step::run(
        "workstation",
        format!(
            "for node in {list}; do\n  for try in $(seq 30); do\n    csr=$(kubectl get csr --field-selector spec.signerName=kubernetes.io/kubelet-serving --sort-by=.metadata.creationTimestamp -o go-template='{{{{range .items}}}}{{{{if not .status.conditions}}}}{{{{.spec.username}}}}{{{{\"\\t\"}}}}{{{{.metadata.name}}}}{{{{\"\\n\"}}}}{{{{end}}}}{{{{end}}}}' | awk -F '\\t' -v user=\"system:node:$node\" '$1 == user && $2 ~ /^[A-Za-z0-9.-]+$/ {{ name = $2 }} END {{ print name }}')\n    [ -n \"$csr\" ] && break\n    sleep 2\n  done\n  if [ -n \"$csr\" ]; then\n    kubectl certificate approve \"$csr\"\n  else\n    echo \"$node has made no request: it has a certificate that the cluster signed before\"\n  fi\ndone"
        ),
    )
    .verify(format!(
        "(for node in {list}; do kubectl get csr --field-selector spec.signerName=kubernetes.io/kubelet-serving | grep \"system:node:$node .*Approved,Issued\" || exit 1; done)"
    ))
}

/// What approving by hand costs.
const APPROVER: &str = "While a request waits for approval the kubelet serves no certificate: logs, exec and metrics of \
     that node fail. Kubelets renew before the year is over and ask again each time: install an approver for the \
     signer kubernetes.io/kubelet-serving, such as kubelet-csr-approver, which checks names and addresses.";

/// The cure for production: the cluster signs the kubelets' serving certificates.
pub(super) fn cluster_signed(evidence: &Evidence, findings: &[&Finding]) -> Remedy {
    let nodes: Vec<&str> = findings.iter().map(|finding| finding.subject.name.as_str()).collect();
    let mut steps = Vec::new();
    if evidence.cluster.distribution != Distribution::Kubeadm {
        return Remedy {
            title: "Let the cluster sign the kubelets' serving certificates (serverTLSBootstrap)".to_owned(),
            audience: Audience::Production,
            cost: APPROVER.to_owned(),
            leaves: Vec::new(),
            steps: vec![Step::manual(
                nodes_in_words(&nodes),
                distribution_words(evidence.cluster.distribution),
            )],
        };
    }
    steps.push(Step::run(
        "workstation",
        "kubectl -n kube-system get configmap kubelet-config -o go-template='{{.data.kubelet}}' | sed '/^serverTLSBootstrap:/d' > kubelet-config.yaml\necho 'serverTLSBootstrap: true' >> kubelet-config.yaml\nkubectl -n kube-system create configmap kubelet-config --from-file=kubelet=kubelet-config.yaml --dry-run=client -o yaml | kubectl apply --server-side --force-conflicts -f -",
    ));
    for node in &nodes {
        steps.push(
            Step::run(
                format!("node {node}"),
                support::on_host(KUBELET_CONFIG, "sed -i -e '/^serverTLSBootstrap:/d' -e '/^tlsCertFile:/d' -e '/^tlsPrivateKeyFile:/d' /var/lib/kubelet/config.yaml\necho 'serverTLSBootstrap: true' >> /var/lib/kubelet/config.yaml\nsystemctl restart kubelet"),
            )
            .verify("grep -x 'serverTLSBootstrap: true' /var/lib/kubelet/config.yaml && systemctl is-active kubelet"),
        );
    }
    steps.push(approve(&nodes));
    Remedy {
        title: "Let the cluster sign the kubelets' serving certificates (serverTLSBootstrap)".to_owned(),
        audience: Audience::Production,
        cost: APPROVER.to_owned(),
        leaves: Vec::new(),
        steps,
    }
}

/// Nodes as a place for a step.
fn nodes_in_words(nodes: &[&str]) -> String {
    match nodes {
        [node] => format!("node {node}"),
        _ => "every node".to_owned(),
    }
}

/// What to do where the kubelet's configuration is not kubeadm's.
fn distribution_words(distribution: Distribution) -> &'static str {
    match distribution {
        Distribution::Talos => {
            "set machine.kubelet.extraArgs.rotate-server-certificates: true in the machine configuration, and install an approver of kubelet serving certificates"
        }
        Distribution::K3s | Distribution::Rke2 => {
            "the server signs these certificates by itself; see why this kubelet serves another (tls-cert-file among the kubelet arguments, an old certificate under the agent's directory), and restart the agent"
        }
        Distribution::Eks | Distribution::Gke | Distribution::Aks | Distribution::OpenShift => {
            "the platform signs and approves these certificates; replace the node, or see why its request was not approved"
        }
        Distribution::Kubeadm | Distribution::Unknown => {
            "set serverTLSBootstrap: true in the kubelet's configuration (the file of its --config), without tlsCertFile and tlsPrivateKeyFile; restart the kubelet and approve its certificate signing request"
        }
    }
}

/// The quick cure for a lab: metrics-server does not verify kubelets.
pub(super) fn insecure(evidence: &Evidence) -> Option<Remedy> {
    let workload = evidence.backend.workload.peek()?.as_ref()?;
    let (namespace, name) = (&workload.namespace, &workload.name);
    let kind = workload.kind.to_ascii_lowercase();
    if workload.args.is_empty() {
        return None;
    }
    let container = workload.container;
    Some(Remedy {
        title: "Switch off the verification of kubelets in metrics-server".to_owned(),
        audience: Audience::Lab,
        cost: "Whoever can answer for a kubelet's address then gets metrics-server's token and can send any numbers."
            .to_owned(),
        leaves: vec!["kubelet-tls-unverified"],
        steps: vec![
            Step::run(
                "workstation",
                format!(
                    "kubectl -n {namespace} patch {kind} {name} --type=json -p '[{{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/{container}/args/-\",\"value\":\"--kubelet-insecure-tls\"}}]'"
                ),
            )
            .verify(format!(
                "kubectl -n {namespace} get {kind} {name} -o jsonpath='{{.spec.template.spec.containers[*].args}}' | grep -e --kubelet-insecure-tls && kubectl -n {namespace} rollout status {kind}/{name} --timeout=3m"
            )),
        ],
    })
}

/// Both cures.
pub(super) fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut remedies = vec![cluster_signed(evidence, findings)];
    remedies.extend(insecure(evidence));
    remedies
}

/// Seconds as whole days, for words.
pub(super) fn days(evidence: &Evidence, then: jiff::Timestamp) -> i64 {
    support::age_s(evidence, then) / 86_400
}
