//! # Nobody runs the HPA controller
//!
//! ## What it looks at
//!
//! The Lease `kube-system/kube-controller-manager`. The HPA controller is a part of kube-controller-manager, which
//! renews this Lease every two seconds. One that nobody has renewed for two of its durations and two and a half minutes
//! more, usually three minutes in all, is of a controller that does not run; an autoscaler that was created since and has
//! no condition proves it.
//!
//! ## Why it matters
//!
//! Nothing scales, and nothing says so: an autoscaler keeps the values and conditions that were written last, and a
//! new one has none. Whatever else kube-controller-manager does stands still as well: new pods of Deployments,
//! EndpointSlices, certificates of kubelets, tokens.
//!
//! ## How to fix it
//!
//! Start kube-controller-manager on a control-plane host. Its log says why it ended.
//!
//! ## When it is wrong
//!
//! The Lease is measured by the API server's clock and was written by that of the host of kube-controller-manager; where
//! these are minutes apart, it looks older than it is. A kube-controller-manager with `--leader-elect=false` renews none,
//! which is how k3s runs it and others with a single control-plane host; a Lease from an earlier time may be left
//! there. So an old one proves nothing once the controller has written to an autoscaler later, and after a day nothing but an
//! autoscaler that nobody looked at does; until then it is called likely. Without the right to read
//! the Lease the question stays open, and the verdict rests on what else was seen. A controller that is
//! switched off (`--controllers=-horizontal-pod-autoscaler-controller`) is not seen here: the Lease is renewed all the same.
//!
//! ## References
//!
//! - Kubernetes `staging/src/k8s.io/component-base/config/v1alpha1/defaults.go`, `cmd/kube-controller-manager/app/controllermanager.go`
//! - Failure catalogue: `hpa-controller-not-running` (AH-J04)

use jiff::{SignedDuration, Timestamp};

use crate::Context;
use crate::check::{
    Audience, Check, Decision, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step,
    Subject, Undecided, fail, not_applicable,
};
use crate::evidence::{ControllerLease, Evidence, Hpa, Mode, Need, Why};
use crate::{hpa, support};

pub(crate) const CHECK: Check = Check {
    code: "MP933",
    name: "hpa-controller-not-running",
    title: "Nobody runs the HPA controller",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: hpa::BOTH,
    needs: &[Need::Hpas, Need::ControllerLease],
    explains: &["hpa-metrics-unreadable"],
    // Whoever deploys into one namespace may hardly read it.
    question: Question::Listed,
    source: include_str!("hpa_controller_not_running.rs"),
    run,
    remedies,
};

/// Until then a renewal may be late, or another one is about to take over, in seconds beyond the Lease's duration.
const LATE_S: i64 = 15;
/// From then on nobody renews it, in seconds beyond two of its durations. It has to be more than clocks differ.
const GONE_S: i64 = 150;
/// No Lease lasts longer, in seconds.
const MAX_DURATION_S: i64 = 3_600;
/// Beyond that it is likelier that a Lease was left over than that nobody has noticed, in seconds.
const LEFT_OVER_S: i64 = 86_400;
/// The controller looks at a new autoscaler within 15 seconds, and at first it reads all lists, in seconds.
const FIRST_LOOK_S: i64 = 120;

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    if evidence.mode == Mode::Gate {
        hpa::each_plan(evidence, results, |ctx, _, subject| {
            if evidence.gate.offline {
                return Ok(not_applicable("manifests alone are judged"));
            }
            decide(ctx, evidence, subject)
        });
    } else {
        results.each(&evidence.hpas, hpa::subject, |ctx, _, subject| decide(ctx, evidence, subject));
    }
}

fn decide(ctx: &Context<'_>, evidence: &Evidence, subject: Subject) -> Decision {
    let Some(lease) = ctx.need(&evidence.controller_lease)? else {
        return Ok(not_applicable("kube-controller-manager keeps no Lease, as one alone may"));
    };
    let age_s = support::age_s(evidence, lease.renewed);
    let duration_s = lease.duration_s.clamp(0, MAX_DURATION_S);
    if age_s <= duration_s + LATE_S {
        return Ok(Outcome::Pass);
    }
    if age_s <= duration_s * 2 + GONE_S {
        let why = format!("the Lease of kube-controller-manager is {age_s} s old, and another may take over");
        return Err(Undecided { need: Need::ControllerLease, why: Why::TooEarly(why) });
    }
    let seen = seen_hpas(ctx, evidence)?;
    if seen.iter().any(|hpa| is_written_since(hpa, lease)) {
        return Ok(not_applicable(
            "the controller has written to an autoscaler since its Lease was renewed last, so it keeps none",
        ));
    }
    let ignored = seen.iter().any(|hpa| {
        hpa.conditions.is_empty()
            && hpa.created > lease.renewed
            && support::age_s(evidence, hpa.created) > FIRST_LOOK_S
    });
    if !ignored && age_s > LEFT_OVER_S {
        let why = format!(
            "the Lease of kube-controller-manager is {} h old, and may be left over from before it ran without one",
            age_s / 3600
        );
        return Err(Undecided { need: Need::ControllerLease, why: Why::NotAsked(why) });
    }
    let detail = format!(
        "kube-controller-manager has not renewed its Lease for {} min, and it is what reads the metrics",
        age_s / 60
    );
    let finding = Finding::new(subject, detail)
        .cite(
            &evidence.controller_lease,
            "spec.renewTime",
            lease.renewed.to_string(),
            &format!("at most {} s ago", lease.duration_s),
        )
        .cite(&evidence.controller_lease, "spec.holderIdentity", holder(lease), "one that runs")
        .fact("host", host(lease));
    Ok(fail(if ignored { finding } else { finding.likely(&[]) }))
}

/// The autoscalers that were seen in the cluster.
fn seen_hpas<'e>(ctx: &Context<'_>, evidence: &'e Evidence) -> Result<Vec<&'e Hpa>, Undecided> {
    if evidence.mode != Mode::Gate {
        return Ok(ctx.need(&evidence.hpas)?.iter().collect());
    }
    let mut seen = Vec::new();
    for namespace in evidence.gate.namespaces.values() {
        match ctx.need(&namespace.hpas) {
            Ok(hpas) => seen.extend(hpas),
            // A namespace that is not there yet has none.
            Err(Undecided { why: Why::Deferred(_), .. }) => {}
            Err(missing) => return Err(missing),
        }
    }
    Ok(seen)
}

/// Whether the controller has written to it after it renewed the Lease for the last time.
fn is_written_since(hpa: &Hpa, lease: &ControllerLease) -> bool {
    let last = lease.renewed + SignedDuration::from_secs(lease.duration_s.clamp(0, MAX_DURATION_S));
    let later = |at: Timestamp| at > last;
    hpa.conditions.iter().any(|condition| later(hpa.created) || condition.since.is_some_and(later))
}

/// The host of the last holder, whose identity is its name, `_` and a UUID (`controllermanager.go`, `Run`).
fn host(lease: &ControllerLease) -> String {
    lease.holder.rsplit_once('_').map_or(String::new(), |(host, _)| host.to_owned())
}

fn holder(lease: &ControllerLease) -> String {
    if lease.holder.is_empty() { "nobody".to_owned() } else { lease.holder.clone() }
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    const RENEWED: &str =
        "kubectl -n kube-system get lease kube-controller-manager -o jsonpath='{.spec.renewTime}'";
    let last = findings.first().and_then(|finding| finding.facts.get("host")).filter(|host| !host.is_empty());
    let place = last.map_or("every control-plane host".to_owned(), |host| format!("host {host}"));
    let what = "start kube-controller-manager: where kubeadm made the cluster, the kubelet starts it from \
                /etc/kubernetes/manifests/kube-controller-manager.yaml, `crictl ps -a --name kube-controller-manager` \
                shows whether it did, and `crictl logs` of that container why it ended";
    vec![Remedy {
        title: "Start kube-controller-manager".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![
            Step::manual(place, what),
            Step::manual("workstation", "see that it renews its Lease again")
                .verify(format!("before=$({RENEWED}); sleep 20; [ \"$({RENEWED})\" != \"$before\" ]")),
        ],
    }]
}

#[cfg(test)]
mod tests {
    use jiff::ToSpan;
    use serde_json::json;

    use super::*;
    use crate::evidence::{Condition, HpaStatus, Obs};
    use crate::plan::testing::{cpu, forbidden, hpa, online, seen, word};

    /// An autoscaler of the cluster that is so old, and the age of its condition, both in seconds.
    type Live = (i64, Option<i64>);

    fn ago(evidence: &Evidence, seconds: i64) -> Timestamp {
        evidence.taken_at.saturating_sub(seconds.seconds()).expect("a time")
    }

    fn live(evidence: &Evidence, (created, since): Live) -> Hpa {
        let condition = |since| Condition {
            kind: "AbleToScale".to_owned(),
            status: "True".to_owned(),
            reason: "ReadyForNewScale".to_owned(),
            message: String::new(),
            since: Some(ago(evidence, since)),
        };
        Hpa {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            created: ago(evidence, created),
            target: ("apps/v1".to_owned(), "Deployment".to_owned(), "web".to_owned()),
            metrics: Vec::new(),
            spec: evidence.gate.plans[0].spec.clone(),
            filled: Vec::new(),
            status: HpaStatus::default(),
            conditions: since.map(condition).into_iter().collect(),
            scale: forbidden(Need::HpaTarget),
            pods: forbidden(Need::HpaPods),
        }
    }

    /// A gate about one autoscaler, a Lease of this age, and what is in the cluster.
    fn gate(lease_age_s: i64, hpas: &[Live]) -> Evidence {
        let mut evidence = online(&[hpa("web", json!([cpu(80)]))]);
        let renewed = ago(&evidence, lease_age_s);
        let lease = ControllerLease { holder: "cp-1_0b1c".to_owned(), duration_s: 15, renewed };
        evidence.controller_lease = seen(Need::ControllerLease, Some(lease));
        let hpas: Vec<Hpa> = hpas.iter().map(|one| live(&evidence, *one)).collect();
        evidence.gate.namespaces.get_mut("shop").expect("the namespace").hpas = seen(Need::Hpas, hpas);
        evidence
    }

    /// The same as `check` sees it.
    fn installed(lease_age_s: i64, hpas: &[Live]) -> Evidence {
        let mut evidence = gate(lease_age_s, hpas);
        evidence.mode = Mode::Installed;
        evidence.hpas = evidence.gate.namespaces["shop"].hpas.clone();
        evidence
    }

    fn said(evidence: &Evidence) -> &'static str {
        let [(_, outcome)] = &CHECK.run(evidence).results[..] else { panic!("one autoscaler, one result") };
        match outcome {
            Outcome::Fail(finding) if finding.certainty == crate::check::Certainty::Likely => "likely",
            other => word(other),
        }
    }

    const OLD: Live = (90_000, Some(80_000));

    #[test]
    fn the_age_of_the_lease_decides() {
        for (age_s, expected) in
            [(-40, "pass"), (2, "pass"), (30, "pass"), (31, "open"), (180, "open"), (181, "likely")]
        {
            assert_eq!(said(&gate(age_s, &[OLD])), expected, "{age_s} s");
            assert_eq!(said(&installed(age_s, &[OLD])), expected, "{age_s} s");
        }
        // As OpenShift has it.
        let mut slow = gate(181, &[OLD]);
        let Obs { look: crate::evidence::Look::Seen(Some(lease)), .. } = &mut slow.controller_lease else {
            panic!("it was seen")
        };
        lease.duration_s = 137;
        assert_eq!(said(&slow), "open");
    }

    #[test]
    fn a_new_autoscaler_that_nobody_looked_at_proves_it() {
        assert_eq!(said(&gate(600, &[OLD, (300, None)])), "fail");
        assert_eq!(said(&installed(600, &[(300, None)])), "fail");
        assert_eq!(said(&gate(600, &[(60, None)])), "likely", "it is too young to have been looked at");
        assert_eq!(said(&gate(600, &[])), "likely");
    }

    #[test]
    fn a_lease_that_is_left_over_proves_nothing() {
        assert_eq!(said(&gate(90_000, &[(80_000, Some(70_000))])), "n/a");
        assert_eq!(said(&installed(90_000, &[(80_000, Some(70_000))])), "n/a");
        assert_eq!(said(&gate(90_000, &[(95_000, Some(70_000))])), "n/a");
        // Nor does one of long ago beside autoscalers at which nothing has changed, nor an absurd one.
        assert_eq!(said(&gate(90_000, &[(300_000, Some(200_000))])), "open");
        assert_eq!(said(&gate(90_000, &[(300_000, Some(200_000)), (300, None)])), "fail");
        for (age_s, duration_s, expected) in
            [(600, i64::MIN, "likely"), (600, i64::MAX, "pass"), (-90_000_000, i64::MIN, "pass")]
        {
            let mut odd = gate(age_s, &[OLD]);
            let renewed = ago(&odd, age_s);
            let lease = ControllerLease { holder: String::new(), duration_s, renewed };
            odd.controller_lease = seen(Need::ControllerLease, Some(lease));
            assert_eq!(said(&odd), expected, "{age_s} s, {duration_s} s");
        }
        let mut none = gate(600, &[OLD]);
        none.controller_lease = seen(Need::ControllerLease, None);
        assert_eq!(said(&none), "n/a");
    }

    #[test]
    fn what_was_not_seen_is_open() {
        let mut evidence = gate(600, &[OLD]);
        evidence.controller_lease = forbidden(Need::ControllerLease);
        assert_eq!(said(&evidence), "open");
        let mut evidence = gate(600, &[OLD]);
        let hpas = &mut evidence.gate.namespaces.get_mut("shop").expect("it").hpas;
        *hpas = forbidden(Need::Hpas);
        assert_eq!(said(&evidence), "open");
        let hpas = &mut evidence.gate.namespaces.get_mut("shop").expect("it").hpas;
        *hpas = Obs::unseen(Need::Hpas, [], Why::Deferred("the namespace is not there yet".to_owned()));
        assert_eq!(said(&evidence), "likely");
    }

    #[test]
    fn the_host_of_the_last_holder_is_named() {
        let evidence = gate(600, &[OLD]);
        let results = CHECK.run(&evidence).results;
        let Outcome::Fail(finding) = &results[0].1 else { panic!("it fails") };
        assert_eq!(remedies(&evidence, &[finding])[0].steps[0].run_on, "host cp-1");
    }
}
