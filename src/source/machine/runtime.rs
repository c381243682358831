//! The container runtime, and the cgroup driver that its configuration sets. Files only; its socket is not asked.

use checks::evidence::Runtime;
use serde_json::Value;

use super::files::{Root, Unread};
use super::{Look, Place, kubelet};

/// The runtime that the kubelet was told of, or else the one that runs.
pub(super) fn look(place: &Place) -> Look<Option<Runtime>> {
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
    let (path, cgroup_driver) = match name {
        "crio" => crio(&place.root)?,
        "docker" => docker(place)?,
        _ => containerd(place)?,
    };
    Ok(Some(Runtime { name: name.to_owned(), path, cgroup_driver }))
}

fn text(root: &Root, path: &str) -> Look<Option<String>> {
    root.text_if_any(path).map_err(|unread: Unread| unread.unseen(path))
}

fn driver(is_systemd: bool) -> String {
    if is_systemd { "systemd" } else { "cgroupfs" }.to_owned()
}

/// `SystemdCgroup` of the runtime that containerd starts containers with. False is the default
/// (containerd, docs/cri/config.md).
fn containerd(place: &Place) -> Look<(String, Option<String>)> {
    let running = place.processes()?.all().iter().find(|running| running.name() == "containerd");
    let flag = running.and_then(|running| {
        let words = &running.words;
        let at = words.iter().position(|word| word == "--config" || word == "-c");
        let joined = words.iter().find_map(|word| word.strip_prefix("--config="));
        joined.map(str::to_owned).or_else(|| words.get(at? + 1).cloned())
    });
    let path =
        flag.filter(|path| path.starts_with('/')).unwrap_or_else(|| "/etc/containerd/config.toml".to_owned());
    let Some(text) = text(&place.root, &path)? else { return Ok((path, Some(driver(false)))) };
    let entries = entries(&text);
    let has_imports =
        entries.iter().any(|(section, key, value)| section.is_empty() && key == "imports" && value != "[]");
    let default = entries.iter().find(|(_, key, _)| key == "default_runtime_name");
    let runtime = default.map_or("runc", |(_, _, value)| value.trim_matches(['"', '\'']));
    let ending = format!("containerd.runtimes.{runtime}.options");
    let set: Vec<&str> = entries
        .iter()
        .filter(|(section, key, _)| section.ends_with(&ending) && key == "SystemdCgroup")
        .map(|(_, _, value)| value.as_str())
        .collect();
    let found = match set.as_slice() {
        ["true"] => Some(driver(true)),
        ["false"] => Some(driver(false)),
        // Other files, or a form of TOML that is not read here, may say it.
        [] if !has_imports && !text.contains("SystemdCgroup") && !text.contains("systemd_cgroup") => {
            Some(driver(false))
        }
        _ => None,
    };
    Ok((path, found))
}

/// `cgroup_manager` of CRI-O, systemd by default (crio.conf(5)); drop-ins come after the file, by name.
fn crio(root: &Root) -> Look<(String, Option<String>)> {
    let mut found = ("/etc/crio/crio.conf".to_owned(), Some(driver(true)));
    let folder = "/etc/crio/crio.conf.d";
    let mut paths = vec![found.0.clone()];
    paths.extend(root.names(folder)?.into_iter().take(200).map(|name| format!("{folder}/{name}")));
    for path in paths {
        let Some(text) = text(root, &path)? else { continue };
        for (section, key, value) in entries(&text) {
            if section == "crio.runtime" && key == "cgroup_manager" {
                let value = value.trim_matches(['"', '\'']);
                found = (path.clone(), matches!(value, "systemd" | "cgroupfs").then(|| value.to_owned()));
            }
        }
    }
    Ok(found)
}

/// `native.cgroupdriver` of Docker's `exec-opts`. Its default depends on the version of cgroups.
fn docker(place: &Place) -> Look<(String, Option<String>)> {
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
    Ok((path.to_owned(), drivers.last().filter(|driver| known(driver)).map(|driver| (*driver).to_owned())))
}

/// The plain assignments of a file of TOML: section without quotes, key, value.
fn entries(text: &str) -> Vec<(String, String, String)> {
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
        look(&tree.place()).expect("it is read")
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
            ("imports = [\"/etc/containerd/conf.d/*.toml\"]\n", None),
            ("plugins = { cri = { SystemdCgroup = true } }\n", None),
            ("[plugins.x.containerd.runtimes.kata.options]\nSystemdCgroup = true\n", None),
        ] {
            let runtime = look_at("containerd", file, text, "/usr/bin/containerd").expect("it runs");
            assert_eq!(runtime.cgroup_driver.as_deref(), expected, "{text}");
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
