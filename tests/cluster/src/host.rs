//! A host's file system: the machine's own, with `/etc`, `/usr`, `/var` and `/opt` covered by a private layer, so
//! that whatever is written there stays on that host and goes with it.

use std::fs::{self, create_dir_all};
use std::path::Path;

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount, mount_bind};

use crate::init::adopt_orphans;
use crate::layout::{CONTROL_PLANE, IDENTITY_FILE, Identity, Layout};

/// Covered by an overlay.
const COVERED: [&str; 4] = ["/etc", "/opt", "/usr", "/var"];
/// Directories that themselves hold overlays or are watched for free space: plain ones.
const PLAIN: [&str; 3] = ["/var/lib/containerd", "/var/lib/kubelet", "/var/log/pods"];

/// Makes the calling process, which has namespaces of its own already, the keeper of the host: its namespaces
/// are the host's for as long as it lives.
pub(crate) fn keep(cluster: &str, host: &str) -> Result<()> {
    let layout = Layout::load(cluster)?;
    let dir = layout.host_dir(host);
    fs::write("/proc/sys/kernel/hostname", host)?;
    cover(&dir)?;
    for path in PLAIN {
        let source = dir.join(path.trim_start_matches('/').replace('/', "-"));
        create_dir_all(&source)?;
        create_dir_all(path)?;
        mount_bind(&source, path).with_context(|| format!("cannot mount {path}"))?;
    }
    // The host's own processes, its pods' among them, and no other host's.
    mount("proc", "/proc", "proc", MountFlags::empty(), None).context("cannot mount /proc")?;
    tmpfs("/run")?;
    // iptables wants its lock's directory, and programs the place that /var/run points to.
    create_dir_all("/run/lock")?;
    if host == CONTROL_PLANE {
        // In memory, because etcd waits for the disk after every write.
        create_dir_all("/var/lib/etcd")?;
        tmpfs("/var/lib/etcd")?;
    }
    for setting in SYSCTLS {
        let path = format!("/proc/sys/{}", setting.replace('.', "/"));
        fs::write(&path, "1").with_context(|| format!("cannot set {setting}"))?;
    }
    let identity = Identity { layout: layout.clone(), host: host.to_owned() };
    fs::write(IDENTITY_FILE, serde_json::to_vec(&identity)?)?;
    // The file says that the host is ready to be used.
    fs::write(dir.join("keeper"), "")?;
    adopt_orphans()
}

/// What kubeadm asks of a host; also written to the host's `/etc/sysctl.d`.
pub(crate) const SYSCTLS: [&str; 3] =
    ["net.bridge.bridge-nf-call-ip6tables", "net.bridge.bridge-nf-call-iptables", "net.ipv4.ip_forward"];

fn cover(dir: &Path) -> Result<()> {
    for path in COVERED {
        if !Path::new(path).is_dir() {
            continue;
        }
        let layer = |kind: &str| dir.join("layers").join(format!("{kind}{}", path.replace('/', "-")));
        let (upper, work) = (layer("upper"), layer("work"));
        create_dir_all(&upper)?;
        create_dir_all(&work)?;
        let options = format!("lowerdir={path},upperdir={},workdir={}", upper.display(), work.display());
        let options = std::ffi::CString::new(options)?;
        mount("overlay", path, "overlay", MountFlags::empty(), Some(options.as_c_str()))
            .with_context(|| format!("cannot cover {path}"))?;
    }
    Ok(())
}

fn tmpfs(path: &str) -> Result<()> {
    mount("tmpfs", path, "tmpfs", MountFlags::NOSUID, None).with_context(|| format!("cannot mount {path}"))
}
