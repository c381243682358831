//! One look at a source: reach it, collect the evidence, judge it.

use std::collections::BTreeMap;
use std::time::Duration;

use checks::diagnosis::{Diagnosis, Policy, Waiver, diagnose_with};
use checks::evidence::{Evidence, Mode};
use checks::rules::Rules;

use super::baseline::Baseline;
use super::failure::{Failure, Kind};
use super::interrupt::Interrupt;
use super::open;
use crate::collect::{CollectOptions, HostLook, KubeletLook, ProbeLook, collect};
use crate::report::mode_name;
use crate::source::{Header, Source};
use crate::ui::Ui;

/// A progress line comes when a look takes longer than this.
const PATIENCE: Duration = Duration::from_secs(1);

/// What was seen, and what it comes to.
#[derive(Debug)]
pub(super) struct Seen {
    /// Where it was seen.
    pub(super) source: Source,
    /// What was seen.
    pub(super) evidence: Evidence,
    /// What it comes to.
    pub(super) diagnosis: Diagnosis,
    /// What a recording of it has to remember of the options.
    pub(super) arguments: BTreeMap<String, String>,
    /// The user stopped it: what was not asked by then is undecided.
    pub(super) interrupted: bool,
}

/// What the evidence is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Judge<'r> {
    /// What counts as a failure.
    pub(super) policy: Policy,
    /// The rules of the user, behind the checks.
    pub(super) rules: &'r Rules,
    /// What does not count for a while.
    pub(super) waivers: &'r [Waiver],
    /// What was known before.
    pub(super) baseline: Option<&'r Baseline>,
}

/// Looks once.
pub(super) async fn look(
    source: Source,
    options: &CollectOptions,
    judge: Judge<'_>,
    stop: &Interrupt,
    ui: Ui,
) -> Result<Seen, Failure> {
    let (source, evidence, interrupted) = gather(source, options, stop, ui).await?;
    super::gate::too_many(&evidence.gate)?;
    let mut diagnosis = diagnose_with(super::catalogue(), judge.rules, &evidence, judge.policy);
    let known = judge.baseline.map(|baseline| baseline.findings.clone());
    diagnosis.excuse(judge.waivers, known, evidence.taken_at, judge.policy);
    Ok(Seen { source, evidence, diagnosis, arguments: arguments(options), interrupted })
}

/// Collects the evidence. After an interrupt it is built from what was observed by then.
pub(super) async fn gather(
    source: Source,
    options: &CollectOptions,
    stop: &Interrupt,
    ui: Ui,
) -> Result<(Source, Evidence, bool), Failure> {
    let whole = tokio::select! {
        evidence = async {
            // A look at a machine asks no cluster.
            if options.mode != Mode::Host {
                open::reach(&source).await?;
            }
            Ok(collect(&source, options).await)
        } => Some(evidence),
        () = stop.wanted() => None,
        () = progress(&source, ui) => None,
    };
    if !matches!(source, Source::Live(_)) {
        source.observations().iter().for_each(|seen| open::tell(seen, ui));
    }
    if let Some(evidence) = whole {
        return evidence.map(|evidence| (source, evidence, false));
    }
    if source.observations().is_empty() {
        return Err(interrupted());
    }
    let partial = Source::from(source.recording(arguments(options)));
    let evidence = collect(&partial, options).await;
    Ok((source, evidence, true))
}

/// The user stopped before anything was seen.
pub(super) fn interrupted() -> Failure {
    Failure::new(Kind::Interrupted, "interrupted before anything was seen")
}

/// Shows how far a look is, for as long as it is polled.
async fn progress(source: &Source, ui: Ui) {
    tokio::time::sleep(PATIENCE).await;
    let mut line = ui.progress();
    loop {
        line.show(&format!("Looking at the cluster: {} answers so far", source.observations().len()));
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

/// What a recording has to remember of the options, so that its replay takes the same path.
pub(super) fn arguments(options: &CollectOptions) -> BTreeMap<String, String> {
    let kubelets = match options.kubelets {
        KubeletLook::Auto => "auto",
        KubeletLook::Always => "always",
        KubeletLook::Never => "never",
    };
    let mut arguments = BTreeMap::from([
        ("mode".to_owned(), mode_name(options.mode).to_owned()),
        ("kubelets".to_owned(), kubelets.to_owned()),
        ("all-nodes".to_owned(), options.all_nodes.to_string()),
    ]);
    if let Some(namespace) = &options.namespace {
        arguments.insert("namespace".to_owned(), namespace.clone());
    }
    arguments.extend(options.hosts.iter().map(HostLook::argument));
    arguments.extend(options.probes.iter().map(ProbeLook::argument));
    arguments
}

/// The options that a recording was made with.
pub(super) fn recorded(header: &Header) -> Result<CollectOptions, Failure> {
    let value = |name: &str| header.arguments.get(name).map(String::as_str);
    let unknown = |name: &str, value: &str| {
        Failure::new(Kind::Input, format!("the recording was made with an unknown {name}, {value:?}"))
            .hint(format!("Replay it with the program that wrote it ({}).", header.tool))
    };
    Ok(CollectOptions {
        mode: match value("mode") {
            None | Some("check") => Mode::Installed,
            Some("before-install") => Mode::BeforeInstall,
            Some("gate") => Mode::Gate,
            Some("host") => Mode::Host,
            Some(other) => return Err(unknown("mode", other)),
        },
        namespace: value("namespace").map(str::to_owned),
        kubelets: match value("kubelets") {
            None | Some("auto") => KubeletLook::Auto,
            Some("always") => KubeletLook::Always,
            Some("never") => KubeletLook::Never,
            Some(other) => return Err(unknown("look at kubelets", other)),
        },
        all_nodes: value("all-nodes") == Some("true"),
        gate: None,
        target_minor: None,
        hosts: HostLook::recorded(&header.arguments),
        probes: ProbeLook::recorded(&header.arguments),
    })
}
