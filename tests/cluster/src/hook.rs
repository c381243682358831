//! The parts that this program plays inside a cluster.

use std::env;
use std::path::Path;
use std::process::exit;
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};

use crate::{host, init, journalctl, policy, supervisor, systemctl};

/// The first argument of a program that was started to play a part.
pub(crate) const MARK: &str = "__cluster";

static CALLED: OnceLock<()> = OnceLock::new();

/// Must be called first thing in `main` of a program that starts clusters: the cluster's supervisor and the
/// hosts' `systemctl` are that same program, started again. Returns when it was not started for that.
pub fn hook() {
    CALLED.get_or_init(|| ());
    let args: Vec<String> = env::args().collect();
    let called = args.first().map(Path::new).and_then(Path::file_name).and_then(|name| name.to_str());
    let result = match (called, args.get(1).map(String::as_str)) {
        (Some("systemctl"), _) => systemctl::main(&args[1..]),
        (Some("journalctl"), _) => journalctl::main(&args[1..]),
        (Some(policy::PLUGIN), _) => policy::plugin(),
        (_, Some(MARK)) => play(&args[2..]).map(|()| 0),
        _ => return,
    };
    exit(result.unwrap_or_else(|error| {
        eprintln!("{error:#}");
        1
    }))
}

pub(crate) fn called() -> bool {
    CALLED.get().is_some()
}

fn play(args: &[String]) -> Result<()> {
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["launch", cluster] => init::launch(cluster),
        ["init", cluster] => init::init(cluster),
        ["supervise", cluster] => supervisor::run(cluster),
        ["keep", cluster, host] => host::keep(cluster, host).context("setting the host up"),
        ["policies"] => policy::agent(),
        _ => bail!("unknown part: {}", args.join(" ")),
    }
}
