//! systemd's files of a service: the unit, the drop-ins over it, and the command that comes of them (systemd.unit(5),
//! systemd.service(5), systemd.exec(5), as far as a kubelet's unit goes).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

/// Where units and drop-ins lie, the strongest first.
const DIRECTORIES: [&str; 4] = [
    "/etc/systemd/system",
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
];

/// The files of a unit, and the text of each.
pub(crate) struct UnitFile {
    root: PathBuf,
    /// The unit itself, as the host names it.
    pub(crate) path: String,
    /// In the order in which they are read.
    pub(crate) drop_ins: Vec<String>,
    texts: Vec<String>,
}

/// What a unit starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) argv: Vec<String>,
    pub(crate) environment: BTreeMap<String, String>,
}

impl Start {
    /// A command and nothing else.
    pub(crate) fn plain(argv: Vec<String>) -> Self {
        Self { argv, environment: BTreeMap::new() }
    }
}

impl UnitFile {
    /// Reads them below a host's root.
    pub(crate) fn load(root: &Path, unit: &str) -> Result<Self> {
        let below = |path: &str| root.join(path.trim_start_matches('/'));
        let path = DIRECTORIES
            .iter()
            .map(|directory| format!("{directory}/{unit}.service"))
            .find(|path| below(path).is_file())
            .with_context(|| format!("No files found for {unit}.service."))?;
        // One of the same name in a stronger directory is read in place of the weaker one.
        let mut drop_ins = BTreeMap::new();
        for directory in DIRECTORIES.iter().rev() {
            let directory = format!("{directory}/{unit}.service.d");
            for entry in fs::read_dir(below(&directory)).into_iter().flatten().flatten() {
                if let Ok(name) = entry.file_name().into_string()
                    && entry.path().extension().is_some_and(|extension| extension == "conf")
                {
                    drop_ins.insert(name.clone(), format!("{directory}/{name}"));
                }
            }
        }
        let drop_ins: Vec<String> = drop_ins.into_values().collect();
        let mut texts = Vec::new();
        for file in [&path].into_iter().chain(&drop_ins) {
            texts.push(fs::read_to_string(below(file)).with_context(|| format!("cannot read {file}"))?);
        }
        Ok(Self { root: root.to_owned(), path, drop_ins, texts })
    }

    /// What `systemctl cat` prints.
    pub(crate) fn cat(&self) -> String {
        let files = [&self.path].into_iter().chain(&self.drop_ins);
        let parts: Vec<String> =
            files.zip(&self.texts).map(|(path, text)| format!("# {path}\n{text}")).collect();
        parts.join("\n")
    }

    /// The command and its environment, with the variables put in.
    pub(crate) fn start(&self) -> Result<Start> {
        let mut own = BTreeMap::new();
        let mut files: Vec<String> = Vec::new();
        let mut commands: Vec<String> = Vec::new();
        for (key, value) in self.texts.iter().flat_map(|text| settings(text)) {
            match key.as_str() {
                "Environment" => {
                    for word in words(&value) {
                        if let Some((name, value)) = word.split_once('=') {
                            own.insert(name.to_owned(), value.to_owned());
                        }
                    }
                }
                // An empty value forgets what was before.
                "EnvironmentFile" if value.is_empty() => files.clear(),
                "EnvironmentFile" => files.push(value),
                "ExecStart" if value.is_empty() => commands.clear(),
                "ExecStart" => commands.push(value),
                _ => {}
            }
        }
        let mut environment = own;
        for file in &files {
            let (file, optional) = file.strip_prefix('-').map_or((file.as_str(), false), |file| (file, true));
            match fs::read_to_string(self.root.join(file.trim_start_matches('/'))) {
                // Of the same name, a file's value goes before one of `Environment=`.
                Ok(text) => environment.extend(assignments(&text)),
                Err(_) if optional => {}
                Err(error) => return Err(error).with_context(|| format!("cannot read {file}")),
            }
        }
        ensure!(commands.len() == 1, "{} has {} commands to start", self.path, commands.len());
        let mut argv = Vec::new();
        for word in words(&commands[0]) {
            match word.strip_prefix('$') {
                // `$NAME` alone becomes as many words as its value has; unset it becomes none.
                Some(name) if !name.starts_with('{') => {
                    argv.extend(words(environment.get(name).map(String::as_str).unwrap_or_default()));
                }
                _ => argv.push(word),
            }
        }
        ensure!(!argv.is_empty(), "{} starts nothing", self.path);
        Ok(Start { argv, environment })
    }
}

/// The settings of section `[Service]`, with continued lines joined.
fn settings(text: &str) -> Vec<(String, String)> {
    let joined = text.replace("\\\n", " ");
    let mut section = "";
    let mut found = Vec::new();
    for line in joined.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if let Some((key, value)) = line.split_once('=')
            && section == "[Service]"
            && !line.starts_with(['#', ';'])
        {
            found.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found
}

/// The lines `NAME=VALUE` of an environment file.
fn assignments(text: &str) -> impl Iterator<Item = (String, String)> {
    text.lines().map(str::trim).filter(|line| !line.starts_with(['#', ';'])).filter_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim();
        let unquoted = ['"', '\'']
            .iter()
            .find_map(|quote| value.strip_prefix(*quote).and_then(|value| value.strip_suffix(*quote)));
        Some((name.trim().to_owned(), unquoted.unwrap_or(value).to_owned()))
    })
}

/// Words by spaces, but for those in quotes.
fn words(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => found.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    found.extend(word);
    found
}

/// The text of a drop-in that gives the kubelet another `--config`.
pub(crate) fn kubelet_config_drop_in(path: &str) -> String {
    let mut text = "[Service]\n".to_owned();
    // Writing to a String cannot fail.
    let _ = writeln!(text, "Environment=\"KUBELET_CONFIG_ARGS=--config={path}\"");
    text
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{UnitFile, kubelet_config_drop_in};

    fn unit(drop_ins: &[&str]) -> UnitFile {
        let mut texts = vec![include_str!("../manifests/kubelet.service").to_owned()];
        texts.extend(drop_ins.iter().map(|text| (*text).to_owned()));
        UnitFile {
            root: PathBuf::from("/nowhere"),
            path: "kubelet.service".to_owned(),
            drop_ins: Vec::new(),
            texts,
        }
    }

    const KUBEADM: &str = include_str!("../manifests/10-kubeadm.conf");

    #[test]
    fn a_drop_in_replaces_the_command_and_its_words_come_from_variables() {
        let plain = unit(&[]).start().expect("a command");
        assert_eq!(plain.argv, ["/usr/bin/kubelet"]);
        let kubeadm = unit(&[KUBEADM]).start().expect("a command");
        assert_eq!(
            kubeadm.argv,
            [
                "/usr/bin/kubelet",
                "--bootstrap-kubeconfig=/etc/kubernetes/bootstrap-kubelet.conf",
                "--kubeconfig=/etc/kubernetes/kubelet.conf",
                "--config=/var/lib/kubelet/config.yaml",
            ]
        );
        let other = unit(&[KUBEADM, &kubelet_config_drop_in("/etc/kubernetes/kubelet.yaml")]);
        assert_eq!(other.start().expect("a command").argv[3], "--config=/etc/kubernetes/kubelet.yaml");
        let extra =
            unit(&[KUBEADM, "[Service]\nEnvironment='KUBELET_EXTRA_ARGS=--v=2 --node-ip=192.0.2.1'\n"]);
        assert_eq!(extra.start().expect("a command").argv[4..], ["--v=2", "--node-ip=192.0.2.1"]);
    }

    #[test]
    fn two_commands_or_none_are_refused() {
        assert!(unit(&["[Service]\nExecStart=/bin/true\n"]).start().is_err());
        assert!(unit(&["[Service]\nExecStart=\n"]).start().is_err());
    }
}
