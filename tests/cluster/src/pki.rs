//! Certificates: those that kubeadm makes, and those that a scenario needs wrong.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};

/// A certificate and its private key, in PEM.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The certificate.
    pub cert: String,
    /// The private key (PKCS #8).
    pub key: String,
}

impl Pair {
    /// Writes `STEM.crt` and `STEM.key`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write(&self, stem: &Path) -> Result<()> {
        for (extension, text) in [("crt", &self.cert), ("key", &self.key)] {
            let path = stem.with_extension(extension);
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}

/// What a certificate shall say. It is valid from an hour ago for a year unless told otherwise.
#[derive(Clone, Debug)]
pub struct Certificate {
    common_name: String,
    organizations: Vec<String>,
    names: Vec<String>,
    usages: Vec<ExtendedKeyUsagePurpose>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
}

impl Certificate {
    /// A server's certificate with this common name, and no other names yet.
    #[must_use]
    pub fn server(common_name: impl Into<String>) -> Self {
        Self::new(common_name.into(), ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate: the common name is the user.
    #[must_use]
    pub fn client(common_name: impl Into<String>) -> Self {
        Self::new(common_name.into(), ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn new(common_name: String, usage: ExtendedKeyUsagePurpose) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            common_name,
            organizations: Vec::new(),
            names: Vec::new(),
            usages: vec![usage],
            not_before: now - Duration::HOUR,
            not_after: now + Duration::days(365),
        }
    }

    /// With another common name.
    #[must_use]
    pub fn common_name(mut self, name: impl Into<String>) -> Self {
        self.common_name = name.into();
        self
    }

    /// Adds an organization; for a client it is a group.
    #[must_use]
    pub fn organization(mut self, organization: impl Into<String>) -> Self {
        self.organizations.push(organization.into());
        self
    }

    /// Adds a subject alternative name: an IP address when it reads as one, else a DNS name.
    #[must_use]
    pub fn san(mut self, name: impl Into<String>) -> Self {
        self.names.push(name.into());
        self
    }

    /// Valid from and to so many hours from now; negative is the past.
    #[must_use]
    pub fn valid_hours(mut self, from: i64, to: i64) -> Self {
        let now = OffsetDateTime::now_utc();
        self.not_before = now + Duration::hours(from);
        self.not_after = now + Duration::hours(to);
        self
    }

    /// Ended yesterday.
    #[must_use]
    pub fn expired(self) -> Self {
        self.valid_hours(-24 * 366, -24)
    }
}

/// A certificate authority.
#[derive(Clone, Debug)]
pub struct Ca {
    /// Its own certificate and key.
    pub pair: Pair,
}

impl Ca {
    /// A new one, unknown to every cluster.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn new(common_name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(vec![common_name.to_owned()])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::DigitalSignature,
            KeyUsagePurpose::KeyEncipherment,
            KeyUsagePurpose::KeyCertSign,
        ];
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::HOUR;
        params.not_after = now + Duration::days(3650);
        let key = KeyPair::generate()?;
        let cert = params.self_signed(&key)?;
        Ok(Self { pair: Pair { cert: cert.pem(), key: key.serialize_pem() } })
    }

    /// The one in `STEM.crt` and `STEM.key`.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn load(stem: &Path) -> Result<Self> {
        let read = |extension| {
            let path = stem.with_extension(extension);
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        Ok(Self { pair: Pair { cert: read("crt")?, key: read("key")? } })
    }

    /// Issues a certificate with a new key.
    ///
    /// # Errors
    /// When a name cannot stand in a certificate.
    pub fn issue(&self, wanted: &Certificate) -> Result<Pair> {
        let mut params = CertificateParams::new(wanted.names.clone())?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        for organization in &wanted.organizations {
            params.distinguished_name.push(DnType::OrganizationName, organization.as_str());
        }
        params.distinguished_name.push(DnType::CommonName, wanted.common_name.as_str());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
        params.extended_key_usages.clone_from(&wanted.usages);
        params.use_authority_key_identifier_extension = true;
        params.not_before = wanted.not_before;
        params.not_after = wanted.not_after;
        let issuer = Issuer::from_ca_cert_pem(&self.pair.cert, KeyPair::from_pem(&self.pair.key)?)?;
        let key = KeyPair::generate()?;
        let cert = params.signed_by(&key, &issuer)?;
        Ok(Pair { cert: cert.pem(), key: key.serialize_pem() })
    }
}

/// A key pair to sign service account tokens with: the private and the public key, in PEM.
pub(crate) fn signing_keys() -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}
