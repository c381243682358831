//! The programs: those of Debian installed, those of the Go modules compiled once and kept in the cache.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use ring::digest::{SHA256, digest};
use rustix::fs::{FlockOperation, flock};

use crate::layout::cache_root;
use crate::run::call;

/// The Kubernetes release.
pub const KUBERNETES_VERSION: &str = "v1.36.2";
/// The metrics-server release.
pub const METRICS_SERVER_VERSION: &str = "v0.9.0";
/// The release of the adapter for custom and external metrics.
pub const ADAPTER_VERSION: &str = "v1.36.0";

struct Module {
    directory: &'static str,
    /// Where the linker writes the version to.
    version: &'static str,
    packages: &'static [&'static str],
}

/// What every cluster runs.
const CLUSTER: &[Module] = &[
    Module {
        directory: "kubernetes",
        version: "k8s.io/component-base/version.gitVersion=v1.36.2",
        packages: &[
            "k8s.io/kubernetes/cmd/kube-apiserver",
            "k8s.io/kubernetes/cmd/kube-controller-manager",
            "k8s.io/kubernetes/cmd/kube-proxy",
            "k8s.io/kubernetes/cmd/kube-scheduler",
            "k8s.io/kubernetes/cmd/kubeadm",
            "k8s.io/kubernetes/cmd/kubectl",
            "k8s.io/kubernetes/cmd/kubelet",
        ],
    },
    Module {
        directory: "metrics-server",
        version: "k8s.io/client-go/pkg/version.gitVersion=v0.9.0",
        packages: &["sigs.k8s.io/metrics-server/cmd/metrics-server"],
    },
];

/// What only some clusters run. It is compiled apart, so that a change of it does not compile Kubernetes again.
const ADAPTER: &[Module] = &[Module {
    directory: "metrics-adapter",
    version: "k8s.io/component-base/version.gitVersion=v1.36.0",
    packages: &["sigs.k8s.io/custom-metrics-apiserver/test-adapter"],
}];

/// A program of the distribution, and the package that has it (Debian's and Ubuntu's names).
const PACKAGES: [(&str, &str); 13] = [
    ("etcd", "etcd-server"),
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("/usr/lib/cni/bridge", "containernetworking-plugins"),
    ("iptables", "iptables"),
    // For kube-proxy's mode of that name, and the cluster's DNS.
    ("nft", "nftables"),
    ("dnsmasq", "dnsmasq-base"),
    ("busybox", "busybox-static"),
    ("ip", "iproute2"),
    ("jq", "jq"),
    ("conntrack", "conntrack"),
    ("nsenter", "util-linux"),
    ("sysctl", "procps"),
];

/// Installs what the distribution lacks and compiles what is not in the cache; tells where the programs of a
/// cluster are.
///
/// # Errors
/// When a package cannot be installed or a program cannot be compiled.
pub fn install() -> Result<PathBuf> {
    let programs = ensure_installed()?;
    adapter()?;
    Ok(programs)
}

/// The programs that every cluster runs.
pub(crate) fn ensure_installed() -> Result<PathBuf> {
    let missing: Vec<&str> =
        PACKAGES.iter().filter(|(program, _)| !exists(program)).map(|(_, package)| *package).collect();
    if !missing.is_empty() {
        eprintln!("installing {}", missing.join(", "));
        let apt = |args: &[&str]| -> Result<()> {
            let status = Command::new("apt-get")
                .env("DEBIAN_FRONTEND", "noninteractive")
                .args(args)
                .stdout(Stdio::null())
                .status()
                .context("cannot start apt-get")?;
            ensure!(status.success(), "apt-get {} failed", args.join(" "));
            Ok(())
        };
        apt(&["update", "-q"])?;
        let mut args = vec!["install", "-q", "-y", "--no-install-recommends"];
        args.extend(&missing);
        apt(&args)?;
    }
    // Built in here, modules there; without them the cluster says soon enough what it lacks.
    for module in ["br_netfilter", "overlay", "veth", "bridge"] {
        Command::new("modprobe").arg("-q").arg(module).stderr(Stdio::null()).status().ok();
    }
    compile(CLUSTER)
}

/// The adapter for custom and external metrics.
pub(crate) fn adapter() -> Result<PathBuf> {
    Ok(compile(ADAPTER)?.join("test-adapter"))
}

/// Compiles the program under test without shared libraries, as its image needs it; tells where it is.
///
/// # Errors
/// When it cannot be compiled.
pub fn static_program() -> Result<PathBuf> {
    let version = call("rustc", &["-vV"])?;
    let target =
        version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc names no host")?;
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let directory = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let mut cargo = Command::new("cargo");
    // What cargo tells a test of its own package; build scripts watch these and would compile everything anew.
    for (name, _) in std::env::vars_os() {
        let told = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|prefix| told.starts_with(prefix)) {
            cargo.env_remove(&name);
        }
    }
    let status = cargo
        .current_dir(&root)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_TARGET_DIR", &directory)
        .args(["build", "--locked", "--release", "-p", "metrics-preflight", "--target", target])
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "cannot compile the program without shared libraries");
    Ok(directory.join(target).join("release/metrics-preflight"))
}

fn exists(program: &str) -> bool {
    if program.starts_with('/') {
        return Path::new(program).exists();
    }
    ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        .iter()
        .any(|directory| Path::new(directory).join(program).exists())
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("programs")
}

fn flags(module: &Module) -> String {
    format!("-s -w -X {}", module.version)
}

fn compile(modules: &[Module]) -> Result<PathBuf> {
    let key = key(modules)?;
    let root = cache_root().join("programs");
    let done = root.join(&key);
    if done.exists() {
        return Ok(done);
    }
    fs::create_dir_all(&root)?;
    let lock = File::create(root.join(".lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if done.exists() {
        return Ok(done);
    }
    let partial = root.join(format!(".{key}"));
    fs::create_dir_all(&partial)?;
    for module in modules {
        for package in module.packages {
            eprintln!("compiling {package}");
            let status = Command::new("go")
                .current_dir(sources().join(module.directory))
                .env("CGO_ENABLED", "0")
                .args(["build", "-trimpath", "-ldflags", &flags(module), "-o"])
                .arg(format!("{}/", partial.display()))
                .arg(package)
                .status()
                .context("cannot start go; Go 1.26 or newer is needed to compile the cluster's programs")?;
            ensure!(status.success(), "cannot compile {package}");
        }
    }
    fs::rename(&partial, &done)?;
    Ok(done)
}

/// Changes with everything that the programs are made from.
fn key(modules: &[Module]) -> Result<String> {
    let mut material =
        call("go", &["version"]).context("Go 1.26 or newer is needed to compile Kubernetes")?;
    for module in modules {
        let directory = sources().join(module.directory);
        for file in ["go.mod", "go.sum"] {
            let path = directory.join(file);
            material +=
                &fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        }
        writeln!(material, "{} {:?}", flags(module), module.packages)?;
    }
    let hash = digest(&SHA256, material.as_bytes());
    Ok(data_encoding::HEXLOWER.encode(&hash.as_ref()[..10]))
}
