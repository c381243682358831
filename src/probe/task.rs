//! What a probe is told to dial: the arguments of the program inside the pod, readable in its manifest.

use std::str::FromStr;

/// The hidden subcommand that runs inside.
pub const INSIDE: &str = "probe-inside";

/// What to dial.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Task {
    /// The kubelets.
    pub kubelets: Vec<KubeletTask>,
    /// `ADDRESS:PORT` of every kube-apiserver behind the Service.
    pub api: Vec<String>,
    /// `ADDRESS:PORT` of metrics-server's Service.
    pub service: Option<String>,
    /// Whether kubelets get the pod's token. It goes to verified ones only.
    pub token: bool,
    /// The time for all of it, in seconds.
    pub seconds: u64,
}

/// A kubelet to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KubeletTask {
    /// Its node.
    pub node: String,
    /// The address that metrics-server would dial, an IP address or a name.
    pub address: String,
    /// The port.
    pub port: u16,
    /// The path, `/metrics/resource` unless the node says otherwise.
    pub path: String,
}

/// Where metrics-server reads a kubelet's metrics (`pkg/scraper/client/resource/client.go`).
pub const METRICS_PATH: &str = "/metrics/resource";

impl Task {
    /// The arguments, without the program.
    #[must_use]
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec![INSIDE.to_owned(), format!("--seconds={}", self.seconds)];
        if self.token {
            arguments.push("--token".to_owned());
        }
        arguments.extend(self.service.iter().map(|address| format!("--service={address}")));
        arguments.extend(self.api.iter().map(|address| format!("--api={address}")));
        arguments.extend(self.kubelets.iter().map(|kubelet| format!("--kubelet={kubelet}")));
        arguments
    }
}

impl std::fmt::Display for KubeletTask {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { node, address, port, path } = self;
        write!(
            out,
            "{node},{address},{port}{}",
            if path == METRICS_PATH { String::new() } else { format!(",{path}") }
        )
    }
}

impl FromStr for KubeletTask {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(4, ',');
        let (Some(node), Some(address), Some(port)) = (parts.next(), parts.next(), parts.next()) else {
            return Err("NODE,ADDRESS,PORT is wanted".to_owned());
        };
        Ok(Self {
            node: node.to_owned(),
            address: address.to_owned(),
            port: port.parse().map_err(|_| format!("{port:?} is no port"))?,
            path: parts.next().unwrap_or(METRICS_PATH).to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubelet_is_read_as_it_was_written() {
        for path in [METRICS_PATH, "/metrics/resource/v1alpha1"] {
            let kubelet = KubeletTask {
                node: "node-1.example".to_owned(),
                address: "fd00::1".to_owned(),
                port: 10250,
                path: path.to_owned(),
            };
            assert_eq!(kubelet.to_string().parse(), Ok(kubelet));
        }
        assert!("node,address".parse::<KubeletTask>().is_err());
        assert!("node,address,70000".parse::<KubeletTask>().is_err());
    }
}
