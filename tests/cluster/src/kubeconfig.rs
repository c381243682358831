//! Kubeconfig files.

use data_encoding::BASE64;

use crate::pki::Pair;

/// Where a client certificate comes from.
pub(crate) enum Credential<'a> {
    Embedded(&'a Pair),
    /// A file with certificate and key, which its owner renews.
    File(&'a str),
}

/// For the kube-apiserver at this address.
pub(crate) fn write(address: &str, ca: &str, user: &str, credential: &Credential<'_>) -> String {
    let server = format!("https://{address}:6443");
    let ca = BASE64.encode(ca.as_bytes());
    let credential = match credential {
        Credential::Embedded(pair) => format!(
            "client-certificate-data: {}\n    client-key-data: {}",
            BASE64.encode(pair.cert.as_bytes()),
            BASE64.encode(pair.key.as_bytes())
        ),
        Credential::File(path) => format!("client-certificate: {path}\n    client-key: {path}"),
    };
    format!(
        "apiVersion: v1
clusters:
- cluster:
    certificate-authority-data: {ca}
    server: {server}
  name: kubernetes
contexts:
- context:
    cluster: kubernetes
    user: {user}
  name: {user}@kubernetes
current-context: {user}@kubernetes
kind: Config
users:
- name: {user}
  user:
    {credential}
"
    )
}
