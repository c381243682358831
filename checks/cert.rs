//! Judging a serving certificate as Go's `crypto/x509` would, each requirement apart.
//!
//! Go stops at the first failure, in the order dates, names, chain
//! (`src/crypto/x509/verify.go`, `Certificate.Verify`), so a message shows only the first. Here every
//! defect is found.

use std::net::IpAddr;

use jiff::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a kubelet presented, judged against an address, a CA bundle and a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Judgement {
    /// The leaf's subject, such as `CN=node1@1700000000`.
    pub(crate) subject: String,
    /// The leaf's common name.
    pub(crate) common_name: String,
    /// The leaf's issuer.
    pub(crate) issuer: String,
    /// The names in its subject alternative names.
    pub(crate) names: Vec<String>,
    /// The first moment of its validity.
    pub(crate) not_before: Timestamp,
    /// The last moment of its validity.
    pub(crate) not_after: Timestamp,
    /// Whether the address is among its names.
    pub(crate) covers_address: bool,
    /// Whether it is for servers.
    pub(crate) server_usage: bool,
    /// How its chain ends.
    pub(crate) chain: Chain,
}

/// How a certificate's chain ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chain {
    /// At a certificate of the bundle.
    Trusted,
    /// At nothing that the bundle holds.
    UnknownIssuer,
    /// The bundle holds a CA of the same name and another key.
    OtherKey,
    /// At a certificate of the bundle that has expired or may not sign others.
    IssuerNotValid,
    /// A signature algorithm that cannot be judged here.
    NotJudged,
}

impl Judgement {
    /// Whether it was valid at that time.
    pub(crate) fn valid_at(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= self.not_after
    }

    /// Whether the kubelet generated it for itself: `NAME@EPOCH` issued by `NAME-ca@EPOCH`
    /// (client-go `util/cert`, `GenerateSelfSignedCertKey`).
    pub(crate) fn is_kubelet_default(&self) -> bool {
        let issuer = self.issuer.strip_prefix("CN=").unwrap_or(&self.issuer);
        let Some((host, epoch)) = self.common_name.rsplit_once('@') else { return false };
        let Some((issuer_host, issuer_epoch)) = issuer.rsplit_once('@') else { return false };
        let number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        issuer_host.strip_suffix("-ca") == Some(host) && number(epoch) && number(issuer_epoch)
    }

    /// Whether its subject names this node, so that the peer is this node's kubelet.
    pub(crate) fn names_node(&self, node: &str) -> bool {
        self.common_name == format!("system:node:{node}")
            || self.common_name.rsplit_once('@').is_some_and(|(host, _)| host == node)
            || self.names.iter().any(|name| name == node)
    }
}

/// Judges a chain of base64 DER certificates, leaf first; `None` when the leaf cannot be read.
pub(crate) fn judge(chain: &[String], roots: &[String], address: &str, now: Timestamp) -> Option<Judgement> {
    let chain: Vec<Vec<u8>> = chain.iter().filter_map(|der| decode(der)).collect();
    let roots: Vec<Vec<u8>> = roots.iter().filter_map(|der| decode(der)).collect();
    let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
    let names = names(&leaf);
    let covers_address = covers(&names, address);
    let server_usage = match leaf.extended_key_usage() {
        Ok(Some(usage)) => usage.value.server_auth || usage.value.any,
        _ => true,
    };
    Some(Judgement {
        subject: leaf.subject().to_string(),
        common_name: common_name(&leaf),
        issuer: leaf.issuer().to_string(),
        not_before: time(leaf.validity().not_before.timestamp())?,
        not_after: time(leaf.validity().not_after.timestamp())?,
        covers_address,
        server_usage,
        chain: path(&leaf, &chain, &roots, now),
        names,
    })
}

pub(crate) fn time(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_second(seconds).ok()
}

fn common_name(certificate: &X509Certificate<'_>) -> String {
    let name = certificate.subject().iter_common_name().next();
    name.and_then(|name| name.as_str().ok()).unwrap_or_default().to_owned()
}

/// The DNS names and IP addresses of the subject alternative name.
pub(crate) fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    extension
        .value
        .general_names
        .iter()
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            GeneralName::IPAddress(bytes) => ip(bytes).map(|ip| ip.to_string()),
            _ => None,
        })
        .collect()
}

fn ip(bytes: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(bytes)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
        .ok()
}

/// Go matches an IP address only against IP names, and a host name also against wildcards.
fn covers(names: &[String], address: &str) -> bool {
    if let Ok(wanted) = address.parse::<IpAddr>() {
        return names.iter().any(|name| name.parse::<IpAddr>() == Ok(wanted));
    }
    let wanted = address.trim_end_matches('.').to_ascii_lowercase();
    names.iter().any(|name| {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        name == wanted
            || name
                .strip_prefix("*.")
                .is_some_and(|parent| wanted.split_once('.').is_some_and(|(_, rest)| rest == parent))
    })
}

/// Walks from the leaf to the bundle over the certificates that came with it.
fn path(leaf: &X509Certificate<'_>, chain: &[Vec<u8>], roots: &[Vec<u8>], now: Timestamp) -> Chain {
    let parsed = |ders: &[Vec<u8>]| -> Vec<usize> {
        (0..ders.len()).filter(|&index| X509Certificate::from_der(&ders[index]).is_ok()).collect()
    };
    if roots.iter().any(|root| chain.first() == Some(root)) {
        return Chain::Trusted;
    }
    let (roots_read, others) = (parsed(roots), parsed(chain));
    let mut same_name = false;
    let mut not_judged = false;
    let mut expired = false;
    let mut current = leaf.clone();
    for _ in 0..8 {
        for &index in &roots_read {
            let Ok((_, root)) = X509Certificate::from_der(&roots[index]) else { continue };
            if root.subject() != current.issuer() {
                continue;
            }
            match current.verify_signature(Some(root.public_key())) {
                Ok(()) if !may_sign(&root, now) => expired = true,
                Ok(()) => return Chain::Trusted,
                Err(x509_parser::error::X509Error::SignatureVerificationError) => same_name = true,
                Err(_) => not_judged = true,
            }
        }
        let next = others.iter().filter_map(|&index| X509Certificate::from_der(&chain[index]).ok()).find(
            |(_, other)| {
                other.subject() == current.issuer()
                    && other.tbs_certificate.as_ref() != current.tbs_certificate.as_ref()
                    && may_sign(other, now)
                    && current.verify_signature(Some(other.public_key())).is_ok()
            },
        );
        let Some((_, issuer)) = next else { break };
        current = issuer;
    }
    if expired {
        Chain::IssuerNotValid
    } else if not_judged {
        Chain::NotJudged
    } else if same_name {
        Chain::OtherKey
    } else {
        Chain::UnknownIssuer
    }
}

/// Whether a certificate may sign others now: Go looks at the dates and the CA flag of every issuer.
fn may_sign(issuer: &X509Certificate<'_>, now: Timestamp) -> bool {
    let validity = issuer.validity();
    let valid = validity.not_before.timestamp() <= now.as_second()
        && now.as_second() <= validity.not_after.timestamp();
    valid && (issuer.is_ca() || issuer.version().0 == 0)
}

/// Standard base64 without line breaks; `None` for anything else.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}
