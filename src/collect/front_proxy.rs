//! Hops 7 and 8: the published trust, the flags of kube-apiserver, and anonymous callers.

use checks::evidence::{AnonymousAccess, AnonymousBinding, AuthConfig, Flags, FrontProxy, Need, Obs, Why};
use serde_json::{Value, json};

use super::ask::{Asked, Asker, why};
use super::json;
use crate::source::{Body, Request};

/// Asks about the identity with which kube-apiserver calls extension servers.
pub(super) async fn collect(asker: &Asker<'_>) -> FrontProxy {
    let everything = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"verb": "*", "group": "*", "resource": "*"}},
    });
    let asked = asker
        .all(vec![
            Request::get("/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication"),
            Request::get("/flagz"),
            Request::anonymous_access_review(everything),
        ])
        .await;
    let [config, flagz, anonymous] = asked.as_slice() else {
        unreachable!("three requests have three answers")
    };
    let bindings = asker
        .list(
            "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            "clusterrolebindings.rbac.authorization.k8s.io",
        )
        .await;
    FrontProxy {
        auth_config: config.find(
            Need::AuthConfig,
            "get",
            "configmaps/extension-apiserver-authentication in kube-system",
            |body| Some(auth_config(&body["data"])),
        ),
        apiserver_flags: apiserver_flags(asker, flagz).await,
        anonymous_access: anonymous_access(anonymous),
        anonymous_bindings: flatten(
            bindings.each(Need::AnonymousBindings, |item| Some(anonymous_subjects(item))),
        ),
    }
}

fn flatten<T>(obs: Obs<Vec<Vec<T>>>) -> Obs<Vec<T>> {
    obs.map(Need::AnonymousBindings, |lists| lists.into_iter().flatten().collect())
}

fn auth_config(data: &Value) -> AuthConfig {
    let list = |key: &str| -> Vec<String> {
        let parsed = data[key].as_str().and_then(|text| serde_json::from_str::<Vec<String>>(text).ok());
        parsed.unwrap_or_default()
    };
    AuthConfig {
        client_ca: data["client-ca-file"].as_str().map(json::pem_certificates).unwrap_or_default(),
        requestheader_ca: data["requestheader-client-ca-file"].as_str().map(json::pem_certificates),
        allowed_names: list("requestheader-allowed-names"),
        username_headers: list("requestheader-username-headers"),
    }
}

/// The flags of the kube-apiserver that answers: from `/flagz` since 1.36, from its static pod before.
async fn apiserver_flags(asker: &Asker<'_>, flagz: &Asked) -> Obs<Flags> {
    let flags = match flagz.observation.response() {
        Some((200, Body::Text(text))) => flag_lines(text),
        Some((200, Body::Json(value))) => json::strings(&value["flags"]),
        _ => return static_pod_flags(asker, flagz).await,
    };
    // The page lists every flag, those that are not set with an empty value.
    if PROXY_CLIENT.iter().all(|name| flags.contains_key(*name)) {
        return Obs::seen(Need::ApiServerFlags, [flagz.id], flags);
    }
    let why = Why::Unreadable("/flagz of kube-apiserver has a form that is not known".to_owned());
    Obs::unseen(Need::ApiServerFlags, [flagz.id], why)
}

/// The flags without which kube-apiserver calls extension servers as nobody.
const PROXY_CLIENT: [&str; 2] = ["proxy-client-cert-file", "proxy-client-key-file"];

/// The command line in the static pod of a kube-apiserver; a flag that is not there is not set.
async fn static_pod_flags(asker: &Asker<'_>, flagz: &Asked) -> Obs<Flags> {
    let path = "/api/v1/namespaces/kube-system/pods?labelSelector=component%3Dkube-apiserver&limit=500";
    let pods = asker.ask(Request::get(path)).await;
    let first = pods.observation.json().and_then(|body| body["items"].as_array()?.first().cloned());
    let Some(pod) = first else {
        let why = match why(&flagz.observation, "get", "/flagz") {
            Why::Unsupported(_) => Why::Unsupported(
                "kube-apiserver does not tell its flags (/flagz) and runs in no pod that can be seen"
                    .to_owned(),
            ),
            other => other,
        };
        return Obs::unseen(Need::ApiServerFlags, [flagz.id, pods.id], why);
    };
    let container = &pod["spec"]["containers"][0];
    let words: Vec<String> =
        json::texts(&container["command"]).into_iter().chain(json::texts(&container["args"])).collect();
    if !words.first().is_some_and(|program| program.ends_with("kube-apiserver")) {
        let why = Why::Unreadable("kube-apiserver is started by another program".to_owned());
        return Obs::unseen(Need::ApiServerFlags, [pods.id], why);
    }
    let mut flags = flag_words(&words);
    for name in PROXY_CLIENT {
        flags.entry(name.to_owned()).or_default();
    }
    Obs::seen(Need::ApiServerFlags, [pods.id], flags)
}

/// The flags of a command line, as `--name=value` or `--name value`.
fn flag_words(words: &[String]) -> Flags {
    let mut flags = Flags::new();
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        let Some(flag) = word.strip_prefix("--") else { continue };
        let (name, value) = match flag.split_once('=') {
            Some((name, value)) => (name, value.to_owned()),
            None => (flag, rest.next_if(|next| !next.starts_with("--")).cloned().unwrap_or_default()),
        };
        flags.insert(name.to_owned(), value);
    }
    flags
}

/// One flag a line, as `name=value` or `--name=value`.
fn flag_lines(text: &str) -> Flags {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("--"));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

fn anonymous_access(asked: &Asked) -> Obs<AnonymousAccess> {
    let access = match asked.status() {
        Some(401) => AnonymousAccess::Off,
        Some(403) => AnonymousAccess::Nothing,
        Some(200 | 201) => {
            match asked.observation.json().and_then(|body| body["status"]["allowed"].as_bool()) {
                Some(true) => AnonymousAccess::Everything,
                _ => AnonymousAccess::Something,
            }
        }
        _ => {
            let why = why(&asked.observation, "create", "selfsubjectaccessreviews without a credential");
            return Obs::unseen(Need::AnonymousAccess, [asked.id], why);
        }
    };
    Obs::seen(Need::AnonymousAccess, [asked.id], access)
}

/// The anonymous subjects of a binding.
fn anonymous_subjects(item: &Value) -> Vec<AnonymousBinding> {
    json::items(&item["subjects"])
        .filter_map(|subject| subject["name"].as_str())
        .filter(|name| matches!(*name, "system:anonymous" | "system:unauthenticated"))
        .map(|name| AnonymousBinding {
            kind: "ClusterRoleBinding".to_owned(),
            name: json::text(&item["metadata"]["name"]),
            role: json::text(&item["roleRef"]["name"]),
            subject: name.to_owned(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::flag_lines;

    #[test]
    fn flags_are_read_from_both_sources() {
        let flags = flag_lines("anonymous-auth=true\nproxy-client-cert-file=\n");
        assert_eq!(flags.get("proxy-client-cert-file").map(String::as_str), Some(""));
        assert_eq!(flags.get("anonymous-auth").map(String::as_str), Some("true"));
        let words = ["kube-apiserver", "--anonymous-auth", "--proxy-client-cert-file", "/a/b.crt"];
        let flags = super::flag_words(&words.map(str::to_owned));
        assert_eq!(flags.get("proxy-client-cert-file").map(String::as_str), Some("/a/b.crt"));
    }
}
