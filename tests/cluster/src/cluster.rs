//! A running cluster, and how it comes and goes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::fs::{FlockOperation, flock};

use crate::control::Verb;
use crate::layout::{CONTROL_PLANE, HOST_PATH, Layout, is_control_plane, state_root};
use crate::net::{self, API_ONLY, NO_ROUTE, WORKSTATION};
use crate::options::{Options, Vantage};
use crate::run::{LIMIT, Output, run, wait_for};
use crate::{cgroup, files, image, init, process, programs};

/// A running cluster. Dropping it takes the cluster down, unless it is kept.
#[derive(Debug)]
pub struct Cluster {
    pub(crate) layout: Layout,
    pub(crate) programs: PathBuf,
    /// For every host the process whose namespaces are the host's.
    keepers: BTreeMap<String, i32>,
    keep: bool,
}

impl Cluster {
    /// Starts a cluster and waits until every node is Ready. What an earlier one of the same name has left is
    /// removed first.
    ///
    /// # Errors
    /// When a part does not start in time; the message holds the end of its log.
    pub fn up(options: &Options) -> Result<Self> {
        let layout = Layout::new(&options.name, options.nodes.len(), options.apiservers)?;
        let programs = programs::ensure_installed()?;
        let running = process::of_cluster(&layout.name).iter().any(|p| p.role.is_some());
        ensure!(
            options.replace || !running,
            "cluster {0} is running; `cluster down --name {0}` ends it",
            layout.name
        );
        down(&layout.name)?;
        let lock = lock(&layout)?;
        for directory in ["bin", "hosts", "images", "kubeconfigs", "logs"] {
            fs::create_dir_all(layout.dir().join(directory))?;
        }
        layout.save()?;
        raise_inotify_limits();
        let mut cluster = Self { layout, programs, keepers: BTreeMap::new(), keep: false };
        let result = cluster.boot(options);
        // A cluster that did not come up is removed when it is dropped, and that takes the lock.
        drop(lock);
        result?;
        cluster.keep = options.keep;
        Ok(cluster)
    }

    /// A handle of a cluster that another process has started; it stays when the handle is dropped.
    ///
    /// # Errors
    /// When no such cluster runs.
    pub fn open(name: &str) -> Result<Self> {
        let layout = Layout::load(name).with_context(|| format!("no cluster is called {name}"))?;
        let mut cluster =
            Self { layout, programs: programs::ensure_installed()?, keepers: BTreeMap::new(), keep: true };
        cluster.find_keepers()?;
        Ok(cluster)
    }

    fn boot(&mut self, options: &Options) -> Result<()> {
        net::create(&self.layout)?;
        cgroup::create(&self.layout)?;
        init::start(&self.layout)?;
        let socket = self.layout.socket();
        wait_for("the supervisor", Duration::from_secs(30), || Ok(socket.exists()))
            .map_err(|error| self.explain(error, &self.layout.dir().join("logs/supervisor.log")))?;
        self.find_keepers()?;
        self.write_files(options)?;
        self.ask(Verb::Start, CONTROL_PLANE, "etcd")?;
        let nodes = self.nodes();
        for node in &nodes {
            self.ask(Verb::Start, node, "containerd")?;
        }
        let base = self.layout.dir().join("images/base.tar");
        image::write_base(&base)?;
        thread::scope(|scope| {
            let imports: Vec<_> = nodes.iter().map(|node| scope.spawn(|| self.import(node, &base))).collect();
            let api = self.bootstrap();
            let imports = imports
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("an import panicked"))));
            imports.collect::<Result<Vec<()>>>().and(api)
        })?;
        for host in self.layout.hosts() {
            if !is_control_plane(&host) {
                self.ask(Verb::Start, &host, "kubelet")?;
            }
            self.ask(Verb::Start, &host, "kube-proxy")?;
        }
        self.wait_nodes_ready(Duration::from_mins(1))?;
        self.wait_apiservers(Duration::from_mins(1))?;
        self.approve_at_start(options)?;
        // kube-controller-manager publishes the cluster's CA a moment after the nodes are Ready. Until then nothing
        // in a pod could verify anybody, and a look finds the certificates of the kubelets undecided.
        wait_for("the cluster's CA in kube-system", Duration::from_mins(1), || {
            self.get(&["configmap", "-n", "kube-system", "kube-root-ca.crt"]).map(|_| true)
        })
    }

    fn write_files(&self, options: &Options) -> Result<()> {
        files::write(&self.layout, options, &self.programs, |host| self.path(host, "/"))
    }

    fn find_keepers(&mut self) -> Result<()> {
        self.keepers = process::of_cluster(&self.layout.name)
            .into_iter()
            .filter(|process| process.role.as_deref() == Some("keeper"))
            .filter_map(|process| Some((process.host?, process.pid)))
            .collect();
        for host in self.layout.hosts() {
            ensure!(
                self.keepers.contains_key(&host),
                "host {host} of cluster {} is not running",
                self.layout.name
            );
        }
        Ok(())
    }

    /// Removes every trace of it.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn down(mut self) -> Result<()> {
        self.keep = true;
        down(&self.layout.name)
    }

    /// Whether it outlives this handle.
    pub fn keep(&mut self, keep: bool) {
        self.keep = keep;
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.layout.name
    }

    /// `node1`, `node2`, …
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        self.layout.node_names()
    }

    /// The hosts with a kube-apiserver: `cp`, `cp2`, …
    #[must_use]
    pub fn control_planes(&self) -> Vec<String> {
        self.layout.control_plane_names()
    }

    /// The address of `cp`, `node1`, …
    ///
    /// # Errors
    /// When there is no such host.
    pub fn address(&self, host: &str) -> Result<String> {
        net::address(host)
    }

    /// A file of a host, as it is reached from outside. An absolute symbolic link there leads astray.
    #[must_use]
    pub fn path(&self, host: &str, path: &str) -> PathBuf {
        let keeper = self.keepers.get(host).copied().unwrap_or_default();
        Path::new("/proc").join(keeper.to_string()).join("root").join(path.trim_start_matches('/'))
    }

    /// Runs a program on a host as its root, who finds `kubectl`, `kubeadm` and `systemctl` there.
    ///
    /// # Errors
    /// When it cannot be started or does not end in two minutes; its failure is no error.
    pub fn exec(&self, host: &str, argv: &[&str]) -> Result<Output> {
        self.exec_within(host, argv, None, LIMIT)
    }

    /// The same with an input and a time limit.
    ///
    /// # Errors
    /// When it cannot be started or does not end in time; its failure is no error.
    pub fn exec_within(
        &self,
        host: &str,
        argv: &[&str],
        input: Option<&str>,
        limit: Duration,
    ) -> Result<Output> {
        run(&mut self.host_command(host, argv)?, input, limit)
    }

    /// Runs `sh -c SCRIPT` on a host, as an operator there would.
    ///
    /// # Errors
    /// As [`Cluster::exec`].
    pub fn shell(&self, host: &str, script: &str) -> Result<Output> {
        self.exec(host, &["sh", "-c", script])
    }

    /// The command that runs a program on a host, for [`Cluster::exec`] and for terminals.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn host_command(&self, host: &str, argv: &[&str]) -> Result<Command> {
        let mut command = Command::new("nsenter");
        command
            .args(self.host_arguments(host)?)
            .args(argv)
            .env_clear()
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .env("PATH", HOST_PATH);
        if is_control_plane(host) {
            command.env("KUBECONFIG", "/etc/kubernetes/admin.conf");
        }
        Ok(command)
    }

    fn host_arguments(&self, host: &str) -> Result<Vec<String>> {
        let Some(keeper) = self.keepers.get(host) else {
            bail!("cluster {} has no host {host:?}", self.layout.name);
        };
        let words = ["-t", &keeper.to_string(), "-m", "-n", "-p", "-u", "--"];
        Ok(words.iter().map(|word| (*word).to_owned()).collect())
    }

    /// The command, wrapped so that it runs at the vantage. Its environment and working directory are kept, its
    /// redirections are not: set them on the result.
    ///
    /// # Errors
    /// When there is no such host.
    pub fn in_namespace(&self, vantage: &Vantage, command: &Command) -> Result<Command> {
        let mut wrapped = Command::new("nsenter");
        match vantage {
            Vantage::Nodes => wrapped.args(self.network(WORKSTATION)),
            Vantage::ApiOnly => wrapped.args(self.network(API_ONLY)),
            Vantage::ApiOnlyNoRoute => wrapped.args(self.network(NO_ROUTE)),
            Vantage::Host(host) => wrapped.args(self.host_arguments(host)?),
        };
        wrapped.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        if let Some(directory) = command.get_current_dir() {
            wrapped.current_dir(directory);
        }
        Ok(wrapped)
    }

    pub(crate) fn network(&self, host: &str) -> [String; 2] {
        [format!("--net=/run/netns/{}", self.layout.netns(host)), "--".to_owned()]
    }

    /// The search path of an administrator's workstation: this machine's, with the cluster's kubectl first.
    #[must_use]
    pub fn workstation_path(&self) -> String {
        format!("{}:{HOST_PATH}", self.programs.display())
    }

    /// Polls several times a second until `done` says true; the error tells what was last seen.
    ///
    /// # Errors
    /// When the deadline has passed.
    pub fn wait(&self, what: &str, deadline: Duration, done: impl FnMut() -> Result<bool>) -> Result<()> {
        wait_for(what, deadline, done)
    }

    /// Adds the end of a log to an error.
    pub(crate) fn explain(&self, error: anyhow::Error, log: &Path) -> anyhow::Error {
        let text = fs::read(log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        let tail = lines[lines.len().saturating_sub(15)..].join("\n");
        let name = log.file_name().unwrap_or_default().to_string_lossy();
        error.context(format!("cluster {}: the end of {name}:\n{tail}", self.layout.name))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.keep
            && let Err(error) = down(&self.layout.name)
        {
            eprintln!("cluster {} could not be removed: {error:#}", self.layout.name);
        }
    }
}

/// Removes every trace of a cluster, whatever state it is in, and whoever started it.
///
/// # Errors
/// When something cannot be removed.
pub fn down(name: &str) -> Result<()> {
    let layout = Layout::new(name, 1, 1)?;
    let lock = lock(&layout)?;
    process::kill_cluster(name)?;
    cgroup::remove(name)?;
    net::remove(name)?;
    let dir = layout.dir();
    // The last mounts go with the last process, a moment after it.
    wait_for(&format!("{} to go", dir.display()), Duration::from_secs(20), || {
        match fs::remove_dir_all(&dir) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(error.into()),
        }
    })?;
    fs::remove_file(layout.lock_file()).ok();
    drop(lock);
    // The directories of all clusters go with the last one.
    fs::remove_dir(state_root()).ok();
    state_root().parent().map(fs::remove_dir);
    Ok(())
}

/// The clusters that there are, or that have left something behind.
#[must_use]
pub fn list() -> Vec<String> {
    let mut names = net::clusters();
    names.extend(process::marked().into_iter().map(|process| process.cluster));
    names.extend(
        fs::read_dir(state_root())
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| !name.starts_with('.')),
    );
    names.sort();
    names.dedup();
    names
}

/// One process at a time starts or removes a cluster of this name.
fn lock(layout: &Layout) -> Result<File> {
    let path = layout.lock_file();
    loop {
        fs::create_dir_all(state_root())?;
        let file = File::create(&path).with_context(|| format!("cannot write {}", path.display()))?;
        flock(&file, FlockOperation::LockExclusive)?;
        // Whoever held it before may have removed the file, and locked is then one that nobody else will find.
        let held = file.metadata()?;
        if fs::metadata(&path).is_ok_and(|now| now.ino() == held.ino()) {
            return Ok(file);
        }
    }
}

/// Every kubelet and containerd holds several inotify instances; the kernel's default is spent after two or three
/// clusters.
fn raise_inotify_limits() {
    for (file, wanted) in [("max_user_instances", 8192), ("max_user_watches", 524_288)] {
        let path = format!("/proc/sys/fs/inotify/{file}");
        let now = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse::<u32>().ok());
        if now.is_some_and(|now| now < wanted) {
            fs::write(path, wanted.to_string()).ok();
        }
    }
}
