//! Certificates made for tests: authorities, hosts' own, and directories of them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use spondee_core::jid::Domain;

use crate::scratch::Scratch;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(crate) fn domain(name: &str) -> Domain {
    Domain::parse(name).unwrap()
}

/// A certificate and its key in PEM.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

/// Who issues certificates.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: String,
}

/// A certificate for `names` that began yesterday and lasts so many days from now on.
pub(crate) fn params(names: &[&str], days: i64) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "a host");
    lasts(&mut params, days);
    params
}

/// From yesterday, or from well before an end in the past.
pub(crate) fn lasts(params: &mut CertificateParams, days: i64) {
    let now = SystemTime::now();
    let away = DAY * u32::try_from(days.unsigned_abs()).unwrap();
    if days < 0 {
        params.not_before = (now - away - 30 * DAY).into();
        params.not_after = (now - away).into();
    } else {
        params.not_before = (now - DAY).into();
        params.not_after = (now + away).into();
    }
}

/// One that nobody else vouches for.
pub(crate) fn self_made(params: &CertificateParams) -> Made {
    let key = KeyPair::generate().unwrap();
    Made {
        certificate: params.self_signed(&key).unwrap().pem(),
        key: key.serialize_pem(),
    }
}

impl Authority {
    pub(crate) fn params(name: &str) -> CertificateParams {
        let mut params = params(&[], 3000);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        params
    }

    pub(crate) fn root(name: &str) -> Self {
        Self::alone(Self::params(name))
    }

    /// One that nobody vouches for.
    pub(crate) fn alone(params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        Self {
            certificate: params.self_signed(&key).unwrap().pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// One below this one.
    pub(crate) fn intermediate(&self, params: CertificateParams) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Self {
            certificate: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// Another certificate for the key of `other`: this one vouches for it, too.
    pub(crate) fn cross(&self, other: &Self, params: &CertificateParams) -> String {
        let certificate = params.signed_by(other.issuer.key(), &self.issuer);
        certificate.unwrap().pem()
    }

    pub(crate) fn issue(&self, params: &CertificateParams) -> Made {
        let key = KeyPair::generate().unwrap();
        Made {
            certificate: params.signed_by(&key, &self.issuer).unwrap().pem(),
            key: key.serialize_pem(),
        }
    }
}

/// A directory of certificates, gone with the test.
pub(crate) struct Certs(Scratch);

impl Certs {
    pub(crate) fn new() -> Self {
        Self(Scratch::new())
    }

    pub(crate) fn root(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// `NAME.crt` and `NAME.key`.
    pub(crate) fn put(&self, name: &str, made: &Made) {
        self.write(&format!("{name}.crt"), &made.certificate);
        self.write(&format!("{name}.key"), &made.key);
    }

    pub(crate) fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }
}
