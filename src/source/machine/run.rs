//! Running the machine's own programs: from fixed directories, with no environment, and what they print is bounded in
//! time and size.
//!
//! In another root than our own they run after `chroot(2)`, so that they find their libraries. `Command` of the
//! standard library cannot change its root before it starts a program without unsafe code, so this program starts
//! itself once more for that, with [`INSIDE`].

use std::ffi::OsString;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::files::Unread;
use super::{Look, Place, Unseen, too_slow};

/// The first argument of this program where it is to change its root and become another one.
const INSIDE: &str = "__inside";
/// Where programs are looked for; `PATH` is not, because whoever set it may not be root. The last is NixOS'.
const DIRECTORIES: [&str; 5] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/run/current-system/sw/bin"];
/// How long a program may take.
const LIMIT: Duration = Duration::from_secs(8);
/// How much memory of its own a program may take. A listing of 50,000 rules takes nft some 400 MiB. What it only reserves does
/// not count: programs in Go, such as the kubelet, reserve more than that when they say their version.
const MEMORY: u64 = 512 << 20;
/// How much of its output is read: rules of iptables take 150 bytes each, those of nftables in JSON 500.
pub(super) const OUTPUT: usize = 64 << 20;

/// What a program printed.
#[derive(Debug)]
pub(super) struct Printed {
    pub(super) text: String,
    /// Whether it went on.
    pub(super) cut: bool,
}

/// Where a program is; nothing where it is not there.
pub(super) fn find(place: &Place, program: &str) -> Option<String> {
    let paths = DIRECTORIES.iter().map(|directory| format!("{directory}/{program}"));
    // A program may be there without being readable.
    let is_there = |path: &String| matches!(place.root.exists(path), Ok(true) | Err(Unread::Denied(_)));
    paths.into_iter().find(is_there)
}

/// The version that a program of the machine prints for `--version`, without a leading `v`: the first word that looks like
/// one, as in `Kubernetes v1.36.2` and `containerd github.com/containerd/containerd v1.7.13 7c3aca7a`. Nothing where somebody
/// other than root may have put the program there: whoever starts a process chooses what its command line says.
pub(super) async fn version(place: &Place, program: &str) -> Option<String> {
    if !program.starts_with('/') || !place.root.is_only_roots(program) {
        return None;
    }
    number(output(place, program, &["--version"]).await.ok()?.text.lines().next()?)
}

/// The first word of a line that is a version.
pub(super) fn number(line: &str) -> Option<String> {
    let is_version = |word: &&str| {
        word.split('.').take(2).filter(|part| part.parse::<u32>().is_ok()).count() == 2 && word.len() <= 64
    };
    line.split_whitespace().map(|word| word.trim_start_matches('v')).find(is_version).map(str::to_owned)
}

/// Runs a program of the machine, and ends it when it takes too long or prints too much.
pub(super) async fn output(place: &Place, program: &str, arguments: &[&str]) -> Look<Printed> {
    let mut command = if place.root.is_own() {
        Command::new(program)
    } else {
        let own =
            std::env::current_exe().map_err(|error| Unseen::other(format!("cannot find itself: {error}")))?;
        let mut command = Command::new(own);
        command.args([INSIDE, &place.root.shown, program]);
        command
    };
    command.args(arguments).env_clear().env("LC_ALL", "C").current_dir("/").kill_on_drop(true);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed = |error: std::io::Error| Unseen::other(format!("{program}: {error}"));
    let mut child = command.spawn().map_err(failed)?;
    let memory = memory();
    bound(&child, memory);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let read = async {
        let (printed, said) = tokio::join!(
            async {
                let mut bytes = Vec::new();
                if let Some(stdout) = stdout {
                    stdout.take(OUTPUT as u64 + 1).read_to_end(&mut bytes).await?;
                }
                std::io::Result::Ok(bytes)
            },
            async {
                let mut bytes = Vec::new();
                if let Some(mut stderr) = stderr {
                    let _ = (&mut stderr).take(4096).read_to_end(&mut bytes).await;
                    // Whoever complains at length must not be stopped by a full pipe.
                    let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
                }
                String::from_utf8_lossy(&bytes).into_owned()
            }
        );
        std::io::Result::Ok((printed?, said))
    };
    let Ok(read) = timeout(LIMIT, read).await else {
        let _ = child.kill().await;
        return Err(too_slow(program, LIMIT));
    };
    let (mut bytes, said) = read.map_err(failed)?;
    let cut = bytes.len() > OUTPUT;
    bytes.truncate(OUTPUT);
    if cut {
        let _ = child.kill().await;
    } else {
        let status = match timeout(Duration::from_secs(1), child.wait()).await {
            Ok(status) => status.map_err(failed)?,
            Err(_) => return Err(Unseen::other(format!("{program} does not end"))),
        };
        if !status.success() {
            let said = said.lines().next().unwrap_or("without a word").trim();
            let starved = ["emory", "alloc", "ENOMEM"].iter().any(|word| said.contains(word));
            let bound = if starved || status.signal().is_some() {
                format!(" (it may use {} MiB here)", memory >> 20)
            } else {
                String::new()
            };
            return Err(Unseen::other(format!("{program} failed ({status}): {said}{bound}")));
        }
    }
    let text = String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(&error.into_bytes()).into_owned());
    Ok(Printed { text, cut })
}

/// How much a program may take: half of what this one has, where a container bounds it (256 MiB in the pod of `probe --host`).
fn memory() -> u64 {
    let files = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let read = |path: &&str| std::fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    files.iter().find_map(read).map_or(MEMORY, |limit| (limit / 2).clamp(128 << 20, MEMORY))
}

/// Bounds the memory of a program that has just been started, before it can have taken much. Without unsafe code it cannot be
/// done before that; where it cannot be done at all, the program runs without.
fn bound(child: &Child, memory: u64) {
    let number = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(number) = number {
        let most = |most| Rlimit { current: Some(most), maximum: Some(most) };
        // nft ends by abort(3) when it gets no memory; nothing is to be written for that.
        let _ = prlimit(Some(number), Resource::Core, most(0));
        let _ = prlimit(Some(number), Resource::Data, most(memory));
    }
}

/// Where this program was started with [`INSIDE`], it changes its root and becomes another program. It comes back only when
/// that fails.
pub(crate) fn inside() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != INSIDE {
        return None;
    }
    let arguments: Vec<OsString> = arguments.collect();
    // Whoever started it reads this.
    eprintln!("{}", become_inside(&arguments));
    Some(ExitCode::FAILURE)
}

/// Changes the root and becomes another program; comes back only with what went wrong.
fn become_inside(arguments: &[OsString]) -> std::io::Error {
    let [root, program, rest @ ..] = arguments else {
        return std::io::Error::other("a root and a program are missing");
    };
    let entered = std::env::set_current_dir(root)
        .and_then(|()| rustix::process::chroot(".").map_err(Into::into))
        .and_then(|()| std::env::set_current_dir("/"));
    match entered {
        Ok(()) => std::process::Command::new(program).args(rest).exec(),
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::files::Root;
    use super::super::processes::Processes;
    use super::*;

    /// `tail` keeps the last line, and the zeros never end one.
    #[tokio::test]
    async fn a_program_that_takes_too_much_memory_is_stopped_and_that_is_said() {
        let root = Root::open(Path::new("/")).expect("the root");
        let place = Place { processes: Processes::look(&root), root, is_root: false };
        let tail = find(&place, "tail").expect("tail is there");
        let failed = output(&place, &tail, &["-n", "1", "/dev/zero"]).await.expect_err("it cannot end");
        // On a machine at its limits time is up first.
        let told = failed.message.contains(" MiB here)") || failed.words().contains("no answer in time");
        assert!(told, "{failed:?}");
    }
}
