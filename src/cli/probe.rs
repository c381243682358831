//! `probe`: looks from metrics-server's place, by pods that live for seconds.

use std::sync::Arc;
use std::time::Duration;

use checks::evidence::Mode;
use clap::Args;
use jiff::Timestamp;

use super::check::{Judgement, Scope, runtime};
use super::environment::Defaults;
use super::failure::{Failure, Kind};
use super::interrupt::Interrupt;
use super::look::{Seen, gather};
use super::observe::{self, Wanted, connected};
use super::rules::RuleArgs;
use super::settings::Settings;
use super::with::WithArgs;
use super::{Global, bug, duration, open};
use crate::collect::{KubeletLook, ProbeLook};
use crate::exit::Exit;
use crate::probe::carry::{self, Done};
use crate::probe::cleanup::{self, Leftovers};
use crate::probe::client::Writer;
use crate::probe::nodes::Wanted as WantedNodes;
use crate::probe::plan::{self, Plan, Wish};
use crate::probe::report::{FACT, vantage};
use crate::probe::{labels, manifest};
use crate::report::yaml;
use crate::source::redact::sweep;
use crate::source::{FailureKind, Observation, Outcome, Request, Source};
use crate::ui::Ui;

/// The image where none is named.
const IMAGE: &str = concat!("metrics-preflight:", env!("CARGO_PKG_VERSION"));

/// Look from metrics-server's place: creates pods, which the other subcommands never do
///
/// Starts one pod on each of a few nodes, in metrics-server's namespace and with its ServiceAccount. It dials every
/// kubelet as metrics-server would, and the API server, the Service and the name server; then it is removed, whatever
/// happens. What it saw is joined with what `check` sees, and diagnosed. The image has to be on the nodes or in a
/// registry that they reach.
#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(super) struct ProbeArgs {
    /// The image with this program
    #[arg(long, value_name = "IMAGE", default_value = IMAGE)]
    image: String,
    /// Look from these nodes, instead of those of metrics-server's pods and one of each other kind
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    nodes: Vec<String>,
    /// Look from every node that is Ready; and have the kubelets looked at in full
    #[arg(long, conflicts_with = "nodes")]
    all_nodes: bool,
    /// The time for all pods together
    #[arg(long, value_name = "DURATION", default_value = "90s", value_parser = duration::parse)]
    deadline: Duration,
    /// Print what would be created, and create nothing
    #[arg(long)]
    print_manifests: bool,
    /// Remove what earlier runs have left, also of one that is under way, and do nothing else
    #[arg(long, conflicts_with = "print_manifests")]
    clean_up: bool,
    /// Ask whether metrics-server will work here; its absence is expected
    #[arg(long)]
    before_install: bool,
    #[command(flatten)]
    judgement: Judgement,
    #[command(flatten)]
    with: WithArgs,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    scope: ProbeScope,
}

/// What else to look at.
#[derive(Debug, Args)]
struct ProbeScope {
    /// Look at the autoscalers of this namespace alone
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
}

pub(super) fn run(args: &ProbeArgs, global: &Global, ui: Ui) -> Exit {
    if args.clean_up || args.print_manifests {
        let result = bug::caught(|| {
            let runtime = runtime()?;
            let exit = runtime.block_on(async {
                if args.clean_up { clean_up(args, global, ui).await } else { print(args, global, ui).await }
            });
            runtime.shutdown_background();
            exit
        });
        return result.unwrap_or_else(|failure| failure.tell(ui));
    }
    args.judgement.run(ui, args.mode(), None, |settings| {
        let runtime = runtime()?;
        let seen = runtime.block_on(seen(args, global, settings, ui));
        runtime.shutdown_background();
        seen
    })
}

impl ProbeArgs {
    fn mode(&self) -> Mode {
        if self.before_install { Mode::BeforeInstall } else { Mode::Installed }
    }

    fn wish(&self) -> Wish {
        Wish {
            image: self.image.clone(),
            nodes: match (self.all_nodes, self.nodes.as_slice()) {
                (true, _) => WantedNodes::All,
                (false, []) => WantedNodes::Sample,
                (false, nodes) => WantedNodes::Named(nodes.to_vec()),
            },
            deadline_s: self.deadline.as_secs().clamp(10, 1800),
        }
    }
}

async fn seen(args: &ProbeArgs, global: &Global, settings: &Settings, ui: Ui) -> Result<Seen, Failure> {
    let rules = args.rules.load_with(&settings.config.rules)?;
    let mut with = args.with.load()?;
    let stop = Interrupt::patient();
    let scope = Scope::of(args.scope.namespace.clone(), args.all_nodes);
    let options = scope.options(args.before_install, &settings.defaults);
    let (source, plan) = planned(args, global, &stop, ui).await?;
    let (looks, observations) = probed(args, global, &source, plan, &stop, ui).await?;
    with.add_probes(looks, observations);
    let wanted = Wanted {
        options: with.joined(options),
        policy: settings.policy,
        rules,
        waivers: settings.config.waivers.clone(),
        baseline: settings.baseline.clone(),
        allow_undecided: settings.allow_undecided,
        wait: None,
        with,
    };
    observe::live(&wanted, global, ui).await
}

/// Looks at the cluster as `check` does, and makes the plan from it.
async fn planned(
    args: &ProbeArgs,
    global: &Global,
    stop: &Interrupt,
    ui: Ui,
) -> Result<(Source, Plan), Failure> {
    let source = connected(global, stop, ui).await?;
    let mut options = Scope::of(None, false).options(args.before_install, &Defaults::default());
    // The plan needs no kubelet; the look that follows dials them.
    options.kubelets = KubeletLook::Never;
    let (source, evidence, interrupted) = gather(source, &options, stop, ui).await?;
    if interrupted {
        return Err(Failure::new(Kind::Interrupted, "interrupted before anything was created"));
    }
    let plan = plan::make(&source, &evidence, &args.wish(), now(&source)).await;
    let plan = plan.map_err(|why| {
        Failure::new(Kind::Probe, "no probe can be made")
            .context(why)
            .hint("`metrics-preflight check` diagnoses the cluster without one.")
    })?;
    Ok((source, plan))
}

/// The present on the API server's clock.
fn now(source: &Source) -> Timestamp {
    let now = Timestamp::now();
    now.checked_add(source.clock_offset().unwrap_or_default()).unwrap_or(now)
}

async fn writer(global: &Global) -> Result<Writer, Failure> {
    let writer = Writer::connect(&open::options(global)).await;
    writer.map_err(|error| Failure::from_sentence(Kind::Configuration, &error.to_string()))
}

/// Says what is going to be created, runs it, and turns it into observations.
async fn probed(
    args: &ProbeArgs,
    global: &Global,
    source: &Source,
    plan: Plan,
    stop: &Interrupt,
    ui: Ui,
) -> Result<(Vec<ProbeLook>, Vec<Observation>), Failure> {
    let writer = Arc::new(writer(global).await?);
    let found = cleanup::leftovers(&writer, &plan.place.namespace, now(source), false).await;
    // Whoever may not list pods learns it from the creation.
    tell_leftovers(&found.unwrap_or_default(), ui);
    announce(&plan, args, ui);
    let plan = Arc::new(plan);
    let offset = source.clock_offset().unwrap_or_default();
    let clock = move || {
        let now = Timestamp::now();
        now.checked_add(offset).unwrap_or(now)
    };
    let mut line = ui.progress();
    line.show(&format!("{} pods look from metrics-server's place", plan.pods.len()));
    let done = carry::out(Arc::clone(&writer), Arc::clone(&plan), stop.watch(), clock).await;
    drop(line);
    finished(&plan, &done, ui)?;
    observations(&plan, &done, clock(), ui)
}

fn announce(plan: &Plan, args: &ProbeArgs, ui: Ui) {
    let place = &plan.place;
    for note in &plan.notes {
        ui.note(note);
    }
    for pod in &plan.pods {
        ui.note(&format!("Creates pod {}/{} on {}.", place.namespace, pod.name, pod.node));
    }
    let labels = labels::marked(&place.labels, &plan.run.id);
    let labels: Vec<String> = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    ui.note(&format!(
        "ServiceAccount {}, image {}, labels {}, for at most {} s; `--print-manifests` shows all of it.",
        place.service_account,
        args.image,
        labels.join(","),
        place.deadline_s
    ));
    for differs in &place.differs {
        ui.note(&format!("Other than metrics-server: {differs}."));
    }
}

/// What is left behind is said before anything else.
fn finished(plan: &Plan, done: &Done, ui: Ui) -> Result<(), Failure> {
    if !done.left.is_empty() {
        let left: Vec<String> =
            done.left.iter().map(|name| format!("{}/{name}", plan.place.namespace)).collect();
        ui.error(
            "what was created could not be removed",
            &[format!("pods that may be left: {}", left.join(", "))],
            &[
                "`metrics-preflight probe --clean-up` removes them as soon as the API server answers."
                    .to_owned(),
                format!("They end by themselves after {} s.", plan.place.deadline_s),
            ],
        );
    } else if done.interrupted {
        ui.note("Everything that was created has been removed.");
    }
    if done.panicked {
        return Err(Failure::new(Kind::Bug, "the probe failed by a defect of this program"));
    }
    if done.interrupted {
        return Err(Failure::new(Kind::Interrupted, "interrupted while pods were looking"));
    }
    Ok(())
}

/// One observation a node, or a failure where no pod saw anything.
fn observations(
    plan: &Plan,
    done: &Done,
    seen_at: Timestamp,
    ui: Ui,
) -> Result<(Vec<ProbeLook>, Vec<Observation>), Failure> {
    let mut reasons: Vec<String> = Vec::new();
    let mut observations = Vec::new();
    for (pod, outcome) in plan.pods.iter().zip(&done.outcomes) {
        let outcome = match outcome {
            Ok(report) => {
                ui.note(&format!("From {}: {}.", pod.node, report.summary()));
                let mut masked = 0;
                let value = serde_json::to_value(report).unwrap_or_default();
                Outcome::Fact { value: sweep::value(value, &mut masked) }
            }
            Err(why) => {
                ui.note(&format!("Nothing was seen from {}: {why}.", pod.node));
                if !reasons.contains(why) {
                    reasons.push(why.clone());
                }
                Outcome::Failed { kind: FailureKind::Lacking, message: why.clone() }
            }
        };
        observations.push(Observation { request: Request::fact(vantage(&pod.node), FACT), seen_at, outcome });
    }
    if !done.outcomes.iter().any(Result::is_ok) {
        let about_image = reasons.iter().any(|why| why.contains("image"));
        let failure = Failure::new(Kind::Probe, "no pod saw anything");
        let mut failure = reasons.into_iter().fold(failure, Failure::context);
        if about_image {
            failure = failure.hint(
                "The image holds this program and nothing else; docs/src/container.md says how it is built.",
            );
        }
        return Err(failure.hint("`metrics-preflight check` diagnoses the cluster without a probe."));
    }
    let looks = plan.pods.iter().map(|pod| ProbeLook { node: pod.node.clone() }).collect();
    Ok((looks, observations))
}

/// `--print-manifests`.
async fn print(args: &ProbeArgs, global: &Global, ui: Ui) -> Result<Exit, Failure> {
    let stop = Interrupt::patient();
    let (_, plan) = planned(args, global, &stop, ui).await?;
    for note in &plan.notes {
        ui.note(note);
    }
    let mut text = String::new();
    for pod in &plan.pods {
        let manifest = manifest::pod(&plan.place, &plan.run, pod, None);
        text.push_str("---\n");
        // JSON is YAML too.
        text.push_str(&yaml::of(&manifest).unwrap_or_else(|| format!("{manifest:#}\n")));
    }
    ui.out(&text).map_err(|error| super::failure::no_output(&error))?;
    Ok(Exit::Clean)
}

/// `--clean-up`.
async fn clean_up(args: &ProbeArgs, global: &Global, ui: Ui) -> Result<Exit, Failure> {
    let namespace = args.scope.namespace.clone().unwrap_or_else(|| "kube-system".to_owned());
    let writer = writer(global).await?;
    let found = cleanup::leftovers(&writer, &namespace, Timestamp::now(), true).await.map_err(|trouble| {
        let kind = match &trouble {
            crate::probe::client::Trouble::Lost(_) => Kind::Unreachable,
            crate::probe::client::Trouble::Refused(..) => Kind::Configuration,
        };
        Failure::new(kind, "what earlier runs have left cannot be listed").context(trouble.to_string())
    })?;
    tell_leftovers(&found, ui);
    if found == Leftovers::default() {
        ui.note("Nothing was left.");
    }
    Ok(if found.failed.is_empty() { Exit::Clean } else { Exit::Findings })
}

fn tell_leftovers(found: &Leftovers, ui: Ui) {
    for name in &found.removed {
        ui.note(&format!("Removed pod {name}, which an earlier run had left."));
    }
    for name in &found.kept {
        ui.note(&format!(
            "Pod {name} is of another run, which may be under way; `probe --clean-up` removes it all the same."
        ));
    }
    for what in &found.failed {
        ui.note(&format!("Could not remove {what}."));
    }
}
