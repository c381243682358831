//! Modules of the kernel that the pod network rests on, and what loads them at boot.

use std::collections::BTreeMap;

use checks::evidence::{BootValue, Setting};

use super::Look;
use super::at_boot;
use super::files::{Part, Root, Unread};
use super::settings::of_directories;
use super::units;

/// The modules.
const MODULES: [&str; 3] = ["br_netfilter", "ip_vs", "nf_conntrack"];
/// Without which a bridge's packets pass the rules by.
const BRIDGE: &str = "br_netfilter";

/// Reads them, as settings with the values `loaded`, `perhaps` and nothing.
pub(super) fn look(root: &Root) -> Look<Vec<Setting>> {
    let loaded = loaded(root)?;
    let wanted = at_boot(root)?;
    let mut settings = Vec::new();
    for module in MODULES {
        // What is built into the kernel stands in /sys/module only, or nowhere.
        let is_there = loaded.contains_key(module) || root.exists(&format!("/sys/module/{module}"))?;
        let boot = match wanted.get(module) {
            Some(file) => Some(value("loaded", file)),
            None if module == BRIDGE => by_others(root, loaded.get(module).map(String::as_str))?,
            None => None,
        };
        settings.push(Setting {
            name: format!("module {module}"),
            now: is_there.then(|| "loaded".to_owned()),
            boot,
        });
    }
    Ok(settings)
}

fn value(value: &str, file: &str) -> BootValue {
    BootValue { value: value.to_owned(), file: file.to_owned() }
}

/// What loads `br_netfilter` where no file of modules does; `users` are the modules that use it now, where it is one.
fn by_others(root: &Root, users: Option<&str>) -> Look<Option<BootValue>> {
    let Some(users) = users else {
        // Only a kernel that has it built in shows its settings and no module.
        let is_built_in = root.exists("/proc/sys/net/bridge/bridge-nf-call-iptables")?;
        return Ok(is_built_in.then(|| value("loaded", "/proc/sys/net/bridge")));
    };
    let arguments = root.text_if_any("/proc/cmdline")?.unwrap_or_default();
    let is_asked_for = |word: &str| {
        let names = word.strip_prefix("modules_load=").or_else(|| word.strip_prefix("modules-load="));
        names.is_some_and(|names| names.split(',').any(|name| name.replace('-', "_") == BRIDGE))
    };
    if arguments.split_whitespace().any(is_asked_for) {
        return Ok(Some(value("loaded", "/proc/cmdline")));
    }
    // Another module brings it, such as xt_physdev with the first rule that matches bridges' ports.
    if let Some(user) = users.split(',').find(|user| !user.is_empty() && *user != "-") {
        return Ok(Some(value("perhaps", &format!("module {user}"))));
    }
    for name in ["br_netfilter", "br-netfilter"] {
        match at_boot::says(root, name, &[]) {
            Ok(Some(file)) => return Ok(Some(value("loaded", &file))),
            Ok(None) => {}
            Err(unseen) => return Ok(Some(value("perhaps", &unseen.words()))),
        }
    }
    // Docker loads it until version 27, and from 28 on where it needs it (moby, libnetwork/drivers/bridge); LXD and
    // libvirt do with some of their networks.
    for unit in
        ["docker.service", "docker.socket", "lxd.service", "snap.lxd.daemon.service", "libvirtd.service"]
    {
        if units::is_enabled(root, unit)? {
            return Ok(Some(value("perhaps", unit)));
        }
    }
    // k3s and k0s load it when they start, however they are started (k3s `pkg/agent/syssetup`, k0s
    // `pkg/component/worker`); RKE2 is made of the one, and what `MicroK8s` does was not looked at.
    for path in OTHER_KUBERNETES {
        if root.exists(path)? {
            return Ok(Some(value("perhaps", path)));
        }
    }
    Ok(mentioned(root).map(|file| value("perhaps", &file)))
}

/// What k3s, RKE2, k0s and `MicroK8s` leave on a machine, whoever starts them.
const OTHER_KUBERNETES: [&str; 9] = [
    "/var/lib/rancher",
    "/etc/rancher",
    "/usr/local/bin/k3s",
    "/usr/bin/k3s",
    "/opt/bin/k3s",
    "/var/lib/k0s",
    "/etc/k0s",
    "/usr/local/bin/k0s",
    "/var/snap/microk8s",
];

/// Where else the word may stand for a load at boot: with other modules, with interfaces, devices, the initial file system, and in
/// scripts of `OpenRC` and System V; and units, in any line, of an instance of `modprobe@.service` above all.
const ELSEWHERE: [&str; 10] = [
    "/etc/modprobe.d",
    "/etc/network",
    "/etc/network/interfaces.d",
    "/etc/network/if-pre-up.d",
    "/etc/udev/rules.d",
    "/etc/initramfs-tools",
    "/etc/dracut.conf.d",
    "/etc/local.d",
    "/etc/init.d",
    "/etc/systemd/system",
];
/// So many files of each are read, and so much of each.
const FILES: usize = 500;
const FILE: usize = 64 << 10;

/// A file that mentions the module.
fn mentioned(root: &Root) -> Option<String> {
    let names = [BRIDGE, "br-netfilter"];
    let has =
        |line: &str| !line.trim_start().starts_with('#') && names.iter().any(|name| line.contains(name));
    ELSEWHERE.iter().find_map(|folder| {
        let found = root.names(folder).unwrap_or_default();
        found.iter().take(FILES).find_map(|name| {
            let file = format!("{folder}/{name}");
            let says = |file: &str| root.text_part(file, FILE).is_ok_and(|part| part.text.lines().any(has));
            let wants = |folder: &str| {
                let wanted = root.names(folder).unwrap_or_default();
                wanted.iter().take(FILES).any(|unit| names.iter().any(|name| unit.contains(name)))
            };
            (names.iter().any(|word| name.contains(word)) || says(&file) || wants(&file)).then_some(file)
        })
    })
}

/// The modules that are loaded, with what uses each.
fn loaded(root: &Root) -> Look<BTreeMap<String, String>> {
    let Part { text, .. } = match root.text_part("/proc/modules", 1 << 20) {
        Ok(part) => part,
        // A kernel without modules has no such file.
        Err(Unread::Absent) => return Ok(BTreeMap::new()),
        Err(unread) => return Err(unread.into()),
    };
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.nth(2).unwrap_or_default().to_owned()))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// The modules that files name for boot (modules-load.d(5)), and the files that say so.
fn at_boot(root: &Root) -> Look<BTreeMap<String, String>> {
    let paths = [
        "/etc/modules-load.d",
        "/run/modules-load.d",
        "/usr/local/lib/modules-load.d",
        "/usr/lib/modules-load.d",
        "/lib/modules-load.d",
    ];
    let mut files = of_directories(root, &paths)?;
    if let Some(text) = root.text_if_any("/etc/modules")? {
        files.push(("/etc/modules".to_owned(), text));
    }
    let mut found = BTreeMap::new();
    for (file, text) in files {
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
            let name = line.split_whitespace().next().unwrap_or_default().replace('-', "_");
            if MODULES.contains(&name.as_str()) {
                found.insert(name, file.clone());
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::*;

    fn bridge(tree: &Tree) -> (Option<String>, Option<(String, String)>) {
        let all = look(&tree.root()).expect("they are read");
        let one = all.into_iter().find(|setting| setting.name == "module br_netfilter").expect("it is there");
        (one.now, one.boot.map(|boot| (boot.value, boot.file)))
    }

    #[test]
    fn whoever_loads_the_bridges_module_at_boot_is_named() {
        let boot = |name: &str, write: &dyn Fn(&Tree)| {
            let tree = Tree::new(name);
            tree.write(
                "/proc/modules",
                "br_netfilter 32768 0 - Live 0x0\nbridge 4 1 br_netfilter, Live 0x0\n",
            );
            tree.write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n");
            write(&tree);
            let (now, boot) = bridge(&tree);
            assert_eq!(now.as_deref(), Some("loaded"));
            boot
        };
        let is = |value: &str, file: &str| Some((value.to_owned(), file.to_owned()));
        assert_eq!(boot("nobody", &|_| {}), None);
        let file = "/etc/modules-load.d/k8s.conf";
        assert_eq!(boot("file", &|tree| tree.write(file, "overlay\nbr-netfilter\n")), is("loaded", file));
        assert_eq!(
            boot("modules", &|tree| tree.write("/etc/modules", "br_netfilter\n")),
            is("loaded", "/etc/modules")
        );
        let kernel = |tree: &Tree| tree.write("/proc/cmdline", "quiet modules_load=overlay,br_netfilter\n");
        assert_eq!(boot("cmdline", &kernel), is("loaded", "/proc/cmdline"));
        let script = |tree: &Tree| tree.write("/etc/rc.local", "#!/bin/sh\nmodprobe br_netfilter\n");
        assert_eq!(boot("script", &script), is("loaded", "/etc/rc.local"));
        let docker = |tree: &Tree| {
            tree.link(
                "/etc/systemd/system/multi-user.target.wants/docker.service",
                "/lib/systemd/system/docker.service",
            );
        };
        assert_eq!(boot("docker", &docker), is("perhaps", "docker.service"));
        let k3s = |tree: &Tree| tree.write("/etc/rancher/k3s/k3s.yaml", "");
        assert_eq!(boot("k3s", &k3s), is("perhaps", "/etc/rancher"));
        let instance = |tree: &Tree| {
            tree.link(
                "/etc/systemd/system/multi-user.target.wants/modprobe@br_netfilter.service",
                "/lib/systemd/system/modprobe@.service",
            );
        };
        assert_eq!(boot("instance", &instance), is("perhaps", "/etc/systemd/system/multi-user.target.wants"));
        let soft = |tree: &Tree| {
            tree.write("/etc/modprobe.d/bridge.conf", "softdep bridge post: br_netfilter\n");
        };
        assert_eq!(boot("softdep", &soft), is("perhaps", "/etc/modprobe.d/bridge.conf"));
        let comment =
            |tree: &Tree| tree.write("/etc/modprobe.d/bridge.conf", "# softdep bridge post: br_netfilter\n");
        assert_eq!(boot("comment", &comment), None);
        let used = "br_netfilter 32768 1 xt_physdev, Live 0x0\n";
        assert_eq!(
            boot("physdev", &|tree| tree.write("/proc/modules", used)),
            is("perhaps", "module xt_physdev")
        );
    }

    #[test]
    fn what_is_built_into_the_kernel_is_there_after_each_boot() {
        let tree = Tree::new("built-in");
        tree.write("/proc/modules", "overlay 1 0 - Live 0x0\n");
        assert_eq!(bridge(&tree), (None, None));
        tree.write("/proc/sys/net/bridge/bridge-nf-call-iptables", "1\n");
        let boot = Some(("loaded".to_owned(), "/proc/sys/net/bridge".to_owned()));
        assert_eq!(bridge(&tree), (None, boot));
    }
}
