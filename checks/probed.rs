//! What pods saw from metrics-server's place, and when it holds for metrics-server itself.

use crate::Context;
use crate::check::{Subject, Undecided};
use crate::diagnosis::has_fresh_metrics;
use crate::evidence::{Evidence, Mode, Need, Node, Obs, PodProbe, Reach, Why};

/// Undecided, because no probe shows it.
fn open(ctx: &Context<'_>, why: Why) -> Undecided {
    let nothing: Obs<()> = Obs::unseen(Need::PodProbe, [], why.clone());
    match ctx.need(&nothing) {
        Err(missing) => missing,
        Ok(()) => Undecided { need: Need::PodProbe, why },
    }
}

/// The probes whose network is metrics-server's: those on the nodes of its pods, or all of them before there is any.
///
/// # Errors
/// When there is none, or when it was not seen where metrics-server's pods are.
pub(crate) fn in_place<'e>(
    ctx: &Context<'_>,
    evidence: &'e Evidence,
) -> Result<Vec<&'e PodProbe>, Undecided> {
    if evidence.probes.is_empty() {
        let why = "no pod looked from metrics-server's place (`metrics-preflight probe`)";
        return Err(open(ctx, Why::NotAsked(why.to_owned())));
    }
    if evidence.mode == Mode::BeforeInstall {
        return Ok(evidence.probes.iter().collect());
    }
    let pods = ctx.need(&evidence.backend.pods)?;
    let has_pod = |probe: &&PodProbe| pods.iter().any(|pod| pod.node.as_deref() == Some(probe.node.as_str()));
    let found: Vec<&PodProbe> = evidence.probes.iter().filter(has_pod).collect();
    if found.is_empty() {
        let why = "no probe ran on a node where a pod of metrics-server is";
        return Err(open(ctx, Why::NotAsked(why.to_owned())));
    }
    Ok(found)
}

/// What a probe reached, where that says something of metrics-server's network.
///
/// # Errors
/// When it was not seen, or when NetworkPolicies may treat metrics-server's pod differently.
pub(crate) fn reached<'o, T>(
    ctx: &Context<'_>,
    probe: &PodProbe,
    obs: &'o Obs<T>,
) -> Result<&'o T, Undecided> {
    if let Some(policies) = &probe.policies_differ {
        let by =
            format!("NetworkPolicies that may treat metrics-server and the probe differently ({policies})");
        return Err(open(ctx, Why::Masked(by)));
    }
    ctx.need(obs)
}

/// Whether the network let it through; nothing where that cannot be said of it.
pub(crate) fn is_through(reach: &Reach) -> Option<bool> {
    match reach {
        Reach::Failed(_) => None,
        reach if reach.is_connected() => Some(true),
        _ => Some(false),
    }
}

/// An answer of a kubelet over HTTP, and the probe that got it.
pub(crate) struct Answered<'e> {
    /// The probe.
    pub(crate) probe: &'e PodProbe,
    /// Where it stands.
    pub(crate) obs: &'e Obs<Reach>,
    /// The status.
    pub(crate) status: i64,
    /// The beginning of the body.
    pub(crate) message: &'e str,
}

/// What a node's kubelet answered to the identity of metrics-server: a refusal before a success. The network does not
/// matter here, so every probe counts.
///
/// # Errors
/// When none got an answer over HTTP.
pub(crate) fn answer<'e>(
    ctx: &Context<'_>,
    evidence: &'e Evidence,
    node: &Node,
) -> Result<Answered<'e>, Undecided> {
    let mut found: Option<Answered<'e>> = None;
    let mut missing = None;
    for probe in &evidence.probes {
        for kubelet in probe.kubelets.iter().filter(|kubelet| kubelet.node == node.name) {
            match ctx.need(&kubelet.reach) {
                Err(open) => missing = Some(open),
                Ok(Reach::Http { status, message })
                    if found.as_ref().is_none_or(|found| found.status == 200) =>
                {
                    found = Some(Answered { probe, obs: &kubelet.reach, status: *status, message });
                }
                Ok(_) => {}
            }
        }
    }
    let why = "no pod in metrics-server's place got an answer of this kubelet (`metrics-preflight probe`)";
    found.ok_or_else(|| missing.unwrap_or_else(|| open(ctx, Why::NotAsked(why.to_owned()))))
}

/// How every node's kubelet is reached by the pods in metrics-server's place: the worst of it.
///
/// # Errors
/// When none tried, or when what came of it says nothing.
pub(crate) fn kubelet<'e>(
    ctx: &Context<'_>,
    evidence: &'e Evidence,
    node: &Node,
) -> Result<(&'e PodProbe, &'e Obs<Reach>, &'e Reach), Undecided> {
    let mut best = None;
    for probe in in_place(ctx, evidence)? {
        for kubelet in probe.kubelets.iter().filter(|kubelet| kubelet.node == node.name) {
            let reach = reached(ctx, probe, &kubelet.reach)?;
            match is_through(reach) {
                Some(false) => return Ok((probe, &kubelet.reach, reach)),
                Some(true) => best = Some((probe, &kubelet.reach, reach)),
                None => return Err(open(ctx, Why::Unreadable(reach.words()))),
            }
        }
    }
    best.ok_or_else(|| open(ctx, Why::NotAsked("no probe dialled this kubelet".to_owned())))
}

/// Whether metrics-server reads this node's kubelet now, which says more than any probe. Before it is installed it reads
/// none.
///
/// # Errors
/// When the answer of the Metrics API was not seen.
pub(crate) fn is_read_now(ctx: &Context<'_>, evidence: &Evidence, node: &Node) -> Result<bool, Undecided> {
    if evidence.mode == Mode::BeforeInstall {
        return Ok(false);
    }
    // An answer that is none shows nobody's metrics.
    if ctx.need(&evidence.metrics.nodes_answer)?.status != 200 {
        return Ok(false);
    }
    ctx.need(&evidence.metrics.nodes)?;
    Ok(has_fresh_metrics(evidence, &node.name))
}

/// What a kubelet says in its 403, whom it took the caller for
/// (`pkg/kubelet/server/server.go`: `Forbidden (user=%s, verb=%s, resource=%s, subresource(s)=%v)`).
pub(crate) fn forbidden_user(message: &str) -> Option<&str> {
    let rest = message.split_once("(user=")?.1;
    Some(rest.split([',', ')']).next().unwrap_or_default().trim())
}

/// The node of a probe as a subject.
pub(crate) fn node_of(probe: &PodProbe) -> Subject {
    Subject::node(&probe.node)
}

#[cfg(test)]
#[path = "probed_tests.rs"]
mod tests;
