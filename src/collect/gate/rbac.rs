//! The roles and bindings of the cluster, for who may not ask what another may.

use std::collections::BTreeMap;

use checks::evidence::{Need, Obs, RequestId};
use checks::plan::rbac::{Asked, Binding, Caller, Rbac, Role};
use tokio::sync::Mutex;

use super::super::ask::Asker;
use crate::source::segment;

/// The API group of roles.
const ROOT: &str = "/apis/rbac.authorization.k8s.io/v1";

/// What was read so far. Of the whole cluster it is kept under no name.
#[derive(Default)]
pub(super) struct Roles {
    read: Mutex<BTreeMap<String, Part>>,
}

/// The roles and bindings of a namespace, or of the whole cluster, as far as the caller may list them.
#[derive(Clone, Default)]
struct Part {
    roles: Vec<Role>,
    bindings: Vec<Binding>,
    from: Vec<RequestId>,
}

impl Roles {
    /// The binding by which a caller may do all of this in a namespace, with the requests that showed it; nothing where
    /// no role that was seen allows it.
    pub(super) async fn allow(
        &self,
        asker: &Asker<'_>,
        caller: Caller<'_>,
        namespace: &str,
        asked: &[Asked<'_>],
    ) -> Option<(String, Vec<RequestId>)> {
        let cluster = self.part(asker, "").await;
        let own = self.part(asker, namespace).await;
        let rbac = Rbac {
            cluster_roles: &cluster.roles,
            cluster_bindings: &cluster.bindings,
            roles: &own.roles,
            bindings: &own.bindings,
        };
        let granted: Option<Vec<String>> = asked.iter().map(|asked| rbac.allows(caller, *asked)).collect();
        let by = granted?.into_iter().next()?;
        Some((by, cluster.from.iter().chain(&own.from).copied().collect()))
    }

    async fn part(&self, asker: &Asker<'_>, namespace: &str) -> Part {
        // Held while it is read, so that it is read once.
        let mut read = self.read.lock().await;
        if let Some(part) = read.get(namespace) {
            return part.clone();
        }
        let (root, kind) = match segment(namespace) {
            _ if namespace.is_empty() => (ROOT.to_owned(), "clusterrole"),
            Ok(path) => (format!("{ROOT}/namespaces/{path}"), "role"),
            Err(_) => return Part::default(),
        };
        let group = "rbac.authorization.k8s.io";
        let bindings =
            asker.list(&format!("{root}/{kind}bindings"), &format!("{kind}bindings.{group}")).await;
        let bindings = bindings.each(Need::ControllerAccess, Binding::read);
        let roles = asker.list(&format!("{root}/{kind}s"), &format!("{kind}s.{group}")).await;
        let roles = roles.each(Need::ControllerAccess, Role::read);
        let part = Part {
            from: seen(&bindings).chain(seen(&roles)).collect(),
            roles: roles.peek().cloned().unwrap_or_default(),
            bindings: bindings.peek().cloned().unwrap_or_default(),
        };
        read.insert(namespace.to_owned(), part.clone());
        part
    }
}

/// The requests that showed something.
fn seen<T>(obs: &Obs<T>) -> impl Iterator<Item = RequestId> {
    obs.from.iter().copied().filter(|_| obs.peek().is_some())
}
