//! From a kubeconfig, or a pod's service account, to an address and a credential.
//!
//! kube reads and merges the file; what it says is resolved here, once, so that nothing later runs a plugin again,
//! reads a file again, or prints what a file holds. A broken kubeconfig is an error and never a reason to look
//! elsewhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, Uri};
use kube::config::{AuthInfo, Cluster, Context, Kubeconfig, KubeconfigError};
use secrecy::{ExposeSecret, SecretString};
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::error::ConnectError;
use super::{exec, proxy};
use crate::source::observation::Connection;
use crate::source::redact::flags;

/// What the process was started with. A value of its own, so that a test can have another.
#[derive(Clone, Debug)]
pub(super) struct Environment {
    pub(super) variables: BTreeMap<String, OsString>,
    pub(super) service_account: PathBuf,
    pub(super) exec_limit: Duration,
}

impl Environment {
    pub(super) fn of_this_process() -> Self {
        let names = [
            "KUBECONFIG",
            "HOME",
            "USERPROFILE",
            "HTTP_PROXY",
            "http_proxy",
            "HTTPS_PROXY",
            "https_proxy",
            "NO_PROXY",
            "no_proxy",
            "KUBERNETES_SERVICE_HOST",
            "KUBERNETES_SERVICE_PORT",
        ];
        Self {
            variables: names
                .iter()
                .filter_map(|name| Some(((*name).to_owned(), std::env::var_os(name)?)))
                .collect(),
            service_account: PathBuf::from("/var/run/secrets/kubernetes.io/serviceaccount"),
            exec_limit: exec::TIME_LIMIT,
        }
    }

    fn get(&self, name: &str) -> Option<&OsString> {
        self.variables.get(name).filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.to_str().map(str::to_owned)
    }
}

/// Where to go and as whom.
pub(super) struct Target {
    /// Scheme and authority, without user information.
    pub(super) server: Uri,
    /// The path under which the API lies, without the last slash; empty for most.
    pub(super) prefix: String,
    /// For the TLS configuration alone: certificate authority, client certificate, server name.
    pub(super) config: kube::Config,
    /// `Authorization`.
    pub(super) authorization: Option<HeaderValue>,
    /// The proxy.
    pub(super) proxy: Option<Uri>,
    /// All of it without secrets.
    pub(super) connection: Connection,
}

/// Finds the cluster.
pub(super) async fn find(
    kubeconfig: Option<&Path>,
    context: Option<&str>,
    environment: &Environment,
) -> Result<Target, ConnectError> {
    if let Some(path) = kubeconfig {
        return from_kubeconfig(read(path)?, context, environment).await;
    }
    if let Some(list) = environment.get("KUBECONFIG") {
        // As kubectl: missing files in the list are passed over, but not all of them.
        let paths: Vec<PathBuf> = std::env::split_paths(list)
            .filter(|path| !path.as_os_str().is_empty() && path.exists())
            .collect();
        let mut merged: Option<Kubeconfig> = None;
        for path in &paths {
            let next = read(path)?;
            merged = Some(match merged {
                None => next,
                Some(merged) => merged.merge(next).map_err(|_| ConnectError::ParseKubeconfig {
                    path: path.clone(),
                    place: "beside the others of KUBECONFIG: kind or apiVersion differ".to_owned(),
                })?,
            });
        }
        return match merged {
            Some(merged) => from_kubeconfig(merged, context, environment).await,
            None => Err(ConnectError::NoKubeconfig {
                tried: format!("KUBECONFIG is {}, where no file is", list.display()),
            }),
        };
    }
    let home = environment.get("HOME").or_else(|| environment.get("USERPROFILE"));
    let default = home.map(|home| Path::new(home).join(".kube").join("config"));
    match default {
        Some(path) if path.exists() => from_kubeconfig(read(&path)?, context, environment).await,
        _ if environment.service_account.join("token").exists() && context.is_none() => pod(environment),
        Some(path) => Err(ConnectError::NoKubeconfig {
            tried: format!("KUBECONFIG is not set, there is no {}, and this is not a pod", path.display()),
        }),
        None => Err(ConnectError::NoKubeconfig { tried: "neither KUBECONFIG nor HOME is set".to_owned() }),
    }
}

fn read(path: &Path) -> Result<Kubeconfig, ConnectError> {
    let unreadable = |reason: String| ConnectError::ReadKubeconfig { path: path.to_owned(), reason };
    let bytes = std::fs::read(path).map_err(|error| unreadable(error.to_string()))?;
    if matches!(bytes.get(..2), Some([0xff, 0xfe] | [0xfe, 0xff])) && bytes.len() % 2 == 1 {
        // kube 5 splits UTF-16 into pairs of bytes and takes the last one for granted.
        return Err(unreadable("it is UTF-16 with half a character at its end".to_owned()));
    }
    Kubeconfig::read_from(path).map_err(|error| match error {
        KubeconfigError::ReadConfig(error, _) => unreadable(error.to_string()),
        KubeconfigError::Parse(error) => {
            let place = error.without_snippet().location().map_or_else(
                || "YAML".to_owned(),
                |at| format!("at line {}, column {}", at.line(), at.column()),
            );
            ConnectError::ParseKubeconfig { path: path.to_owned(), place }
        }
        _ => ConnectError::ParseKubeconfig { path: path.to_owned(), place: "as a kubeconfig".to_owned() },
    })
}

/// The names that there are, for an error.
fn known<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.take(20).map(String::as_str).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}

/// The context, cluster and user that were chosen.
struct Chosen {
    context_name: String,
    context: Context,
    cluster: Cluster,
    user_name: String,
    user: AuthInfo,
}

fn choose(config: &Kubeconfig, context: Option<&str>) -> Result<Chosen, ConnectError> {
    let contexts = || known(config.contexts.iter().map(|one| &one.name));
    let Some(context_name) = context.or(config.current_context.as_deref()).filter(|name| !name.is_empty())
    else {
        return Err(ConnectError::NoCurrentContext { known: contexts() });
    };
    let context = config
        .contexts
        .iter()
        .find(|one| one.name == context_name)
        .and_then(|one| one.context.clone())
        .ok_or_else(|| ConnectError::NotInKubeconfig {
            what: "context",
            name: context_name.to_owned(),
            known: contexts(),
        })?;
    let cluster = config
        .clusters
        .iter()
        .find(|one| one.name == context.cluster)
        .and_then(|one| one.cluster.clone())
        .ok_or_else(|| ConnectError::NotInKubeconfig {
            what: "cluster",
            name: context.cluster.clone(),
            known: known(config.clusters.iter().map(|one| &one.name)),
        })?;
    let user_name = context.user.clone().unwrap_or_default();
    let user = match config.auth_infos.iter().find(|one| one.name == user_name) {
        Some(user) => user.auth_info.clone().unwrap_or_default(),
        None if user_name.is_empty() => AuthInfo::default(),
        None => {
            return Err(ConnectError::NotInKubeconfig {
                what: "user",
                name: user_name,
                known: known(config.auth_infos.iter().map(|one| &one.name)),
            });
        }
    };
    Ok(Chosen { context_name: context_name.to_owned(), context, cluster, user_name, user })
}

async fn from_kubeconfig(
    config: Kubeconfig,
    context: Option<&str>,
    environment: &Environment,
) -> Result<Target, ConnectError> {
    let chosen = choose(&config, context)?;
    let Chosen { context_name, context, cluster, user_name, user } = chosen;
    let (server, prefix) = server_url(cluster.server.as_deref(), &context.cluster)?;
    let proxy = proxy::decide(&server, cluster.proxy_url.as_deref(), |name| environment.text(name))?;

    let mut config = kube::Config::new(server.clone());
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.tls_server_name = cluster.tls_server_name.clone().filter(|name| !name.is_empty());
    let whose = format!("cluster {:?}", context.cluster);
    config.root_cert = match load(
        "certificate authority",
        &whose,
        cluster.certificate_authority_data.as_deref(),
        cluster.certificate_authority.as_deref(),
    )? {
        Some(pem) => Some(certificates("certificate authority", &whose, &pem)?),
        None => None,
    };
    let is_tls = server.scheme_str() == Some("https");
    let (authorization, kind) = if is_tls {
        credential(&user_name, &user, &cluster, &mut config, environment.exec_limit).await?
    } else {
        // Without TLS anyone on the way would read it. `kubectl proxy`, the usual case, needs none.
        (None, "none")
    };
    let connection = Connection {
        origin: "kubeconfig".to_owned(),
        server: format!("{}{prefix}", server.to_string().trim_end_matches('/')),
        tls_server_name: config.tls_server_name.clone(),
        insecure_skip_tls_verify: config.accept_invalid_certs,
        proxy: proxy.proxy.as_ref().map(|uri| flags::proxy(uri.to_string().trim_end_matches('/'))),
        proxy_reason: proxy.reason.to_owned(),
        credential: kind.to_owned(),
        context: Some(context_name),
        namespace: context.namespace.filter(|namespace| !namespace.is_empty()),
    };
    Ok(Target { server, prefix, config, authorization, proxy: proxy.proxy, connection })
}

/// Splits the server's URL into scheme with authority, and the path below which the API lies.
fn server_url(url: Option<&str>, cluster: &str) -> Result<(Uri, String), ConnectError> {
    let error =
        |reason: &str| ConnectError::ServerUrl { cluster: cluster.to_owned(), reason: reason.to_owned() };
    let url = url.filter(|url| !url.is_empty()).ok_or_else(|| error("it is missing"))?;
    let uri: Uri = url.trim().parse().map_err(|_| error("it is not a URL"))?;
    let (Some(scheme @ ("https" | "http")), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(error("it has no scheme or no host"));
    };
    if uri.host().is_none_or(str::is_empty) {
        return Err(error("it has no host"));
    }
    let authority = authority.as_str().rsplit_once('@').map_or(authority.as_str(), |(_, host)| host);
    let server = format!("{scheme}://{authority}").parse().map_err(|_| error("its host is not usable"))?;
    let prefix = uri.path().trim_end_matches('/');
    if prefix.split('/').any(|part| matches!(part, "." | "..")) {
        return Err(error("its path holds `.` or `..`"));
    }
    Ok((server, prefix.to_owned()))
}

/// The bytes of a field that stands in the kubeconfig as base64, or in a file that it names.
fn load(
    what: &'static str,
    whose: &str,
    data: Option<&str>,
    file: Option<&str>,
) -> Result<Option<Vec<u8>>, ConnectError> {
    let error =
        |whose: &str, reason: String| ConnectError::Credential { what, whose: whose.to_owned(), reason };
    if let Some(data) = data.filter(|data| !data.is_empty()) {
        let bytes = STANDARD.decode(data.trim());
        return bytes.map(Some).map_err(|_| error(whose, "it is not base64".to_owned()));
    }
    match file.filter(|file| !file.is_empty()) {
        Some(file) => std::fs::read(file).map(Some).map_err(|reason| {
            error(&format!("{whose} ({file})"), format!("the file cannot be read: {reason}"))
        }),
        None => Ok(None),
    }
}

fn certificates(what: &'static str, whose: &str, pem: &[u8]) -> Result<Vec<Vec<u8>>, ConnectError> {
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(pem).map(|one| one.map(|der| der.to_vec())).collect();
    match found {
        Ok(found) if !found.is_empty() => Ok(found),
        _ => Err(ConnectError::Credential {
            what,
            whose: whose.to_owned(),
            reason: "there is no certificate in PEM in it".to_owned(),
        }),
    }
}

/// Puts the client certificate into the configuration and returns the `Authorization` header and the kind of
/// credential. The order is that of client-go: a client certificate goes beside any other; then basic, token file,
/// token, plugin.
async fn credential(
    name: &str,
    user: &AuthInfo,
    cluster: &Cluster,
    config: &mut kube::Config,
    exec_limit: Duration,
) -> Result<(Option<HeaderValue>, &'static str), ConnectError> {
    if user.impersonate.is_some()
        || user.impersonate_uid.is_some()
        || user.impersonate_groups.as_ref().is_some_and(|groups| !groups.is_empty())
        || user.impersonate_user_extra.as_ref().is_some_and(|extra| !extra.is_empty())
    {
        return Err(ConnectError::Impersonation { user: name.to_owned() });
    }
    let whose = format!("user {name:?}");
    let certificate = load(
        "client certificate",
        &whose,
        user.client_certificate_data.as_deref(),
        user.client_certificate.as_deref(),
    )?;
    let key = load(
        "client key",
        &whose,
        user.client_key_data.as_ref().map(ExposeSecret::expose_secret),
        user.client_key.as_deref(),
    )?;
    let missing =
        |what| ConnectError::Credential { what, whose: whose.clone(), reason: "it is missing".to_owned() };
    let mut kind = "none";
    match (certificate, key) {
        (Some(certificate), Some(key)) => {
            identity(config, &whose, &certificate, &key)?;
            kind = "client-certificate";
        }
        (Some(_), None) => return Err(missing("client key")),
        (None, Some(_)) => return Err(missing("client certificate")),
        (None, None) => {}
    }

    if let (Some(username), Some(password)) = (&user.username, &user.password) {
        let pair = STANDARD.encode(format!("{username}:{}", password.expose_secret()));
        return Ok((Some(header("Basic", &pair, "password", &whose)?), "basic"));
    }
    if let Some(file) = user.token_file.as_deref().filter(|file| !file.is_empty()) {
        let token = token_file(Path::new(file), &whose);
        match (token, &user.token) {
            (Ok(token), _) => return Ok((Some(bearer(&token, &whose)?), "token-file")),
            // client-go falls back to the token that stands beside a file which cannot be read.
            (Err(_), Some(_)) => {}
            (Err(error), None) => return Err(error),
        }
    }
    if let Some(token) = user.token.as_ref().filter(|token| !token.expose_secret().is_empty()) {
        return Ok((Some(bearer(token, &whose)?), "token"));
    }
    if let Some(provider) = &user.auth_provider {
        return match provider.config.get("id-token").filter(|_| provider.name == "oidc") {
            Some(token) => Ok((Some(bearer(&SecretString::from(token.as_str()), &whose)?), "token")),
            None => {
                Err(ConnectError::AuthProvider { user: name.to_owned(), provider: provider.name.clone() })
            }
        };
    }
    if let Some(plugin) = &user.exec {
        let credential = exec::run(plugin, cluster, exec_limit).await?;
        if let (Some(certificate), Some(key)) = (&credential.certificate, &credential.key) {
            identity(config, &whose, certificate.as_bytes(), key.expose_secret().as_bytes())?;
        }
        let header = credential.token.as_ref().map(|token| bearer(token, &whose)).transpose()?;
        return Ok((header, "exec"));
    }
    Ok((None, kind))
}

/// Checks a client certificate and its key, and puts them into the configuration.
fn identity(
    config: &mut kube::Config,
    whose: &str,
    certificate: &[u8],
    key: &[u8],
) -> Result<(), ConnectError> {
    certificates("client certificate", whose, certificate)?;
    PrivateKeyDer::from_pem_slice(key).map_err(|_| ConnectError::Credential {
        what: "client key",
        whose: whose.to_owned(),
        reason: "there is no private key in PEM (PKCS#8, PKCS#1 or SEC1) in it".to_owned(),
    })?;
    config.auth_info = AuthInfo {
        client_certificate_data: Some(STANDARD.encode(certificate)),
        client_key_data: Some(SecretString::from(STANDARD.encode(key))),
        ..AuthInfo::default()
    };
    Ok(())
}

fn token_file(path: &Path, whose: &str) -> Result<SecretString, ConnectError> {
    std::fs::read_to_string(path).map(SecretString::from).map_err(|error| ConnectError::Credential {
        what: "token file",
        whose: format!("{whose} ({})", path.display()),
        reason: format!("it cannot be read: {error}"),
    })
}

/// A file's token often ends with a line feed, which no header may carry; client-go trims it as well.
fn bearer(token: &SecretString, whose: &str) -> Result<HeaderValue, ConnectError> {
    header("Bearer", token.expose_secret().trim(), "token", whose)
}

fn header(scheme: &str, value: &str, what: &'static str, whose: &str) -> Result<HeaderValue, ConnectError> {
    let error =
        |reason: &str| ConnectError::Credential { what, whose: whose.to_owned(), reason: reason.to_owned() };
    if value.is_empty() {
        return Err(error("it is empty"));
    }
    let mut header = HeaderValue::from_str(&format!("{scheme} {value}"))
        .map_err(|_| error("it holds a character that no HTTP header may carry"))?;
    header.set_sensitive(true);
    Ok(header)
}

/// The service account of the pod that this runs in.
fn pod(environment: &Environment) -> Result<Target, ConnectError> {
    let error = |reason: String| ConnectError::InCluster { reason };
    let variable =
        |name: &str| environment.text(name).ok_or_else(|| error(format!("the environment has no {name}")));
    let host = variable("KUBERNETES_SERVICE_HOST")?;
    let port = variable("KUBERNETES_SERVICE_PORT")?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let server: Uri = format!("https://{host}:{port}").parse().map_err(|_| {
        error("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT make no address".to_owned())
    })?;
    let authority = environment.service_account.join("ca.crt");
    let pem =
        std::fs::read(&authority).map_err(|reason| error(format!("{}: {reason}", authority.display())))?;
    let mut config = kube::Config::new(server.clone());
    config.root_cert = Some(certificates("certificate authority", &authority.display().to_string(), &pem)?);
    config.root_cert_file = Some(authority);
    let token = token_file(&environment.service_account.join("token"), "the service account")?;
    let proxy = proxy::decide(&server, None, |name| environment.text(name))?;
    let namespace = std::fs::read_to_string(environment.service_account.join("namespace")).ok();
    let connection = Connection {
        origin: "in-cluster".to_owned(),
        server: server.to_string().trim_end_matches('/').to_owned(),
        proxy: proxy.proxy.as_ref().map(|uri| flags::proxy(uri.to_string().trim_end_matches('/'))),
        proxy_reason: proxy.reason.to_owned(),
        credential: "token-file".to_owned(),
        namespace: namespace.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()),
        ..Connection::default()
    };
    let authorization = Some(bearer(&token, "the service account")?);
    Ok(Target { server, prefix: String::new(), config, authorization, proxy: proxy.proxy, connection })
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
