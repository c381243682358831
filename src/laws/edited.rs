//! Recordings with a value or two exchanged: combinations that hold a trap, and that no scenario makes.

use checks::evidence::{
    AnonymousAccess, Answer, ApiServer, Csr, CsrState, Evidence, HostProxy, KubeletProbe, Look, Need, Obs,
    PodProbe, ProbeDial, Reach, ScrapeFailure, Signature, SwapAtBoot, SwapSource,
};

/// What is made of one recording: the name of it, the words for the change, and the change.
type Edit = (&'static str, &'static str, fn(&mut Evidence));

const EDITS: &[Edit] = &[
    ("healthy-signed.nodes", "with an anonymous caller who may do everything by no binding", |evidence| {
        set(&mut evidence.front_proxy.anonymous_access, AnonymousAccess::Everything);
    }),
    ("healthy-signed.nodes", "with a Metrics API that answers discovery and nothing else", |evidence| {
        if let Look::Seen(answer) = &mut evidence.metrics.nodes_answer.look {
            (answer.status, answer.message) = (500, "internal error".to_owned());
        }
    }),
    ("healthy-signed.nodes", "with kubelets that a binding opens to anonymous callers", |evidence| {
        let Look::Seen(nodes) = &mut evidence.nodes.look else { return };
        for node in nodes {
            set(&mut node.anonymous, 200);
            if let Look::Seen(config) = &mut node.configz.look {
                config.anonymous = true;
            }
        }
    }),
    ("healthy-signed.nodes", "with renewals that wait or were denied", |evidence| {
        let created = evidence.taken_at;
        let Look::Seen(nodes) = &mut evidence.nodes.look else { return };
        for (node, state) in nodes.iter_mut().zip([CsrState::Pending, CsrState::Denied]) {
            let csr = Csr {
                name: "csr-renewal".to_owned(),
                created,
                state,
                detail: String::new(),
                certificate: None,
            };
            if let Look::Seen(csrs) = &mut node.csrs.look {
                csrs.insert(0, csr);
            }
        }
    }),
    ("network-policy-ingress.nodes", "with a second kube-apiserver that gets through", |evidence| {
        let Look::Seen(servers) = &mut evidence.api_servers.look else { return };
        let from = evidence.api_servers.from.clone();
        let answer = |status: i64| {
            let words = "error trying to reach service: context deadline exceeded";
            let message = if status == 200 { String::new() } else { words.to_owned() };
            Obs::seen(Need::ApiServers, from.clone(), Answer { status, message })
        };
        servers[0].discovery = answer(503);
        let mut second = ApiServer::unasked("172.30.0.99".to_owned(), 6443);
        second.discovery = answer(200);
        servers.push(second);
    }),
    ("self-signed-all.nodes", "with kubelets that are dialled by name", |evidence| {
        dial_by_name(evidence, &ScrapeFailure::UnknownAuthority);
    }),
    ("healthy-signed.nodes", "with a probe that reaches everything", |evidence| {
        probe(evidence, http(200, ""), |_| http(200, ""));
    }),
    (
        "self-signed-all.nodes",
        "with names that no name server resolves, and a probe that says so",
        |evidence| {
            probe(evidence, http(200, ""), |_| Reach::NameNotResolved);
            let request = evidence.requests.len() - 1;
            let dial = ProbeDial { address: "10.96.0.10:53".to_owned(), reach: Reach::TimedOut };
            evidence.probes[0].dns = Obs::seen(Need::PodProbe, [request], Some(dial));
            dial_by_name(evidence, &ScrapeFailure::NameNotResolved);
        },
    ),
    ("forward-drop.nodes", "with a probe that reaches its own node alone", |evidence| {
        probe(evidence, Reach::TimedOut, |is_own| if is_own { http(200, "") } else { Reach::TimedOut });
    }),
    ("no-nodes-metrics.nodes", "with a probe that reads the refusal", |evidence| {
        let user = evidence.backend.reviews.account.clone().unwrap_or_default();
        probe(evidence, http(200, ""), |_| {
            http(403, &format!("Forbidden (user={user}, verb=get, resource=nodes, subresource(s)=[metrics])"))
        });
    }),
    ("not-installed-ready.before", "with a probe that reaches everything", |evidence| {
        let user = "system:serviceaccount:kube-system:default";
        probe(evidence, http(200, ""), |_| {
            http(403, &format!("Forbidden (user={user}, verb=get, resource=nodes, subresource(s)=[metrics])"))
        });
    }),
    ("node-healthy", "with swap and no kubelet", |evidence| {
        let host = &mut evidence.hosts[0];
        set(&mut host.kubelet, None);
        set(&mut host.swap_bytes, 2 << 30);
        if let Look::Seen(Some(file)) = &mut host.kubelet_file.look {
            file.fail_swap_on = true;
        }
    }),
    ("node-healthy", "with swap that a boot brings back", |evidence| {
        let host = &mut evidence.hosts[0];
        let source = SwapSource {
            kind: "fstab".to_owned(),
            name: "/swapfile".to_owned(),
            file: "/etc/fstab".to_owned(),
            doubt: String::new(),
        };
        set(&mut host.swap_at_boot, SwapAtBoot { sources: vec![source], turned_off_by: None });
        if let Look::Seen(Some(file)) = &mut host.kubelet_file.look {
            file.fail_swap_on = true;
        }
    }),
    ("node-healthy", "with metrics-server at the kubelet's port", |evidence| {
        let Look::Seen(listeners) = &mut evidence.hosts[0].listeners.look else { return };
        for listener in listeners.iter_mut().filter(|listener| listener.port == 10250) {
            listener.process = Some("metrics-server".to_owned());
        }
    }),
    ("node-healthy", "with a clock that is wrong by minutes", |evidence| {
        if let Look::Seen(clock) = &mut evidence.hosts[0].clock.look {
            clock.offset_ms = Some(-400_000);
        }
    }),
    ("node-healthy", "with a clock that is off by seconds", |evidence| {
        if let Look::Seen(clock) = &mut evidence.hosts[0].clock.look {
            clock.offset_ms = Some(9_000);
        }
    }),
    ("control-plane-healthy", "with a manifest that does not run", |evidence| {
        let Look::Seen(Some(component)) = &mut evidence.hosts[0].api_server.look else { return };
        if let Some(declared) = &mut component.declared {
            declared.insert("proxy-client-cert-file".to_owned(), "/etc/kubernetes/pki/other.crt".to_owned());
        }
    }),
    ("control-plane-healthy", "with a proxy for all", |evidence| {
        let Look::Seen(proxies) = &mut evidence.hosts[0].proxies.look else { return };
        proxies.push(HostProxy {
            of: "kube-apiserver".to_owned(),
            name: "HTTPS_PROXY".to_owned(),
            value: "http://proxy.example:3128".to_owned(),
        });
    }),
    ("control-plane-healthy", "with another CA for the front proxy", |evidence| {
        let Look::Seen(files) = &mut evidence.hosts[0].front_proxy.look else { return };
        if let (Some(client), Some(ca)) = (&files.client, &mut files.ca) {
            ca.chain.clone_from(&client.chain);
        }
    }),
];

/// Has metrics-server dial every kubelet by its name, and fail so.
fn dial_by_name(evidence: &mut Evidence, failure: &ScrapeFailure) {
    let Look::Seen(nodes) = &mut evidence.nodes.look else { return };
    for node in nodes {
        let name = node.name.clone();
        if let Look::Seen(Some((address, _))) = &mut node.dial.look {
            address.clone_from(&name);
        }
        if let Look::Seen(Some(signal)) = &mut node.scrape_log.look {
            let failure = failure.clone();
            signal.signature = Signature::ScrapeFailed { node: name.clone(), address: name, failure };
        }
    }
}

fn http(status: i64, message: &str) -> Reach {
    Reach::Http { status, message: message.to_owned() }
}

/// Adds what a pod on metrics-server's node, or on the first one, saw of the API server and of each kubelet.
fn probe(evidence: &mut Evidence, api: Reach, kubelet: impl Fn(bool) -> Reach) {
    fn obs<T>(request: usize, value: T) -> Obs<T> {
        Obs::seen(Need::PodProbe, [request], value)
    }
    let request = evidence.requests.len() - 1;
    let nodes = evidence.nodes.peek().cloned().unwrap_or_default();
    let own = evidence.backend.pods.peek().and_then(|pods| pods.first()?.node.clone());
    let own = own.unwrap_or_else(|| nodes[0].name.clone());
    let kubelets = nodes.iter().map(|node| KubeletProbe {
        node: node.name.clone(),
        address: "172.30.0.11:10250".to_owned(),
        reach: obs(request, kubelet(node.name == own)),
    });
    evidence.probes = vec![PodProbe {
        namespace: "kube-system".to_owned(),
        taken_at: evidence.taken_at,
        differs: Vec::new(),
        policies_differ: None,
        api: obs(request, api),
        api_direct: obs(request, Vec::new()),
        service: obs(request, None),
        dns: obs(request, None),
        kubelets: kubelets.collect(),
        node: own,
    }];
}

/// What is made of this recording, each with the words for the change.
pub(super) fn edited(name: &str, evidence: &Evidence) -> Vec<(&'static str, Evidence)> {
    let edits = EDITS.iter().filter(|(recording, ..)| *recording == name);
    edits
        .map(|(_, words, edit)| {
            let mut edited = evidence.clone();
            edit(&mut edited);
            assert_ne!(edited, *evidence, "{name} is the same {words}");
            (*words, edited)
        })
        .collect()
}

fn set<T>(obs: &mut Obs<T>, value: T) {
    if let Look::Seen(seen) = &mut obs.look {
        *seen = value;
    }
}
