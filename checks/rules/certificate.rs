//! What a rule can read of a certificate.

use std::borrow::Cow;

use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;

use super::value::{Computed, Stop, Value};
use crate::cert;
use crate::check::Undecided;
use crate::evidence::{Need, Why};

/// The value of a field of a certificate that is base64 of DER.
pub(super) fn field<'e>(der: &str, name: &str) -> Computed<'e> {
    let unreadable = || {
        let why = Why::Unreadable("a certificate that cannot be parsed".to_owned());
        Stop::Unseen(Undecided { need: Need::KubeletHandshake, why })
    };
    let der = cert::decode(der).ok_or_else(unreadable)?;
    let (_, certificate) = X509Certificate::from_der(&der).map_err(|_| unreadable())?;
    let text = |text: String| Value::Text(Cow::Owned(text));
    let validity = certificate.validity();
    Ok(match name {
        "subject" => text(certificate.subject().to_string()),
        "issuer" => text(certificate.issuer().to_string()),
        "names" => Value::List(cert::names(&certificate).into_iter().map(text).collect()),
        "not_before" => Value::Time(cert::time(validity.not_before.timestamp()).ok_or_else(unreadable)?),
        "not_after" => Value::Time(cert::time(validity.not_after.timestamp()).ok_or_else(unreadable)?),
        "is_ca" => Value::Bool(certificate.is_ca()),
        "key_algorithm" => text(key_algorithm(&certificate)),
        "key_bits" => Value::Int(key_bits(&certificate)),
        _ => return Err(Stop::Failed(format!("a certificate has no {name}"))),
    })
}

fn key_algorithm(certificate: &X509Certificate<'_>) -> String {
    match certificate.public_key().algorithm.algorithm.to_id_string().as_str() {
        "1.2.840.113549.1.1.1" => "RSA".to_owned(),
        "1.2.840.10045.2.1" => "EC".to_owned(),
        "1.3.101.112" => "Ed25519".to_owned(),
        other => other.to_owned(),
    }
}

fn key_bits(certificate: &X509Certificate<'_>) -> i64 {
    let bits = match certificate.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => key.key_size(),
        Ok(PublicKey::EC(point)) => point.key_size(),
        _ => 0,
    };
    i64::try_from(bits).unwrap_or(0)
}
