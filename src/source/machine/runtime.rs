//! The container runtime, and the cgroup driver that its configuration sets. Its files and its version; its socket is
//! not asked.

use std::sync::Arc;

use checks::evidence::Runtime;
use jiff::Timestamp;
use toml::{Table, Value};

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

/// The version that a program of the machine prints, without a leading `v`: the one that runs, of which there may be
/// others on the machine, or the one in the usual places where it was started by its name or does not run.
async fn version(place: &Place, program: &str) -> Option<String> {
    let by_hand = || {
        let path = format!("/usr/local/bin/{program}");
        place.root.exists(&path).unwrap_or_default().then_some(path)
    };
    let running = place.processes().ok()?.own(program).ok()?;
    let path = match running.and_then(|running| running.words.first()).filter(|word| word.contains('/')) {
        Some(path) => path.starts_with('/').then(|| path.clone())?,
        None => run::find(place, program).or_else(by_hand)?,
    };
    run::version(place, &path).await
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
    let imports = match read(&main) {
        Some(main) => imported(root, &main)?,
        None => None,
    };
    let Some(imports) = imports else {
        said.driver = None;
        return Ok(said);
    };
    let mut files = vec![(path, main)];
    for path in imports {
        let Some(text) = text(root, &path)? else { continue };
        said.changed = said.changed.max(root.changed(&path));
        files.push((path, text));
    }
    let tables: Option<Vec<_>> = files.iter().map(|(path, text)| Some((path, read(text)?))).collect();
    // What an imported file imports in turn is not followed.
    let tables = tables.filter(|tables| tables[1..].iter().all(|(_, table)| !table.contains_key("imports")));
    let Some(tables) = tables else {
        said.driver = None;
        return Ok(said);
    };
    let plugins: Vec<_> =
        tables.iter().flat_map(|(path, table)| plugins(table).map(move |it| (*path, it))).collect();
    let name = |(_, plugin): &(_, &Table)| plugin.get("default_runtime_name")?.as_str().map(str::to_owned);
    let runtime = plugins.iter().rev().find_map(name).unwrap_or_else(|| "runc".to_owned());
    let set = |plugin: &Table| at(plugin, &["runtimes", &runtime, "options", "SystemdCgroup"]).cloned();
    let Some((position, (path, value))) = plugins
        .iter()
        .enumerate()
        .rev()
        .find_map(|(index, (path, plugin))| Some((index, (path, set(plugin)?))))
    else {
        return Ok(said);
    };
    said.path.clone_from(path);
    // Before its version 2 a plugin's section in a later file stands in place of an earlier one, and what is not in it is
    // not set; since then the two are joined (containerd, services/server/config, mergeConfig).
    let is_last = position + 1 == plugins.len();
    said.driver = value.as_bool().filter(|_| is_last).map(driver);
    Ok(said)
}

/// A file of TOML; nothing where it is none.
fn read(text: &str) -> Option<Table> {
    text.parse().ok()
}

fn at<'t>(table: &'t Table, path: &[&str]) -> Option<&'t Value> {
    let (last, above) = path.split_last()?;
    above.iter().try_fold(table, |table, key| table.get(*key)?.as_table())?.get(*last)
}

/// What plugins say of how containers are run: `cri` in files of version 1, `io.containerd.grpc.v1.cri` in those of version
/// 2, `io.containerd.cri.v1.runtime` in those of version 3.
fn plugins(table: &Table) -> impl Iterator<Item = &Table> {
    let plugins = table.get("plugins").and_then(Value::as_table);
    plugins.into_iter().flat_map(|plugins| {
        let known = ["cri", "io.containerd.grpc.v1.cri", "io.containerd.cri.v1.runtime"];
        known.into_iter().filter_map(|name| plugins.get(name)?.get("containerd")?.as_table())
    })
}

/// The files that `imports` names, by their paths or by `*.toml` in a directory; nothing where it says more than that.
fn imported(root: &Root, table: &Table) -> Look<Option<Vec<String>>> {
    let Some(list) = table.get("imports") else { return Ok(Some(Vec::new())) };
    let Some(list) = list.as_array() else { return Ok(None) };
    let mut files = Vec::new();
    for path in list {
        let Some(path) = path.as_str().filter(|path| path.starts_with('/')) else { return Ok(None) };
        match path.rsplit_once('/') {
            Some((folder, "*.toml")) if !folder.contains('*') => {
                // They come in the order of their names.
                let is_toml =
                    |name: &String| std::path::Path::new(name).extension().is_some_and(|it| it == "toml");
                let names = root.names(folder)?.into_iter().filter(is_toml);
                files.extend(names.take(100).map(|name| format!("{folder}/{name}")));
            }
            Some(_) if !path.contains(['*', '?', '[']) => files.push(path.to_owned()),
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
        let Some(table) = read(&text) else {
            // CRI-O does not start with such a file, so it runs with another.
            said.driver = None;
            return Ok(said);
        };
        if let Some(value) = at(&table, &["crio", "runtime", "cgroup_manager"]) {
            said.path.clone_from(&path);
            let known = |value: &&str| matches!(*value, "systemd" | "cgroupfs");
            said.driver = value.as_str().filter(known).map(str::to_owned);
        }
    }
    Ok(said)
}

/// `native.cgroupdriver` of Docker's `exec-opts`. Its default depends on the version of cgroups.
fn docker(place: &Place) -> Look<Said> {
    let path = "/etc/docker/daemon.json";
    let file: serde_json::Value =
        text(&place.root, path)?.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    let set = file["exec-opts"].as_array().into_iter().flatten().filter_map(serde_json::Value::as_str);
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
            (
                "plugins.cri.containerd = { runtimes = { runc = { options = { SystemdCgroup = true } } } }\n",
                Some("systemd"),
            ),
            ("[plugins.cri.containerd.runtimes.kata.options]\nSystemdCgroup = true\n", Some("cgroupfs")),
            (
                "[plugins.cri.containerd]\ndefault_runtime_name = 'kata'\n[plugins.cri.containerd.runtimes.kata.options]\nSystemdCgroup = true\n",
                Some("systemd"),
            ),
            ("version = 2\n[plugins\n", None),
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
        // By its version containerd takes one or the other.
        tree.write(
            "/etc/containerd/conf.d/35.toml",
            "[plugins.'io.containerd.cri.v1.runtime'.containerd]\nx = 1\n",
        );
        assert_eq!(seen().cgroup_driver, None);
        tree.write("/etc/containerd/conf.d/35.toml", "");
        assert_eq!(seen().cgroup_driver.as_deref(), Some("systemd"));
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
            assert_eq!(run::number(line).as_deref(), expected, "{line}");
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
