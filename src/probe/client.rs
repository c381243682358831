//! The client of `probe`: it can make, list and remove the pods and namespaces of probes, and nothing else.

use serde_json::{Value, json};

use super::guard::{self, SELECTOR};
use crate::source::live::{Client, ConnectError, ConnectOptions, guarded_client};
use crate::source::redact;

/// The way to the API server.
#[derive(Debug)]
pub struct Writer(Client);

/// What did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The API server said no, with this status and these words.
    Refused(u16, String),
    /// There was no answer: nobody knows whether it was done.
    Lost(String),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Refused(status, words) => write!(out, "status {status}: {words}"),
            Self::Lost(words) => out.write_str(words),
        }
    }
}

impl Trouble {
    /// Whether a pod was refused because its namespace has no ServiceAccount yet (`plugin/pkg/admission/serviceaccount`).
    #[must_use]
    pub fn lacks_account(&self) -> bool {
        matches!(self, Self::Refused(403, words) if words.contains("error looking up service account"))
    }
}

/// Where the pods of probes are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope<'a> {
    /// Everywhere.
    Cluster,
    /// In a namespace.
    Namespace(&'a str),
}

impl Writer {
    /// Connects as the user of the kubeconfig.
    ///
    /// # Errors
    /// When the configuration does not lead to a cluster.
    pub async fn connect(options: &ConnectOptions) -> Result<Self, ConnectError> {
        guarded_client(options, guard::check).await.map(Self)
    }

    /// Makes a pod, and gives its UID.
    ///
    /// # Errors
    /// When it was refused, or when it is not known whether it was made.
    pub async fn create(&self, namespace: &str, pod: &Value) -> Result<String, Trouble> {
        let path = format!("/api/v1/namespaces/{namespace}/pods");
        let made = self.call("POST", &path, Some(pod)).await?;
        Ok(made["metadata"]["uid"].as_str().unwrap_or_default().to_owned())
    }

    /// The pods of probes, of one run where it is named.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn list(&self, scope: Scope<'_>, run: Option<&str>) -> Result<Vec<Value>, Trouble> {
        let path = match scope {
            Scope::Cluster => "/api/v1/pods".to_owned(),
            Scope::Namespace(namespace) => format!("/api/v1/namespaces/{namespace}/pods"),
        };
        self.marked(&path, run).await
    }

    async fn marked(&self, path: &str, run: Option<&str>) -> Result<Vec<Value>, Trouble> {
        let run = run.map(|run| format!("%3D{run}")).unwrap_or_default();
        let list = self.call("GET", &format!("{path}?{SELECTOR}{run}"), None).await?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Makes a namespace.
    ///
    /// # Errors
    /// When it was refused, or when it is not known whether it was made.
    pub async fn create_namespace(&self, namespace: &Value) -> Result<(), Trouble> {
        self.call("POST", "/api/v1/namespaces", Some(namespace)).await.map(drop)
    }

    /// The namespaces of probes, of one run where it is named.
    ///
    /// # Errors
    /// When they cannot be listed.
    pub async fn namespaces(&self, run: Option<&str>) -> Result<Vec<Value>, Trouble> {
        self.marked("/api/v1/namespaces", run).await
    }

    /// Asks for a namespace to go, which takes seconds. One that is not there is gone.
    ///
    /// # Errors
    /// When it was refused, or when it is not known whether it was done.
    pub async fn remove_namespace(&self, name: &str) -> Result<(), Trouble> {
        self.delete(&format!("/api/v1/namespaces/{name}")).await
    }

    /// Lets an empty namespace go that waits for an API which does not answer. See `cleanup`.
    ///
    /// # Errors
    /// When it was refused, or when it is not known whether it was done.
    pub async fn finalize_namespace(&self, name: &str, version: &str) -> Result<(), Trouble> {
        let namespace = json!({
            "apiVersion": "v1",
            "kind": "Namespace",
            // Somebody may have changed it meanwhile.
            "metadata": {"name": name, "resourceVersion": version},
            "spec": {"finalizers": []},
        });
        let path = format!("/api/v1/namespaces/{name}/finalize");
        match self.call("PUT", &path, Some(&namespace)).await {
            Ok(_) | Err(Trouble::Refused(404, _)) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    /// Removes a pod at once. One that is not there is removed.
    ///
    /// # Errors
    /// When it was refused, or when it is not known whether it is gone.
    pub async fn remove(&self, namespace: &str, name: &str) -> Result<(), Trouble> {
        self.delete(&format!("/api/v1/namespaces/{namespace}/pods/{name}")).await
    }

    async fn delete(&self, path: &str) -> Result<(), Trouble> {
        let options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "gracePeriodSeconds": 0,
            "propagationPolicy": "Background",
        });
        match self.call("DELETE", path, Some(&options)).await {
            Ok(_) | Err(Trouble::Refused(404, _)) => Ok(()),
            Err(trouble) => Err(trouble),
        }
    }

    async fn call(&self, method: &str, target: &str, body: Option<&Value>) -> Result<Value, Trouble> {
        let body = body.map(Value::to_string);
        let answer = self.0.send(method, target, body.as_deref()).await;
        let answer = answer.map_err(|failure| Trouble::Lost(redact::message(&failure.message).0))?;
        let value: Value = serde_json::from_slice(&answer.bytes).unwrap_or_default();
        if (200..300).contains(&answer.status) {
            return Ok(value);
        }
        let words = value["message"].as_str().unwrap_or("without a reason");
        Err(Trouble::Refused(answer.status, redact::message(words).0))
    }
}
