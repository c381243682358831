//! The configuration file: found, read within bounds, and checked.

mod file;
#[cfg(test)]
mod tests;
mod waivers;

use std::fs;
use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use checks::check::Severity;
use checks::diagnosis::Waiver;
use checks::rules::{Problem, yaml};
use serde_saphyr::Spanned;

use crate::collect::KubeletLook;
use file::{FailOn, File, Kubelets};

/// The name under which the file is found in the current directory.
pub(crate) const NAME: &str = "metrics-preflight.yaml";
/// The form of the file that this version reads.
const VERSION: u32 = 1;
/// The largest file, in bytes.
const LARGEST: usize = 512 * 1024;

/// What a configuration file says. Nothing is set where there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct Config {
    /// The file, as it was named.
    pub(crate) name: String,
    /// The least severity that fails.
    pub(crate) fail_on: Option<Severity>,
    /// Whether every open question counts.
    pub(crate) strict: Option<bool>,
    /// Whether an undecided verdict is good enough.
    pub(crate) allow_undecided: Option<bool>,
    /// Whether to dial the kubelets.
    pub(crate) kubelets: Option<KubeletLook>,
    /// The namespace.
    pub(crate) namespace: Option<String>,
    /// The minor version of Kubernetes 1 that manifests are for.
    pub(crate) target_minor: Option<u32>,
    /// Files of rules.
    pub(crate) rules: Vec<PathBuf>,
    /// Findings that do not count until a day.
    pub(crate) waivers: Vec<Waiver>,
}

/// The file to read: the one that was named, or the one of the usual name if it is there.
pub(crate) fn find(named: Option<&Path>) -> Option<PathBuf> {
    match named {
        Some(path) => Some(path.to_path_buf()),
        None => fs::symlink_metadata(NAME).is_ok().then(|| PathBuf::from(NAME)),
    }
}

/// Reads the file.
pub(crate) fn read(path: &Path) -> Result<Config, Vec<Problem>> {
    let name = path.display().to_string();
    let text = text(path).map_err(|why| vec![Problem::of_file(&name, why)])?;
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    parse(&name, &text, folder)
}

fn text(path: &Path) -> Result<String, String> {
    // A pipe would be waited for without end, so the kind is looked at before it is opened.
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let most = u64::try_from(LARGEST).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(most).read_to_end(&mut bytes))
        .map_err(|error| error.to_string())?;
    if bytes.len() > LARGEST {
        return Err(format!("it holds more than {LARGEST} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is no text in UTF-8".to_owned())
}

fn parse(name: &str, text: &str, folder: &Path) -> Result<Config, Vec<Problem>> {
    let file: File = yaml::read(name, text).map_err(|problem| vec![problem])?;
    let mut problems = Vec::new();
    if file.version.value != VERSION {
        problems.push(Problem::of(
            name,
            text,
            &file.version,
            format!("this version reads `version: {VERSION}`"),
        ));
    }
    let namespace = file.namespace.as_ref();
    if let Some(value) = namespace.filter(|value| !is_label(&value.value)) {
        problems.push(Problem::of(name, text, value, "this is no name of a namespace"));
    }
    let target = file.target_version.as_ref();
    let target_minor = target.and_then(|value| minor(&value.value));
    if let Some(value) = target.filter(|_| target_minor.is_none()) {
        problems.push(Problem::of(name, text, value, "give a version such as \"1.34\""));
    }
    let mut rules = Vec::new();
    for value in &file.rules {
        match within(folder, value) {
            Ok(path) => rules.push(path),
            Err(why) => problems.push(Problem::of(name, text, value, why)),
        }
    }
    let waivers = waivers::read(name, text, &file.waivers, &mut problems);
    if !problems.is_empty() {
        return Err(problems);
    }
    Ok(Config {
        name: name.to_owned(),
        fail_on: file.fail_on.map(|it| match it {
            FailOn::Error => Severity::Error,
            FailOn::Warning => Severity::Warning,
        }),
        strict: file.strict,
        allow_undecided: file.allow_undecided,
        kubelets: file.kubelets.map(|it| match it {
            Kubelets::Auto => KubeletLook::Auto,
            Kubelets::Always => KubeletLook::Always,
            Kubelets::Never => KubeletLook::Never,
        }),
        namespace: namespace.map(|value| value.value.clone()),
        target_minor,
        rules,
        waivers,
    })
}

/// The minor number of a version of Kubernetes 1.
pub(crate) fn minor(text: &str) -> Option<u32> {
    let rest = text.strip_prefix('v').unwrap_or(text).strip_prefix("1.")?;
    rest.split('.').next()?.parse().ok()
}

/// Whether a text can name a namespace.
pub(crate) fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let edge = |byte: Option<&u8>| byte.is_some_and(|byte| plain(*byte));
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && edge(bytes.first())
        && edge(bytes.last())
        && bytes.iter().all(|byte| plain(*byte) || *byte == b'-')
}

/// A path that the file names: it stays below the directory of the file, links included.
fn within(folder: &Path, named: &Spanned<String>) -> Result<PathBuf, String> {
    let path = Path::new(&named.value);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::CurDir);
    if named.value.is_empty() || !path.components().all(plain) {
        return Err("name a path below the directory of this file, without `..`".to_owned());
    }
    let path = folder.join(path);
    let real = |path: &Path| path.canonicalize().map_err(|error| format!("cannot be read: {error}"));
    if !real(&path)?.starts_with(real(folder)?) {
        return Err("it is a link that leads out of the directory of this file".to_owned());
    }
    Ok(path)
}

impl Config {
    /// What the file sets, piece by piece: who runs this has to see what a file of the repository changes.
    pub(crate) fn settings(&self) -> Vec<String> {
        let word = |name: &str, value: Option<String>| value.map(|value| format!("{name} {value}"));
        let rules: Vec<String> = self.rules.iter().map(|path| path.display().to_string()).collect();
        let kubelets = self.kubelets.map(|it| match it {
            KubeletLook::Auto => "auto",
            KubeletLook::Always => "always",
            KubeletLook::Never => "never",
        });
        [
            word("failOn", self.fail_on.map(|it| crate::report::severity_name(it).to_owned())),
            word("strict", self.strict.map(|it| it.to_string())),
            word("allowUndecided", self.allow_undecided.map(|it| it.to_string())),
            word("kubelets", kubelets.map(str::to_owned)),
            word("namespace", self.namespace.clone()),
            word("targetVersion", self.target_minor.map(|minor| format!("1.{minor}"))),
            match self.waivers.len() {
                0 => None,
                1 => Some("1 waiver".to_owned()),
                number => Some(format!("{number} waivers")),
            },
            word("rules", (!rules.is_empty()).then(|| rules.join(", "))),
        ]
        .into_iter()
        .flatten()
        .collect()
    }
}
