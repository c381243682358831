//! The kernel's settings that the pod network rests on, and what sets them at boot.
//!
//! sysctl.d(5) and modules-load.d(5): of files with one name that in the first directory counts, all are read in the
//! order of their names, and the last word wins. `/etc/sysctl.conf` is read by systemd only where a link in
//! `/etc/sysctl.d` leads to it, and by `sysctl --system`, as machines without systemd run it, last of all.

use std::collections::BTreeMap;

use checks::evidence::{BootValue, Setting};

use super::files::{Root, Unread, is_conf};
use super::{Look, Place, modules, units};

/// The settings; those of interfaces come besides.
const NAMES: [&str; 8] = [
    "net.bridge.bridge-nf-call-ip6tables",
    "net.bridge.bridge-nf-call-iptables",
    "net.ipv4.conf.all.rp_filter",
    "net.ipv4.conf.default.rp_filter",
    "net.ipv4.ip_forward",
    "net.ipv6.conf.all.forwarding",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
];
/// The most interfaces whose `rp_filter` is kept; each pod has one.
const INTERFACES: usize = 32;
/// The most files of a kind.
const FILES: usize = 1_000;

/// Reads them.
pub(super) fn look(place: &Place) -> Look<Vec<Setting>> {
    place.in_network()?;
    let root = &place.root;
    if root.names("/proc/sys/net").map_err(|unread| unread.unseen("/proc/sys/net"))?.is_empty() {
        return Err(super::Unseen::lacking(format!("{} is not there", root.name("/proc/sys/net"))));
    }
    let boot = at_boot(root)?;
    let mut settings = Vec::new();
    let mut names: Vec<String> = NAMES.iter().map(|name| (*name).to_owned()).collect();
    let interfaces = root.names("/proc/sys/net/ipv4/conf")?;
    let plain = |name: &&String| !matches!(name.as_str(), "all" | "default" | "lo") && !is_of_pod(name);
    names.extend(interfaces.iter().filter(plain).take(INTERFACES).map(|name| {
        // A VLAN's interface has a dot in its name, which sysctl writes as a slash.
        format!("net.ipv4.conf.{}.rp_filter", name.replace('.', "/"))
    }));
    for name in names {
        let now = match root.line(&path(&name)) {
            Ok(value) => Some(value),
            Err(Unread::Absent) => None,
            Err(unread) => return Err(unread.into()),
        };
        settings.push(Setting { boot: boot.get(&name).cloned(), name, now });
    }
    settings.extend(modules::look(root)?);
    settings.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(settings)
}

/// The interfaces that container networks make, one for each pod.
fn is_of_pod(name: &str) -> bool {
    ["veth", "cali", "lxc", "azv", "eni", "gke", "nodelocaldns"].iter().any(|start| name.starts_with(start))
}

/// Where a setting is in `/proc/sys`: dots and slashes change places (sysctl(8)).
fn path(name: &str) -> String {
    let swapped: String = name
        .chars()
        .map(|letter| match letter {
            '.' => '/',
            '/' => '.',
            other => other,
        })
        .collect();
    format!("/proc/sys/{swapped}")
}

/// What the files of `/etc/sysctl.d` and the other directories set.
fn at_boot(root: &Root) -> Look<BTreeMap<String, BootValue>> {
    let paths =
        ["/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d", "/lib/sysctl.d"];
    let mut found = BTreeMap::new();
    for (file, text) in of_directories(root, &paths)? {
        take(&text, &file, &mut found);
    }
    let has_systemd =
        root.exists("/usr/lib/systemd/systemd-sysctl")? || root.exists("/lib/systemd/systemd-sysctl")?;
    if !has_systemd && let Some(text) = root.text_if_any("/etc/sysctl.conf")? {
        take(&text, "/etc/sysctl.conf", &mut found);
    }
    // ufw sets its own when it starts, which is later.
    let ufw = root.text_if_any("/etc/ufw/ufw.conf")?.unwrap_or_default();
    if units::variables(&ufw).any(|(name, value)| name == "ENABLED" && value == "yes")
        && let Some(text) = root.text_if_any("/etc/ufw/sysctl.conf")?
    {
        take(&text, "/etc/ufw/sysctl.conf", &mut found);
    }
    Ok(found)
}

/// The files of several directories in the order in which they are read.
pub(super) fn of_directories(root: &Root, paths: &[&str]) -> Look<Vec<(String, String)>> {
    let mut files: BTreeMap<String, String> = BTreeMap::new();
    for path in paths {
        for name in root.names(path).map_err(|unread| unread.unseen(path))? {
            if is_conf(&name) && files.len() < FILES {
                files.entry(name.clone()).or_insert_with(|| format!("{path}/{name}"));
            }
        }
    }
    let mut texts = Vec::new();
    for path in files.into_values() {
        // A link to /dev/null takes the file of another directory away.
        if root.link(&path).is_ok_and(|target| target == "/dev/null") {
            continue;
        }
        match root.text(&path) {
            Ok(text) => texts.push((path, text)),
            Err(Unread::Absent) => {}
            Err(unread) => return Err(unread.unseen(&path)),
        }
    }
    Ok(texts)
}

/// Reads the assignments of one file; a `-` before a name says that a failure does not matter.
fn take(text: &str, file: &str, found: &mut BTreeMap<String, BootValue>) {
    for line in text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])) {
        let Some((name, value)) = line.split_once('=') else { continue };
        let name = dotted(name.trim().trim_start_matches('-').trim());
        let value: String = value.trim().chars().take(64).collect();
        let known = NAMES.iter().filter(|known| is_meant(&name, known)).map(|known| (*known).to_owned());
        let own = (name.starts_with("net.ipv4.conf.") && name.ends_with(".rp_filter") && !name.contains('*'))
            .then(|| name.clone());
        for name in known.chain(own) {
            found.insert(name, BootValue { value: value.clone(), file: file.to_owned() });
        }
    }
}

/// With slashes as separators where the first separator is one.
fn dotted(name: &str) -> String {
    match name.find(['.', '/']) {
        Some(at) if name[at..].starts_with('/') => name
            .chars()
            .map(|letter| match letter {
                '/' => '.',
                '.' => '/',
                other => other,
            })
            .collect(),
        _ => name.to_owned(),
    }
}

/// Whether a name, in which a `*` stands for one part, is this setting's.
fn is_meant(name: &str, known: &str) -> bool {
    let (parts, wanted) = (name.split('.'), known.split('.'));
    name.matches('.').count() == known.matches('.').count()
        && parts.zip(wanted).all(|(part, wanted)| part == "*" || part == wanted)
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::*;

    #[test]
    fn the_last_file_by_name_sets_it_at_boot() {
        let tree = Tree::new("sysctl");
        tree.init();
        tree.write("/proc/sys/net/ipv4/ip_forward", "1\n");
        tree.write("/proc/sys/net/ipv4/conf/eth0/rp_filter", "2\n");
        tree.write("/proc/modules", "br_netfilter 32768 0 - Live 0x0\n");
        tree.write("/usr/lib/sysctl.d/99-last.conf", "net.ipv4.ip_forward = 1\n");
        tree.write("/etc/sysctl.d/50-first.conf", "net/ipv4/ip_forward=0\n# net.ipv4.ip_forward=7\n");
        tree.write("/etc/sysctl.d/60-all.conf", "-net.ipv4.conf.*.rp_filter = 1\n");
        tree.write("/etc/modules-load.d/k8s.conf", "overlay\nbr_netfilter\n");
        let settings = look(&tree.place()).expect("they are read");
        let find = |name: &str| settings.iter().find(|setting| setting.name == name).expect(name).clone();
        let boot =
            |value: &str, file: &str| Some(BootValue { value: value.to_owned(), file: file.to_owned() });
        assert_eq!(find("net.ipv4.ip_forward").now.as_deref(), Some("1"));
        assert_eq!(find("net.ipv4.ip_forward").boot, boot("1", "/usr/lib/sysctl.d/99-last.conf"));
        assert_eq!(find("net.ipv4.conf.all.rp_filter").boot, boot("1", "/etc/sysctl.d/60-all.conf"));
        assert_eq!(find("net.ipv4.conf.eth0.rp_filter").now.as_deref(), Some("2"));
        assert_eq!(find("net.bridge.bridge-nf-call-iptables").now, None);
        assert_eq!(find("module br_netfilter").boot, boot("loaded", "/etc/modules-load.d/k8s.conf"));
        assert_eq!(find("module br_netfilter").now.as_deref(), Some("loaded"));
        assert_eq!(find("module ip_vs").now, None);

        // The file of the same name in /etc takes the one in /usr/lib away, and a link to /dev/null leaves nothing.
        tree.write("/etc/sysctl.d/99-last.conf", "net.ipv4.ip_forward = 0\n");
        let again = look(&tree.place()).expect("they are read");
        let forward =
            again.iter().find(|setting| setting.name == "net.ipv4.ip_forward").expect("it is there");
        assert_eq!(forward.boot, boot("0", "/etc/sysctl.d/99-last.conf"));
    }

    #[test]
    fn sysctl_conf_counts_only_where_something_reads_it() {
        let tree = Tree::new("sysctl-conf");
        tree.init();
        tree.write("/proc/sys/net/ipv4/ip_forward", "1\n");
        tree.write("/etc/sysctl.conf", "net.ipv4.ip_forward=1\n");
        let boot = || {
            let settings = look(&tree.place()).expect("they are read");
            let forward = settings.into_iter().find(|setting| setting.name == "net.ipv4.ip_forward");
            forward.expect("it is there").boot.map(|boot| boot.file)
        };
        assert_eq!(boot().as_deref(), Some("/etc/sysctl.conf"));
        tree.write("/usr/lib/systemd/systemd-sysctl", "");
        assert_eq!(boot(), None);
        tree.link("/etc/sysctl.d/99-sysctl.conf", "../sysctl.conf");
        assert_eq!(boot().as_deref(), Some("/etc/sysctl.d/99-sysctl.conf"));
    }
}
