//! The read-only rule: what may leave this program at all.
//!
//! A method alone does not make a request harmless. Kubernetes takes `exec`, `attach` and `portforward` as GET with an
//! `Upgrade` header, and a GET through a proxy subresource reaches the application behind it, so what is allowed is a
//! method *and* a shape of the path, out of [`GET`] and [`POST`], matched on the URL as it is sent. Whatever matches
//! nothing is refused before a connection is made.

use std::fmt::Write as _;

/// The one path that is asked without a credential.
pub const ANONYMOUS_REVIEW: &str = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews";
/// The one path that is asked of a kubelet directly.
pub const KUBELET_PATH: &str = "/healthz";

/// What is asked of one kube-apiserver of several: whether it is there, and whether it reaches metrics-server.
pub const INSTANCE_PATHS: [&str; 2] = ["/version", "/apis/metrics.k8s.io/v1beta1"];

/// What may be read. A segment is literal, a choice `{a|b}`, or one of
/// `{name}` any object's name, `{node}` a name that cannot carry a scheme or port, `{ns}`, `{group}`, `{version}`,
/// `{resource}` a resource that holds no secret and is no way into a pod.
const GET: &[&str] = &[
    // What the cluster is and serves.
    "/version",
    "/flagz",
    "/api",
    "/api/v1",
    "/apis",
    "/apis/{group}",
    "/apis/{group}/{version}",
    // The core kinds.
    "/api/v1/nodes",
    "/api/v1/nodes/{name}",
    "/api/v1/nodes/{node}/proxy/configz",
    "/api/v1/namespaces/{ns}",
    "/api/v1/namespaces/{ns}/{pods|services|endpoints|configmaps|events}",
    "/api/v1/namespaces/{ns}/{pods|services|endpoints|configmaps|events}/{name}",
    "/api/v1/namespaces/{ns}/pods/{name}/log",
    "/api/v1/namespaces/{ns}/replicationcontrollers/{name}/scale",
    // The backend and its surroundings.
    "/apis/discovery.k8s.io/v1/namespaces/{ns}/endpointslices",
    "/apis/apps/v1/namespaces/{ns}/{deployments|replicasets|statefulsets|daemonsets}",
    "/apis/apps/v1/namespaces/{ns}/{deployments|replicasets|statefulsets|daemonsets}/{name}",
    "/apis/apiregistration.k8s.io/v1/apiservices",
    "/apis/apiregistration.k8s.io/v1/apiservices/{name}",
    "/apis/certificates.k8s.io/v1/certificatesigningrequests",
    "/apis/certificates.k8s.io/v1/certificatesigningrequests/{name}",
    "/apis/rbac.authorization.k8s.io/v1/{clusterrolebindings|clusterroles}",
    "/apis/rbac.authorization.k8s.io/v1/{clusterrolebindings|clusterroles}/{name}",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/{rolebindings|roles}",
    "/apis/rbac.authorization.k8s.io/v1/namespaces/{ns}/{rolebindings|roles}/{name}",
    "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases",
    "/apis/coordination.k8s.io/v1/namespaces/{ns}/leases/{name}",
    "/apis/networking.k8s.io/v1/namespaces/{ns}/networkpolicies",
    // Autoscaling: the HPAs and what they scale.
    "/apis/autoscaling/v2/horizontalpodautoscalers",
    "/apis/autoscaling/v2/namespaces/{ns}/horizontalpodautoscalers",
    "/apis/autoscaling/v2/namespaces/{ns}/horizontalpodautoscalers/{name}",
    "/apis/{group}/{version}/namespaces/{ns}/{resource}/{name}/scale",
    "/apis/autoscaling.k8s.io/{version}/namespaces/{ns}/verticalpodautoscalers",
    "/apis/keda.sh/{version}/namespaces/{ns}/scaledobjects",
    "/api/v1/namespaces/{ns}/{limitranges|resourcequotas}",
    // The metrics themselves.
    "/apis/metrics.k8s.io/v1beta1/nodes",
    "/apis/metrics.k8s.io/v1beta1/nodes/{name}",
    "/apis/metrics.k8s.io/v1beta1/pods",
    "/apis/metrics.k8s.io/v1beta1/namespaces/{ns}/pods",
    "/apis/metrics.k8s.io/v1beta1/namespaces/{ns}/pods/{name}",
    "/apis/{custom.metrics.k8s.io|external.metrics.k8s.io}/{version}/namespaces/{ns}/{name}",
    "/apis/custom.metrics.k8s.io/{version}/namespaces/{ns}/{resource}/{name}/{name}",
    "/apis/custom.metrics.k8s.io/{version}/namespaces/{ns}/metrics/{name}",
    "/apis/custom.metrics.k8s.io/{version}/{resource}/{name}/{name}",
];

/// What may be posted: questions, which create nothing.
const POST: &[&str] = &[
    "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    ANONYMOUS_REVIEW,
    "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews",
    "/apis/authorization.k8s.io/v1/subjectaccessreviews",
];

/// The parameters a GET may carry. `watch` and `follow` keep a connection open and are not among them.
const QUERY: &[&str] = &[
    "container",
    "continue",
    "fieldSelector",
    "labelSelector",
    "limit",
    "limitBytes",
    "metricLabelSelector",
    "previous",
    "resourceVersion",
    "sinceSeconds",
    "tailLines",
    "timeout",
    "timestamps",
];

/// Resources and subresources that are never named where a shape leaves the resource open.
const NEVER: &[&str] =
    &["secrets", "exec", "attach", "portforward", "proxy", "watch", "token", "serviceaccounts"];

/// Refused before anything left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refused before it was sent: {reason}")]
pub struct Refused {
    /// Why, in words, with what it is about.
    pub reason: String,
}

fn refused<T>(reason: impl Into<String>) -> Result<T, Refused> {
    Err(Refused { reason: reason.into() })
}

/// Encodes one segment of a path: a name out of an object or a manifest stays one segment whatever it contains.
///
/// # Errors
/// When the text is empty, `.` or `..`, which a server would resolve away, or holds a `/`, `\`, `%` or control
/// character, which no name in Kubernetes may.
pub fn segment(text: &str) -> Result<String, Refused> {
    decoded_segment(text)?;
    Ok(encode(text, |byte| byte.is_ascii_alphanumeric() || b"-._~:*".contains(&byte)))
}

/// Encodes the value of a query parameter.
#[must_use]
pub fn query_value(text: &str) -> String {
    encode(text, |byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte))
}

fn encode(text: &str, plain: impl Fn(u8) -> bool) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
        out
    })
}

/// Whether a decoded segment is one that a name may be.
fn decoded_segment(text: &str) -> Result<(), Refused> {
    match text {
        "" => refused("a path segment is empty"),
        "." | ".." => refused(format!("a path segment is {text:?}, which would be resolved away")),
        _ if text.contains(['/', '\\', '%']) || text.chars().any(char::is_control) => {
            refused(format!("{text:?} is not one path segment"))
        }
        _ => Ok(()),
    }
}

/// Decodes a segment as it stands in a URL.
fn decode(segment: &str) -> Result<String, Refused> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                match (digit(rest.next()), digit(rest.next())) {
                    // Two hexadecimal digits fit into a byte.
                    (Some(high), Some(low)) => bytes.push(u8::try_from(high * 16 + low).unwrap_or_default()),
                    _ => return refused(format!("{segment:?} has a broken escape")),
                }
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' => bytes.push(byte),
            _ if b"-._~!$&'()*+,;=:@".contains(&byte) => bytes.push(byte),
            _ => return refused(format!("{segment:?} has a character that does not belong into a path")),
        }
    }
    let text = String::from_utf8(bytes).or_else(|_| refused(format!("{segment:?} is not UTF-8")))?;
    decoded_segment(&text)?;
    Ok(text)
}

/// Whether this may be sent to the API server. `target` is the path with its query, without the path under which the
/// kubeconfig's server URL lies.
///
/// # Errors
/// When it is not one of the allowed shapes.
pub fn check(method: &str, target: &str) -> Result<(), Refused> {
    let (path, query) = match target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (target, None),
    };
    let Some(below) = path.strip_prefix('/') else {
        return refused(format!("{path:?} is not an absolute path"));
    };
    if target.len() > 8192 {
        return refused("the path is longer than 8192 characters");
    }
    let segments = below.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    let shapes = match method {
        "GET" => GET,
        "POST" => POST,
        _ => return refused(format!("{method} is not a method that only reads")),
    };
    if !shapes.iter().any(|shape| fits(shape, &segments)) {
        return refused(format!("{method} {path} is not on the list of what this program may ask"));
    }
    match query {
        None | Some("") => Ok(()),
        Some(_) if method == "POST" => refused("a POST takes no query"),
        Some(query) => query.split('&').try_for_each(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let plain = |byte: u8| byte.is_ascii_graphic() && !b"#?;\"<>\\^`{|}".contains(&byte);
            if !QUERY.contains(&name) {
                refused(format!("the parameter {name:?} is not on the list of what this program may ask"))
            } else if value.bytes().all(plain) {
                Ok(())
            } else {
                refused(format!("the value of {name:?} is not encoded"))
            }
        }),
    }
}

/// Whether a path without a query has one of these shapes.
///
/// # Errors
/// When it is not a path of segments that names may be.
pub(super) fn fits_any(shapes: &[&str], path: &str) -> Result<bool, Refused> {
    let Some(below) = path.strip_prefix('/') else {
        return refused(format!("{path:?} is not an absolute path"));
    };
    let segments = below.split('/').map(decode).collect::<Result<Vec<_>, _>>()?;
    Ok(shapes.iter().any(|shape| fits(shape, &segments)))
}

fn fits(shape: &str, segments: &[String]) -> bool {
    let mut parts = shape[1..].split('/');
    let all = segments.iter().all(|segment| parts.next().is_some_and(|part| fits_segment(part, segment)));
    all && parts.next().is_none()
}

fn fits_segment(part: &str, segment: &str) -> bool {
    let label = |text: &str| {
        (1..=63).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let subdomain = |text: &str| text.len() <= 253 && text.split('.').all(label);
    match part {
        "{name}" => segment.len() <= 1024,
        "{node}" | "{group}" => subdomain(segment),
        "{ns}" => label(segment),
        "{version}" => is_version(segment),
        "{resource}" => subdomain(segment) && !NEVER.contains(&segment.split('.').next().unwrap_or_default()),
        _ => match part.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(choice) => choice.split('|').any(|one| one == segment),
            None => part == segment,
        },
    }
}

/// `v1`, `v2beta1`: the form that Kubernetes' own `version.CompareKubeAwareVersionStrings` takes for a version.
fn is_version(text: &str) -> bool {
    let Some(rest) = text.strip_prefix('v') else { return false };
    let rest = rest.trim_start_matches(|letter: char| letter.is_ascii_digit());
    let digits =
        |text: &str| !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    text.len() <= 20
        && text.len() > rest.len() + 1
        && (rest.is_empty()
            || ["alpha", "beta"].iter().any(|stage| rest.strip_prefix(stage).is_some_and(digits)))
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
