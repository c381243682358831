//! The kubelet: as it runs, as its unit starts it, what it was told to read, and its certificates.

use checks::evidence::{DiskCertificate, Flags, KubeletConfig, KubeletFile, Process, Unit};
use serde_json::{Map, Value};

use super::files::{Unread, is_conf};
use super::{Look, Place, Unseen, units, yaml};

/// Where kubeadm and others put the configuration; a kubelet that was told of another path does not read it.
pub(super) const USUAL: &str = "/var/lib/kubelet/config.yaml";
/// The feature gate by which the kubelet asks the runtime for the cgroup driver.
const GATE: &str = "KubeletCgroupDriverFromCRI";
/// The gate in the file.
const GATE_IN_FILE: &str = "/featureGates/KubeletCgroupDriverFromCRI";
/// The most drop-ins that are merged.
const DROP_INS: usize = 100;

/// Why a configuration cannot be used.
enum Unusable {
    /// The kubelet cannot use it either.
    Wrong(String),
    /// It is not read here, whatever the kubelet makes of it.
    NotRead(Unseen),
}

impl From<String> for Unusable {
    fn from(words: String) -> Self {
        Self::Wrong(words)
    }
}

/// The process.
pub(super) fn process(place: &Place) -> Look<Option<Process>> {
    place.process("kubelet")
}

/// The unit.
pub(super) fn unit(place: &Place) -> Look<Option<Unit>> {
    Ok(units::service(&place.root, "kubelet")?.map(|service| service.unit()))
}

/// The flags that the kubelet runs with, or would: those of the process count before those of the unit.
pub(super) fn flags(place: &Place) -> Look<Option<(Flags, &'static str)>> {
    if let Some(process) = process(place)? {
        return Ok(Some((process.flags, "process")));
    }
    Ok(unit(place)?.map(|unit| (unit.flags, "unit")))
}

/// The configuration file that the kubelet was told to read.
pub(super) fn file(place: &Place) -> Look<Option<KubeletFile>> {
    let Some((flags, named_by)) = flags(place)? else { return Ok(None) };
    let Some(path) = flags.get("config") else {
        return match flags.get("config-dir") {
            Some(folder) => {
                Err(Unseen::other(format!("the kubelet reads {folder} and no file, which is not known here")))
            }
            None => Ok(None),
        };
    };
    if !path.starts_with('/') {
        let words =
            format!("the kubelet's --config={path} is read from where it was started, which is not known");
        return Err(Unseen::other(words));
    }
    let mut file = KubeletFile {
        path: path.clone(),
        named_by: named_by.to_owned(),
        exists: true,
        error: String::new(),
        changed: place.root.changed(path),
        config: None,
        cgroup_driver: String::new(),
        cgroup_driver_from_cri: None,
        fail_swap_on: true,
        address: String::new(),
        cluster_dns: Vec::new(),
        decoy: None,
    };
    // A file that was removed changes its folder.
    if let Some(folder) = flags.get("config-dir").filter(|path| path.starts_with('/')) {
        let names = place.root.names(folder).unwrap_or_default();
        let drop_ins =
            names.iter().filter(|name| is_conf(name)).take(DROP_INS).map(|name| format!("{folder}/{name}"));
        for path in drop_ins.chain([folder.clone()]) {
            file.changed = file.changed.max(place.root.changed(&path));
        }
    }
    let settings = match place.root.text(path) {
        Ok(text) => read(&text, path).and_then(|whole| merged(place, whole, &flags)),
        Err(Unread::Absent) => {
            file.exists = false;
            Err("there is no such file".to_owned().into())
        }
        Err(denied @ Unread::Denied(_)) => return Err(denied.into()),
        Err(Unread::Unfit(words)) => Err(words.into()),
    };
    let own = match settings.and_then(|whole| Ok(Settings::read(&whole)?)) {
        Ok(settings) => settings.with_flags(&flags),
        Err(Unusable::NotRead(unseen)) => return Err(unseen),
        Err(Unusable::Wrong(words)) => {
            file.error = words;
            file.decoy = decoy(place, path, None);
            return Ok(Some(file));
        }
    };
    file.decoy = decoy(place, path, Some(&own));
    file.cgroup_driver.clone_from(&own.cgroup_driver);
    file.cgroup_driver_from_cri = own.cgroup_driver_from_cri;
    file.fail_swap_on = own.fail_swap_on;
    file.address.clone_from(&own.address);
    file.cluster_dns.clone_from(&own.cluster_dns);
    file.config = Some(own.config(&flags));
    Ok(Some(file))
}

/// What the file at the usual place says otherwise, where it is not the one that is read.
fn decoy(place: &Place, path: &str, own: Option<&Settings>) -> Option<Vec<String>> {
    if path == USUAL {
        return None;
    }
    let other = Settings::read(&read(&place.root.text(USUAL).ok()?, USUAL).ok()?).ok()?;
    let differing = own.map_or_else(|| Settings::default().differing(&other), |own| own.differing(&other));
    (own.is_none() || !differing.is_empty()).then_some(differing)
}

/// A file's document, of the kind that a kubelet takes.
fn read(text: &str, path: &str) -> Result<Value, Unusable> {
    let whole = yaml::read(text).map_err(|error| match error {
        yaml::Unread::Broken(words) => Unusable::Wrong(words),
        yaml::Unread::TooMuch(words) => Unusable::NotRead(Unseen::other(format!("{path}: {words}"))),
    })?;
    let is = |name: &str| whole[name].as_str().unwrap_or_default();
    if is("kind") != "KubeletConfiguration" || !is("apiVersion").starts_with("kubelet.config.k8s.io/") {
        return Err("it holds no KubeletConfiguration of kubelet.config.k8s.io".to_owned().into());
    }
    Ok(whole)
}

/// The document with the drop-ins of `--config-dir` merged into it, by name (`mergeKubeletConfigurations` in
/// `cmd/kubelet/app/server.go`: a JSON merge patch, so lists are replaced).
fn merged(place: &Place, mut whole: Value, flags: &Flags) -> Result<Value, Unusable> {
    let Some(folder) = flags.get("config-dir").filter(|path| path.starts_with('/')) else { return Ok(whole) };
    let words = |unread: Unread, path: &str| unread.unseen(path).message;
    let names = place.root.names(folder).map_err(|unread| words(unread, folder))?;
    for name in names.iter().filter(|name| is_conf(name)).take(DROP_INS) {
        let path = format!("{folder}/{name}");
        let text = place.root.text(&path).map_err(|unread| words(unread, &path))?;
        let patch = read(&text, &path).map_err(|error| match error {
            Unusable::Wrong(words) => Unusable::Wrong(format!("{path}: {words}")),
            unread @ Unusable::NotRead(_) => unread,
        })?;
        merge(&mut whole, &patch);
    }
    Ok(whole)
}

fn merge(whole: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        patch.clone_into(whole);
        return;
    };
    if !whole.is_object() {
        *whole = Value::Object(Map::new());
    }
    for (key, value) in patch {
        if value.is_null() {
            whole.as_object_mut().map(|whole| whole.remove(key));
        } else {
            merge(&mut whole[key], value);
        }
    }
}

/// The fields of the configuration that the pipeline depends on, with the defaults of
/// `pkg/kubelet/apis/config/v1beta1/defaults.go`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "as many as the configuration has")]
struct Settings {
    webhook_authentication: bool,
    anonymous: bool,
    authorization_mode: String,
    server_tls_bootstrap: bool,
    tls_cert_file: String,
    port: i64,
    read_only_port: i64,
    cgroup_driver: String,
    cgroup_driver_from_cri: Option<bool>,
    fail_swap_on: bool,
    address: String,
    cluster_dns: Vec<String>,
    static_pod_path: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            webhook_authentication: true,
            anonymous: false,
            authorization_mode: "Webhook".to_owned(),
            server_tls_bootstrap: false,
            tls_cert_file: String::new(),
            port: 10250,
            read_only_port: 0,
            cgroup_driver: "cgroupfs".to_owned(),
            cgroup_driver_from_cri: None,
            fail_swap_on: true,
            address: "0.0.0.0".to_owned(),
            cluster_dns: Vec::new(),
            static_pod_path: String::new(),
        }
    }
}

impl Settings {
    /// Reads the fields. A value of another type stops a kubelet, so it is an error here too.
    fn read(whole: &Value) -> Result<Self, String> {
        let default = Self::default();
        let at = |pointer: &str| whole.pointer(pointer).filter(|value| !value.is_null());
        let wrong = |pointer: &str, kind: &str| format!("{} is not {kind}", pointer[1..].replace('/', "."));
        let flag = |pointer: &str, default: bool| match at(pointer) {
            None => Ok(default),
            Some(Value::Bool(value)) => Ok(*value),
            // YAML 1.1, which Kubernetes reads, knows these as well.
            Some(Value::String(text)) => match text.to_ascii_lowercase().as_str() {
                "yes" | "on" => Ok(true),
                "no" | "off" => Ok(false),
                _ => Err(wrong(pointer, "true or false")),
            },
            Some(_) => Err(wrong(pointer, "true or false")),
        };
        let text = |pointer: &str, default: &str| match at(pointer) {
            None => Ok(default.to_owned()),
            Some(Value::String(text)) if text.is_empty() => Ok(default.to_owned()),
            Some(Value::String(text)) => Ok(text.chars().take(1024).collect()),
            Some(_) => Err(wrong(pointer, "a text")),
        };
        let number = |pointer: &str, default: i64| match at(pointer) {
            None => Ok(default),
            Some(value) => match value.as_i64() {
                Some(0) => Ok(default),
                Some(number) => Ok(number),
                None => Err(wrong(pointer, "a number")),
            },
        };
        let texts = |pointer: &str| match at(pointer) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                Ok(items.iter().filter_map(Value::as_str).take(16).map(str::to_owned).collect())
            }
            Some(_) => Err(wrong(pointer, "a list")),
        };
        Ok(Self {
            webhook_authentication: flag("/authentication/webhook/enabled", default.webhook_authentication)?,
            anonymous: flag("/authentication/anonymous/enabled", default.anonymous)?,
            authorization_mode: text("/authorization/mode", &default.authorization_mode)?,
            server_tls_bootstrap: flag("/serverTLSBootstrap", default.server_tls_bootstrap)?,
            tls_cert_file: text("/tlsCertFile", "")?,
            port: number("/port", default.port)?,
            read_only_port: number("/readOnlyPort", default.read_only_port)?,
            cgroup_driver: text("/cgroupDriver", &default.cgroup_driver)?,
            cgroup_driver_from_cri: at(GATE_IN_FILE).and_then(Value::as_bool),
            fail_swap_on: flag("/failSwapOn", default.fail_swap_on)?,
            address: text("/address", &default.address)?,
            cluster_dns: texts("/clusterDNS")?,
            static_pod_path: text("/staticPodPath", "")?,
        })
    }

    /// Flags win over the file (`kubeletConfigFlagPrecedence` in `cmd/kubelet/app/server.go`).
    fn with_flags(mut self, flags: &Flags) -> Self {
        let text = |name: &str, field: &mut String| {
            if let Some(value) = flags.get(name) {
                value.clone_into(field);
            }
        };
        text("authorization-mode", &mut self.authorization_mode);
        text("tls-cert-file", &mut self.tls_cert_file);
        text("cgroup-driver", &mut self.cgroup_driver);
        text("address", &mut self.address);
        text("pod-manifest-path", &mut self.static_pod_path);
        let flag = |name: &str, field: &mut bool| {
            if let Some(value) = flags.get(name).and_then(|value| boolean(value)) {
                *field = value;
            }
        };
        flag("anonymous-auth", &mut self.anonymous);
        flag("authentication-token-webhook", &mut self.webhook_authentication);
        flag("rotate-server-certificates", &mut self.server_tls_bootstrap);
        flag("fail-swap-on", &mut self.fail_swap_on);
        // Several gates stand in one flag: `A=true,B=false`.
        let gates = flags.get("feature-gates").map(String::as_str).unwrap_or_default();
        let mut gate = gates.split(',').filter_map(|gate| gate.split_once('='));
        if let Some((_, value)) = gate.rfind(|(name, _)| name.trim() == GATE) {
            self.cgroup_driver_from_cri = boolean(value.trim());
        }
        let number = |name: &str, field: &mut i64| {
            if let Some(value) = flags.get(name).and_then(|value| value.parse().ok()) {
                *field = value;
            }
        };
        number("port", &mut self.port);
        number("read-only-port", &mut self.read_only_port);
        if let Some(value) = flags.get("cluster-dns") {
            self.cluster_dns = value.split(',').map(str::to_owned).collect();
        }
        self
    }

    /// As `configz` would show it: without a certificate of its own the kubelet fills in the one that it generates, unless
    /// it asks the cluster for one (`InitializeTLS` in `cmd/kubelet/app/server.go`).
    fn config(&self, flags: &Flags) -> KubeletConfig {
        let generated = || format!("{}/kubelet.crt", certificate_directory(flags));
        let tls_cert_file = match self.tls_cert_file.as_str() {
            "" if self.server_tls_bootstrap => String::new(),
            "" => generated(),
            file => file.to_owned(),
        };
        KubeletConfig {
            webhook_authentication: self.webhook_authentication,
            anonymous: self.anonymous,
            authorization_mode: self.authorization_mode.clone(),
            server_tls_bootstrap: self.server_tls_bootstrap,
            tls_cert_file,
            port: self.port,
            read_only_port: self.read_only_port,
        }
    }

    /// The fields in which two differ, by their names in the file.
    fn differing(&self, other: &Self) -> Vec<String> {
        let fields = [
            ("authentication.webhook.enabled", self.webhook_authentication != other.webhook_authentication),
            ("authentication.anonymous.enabled", self.anonymous != other.anonymous),
            ("authorization.mode", self.authorization_mode != other.authorization_mode),
            ("serverTLSBootstrap", self.server_tls_bootstrap != other.server_tls_bootstrap),
            ("tlsCertFile", self.tls_cert_file != other.tls_cert_file),
            ("port", self.port != other.port),
            ("readOnlyPort", self.read_only_port != other.read_only_port),
            ("cgroupDriver", self.cgroup_driver != other.cgroup_driver),
            ("failSwapOn", self.fail_swap_on != other.fail_swap_on),
            ("address", self.address != other.address),
            ("clusterDNS", self.cluster_dns != other.cluster_dns),
            ("staticPodPath", self.static_pod_path != other.static_pod_path),
        ];
        fields.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name.to_owned()).collect()
    }
}

fn boolean(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "1" => Some(true),
        "false" | "f" | "0" => Some(false),
        _ => None,
    }
}

fn certificate_directory(flags: &Flags) -> String {
    let set = |name: &str| flags.get(name).filter(|value| value.starts_with('/')).cloned();
    set("cert-dir").unwrap_or_else(|| {
        format!("{}/pki", set("root-dir").unwrap_or_else(|| "/var/lib/kubelet".to_owned()))
    })
}

/// The directory of static pods, as the kubelet's configuration says; nothing where it says none.
pub(super) fn static_pod_path(place: &Place) -> Option<String> {
    let (flags, _) = flags(place).ok()??;
    let set = flags.get("pod-manifest-path").cloned();
    set.or_else(|| {
        let path = flags.get("config")?;
        let whole = read(&place.root.text(path).ok()?, path).ok()?;
        Some(Settings::read(&merged(place, whole, &flags).ok()?).ok()?.static_pod_path)
    })
    .filter(|path| path.starts_with('/'))
}

/// The port of the kubelet, where that can be told.
pub(super) fn port(place: &Place) -> Option<i64> {
    Some(file(place).ok()??.config?.port)
}

/// The certificates on disk: what it serves with, and what it shows to the API server.
pub(super) fn certificates(place: &Place) -> Look<Vec<DiskCertificate>> {
    let Some((flags, _)) = flags(place)? else { return Ok(Vec::new()) };
    let folder = certificate_directory(&flags);
    let config = file(place)?.and_then(|file| file.config);
    let serving = match config {
        Some(config) if config.server_tls_bootstrap && config.tls_cert_file.is_empty() => {
            format!("{folder}/kubelet-server-current.pem")
        }
        Some(config) => config.tls_cert_file,
        // Without a file, flags alone say it.
        None => match flags.get("tls-cert-file") {
            Some(file) => file.clone(),
            None if flags.get("rotate-server-certificates").is_some_and(|value| value == "true") => {
                format!("{folder}/kubelet-server-current.pem")
            }
            None => format!("{folder}/kubelet.crt"),
        },
    };
    Ok(vec![
        certificate(place, &serving, "kubelet serving")?,
        certificate(place, &format!("{folder}/kubelet-client-current.pem"), "kubelet client")?,
    ])
}

/// The certificates of a file; of a private key beside them nothing is kept.
pub(super) fn certificate(place: &Place, path: &str, role: &str) -> Look<DiskCertificate> {
    let chain = match place.root.text(path) {
        Ok(text) => Some(super::pem_certificates(&text)),
        Err(Unread::Absent) => None,
        Err(unread @ Unread::Denied(_)) => return Err(unread.into()),
        Err(Unread::Unfit(words)) => return Err(Unseen::other(words)),
    };
    Ok(DiskCertificate { path: path.to_owned(), role: role.to_owned(), chain })
}

/// The runtime's socket, as the flags or the file say; nothing where they say none.
pub(super) fn endpoint(place: &Place) -> Look<Option<String>> {
    let Some((flags, _)) = flags(place)? else { return Ok(None) };
    Ok(flags.get("container-runtime-endpoint").cloned().or_else(|| {
        let path = flags.get("config")?;
        let whole = read(&place.root.text(path).ok()?, path).ok()?;
        whole["containerRuntimeEndpoint"].as_str().map(str::to_owned)
    }))
}

#[cfg(test)]
#[path = "kubelet_tests.rs"]
mod tests;
