//! `probe`: looks from metrics-server's place, by pods that live for seconds.

use std::sync::Arc;
use std::time::Duration;

use checks::evidence::{Evidence, Mode};
use clap::Args;
use jiff::Timestamp;

use super::check::{Judgement, Scope, runtime};
use super::environment::Defaults;
use super::failure::{Failure, Kind};
use super::interrupt::Interrupt;
use super::look::{Seen, gather};
use super::observe::{self, Wanted, connected};
use super::probe_said::Saw;
use super::rules::RuleArgs;
use super::settings::Settings;
use super::with::WithArgs;
use super::{Global, bug, duration, open};
use crate::collect::KubeletLook;
use crate::exit::Exit;
use crate::probe::carry::{self, Done};
use crate::probe::cleanup::{self, Leftovers};
use crate::probe::client::Writer;
use crate::probe::errand::Errand;
use crate::probe::labels;
use crate::probe::machine::MachinePlan;
use crate::probe::nodes::Wanted as WantedNodes;
use crate::probe::plan::{self, Plan, Wish};
use crate::report::yaml;
use crate::source::Source;
use crate::ui::Ui;

/// So many nodes are named to whoever named one that is not there.
const NAMED: usize = 20;

/// The image where none is named.
const IMAGE: &str = concat!("metrics-preflight:", env!("CARGO_PKG_VERSION"));

/// Look from metrics-server's place: creates pods, which the other subcommands never do
///
/// Starts one pod on each of a few nodes, in metrics-server's namespace and with its ServiceAccount. It dials every
/// kubelet as metrics-server would, and the API server, the Service and the name server; then it is removed, whatever
/// happens. What it saw is joined with what `check` sees, and diagnosed. With --host pods look at the machines beneath
/// too, as `host` does. The image has to be on the nodes or in a registry that they reach.
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
    /// Look at the machines of these nodes too: the packet filter, the kubelet's files, the kernel's settings
    ///
    /// The pods get a namespace of their own for it, with the host's network and its root file system, read-only, as
    /// root. Nodes whose metrics are missing are looked at first.
    #[arg(long)]
    host: bool,
    /// The time for all pods together; with --host once more for those that look at machines
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
    args.judgement.run(ui, args.mode(), &[], |settings| {
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
            machines: self.host,
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
    if let Some(machine) =
        plan.machines.iter().flat_map(|plan| &plan.pods).find(|pod| with.has_host(&pod.node))
    {
        let text = format!("a file is about the machine {}, and a pod is to look at it", machine.node);
        return Err(Failure::new(Kind::Input, text).hint("Leave the file out: what is seen now is newer."));
    }
    let saw = probed(args, global, &source, plan, &stop, ui).await?;
    with.add(saw.probes, saw.hosts, saw.observations);
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
    let wish = args.wish();
    are_there(&wish.nodes, &evidence)?;
    let plan = plan::make(&source, &evidence, &wish, now(&source)).await;
    let plan = plan.map_err(|why| {
        Failure::new(Kind::Probe, "no probe can be made")
            .context(why)
            .hint("`metrics-preflight check` diagnoses the cluster without one.")
    })?;
    Ok((source, plan))
}

/// Whether the nodes that were named are there: a name that is none is no finding, but a slip of whoever wrote it.
fn are_there(wanted: &WantedNodes, evidence: &Evidence) -> Result<(), Failure> {
    let (WantedNodes::Named(names), Some(nodes)) = (wanted, evidence.nodes.peek()) else { return Ok(()) };
    let Some(missing) = names.iter().find(|name| nodes.iter().all(|node| node.name != **name)) else {
        return Ok(());
    };
    let mut known: Vec<&str> = nodes.iter().map(|node| node.name.as_str()).collect();
    known.sort_unstable();
    let more = known.len().saturating_sub(NAMED);
    known.truncate(NAMED);
    let more = if more == 0 { String::new() } else { format!(" and {more} more (`kubectl get nodes`)") };
    Err(Failure::new(Kind::Usage, format!("--nodes names {missing}, and there is no such node"))
        .hint(format!("The cluster has {}{more}.", known.join(", "))))
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
) -> Result<Saw, Failure> {
    let writer = Arc::new(writer(global).await?);
    let found = cleanup::leftovers(&writer, &plan.place.namespace, now(source), false).await;
    // Whoever may not list pods learns it from the creation.
    tell_leftovers(&found.unwrap_or_default(), ui);
    announce(&plan, args, ui);
    let offset = source.clock_offset().unwrap_or_default();
    let clock = move || {
        let now = Timestamp::now();
        now.checked_add(offset).unwrap_or(now)
    };
    let plan = Arc::new(plan);
    let mut saw = Saw::default();
    // Before the others: they have the host's network, and a CNI plugin that makes a pod's network may switch on the very
    // forwarding whose absence is the fault.
    if let Some(machines) = &plan.machines {
        let machines: Arc<MachinePlan> = Arc::new(machines.clone());
        let looked = sent(&writer, Arc::clone(&machines), "the machines", stop, clock, ui).await?;
        saw.machines(&machines, &looked.outcomes, clock(), ui);
    }
    let pods = sent(&writer, Arc::clone(&plan), "metrics-server's place", stop, clock, ui).await?;
    saw.pods(&plan, &pods.outcomes, clock(), ui);
    saw.or_nothing()
}

/// Sends pods out, and says what is left behind before anything else.
async fn sent<E: Errand>(
    writer: &Arc<Writer>,
    errand: Arc<E>,
    place: &str,
    stop: &Interrupt,
    clock: impl Fn() -> Timestamp + Send + Sync + 'static,
    ui: Ui,
) -> Result<Done<E::Seen>, Failure> {
    let mut line = ui.progress();
    let count = errand.names().len();
    line.show(&match (count, place) {
        (1, place) => format!("A pod looks: {place}"),
        (count, place) => format!("{count} pods look: {place}"),
    });
    let done = carry::out(Arc::clone(writer), Arc::clone(&errand), stop.watch(), clock).await;
    drop(line);
    finished(&*errand, &done, ui)?;
    Ok(done)
}

fn announce(plan: &Plan, args: &ProbeArgs, ui: Ui) {
    let place = &plan.place;
    for note in &plan.notes {
        ui.note(note);
    }
    if let Some(machines) = &plan.machines {
        ui.note(&format!(
            "Creates namespace {}, for pods that look at machines as root.",
            machines.namespace
        ));
        for pod in &machines.pods {
            ui.note(&format!("Creates pod {}/{} on {}.", machines.namespace, pod.name, pod.node));
        }
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
fn finished<E: Errand>(errand: &E, done: &Done<E::Seen>, ui: Ui) -> Result<(), Failure> {
    if !done.left.is_empty() {
        ui.error(
            "what was created could not be removed",
            &[format!("what may be left: {}", done.left.join(", "))],
            &[
                "`metrics-preflight probe --clean-up` removes it as soon as the API server answers."
                    .to_owned(),
                format!("The pods end by themselves after {} s.", errand.deadline_s()),
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

/// `--print-manifests`.
async fn print(args: &ProbeArgs, global: &Global, ui: Ui) -> Result<Exit, Failure> {
    let stop = Interrupt::patient();
    let (_, plan) = planned(args, global, &stop, ui).await?;
    for note in &plan.notes {
        ui.note(note);
    }
    let mut text = String::new();
    for manifest in plan.machines.iter().flat_map(manifests).chain(manifests(&plan)) {
        text.push_str("---\n");
        // JSON is YAML too.
        text.push_str(&yaml::of(&manifest).unwrap_or_else(|| format!("{manifest:#}\n")));
    }
    ui.out(&text).map_err(|error| super::failure::no_output(&error))?;
    Ok(Exit::Clean)
}

/// All that is made for it, in order.
fn manifests(errand: &impl Errand) -> Vec<serde_json::Value> {
    let pods = (0..errand.names().len()).map(|place| errand.manifest(place, None));
    errand.own_namespace().into_iter().chain(pods).collect()
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
    match &found.unseen {
        Some(words) => ui.note(words),
        None if found == Leftovers::default() => ui.note("Nothing was left."),
        None => {}
    }
    Ok(match (&found.failed[..], &found.unseen) {
        ([], None) => Exit::Clean,
        ([], Some(_)) => Exit::Undecided,
        _ => Exit::Findings,
    })
}

fn tell_leftovers(found: &Leftovers, ui: Ui) {
    for name in &found.removed {
        ui.note(&format!("Removed {name}, which an earlier run had left."));
    }
    for name in &found.kept {
        ui.note(&format!(
            "Another run, which may be under way, has {name}; `probe --clean-up` removes it all the same."
        ));
    }
    for what in &found.failed {
        ui.note(&format!("Could not remove {what}."));
    }
}
