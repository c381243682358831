//! # kube-apiserver runs with other flags than its manifest says
//!
//! ## What it looks at
//!
//! The flags of the aggregation layer of the kube-apiserver that runs, and those in its static pod manifest or unit.
//!
//! ## Why it matters
//!
//! A cure that was written into a manifest and does not run cures nothing, and what runs is lost at the next start. It
//! comes of a kubelet that does not read that directory, or of a manifest that it refuses.
//!
//! ## How to fix it
//!
//! Look at what the kubelet says of the manifest, put into it what is meant to run, and let kube-apiserver start anew.
//!
//! ## When it is wrong
//!
//! Within half a minute of a change the kubelet has not acted on it yet.
//!
//! ## References
//!
//! - <https://kubernetes.io/docs/tasks/configure-pod-container/static-pod/>

use std::collections::BTreeSet;

use super::{API_SERVER_MANIFEST as MANIFEST, role};
use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail, not_applicable,
};
use crate::evidence::{Evidence, Flags, Need};

pub(crate) const CHECK: Check = Check {
    code: "MP040",
    name: "apiserver-flags-not-running",
    title: "kube-apiserver runs with other flags than its manifest says",
    hop: Hop::Host,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: role::MODES,
    needs: &[Need::HostControlPlane],
    explains: &[],
    question: Question::Listed,
    source: include_str!("apiserver_flags_not_running.rs"),
    run,
    remedies,
};

/// The flags that the aggregation layer rests on.
fn is_of_aggregation(name: &str) -> bool {
    name.starts_with("requestheader-")
        || name.starts_with("proxy-client-")
        || name == "enable-aggregator-routing"
}

fn run(_: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostControlPlane, |ctx, host, subject| {
        let Some(component) = ctx.need(&host.api_server)? else {
            return Ok(not_applicable("no kube-apiserver is here"));
        };
        let Some(declared) = component.declared.as_ref().filter(|_| component.seen_as == "process") else {
            return Ok(not_applicable("there are not both a process and a manifest or unit"));
        };
        let names: BTreeSet<&String> =
            declared.keys().chain(component.flags.keys()).filter(|name| is_of_aggregation(name)).collect();
        let value =
            |flags: &Flags, name: &String| flags.get(name).cloned().unwrap_or_else(|| "not set".to_owned());
        let differing: Vec<&String> =
            names.into_iter().filter(|name| declared.get(*name) != component.flags.get(*name)).collect();
        let Some(first) = differing.first() else { return Ok(Outcome::Pass) };
        let listed: Vec<String> = differing.iter().map(|name| format!("--{name}")).collect();
        let detail = format!("{} says otherwise in {}", component.path, listed.join(", "));
        let mut finding = Finding::new(subject, detail);
        if component.path == MANIFEST {
            finding = finding.fact("manifest", MANIFEST);
        }
        let finding = finding.cite(
            &host.api_server,
            format!("flags.{first}"),
            value(&component.flags, first),
            &value(declared, first),
        );
        Ok(fail(finding))
    });
}

/// What shows that the flags of the aggregation layer are the same in the manifest and in the process, none on both sides
/// included; without a process they are not.
fn same_flags() -> String {
    format!(
        "flags() {{ grep -oE -e \"--(requestheader-|proxy-client-|enable-aggregator-routing)[^[:space:]\\\"']*\" | sed -e 's/[],]*$//' -e 's/^--enable-aggregator-routing$/&=true/' | sort -u; }}; pgrep -x kube-apiserver >/dev/null && [ \"$(grep -v '^ *#' {MANIFEST} | flags)\" = \"$(ps -ww -o args= -C kube-apiserver | flags)\" ]"
    )
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings
        .iter()
        .map(|finding| {
            let what = "see why the manifest does not run (`journalctl -u kubelet | grep kube-apiserver`), correct it, and \
                        let kube-apiserver start anew";
            let step = Step::manual(role::place(&finding.subject), what);
            if !finding.facts.contains_key("manifest") {
                return step;
            }
            step.verify(same_flags())
        })
        .collect();
    role::on_each(
        "Let kube-apiserver run with what its manifest says",
        "kube-apiserver restarts once.",
        steps,
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{flags, host, outcome, seen};
    use super::*;
    use crate::evidence::{Component, Host};

    #[test]
    fn what_runs_is_held_against_what_is_declared() {
        let control_plane = |declared: Option<&[(&str, &str)]>| Host {
            api_server: seen(
                Need::HostControlPlane,
                Some(Component {
                    seen_as: "process".to_owned(),
                    path: "/etc/kubernetes/manifests/kube-apiserver.yaml".to_owned(),
                    flags: flags(&[("proxy-client-cert-file", "/a"), ("v", "2")]),
                    declared: declared.map(flags),
                    started: None,
                }),
            ),
            ..host()
        };
        let result = |declared| outcome(&CHECK, control_plane(declared));
        assert!(matches!(result(Some(&[("proxy-client-cert-file", "/a"), ("v", "4")])), Outcome::Pass));
        assert!(matches!(result(Some(&[("proxy-client-cert-file", "/b")])), Outcome::Fail(_)));
        assert!(matches!(result(Some(&[])), Outcome::Fail(_)));
        assert!(matches!(result(None), Outcome::NotApplicable(_)));
    }
}
