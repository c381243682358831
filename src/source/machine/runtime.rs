//! The container runtime, and the cgroup driver that its configuration sets. Its files and its version; its socket is
//! not asked.

use std::sync::Arc;

use checks::evidence::Runtime;
use jiff::Timestamp;
use serde_json::Value;

use super::files::{Root, Unread};
use super::processes::Running;
use super::{Look, Place, kubelet, on_files, run};

/// The runtime that the kubelet was told of, or else the one that runs, with the versions on which it depends who
/// settles the cgroup driver.
pub(super) async fn look(place: &Arc<Place>) -> Look<Option<Runtime>> {
    let Some(mut runtime) = on_files(place, on_disk).await? else { return Ok(None) };
    // Docker answers through a program of its own.
    if place.has_kernel().is_ok() && runtime.name != "docker" {
        (runtime.version, runtime.kubelet_version) =
            tokio::join!(version(place, &runtime.name), version(place, "kubelet"));
    }
    Ok(Some(runtime))
}

/// The version that a program of the machine prints, without a leading `v`.
async fn version(place: &Place, program: &str) -> Option<String> {
    let by_hand = || {
        let path = format!("/usr/local/bin/{program}");
        place.root.exists(&path).unwrap_or_default().then_some(path)
    };
    let path = run::find(place, program).or_else(by_hand)?;
    let printed = run::output(place, &path, &["--version"]).await.ok()?;
    number(printed.text.lines().next()?)
}

/// The first word of a line that is a version: `containerd github.com/containerd/containerd v1.7.13 7c3aca7a`.
fn number(line: &str) -> Option<String> {
    let is_version = |word: &&str| {
        word.split('.').take(2).filter(|part| part.parse::<u32>().is_ok()).count() == 2 && word.len() <= 64
    };
    line.split_whitespace().map(|word| word.trim_start_matches('v')).find(is_version).map(str::to_owned)
}

/// What files say.
fn on_disk(place: &Place) -> Look<Option<Runtime>> {
    let told = kubelet::endpoint(place)?;
    let named = told.and_then(|endpoint| {
        [("crio", "crio"), ("docker", "docker"), ("containerd", "containerd")]
            .into_iter()
            .find_map(|(part, name)| endpoint.contains(part).then_some(name))
    });
    let processes = place.processes()?;
    let running = || {
        let programs = [("crio", "crio"), ("dockerd", "docker"), ("containerd", "containerd")];
        programs.into_iter().find_map(|(program, name)| processes.runs(program).then_some(name))
    };
    let Some(name) = named.or_else(running) else { return Ok(None) };
    let process = processes.own(if name == "docker" { "dockerd" } else { name })?;
    let said = match name {
        "crio" => crio(&place.root)?,
        "docker" => docker(place)?,
        _ => containerd(&place.root, process)?,
    };
    Ok(Some(Runtime {
        name: name.to_owned(),
        path: said.path,
        cgroup_driver: said.driver,
        version: None,
        kubelet_version: None,
        changed: said.changed,
        started: process.and_then(Running::started),
    }))
}

/// What files say of the cgroup driver.
#[derive(Debug, Default)]
struct Said {
    /// The file that has the last word.
    path: String,
    driver: Option<String>,
    /// When the newest of the files was changed.
    changed: Option<Timestamp>,
}

fn text(root: &Root, path: &str) -> Look<Option<String>> {
    root.text_if_any(path).map_err(|unread: Unread| unread.unseen(path))
}

fn driver(is_systemd: bool) -> String {
    if is_systemd { "systemd" } else { "cgroupfs" }.to_owned()
}

/// `SystemdCgroup` of the runtime that containerd starts containers with. False is the default
/// (containerd, docs/cri/config.md). Files that `imports` names come after the file that names them
/// (containerd-config.toml(5)).
fn containerd(root: &Root, running: Option<&Running>) -> Look<Said> {
    let flag = running.and_then(|running| {
        let words = &running.words;
        let at = words.iter().position(|word| word == "--config" || word == "-c");
        let joined = words.iter().find_map(|word| word.strip_prefix("--config="));
        joined.map(str::to_owned).or_else(|| words.get(at? + 1).cloned())
    });
    let path =
        flag.filter(|path| path.starts_with('/')).unwrap_or_else(|| "/etc/containerd/config.toml".to_owned());
    let mut said = Said { driver: Some(driver(false)), path: path.clone(), changed: root.changed(&path) };
    let Some(main) = text(root, &path)? else { return Ok(said) };
    let Some(imports) = imported(root, &main)? else {
        said.driver = None;
        return Ok(said);
    };
    let mut files = vec![(path, main)];
    for path in imports {
        let Some(text) = text(root, &path)? else { continue };
        said.changed = said.changed.max(root.changed(&path));
        files.push((path, text));
    }
    let parsed: Vec<_> = files.iter().map(|(path, text)| (path, entries(text))).collect();
    let all = || parsed.iter().flat_map(|(path, entries)| entries.iter().map(move |entry| (*path, entry)));
    let default = all().rfind(|(_, (_, key, _))| key == "default_runtime_name");
    let runtime = default.map_or("runc", |(_, (_, _, value))| value.trim_matches(['"', '\'']));
    let ending = format!("containerd.runtimes.{runtime}.options");
    let mut set = all().filter(|(_, (section, key, _))| section.ends_with(&ending) && key == "SystemdCgroup");
    // An imported file may import others in turn, and a form of TOML that is not read here may say it too.
    let imports_more = parsed[1..].iter().any(|(_, entries)| entries.iter().any(is_import));
    let mentions = files
        .iter()
        .any(|(_, text)| ["SystemdCgroup", "systemd_cgroup"].iter().any(|word| text.contains(word)));
    match set.next_back() {
        _ if imports_more => said.driver = None,
        Some((path, (_, _, value))) => {
            said.path.clone_from(path);
            said.driver = value.parse().ok().map(driver);
        }
        None if mentions => said.driver = None,
        None => {}
    }
    Ok(said)
}

fn is_import((section, key, value): &Entry) -> bool {
    section.is_empty() && key == "imports" && value != "[]"
}

/// The files that `imports` names, one list on one line, by name or by `*.toml` in a directory; nothing where it says
/// more than that.
fn imported(root: &Root, text: &str) -> Look<Option<Vec<String>>> {
    let entries = entries(text);
    let Some((_, _, value)) = entries.iter().find(|entry| is_import(entry)) else {
        return Ok(Some(Vec::new()));
    };
    let Some(list) = value.strip_prefix('[').and_then(|value| value.strip_suffix(']')) else {
        return Ok(None);
    };
    let mut files = Vec::new();
    for path in
        list.split(',').map(|path| path.trim().trim_matches(['"', '\''])).filter(|path| !path.is_empty())
    {
        match path.rsplit_once('/') {
            Some((folder, "*.toml")) if path.starts_with('/') && !folder.contains('*') => {
                // They come in the order of their names.
                let names = root.names(folder)?;
                let toml =
                    |name: &String| std::path::Path::new(name).extension().is_some_and(|it| it == "toml");
                files.extend(names.into_iter().filter(toml).take(100).map(|name| format!("{folder}/{name}")));
            }
            Some(_) if path.starts_with('/') && !path.contains(['*', '?', '[']) => {
                files.push(path.to_owned());
            }
            _ => return Ok(None),
        }
    }
    Ok(Some(files))
}

/// `cgroup_manager` of CRI-O, systemd by default (crio.conf(5)); drop-ins come after the file, by name.
fn crio(root: &Root) -> Look<Said> {
    let path = "/etc/crio/crio.conf".to_owned();
    let mut said = Said { driver: Some(driver(true)), path: path.clone(), changed: None };
    let folder = "/etc/crio/crio.conf.d";
    let mut paths = vec![path];
    paths.extend(root.names(folder)?.into_iter().take(200).map(|name| format!("{folder}/{name}")));
    for path in paths {
        let Some(text) = text(root, &path)? else { continue };
        said.changed = said.changed.max(root.changed(&path));
        for (section, key, value) in entries(&text) {
            if section == "crio.runtime" && key == "cgroup_manager" {
                let value = value.trim_matches(['"', '\'']);
                said.path.clone_from(&path);
                said.driver = matches!(value, "systemd" | "cgroupfs").then(|| value.to_owned());
            }
        }
    }
    Ok(said)
}

/// `native.cgroupdriver` of Docker's `exec-opts`. Its default depends on the version of cgroups.
fn docker(place: &Place) -> Look<Said> {
    let path = "/etc/docker/daemon.json";
    let file: Value = match text(&place.root, path)? {
        Some(text) => serde_json::from_str(&text).unwrap_or_default(),
        None => Value::Null,
    };
    let set = file["exec-opts"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let words = place.processes()?.all().iter().filter(|running| running.name() == "dockerd");
    let flags: Vec<&str> = words.flat_map(|running| running.words.iter().map(String::as_str)).collect();
    let drivers: Vec<&str> = set
        .chain(flags)
        .filter_map(|word| word.split_once("native.cgroupdriver=").map(|(_, driver)| driver))
        .collect();
    let known = |driver: &&str| matches!(*driver, "systemd" | "cgroupfs");
    let driver = drivers.last().filter(|driver| known(driver)).map(|driver| (*driver).to_owned());
    Ok(Said { path: path.to_owned(), driver, changed: place.root.changed(path) })
}

/// A section without quotes, a key and its value.
type Entry = (String, String, String);

/// The plain assignments of a file of TOML.
fn entries(text: &str) -> Vec<Entry> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text.lines() {
        let line = line.split(" #").next().unwrap_or_default().trim();
        if line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.replace(['"', '\'', '[', ']', ' '], "");
        } else if let Some((key, value)) = line.split_once('=') {
            found.push((section.clone(), key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::testing::Tree;
    use super::*;

    fn look_at(name: &str, file: &str, text: &str, program: &str) -> Option<Runtime> {
        let tree = Tree::new(name);
        tree.init();
        tree.process(9, &[program], 1, Some("net:[1]"));
        tree.write(file, text);
        on_disk(&tree.place()).expect("it is read")
    }

    #[test]
    fn every_version_of_containerds_file_is_read() {
        let file = "/etc/containerd/config.toml";
        for (text, expected) in [
            (
                "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runc.options]\n  SystemdCgroup = true\n",
                Some("systemd"),
            ),
            (
                "version = 3\n[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]\n  SystemdCgroup = false # no\n",
                Some("cgroupfs"),
            ),
            ("[plugins.cri.containerd.runtimes.runc.options]\nSystemdCgroup = true\n", Some("systemd")),
            ("version = 2\n", Some("cgroupfs")),
            ("imports = [\"/etc/containerd/conf.d/*.toml\"]\n", Some("cgroupfs")),
            ("imports = [\"conf.d/*.toml\"]\n", None),
            ("plugins = { cri = { SystemdCgroup = true } }\n", None),
            ("[plugins.x.containerd.runtimes.kata.options]\nSystemdCgroup = true\n", None),
        ] {
            let runtime = look_at("containerd", file, text, "/usr/bin/containerd").expect("it runs");
            assert_eq!(runtime.cgroup_driver.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn an_imported_file_has_the_last_word() {
        let tree = Tree::new("imports");
        tree.init();
        tree.process(9, &["/usr/bin/containerd"], 1, Some("net:[1]"));
        let section = "[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]";
        tree.write(
            "/etc/containerd/config.toml",
            format!(
                "version = 3\nimports = ['/etc/containerd/conf.d/*.toml']\n{section}\nSystemdCgroup = false\n"
            ),
        );
        tree.write("/etc/containerd/conf.d/20.toml", format!("{section}\nSystemdCgroup = true\n"));
        tree.write("/etc/containerd/conf.d/10.toml", format!("{section}\nSystemdCgroup = false\n"));
        tree.write("/etc/containerd/conf.d/30.toml.bak", format!("{section}\nSystemdCgroup = false\n"));
        let seen = || on_disk(&tree.place()).expect("it is read").expect("it runs");
        assert_eq!(seen().cgroup_driver.as_deref(), Some("systemd"));
        assert_eq!(seen().path, "/etc/containerd/conf.d/20.toml");
        assert!(seen().changed.is_some() && seen().started.is_some());
        tree.write("/etc/containerd/conf.d/40.toml", "imports = ['/elsewhere.toml']\n");
        assert_eq!(seen().cgroup_driver, None, "what is imported in turn is not followed");
    }

    #[test]
    fn a_version_is_a_word_of_what_is_printed() {
        for (line, expected) in [
            (
                "containerd github.com/containerd/containerd v1.7.13 7c3aca7a610df76212171d200ca3811ff6096eb8",
                Some("1.7.13"),
            ),
            (
                "containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3",
                Some("1.6.20~ds1"),
            ),
            (
                "containerd github.com/containerd/containerd/v2 v2.0.2 c507a0257ea6462fbd6f5ba4f5c74facb04021f4",
                Some("2.0.2"),
            ),
            ("crio version 1.30.1", Some("1.30.1")),
            ("Kubernetes v1.36.2", Some("1.36.2")),
            ("containerd", None),
            ("", None),
        ] {
            assert_eq!(number(line).as_deref(), expected, "{line}");
        }
    }

    #[test]
    fn the_others_are_read_too() {
        let docker = look_at(
            "docker",
            "/etc/docker/daemon.json",
            r#"{"exec-opts": ["native.cgroupdriver=systemd"]}"#,
            "/usr/bin/dockerd",
        );
        assert_eq!(docker.and_then(|docker| docker.cgroup_driver).as_deref(), Some("systemd"));
        let crio = look_at(
            "crio",
            "/etc/crio/crio.conf.d/10-x.conf",
            "[crio.runtime]\ncgroup_manager = \"cgroupfs\"\n",
            "crio",
        );
        assert_eq!(crio.and_then(|crio| crio.cgroup_driver).as_deref(), Some("cgroupfs"));
        assert_eq!(look_at("none", "/etc/x", "", "sleep"), None);
    }
}
