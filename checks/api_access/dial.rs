//! Whether metrics-server gets through to the API server, in its own words.

use crate::Context;
use crate::check::Undecided;
use crate::evidence::{DialFailure, Evidence, LogSignal, Need, Pod, Signature, Why};
use crate::support;

/// What its log and its state say.
pub(super) enum Way<'e> {
    /// It got through.
    Works,
    /// There is no pod that could say anything.
    NoPod,
    /// A call did not get through.
    Fails {
        /// The line.
        signal: &'e LogSignal,
        /// The pod that wrote it.
        pod: Option<&'e Pod>,
        /// Whom it dialled, as `ADDRESS:PORT`.
        address: &'e str,
        /// How that failed.
        failure: DialFailure,
    },
}

/// Looks at the newest present line about a failed call.
///
/// # Errors
///
/// When the pods or their logs were not seen, and when no pod is Ready and none has said anything of it.
pub(super) fn look<'e>(ctx: &Context<'_>, evidence: &'e Evidence) -> Result<Way<'e>, Undecided> {
    let lines = support::current_signals(ctx, evidence, |signature| match signature {
        Signature::ApiDial { address, failure } => Some((address, *failure)),
        _ => None,
    })?;
    // A pod that is Ready and answers has got over it: kube-apiserver may just have restarted.
    if support::serves(ctx, evidence)? && ctx.need(&evidence.metrics.discovery)?.status == 200 {
        return Ok(Way::Works);
    }
    let pods = ctx.need(&evidence.backend.pods);
    let Some((signal, (address, failure))) = lines.into_iter().next_back() else {
        if pods?.is_empty() {
            return Ok(Way::NoPod);
        }
        if support::serves(ctx, evidence)? {
            return Ok(Way::Works);
        }
        return Err(Undecided {
            need: Need::Logs,
            why: Why::NotAsked(
                "no pod of metrics-server is Ready and none has said what it lacks".to_owned(),
            ),
        });
    };
    pods?;
    let pods = evidence.backend.pods.peek().map(Vec::as_slice).unwrap_or_default();
    let pod = pods.iter().find(|pod| pod.name == signal.pod);
    Ok(Way::Fails { signal, pod, address, failure })
}
