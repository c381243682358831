//! Why the cluster cannot even be asked.

use std::path::PathBuf;

use crate::source::guard::Refused;

/// The configuration does not lead to a cluster. Each variant says what failed, on what, and what to do; none carries
/// text out of a kubeconfig, a token file or a plugin's output, because that text may be the credential itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// There is no kubeconfig, and this is no pod.
    #[error("no kubeconfig found ({tried}); give one with --kubeconfig, or set KUBECONFIG")]
    NoKubeconfig {
        /// Where it was looked for.
        tried: String,
    },
    /// The kubeconfig cannot be read.
    #[error("cannot read the kubeconfig {}: {reason}; check the path and its permissions", path.display())]
    ReadKubeconfig {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: String,
    },
    /// The kubeconfig is not one. The parser's own words are left out: they quote the file.
    #[error("the kubeconfig {} is not valid {place}; `kubectl config view --kubeconfig {}` shows more", path.display(), path.display())]
    ParseKubeconfig {
        /// Which file.
        path: PathBuf,
        /// `at line 7, column 3`.
        place: String,
    },
    /// No context was chosen.
    #[error("the kubeconfig has no current context; give one with --context (it has: {known})")]
    NoCurrentContext {
        /// The contexts that there are.
        known: String,
    },
    /// The context, cluster or user is not in the kubeconfig.
    #[error("the kubeconfig has no {what} {name:?}; it has: {known}")]
    NotInKubeconfig {
        /// `context`, `cluster` or `user`.
        what: &'static str,
        /// Its name.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// The server's address cannot be used.
    #[error(
        "the server of cluster {cluster:?} in the kubeconfig is not usable: {reason}; it must be an https URL"
    )]
    ServerUrl {
        /// The cluster's name.
        cluster: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A file or field that holds a certificate, a key or a token cannot be used.
    #[error("the {what} of {whose} is not usable: {reason}; repair the kubeconfig or the file it names")]
    Credential {
        /// `client certificate`, `client key`, `token file`, `certificate authority`, ...
        what: &'static str,
        /// Which user or cluster, or which file.
        whose: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The credential plugin failed.
    #[error(
        "the credential plugin {command:?} {reason}; run `kubectl version` to see whether it works there"
    )]
    Exec {
        /// The program.
        command: String,
        /// What happened, with the install hint of the kubeconfig where it is missing.
        reason: String,
    },
    /// A way to log in that this program does not have.
    #[error(
        "user {user:?} logs in through the auth provider {provider:?}, which is not supported; use a credential plugin"
    )]
    AuthProvider {
        /// The user's name.
        user: String,
        /// The provider's name.
        provider: String,
    },
    /// The kubeconfig asks to act as somebody else, which would change whose view is reported.
    #[error("user {user:?} of the kubeconfig impersonates another (`as`); choose a context that does not")]
    Impersonation {
        /// The user's name.
        user: String,
    },
    /// The proxy's address cannot be used.
    #[error("the proxy from {origin} is not usable: {reason}")]
    Proxy {
        /// `proxy-url` of the kubeconfig, or the environment variable.
        origin: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The pod's service account cannot be used.
    #[error("cannot use the pod's service account: {reason}; is this a pod, and is its token mounted?")]
    InCluster {
        /// What is missing.
        reason: String,
    },
    /// TLS could not be set up.
    #[error("cannot set up TLS: {reason}")]
    Tls {
        /// What the library says.
        reason: String,
    },
    /// The server's path cannot be used.
    #[error(transparent)]
    Refused(#[from] Refused),
}
