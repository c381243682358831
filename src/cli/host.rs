//! `host`: looks at the machine that the program runs on.

use std::path::{Path, PathBuf};

use checks::evidence::Mode;
use clap::Args;

use super::check::{Judgement, runtime};
use super::failure::{Failure, Kind};
use super::interrupt::Interrupt;
use super::look::{self, Judge, Seen, interrupted};
use super::output::{HostOutput, HostOutputParser};
use super::rules::RuleArgs;
use super::settings::{SettingArgs, Settings};
use super::target::TargetArgs;
use crate::collect::{CollectOptions, HostLook, KubeletLook};
use crate::exit::Exit;
use crate::source::Source;
use crate::ui::Ui;

/// The most addresses that are dialled.
const DIALS: usize = 64;

/// Look at this machine: a node, or a host of the control plane
///
/// Reads what the API server cannot show: what the kernel forwards and its packet filter drops, what the kubelet was
/// told to read, the front proxy's certificates on disk, the clock. Root sees all of it. Nothing is changed, and nothing
/// is sent but a question for the time to the API server, one to each name server, and what --dial asks for.
/// `check --with FILE` joins the recording with what the cluster shows.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct HostArgs {
    /// The machine's root file system, where it is mounted elsewhere, as in a debug pod
    #[arg(long, value_name = "DIR", default_value = "/")]
    root: PathBuf,
    /// What to call the machine, instead of its host name
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// Dial an address from here, such as a pod's; may be given several times
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = target)]
    dial: Vec<String>,
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    settings: SettingArgs,
    /// How to write the report, and where; a file that ends with .jsonl gets the recording instead
    ///
    /// May be given several times: `-o json=node1.json -o node1.jsonl`. Without a file a format goes to standard output,
    /// which holds one of them; when all have files, the table still goes there.
    #[arg(short, long, value_name = "FORMAT[=FILE]|FILE.jsonl", value_parser = HostOutputParser)]
    output: Vec<HostOutput>,
    /// Write what was seen to a file, for `check --with` and `check --replay`
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    #[command(flatten)]
    rules: RuleArgs,
}

const EXAMPLES: &str = "Examples:
  sudo metrics-preflight host
  sudo metrics-preflight host --dial 10.244.1.5:10250 -o node1.jsonl
  metrics-preflight host --root /host -o json
  metrics-preflight host --target-version 1.37
  metrics-preflight check --with node1.jsonl --with control-plane.jsonl";

/// A machine's name stands in requests and recordings.
fn name(text: &str) -> Result<String, String> {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-._".contains(letter);
    if (1..=253).contains(&text.len()) && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("a name has letters, digits, dashes, dots and underscores, 253 at most".to_owned())
    }
}

fn target(text: &str) -> Result<String, String> {
    match crate::source::dial_target(text) {
        Some(_) => Ok(text.to_owned()),
        None => Err("give an address and a port, such as 10.0.0.1:10250 or [fd00::1]:10250".to_owned()),
    }
}

/// The judgement's arguments, once a recording among the outputs has been told apart.
fn judgement(args: HostArgs) -> Result<(Judgement, HostOptions), Failure> {
    let mut record = args.record;
    let mut output = Vec::new();
    for wanted in args.output {
        match wanted {
            HostOutput::Report(report) => output.push(report),
            HostOutput::Recording(file) if record.is_none() => record = Some(file),
            HostOutput::Recording(_) => {
                return Err(Failure::new(Kind::Usage, "one file takes the recording, and two are named")
                    .hint("Give `--record FILE` or one `-o FILE.jsonl`."));
            }
        }
    }
    let options = HostOptions {
        root: args.root,
        name: args.name,
        dials: args.dial,
        target: args.target,
        rules: args.rules,
    };
    Ok((Judgement { settings: args.settings, output, record }, options))
}

/// What is looked at.
struct HostOptions {
    root: PathBuf,
    name: Option<String>,
    dials: Vec<String>,
    target: TargetArgs,
    rules: RuleArgs,
}

pub(super) fn run(args: HostArgs, ui: Ui) -> Exit {
    let (judgement, options) = match judgement(args) {
        Ok(both) => both,
        Err(failure) => return failure.tell(ui),
    };
    judgement.run(ui, Mode::Host, &[], |settings| {
        refuse(&options)?;
        let runtime = runtime()?;
        let seen = runtime.block_on(seen(&options, settings, ui));
        // A file system that hangs must not hold up the report.
        runtime.shutdown_background();
        seen
    })
}

/// Refuses what would be a look at something else.
fn refuse(options: &HostOptions) -> Result<(), Failure> {
    if options.dials.len() > DIALS {
        return Err(Failure::new(
            Kind::Usage,
            format!("there are {} addresses to dial", options.dials.len()),
        )
        .hint(format!("Give at most {DIALS}.")));
    }
    // The kubelet mounts this into every container of every pod (pkg/kubelet/kuberuntime).
    let in_pod = options.root == Path::new("/") && Path::new("/dev/termination-log").exists();
    if in_pod {
        return Err(Failure::new(Kind::Usage, "this is a container of a pod, and not the machine below it").hint(
            "Mount the machine's root (`kubectl debug node/NAME` does, at /host), share its process namespace and its \
             network, and name the root: `host --root /host`.",
        ));
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
async fn seen(_options: &HostOptions, _settings: &Settings, _ui: Ui) -> Result<Seen, Failure> {
    Err(Failure::new(Kind::Usage, "only a machine with Linux can be looked at")
        .hint("Run this on a node or a host of the control plane."))
}

#[cfg(target_os = "linux")]
async fn seen(options: &HostOptions, settings: &Settings, ui: Ui) -> Result<Seen, Failure> {
    use crate::source::{Machine, MachineOptions};

    let user = rustix::process::geteuid();
    if options.root != Path::new("/") && !user.is_root() {
        ui.note(&format!(
            "This runs as user {}, and most of what is below {} is for root to read. In a debug pod `kubectl debug \
             --custom=FILE` makes it root, with {{\"securityContext\": {{\"runAsUser\": 0}}}} in the file.",
            user.as_raw(),
            options.root.display()
        ));
    }
    let rules = options.rules.load_with(&settings.config.rules)?;
    let stop = Interrupt::listen().await;
    let mut dials = options.dials.clone();
    dials.sort();
    dials.dedup();
    let look =
        MachineOptions { root: options.root.clone(), name: options.name.clone(), dials: dials.clone() };
    let machine = tokio::select! {
        machine = Machine::look(&look) => machine.map_err(|error| {
            Failure::from_sentence(Kind::Usage, &error.to_string())
                .hint("Name the directory at which the machine's root is mounted.")
        })?,
        () = stop.wanted() => return Err(interrupted()),
    };
    let hosts = vec![HostLook { name: machine.name().to_owned(), dials }];
    let options = CollectOptions {
        mode: Mode::Host,
        namespace: None,
        kubelets: KubeletLook::Never,
        all_nodes: false,
        gate: None,
        target_minor: options.target.minor(&settings.defaults),
        hosts,
        probes: Vec::new(),
    };
    let judge = Judge {
        policy: settings.policy,
        rules: &rules,
        waivers: &settings.config.waivers,
        baseline: settings.baseline.as_ref(),
    };
    look::look(Source::from(machine), &options, judge, &stop, ui).await
}
