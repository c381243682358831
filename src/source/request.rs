//! What can be asked, and the text by which a request is known.

use std::cmp::Ordering;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The only two methods that exist here. POST is for the review kinds alone, see [`super::guard`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    /// Reads.
    Get,
    /// Asks a question that needs a body: the four review kinds.
    Post,
}

impl Method {
    /// The name as HTTP spells it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

/// A kubelet's address as the node states it: an IP address or a DNS name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub enum Host {
    /// An IP address.
    Ip(IpAddr),
    /// A DNS name, lower case.
    Name(String),
}

/// The text is neither an IP address nor a DNS name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an IP address nor a DNS name")]
pub struct NotAHost(String);

impl FromStr for Host {
    type Err = NotAHost;

    fn from_str(text: &str) -> Result<Self, NotAHost> {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(text).parse() {
            return Ok(Self::Ip(address));
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        // All digits in the last label would be an IPv4 address in a spelling that resolvers accept ("127.1").
        let numeric = name.rsplit('.').next().is_some_and(|last| {
            last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X")
        });
        if name.len() <= 253 && !numeric && name.split('.').all(label) {
            return Ok(Self::Name(name.to_ascii_lowercase()));
        }
        Err(NotAHost(text.chars().take(300).collect()))
    }
}

impl TryFrom<String> for Host {
    type Error = NotAHost;

    fn try_from(text: String) -> Result<Self, NotAHost> {
        text.parse()
    }
}

impl From<Host> for String {
    fn from(host: Host) -> Self {
        host.to_string()
    }
}

impl From<IpAddr> for Host {
    fn from(address: IpAddr) -> Self {
        Self::Ip(address)
    }
}

impl fmt::Display for Host {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(address) => address.fmt(out),
            Self::Name(name) => out.write_str(name),
        }
    }
}

/// One question to the world. Equality and order are those of [`Request::key`].
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum Request {
    /// A request to the API server as the user of the kubeconfig.
    Api {
        /// GET or POST.
        method: Method,
        /// Path with query, beginning with `/`; segments from objects have gone through [`super::segment`].
        path: String,
        /// The body of a POST.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
    },
    /// A server-side dry run of an object, which changes nothing: see [`super::dry_run`]. The object is sent and not
    /// kept.
    DryRun {
        /// The path of the object, without a query.
        path: String,
        /// The object.
        #[serde(skip)]
        object: Value,
    },
    /// A request to the API server without any credential: what does the API server let anyone do? Only `selfsubjectaccessreviews`.
    AnonymousApi {
        /// POST.
        method: Method,
        /// The path of `selfsubjectaccessreviews`.
        path: String,
        /// The review.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        body: Option<Value>,
    },
    /// A TLS handshake that records the certificate chain and sends nothing: no credential, no client certificate.
    KubeletHandshake {
        /// Whom to dial.
        address: Host,
        /// The kubelet's port.
        port: u16,
    },
    /// One GET over TLS without any credential, of `/healthz` and nothing else, of which only the status is kept.
    KubeletAnonymousGet {
        /// Whom to dial.
        address: Host,
        /// The kubelet's port.
        port: u16,
        /// `/healthz`.
        path: String,
    },
    /// A GET to one kube-apiserver of several, at its own address, as the kubeconfig's user: one of
    /// [`super::guard::INSTANCE_PATHS`]. The credential goes only to who proves to be of the same cluster.
    ApiServer {
        /// Its address.
        address: Host,
        /// Its port.
        port: u16,
        /// The path.
        path: String,
    },
    /// Something that is seen from within: of a machine by this program running there, or by a pod of `probe`.
    Fact {
        /// Who saw it, as `host NAME` or `pod on NODE`.
        vantage: String,
        /// What was seen.
        fact: String,
    },
}

impl Request {
    /// A GET as the kubeconfig's user.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self::Api { method: Method::Get, path: path.into(), body: None }
    }

    /// A POST of one of the review kinds as the kubeconfig's user.
    #[must_use]
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self::Api { method: Method::Post, path: path.into(), body: Some(body) }
    }

    /// A `SelfSubjectAccessReview` without any credential.
    #[must_use]
    pub fn anonymous_access_review(body: Value) -> Self {
        Self::AnonymousApi {
            method: Method::Post,
            path: super::guard::ANONYMOUS_REVIEW.to_owned(),
            body: Some(body),
        }
    }

    /// Something that is seen from within.
    #[must_use]
    pub fn fact(vantage: impl Into<String>, fact: impl Into<String>) -> Self {
        Self::Fact { vantage: vantage.into(), fact: fact.into() }
    }

    /// A GET to one kube-apiserver of several.
    #[must_use]
    pub fn api_server(address: impl Into<Host>, port: u16, path: impl Into<String>) -> Self {
        Self::ApiServer { address: address.into(), port, path: path.into() }
    }

    /// A server-side dry run of an object.
    #[must_use]
    pub fn dry_run(path: impl Into<String>, object: Value) -> Self {
        Self::DryRun { path: path.into(), object }
    }

    /// A handshake with a kubelet.
    #[must_use]
    pub fn handshake(address: impl Into<Host>, port: u16) -> Self {
        Self::KubeletHandshake { address: address.into(), port }
    }

    /// GET `/healthz` of a kubelet without any credential.
    #[must_use]
    pub fn kubelet_healthz(address: impl Into<Host>, port: u16) -> Self {
        Self::KubeletAnonymousGet {
            address: address.into(),
            port,
            path: super::guard::KUBELET_PATH.to_owned(),
        }
    }

    /// The text by which this request is known, cited and ordered: stable between runs and versions, one line.
    #[must_use]
    pub fn key(&self) -> String {
        let sent = |method: &Method, path: &str, body: &Option<Value>| match body {
            None => format!("{method} {path}"),
            Some(body) => format!("{method} {path} {}", canonical(body)),
        };
        match self {
            Self::Api { method, path, body } => sent(method, path, body),
            Self::DryRun { path, .. } => format!("dry run of PATCH {path}"),
            Self::AnonymousApi { method, path, body } => format!("anonymous {}", sent(method, path, body)),
            Self::Fact { vantage, fact } => format!("{vantage}: {fact}"),
            Self::ApiServer { address, port, path } => {
                format!("GET https://{}{path}", authority(address, *port))
            }
            Self::KubeletHandshake { address, port } => format!("handshake {}", authority(address, *port)),
            Self::KubeletAnonymousGet { address, port, path } => {
                format!("anonymous GET https://{}{path}", authority(address, *port))
            }
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.key())
    }
}

impl PartialEq for Request {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Request {}

impl PartialOrd for Request {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Request {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// `address:port`, with brackets around IPv6.
pub(super) fn authority(address: &Host, port: u16) -> String {
    match address {
        Host::Ip(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        other => format!("{other}:{port}"),
    }
}

/// Reads `ADDRESS:PORT`, with brackets around an IPv6 address.
#[must_use]
pub fn dial_target(text: &str) -> Option<(Host, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|port| *port > 0)?;
    // A second colon without brackets is an IPv6 address whose last group would be taken for the port.
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return None;
    }
    Some((host.parse().ok()?, port))
}

/// JSON on one line with sorted keys, whatever order the map at hand keeps.
pub(super) fn canonical(value: &Value) -> String {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Object(map) => {
                let mut entries: Vec<_> = map.iter().collect();
                entries.sort_by_key(|(key, _)| *key);
                out.push('{');
                for (index, (key, value)) in entries.into_iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    out.push_str(&Value::from(key.as_str()).to_string());
                    out.push(':');
                    write(value, out);
                }
                out.push('}');
            }
            Value::Array(items) => {
                out.push('[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        out.push(',');
                    }
                    write(item, out);
                }
                out.push(']');
            }
            scalar => out.push_str(&scalar.to_string()),
        }
    }
    let mut out = String::new();
    write(value, &mut out);
    out
}
