//! One program that the supervisor keeps alive on one host.

use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::layout::{HOST_PATH, Layout, ROLE_VARIABLE, UNREAD_MANIFESTS};
use crate::process::kill;
use crate::unit_file::{Start, UnitFile};

/// How long a program may take to end by itself. kube-apiserver would take half a minute to let its watchers go, and
/// scenarios restart it often.
const GRACE: Duration = Duration::from_secs(2);
/// The pause before a program that ended is started again.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Unit {
    pub(crate) host: String,
    pub(crate) name: String,
    /// The process whose namespaces are the host's.
    keeper: u32,
    log: PathBuf,
    kind: Kind,
    wanted: bool,
    child: Option<Child>,
    pub(crate) starts: u32,
    next: Instant,
}

enum Kind {
    Service {
        command: Vec<String>,
    },
    /// Runs what the host's unit file and its drop-ins say, as they are when it starts.
    UnitFile,
    /// Runs the command of a manifest, for as long as there is one.
    StaticPod {
        running: Option<u64>,
    },
}

impl Unit {
    pub(crate) fn service(layout: &Layout, host: &str, keeper: u32, name: &str, command: &[&str]) -> Self {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        Self::new(layout, host, keeper, name, Kind::Service { command })
    }

    pub(crate) fn of_file(layout: &Layout, host: &str, keeper: u32, name: &str) -> Self {
        Self::new(layout, host, keeper, name, Kind::UnitFile)
    }

    pub(crate) fn static_pod(layout: &Layout, host: &str, keeper: u32, name: &str) -> Self {
        Self::new(layout, host, keeper, name, Kind::StaticPod { running: None })
    }

    fn new(layout: &Layout, host: &str, keeper: u32, name: &str, kind: Kind) -> Self {
        // As with the kubelet, what is in the directory of manifests runs without being asked for.
        let wanted = matches!(kind, Kind::StaticPod { .. });
        Self {
            host: host.to_owned(),
            name: name.to_owned(),
            keeper,
            log: layout.log(host, name),
            kind,
            wanted,
            child: None,
            starts: 0,
            next: Instant::now(),
        }
    }

    /// The number of its process as the host sees it.
    pub(crate) fn pid_on_host(&self) -> Option<u32> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.as_ref()?.id())).ok()?;
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
        numbers.split_whitespace().last()?.parse().ok()
    }

    pub(crate) fn manifest(&self) -> Option<u64> {
        match self.kind {
            Kind::StaticPod { running } => running,
            Kind::Service { .. } | Kind::UnitFile => None,
        }
    }

    pub(crate) fn start(&mut self) -> Result<()> {
        self.wanted = true;
        self.next = Instant::now();
        self.tick()
    }

    pub(crate) fn stop(&mut self) {
        self.wanted = false;
        self.end();
    }

    /// Notices what has ended and what has been edited, and sets it right.
    pub(crate) fn tick(&mut self) -> Result<()> {
        if let Some(child) = &mut self.child
            && let Some(status) = child.try_wait()?
        {
            self.child = None;
            self.next = Instant::now() + PAUSE;
            self.note(&format!("{} ended: {status}", self.name));
        }
        let start = match &self.kind {
            Kind::Service { command } => Start::plain(command.clone()),
            Kind::UnitFile if !self.wanted || self.child.is_some() || Instant::now() < self.next => {
                return Ok(());
            }
            Kind::UnitFile => {
                let root = PathBuf::from(format!("/proc/{}/root", self.keeper));
                let start = UnitFile::load(&root, &self.name).and_then(|unit| unit.start());
                start.inspect_err(|error| {
                    self.next = Instant::now() + PAUSE;
                    self.note(&format!("{error:#}"));
                })?
            }
            Kind::StaticPod { running } => {
                let running = *running;
                let Some((start, hash)) = self.read_manifest(running) else {
                    return Ok(());
                };
                if running != Some(hash) {
                    self.end();
                    self.kind = Kind::StaticPod { running: Some(hash) };
                    self.next = Instant::now();
                }
                start
            }
        };
        if self.wanted && self.child.is_none() && Instant::now() >= self.next {
            self.spawn(&start)?;
        }
        Ok(())
    }

    /// What the manifest starts, and the hash of its text. A missing one ends the program; one that is no
    /// pod, half-written perhaps, changes nothing, and neither does any while nobody reads them.
    fn read_manifest(&mut self, running: Option<u64>) -> Option<(Start, u64)> {
        let unread = format!("/proc/{}/root{UNREAD_MANIFESTS}", self.keeper);
        if running.is_some() && self.child.is_some() && std::path::Path::new(&unread).exists() {
            return None;
        }
        let path = format!("/proc/{}/root/etc/kubernetes/manifests/{}.yaml", self.keeper, self.name);
        let Ok(text) = std::fs::read_to_string(path) else {
            if running.is_some() {
                self.end();
                self.kind = Kind::StaticPod { running: None };
            }
            return None;
        };
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        // The usual case, many times a second.
        if running == Some(hash) && self.child.is_some() {
            return None;
        }
        let argv = crate::manifest::command(&text).ok()?;
        let environment = crate::manifest::environment(&text).ok()?;
        Some((Start { argv, environment }, hash))
    }

    fn spawn(&mut self, start: &Start) -> Result<()> {
        let log = self.open_log()?;
        let namespace = |name: &str| format!("/proc/{}/ns/{name}", self.keeper);
        let mut entered = Command::new("nsenter");
        entered
            .arg(format!("--mount={}", namespace("mnt")))
            .arg(format!("--net={}", namespace("net")))
            .arg(format!("--uts={}", namespace("uts")))
            .arg("--")
            .args(&start.argv)
            .envs(&start.environment)
            .env_remove(ROLE_VARIABLE)
            .env("PATH", HOST_PATH)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0);
        let child = spawn_in(&namespace("pid"), &mut entered)
            .with_context(|| format!("cannot start {}", self.name))?;
        self.child = Some(child);
        self.starts += 1;
        Ok(())
    }

    fn end(&mut self) {
        let Some(mut child) = self.child.take() else {
            return;
        };
        let Ok(pid) = i32::try_from(child.id()) else {
            return;
        };
        kill(pid, Signal::TERM);
        let end = Instant::now() + GRACE;
        while matches!(child.try_wait(), Ok(None)) {
            if Instant::now() >= end {
                kill(pid, Signal::KILL);
                child.wait().ok();
                break;
            }
            thread::sleep(Duration::from_millis(20));
        }
        self.note(&format!("{} stopped", self.name));
    }

    fn open_log(&self) -> Result<File> {
        OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.log)
            .with_context(|| format!("cannot open {}", self.log.display()))
    }

    fn note(&self, text: &str) {
        if let Ok(mut log) = self.open_log() {
            writeln!(log, "[supervisor] {text}").ok();
        }
    }
}

/// Starts a program in a PID namespace, as a child of this process: `nsenter --pid` would stand between, and
/// a signal would end it instead of the program. Only the thread enters, and only for its children.
fn spawn_in(namespace: &str, command: &mut Command) -> Result<Child> {
    let namespace = File::open(namespace)?;
    let enter = || -> Result<Child> {
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::ProcessID))?;
        Ok(command.spawn()?)
    };
    thread::scope(|scope| scope.spawn(enter).join()).unwrap_or_else(|_| bail!("the thread panicked"))
}
