//! systemd's units: the file that counts, its drop-ins, and the command line that they come to.
//!
//! systemd.unit(5): a unit's file is taken from the first directory that has it. Drop-ins of all directories are
//! sorted by their file names, and of two with one name that in the earlier directory counts.

use std::collections::{BTreeMap, BTreeSet};

use checks::evidence::Unit;

use super::Look;
use super::files::{Root, Unread, is_conf};
use crate::source::redact::flags;

/// Where units are, the first counts most.
const PATHS: [&str; 5] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// What a unit's files come to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Service {
    pub(super) file: String,
    pub(super) drop_ins: Vec<String>,
    pub(super) enabled: bool,
    /// The files of its environment, whether they are there or not.
    pub(super) environment_files: Vec<String>,
    /// The words of the command that it starts, variables in their place.
    pub(super) words: Vec<String>,
    /// `Environment=` and `EnvironmentFile=`.
    pub(super) environment: BTreeMap<String, String>,
}

impl Service {
    /// As evidence.
    pub(super) fn unit(&self) -> Unit {
        Unit {
            file: self.file.clone(),
            drop_ins: self.drop_ins.clone(),
            enabled: self.enabled,
            flags: flags::of_machine(&self.words),
        }
    }
}

/// Reads `NAME.service`; nothing where there is none.
pub(super) fn service(root: &Root, name: &str) -> Look<Option<Service>> {
    let unit = format!("{name}.service");
    let Some((file, text)) = first(root, &unit)? else { return Ok(None) };
    let mut lines = Lines::default();
    lines.read(&text);
    let drop_ins = drop_ins(root, &unit)?;
    for path in &drop_ins {
        match root.text(path) {
            Ok(text) => lines.read(&text),
            // A link to /dev/null takes a drop-in of another directory away.
            Err(_) if is_masked(root, path) => {}
            Err(unread) => return Err(unread.unseen(path)),
        }
    }
    let environment = lines.environment(root)?;
    let words = lines.starts.last().map(|start| expand(start, &environment)).unwrap_or_default();
    let environment_files = lines.environment_files().map(str::to_owned).collect();
    let enabled = is_enabled(root, &unit)?;
    Ok(Some(Service { file, drop_ins, enabled, environment_files, words, environment }))
}

/// Whether something wants a unit when the machine boots: a link in a directory `*.wants` or `*.requires`. A unit that
/// is masked is not started, whatever wants it.
pub(super) fn is_enabled(root: &Root, unit: &str) -> Look<bool> {
    if is_off(root, unit) {
        return Ok(false);
    }
    for path in PATHS {
        for name in root.names(path)? {
            if !matches!(ending(&name), Some("wants" | "requires")) {
                continue;
            }
            let link = format!("{path}/{name}/{unit}");
            // The link may lead to a file that only the machine's own root has.
            match root.link(&link) {
                Ok(target) if target != "/dev/null" => return Ok(true),
                Err(denied @ Unread::Denied(_)) => return Err(denied.into()),
                _ => {}
            }
        }
    }
    Ok(false)
}

/// The units of a kind (`service`, `swap`) that something wants when the machine boots, sorted.
pub(super) fn enabled(root: &Root, kind: &str) -> Look<Vec<String>> {
    let mut found = BTreeSet::new();
    for path in PATHS {
        for folder in root.names(path).map_err(|unread| unread.unseen(path))? {
            if !matches!(ending(&folder), Some("wants" | "requires")) {
                continue;
            }
            let folder = format!("{path}/{folder}");
            // A link that goes in a circle, or none at all: nothing is started by it.
            let names = match root.names(&folder) {
                Err(denied @ Unread::Denied(_)) => return Err(denied.into()),
                names => names.unwrap_or_default(),
            };
            found.extend(names.into_iter().filter(|name| {
                is_of(name, kind) && !is_masked(root, &format!("{folder}/{name}")) && !is_off(root, name)
            }));
        }
    }
    Ok(found.into_iter().collect())
}

/// The file of a unit and its drop-ins, with their texts; of `NAME@INSTANCE` that of the template.
pub(super) fn texts(root: &Root, unit: &str) -> Look<Vec<(String, String)>> {
    let template =
        unit.split_once('@').and_then(|(name, rest)| Some(format!("{name}@.{}", rest.rsplit_once('.')?.1)));
    let mut found = Vec::new();
    for unit in [Some(unit), template.as_deref()].into_iter().flatten() {
        found.extend(first(root, unit)?);
        for path in drop_ins(root, unit)? {
            let text = root.text_if_any(&path).unwrap_or_default().unwrap_or_default();
            found.push((path, text));
        }
    }
    Ok(found)
}

/// Whether a unit is masked for good; what stands in `/run` is gone after a boot.
pub(super) fn is_off(root: &Root, unit: &str) -> bool {
    let there = PATHS.iter().filter(|path| !path.starts_with("/run")).map(|path| format!("{path}/{unit}"));
    let mut links = there.filter_map(|path| match root.link(&path) {
        Ok(target) => Some(target == "/dev/null"),
        Err(Unread::Absent) => None,
        // A file that is no link.
        Err(_) => Some(false),
    });
    links.next() == Some(true)
}

/// Whether it is the name of a unit of this kind.
pub(super) fn is_of(name: &str, kind: &str) -> bool {
    ending(name) == Some(kind)
}

fn ending(name: &str) -> Option<&str> {
    std::path::Path::new(name).extension().and_then(|ending| ending.to_str())
}

fn first(root: &Root, unit: &str) -> Look<Option<(String, String)>> {
    for path in PATHS {
        let path = format!("{path}/{unit}");
        if is_masked(root, &path) {
            return Ok(None);
        }
        if let Some(text) = root.text_if_any(&path).map_err(|unread| unread.unseen(&path))? {
            return Ok(Some((path, text)));
        }
    }
    Ok(None)
}

fn is_masked(root: &Root, path: &str) -> bool {
    root.link(path).is_ok_and(|target| target == "/dev/null")
}

/// The drop-ins in the order in which they apply.
fn drop_ins(root: &Root, unit: &str) -> Look<Vec<String>> {
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    for path in PATHS {
        // `service.d` holds for every service.
        for folder in [format!("{path}/{unit}.d"), format!("{path}/service.d")] {
            for name in root.names(&folder).map_err(|unread| unread.unseen(&folder))? {
                if is_conf(&name) {
                    found.entry(name.clone()).or_insert_with(|| format!("{folder}/{name}"));
                }
            }
        }
    }
    Ok(found.into_values().collect())
}

/// What is read of the section `[Service]`.
#[derive(Debug, Default)]
struct Lines {
    starts: Vec<String>,
    environment: Vec<(bool, String)>,
}

impl Lines {
    fn read(&mut self, text: &str) {
        let mut section = String::new();
        for line in joined(text) {
            let line = line.trim();
            if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                name.clone_into(&mut section);
                continue;
            }
            let Some((key, value)) = line.split_once('=') else { continue };
            let value = value.trim();
            match (section.as_str(), key.trim()) {
                // An empty value takes back what was said before (systemd.service(5)).
                ("Service", "ExecStart") if value.is_empty() => self.starts.clear(),
                ("Service", "ExecStart") => self.starts.push(value.to_owned()),
                ("Service", key @ ("Environment" | "EnvironmentFile")) => {
                    let is_file = key == "EnvironmentFile";
                    if value.is_empty() {
                        self.environment.retain(|(file, _)| *file != is_file);
                    } else {
                        self.environment.push((is_file, value.to_owned()));
                    }
                }
                _ => {}
            }
        }
    }

    fn environment_files(&self) -> impl Iterator<Item = &str> {
        let files = self.environment.iter().filter(|(is_file, _)| *is_file);
        files.map(|(_, path)| path.strip_prefix('-').unwrap_or(path))
    }

    /// Files come after what stands in the unit itself, and win (systemd.exec(5)).
    fn environment(&self, root: &Root) -> Look<BTreeMap<String, String>> {
        let mut all = BTreeMap::new();
        for (_, line) in self.environment.iter().filter(|(is_file, _)| !is_file) {
            all.extend(words(line).iter().filter_map(|word| pair(word)));
        }
        for path in self.environment_files() {
            if let Some(text) = root.text_if_any(path).map_err(|unread| unread.unseen(path))? {
                all.extend(variables(&text));
            }
        }
        Ok(all)
    }
}

/// The variables of a file of assignments, such as `/etc/default/kubelet`.
pub(super) fn variables(text: &str) -> impl Iterator<Item = (String, String)> {
    let lines = joined(text).into_iter().filter_map(|line| {
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) = line.split_once('=')?;
        let value = value.trim();
        let quoted = ['"', '\''].into_iter().find_map(|mark| value.strip_prefix(mark)?.strip_suffix(mark));
        Some((name.trim().to_owned(), quoted.unwrap_or(value).to_owned()))
    });
    lines.collect::<Vec<_>>().into_iter()
}

fn pair(word: &str) -> Option<(String, String)> {
    word.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()))
}

/// Lines without comments, those that end with a backslash joined with the next.
pub(super) fn joined(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines() {
        if line.trim_start().starts_with(['#', ';']) {
            continue;
        }
        let (kept, next) = match line.strip_suffix('\\') {
            Some(kept) => (kept, true),
            None => (line, false),
        };
        match lines.last_mut() {
            Some(last) if goes_on => {
                last.push(' ');
                last.push_str(kept);
            }
            _ => lines.push(kept.to_owned()),
        }
        goes_on = next;
    }
    lines
}

/// Splits at white space outside of quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), letter) if letter == open => quote = None,
            (None, '"' | '\'') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (open, '\\') if open != Some('\'') => word.get_or_insert_default().extend(letters.next()),
            (None, letter) if letter.is_whitespace() => words.extend(word.take()),
            (_, letter) => word.get_or_insert_default().push(letter),
        }
    }
    words.extend(word);
    words
}

/// The words of a command line: `$NAME` as a word of its own becomes several words, `${NAME}` stays within its word.
fn expand(line: &str, environment: &BTreeMap<String, String>) -> Vec<String> {
    // What stands before the program says how it is started (systemd.service(5)).
    let line = line.trim_start_matches(['-', '@', ':', '+', '!', '|']);
    let value = |name: &str| environment.get(name).map_or("", String::as_str);
    let mut all = Vec::new();
    for word in words(line) {
        match word.strip_prefix('$') {
            Some(name) if !name.starts_with(['{', '$']) => all.extend(words(value(name))),
            _ => all.push(braced(&word, &value)),
        }
    }
    all
}

fn braced<'v>(word: &str, value: &impl Fn(&str) -> &'v str) -> String {
    let mut whole = String::new();
    let mut rest = word;
    while let Some((before, behind)) = rest.split_once("${") {
        let Some((name, after)) = behind.split_once('}') else { break };
        whole.push_str(before);
        whole.push_str(value(name));
        rest = after;
    }
    whole + rest
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::*;

    #[test]
    fn the_unit_of_kubeadm_comes_to_its_command_line() {
        let tree = Tree::new("unit");
        tree.write(
            "/usr/lib/systemd/system/kubelet.service",
            "[Service]\nExecStart=/usr/bin/kubelet\n[Install]\n",
        );
        tree.write(
            "/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf",
            "# Note: This dropin only works with kubeadm and kubelet v1.11+\n[Service]\n\
             Environment=\"KUBELET_KUBECONFIG_ARGS=--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf --kubeconfig=/etc/kubernetes/kubelet.conf\"\n\
             Environment=\"KUBELET_CONFIG_ARGS=--config=/var/lib/kubelet/config.yaml\"\n\
             EnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\nEnvironmentFile=-/etc/default/kubelet\nExecStart=\n\
             ExecStart=/usr/bin/kubelet $KUBELET_KUBECONFIG_ARGS $KUBELET_CONFIG_ARGS $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS\n",
        );
        tree.write(
            "/var/lib/kubelet/kubeadm-flags.env",
            "KUBELET_KUBEADM_ARGS=\"--container-runtime-endpoint=unix:///run/containerd/containerd.sock --pod-infra-container-image=x\"\n",
        );
        tree.write("/etc/default/kubelet", "KUBELET_EXTRA_ARGS=--node-ip=10.0.0.5\n");
        tree.link(
            "/etc/systemd/system/multi-user.target.wants/kubelet.service",
            "/usr/lib/systemd/system/kubelet.service",
        );
        let unit = service(&tree.root(), "kubelet").expect("it is read").expect("it is there").unit();
        let flag = |name: &str| unit.flags.get(name).map(String::as_str);
        assert_eq!(flag("config"), Some("/var/lib/kubelet/config.yaml"));
        assert_eq!(flag("kubeconfig"), Some("/etc/kubernetes/kubelet.conf"));
        assert_eq!(flag("node-ip"), Some("10.0.0.5"));
        assert_eq!(flag("container-runtime-endpoint"), Some("unix:///run/containerd/containerd.sock"));
        assert_eq!(flag("pod-infra-container-image"), None, "only catalogued flags are kept");
        assert!(unit.enabled);
        assert_eq!(unit.file, "/usr/lib/systemd/system/kubelet.service");
    }

    #[test]
    fn drop_ins_apply_by_name_and_etc_counts_before_lib() {
        let tree = Tree::new("drop-ins");
        tree.write(
            "/etc/systemd/system/kubelet.service",
            "[Service]\nExecStart=/usr/bin/kubelet --config=/a\n",
        );
        tree.write(
            "/usr/lib/systemd/system/kubelet.service",
            "[Service]\nExecStart=/usr/bin/kubelet --config=/never\n",
        );
        let start =
            |path: &str| format!("[Service]\nExecStart=\nExecStart=/usr/bin/kubelet --config={path}\n");
        tree.write("/usr/lib/systemd/system/kubelet.service.d/50-x.conf", start("/shadowed"));
        tree.write("/etc/systemd/system/kubelet.service.d/50-x.conf", start("/fifty"));
        tree.write("/run/systemd/system/kubelet.service.d/20-y.conf", start("/twenty"));
        tree.write("/run/systemd/system/kubelet.service.d/90-z.txt", start("/no-drop-in"));
        let unit = service(&tree.root(), "kubelet").expect("it is read").expect("it is there").unit();
        assert_eq!(unit.flags.get("config").map(String::as_str), Some("/fifty"));
        assert_eq!(
            unit.drop_ins,
            [
                "/run/systemd/system/kubelet.service.d/20-y.conf",
                "/etc/systemd/system/kubelet.service.d/50-x.conf"
            ]
        );
        assert!(!unit.enabled);
        tree.link("/etc/systemd/system/proxy.service", "/dev/null");
        tree.write("/usr/lib/systemd/system/proxy.service", "[Service]\nExecStart=/usr/bin/proxy\n");
        assert_eq!(service(&tree.root(), "proxy"), Ok(None), "it is masked");
    }
}
