//! Hops 1 to 4: from the APIService to its Service, its pods, their workload, logs and rights.

use checks::evidence::{
    AccessReviews, ApiService, Backend, Endpoint, EndpointPort, LogSignal, Mode, Need, Obs, Pod, RequestId,
    Service, ServicePort, ServiceRef, Termination, Why, Workload,
};
use checks::plan::Selector;
use serde_json::{Value, json};

use super::ask::{Asker, why};
use super::{json, signals};
use crate::source::{Request, segment};

/// The arguments in the manifest of the newest release, which an installation will have
/// (metrics-server v0.9.0, `components.yaml`).
const RELEASE_ARGS: &[&str] = &[
    "--cert-dir=/tmp",
    "--secure-port=10250",
    "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname",
    "--kubelet-use-node-status-port",
    "--metric-resolution=15s",
];

/// The most pods whose logs are read.
const MAX_LOGS: usize = 3;

/// The APIService of the Metrics API.
pub(super) async fn registration(asker: &Asker<'_>) -> Obs<Option<ApiService>> {
    let path = "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io";
    let asked = asker.ask(Request::get(path)).await;
    asked.find(Need::ApiService, "get", "apiservices.apiregistration.k8s.io", |body| {
        let spec = &body["spec"];
        let service = spec["service"].as_object().map(|_| ServiceRef {
            namespace: json::name(&spec["service"]["namespace"]).unwrap_or_default(),
            name: json::name(&spec["service"]["name"]).unwrap_or_default(),
            port: spec["service"]["port"].as_i64().unwrap_or(443),
        });
        Some(ApiService {
            created: json::time(&body["metadata"]["creationTimestamp"])?,
            service,
            insecure_skip_tls_verify: spec["insecureSkipTLSVerify"].as_bool().unwrap_or_default(),
            has_ca_bundle: spec["caBundle"].as_str().is_some_and(|bundle| !bundle.is_empty()),
            available: json::conditions(&body["status"]["conditions"])
                .into_iter()
                .find(|condition| condition.kind == "Available"),
        })
    })
}

/// Follows the APIService to what stands behind it.
pub(super) async fn collect(
    asker: &Asker<'_>,
    mode: Mode,
    registration: &Obs<Option<ApiService>>,
) -> Backend {
    if mode == Mode::BeforeInstall {
        let mut backend =
            nothing(&Why::NotAsked("metrics-server is not expected to be installed".to_owned()));
        let args = RELEASE_ARGS.iter().map(|arg| (*arg).to_owned()).collect();
        backend.args = Obs::seen(Need::Pods, [], args);
        backend.root_ca = root_ca(asker, "kube-system").await;
        return backend;
    }
    let target = match registration.peek() {
        None => {
            return nothing(&Why::NotAsked(
                "the APIService was not seen, which leads to metrics-server".to_owned(),
            ));
        }
        Some(None) => {
            return nothing(&Why::NotAsked("there is no APIService that leads to metrics-server".to_owned()));
        }
        Some(Some(ApiService { service: None, .. })) => {
            return nothing(&Why::NotAsked("kube-apiserver serves the Metrics API itself".to_owned()));
        }
        Some(Some(ApiService { service: Some(target), .. })) => target,
    };
    let (Ok(namespace), Ok(name)) = (segment(&target.namespace), segment(&target.name)) else {
        return nothing(&Why::Unreadable("the APIService names no Service that can be".to_owned()));
    };
    behind(asker, &namespace, &name).await
}

async fn behind(asker: &Asker<'_>, namespace: &str, name: &str) -> Backend {
    let asked = asker.ask(Request::get(format!("/api/v1/namespaces/{namespace}/services/{name}"))).await;
    let service = asked.find(Need::Service, "get", &format!("services in {namespace}"), read_service);
    let slices = asker
        .list(
            &format!(
                "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3D{name}"
            ),
            &format!("endpointslices.discovery.k8s.io in {namespace}"),
        )
        .await
        .each(Need::EndpointSlices, |slice| Some(read_slice(slice)))
        .map(Need::EndpointSlices, |slices| slices.into_iter().flatten().collect());
    let (pods, workload) = pods_and_workload(asker, namespace, &service).await;
    let pods = pods.map(Need::Pods, |mut pods| {
        let ended = |pod: &Value| matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
        pods.retain(|pod| !ended(pod) && pod["metadata"]["deletionTimestamp"].is_null());
        pods
    });
    let args = container_args(&pods);
    let pods = pods.map(Need::Pods, |pods| pods.iter().filter_map(read_pod).collect::<Vec<_>>());
    let candidates = candidates(asker, namespace, &service, &workload).await;
    let pods_in = pods.peek().and_then(|pods| pods.first()).map_or(namespace, |pod| pod.namespace.as_str());
    let logs = logs(asker, &pods).await;
    let reviews = reviews(asker, &pods).await;
    let root_ca = root_ca(asker, pods_in).await;
    Backend { service, endpoints: slices, pods, workload, logs, root_ca, reviews, candidates, args }
}

/// A backend of which nothing was seen.
fn nothing(why: &Why) -> Backend {
    fn unseen<T>(need: Need, why: &Why) -> Obs<T> {
        Obs::unseen(need, [], why.clone())
    }
    Backend {
        service: unseen(Need::Service, why),
        endpoints: unseen(Need::EndpointSlices, why),
        pods: unseen(Need::Pods, why),
        workload: unseen(Need::Workload, why),
        logs: unseen(Need::Logs, why),
        root_ca: unseen(Need::RootCa, why),
        reviews: no_reviews(why),
        candidates: unseen(Need::Service, why),
        args: unseen(Need::Pods, why),
    }
}

fn read_service(body: &Value) -> Option<Service> {
    let spec = &body["spec"];
    Some(Service {
        namespace: json::name(&body["metadata"]["namespace"])?,
        name: json::name(&body["metadata"]["name"])?,
        kind: spec["type"].as_str().unwrap_or("ClusterIP").to_owned(),
        cluster_ip: json::text(&spec["clusterIP"]),
        selector: json::labels(&spec["selector"]),
        ports: json::items(&spec["ports"])
            .map(|port| ServicePort {
                name: json::text(&port["name"]),
                port: json::number(&port["port"]),
                target: match &port["targetPort"] {
                    Value::Number(number) => number.to_string(),
                    other => json::name(other).unwrap_or_default(),
                },
            })
            .collect(),
    })
}

fn read_slice(slice: &Value) -> Vec<Endpoint> {
    let ports: Vec<EndpointPort> = json::items(&slice["ports"])
        .map(|port| EndpointPort { name: json::text(&port["name"]), port: json::number(&port["port"]) })
        .collect();
    json::items(&slice["endpoints"])
        .map(|endpoint| Endpoint {
            address: json::text(&endpoint["addresses"][0]),
            ready: endpoint["conditions"]["ready"].as_bool().unwrap_or(true),
            pod: endpoint["targetRef"]["name"].as_str().map(str::to_owned),
            ports: ports.clone(),
        })
        .collect()
}

/// The pods that the Service selects and the workload that owns them. Where it selects none, the only
/// workload of its namespace that runs a metrics-server image, and that workload's own pods.
async fn pods_and_workload(
    asker: &Asker<'_>,
    namespace: &str,
    service: &Obs<Option<Service>>,
) -> (Obs<Vec<Value>>, Obs<Option<Workload>>) {
    let selector = service.peek().and_then(Option::as_ref).map(|service| &service.selector);
    let selected = match selector {
        Some(selector) if !selector.is_empty() => {
            let path =
                format!("/api/v1/namespaces/{namespace}/pods?labelSelector={}", json::selector(selector));
            asker.list(&path, &format!("pods in {namespace}")).await.each(Need::Pods, |pod| Some(pod.clone()))
        }
        _ => {
            Obs::unseen(Need::Pods, [], Why::NotAsked("no Service with a selector leads to pods".to_owned()))
        }
    };
    let owner = selected.peek().and_then(|pods| pods.iter().find_map(|pod| owner(pod, "ReplicaSet")));
    if let Some(set) = owner {
        let workload = owning_deployment(asker, namespace, &set).await;
        return (selected, workload);
    }
    let listed = asker
        .list(
            &format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
            &format!("deployments.apps in {namespace}"),
        )
        .await
        .each(Need::Workload, |item| read_workload(item, "image").filter(|_| runs_metrics_server(item)));
    let workload = listed.map(Need::Workload, |mut found| if found.len() == 1 { found.pop() } else { None });
    let Some(Some(found)) = workload.peek() else { return (selected, workload) };
    // Without a selector it would be all pods of the namespace.
    if found.selector.is_empty() {
        let why = Why::Unreadable(format!("the selector of {} {}", found.kind, found.name));
        return (Obs::unseen(Need::Pods, workload.from.clone(), why), workload);
    }
    let selector = crate::source::guard::query_value(&found.selector);
    let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}");
    let own =
        asker.list(&path, &format!("pods in {namespace}")).await.each(Need::Pods, |pod| Some(pod.clone()));
    (own, workload)
}

fn owner(object: &Value, kind: &str) -> Option<String> {
    let owners = json::items(&object["metadata"]["ownerReferences"]);
    owners.filter(|owner| owner["kind"] == kind).find_map(|owner| owner["name"].as_str().map(str::to_owned))
}

async fn owning_deployment(asker: &Asker<'_>, namespace: &str, set: &str) -> Obs<Option<Workload>> {
    let unreadable =
        || Obs::unseen(Need::Workload, [], Why::Unreadable("an owner reference without a name".to_owned()));
    let Ok(set) = segment(set) else { return unreadable() };
    let root = format!("/apis/apps/v1/namespaces/{namespace}");
    let asked = asker.ask(Request::get(format!("{root}/replicasets/{set}"))).await;
    let Some(body) = asked.observation.json() else {
        let resource = format!("replicasets.apps in {namespace}");
        return Obs::unseen(Need::Workload, [asked.id], why(&asked.observation, "get", &resource));
    };
    let Some(name) = owner(body, "Deployment") else {
        return Obs::seen(Need::Workload, [asked.id], read_workload(body, "owner"));
    };
    let Ok(name) = segment(&name) else { return unreadable() };
    let asked = asker.ask(Request::get(format!("{root}/deployments/{name}"))).await;
    asked.find(Need::Workload, "get", &format!("deployments.apps in {namespace}"), |body| {
        read_workload(body, "owner")
    })
}

fn runs_metrics_server(workload: &Value) -> bool {
    json::items(&workload["spec"]["template"]["spec"]["containers"]).any(is_metrics_server)
}

fn is_metrics_server(container: &Value) -> bool {
    container["image"].as_str().is_some_and(|image| image.contains("metrics-server"))
}

/// The container of a pod that is metrics-server: by its image, or the first.
fn container(spec: &Value) -> &Value {
    &spec["containers"][container_index(spec)]
}

fn container_index(spec: &Value) -> usize {
    json::items(&spec["containers"]).position(is_metrics_server).unwrap_or_default()
}

/// A selector as a query writes it; nothing where it has what no selector of Kubernetes has, for it comes to stand in a
/// printed command.
fn selector(selector: &Value) -> String {
    let text = Selector::read(selector).unwrap_or_default().to_string();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._/=,()! ".contains(&byte);
    if text.bytes().all(plain) { text } else { String::new() }
}

fn read_workload(body: &Value, found_by: &str) -> Option<Workload> {
    let template = &body["spec"]["template"];
    // The same condition tells of pods that could not be deleted (`FailedDelete`), which keeps none from being there.
    let failure = json::conditions(&body["status"]["conditions"]).into_iter().find(|condition| {
        condition.kind == "ReplicaFailure" && condition.is_true() && condition.reason != "FailedDelete"
    });
    Some(Workload {
        kind: json::name(&body["kind"]).unwrap_or_else(|| "Deployment".to_owned()),
        namespace: json::name(&body["metadata"]["namespace"])?,
        name: json::name(&body["metadata"]["name"])?,
        labels: json::labels(&template["metadata"]["labels"]),
        match_labels: json::labels(&body["spec"]["selector"]["matchLabels"]),
        selector: selector(&body["spec"]["selector"]),
        replicas: body["spec"]["replicas"].as_i64().unwrap_or(1),
        ports: json::ports(container(&template["spec"])),
        container: i64::try_from(container_index(&template["spec"])).unwrap_or_default(),
        args: json::texts(&container(&template["spec"])["args"]),
        found_by: found_by.to_owned(),
        container_name: json::text(&container(&template["spec"])["name"]),
        node_selector: json::labels(&template["spec"]["nodeSelector"]),
        replica_failure: failure.map(|condition| condition.message),
    })
}

/// The arguments of the pod that was made last.
fn container_args(pods: &Obs<Vec<Value>>) -> Obs<Vec<String>> {
    let Some(list) = pods.peek() else { return pods.clone().map(Need::Pods, |_| Vec::new()) };
    // The pod that runs tells what is done now; one that is still to start only what will be.
    let runs = |pod: &Value| pod["status"]["phase"] == "Running";
    let newest = list.iter().max_by_key(|pod| (runs(pod), json::text(&pod["metadata"]["creationTimestamp"])));
    match newest {
        Some(pod) => {
            let container = container(&pod["spec"]);
            let mut args = json::texts(&container["command"]);
            args.extend(json::texts(&container["args"]));
            // The program itself; a flag's value may stand in a word of its own.
            let flags = args.iter().position(|arg| arg.starts_with("--")).unwrap_or(args.len());
            args.drain(..flags);
            if !is_metrics_server(container) && !args.iter().any(|arg| arg.starts_with("--kubelet-")) {
                // prometheus-adapter and others serve the same API and never dial a kubelet.
                let image = json::text(&container["image"]);
                let why =
                    Why::Unsupported(format!("the Metrics API is served by {image}, not by metrics-server"));
                return Obs::unseen(Need::Pods, pods.from.clone(), why);
            }
            Obs::seen(Need::Pods, pods.from.clone(), args)
        }
        None => Obs::unseen(
            Need::Pods,
            pods.from.clone(),
            Why::NotAsked("no pod of metrics-server is there".to_owned()),
        ),
    }
}

fn read_pod(pod: &Value) -> Option<Pod> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let container = container(spec);
    let state = json::items(&status["containerStatuses"]).find(|state| state["name"] == container["name"]);
    let state = state.unwrap_or(&Value::Null);
    let conditions = json::conditions(&status["conditions"]);
    let condition = |kind: &str| conditions.iter().find(|condition| condition.kind == kind);
    let ended = [&state["state"]["terminated"], &state["lastState"]["terminated"]];
    let ended = ended.into_iter().find(|ended| ended.is_object());
    Some(Pod {
        namespace: json::name(&pod["metadata"]["namespace"])?,
        name: json::name(&pod["metadata"]["name"])?,
        node: json::name(&spec["nodeName"]),
        phase: json::text(&status["phase"]),
        ready: condition("Ready").is_some_and(checks::evidence::Condition::is_true),
        created: json::time(&pod["metadata"]["creationTimestamp"])?,
        started: json::time(&state["state"]["running"]["startedAt"]),
        container: json::name(&container["name"]).unwrap_or_default(),
        restarts: json::number(&state["restartCount"]),
        waiting: state["state"]["waiting"]["reason"].as_str().map(str::to_owned),
        waiting_message: state["state"]["waiting"]["message"].as_str().map(str::to_owned),
        last_end: ended.map(|ended| Termination {
            reason: json::text(&ended["reason"]),
            exit_code: json::number(&ended["exitCode"]),
            at: json::time(&ended["finishedAt"]),
        }),
        service_account: json::name(&spec["serviceAccountName"]).unwrap_or_else(|| "default".to_owned()),
        labels: json::labels(&pod["metadata"]["labels"]),
        image: json::text(&container["image"]),
        ports: json::ports(container),
        host_network: spec["hostNetwork"].as_bool().unwrap_or_default(),
        unschedulable: condition("PodScheduled")
            .filter(|condition| condition.status == "False")
            .map(|condition| condition.message.clone()),
    })
}

/// Where the Service is missing: the Services that select the workload's pods.
async fn candidates(
    asker: &Asker<'_>,
    namespace: &str,
    service: &Obs<Option<Service>>,
    workload: &Obs<Option<Workload>>,
) -> Obs<Vec<ServiceRef>> {
    if !matches!(service.peek(), Some(None)) {
        return Obs::unseen(Need::Service, [], Why::NotAsked("the Service is there".to_owned()));
    }
    let Some(Some(workload)) = workload.peek() else {
        return Obs::unseen(
            Need::Service,
            [],
            Why::NotAsked("no workload runs metrics-server there".to_owned()),
        );
    };
    let listed = asker
        .list(&format!("/api/v1/namespaces/{namespace}/services"), &format!("services in {namespace}"))
        .await;
    listed.each(Need::Service, |item| {
        let service = read_service(item)?;
        let selects = !service.selector.is_empty()
            && service.selector.iter().all(|(key, value)| workload.labels.get(key) == Some(value));
        let port = service.ports.iter().map(|port| port.port).find(|port| *port == 443);
        let port = port.or(service.ports.first().map(|port| port.port))?;
        selects.then_some(ServiceRef { namespace: service.namespace, name: service.name, port })
    })
}

/// What the logs say, of the container that runs and of the one before.
async fn logs(asker: &Asker<'_>, pods: &Obs<Vec<Pod>>) -> Obs<Vec<LogSignal>> {
    let Some(list) = pods.peek() else { return pods.clone().map(Need::Logs, |_| Vec::new()) };
    let mut found: Vec<LogSignal> = Vec::new();
    let mut from: Vec<RequestId> = Vec::new();
    let mut failed: Option<Why> = None;
    let mut pods: Vec<&Pod> = list.iter().collect();
    pods.sort_by_key(|pod| pod.ready);
    for pod in pods.into_iter().take(MAX_LOGS) {
        let (Ok(namespace), Ok(name)) = (segment(&pod.namespace), segment(&pod.name)) else { continue };
        let root = format!("/api/v1/namespaces/{namespace}/pods/{name}/log?tailLines=500&timestamps=true");
        let previous = (pod.restarts > 0 && !pod.ready).then(|| format!("{root}&previous=true"));
        for (path, previous) in [(Some(root), false), (previous, true)] {
            let Some(path) = path else { continue };
            let asked = asker.ask(Request::get(path)).await;
            from.push(asked.id);
            match signals(&asked, &pod.name, previous) {
                Some(signals) => {
                    found.extend(signals);
                }
                // The container has not started yet, or has no predecessor: it has said nothing.
                None if asked.status() == Some(400) => {}
                None => failed = Some(why(&asked.observation, "get", &format!("pods/log in {namespace}"))),
            }
        }
    }
    found.sort_by_key(|signal| signal.at);
    match failed {
        Some(why) => Obs::unseen(Need::Logs, from, why),
        None => Obs::seen(Need::Logs, from, found),
    }
}

async fn root_ca(asker: &Asker<'_>, namespace: &str) -> Obs<Vec<String>> {
    let Ok(namespace) = segment(namespace) else {
        return Obs::unseen(Need::RootCa, [], Why::Unreadable("a namespace without a name".to_owned()));
    };
    let asked =
        asker.ask(Request::get(format!("/api/v1/namespaces/{namespace}/configmaps/kube-root-ca.crt"))).await;
    asked.read(Need::RootCa, "get", &format!("configmaps/kube-root-ca.crt in {namespace}"), |body| {
        body["data"]["ca.crt"].as_str().map(json::pem_certificates)
    })
}

fn no_reviews(why: &Why) -> AccessReviews {
    let unseen = || Obs::unseen(Need::AccessReviews, [], why.clone());
    AccessReviews {
        account: None,
        get_node_metrics: unseen(),
        list_nodes: unseen(),
        list_pods: unseen(),
        get_auth_config: unseen(),
        create_access_reviews: unseen(),
    }
}

/// Asks the API server's authorizer what metrics-server's ServiceAccount may do.
async fn reviews(asker: &Asker<'_>, pods: &Obs<Vec<Pod>>) -> AccessReviews {
    let Some(pod) = pods.peek().and_then(|pods| pods.first()) else {
        return no_reviews(&Why::NotAsked("no pod shows metrics-server's ServiceAccount".to_owned()));
    };
    let account = format!("system:serviceaccount:{}:{}", pod.namespace, pod.service_account);
    let groups = [
        "system:serviceaccounts".to_owned(),
        format!("system:serviceaccounts:{}", pod.namespace),
        "system:authenticated".to_owned(),
    ];
    let review = |attributes: Value| {
        let body = json!({
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": account, "groups": groups, "resourceAttributes": attributes},
        });
        Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews", body)
    };
    let asked = asker
        .all(vec![
            review(json!({"verb": "get", "resource": "nodes", "subresource": "metrics"})),
            review(json!({"verb": "list", "resource": "nodes"})),
            review(json!({"verb": "list", "resource": "pods"})),
            review(json!({
                "verb": "get", "resource": "configmaps", "namespace": "kube-system",
                "name": "extension-apiserver-authentication",
            })),
            review(json!({"verb": "create", "group": "authorization.k8s.io", "resource": "subjectaccessreviews"})),
        ])
        .await;
    let mut answers = asked.iter().map(|asked| {
        asked.read(Need::AccessReviews, "create", "subjectaccessreviews.authorization.k8s.io", |body| {
            body["status"]["allowed"].as_bool()
        })
    });
    let mut next =
        || answers.next().unwrap_or_else(|| Obs::unseen(Need::AccessReviews, [], Why::NotRecorded));
    AccessReviews {
        account: Some(account.clone()),
        get_node_metrics: next(),
        list_nodes: next(),
        list_pods: next(),
        get_auth_config: next(),
        create_access_reviews: next(),
    }
}

#[cfg(test)]
#[path = "backend_tests.rs"]
mod tests;
