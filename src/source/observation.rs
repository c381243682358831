//! What came back.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::request::Request;

/// A request and what came back, redacted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Observation {
    /// What was asked.
    pub request: Request,
    /// When the answer came, on the API server's clock as far as it is known.
    pub seen_at: Timestamp,
    /// What came back.
    pub outcome: Outcome,
}

/// What came back, or why nothing did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// An HTTP response, whatever its status.
    Response {
        /// The HTTP status.
        status: u16,
        /// `Content-Type`, without parameters, lower case; empty where the response has none.
        content_type: String,
        /// The `Date` header.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        date: Option<Timestamp>,
        /// The redacted body.
        body: Body,
    },
    /// The peer's certificates, leaf first, as it sent them; nothing about them is verified but that the peer holds
    /// the leaf's key.
    Certificates {
        /// DER in standard base64, at least one.
        chain_der_base64: Vec<String>,
        /// Why the peer could not prove that it holds the leaf's key, where it could not: a certificate or key that
        /// this program's TLS library cannot use (X.509 v1, for one), or a signature that does not fit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unproven: Option<String>,
    },
    /// The peer ended the handshake with an alert.
    TlsAlert {
        /// The alert's name as RFC 8446 section 6 spells it, for example `internal_error`.
        alert: String,
        /// The peer's certificates, where it had sent them before the alert.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        chain_der_base64: Vec<String>,
    },
    /// Something listens and does not speak TLS.
    NotTls,
    /// What was seen from within, in the declared form of its kind.
    Fact {
        /// The value.
        value: Value,
    },
    /// No answer.
    Failed {
        /// What kind of failure.
        kind: FailureKind,
        /// One sentence, redacted.
        message: String,
    },
    /// The recording lacks this request.
    NotRecorded,
}

/// A redacted body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Body {
    /// The declared fields of a JSON document; for a container log what the log filter made of it.
    Json(Value),
    /// Text, swept and cut to [`TEXT_LIMIT`].
    Text(String),
    /// Empty, or dropped whole.
    None,
}

/// How many bytes of a text body are kept.
pub const TEXT_LIMIT: usize = 4096;

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FailureKind {
    /// The connection was refused: nothing listens there, or a firewall answers for it.
    Refused,
    /// Nothing came within the time limit.
    TimedOut,
    /// No route to the host or network.
    Unreachable,
    /// The name could not be resolved.
    Dns,
    /// TLS failed on our side: the certificate was not accepted, or the protocol was broken.
    Tls,
    /// The connection broke off.
    Reset,
    /// Refused by this program before anything left: not read-only, or an address that is never dialled.
    Blocked,
    /// Whoever looked may not look there.
    NotPermitted,
    /// What would show it is not there, such as a program.
    Lacking,
    /// Anything else, such as an answer that is larger than the limit.
    Other,
}

impl Observation {
    /// The status and body of a response.
    #[must_use]
    pub fn response(&self) -> Option<(u16, &Body)> {
        match &self.outcome {
            Outcome::Response { status, body, .. } => Some((*status, body)),
            _ => None,
        }
    }

    /// The JSON body of a response with status 2xx.
    #[must_use]
    pub fn json(&self) -> Option<&Value> {
        match &self.outcome {
            Outcome::Response { status: 200..=299, body: Body::Json(value), .. } => Some(value),
            _ => None,
        }
    }

    /// The `Status` object of a response that is not 2xx.
    #[must_use]
    pub fn status_object(&self) -> Option<&Value> {
        match &self.outcome {
            Outcome::Response { status, body: Body::Json(value), .. }
                if !(200..300).contains(status) && value["kind"] == "Status" =>
            {
                Some(value)
            }
            _ => None,
        }
    }
}

/// How the API server is reached. Nothing in here is secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    /// Where the configuration came from: `kubeconfig` or `in-cluster`.
    pub origin: String,
    /// The API server's URL.
    pub server: String,
    /// The name that its certificate is checked against, where it is not the URL's host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_server_name: Option<String>,
    /// The kubeconfig says to trust any certificate.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub insecure_skip_tls_verify: bool,
    /// The proxy on the way to the API server, without user information.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Why there is this proxy, or none: `proxy-url`, `HTTPS_PROXY`, `NO_PROXY`, `none`.
    pub proxy_reason: String,
    /// The kind of credential: `client-certificate`, `token`, `token-file`, `exec`, `basic`, `none`.
    pub credential: String,
    /// The context's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The namespace of the context, where it names one; in a pod, the pod's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}
