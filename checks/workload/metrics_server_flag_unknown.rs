//! # metrics-server does not know one of its flags
//!
//! ## What it looks at
//!
//! The last words of a metrics-server that ended: `unknown flag: --NAME`.
//!
//! ## Why it matters
//!
//! It ends before it serves, and is started again and again. It comes of a manifest for another version: `--source` is of
//! 0.2 and before, `--deprecated-kubelet-completely-insecure` of 0.3 to 0.5, and a misspelt flag is of none.
//!
//! ## How to fix it
//!
//! Take the flag out of the container's arguments, or apply the manifest of the release whose image runs.
//!
//! ## When it is wrong
//!
//! What one pod says holds for its arguments: while another pod of metrics-server is Ready, that is a rollout which does not
//! get on, and nothing is named.
//!
//! ## References
//!
//! - `unknown flag: --NAME`: github.com/spf13/pflag, `errors.go`
//! - <https://github.com/kubernetes-sigs/metrics-server/releases>
//! - Failure catalogue: `removed-flag-crashes-component` (AH-L01), `summary-api-read-only-port` (AH-L04)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
};
use crate::evidence::{Evidence, Mode, Need, Signature};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP307",
    name: "metrics-server-flag-unknown",
    title: "metrics-server is given a flag that it does not know, and ends",
    hop: Hop::Workload,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[Need::Pods, Need::Logs],
    explains: &[
        "metrics-server-crashing",
        "metrics-server-not-ready",
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("metrics_server_flag_unknown.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        if support::serves(ctx, evidence)? {
            return Ok(Outcome::Pass);
        }
        let lines = support::current_signals(ctx, evidence, |signature| match signature {
            Signature::UnknownFlag { flag } => Some(flag),
            _ => None,
        })?;
        let Some((signal, flag)) = lines.into_iter().next_back() else { return Ok(Outcome::Pass) };
        let workload = evidence.backend.workload.peek().and_then(Option::as_ref);
        let subject = match workload {
            Some(workload) => Subject::namespaced(&workload.kind, &workload.namespace, &workload.name),
            None => Subject::cluster(),
        };
        let finding = Finding::new(subject, format!("{} ends with `unknown flag: {flag}`", signal.pod))
            .cite(&evidence.backend.logs, "log", format!("unknown flag: {flag}"), "a flag that it knows")
            .fact("flag", flag);
        Ok(fail(finding))
    });
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let Some(Some(workload)) = evidence.backend.workload.peek() else { return Vec::new() };
    let Some(flag) = findings.first().and_then(|finding| finding.facts.get("flag")) else {
        return Vec::new();
    };
    let target = format!("{}/{}", workload.kind.to_ascii_lowercase(), support::word(&workload.name));
    let namespace = support::word(&workload.namespace);
    let is_it = |arg: &String| {
        arg.strip_prefix(flag.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('='))
    };
    let at = workload.args.iter().position(is_it);
    // A value that is an argument of its own would be left behind.
    let is_alone = |at: &usize| {
        workload.args[*at].contains('=') || workload.args.get(at + 1).is_none_or(|next| next.starts_with('-'))
    };
    let step = match at.filter(is_alone) {
        Some(at) => Step::run(
            "workstation",
            format!(
                "kubectl -n {namespace} patch {target} --type=json -p \
                 '[{{\"op\":\"remove\",\"path\":\"/spec/template/spec/containers/{}/args/{at}\"}}]'",
                workload.container
            ),
        ),
        None => Step::manual(
            "workstation",
            format!("take {flag} out of the container's command or arguments in {target}"),
        ),
    };
    vec![Remedy {
        title: "Take the flag out of metrics-server's arguments".to_owned(),
        audience: Audience::Production,
        cost: "Where a tool applies the manifest, take it out there as well.".to_owned(),
        leaves: Vec::new(),
        steps: vec![step.verify(format!("kubectl -n {namespace} rollout status {target} --timeout=3m"))],
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::{LogSignal, Obs, Pod, Workload};

    fn crashing(ready: bool, signature: Signature) -> Evidence {
        let at = "2026-11-21T12:00:00Z".parse().expect("a time");
        let pod = Pod {
            namespace: "kube-system".to_owned(),
            name: "ms".to_owned(),
            node: None,
            phase: "Running".to_owned(),
            ready,
            created: at,
            started: None,
            restarts: 3,
            waiting: Some("CrashLoopBackOff".to_owned()),
            waiting_message: None,
            container: "metrics-server".to_owned(),
            last_end: None,
            service_account: "ms".to_owned(),
            labels: [].into(),
            image: String::new(),
            ports: Vec::new(),
            host_network: false,
            unschedulable: None,
        };
        let signal = LogSignal { pod: "ms".to_owned(), previous: true, at, before: None, signature };
        let mut evidence = crate::evidence::unseen(Mode::Installed);
        evidence.taken_at = at;
        evidence.backend.pods = Obs::seen(Need::Pods, [], vec![pod]);
        evidence.backend.logs = Obs::seen(Need::Logs, [], vec![signal]);
        evidence
    }

    fn outcome(evidence: &Evidence) -> Outcome {
        CHECK.run(evidence).results.remove(0).1
    }

    #[test]
    fn the_last_words_name_the_flag() {
        let unknown = || Signature::UnknownFlag { flag: "--source".to_owned() };
        let Outcome::Fail(finding) = outcome(&crashing(false, unknown())) else { panic!("it fails") };
        assert_eq!(finding.detail, "ms ends with `unknown flag: --source`");
        assert!(matches!(outcome(&crashing(true, unknown())), Outcome::Pass), "another pod serves");
        assert!(matches!(outcome(&crashing(false, Signature::Panic)), Outcome::Pass));
        let mut unread = crashing(false, unknown());
        unread.backend.logs = Obs::unseen(Need::Logs, [], crate::evidence::Why::NotRecorded);
        assert!(matches!(outcome(&unread), Outcome::Undecided(_)));
    }

    #[test]
    fn the_cure_takes_out_the_flags_own_place() {
        let mut evidence = crashing(false, Signature::UnknownFlag { flag: "--source".to_owned() });
        let workload = Workload {
            kind: "Deployment".to_owned(),
            namespace: "kube-system".to_owned(),
            name: "metrics-server".to_owned(),
            labels: [].into(),
            match_labels: [].into(),
            selector: String::new(),
            replicas: 1,
            ports: Vec::new(),
            container: 1,
            args: ["--cert-dir=/tmp", "--sources=x", "--source=kubernetes.summary_api:"]
                .map(str::to_owned)
                .into(),
            found_by: "owner".to_owned(),
            container_name: "metrics-server".to_owned(),
            node_selector: [].into(),
            replica_failure: None,
        };
        evidence.backend.workload = Obs::seen(Need::Pods, [], Some(workload));
        let Outcome::Fail(finding) = outcome(&evidence) else { panic!("it fails") };
        let script = &remedies(&evidence, &[&finding])[0].steps[0].command;
        assert!(script.contains("/spec/template/spec/containers/1/args/2"), "{script}");
    }
}
