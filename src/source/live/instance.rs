//! A single kube-apiserver at its own address, past the load balancer.
//!
//! The address comes out of an object, so whoever is there gets the credential only once its certificate has proved that it
//! is of this cluster: by the certificate authority that the kubeconfig itself holds, for that address, or for the name
//! under which the kubeconfig knows the API server. Where the kubeconfig verifies nothing, or leads through a proxy
//! or to a path below a server, no single kube-apiserver is asked.

use std::time::Duration;

use http::{HeaderValue, Uri};

use super::kubelet::is_forbidden;
use super::stack::{Client, Failure, read_only};
use crate::source::observation::FailureKind;
use crate::source::request::{Host, authority};

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

    /// The ways to ask the one at this address, by the name that its certificate has to hold.
    pub(super) fn clients(&self, address: &Host, port: u16) -> Result<Vec<Client>, Failure> {
        let blocked = |why: &str| {
            Failure::new(FailureKind::Blocked, format!("{address} was not asked directly: {why}"))
        };
        let known = self.0.as_ref().map_err(|why| blocked(why))?;
        let Host::Ip(ip) = address else { return Err(blocked("it is no IP address")) };
        if is_forbidden(*ip) {
            return Err(blocked("it is a loopback, link-local or multicast address"));
        }
        let url = format!("https://{}", authority(address, port));
        let url: Uri = url.parse().map_err(|_| blocked("it makes no URL"))?;
        let mut clients = Vec::new();
        for name in [None, known.name.clone()] {
            let mut config = known.config.clone();
            config.tls_server_name = name;
            let authorization = known.authorization.clone();
            let client = Client::new(
                url.clone(),
                String::new(),
                &config,
                authorization,
                None,
                known.timeout,
                read_only,
            );
            clients.push(client.map_err(|error| blocked(&error.to_string()))?);
        }
        Ok(clients)
    }
}
