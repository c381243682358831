//! A single kube-apiserver at its own address, past the load balancer.
//!
//! The address comes out of an object, so whoever is there gets the credential only once its certificate has proved that it
//! is of this cluster: by the certificate authority that the kubeconfig itself holds, for that address, or for the name
//! under which the kubeconfig knows the API server. Where the kubeconfig verifies nothing, or leads through a proxy
//! or to a path below a server, no single kube-apiserver is asked.

use std::time::Duration;

use http::{HeaderValue, Uri};

use super::error::ConnectError;
use super::kubelet::is_forbidden;
use super::stack::{Answer, Client, Failure, read_only};
use crate::source::observation::FailureKind;
use crate::source::request::{Host, authority};

/// How often one is asked that refuses without trying.
const ATTEMPTS: u32 = 4;
/// How long after such an answer it is asked again.
const PAUSE: Duration = Duration::from_millis(500);

/// What it takes to ask them; or why none is asked.
#[derive(Debug)]
pub(super) struct Instances(Result<Known, &'static str>);

struct Known {
    config: kube::Config,
    /// The name in the kubeconfig by which the certificate may be verified besides.
    name: Option<String>,
    authorization: Option<HeaderValue>,
    timeout: Duration,
}

impl std::fmt::Debug for Known {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Known").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Instances {
    pub(super) fn new(
        server: &Uri,
        prefix: &str,
        config: &kube::Config,
        authorization: Option<HeaderValue>,
        proxy: Option<&Uri>,
        timeout: Duration,
    ) -> Self {
        let why = if server.scheme_str() != Some("https") || config.accept_invalid_certs {
            Some("the API server's certificate is not verified")
        } else if config.root_cert.is_none() {
            Some("no certificate authority of the cluster is configured")
        } else if proxy.is_some() {
            Some("the API server is reached through a proxy")
        } else if !prefix.is_empty() {
            Some("the API lies below a path of another server")
        } else {
            None
        };
        if let Some(why) = why {
            return Self(Err(why));
        }
        let host = server.host().map(|host| host.trim_matches(['[', ']']).to_owned());
        let name = config.tls_server_name.clone().or(host);
        let mut config = config.clone();
        config.tls_server_name = None;
        Self(Ok(Known { config, name, authorization, timeout }))
    }

    /// Asks the one at this address.
    pub(super) async fn get(&self, address: &Host, port: u16, path: &str) -> Result<Answer, Failure> {
        let Host::Ip(ip) = address else { return Err(not_asked(address, "it is no IP address")) };
        if is_forbidden(*ip) {
            return Err(not_asked(address, "it is a loopback, link-local or multicast address"));
        }
        self.get_at(&authority(address, port), path).await
    }

    /// The same for any address: once by the name that is this address, and once by that of the kubeconfig.
    pub(super) async fn get_at(&self, address: &str, path: &str) -> Result<Answer, Failure> {
        let known = self.0.as_ref().map_err(|why| not_asked(&address, why))?;
        let url: Uri =
            format!("https://{address}").parse().map_err(|_| not_asked(&address, "it makes no URL"))?;
        let mut last = not_asked(&address, "there is no name to verify it by");
        for name in [None, known.name.clone()] {
            let client = known.client(&url, name).map_err(|error| not_asked(&address, &error.to_string()))?;
            match patiently(&client, path).await {
                // Nothing was sent to who is not of this cluster by that name; there may be another to know it by.
                Err(failure) if failure.kind == FailureKind::Tls => last = failure,
                answer => return answer,
            }
        }
        Err(last)
    }
}

impl Known {
    /// A way to ask whoever proves to have this name, or to be at this address.
    fn client(&self, url: &Uri, name: Option<String>) -> Result<Client, ConnectError> {
        let mut config = self.config.clone();
        config.tls_server_name = name;
        let authorization = self.authorization.clone();
        Client::new(url.clone(), String::new(), &config, authorization, None, self.timeout, read_only)
    }
}

/// Asks, and again where it refused without trying. It does so while it holds the APIService for unavailable, which is a
/// moment where kube-apiservers differ: the others write at once what they find (`handler_proxy.go`, `ServeHTTP`).
async fn patiently(client: &Client, path: &str) -> Result<Answer, Failure> {
    for _ in 1..ATTEMPTS {
        match client.send("GET", path, None).await {
            Ok(answer) if answer.status == 503 && !has_tried(&answer) => tokio::time::sleep(PAUSE).await,
            answer => return answer,
        }
    }
    client.send("GET", path, None).await
}

/// Whether a 503 says that somebody was dialled (`responder` in `handler_proxy.go`).
fn has_tried(answer: &Answer) -> bool {
    let words = b"trying to reach service";
    answer.bytes.windows(words.len()).any(|part| part == words)
}

fn not_asked(address: &impl std::fmt::Display, why: &str) -> Failure {
    Failure::new(FailureKind::Blocked, format!("{address} was not asked directly: {why}"))
}

#[cfg(test)]
#[path = "instance_tests.rs"]
mod tests;
