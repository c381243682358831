//! # metrics-server does not verify the kubelets
//!
//! ## What it looks at
//!
//! `--kubelet-insecure-tls` among the arguments of the pods that run.
//!
//! ## Why it matters
//!
//! Everything works, and metrics-server sends its token to whoever answers at a node's address. That
//! token reads the metrics of every node and lists all pods; the numbers that come back drive every HPA.
//!
//! ## How to fix it
//!
//! Let the cluster sign the kubelets' serving certificates first, then take the flag away.
//!
//! ## When it is wrong
//!
//! In a lab the risk may be acceptable; that is what the severity says.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-cert-no-ip-san` (RM-E1, the lab's cure)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::kubelet::tls;
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP510",
    name: "kubelet-tls-unverified",
    title: "metrics-server does not verify the kubelets' certificates (--kubelet-insecure-tls)",
    hop: Hop::Kubelet,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: &[Mode::Installed],
    needs: &[Need::Pods],
    explains: &[],
    question: Question::Listed,
    source: include_str!("kubelet_tls_unverified.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        let args = ctx.need(&evidence.backend.args)?;
        if !tls::is_unverified(args) {
            return Ok(Outcome::Pass);
        }
        let workload = evidence.backend.workload.peek().and_then(Option::as_ref);
        let subject = workload.map_or_else(Subject::cluster, |workload| {
            Subject::namespaced(&workload.kind, &workload.namespace, &workload.name)
        });
        let finding = Finding::new(subject, "it sends its token to whoever answers at a node's address")
            .cite(
                &evidence.backend.args,
                "spec.containers[].args",
                "--kubelet-insecure-tls",
                "no such argument",
            );
        Ok(fail(finding))
    });
}

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let nodes = evidence.nodes.peek().map(Vec::as_slice).unwrap_or_default();
    let nodes: Vec<Finding> =
        nodes.iter().map(|node| Finding::new(Subject::node(&node.name), String::new())).collect();
    let mut remedy = tls::cluster_signed(evidence, &nodes.iter().collect::<Vec<_>>());
    let workload = evidence.backend.workload.peek().and_then(Option::as_ref);
    let place = workload.and_then(|workload| {
        let index = workload.args.iter().position(|arg| arg.starts_with("--kubelet-insecure-tls"))?;
        Some((workload, index, &workload.args[index]))
    });
    match place {
        Some((workload, index, value)) => {
            let (namespace, name) = (&workload.namespace, &workload.name);
            let kind = workload.kind.to_ascii_lowercase();
            let path = format!("/spec/template/spec/containers/{}/args/{index}", workload.container);
            remedy.steps.push(
                Step::run(
                    "workstation",
                    format!(
                        "kubectl -n {namespace} patch {kind} {name} --type=json -p '[{{\"op\":\"test\",\"path\":\"{path}\",\"value\":\"{value}\"}},{{\"op\":\"remove\",\"path\":\"{path}\"}}]'\nkubectl -n {namespace} rollout status {kind}/{name} --timeout=3m"
                    ),
                )
                .verify(format!(
                    "! kubectl -n {namespace} get {kind} {name} -o jsonpath='{{.spec.template.spec.containers[*].args}}' | grep -e --kubelet-insecure-tls && {}",
                    support::apiservice_available()
                )),
            );
        }
        None => remedy.steps.push(Step::manual(
            "workstation",
            "take --kubelet-insecure-tls away from metrics-server's command",
        )),
    }
    "Let the cluster sign the kubelets' certificates, then take the flag away".clone_into(&mut remedy.title);
    remedy.audience = Audience::Production;
    vec![remedy]
}
