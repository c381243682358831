//! The program inside the pod: dials what it is told to, with the pod's own identity, and says what came of it.
//!
//! It reads the token and the CA that the kubelet has mounted. The token goes to the API server and to kubelets whose
//! certificates that CA verifies, as metrics-server's does; to nobody else, and into no message.

mod dial;
mod dns;
mod trust;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use checks::evidence::{Look, ProbeDial, Reach, Why};
use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout_at};

use super::message::Message;
use super::task::{KubeletTask, Task};
use dial::{Get, Target};
use trust::Identity;

/// Where the kubelet mounts the identity of a pod.
const MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// How many kubelets are dialled at a time.
const CONCURRENCY: usize = 128;
/// The name by which every pod may verify the API server (`kubernetes.default.svc` is in its certificate since 1.5).
const API_NAME: &str = "kubernetes.default.svc";

/// Looks, and gives the text for the termination message.
pub async fn look(task: &Task) -> String {
    let identity = Arc::new(Identity::read(Path::new(MOUNT)));
    let deadline = Instant::now() + Duration::from_secs(task.seconds);
    let permits = Semaphore::new(CONCURRENCY);
    let kubelets = join_all(task.kubelets.iter().map(|kubelet| async {
        // The semaphore is never closed.
        let _permit = permits.acquire().await;
        within(deadline, kubelet_reach(kubelet, task, &identity)).await
    }));
    let direct = join_all(task.api.iter().map(|address| async {
        let reach = api_reach(address, &identity);
        ProbeDial { address: address.clone(), reach: within_reach(deadline, reach).await }
    }));
    let (api, direct, service, dns, kubelets) = tokio::join!(
        within(deadline, api(&identity)),
        direct,
        service(task, deadline),
        dns::ask(Path::new("/etc/resolv.conf")),
        kubelets
    );
    let message = Message {
        api,
        direct: match direct {
            direct if direct.is_empty() => not_asked("no address of an API server is known"),
            direct => Look::Seen(direct),
        },
        service: Look::Seen(service),
        dns,
        kubelets: Message::group(kubelets),
        omitted: 0,
    };
    message.write()
}

fn not_asked<T>(why: &str) -> Look<T> {
    Look::Unseen(Why::NotAsked(why.to_owned()))
}

async fn within(deadline: Instant, look: impl Future<Output = Look<Reach>>) -> Look<Reach> {
    timeout_at(deadline, look)
        .await
        .unwrap_or_else(|_| not_asked("the probe's own time was up before it came to this"))
}

async fn within_reach(deadline: Instant, reach: impl Future<Output = Reach>) -> Reach {
    timeout_at(deadline, reach).await.unwrap_or(Reach::TimedOut)
}

async fn service(task: &Task, deadline: Instant) -> Option<ProbeDial> {
    let address = task.service.clone()?;
    let reach = within_reach(deadline, async {
        match Target::parse(&address) {
            Some(target) => target.knock().await,
            None => Reach::Failed("not an address".to_owned()),
        }
    });
    Some(ProbeDial { reach: reach.await, address })
}

/// The API server as client-go finds it in a pod: by the variables that the kubelet sets.
async fn api(identity: &Identity) -> Look<Reach> {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(host), Some(port)) = (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"))
    else {
        return Look::Unseen(Why::Lacking("KUBERNETES_SERVICE_HOST is not set in the pod".to_owned()));
    };
    let address = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    Look::Seen(api_reach(&address, identity).await)
}

async fn api_reach(address: &str, identity: &Identity) -> Reach {
    let Some(target) = Target::parse(address) else { return Reach::Failed("not an address".to_owned()) };
    match identity.verifier() {
        Ok(config) => {
            let token = identity.token.as_ref();
            target.get(&Get { path: "/version", name: Some(API_NAME), config, token }).await
        }
        Err(_) => target.knock().await,
    }
}

async fn kubelet_reach(kubelet: &KubeletTask, task: &Task, identity: &Identity) -> Look<Reach> {
    let target = Target { host: kubelet.address.clone(), port: kubelet.port };
    let Ok(config) = identity.verifier() else {
        // Without a CA nobody can be verified; whether somebody is there shows all the same.
        return Look::Seen(target.knock().await);
    };
    if !task.token || identity.token.is_none() {
        return Look::Seen(target.shake(&config).await);
    }
    let token = identity.token.as_ref();
    Look::Seen(target.get(&Get { path: &kubelet.path, name: None, config, token }).await)
}
