//! How the components of Kubernetes are started: the names of their flags, the files in which these stand, and the
//! version that will start.
//!
//! Names alone, because an upgrade asks no more; a value may be a secret.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use checks::evidence::{Command, FlagsIn, Runs};
use checks::removed_flags::COMPONENTS;

use super::{Look, Place, control_plane, on_files, run, units};
use crate::source::redact::flags;

/// The most flags of a component that are kept; kube-apiserver knows 171.
const MOST: usize = 300;

/// Every component that is here.
pub(super) async fn look(place: &Arc<Place>) -> Look<Vec<Command>> {
    let found = on_files(place, |place| {
        COMPONENTS.iter().filter_map(|name| component(place, name).transpose()).collect::<Look<Vec<_>>>()
    })
    .await?;
    let runs_programs = place.has_kernel().is_ok();
    let asked = found.into_iter().map(|(mut command, program)| async move {
        if let Some(program) = program.filter(|_| runs_programs) {
            command.version = run::version(place, &program).await;
        }
        command
    });
    Ok(futures::future::join_all(asked).await)
}

/// A component, and the program that can be asked for its version.
fn component(place: &Place, name: &str) -> Look<Option<(Command, Option<String>)>> {
    let process = place.processes()?.own(name)?;
    let runs =
        process.map(|process| Runs { pid: process.pid, started: process.started(), without: Vec::new() });
    // Those that it was started with; in which files they stand is not known.
    let of_process = || {
        let names = flags::names(own_words(&process?.words, name)?).into_iter().take(MOST).collect();
        Some(vec![FlagsIn { file: String::new(), names }])
    };
    let command = |seen_as: &str, path: String, version, flags: Option<Vec<FlagsIn>>| {
        let mut runs = runs.clone();
        if let (Some(runs), Some(words)) =
            (&mut runs, process.and_then(|process| own_words(&process.words, name)))
        {
            let started_with = flags::names(words);
            let set: BTreeSet<&String> = flags.iter().flatten().flat_map(|flags| &flags.names).collect();
            runs.without = set.into_iter().filter(|name| !started_with.contains(*name)).cloned().collect();
        }
        Command { component: name.to_owned(), seen_as: seen_as.to_owned(), path, version, flags, runs }
    };
    // The kubelet is no pod of its own.
    if let Some(manifest) = control_plane::manifest(place, name)?.filter(|_| name != "kubelet") {
        let flags = of_manifest(&manifest.path, &manifest.words);
        let version = tag(&manifest.image);
        return Ok(Some((command("manifest", manifest.path, version, Some(flags)), None)));
    }
    if let Some(service) = units::service(&place.root, name)? {
        let own = own_words(&service.words, name);
        let program = own.and_then(|words| words.first().filter(|_| words.len() == service.words.len()));
        let flags = own.map(|words| of_unit(place, &service, words)).or_else(of_process);
        return Ok(Some((command("unit", service.file.clone(), None, flags), program.cloned())));
    }
    Ok(process.map(|_| (command("process", String::new(), None, of_process()), None)))
}

/// The words from the component's own name on; nothing where something else is started, such as a shell with a script.
fn own_words<'w>(words: &'w [String], name: &str) -> Option<&'w [String]> {
    let is = |word: Option<&String>, name: &str| {
        word.is_some_and(|word| word.rsplit('/').next().unwrap_or(word) == name)
    };
    if is(words.first(), name) {
        return Some(words);
    }
    // hyperkube holds several components, and its next word says which.
    (is(words.first(), "hyperkube") && is(words.get(1), name)).then(|| &words[1..])
}

/// The version of an image: its tag, without a leading `v`.
fn tag(image: &str) -> Option<String> {
    let image = image.split('@').next()?;
    let (_, tag) = image.rsplit_once('/').map_or(image, |(_, name)| name).rsplit_once(':')?;
    run::number(tag)
}

/// The flags of a manifest. One whose value is a word of its own has no line that could be taken out alone, so it stands in
/// no file.
fn of_manifest(path: &str, words: &[String]) -> Vec<FlagsIn> {
    let mut here = BTreeSet::new();
    let mut elsewhere = BTreeSet::new();
    for (index, word) in words.iter().enumerate().skip(1) {
        let names = flags::names(&[String::new(), word.clone()]);
        let next = words.get(index + 1);
        let is_alone = word.contains('=') || next.is_none_or(|next| next.starts_with('-'));
        if is_alone { here.extend(names) } else { elsewhere.extend(names) }
    }
    by_file([(path.to_owned(), here), (String::new(), elsewhere)])
}

/// The flags of a unit, by the files of the unit in which their names stand.
fn of_unit(place: &Place, service: &units::Service, words: &[String]) -> Vec<FlagsIn> {
    let wanted: BTreeSet<String> = flags::names(words);
    let mut left = wanted.clone();
    let mut found = BTreeMap::new();
    let files = [&service.file].into_iter().chain(&service.drop_ins).chain(&service.environment_files);
    for file in files {
        let Ok(text) = place.root.text(file) else { continue };
        let here: BTreeSet<String> = written(&text).intersection(&wanted).cloned().collect();
        left = &left - &here;
        found.insert(file.clone(), here);
    }
    by_file(found.into_iter().chain([(String::new(), left)]))
}

fn by_file(found: impl IntoIterator<Item = (String, BTreeSet<String>)>) -> Vec<FlagsIn> {
    let mut left = MOST;
    let files = found.into_iter().filter(|(_, names)| !names.is_empty()).map(|(file, names)| {
        let names: Vec<String> = names.into_iter().take(left).collect();
        left -= names.len();
        FlagsIn { file, names }
    });
    files.collect()
}

/// The names behind two dashes in the lines of a file that are no comments.
fn written(text: &str) -> BTreeSet<String> {
    let is_comment = |line: &&str| line.trim_start().starts_with(['#', ';']);
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '-' || letter == '_';
    let mut names = BTreeSet::new();
    for line in text.lines().filter(|line| !is_comment(line)) {
        for (at, _) in line.match_indices("--") {
            if line[..at].ends_with(is_name) {
                continue;
            }
            let rest = &line[at + 2..];
            let name = &rest[..rest.find(|letter| !is_name(letter)).unwrap_or(rest.len())];
            names.insert(name.replace('_', "-"));
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::*;

    fn names_in<'c>(command: &'c Command, file: &str) -> Vec<&'c str> {
        let all = command.flags.iter().flatten().filter(|flags| flags.file == file);
        all.flat_map(|flags| flags.names.iter().map(String::as_str)).collect()
    }

    #[tokio::test]
    async fn a_units_flags_are_found_in_its_files() {
        let tree = Tree::new("commands");
        tree.init();
        tree.write(
            "/usr/lib/systemd/system/kubelet.service",
            "[Service]\nExecStart=/usr/bin/kubelet --config=/x $KUBELET_KUBEADM_ARGS $KUBELET_EXTRA_ARGS $SPLIT\n",
        );
        tree.write(
            "/etc/systemd/system/kubelet.service.d/20-x.conf",
            "[Service]\n# --cadvisor-port=0\nEnvironment=\"KUBELET_EXTRA_ARGS=--network-plugin=cni --log_dir /var/log\"\n\
             Environment=SPLIT=-\\\n-joined\nEnvironmentFile=-/var/lib/kubelet/kubeadm-flags.env\nEnvironmentFile=-/none\n",
        );
        tree.write(
            "/var/lib/kubelet/kubeadm-flags.env",
            "KUBELET_KUBEADM_ARGS=\"--container-runtime=remote\"\n",
        );
        let commands = look(&tree.place()).await.expect("it is seen");
        let [kubelet] = commands.as_slice() else { panic!("{commands:?}") };
        assert_eq!((kubelet.component.as_str(), kubelet.seen_as.as_str()), ("kubelet", "unit"));
        assert_eq!(names_in(kubelet, "/usr/lib/systemd/system/kubelet.service"), ["config"]);
        assert_eq!(
            names_in(kubelet, "/etc/systemd/system/kubelet.service.d/20-x.conf"),
            ["log-dir", "network-plugin"],
            "what a comment says is not set"
        );
        assert_eq!(names_in(kubelet, "/var/lib/kubelet/kubeadm-flags.env"), ["container-runtime"]);
        assert_eq!(
            (kubelet.version.as_deref(), &kubelet.runs),
            (None, &None),
            "the tree has no kernel to ask"
        );
    }

    #[tokio::test]
    async fn a_manifest_says_its_version_and_its_flags() {
        let tree = Tree::new("commands");
        tree.init();
        tree.write(
            "/etc/kubernetes/manifests/kube-apiserver.yaml",
            "spec:\n  containers:\n  - image: registry:5000/k8s/kube-apiserver-amd64:v1.24.17@sha256:00\n    command:\n    \
             - kube-apiserver\n    - --enable-swagger-ui=true\n    - --apiserver-count\n    - \"3\"\n    - --anonymous-auth\n    - -v=2\n",
        );
        tree.process(9, &["kube-apiserver", "--enable-swagger-ui=true"], 2, Some("net:[1]"));
        tree.process(10, &["/usr/bin/kube-proxy", "--config=/x", "secret"], 1, Some("net:[1]"));
        let commands = look(&tree.place()).await.expect("it is seen");
        let [proxy, server] = commands.as_slice() else { panic!("{commands:?}") };
        let path = "/etc/kubernetes/manifests/kube-apiserver.yaml";
        assert_eq!((server.seen_as.as_str(), server.version.as_deref()), ("manifest", Some("1.24.17")));
        assert_eq!(names_in(server, path), ["anonymous-auth", "enable-swagger-ui"]);
        assert_eq!(names_in(server, ""), ["apiserver-count"], "its value stands in a line of its own");
        let runs = server.runs.as_ref().expect("it runs");
        assert_eq!(
            (runs.pid, runs.without.as_slice()),
            (9, ["anonymous-auth", "apiserver-count"].map(str::to_owned).as_slice())
        );
        assert_eq!((proxy.seen_as.as_str(), names_in(proxy, "")), ("process", vec!["config"]));
    }

    #[tokio::test]
    async fn a_script_around_a_component_hides_its_flags() {
        let tree = Tree::new("commands");
        tree.init();
        tree.write("/etc/systemd/system/kubelet.service", "[Service]\nExecStart=/bin/sh -c 'kubelet --x'\n");
        let commands = look(&tree.place()).await.expect("it is seen");
        assert_eq!(commands[0].flags, None);
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            own_words(&words("/opt/hyperkube kubelet --a"), "kubelet"),
            Some(&words("kubelet --a")[..])
        );
        assert_eq!(own_words(&words("/opt/hyperkube proxy"), "kubelet"), None);
    }

    #[test]
    fn only_roots_programs_are_asked() {
        let tree = Tree::new("commands");
        tree.write("/usr/bin/kubelet", "#!/bin/sh\necho v1.2.3\n");
        let program = tree.path("/usr/bin/kubelet");
        std::fs::set_permissions(&program, std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .expect("mode");
        assert!(!tree.root().is_only_roots("/usr/bin/kubelet"), "everybody may write to it");
        assert!(!tree.root().is_only_roots("/usr/bin"), "it is no file");
        assert!(!tree.root().is_only_roots("/none"));
        let own = super::super::files::Root::open(std::path::Path::new("/")).expect("a root");
        assert!(own.is_only_roots("/bin/sh"), "a shell is root's, behind a link too");
        assert_eq!(tag("registry.k8s.io/kube-apiserver:v1.36.2").as_deref(), Some("1.36.2"));
        assert_eq!(tag("localhost:5000/kube-apiserver"), None);
        assert_eq!(tag("x/kube-apiserver:latest"), None);
    }
}
