//! # The machine forwards no packets of pods, and nothing depends on it yet
//!
//! ## What it looks at
//!
//! What `forward-policy-drop` and `ip-forward-off` look at, on machines where the pipeline does not depend on it now: no pod of
//! metrics-server runs there, or one does and is served all the same.
//!
//! ## Why it matters
//!
//! metrics-server is moved when its machine is drained or fails. On this one it would not reach the API server; neither do the
//! other pods that run here already.
//!
//! ## How to fix it
//!
//! As for `forward-policy-drop` and `ip-forward-off`, in a way that is there after the next boot.
//!
//! ## When it is wrong
//!
//! Machines that are to run no pods but those of the node itself (a control plane with a taint, say) may be left as they
//! are.
//!
//! ## References
//!
//! - Failure catalogue: `forward-policy-drop` (RM-C1a), `host-forward-drop` (AH-B09), `ip-forward-or-bridge-nf-disabled` (RM-C1b)

use super::forward_policy_drop::{finding, remedies};
use super::forwarding::{self, Forwarding};
use super::place::{self, Place};
use crate::check::{Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, fail, not_applicable};
use crate::evidence::{Evidence, Mode, Need};

pub(crate) const CHECK: Check = Check {
    code: "MP018",
    name: "forwarding-hazard",
    title: "The machine forwards no packets of pods, and the pipeline does not depend on it right now",
    hop: Hop::Host,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: &[Mode::Installed],
    needs: &[
        Need::Pods,
        Need::Nodes,
        Need::MetricsDiscovery,
        Need::HostIdentity,
        Need::HostSettings,
        Need::HostFilters,
        Need::HostControlPlane,
        Need::HostRoutes,
    ],
    explains: &[],
    question: Question::Listed,
    source: include_str!("forwarding_hazard.rs"),
    run,
    remedies: cures,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostFilters, |ctx, host, subject| {
        if host.node.is_none() {
            ctx.need(&host.identity)?;
            return Ok(not_applicable("it is no node of the cluster, and so runs no pods"));
        }
        let place = place::of(ctx, evidence, host)?;
        if place == Place::Pod && !place::serves(ctx, evidence, host)? {
            return Ok(not_applicable(
                "metrics-server runs on it and is not served: `forward-policy-drop` answers",
            ));
        }
        if let Some(off) = super::ip_forward_off::is_off(ctx, evidence, host)? {
            let found = Finding::new(subject, format!("`{off}` is 0"))
                .cite(&host.settings, off, "0", "1")
                .fact("setting", off)
                .fact("run_on", place::run_on(host));
            return Ok(fail(found));
        }
        Ok(match forwarding::look(ctx, evidence, host)? {
            Forwarding::Passes => Outcome::Pass,
            Forwarding::NotHere(why) => not_applicable(why),
            Forwarding::Stopped(stopped) => {
                fail(finding(host, Finding::new(subject, stopped.sentence()), &stopped))
            }
        })
    });
}

fn cures(evidence: &Evidence, findings: &[&Finding]) -> Vec<crate::check::Remedy> {
    let (off, stopped): (Vec<&Finding>, Vec<&Finding>) =
        findings.iter().copied().partition(|finding| finding.facts.contains_key("setting"));
    let mut found = Vec::new();
    if !off.is_empty() {
        found.extend(super::ip_forward_off::remedies(evidence, &off));
    }
    if !stopped.is_empty() {
        found.extend(remedies(evidence, &stopped));
    }
    // metrics-server works: it need not be started anew.
    for remedy in &mut found {
        remedy.steps.retain(|step| step.run_on != "workstation");
    }
    found
}
