//! What a machine is to the cluster, and whether its kubelet works.

use jiff::Timestamp;

use crate::Context;
use crate::check::{Audience, Proof, Question, Remedy, Step, Undecided};
use crate::evidence::{Host, Mode, Need, Why};

/// Where a look at a machine is worth something.
pub(super) const MODES: &[Mode] = &[Mode::Installed, Mode::BeforeInstall, Mode::Host];

/// A machine that was asked must not pass where its faults were not seen, unless its kubelet is read all the same.
pub(super) const QUESTION: Question =
    Question::Deciding { modes: &[Mode::Installed, Mode::Host], unless: &[Proof::FreshNodeMetrics] };

/// What a kubelet that does not run brings about.
pub(super) const KUBELET_EXPLAINS: &[&str] = &[
    "metrics-server-crashing",
    "metrics-server-not-ready",
    "apiservice-unavailable",
    "metrics-api-unanswered",
    "node-metrics-missing",
    "hpa-metrics-unreadable",
];

/// A kubelet that has run for so long has got over its start. One that cannot start ends within a second.
const STARTING_S: i64 = 60;

/// What a machine is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    /// A kubelet runs here or is installed, whatever else there is.
    Node,
    /// kube-apiserver is here, and no kubelet.
    ControlPlane,
}

/// What a machine is; undecided where it is neither, because then another machine was meant.
pub(super) fn role(ctx: &Context<'_>, host: &Host) -> Result<Role, Undecided> {
    if ctx.need(&host.kubelet)?.is_some() || ctx.need(&host.kubelet_unit)?.is_some() {
        return Ok(Role::Node);
    }
    if ctx.need(&host.api_server)?.is_some() {
        return Ok(Role::ControlPlane);
    }
    let why = "neither a kubelet nor kube-apiserver runs here or has a unit or manifest: this is no machine of a cluster";
    Err(Undecided { need: Need::HostKubelet, why: Why::Lacking(why.to_owned()) })
}

/// A kubelet that runs and has got over its start.
pub(super) struct Running {
    /// When it started; an unknown time counts as long ago.
    pub(super) since: Option<Timestamp>,
}

/// The kubelet, where it runs and has got over its start.
pub(super) fn running(ctx: &Context<'_>, host: &Host) -> Result<Option<Running>, Undecided> {
    let Some(process) = ctx.need(&host.kubelet)? else { return Ok(None) };
    Ok(has_got_over_its_start(host, process.started).then_some(Running { since: process.started }))
}

/// Whether a process that started then has got over its start; one of which that is not known has.
pub(super) fn has_got_over_its_start(host: &Host, started: Option<Timestamp>) -> bool {
    started.is_none_or(|started| host.taken_at.duration_since(started).as_secs() >= STARTING_S)
}

/// A cure that is one step on each of these machines.
pub(super) fn on_each(title: &str, cost: &str, steps: Vec<Step>) -> Vec<Remedy> {
    vec![Remedy {
        title: title.to_owned(),
        audience: Audience::Production,
        cost: cost.to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}

/// The machine of a subject as a place to run a step at.
pub(super) fn place(subject: &crate::check::Subject) -> String {
    if subject.kind == "Node" {
        format!("node {}", subject.name)
    } else {
        format!("the machine {}", subject.name)
    }
}
