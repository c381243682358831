//! A case: what a user would deploy, and in comments above it what the cluster around it is like.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value as Json;

/// One file of `cases/`.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file's name without `.yaml`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What the case is, in a sentence.
    pub about: String,
    /// What the cluster must be like.
    pub state: State,
    /// Whether the pods are expected to become ready.
    pub ready: bool,
    /// By how much the workload follows the HPA; it precedes it when this is `None`.
    pub later: Option<Duration>,
    /// The values that the adapter serves once the workload runs.
    pub serve: Vec<Value>,
    /// The objects, without a namespace.
    pub objects: Vec<Json>,
}

/// Which of the metrics APIs the cluster of a case has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// All three, and all work.
    Full,
    /// None is registered.
    Bare,
    /// All are registered, and nobody serves them.
    Broken,
    /// All three work, and the controller may not read them.
    Forbidden,
}

/// A value that the adapter serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// `pods` (every pod of the namespace), `RESOURCE/NAME`, `namespace`, or `node/NAME`.
    pub object: String,
    /// The metric's name; what follows `?` are its labels.
    pub metric: String,
    /// A quantity.
    pub value: String,
}

/// All cases, by name.
///
/// # Errors
/// When a file cannot be read or is no case.
pub fn cases() -> Result<Vec<Case>> {
    let folder = crate::folder().join("cases");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            found.push(Case::read(&path)?);
        }
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

impl Case {
    /// Reads one file.
    ///
    /// # Errors
    /// When it cannot be read or is no case.
    pub fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(path, &text).with_context(|| format!("{} is no case", path.display()))
    }

    fn parse(path: &Path, text: &str) -> Result<Self> {
        let name = path.file_stem().and_then(|stem| stem.to_str()).context("it has no name")?.to_owned();
        let mut case = Self {
            name,
            path: path.to_owned(),
            about: String::new(),
            state: State::Full,
            ready: true,
            later: None,
            serve: Vec::new(),
            objects: Vec::new(),
        };
        for line in text.lines().map_while(|line| line.strip_prefix('#')) {
            case.comment(line.trim())?;
        }
        ensure!(!case.about.is_empty(), "its first line does not say what it is");
        for document in text.split("\n---\n") {
            let object: Json = serde_saphyr::from_str(document).context("not YAML")?;
            ensure!(object["kind"].is_string(), "an object has no kind");
            ensure!(object["metadata"]["namespace"].is_null(), "the runner gives the namespace");
            case.objects.push(object);
        }
        ensure!(case.hpas().next().is_some(), "it has no HPA");
        Ok(case)
    }

    /// A setting, or a sentence.
    fn comment(&mut self, line: &str) -> Result<()> {
        let (key, value) = line.split_once(": ").unwrap_or((line, ""));
        match key {
            "cluster" => {
                self.state = match value {
                    "bare" => State::Bare,
                    "broken" => State::Broken,
                    "forbidden" => State::Forbidden,
                    other => bail!("no cluster is like {other:?}"),
                }
            }
            "ready" => {
                ensure!(value == "never", "ready: is {value:?}");
                self.ready = false;
            }
            "later" => self.later = Some(Duration::from_secs(value.parse().context("later: is no number")?)),
            "serve" => {
                let words: Vec<&str> = value.split_whitespace().collect();
                let [object, metric, value] = words[..] else { bail!("serve: wants OBJECT METRIC VALUE") };
                let [object, metric, value] = [object, metric, value].map(str::to_owned);
                self.serve.push(Value { object, metric, value });
            }
            _ => {
                if !self.about.is_empty() {
                    self.about.push(' ');
                }
                self.about += line;
            }
        }
        Ok(())
    }

    /// Where the runner puts it.
    #[must_use]
    pub fn namespace(&self) -> String {
        format!("case-{}", self.name)
    }

    /// The HPAs.
    pub fn hpas(&self) -> impl Iterator<Item = &Json> {
        self.objects.iter().filter(|object| is_hpa(object))
    }

    /// What somebody else has set up before: defaults and limits of the namespace, and kinds.
    pub fn surroundings(&self) -> impl Iterator<Item = &Json> {
        self.objects.iter().filter(|object| is_surrounding(object))
    }

    /// All the rest.
    pub fn workload(&self) -> impl Iterator<Item = &Json> {
        self.objects.iter().filter(|object| !is_hpa(object) && !is_surrounding(object))
    }

    /// Whether a value is there without the workload: it is not about the case's pods, nor about one of its objects.
    #[must_use]
    pub fn is_there_before(&self, value: &Value) -> bool {
        match value.object.split_once('/') {
            None => value.object != "pods",
            Some((_, name)) => self.objects.iter().all(|object| object["metadata"]["name"] != name),
        }
    }

    /// How many pods the workload has once it runs.
    #[must_use]
    pub fn pods(&self) -> u64 {
        self.workload()
            .map(|object| match object["kind"].as_str() {
                Some("Deployment" | "ReplicaSet" | "StatefulSet" | "ReplicationController") => {
                    object["spec"]["replicas"].as_u64().unwrap_or(1)
                }
                // A DaemonSet has one on every node; one of them is enough to go on.
                Some("DaemonSet" | "Job" | "Pod") => 1,
                _ => 0,
            })
            .sum()
    }
}

fn is_hpa(object: &Json) -> bool {
    object["kind"] == "HorizontalPodAutoscaler"
}

fn is_surrounding(object: &Json) -> bool {
    ["LimitRange", "ResourceQuota", "CustomResourceDefinition"].iter().any(|kind| object["kind"] == *kind)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::{Case, State, Value};

    const TEXT: &str = "# Somebody's HPA.\n# cluster: bare\n# ready: never\n# later: 20\n\
        # serve: services/web rps?labels=a%3Db 10\n\
        apiVersion: v1\nkind: LimitRange\nmetadata:\n  name: a\n---\n\
        kind: Deployment\nspec:\n  replicas: 2\n---\nkind: Pod\n---\n\
        kind: HorizontalPodAutoscaler\nmetadata:\n  name: web\n";

    #[test]
    fn a_case_says_what_the_cluster_is_like() -> anyhow::Result<()> {
        let case = Case::parse(Path::new("x/one.yaml"), TEXT)?;
        assert_eq!((case.name.as_str(), case.about.as_str()), ("one", "Somebody's HPA."));
        assert_eq!((case.state, case.ready), (State::Bare, false));
        assert_eq!(case.later, Some(Duration::from_secs(20)));
        let value = ["services/web", "rps?labels=a%3Db", "10"].map(str::to_owned);
        let [object, metric, value] = value;
        assert_eq!(case.serve, [Value { object, metric, value }]);
        assert_eq!((case.surroundings().count(), case.workload().count(), case.hpas().count()), (1, 2, 1));
        assert_eq!(case.pods(), 3);
        let before = |object: &str| {
            case.is_there_before(&Value { object: object.to_owned(), ..case.serve[0].clone() })
        };
        let objects = ["pods", "services/web", "services/other", "namespace", "node/node1"];
        assert_eq!(objects.map(before), [false, false, true, true, true]);
        Ok(())
    }

    #[test]
    fn what_is_no_case_is_refused() {
        for (from, to) in [
            ("# Somebody's HPA.\n", ""),
            ("cluster: bare", "cluster: full of bugs"),
            ("later: 20", "later: soon"),
            (" 10\n", "\n"),
            ("kind: Pod\n", "metadata: {}\n"),
            ("  name: a\n", "  name: a\n  namespace: b\n"),
            ("kind: HorizontalPodAutoscaler", "kind: Hpa"),
        ] {
            assert!(TEXT.contains(from));
            assert!(
                Case::parse(Path::new("one.yaml"), &TEXT.replace(from, to)).is_err(),
                "{from:?} to {to:?}"
            );
        }
    }
}
