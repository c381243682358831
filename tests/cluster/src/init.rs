//! The first process of a cluster. It has a PID namespace: whoever kills it takes everything in the cluster down,
//! pods and orphans included, and nothing else.

use std::env;
use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::mount::{MountFlags, mount};
use rustix::process::{WaitOptions, setsid, wait};

use crate::cgroup;
use crate::hook::{self, MARK};
use crate::layout::{CLUSTER_VARIABLE, HOST_PATH, Layout, ROLE_VARIABLE};

/// Starts the cluster's first process and leaves it alone.
pub(crate) fn start(layout: &Layout) -> Result<()> {
    let program = layout.program();
    place(&own_program()?, &program)?;
    let log = File::create(layout.dir().join("logs/supervisor.log"))?;
    Command::new(program)
        .args([MARK, "launch", &layout.name])
        .env_clear()
        .env("PATH", HOST_PATH)
        .env("HOME", "/root")
        .env(CLUSTER_VARIABLE, &layout.name)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("cannot start the supervisor")?;
    Ok(())
}

/// Puts a program at a path. It is linked where the file system allows: a copy is open for writing, and a
/// process that another thread starts meanwhile keeps it so for a moment ("Text file busy").
fn place(program: &Path, at: &Path) -> Result<()> {
    if fs::hard_link(program, at).is_ok() {
        return Ok(());
    }
    let partial = at.with_extension("partial");
    let copied = Command::new("cp").arg(program).arg(&partial).status().context("cannot start cp")?;
    if !copied.success() {
        bail!("cannot copy {} to {}", program.display(), partial.display());
    }
    fs::rename(&partial, at).with_context(|| format!("cannot write {}", at.display()))
}

/// A program that calls [`crate::hook`]: the running one, or the `cluster` that was built beside it.
fn own_program() -> Result<PathBuf> {
    let own = env::current_exe()?;
    if hook::called() {
        return Ok(own);
    }
    let beside = own.parent().into_iter().flat_map(Path::ancestors).take(2);
    for directory in beside {
        let program = directory.join("cluster");
        if program.is_file() {
            return Ok(program);
        }
    }
    bail!("call `cluster::hook()` first in `main`, or build the program `cluster`")
}

/// Leaves the caller's session and control groups and becomes `unshare`, whose child is [`init`].
pub(crate) fn launch(cluster: &str) -> Result<()> {
    let layout = Layout::load(cluster)?;
    setsid()?;
    cgroup::enter(&layout)?;
    let error = Command::new("unshare")
        .args(["--pid", "--fork", "--mount", "--propagation", "private", "--"])
        .arg(env::current_exe()?)
        .args([MARK, "init", cluster])
        .exec();
    Err(error).context("cannot start unshare")
}

/// Starts the supervisor, then collects the exit codes of orphans for as long as the cluster lives.
pub(crate) fn init(cluster: &str) -> Result<()> {
    mount("proc", "/proc", "proc", MountFlags::empty(), None).context("cannot mount /proc")?;
    Command::new(env::current_exe()?)
        .args([MARK, "supervise", cluster])
        .env(ROLE_VARIABLE, "supervisor")
        .spawn()
        .context("cannot start the supervisor")?;
    adopt_orphans()
}

/// The life of the first process of a PID namespace: it collects the exit codes of those whose parents are gone.
pub(crate) fn adopt_orphans() -> ! {
    loop {
        if wait(WaitOptions::empty()).is_err() {
            // Not even an orphan is left.
            std::thread::sleep(std::time::Duration::from_secs(1));
        }
    }
}
