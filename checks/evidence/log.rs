//! Reading metrics-server's log: each line that matters becomes a signature with typed parts.
//!
//! Nothing else of a log is kept. Shapes: metrics-server 0.4 to 0.9 in klog's text and JSON form,
//! Go's `net` and `crypto/x509` errors, and the delegated authentication library's messages.

use std::sync::LazyLock;

use jiff::Timestamp;
use regex::Regex;
use serde::{Deserialize, Serialize};

/// A line of a log that matters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSignal {
    /// The pod that wrote it.
    #[serde(default)]
    pub pod: String,
    /// Whether an earlier container of the pod wrote it.
    #[serde(default)]
    pub previous: bool,
    /// When the line was written.
    pub at: Timestamp,
    /// When the same was said the time before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Timestamp>,
    /// What it says.
    pub signature: Signature,
}

/// What a log line says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signature {
    /// A call to the API server did not get through.
    ApiDial {
        /// The address that was dialled, such as `10.96.0.1:443`.
        address: String,
        /// How it failed.
        failure: DialFailure,
    },
    /// The published trust of the aggregation layer may not be read.
    AuthConfigForbidden {
        /// The user that was refused.
        user: String,
    },
    /// Nodes or pods may not be listed.
    InformerForbidden {
        /// The resource.
        resource: String,
    },
    /// The ConfigMap holds no CA for the front proxy.
    RequestHeaderCaMissing,
    /// A node could not be scraped.
    ScrapeFailed {
        /// The node.
        node: String,
        /// The address that was dialled; empty when the line does not tell.
        address: String,
        /// Why.
        failure: ScrapeFailure,
    },
    /// A caller's client certificate was not accepted.
    CallerRejected {
        /// Why.
        failure: FrontProxyFailure,
    },
    /// The delegated authorization failed.
    AccessReviewFailed {
        /// Whether the cause is that metrics-server may not create access reviews.
        forbidden: bool,
    },
    /// A flag is not known.
    UnknownFlag {
        /// The flag, with its dashes.
        flag: String,
    },
    /// The port could not be opened.
    ListenFailed {
        /// The address.
        address: String,
        /// Why, such as `permission denied`.
        reason: String,
    },
    /// The server serves.
    Serving,
    /// No metrics have been stored yet.
    NoMetricsYet,
    /// A panic that no other signature describes.
    Panic,
}

/// How a TCP connection failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DialFailure {
    /// Nothing answered.
    Timeout,
    /// The port was refused.
    Refused,
    /// There is no route, or a firewall says so.
    NoRoute,
}

/// Why a kubelet could not be scraped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScrapeFailure {
    /// The connection failed.
    Dial(DialFailure),
    /// The connection was made or not, and no answer came in time.
    Deadline,
    /// The name was not resolved.
    NameNotResolved,
    /// The certificate has no IP address among its names.
    NoIpSans,
    /// The certificate holds other names.
    OtherNames(String),
    /// The certificate has no names at all, only a common name.
    CommonNameOnly,
    /// Nobody that is trusted issued the certificate.
    UnknownAuthority,
    /// The certificate is outside its validity.
    OutsideValidity,
    /// The certificate is not for servers.
    WrongUsage,
    /// The kubelet has no certificate to present.
    NoCertificate,
    /// The kubelet answered with this HTTP status.
    Status(i64),
    /// The node has no address of the configured types.
    NoAddress,
    /// Something else.
    Other,
}

/// Why a caller's client certificate was not accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrontProxyFailure {
    /// Its issuer is not trusted; with the key id of the issuer.
    UnknownAuthority {
        /// The authority key identifier, upper-case hexadecimal with colons; empty when not told.
        akid: String,
    },
    /// Its common name is not on the list.
    NameNotAllowed {
        /// The common name.
        cn: String,
    },
    /// It is outside its validity.
    OutsideValidity,
    /// It is not for clients.
    WrongUsage,
}

/// Reads a log that was fetched with `timestamps=true`: every line starts with an RFC 3339 time.
///
/// Lines that say the same are kept once, with the time of the last; at most 200 signals are
/// returned, oldest first. Lines without a readable time are passed over.
#[must_use]
pub fn read_log(text: &str) -> Vec<LogSignal> {
    let mut signals: Vec<LogSignal> = Vec::new();
    for line in text.lines() {
        let Some((stamp, rest)) = line.split_once(' ') else { continue };
        let Ok(at) = stamp.parse::<Timestamp>() else { continue };
        for signature in read_line(rest) {
            let earlier = signals.iter().position(|signal| signal.signature == signature);
            let before = earlier.map(|index| signals.remove(index).at);
            signals.push(LogSignal { pod: String::new(), previous: false, at, before, signature });
        }
    }
    let surplus = signals.len().saturating_sub(200);
    signals.drain(..surplus);
    signals
}

/// The signatures in one line; 0.4 writes the failures of all nodes into one.
fn read_line(line: &str) -> Vec<Signature> {
    let line = line.replace("\\\"", "\"");
    let line = line.as_str();
    if line.contains("Failed to scrape node") || line.contains("unable to fully scrape metrics from node") {
        return read_scrapes(line);
    }
    read_start_up(line).or_else(|| read_serving(line)).into_iter().collect()
}

fn regex(cell: &'static LazyLock<Regex>) -> &'static Regex {
    cell
}

macro_rules! pattern {
    ($name:ident, $text:literal) => {
        static $name: LazyLock<Regex> = LazyLock::new(|| Regex::new($text).expect("the pattern is tested"));
    };
}

pattern!(NODE_KEY, r#"(?:\bnode=|"node":\{"name":)"([^"]+)""#);
pattern!(URL_HOST, r#"https://(\[[0-9a-fA-F:]+\]|[^/"\s:]+)(?::\d+)?/"#);
pattern!(STATUS, r#"(?:status: |bad status code |request failed - )"(\d{3})"#);
pattern!(VALID_FOR, r"certificate is valid for (.+?), not ");
pattern!(API_DIAL, r"dial tcp (\S+?): (i/o timeout|connect: connection refused|connect: no route to host)");
pattern!(FORBIDDEN_USER, r#"is forbidden: User "([^"]+)""#);
pattern!(INFORMER, r"failed to list \*\S+: (\w+) is forbidden");
pattern!(UNKNOWN_FLAG, r"unknown flag: (--[A-Za-z0-9-]+)");
pattern!(LISTEN, r"listen tcp (\S+): bind: ([a-z ]+)");
pattern!(AKID, r"AKID=([0-9A-F:]*)");
pattern!(NOT_ALLOWED, r"subject with cn=(.+?) is not in the allowed list");

fn capture(cell: &'static LazyLock<Regex>, text: &str) -> Option<String> {
    regex(cell).captures(text).and_then(|found| found.get(1)).map(|part| part.as_str().to_owned())
}

/// Failures to scrape: `Failed to scrape node` with keys since 0.5, a bracketed list in 0.4.
fn read_scrapes(line: &str) -> Vec<Signature> {
    if let Some(node) = capture(&NODE_KEY, line) {
        return vec![scrape(node, line)];
    }
    let mut found = Vec::new();
    for part in line.split("unable to fully scrape metrics from node ").skip(1) {
        if let Some((node, error)) = part.split_once(':') {
            found.push(scrape(node.trim().to_owned(), error));
        }
    }
    found
}

fn scrape(node: String, error: &str) -> Signature {
    let address = capture(&URL_HOST, error).unwrap_or_default();
    let address = address.trim_matches(['[', ']']).to_owned();
    Signature::ScrapeFailed { node, address, failure: scrape_failure(error) }
}

fn scrape_failure(error: &str) -> ScrapeFailure {
    let has = |text: &str| error.contains(text);
    if has("doesn't contain any IP SANs") {
        ScrapeFailure::NoIpSans
    } else if let Some(names) = capture(&VALID_FOR, error) {
        ScrapeFailure::OtherNames(names)
    } else if has("is not valid for any names") {
        ScrapeFailure::OtherNames(String::new())
    } else if has("relies on legacy Common Name") {
        ScrapeFailure::CommonNameOnly
    } else if has("certificate has expired or is not yet valid") {
        ScrapeFailure::OutsideValidity
    } else if has("specifies an incompatible key usage") {
        ScrapeFailure::WrongUsage
    } else if has("certificate signed by unknown authority") {
        ScrapeFailure::UnknownAuthority
    } else if has("remote error: tls: internal error") {
        ScrapeFailure::NoCertificate
    } else if let Some(status) = capture(&STATUS, error).and_then(|code| code.parse().ok()) {
        ScrapeFailure::Status(status)
    } else if has("no address matched types") || has("had no addresses that matched types") {
        ScrapeFailure::NoAddress
    } else if has("no such host") || has("server misbehaving") || has("dial tcp: lookup") {
        ScrapeFailure::NameNotResolved
    } else if has("connect: connection refused") {
        ScrapeFailure::Dial(DialFailure::Refused)
    } else if has("connect: no route to host") {
        ScrapeFailure::Dial(DialFailure::NoRoute)
    } else if has("i/o timeout") {
        ScrapeFailure::Dial(DialFailure::Timeout)
    } else if has("context deadline exceeded") || has("Client.Timeout") || has("request canceled") {
        ScrapeFailure::Deadline
    } else {
        ScrapeFailure::Other
    }
}

/// What a start that failed says: metrics-server panics on any error before it serves.
fn read_start_up(line: &str) -> Option<Signature> {
    let has = |text: &str| line.contains(text);
    if has("extension-apiserver-authentication") && has("is forbidden") {
        let user = capture(&FORBIDDEN_USER, line).unwrap_or_default();
        return Some(Signature::AuthConfigForbidden { user });
    }
    if let Some(found) = regex(&API_DIAL).captures(line) {
        let failure = match &found[2] {
            "i/o timeout" => DialFailure::Timeout,
            "connect: connection refused" => DialFailure::Refused,
            _ => DialFailure::NoRoute,
        };
        return Some(Signature::ApiDial { address: found[1].to_owned(), failure });
    }
    if let Some(resource) = capture(&INFORMER, line) {
        return Some(Signature::InformerForbidden { resource });
    }
    if has("missing content for CA bundle") && has("requestheader-client-ca-file") {
        return Some(Signature::RequestHeaderCaMissing);
    }
    if let Some(flag) = capture(&UNKNOWN_FLAG, line) {
        return Some(Signature::UnknownFlag { flag });
    }
    if let Some(found) = regex(&LISTEN).captures(line) {
        let (address, reason) = (found[1].to_owned(), found[2].trim().to_owned());
        return Some(Signature::ListenFailed { address, reason });
    }
    line.starts_with("panic: ").then_some(Signature::Panic)
}

/// What a server that serves says about its callers and itself.
fn read_serving(line: &str) -> Option<Signature> {
    let has = |text: &str| line.contains(text);
    if has("Unable to authenticate the request") {
        return caller_failure(line).map(|failure| Signature::CallerRejected { failure });
    }
    if has("Failed to make webhook authorizer request") {
        return Some(Signature::AccessReviewFailed { forbidden: has("is forbidden") });
    }
    if has("Serving securely on") {
        return Some(Signature::Serving);
    }
    has("no metrics to serve").then_some(Signature::NoMetricsYet)
}

/// The first element tells what the front-proxy authenticator had against the certificate; what
/// the others had against it follows.
fn caller_failure(line: &str) -> Option<FrontProxyFailure> {
    if let Some(cn) = capture(&NOT_ALLOWED, line) {
        return Some(FrontProxyFailure::NameNotAllowed { cn });
    }
    if line.contains("has expired or is not yet valid") {
        return Some(FrontProxyFailure::OutsideValidity);
    }
    if line.contains("incompatible key usage") {
        return Some(FrontProxyFailure::WrongUsage);
    }
    line.contains("signed by unknown authority")
        .then(|| FrontProxyFailure::UnknownAuthority { akid: capture(&AKID, line).unwrap_or_default() })
}
