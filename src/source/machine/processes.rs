//! Who runs on the machine, and which of several is the machine's own.

use checks::evidence::Process;
use jiff::Timestamp;

use super::files::{Root, Unread};
use super::{Look, Place, Unseen};
use crate::source::observation::FailureKind;
use crate::source::redact::flags;

/// The most processes that are looked at; `kernel.pid_max` is 4,194,304 at most and 32,768 by default.
const MOST: usize = 50_000;
/// Clock ticks in a second as procfs shows them: `USER_HZ` is 100 on every architecture that Kubernetes runs on.
const TICKS: i64 = 100;

/// The processes of a machine that have a command line, which kernel threads have not.
#[derive(Debug)]
pub(super) struct Processes {
    all: Vec<Running>,
    /// The machine's network namespace; nothing where it could not be read.
    network: Option<String>,
}

/// A process.
#[derive(Clone, Debug)]
pub(super) struct Running {
    pub(super) pid: i64,
    /// Its command line.
    pub(super) words: Vec<String>,
    /// Its network namespace; nothing where only root may see it.
    network: Option<String>,
    /// In how many PID namespaces below that of `/proc` it is; 1 for one that is in none of its own.
    depth: usize,
    started: Option<Timestamp>,
}

impl Running {
    /// The base name of its program.
    pub(super) fn name(&self) -> &str {
        let first = self.words.first().map_or("", String::as_str);
        first.rsplit('/').next().unwrap_or(first)
    }

    /// Its flags, the catalogued ones.
    pub(super) fn flags(&self) -> checks::evidence::Flags {
        flags::of_machine(&self.words)
    }

    /// When it was started; nothing where that could not be read.
    pub(super) fn started(&self) -> Option<Timestamp> {
        self.started
    }

    fn evidence(&self) -> Process {
        Process { pid: self.pid, flags: self.flags(), started: self.started }
    }

    /// Whether it is the program `name`, also as a subcommand of a binary that holds several (hyperkube).
    fn is(&self, name: &str) -> bool {
        let second = self.words.get(1).map_or("", String::as_str);
        self.name() == name || self.name() == "hyperkube" && second == name
    }

    /// What a distribution that puts several components into one process is called.
    fn bundle(&self, name: &str) -> Option<&'static str> {
        let second = self.words.get(1).map_or("", String::as_str);
        let serves = second == "server" || self.words.first().is_some_and(|first| first.ends_with(" server"));
        let works =
            serves || second == "agent" || self.words.first().is_some_and(|first| first.ends_with(" agent"));
        let node = matches!(name, "kubelet" | "kube-proxy");
        // k3s and rke2 rename themselves: `/usr/local/bin/k3s server` is one word in their command line.
        let program = self.name().split(' ').next().unwrap_or_default();
        match program {
            "k3s" | "k3s-server" | "k3s-agent" if (node && works) || serves => Some("k3s"),
            "kubelite" => Some("MicroK8s (kubelite)"),
            _ => None,
        }
    }
}

impl Processes {
    /// Reads `/proc` below a root.
    pub(super) fn look(root: &Root) -> Look<Self> {
        let names = root.names("/proc").map_err(|unread| unread.unseen("/proc"))?;
        let pids: Vec<i64> = names.iter().filter_map(|name| name.parse().ok()).collect();
        if pids.is_empty() {
            return Err(Unseen::lacking(format!("{} shows no processes", root.name("/proc"))));
        }
        if pids.len() > MOST {
            return Err(Unseen::other(format!("more than {MOST} processes")));
        }
        // `hidepid` hides the processes of others from everybody but root (proc(5)); then nothing can be said of who does
        // not run.
        if let Err(unread) = root.text("/proc/1/cmdline") {
            return Err(match unread {
                Unread::Absent | Unread::Denied(_) => Unseen {
                    kind: FailureKind::NotPermitted,
                    message: format!("{} shows the processes of others to root only", root.name("/proc")),
                },
                Unread::Unfit(words) => Unseen::other(words),
            });
        }
        let boot = boot_time(root);
        let all = pids.into_iter().filter_map(|pid| running(root, pid, boot)).collect();
        let of_machine = if root.is_own() { "/proc/self/ns/net" } else { "/proc/1/ns/net" };
        Ok(Self { all, network: root.link(of_machine).ok() })
    }

    /// All of them.
    pub(super) fn all(&self) -> &[Running] {
        &self.all
    }

    /// The machine's own process of a name; nothing where none runs.
    ///
    /// Other hosts may be seen in one `/proc`: nodes of kind and k3d, and containers of every kind. The machine's own
    /// share its network; who may not see that (it takes root) knows a process only that is in no PID namespace of its
    /// own.
    pub(super) fn own(&self, name: &str) -> Look<Option<&Running>> {
        let named: Vec<&Running> = self.all.iter().filter(|running| running.is(name)).collect();
        let mut own = Vec::new();
        let mut unknown = Vec::new();
        for running in named {
            match (&running.network, &self.network) {
                (Some(its), Some(machine)) if its == machine => own.push(running),
                (Some(_), Some(_)) => {}
                _ if running.depth == 1 => own.push(running),
                _ => unknown.push(running),
            }
        }
        match own.as_slice() {
            [one] => return Ok(Some(one)),
            [] => {}
            [one, other, ..] => {
                return Err(Unseen::other(format!(
                    "two processes {name} run in the machine's network, {} and {}, and which one is meant cannot be told",
                    one.pid, other.pid
                )));
            }
        }
        if let Some(running) = unknown.first() {
            return Err(Unseen {
                kind: FailureKind::NotPermitted,
                message: format!(
                    "the process {} ({name}) is in a container, and only root can see whether in this machine's network",
                    running.pid
                ),
            });
        }
        match self.all.iter().find_map(|running| Some((running, running.bundle(name)?))) {
            Some((running, bundle)) if self.is_own(running) => Err(Unseen::lacking(format!(
                "{bundle} (process {}) runs the {name} within itself, and its flags stand in no command line",
                running.pid
            ))),
            _ => Ok(None),
        }
    }

    fn is_own(&self, running: &Running) -> bool {
        match (&running.network, &self.network) {
            (Some(its), Some(machine)) => its == machine,
            _ => running.depth == 1,
        }
    }

    /// Whether a program of this name runs on the machine itself.
    pub(super) fn runs(&self, name: &str) -> bool {
        self.all.iter().any(|running| running.name() == name && self.is_own(running))
    }
}

impl Place {
    /// The processes.
    pub(super) fn processes(&self) -> Look<&Processes> {
        self.processes.as_ref().map_err(Clone::clone)
    }

    /// The machine's own process of a name, as evidence.
    pub(super) fn process(&self, name: &str) -> Look<Option<Process>> {
        Ok(self.processes()?.own(name)?.map(Running::evidence))
    }
}

fn running(root: &Root, pid: i64, boot: Option<i64>) -> Option<Running> {
    let line = root.text_part(&format!("/proc/{pid}/cmdline"), 128 << 10).ok()?;
    let words: Vec<String> = line.text.trim_end_matches('\0').split('\0').map(str::to_owned).collect();
    if words.iter().all(String::is_empty) {
        return None;
    }
    let status = root.text(&format!("/proc/{pid}/status")).unwrap_or_default();
    let depth = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
    let started = root.text(&format!("/proc/{pid}/stat")).ok().and_then(|stat| start(&stat, boot?));
    Some(Running {
        pid,
        words,
        network: root.link(&format!("/proc/{pid}/ns/net")).ok(),
        // Kernels without PID namespaces have no such line.
        depth: depth.map_or(1, |pids| pids.split_whitespace().count().max(1)),
        started,
    })
}

/// `btime` of `/proc/stat`: when the machine was booted, in seconds.
fn boot_time(root: &Root) -> Option<i64> {
    // A machine with many processors has long lines of interrupts before it.
    let stat = root.text_part("/proc/stat", 4 << 20).ok()?;
    stat.text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// The start of a process, field 22 of `/proc/PID/stat`, behind the name in brackets, which may hold anything.
fn start(stat: &str, boot: i64) -> Option<Timestamp> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks: i64 = fields.split_whitespace().nth(19)?.parse().ok()?;
    Timestamp::from_second(boot.checked_add(ticks / TICKS)?).ok()
}
