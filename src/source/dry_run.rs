//! The one request that is no read: a server-side dry run of an object, which changes nothing.
//!
//! It has a way of its own beside [`super::guard`]. A [`Target`] is made from a path alone, and whatever is sent has
//! [`QUERY`] behind it: there is no way to name a path with another query, or a method other than the PATCH of
//! server-side apply. kube-apiserver writes nothing with `dryRun=All`, and admission webhooks that have side effects
//! are refused by it (<https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>).

use super::guard::{self, Refused};

/// What stands behind every path. Conflicts with other managers are none of a gate's business, hence `force`.
pub const QUERY: &str = "dryRun=All&fieldManager=metrics-preflight&fieldValidation=Strict&force=true";
/// The type of the body; JSON is YAML.
pub const CONTENT_TYPE: &str = "application/apply-patch+yaml";
/// The only method.
pub const METHOD: &str = "PATCH";

/// The objects that may be tried, by the shapes of [`guard`]. No subresource has such a path, and neither Secrets nor
/// what hands out credentials are among its resources.
const SHAPES: &[&str] = &[
    "/api/v1/namespaces/{ns}/{resource}/{name}",
    "/api/v1/{resource}/{name}",
    "/apis/{group}/{version}/namespaces/{ns}/{resource}/{name}",
    "/apis/{group}/{version}/{resource}/{name}",
];

/// An object's path that may be tried, and nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target(String);

impl Target {
    /// Checks the path of an object, which has no query.
    ///
    /// # Errors
    /// When it is not one of an object that may be tried.
    pub fn of(path: &str) -> Result<Self, Refused> {
        let reason = || Refused {
            reason: format!("a dry run of {path} is not on the list of what this program may ask"),
        };
        if path.contains(['?', '#']) || path.len() > 4096 {
            return Err(reason());
        }
        if guard::fits_any(SHAPES, path)? { Ok(Self(path.to_owned())) } else { Err(reason()) }
    }

    /// The path with its query, as it is sent.
    #[must_use]
    pub fn sent(&self) -> String {
        format!("{}?{QUERY}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_may_be_tried_and_nothing_else() {
        for path in [
            "/api/v1/namespaces/shop/services/web",
            "/api/v1/namespaces/shop",
            "/apis/autoscaling/v2/namespaces/shop/horizontalpodautoscalers/web",
            "/apis/keda.sh/v1alpha1/namespaces/shop/scaledobjects/web",
            "/apis/rbac.authorization.k8s.io/v1/clusterroles/reader",
            // What is encoded stays a part of the name.
            "/api/v1/namespaces/shop/services/web%3FdryRun=",
        ] {
            let sent = Target::of(path).expect(path).sent();
            let (before, query) = sent.split_once('?').expect("a query");
            assert_eq!(before, path);
            assert!(query.split('&').any(|parameter| parameter == "dryRun=All"), "{sent}");
            assert_eq!(query.matches("dryRun").count(), 1, "{sent}");
        }
        for path in [
            "/api/v1/namespaces/shop/services/web?dryRun=",
            "/api/v1/namespaces/shop/services/web?",
            "/api/v1/namespaces/shop/services/web#",
            "/api/v1/namespaces/shop/services/web/proxy",
            "/api/v1/namespaces/shop/pods/web/exec",
            "/api/v1/namespaces/shop/pods/web/eviction",
            "/apis/apps/v1/namespaces/shop/deployments/web/scale",
            "/api/v1/namespaces/shop/secrets/password",
            "/api/v1/namespaces/shop/serviceaccounts/web",
            "/api/v1/namespaces/shop/services/..",
            "/api/v1/namespaces/shop/services/",
            "/api/v1/namespaces/shop/services",
            "/apis/apps/v1/namespaces/shop/deployments/a%2fb",
            "api/v1/namespaces/shop",
            "/version",
            "",
        ] {
            assert!(Target::of(path).is_err(), "{path}");
        }
    }
}
