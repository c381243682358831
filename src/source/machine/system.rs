//! Who the machine is, `SELinux`, and proxies.

use checks::evidence::{HostIdentity, HostProxy};

use super::files::Unread;
use super::{Look, Place, Unseen, network, units};
use crate::source::redact::flags;

/// The components whose environment is looked at.
const COMPONENTS: [&str; 3] = ["kube-apiserver", "kube-controller-manager", "kubelet"];

/// Who it is.
pub(super) fn identity(place: &Place) -> Look<HostIdentity> {
    let root = &place.root;
    // `/proc/sys/kernel/hostname` is the name of whoever reads it; of another root the file says it.
    let (first, second) = ("/proc/sys/kernel/hostname", "/etc/hostname");
    let order = if root.is_own() { [first, second] } else { [second, first] };
    let hostname = order.iter().find_map(|path| root.line(path).ok().filter(|name| !name.is_empty()));
    let release = ["/etc/os-release", "/usr/lib/os-release"].iter().find_map(|path| root.text(path).ok());
    let pretty = units::variables(&release.unwrap_or_default()).find(|(name, _)| name == "PRETTY_NAME");
    Ok(HostIdentity {
        hostname: hostname.unwrap_or_default(),
        system: pretty.map(|(_, name)| name.chars().take(256).collect()).unwrap_or_default(),
        kernel: root.line("/proc/sys/kernel/osrelease").unwrap_or_default(),
        addresses: network::addresses(place)?,
        as_root: place.is_root,
        root: root.shown.clone(),
    })
}

/// What `SELinux` does (selinux(8)): its file system says it where the kernel has it on.
pub(super) fn selinux(place: &Place) -> Look<Option<String>> {
    let root = &place.root;
    match root.line("/sys/fs/selinux/enforce") {
        Ok(value) => return Ok(Some(if value == "1" { "enforcing" } else { "permissive" }.to_owned())),
        Err(Unread::Absent) => {}
        Err(unread) => return Err(unread.into()),
    }
    if !root.exists("/sys/fs")? {
        return Err(Unseen::lacking(format!("{} is not there", root.name("/sys/fs"))));
    }
    Ok(root.exists("/etc/selinux/config")?.then(|| "disabled".to_owned()))
}

/// The proxies in the environments of the components, of their units and of the machine.
pub(super) fn proxies(place: &Place) -> Look<Vec<HostProxy>> {
    let mut found = Vec::new();
    let mut add = |of: &str, all: std::collections::BTreeMap<String, String>| {
        found.extend(all.into_iter().map(|(name, value)| HostProxy { of: of.to_owned(), name, value }));
    };
    for name in COMPONENTS {
        if let Some(running) = place.processes()?.own(name)? {
            let path = format!("/proc/{}/environ", running.pid);
            let text = place.root.text_part(&path, 1 << 20).map_err(|unread| unread.unseen(&path))?.text;
            add(name, flags::proxies(text.split('\0')));
        }
    }
    for unit in ["kubelet", "kube-apiserver", "kube-controller-manager", "containerd", "docker"] {
        if let Some(service) = units::service(&place.root, unit)? {
            let lines: Vec<String> =
                service.environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
            add(&service.file, flags::proxies(lines.iter().map(String::as_str)));
        }
    }
    if let Some(text) = place.root.text_if_any("/etc/environment")? {
        add("/etc/environment", flags::proxies(text.lines()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::*;

    #[test]
    fn proxies_come_without_the_user() {
        let tree = Tree::new("proxies");
        tree.init();
        tree.process(20, &["/usr/bin/kube-apiserver", "--v=2"], 2, Some("net:[1]"));
        tree.write("/proc/20/environ", "PATH=/bin\0https_proxy=http://me:secret@proxy:3128\0TOKEN=hidden\0");
        tree.write("/etc/environment", "NO_PROXY=\"10.0.0.0/8,.svc\"\nLANG=C\n");
        let found = proxies(&tree.place()).expect("they are read");
        let proxy = |of: &str, name: &str, value: &str| HostProxy {
            of: of.to_owned(),
            name: name.to_owned(),
            value: value.to_owned(),
        };
        assert_eq!(
            found,
            [
                proxy("kube-apiserver", "HTTPS_PROXY", "http://proxy:3128"),
                proxy("/etc/environment", "NO_PROXY", "10.0.0.0/8,.svc"),
            ]
        );
    }
}
