//! Nodes, their kubelets and their certificates.

use super::super::schema::{Field, Form, Object, Shape};
use super::{CERTIFICATES, LOG, TEXTS};
use crate::evidence::Need;

use Shape::{Bool, Int, List, Optional, Seen, Text, Texts, Time};

object! {
    /// A node and its kubelet.
    NODE "Node" Fields {
        name: Text, "Its name.";
        ready: Bool, "The `Ready` condition is `True`.";
        created: Time, "When it was created.";
        addresses: List(&Shape::Object(&ADDRESS)), "Its addresses, in the order of `status.addresses`.";
        kubelet_port: Int, "The port that its kubelet announces; 0 when it announces none.";
        os: Text, "`linux` or `windows`.";
        kubelet_version: Text, "The kubelet's version, such as `v1.36.2`.";
        labels: Texts, "Its labels.";
        pod_cidr: Optional(&Text), "The pods' address range on this node.";
        dial: Seen(Need::Pods, &Optional(&Shape::Object(&DIAL))), "What metrics-server dials.";
        handshake: Seen(Need::KubeletHandshake, &Shape::Object(&HANDSHAKE)), "What that port answers to a TLS handshake.";
        anonymous: Seen(Need::KubeletAnonymous, &Int), "The status of `GET /healthz` there without a credential.";
        configz: Seen(Need::Configz, &Shape::Object(&KUBELET_CONFIG)), "The kubelet's running configuration.";
        api_server_alert: Seen(Need::Configz, &Optional(&Text)),
            "The TLS alert that kube-apiserver got when it dialled this kubelet for us.";
        csrs: Seen(Need::Csrs, &List(&Shape::Object(&CSR))), "The kubelet's requests for a serving certificate, newest first.";
        scrape_log: Seen(Need::Logs, &Optional(&Shape::Object(&LOG))), "What metrics-server last said about this node in its log.";
    }
}

object! {
    /// One entry of a node's `status.addresses`.
    ADDRESS "Address" Fields {
        kind: Text, "`InternalIP`, `ExternalIP`, `Hostname`, ...";
        address: Text, "The address.";
    }
}

object! {
    /// An address and a port.
    DIAL "Dial" Tuple {
        address: Text, "The address.";
        port: Int, "The port.";
    }
}

object! {
    /// What a port answers to a TLS handshake.
    HANDSHAKE "Handshake" Variants {
        kind: Text, "`certificates`, `alert` or `not_tls`.";
        certificates: Optional(&CERTIFICATES), "`certificates`: what it presented, leaf first.";
        alert: Optional(&Text), "`alert`: the TLS alert with which it broke the handshake off.";
    }
}

object! {
    /// A certificate.
    CERTIFICATE "Certificate" Certificate {
        subject: Text, "Its subject, such as `CN=system:node:n1, O=system:nodes`.";
        issuer: Text, "Its issuer.";
        names: TEXTS, "The DNS names and IP addresses of its subject alternative name.";
        not_before: Time, "The first moment of its validity.";
        not_after: Time, "The last moment of its validity.";
        is_ca: Bool, "Whether it may sign others.";
        key_algorithm: Text, "`RSA`, `EC`, `Ed25519` or the object identifier of another.";
        key_bits: Int, "The size of its key in bits; 0 where that cannot be told.";
    }
}

object! {
    /// A kubelet's running configuration.
    KUBELET_CONFIG "KubeletConfig" Fields {
        webhook_authentication: Bool, "`authentication.webhook.enabled`.";
        anonymous: Bool, "`authentication.anonymous.enabled`.";
        authorization_mode: Text, "`authorization.mode`.";
        server_tls_bootstrap: Bool, "`serverTLSBootstrap`.";
        tls_cert_file: Text, "`tlsCertFile`.";
        port: Int, "`port`.";
        read_only_port: Int, "`readOnlyPort`; 0 when it is off.";
    }
}

object! {
    /// A request of a kubelet for a serving certificate.
    CSR "CertificateSigningRequest" Fields {
        name: Text, "The object's name.";
        created: Time, "When it was made.";
        state: Text, "`pending`, `approved`, `issued`, `denied` or `failed`.";
        detail: Text, "The reason and message of the condition that decided it.";
        certificate: Optional(&Shape::Object(&CERTIFICATE)), "The issued certificate.";
    }
}
