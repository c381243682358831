//! `check`: diagnoses a cluster, or a recording of one.

use std::path::PathBuf;
use std::time::Duration;

use checks::check::Severity;
use checks::diagnosis::Policy;
use checks::evidence::Mode;
use clap::{Args, ValueEnum};
use tokio::time::Instant;

use super::Global;
use super::failure::{Failure, Kind, no_output};
use super::interrupt::Interrupt;
use super::look::{Judge, Seen, interrupted, look};
use super::rules::RuleArgs;
use super::{bug, confirm, duration, files, look, open};
use crate::collect::{CollectOptions, KubeletLook};
use crate::exit::Exit;
use crate::report::{Report, json, mode_name, terminal};
use crate::source::Source;
use crate::ui::Ui;

/// How long `--wait` rests between two looks.
const PAUSE: Duration = Duration::from_secs(5);

/// Diagnose the metrics pipeline of a cluster
///
/// Looks at every link from the API server to the kubelets, and names the root causes of what does not work. Exits
/// with 0 when nothing was found, 1 when something was, 3 when a question that the verdict rests on is open.
#[derive(Debug, Args)]
pub(super) struct CheckArgs {
    /// Ask whether metrics-server will work here; its absence is expected
    #[arg(long)]
    before_install: bool,
    /// Diagnose a recording that `capture` wrote instead of a cluster; `-` is standard input
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Look again until nothing is found or this time is up
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
    /// The least severity that fails
    #[arg(long, value_name = "SEVERITY", default_value = "error")]
    fail_on: FailOn,
    /// Let every open question leave the verdict undecided
    #[arg(long)]
    strict: bool,
    /// Exit with 0 instead of 3 when the verdict is undecided
    #[arg(long)]
    allow_undecided: bool,
    /// How to print the report
    #[arg(short, long, value_name = "FORMAT", default_value = "table")]
    output: Format,
    #[command(flatten)]
    scope: Scope,
    #[command(flatten)]
    rules: RuleArgs,
    /// Also write what was observed to a file, as `capture` does
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

/// What to look at.
#[derive(Debug, Args)]
pub(super) struct Scope {
    /// Look at the autoscalers of this namespace alone
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Whether to dial the kubelets from here, for their certificates; auto gives up early when none answers
    #[arg(long, value_name = "WHEN")]
    kubelets: Option<Kubelets>,
    /// Look at every node in full, not only at the suspect ones and a sample
    #[arg(long)]
    all_nodes: bool,
}

impl Scope {
    /// The options of a look at a live cluster.
    pub(super) fn options(&self, before_install: bool) -> CollectOptions {
        CollectOptions {
            mode: if before_install { Mode::BeforeInstall } else { Mode::Installed },
            namespace: self.namespace.clone(),
            kubelets: match self.kubelets {
                None | Some(Kubelets::Auto) => KubeletLook::Auto,
                Some(Kubelets::Always) => KubeletLook::Always,
                Some(Kubelets::Never) => KubeletLook::Never,
            },
            all_nodes: self.all_nodes,
        }
    }
}

/// How a result is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people
    Table,
    /// One JSON document, see `docs/report.schema.json`
    Json,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum FailOn {
    /// What is broken now, or open to anyone on the network
    Error,
    /// Also what works but is unsafe or going to break
    Warning,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kubelets {
    Auto,
    Always,
    Never,
}

pub(super) fn run(args: &CheckArgs, global: &Global, ui: Ui) -> Exit {
    let asked = if args.before_install { Mode::BeforeInstall } else { Mode::Installed };
    let result = bug::caught(|| {
        refuse_contradictions(args, global)?;
        let rules = args.rules.load()?;
        let judge = Judge { policy: policy(args), rules: &rules };
        let runtime = runtime()?;
        let seen = runtime.block_on(observe(args, global, judge, ui));
        // A plugin or a resolver that hangs must not hold up the report.
        runtime.shutdown_background();
        report(args, seen?, ui)
    });
    match result {
        Ok(exit) => exit,
        Err(failure) if args.output == Format::Json => failure.tell_as_json(ui, mode_name(asked)),
        Err(failure) => failure.tell(ui),
    }
}

/// Two workers: TLS handshakes with many kubelets are what takes time.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::Bug, "cannot start the runtime").context(error.to_string()))
}

fn refuse_contradictions(args: &CheckArgs, global: &Global) -> Result<(), Failure> {
    if args.replay.is_none() {
        return Ok(());
    }
    let given = [
        ("--context", global.context.is_some()),
        ("--kubeconfig", global.kubeconfig.is_some()),
        ("--wait", args.wait.is_some()),
        ("--record", args.record.is_some()),
        ("--namespace", args.scope.namespace.is_some()),
        ("--kubelets", args.scope.kubelets.is_some()),
        ("--all-nodes", args.scope.all_nodes),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((name, _)) => {
            Err(Failure::new(Kind::Usage, format!("{name} and --replay cannot be given together"))
                .hint("A recording holds what was asked of which cluster, once."))
        }
        None => Ok(()),
    }
}

async fn observe(args: &CheckArgs, global: &Global, judge: Judge<'_>, ui: Ui) -> Result<Seen, Failure> {
    let stop = Interrupt::listen().await;
    if let Some(path) = &args.replay {
        let (source, header) = open::recording(path)?;
        let options = look::recorded(&header)?;
        if args.before_install && options.mode != Mode::BeforeInstall {
            return Err(Failure::new(Kind::Usage, "the recording was not made with --before-install")
                .hint("Replay it without --before-install, or record the cluster again with it."));
        }
        return look(source, &options, judge, &stop, ui).await;
    }
    let options = args.scope.options(args.before_install);
    let deadline = args.wait.map(|wait| Instant::now() + wait);
    let mut last = None;
    loop {
        let seen = match (Box::pin(settled(global, &options, judge, &stop, ui)).await, last.take()) {
            (Err(failure), Some(last)) if failure.kind == Kind::Interrupted => {
                return Ok(Seen { interrupted: true, ..last });
            }
            (seen, _) => seen,
        };
        let again = match &seen {
            Ok(seen) => !seen.interrupted && Exit::of(&seen.diagnosis, args.allow_undecided) != Exit::Clean,
            Err(failure) => failure.kind == Kind::Unreachable,
        };
        let left =
            deadline.map_or(Duration::ZERO, |deadline| deadline.saturating_duration_since(Instant::now()));
        if !again || left.is_zero() {
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

/// Looks, and looks again when what an error rests on has changed meanwhile.
async fn settled(
    global: &Global,
    options: &CollectOptions,
    judge: Judge<'_>,
    stop: &Interrupt,
    ui: Ui,
) -> Result<Seen, Failure> {
    let seen = look(connected(global, stop, ui).await?, options, judge, stop, ui).await?;
    if !confirm::is_due(&seen) {
        return Ok(seen);
    }
    let confirmed = async {
        let fresh = open::live(global, ui).await?;
        if !confirm::has_changed(&seen, &fresh).await {
            return Ok(None);
        }
        ui.detail(|| "What an error rests on has changed meanwhile: looking once more".to_owned());
        look(open::live(global, ui).await?, options, judge, stop, ui).await.map(Some)
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

fn policy(args: &CheckArgs) -> Policy {
    let fail_on = match args.fail_on {
        FailOn::Error => Severity::Error,
        FailOn::Warning => Severity::Warning,
    };
    Policy { fail_on, strict: args.strict }
}

/// Prints the report and writes the recording.
fn report(args: &CheckArgs, seen: Seen, ui: Ui) -> Result<Exit, Failure> {
    let connection = seen.source.connection();
    let (context, server) = (connection.context.clone(), connection.server.clone());
    if let Some(path) = &args.record {
        let options = args.scope.options(args.before_install);
        files::write_recording(path, &seen.source.recording(look::arguments(&options)))?;
    }
    let exit =
        if seen.interrupted { Exit::Interrupted } else { Exit::of(&seen.diagnosis, args.allow_undecided) };
    let report = Report {
        diagnosis: seen.diagnosis,
        evidence: seen.evidence,
        policy: policy(args),
        context,
        server: Some(server).filter(|server| !server.is_empty()),
        exit,
    };
    let cut_short = seen.interrupted.then(|| {
        Failure::new(Kind::Interrupted, "interrupted, and the report holds what was seen until then")
            .as_json()
    });
    let written = match args.output {
        Format::Table => ui.out(&terminal::render(&report, Ui::width())),
        Format::Json => Ui::out_bytes(json::render(&report, cut_short.as_ref()).as_bytes()),
    };
    written.map_err(|error| no_output(&error))?;
    Ok(exit)
}
