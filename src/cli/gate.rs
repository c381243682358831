//! `gate`: will these autoscalers be able to read their metrics.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use checks::evidence::{Evidence, Gate, Manifests, Mode};
use clap::Args;
use jiff::Timestamp;

use super::check::{Judgement, runtime};
use super::failure::{Failure, Kind};
use super::look::Seen;
use super::observe::{self, Wanted};
use super::rules::RuleArgs;
use super::settings::Settings;
use super::target::minor;
use super::with::With;
use super::{Global, duration, look, open};
use crate::collect::{CollectOptions, GateInput, KubeletLook};
use crate::exit::Exit;
use crate::manifest;
use crate::source::{Connection, Header, Recording, Source};
use crate::ui::Ui;

/// Prove that autoscalers will be able to read their metrics, before they are deployed
///
/// Reads manifests as they are applied (the output of `kustomize build` and `helm template` too), and decides for
/// every HorizontalPodAutoscaler among them, metric by metric, whether the HPA controller will read it on this cluster.
/// Nothing is created, and without --server-dry-run not even as a dry run. What only running pods can show is listed as
/// deferred.
#[expect(clippy::struct_excessive_bools, reason = "switches of a command line")]
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct GateArgs {
    /// A manifest, or a directory of them; `-` is standard input. May be given several times
    #[arg(short, long, value_name = "FILE|DIR")]
    filename: Vec<PathBuf>,
    /// Judge the autoscalers of the cluster as well, by what the HPA controller made of them
    #[arg(long)]
    live: bool,
    /// Ask no cluster: decide what the manifests alone can prove
    #[arg(long)]
    offline: bool,
    /// Look at the whole metrics pipeline as `check` does, also where the Metrics API gives what the autoscalers need
    #[arg(long)]
    pipeline: bool,
    /// Also ask the API server whether it would take the manifests: a dry run of each, which changes nothing
    #[arg(long)]
    server_dry_run: bool,
    /// Where manifests go that name no namespace, and with --live the only namespace to look at;
    /// `METRICS_PREFLIGHT_NAMESPACE` stands in for it
    #[arg(short, long, value_name = "NAMESPACE")]
    namespace: Option<String>,
    /// The version of Kubernetes that the manifests are for, such as 1.34, instead of the cluster's own;
    /// `METRICS_PREFLIGHT_TARGET_VERSION` stands in for it
    #[arg(long, value_name = "VERSION", value_parser = minor)]
    target_version: Option<u32>,
    /// Fail when there is no autoscaler to judge
    #[arg(long)]
    fail_if_none: bool,
    /// Look again until every metric is read or this time is up
    #[arg(long, value_name = "DURATION", value_parser = duration::parse)]
    wait: Option<Duration>,
    /// Judge by a recording that `gate --record` wrote instead of a cluster
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    #[command(flatten)]
    judgement: Judgement,
    #[command(flatten)]
    rules: RuleArgs,
}

const EXAMPLES: &str = "Examples:
  kustomize build overlays/production | metrics-preflight gate -f - -n shop
  metrics-preflight gate -f manifests/ --offline --target-version 1.34
  metrics-preflight gate --live -n shop --wait 7m";

pub(super) fn run(args: &GateArgs, global: &Global, ui: Ui) -> Exit {
    let mut inputs = vec![("--replay", args.replay.as_deref())];
    inputs.extend(args.filename.iter().map(|file| ("-f", Some(file.as_path()))));
    args.judgement.run(ui, Mode::Gate, &inputs, |settings| {
        refuse_contradictions(args, global)?;
        let manifests = manifests(args, ui)?;
        let runtime = runtime()?;
        let seen = runtime.block_on(seen(args, global, manifests, settings, ui));
        runtime.shutdown_background();
        let seen = seen?;
        let gate = &seen.evidence.gate;
        let asked = !args.live || gate.live.peek().is_some();
        if gate.plans.is_empty() && asked {
            ui.note(
                "there is no HorizontalPodAutoscaler where you asked for them, so there was none to judge",
            );
        }
        if args.live && args.namespace.is_none() && settings.defaults.namespace.is_none() {
            narrowed(&seen.evidence, ui);
        }
        // Where they could not be listed, nobody knows that there is none: the report says so.
        if args.fail_if_none && gate.plans.is_empty() && asked {
            return Err(Failure::new(Kind::Input, "there is no HorizontalPodAutoscaler to judge")
                .hint("Is it the right directory, and was every template rendered?"));
        }
        Ok(seen)
    })
}

/// Where there are more autoscalers than are judged at a time, nothing is.
pub(super) fn too_many(gate: &Gate) -> Result<(), Failure> {
    if gate.left_out == 0 {
        return Ok(());
    }
    let all = gate.plans.len() + gate.left_out;
    let words = format!("there are {all} autoscalers with their metrics, which is too many for one look");
    Err(Failure::new(Kind::Input, words)
        .hint("Judge them in parts: fewer files with -f, or one namespace with --live -n."))
}

/// Says where the autoscalers of one namespace stand for those of the cluster, which may not be listed.
fn narrowed(evidence: &Evidence, ui: Ui) {
    let live = &evidence.gate.live;
    let from = live.peek().map(|()| &live.from);
    let mut requests = from.into_iter().flatten().filter_map(|id| evidence.requests.get(*id));
    if let Some(namespace) =
        requests.find_map(|it| it.request.split("/namespaces/").nth(1)?.split('/').next())
    {
        ui.note(&format!(
            "the autoscalers of the whole cluster may not be listed: only those of namespace {namespace} were judged"
        ));
    }
}

fn refuse_contradictions(args: &GateArgs, global: &Global) -> Result<(), Failure> {
    if args.filename.is_empty() && !args.live {
        return Err(Failure::new(Kind::Usage, "there is nothing to judge")
            .hint("Name manifests with -f, or judge the autoscalers of the cluster with --live."));
    }
    if let Some(namespace) = args.namespace.as_deref().filter(|name| !is_namespace(name)) {
        return Err(Failure::new(Kind::Usage, format!("{namespace:?} is not the name of a namespace"))
            .hint("A namespace is named with at most 63 small letters, digits and dashes."));
    }
    let cluster = [
        ("--context", global.context.is_some()),
        ("--kubeconfig", global.kubeconfig.is_some()),
        ("--wait", args.wait.is_some()),
        ("--record", args.judgement.record.is_some()),
    ];
    let without = |other: &str, names: &[(&str, bool)]| match names.iter().find(|(_, given)| *given) {
        Some((name, _)) => {
            Err(Failure::new(Kind::Usage, format!("{name} and {other} cannot be given together"))
                .hint("One of them asks a cluster, and the other asks none."))
        }
        None => Ok(()),
    };
    if args.offline {
        let others = [
            ("--live", args.live),
            ("--replay", args.replay.is_some()),
            ("--pipeline", args.pipeline),
            ("--server-dry-run", args.server_dry_run),
        ];
        without("--offline", &others)?;
        without("--offline", &cluster)?;
    }
    if args.replay.is_some() {
        without("--replay", &cluster)?;
    }
    Ok(())
}

/// Whether a text may be the name of a namespace: a label as DNS has them.
fn is_namespace(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn manifests(args: &GateArgs, ui: Ui) -> Result<Manifests, Failure> {
    let reading = manifest::read(&args.filename, std::io::stdin().lock())
        .map_err(|error| Failure::new(Kind::Input, error.to_string()).hint(error.hint))?;
    if let Some(note) = reading.note() {
        ui.note(&note);
    }
    Ok(reading.manifests)
}

async fn seen(
    args: &GateArgs,
    global: &Global,
    manifests: Manifests,
    settings: &Settings,
    ui: Ui,
) -> Result<Seen, Failure> {
    let namespace = args.namespace.clone().or_else(|| settings.defaults.namespace.clone());
    let rules = args.rules.load_with(&settings.config.rules)?;
    let is_asked = |rule: &checks::rules::Rule| rule.check().0.modes.contains(&Mode::Gate);
    if !rules.list.is_empty() && !rules.list.iter().any(is_asked) {
        ui.note("none of the rules is for a gate; a rule that is says `modes: [gate]`");
    }
    let options = CollectOptions {
        mode: Mode::Gate,
        namespace: namespace.clone(),
        kubelets: KubeletLook::Auto,
        all_nodes: false,
        target_minor: None,
        hosts: Vec::new(),
        probes: Vec::new(),
        gate: Some(GateInput {
            manifests,
            namespace,
            live: args.live,
            offline: args.offline,
            pipeline: args.pipeline,
            dry_run: args.server_dry_run,
            target_minor: args.target_version.or(settings.defaults.target_minor),
        }),
    };
    let wanted = Wanted {
        options,
        policy: settings.policy,
        rules,
        waivers: settings.config.waivers.clone(),
        baseline: settings.baseline.clone(),
        allow_undecided: settings.allow_undecided,
        wait: args.wait,
        with: With::default(),
    };
    if args.offline {
        return observe::once(nobody(), &wanted, ui).await;
    }
    match &args.replay {
        None => observe::live(&wanted, global, ui).await,
        Some(path) => {
            let (source, header) = open::recording(path)?;
            if look::recorded(&header)?.mode != Mode::Gate {
                return Err(Failure::new(Kind::Usage, "the recording was not made by `gate`")
                    .hint("Record the cluster with `gate --record FILE` and the same manifests."));
            }
            observe::once(source, &wanted, ui).await
        }
    }
}

/// A source that was never asked anything.
fn nobody() -> Source {
    let header = Header {
        format_version: crate::source::recording::FORMAT_VERSION,
        tool: format!("metrics-preflight {}", env!("CARGO_PKG_VERSION")),
        taken_at: Timestamp::now(),
        clock_offset_seconds: None,
        masked: 0,
        connection: Connection::default(),
        arguments: BTreeMap::new(),
    };
    Recording { header, observations: Vec::new() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn namespaces_are_labels() {
        for name in ["a", "team-1", "0", &"a".repeat(63)] {
            assert!(is_namespace(name), "{name}");
        }
        for name in ["", "../../secrets", "a/b", "-a", "a-", "A", "a.b", "a%2fb", &"a".repeat(64)] {
            assert!(!is_namespace(name), "{name}");
        }
    }

    #[test]
    fn versions_are_read_as_people_write_them() {
        for (text, expected) in [("1.34", 34), ("v1.30.2", 30), ("1.36.2+k3s1", 36)] {
            assert_eq!(minor(text), Ok(expected), "{text}");
        }
        for text in ["", "2.1", "1", "one", "1.x"] {
            assert!(minor(text).is_err(), "{text}");
        }
    }
}
