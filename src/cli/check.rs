//! `check`: diagnoses a cluster, or a recording of one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use checks::evidence::Mode;
use clap::{Args, ValueEnum};

use super::Global;
use super::config_map::ConfigMapArgs;
use super::environment::{self, Defaults};
use super::failure::{Failure, Kind};
use super::look::Seen;
use super::observe::{self, Wanted};
use super::output::{Named, Output, OutputParser, Outputs};
use super::rules::RuleArgs;
use super::settings::{SettingArgs, Settings};
use super::target::TargetArgs;
use super::with::WithArgs;
use super::{bug, duration, files, look, open, output};
use crate::collect::{CollectOptions, KubeletLook};
use crate::exit::Exit;
use crate::report::{Report, mode_name};
use crate::ui::Ui;

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
    #[command(flatten)]
    judgement: Judgement,
    #[command(flatten)]
    config_map: ConfigMapArgs,
    #[command(flatten)]
    with: WithArgs,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    scope: Scope,
}

/// What counts as a failure, and where the result goes; of `check` and `gate` alike.
#[derive(Debug, Args)]
pub(super) struct Judgement {
    #[command(flatten)]
    pub(super) settings: SettingArgs,
    /// How to write the report, and where: `-o table -o junit=report.xml`
    ///
    /// May be given several times. Without a file a format goes to standard output, which holds one of them; when
    /// all have files, the table still goes there.
    #[arg(short, long, value_name = "FORMAT[=FILE]", value_parser = OutputParser)]
    pub(super) output: Vec<Output>,
    /// Also write what was observed to a file, as `capture` does
    #[arg(long, value_name = "FILE")]
    pub(super) record: Option<PathBuf>,
}

impl Judgement {
    /// Looks, and reports what was seen or why nothing was. `inputs` are files that are read and that no report and no
    /// recording may overwrite, each with the option that names it.
    pub(super) fn run(
        &self,
        ui: Ui,
        mode: Mode,
        inputs: &[Named<'_>],
        see: impl FnOnce(&Settings) -> Result<Seen, Failure>,
    ) -> Exit {
        self.run_and_keep(ui, mode, inputs, see, |_| Ok(()))
    }

    /// The same, for a report that `keep` takes elsewhere too. When it cannot, the report is written all the same, and
    /// says so.
    fn run_and_keep(
        &self,
        ui: Ui,
        mode: Mode,
        inputs: &[Named<'_>],
        see: impl FnOnce(&Settings) -> Result<Seen, Failure>,
        keep: impl FnOnce(&Report) -> Result<(), Failure>,
    ) -> Exit {
        let config = self.settings.file();
        let mut read = inputs.to_vec();
        read.extend([("--config", config.as_deref()), ("--baseline", self.settings.baseline.as_deref())]);
        let mut others = read.clone();
        others.push(("--record", self.record.as_deref()));
        let outputs = Outputs::new(&self.output, &others);
        let result = bug::caught(|| {
            outputs.check()?;
            if self.record.as_deref() == Some(Path::new("-")) {
                let failure = "--record cannot write to standard output, where the report goes";
                return Err(Failure::new(Kind::Usage, failure)
                    .hint("Name a file, or use `metrics-preflight capture -o -`."));
            }
            // With --replay there is no recording to write, which is said elsewhere.
            let written = read.iter().filter(|(name, _)| *name != "--replay");
            for read in written.filter_map(|(_, read)| *read) {
                if self.record.as_ref().is_some_and(|record| files::are_same(record, read)) {
                    let text = format!("--record would overwrite {}, which is read", read.display());
                    return Err(Failure::new(Kind::Usage, text).hint("Name another file for the recording."));
                }
            }
            let settings = self.settings.load(config.as_deref(), mode_name(mode), ui)?;
            self.report(see(&settings)?, &settings, &outputs, keep, ui)
        });
        match result {
            Ok(exit) => exit,
            Err(failure) => outputs.fail(ui, mode_name(mode), &failure),
        }
    }

    /// Prints the report and writes the recording.
    fn report(
        &self,
        seen: Seen,
        settings: &Settings,
        outputs: &Outputs,
        keep: impl FnOnce(&Report) -> Result<(), Failure>,
        ui: Ui,
    ) -> Result<Exit, Failure> {
        let connection = seen.source.connection();
        let (context, server) = (connection.context.clone(), connection.server.clone());
        if let Some(path) = &self.record {
            files::write_recording(path, &seen.source.recording(seen.arguments))?;
        }
        let exit = if seen.interrupted {
            Exit::Interrupted
        } else {
            Exit::of(&seen.diagnosis, settings.allow_undecided)
        };
        let mut report = Report {
            diagnosis: seen.diagnosis,
            evidence: seen.evidence,
            policy: settings.policy,
            context,
            server: Some(server).filter(|server| !server.is_empty()),
            exit,
        };
        let mut error = seen.interrupted.then(|| {
            Failure::new(Kind::Interrupted, "interrupted, and the report holds what was seen until then")
                .as_json()
        });
        let kept = keep(&report);
        if let Err(failure) = &kept {
            report.exit = failure.exit();
            error = Some(failure.as_json());
        }
        outputs.write(ui, &report, error.as_ref())?;
        Ok(kept.map_or_else(|failure| failure.tell(ui), |()| exit))
    }
}

/// What to look at.
#[derive(Debug, Args)]
pub(super) struct Scope {
    /// Look at the autoscalers of this namespace alone; `METRICS_PREFLIGHT_NAMESPACE` stands in for it
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// Whether to dial the kubelets from here, for their certificates; auto gives up early when none answers;
    /// `METRICS_PREFLIGHT_KUBELETS` stands in for it
    #[arg(long, value_name = "WHEN")]
    kubelets: Option<Kubelets>,
    /// Look at every node in full, not only at the suspect ones and a sample
    #[arg(long)]
    all_nodes: bool,
}

impl Scope {
    /// What a subcommand looks at that has no such arguments.
    pub(super) fn of(namespace: Option<String>, all_nodes: bool) -> Self {
        Self { namespace, kubelets: None, all_nodes }
    }

    /// The options of a look at a live cluster.
    pub(super) fn options(&self, before_install: bool, defaults: &Defaults) -> CollectOptions {
        CollectOptions {
            mode: if before_install { Mode::BeforeInstall } else { Mode::Installed },
            namespace: self.namespace.clone().or_else(|| defaults.namespace.clone()),
            kubelets: (self.kubelets.map(KubeletLook::from)).or(defaults.kubelets).unwrap_or_default(),
            all_nodes: self.all_nodes,
            gate: None,
            target_minor: defaults.target_minor,
            hosts: Vec::new(),
            probes: Vec::new(),
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Kubelets {
    Auto,
    Always,
    Never,
}

impl From<Kubelets> for KubeletLook {
    fn from(kubelets: Kubelets) -> Self {
        match kubelets {
            Kubelets::Auto => Self::Auto,
            Kubelets::Always => Self::Always,
            Kubelets::Never => Self::Never,
        }
    }
}

pub(super) fn run(args: &CheckArgs, global: &Global, ui: Ui) -> Exit {
    let asked = if args.before_install { Mode::BeforeInstall } else { Mode::Installed };
    let see = |settings: &Settings| {
        refuse_contradictions(args, global)?;
        let runtime = runtime()?;
        let seen = runtime.block_on(seen(args, global, settings, ui));
        // A plugin or a resolver that hangs must not hold up the report.
        runtime.shutdown_background();
        seen
    };
    let keep = |report: &Report| args.config_map.keep(report, global);
    let mut inputs = vec![("--replay", args.replay.as_deref())];
    inputs.extend(args.with.files().iter().map(|file| ("--with", Some(file.as_path()))));
    args.judgement.run_and_keep(ui, asked, &inputs, see, keep)
}

/// Writes the documents that these arguments want, when others among them cannot be used. The parser gives up at the
/// first that is wrong, so they are looked for one by one.
pub(super) fn refused(args: &[String], failure: &Failure) {
    let wanted: Vec<Output> =
        output::values(args, "--output", Some("-o")).filter_map(|value| Output::parse(value).ok()).collect();
    let path = |name| output::values(args, name, None).next().map(Path::new);
    let config = environment::config();
    let others = ["--replay", "--record", "--config", "--baseline"].map(|name| match name {
        "--config" => (name, path(name).or(config.as_deref())),
        name => (name, path(name)),
    });
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let mode = match () {
        () if has("gate") => Mode::Gate,
        () if has("host") => Mode::Host,
        () if has("--before-install") => Mode::BeforeInstall,
        () => Mode::Installed,
    };
    Outputs::new(&wanted, &others).say(mode_name(mode), failure);
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
        ("--record", args.judgement.record.is_some()),
        ("--namespace", args.scope.namespace.is_some()),
        ("--kubelets", args.scope.kubelets.is_some()),
        ("--all-nodes", args.scope.all_nodes),
        ("--config-map", args.config_map.config_map.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        Some((name, _)) => {
            Err(Failure::new(Kind::Usage, format!("{name} and --replay cannot be given together"))
                .hint("A recording holds what was asked of which cluster, once."))
        }
        None => Ok(()),
    }
}

async fn seen(args: &CheckArgs, global: &Global, settings: &Settings, ui: Ui) -> Result<Seen, Failure> {
    let rules = args.rules.load_with(&settings.config.rules)?;
    let with = args.with.load()?;
    let wanted = |options: CollectOptions| Wanted {
        options: with
            .joined(CollectOptions { target_minor: args.target.minor(&settings.defaults), ..options }),
        policy: settings.policy,
        rules,
        waivers: settings.config.waivers.clone(),
        baseline: settings.baseline.clone(),
        allow_undecided: settings.allow_undecided,
        wait: args.wait,
        with,
    };
    let Some(path) = &args.replay else {
        let options = args.scope.options(args.before_install, &settings.defaults);
        return observe::live(&wanted(options), global, ui).await;
    };
    let (source, header) = open::recording(path)?;
    let options = look::recorded(&header)?;
    if args.before_install && options.mode != Mode::BeforeInstall {
        return Err(Failure::new(Kind::Usage, "the recording was not made with --before-install")
            .hint("Replay it without --before-install, or record the cluster again with it."));
    }
    if options.mode == Mode::Gate {
        return Err(Failure::new(Kind::Usage, "the recording was made by `gate`")
            .hint("Replay it with `gate`, and with the manifests that it was about."));
    }
    observe::once(source, &wanted(options), ui).await
}
