//! Looking at a cluster for a report: once, or again until nothing is found, and once more when it moves meanwhile.

use std::time::Duration;

use checks::diagnosis::{MetricVerdict, Policy, Waiver};
use checks::plan::metric_subject;
use checks::rules::Rules;
use tokio::time::Instant;

use super::Global;
use super::baseline::Baseline;
use super::failure::{Failure, Kind};
use super::interrupt::Interrupt;
use super::look::{Judge, Seen, interrupted, look};
use super::with::With;
use super::{confirm, open};
use crate::collect::CollectOptions;
use crate::exit::Exit;
use crate::source::Source;
use crate::ui::Ui;

/// How long `--wait` rests between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// So many metrics are named that were waited for in vain.
const NAMED: usize = 5;

/// What is wanted of a look.
pub(super) struct Wanted {
    /// What to look at.
    pub(super) options: CollectOptions,
    /// What counts as a failure.
    pub(super) policy: Policy,
    /// The user's own checks.
    pub(super) rules: Rules,
    /// What does not count for a while.
    pub(super) waivers: Vec<Waiver>,
    /// What was known before.
    pub(super) baseline: Option<Baseline>,
    /// Whether an undecided verdict is good enough.
    pub(super) allow_undecided: bool,
    /// Look again until nothing is found or this time is up.
    pub(super) wait: Option<Duration>,
    /// What was seen from elsewhere.
    pub(super) with: With,
}

impl Wanted {
    fn judge(&self) -> Judge<'_> {
        Judge {
            policy: self.policy,
            rules: &self.rules,
            waivers: &self.waivers,
            baseline: self.baseline.as_ref(),
        }
    }

    /// Whether looking again could come to something better. What only the deploy can show has not been seen yet.
    fn is_worth_another(&self, seen: &Seen) -> bool {
        let deferred =
            |verdict: &checks::diagnosis::AutoscalerVerdict| verdict.verdict == MetricVerdict::Deferred;
        let exit = Exit::of(&seen.diagnosis, self.allow_undecided);
        !seen.interrupted && (exit != Exit::Clean || seen.diagnosis.autoscalers.iter().any(deferred))
    }
}

/// Looks at something that does not change: a recording, or manifests alone.
pub(super) async fn once(mut source: Source, wanted: &Wanted, ui: Ui) -> Result<Seen, Failure> {
    let stop = Interrupt::listen().await;
    source.add(wanted.with.observations());
    look(source, &wanted.options, wanted.judge(), &stop, ui).await
}

/// Looks at the cluster of the kubeconfig, again and again if that is wanted.
pub(super) async fn live(wanted: &Wanted, global: &Global, ui: Ui) -> Result<Seen, Failure> {
    let stop = Interrupt::listen().await;
    let deadline = wanted.wait.map(|wait| Instant::now() + wait);
    let mut last = None;
    loop {
        let seen = match (Box::pin(settled(wanted, global, &stop, ui)).await, last.take()) {
            (Err(failure), Some(last)) if failure.kind == Kind::Interrupted => {
                return Ok(Seen { interrupted: true, ..last });
            }
            (seen, _) => seen,
        };
        let again = match &seen {
            Ok(seen) => wanted.is_worth_another(seen),
            Err(failure) => failure.kind == Kind::Unreachable,
        };
        let left =
            deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()));
        if !again || left.is_zero() {
            if let (true, Some(wait), Ok(seen)) = (again, wanted.wait, &seen) {
                ui.note(&waited_for(wait, seen));
            }
            return seen;
        }
        let mut line = ui.progress();
        line.show(&format!("Not yet; looking again for another {} s", left.as_secs()));
        tokio::select! {
            () = tokio::time::sleep(left.min(PAUSE)) => {}
            () = stop.wanted() => return seen.map(|seen| Seen { interrupted: true, ..seen }),
        }
        last = seen.ok();
    }
}

/// What was waited for, and has not come.
fn waited_for(wait: Duration, seen: &Seen) -> String {
    let over = format!("the {} s to wait are over, and", wait.as_secs());
    let plans = &seen.evidence.gate.plans;
    let judged = seen.diagnosis.autoscalers.iter().filter_map(|it| Some((plans.get(it.plan)?, it)));
    let metrics = judged.flat_map(|(plan, it)| {
        let metrics = it.metrics.iter().enumerate();
        let open = metrics.filter(|(_, metric)| metric.verdict != MetricVerdict::Pass);
        open.map(move |(index, metric)| {
            format!("{} ({})", metric_subject(plan, index), metric.verdict.name())
        })
    });
    let metrics: Vec<String> = metrics.collect();
    if metrics.is_empty() {
        return format!("{over} the verdict is {}", seen.diagnosis.verdict.name());
    }
    let more = match metrics.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let named = metrics[..metrics.len().min(NAMED)].join(", ");
    format!("{over} these are not seen to be read: {named}{more}")
}

/// Looks, and looks again when what an error rests on has changed meanwhile.
async fn settled(wanted: &Wanted, global: &Global, stop: &Interrupt, ui: Ui) -> Result<Seen, Failure> {
    let (options, judge) = (&wanted.options, wanted.judge());
    let mut source = connected(global, stop, ui).await?;
    source.add(wanted.with.observations());
    let seen = look(source, options, judge, stop, ui).await?;
    if !confirm::is_due(&seen) {
        return Ok(seen);
    }
    let confirmed = async {
        let fresh = open::live(global, ui).await?;
        if !confirm::has_changed(&seen, &fresh).await {
            return Ok(None);
        }
        ui.detail(|| "What an error rests on has changed meanwhile: looking once more".to_owned());
        let mut later = open::live(global, ui).await?;
        later.add(wanted.with.observations());
        look(later, options, judge, stop, ui).await.map(Some)
    };
    let later = tokio::select! {
        later = confirmed => later,
        () = stop.wanted() => Ok(None),
    };
    match later {
        Ok(Some(later)) => Ok(later),
        // What was seen stands when the cluster cannot be asked once more.
        Ok(None) | Err(_) => Ok(seen),
    }
}

/// Connects, unless the user loses patience first.
pub(super) async fn connected(global: &Global, stop: &Interrupt, ui: Ui) -> Result<Source, Failure> {
    tokio::select! {
        source = open::live(global, ui) => source,
        () = stop.wanted() => Err(interrupted()),
    }
}
