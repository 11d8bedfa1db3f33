//! A small certificate authority for tests: clients verify the server for real, against a root of the test's own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

/// The root, and where it was written.
#[derive(Debug)]
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    path: PathBuf,
}

impl Authority {
    /// A new root; its certificate is written as `ca.pem` into `directory`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn new(directory: &Path) -> std::io::Result<Self> {
        Self::named(directory, "Spondee test authority")
    }

    /// The same under another name: two of one name are taken for each other, and their certificates for forged ones.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn named(directory: &Path, name: &str) -> std::io::Result<Self> {
        let key = KeyPair::generate().map_err(std::io::Error::other)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.self_signed(&key).map_err(std::io::Error::other)?;
        let path = directory.join("ca.pem");
        std::fs::write(&path, certificate.pem())?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            pem: certificate.pem(),
            path,
        })
    }

    /// The file of the root certificate, as real clients want it.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The root certificate.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Writes `HOST.crt` and `HOST.key` for one host, where the server looks for them.
    ///
    /// # Errors
    /// A file cannot be written, or the host is no DNS name.
    pub fn issue(&self, directory: &Path, host: &str) -> std::io::Result<()> {
        self.issue_for(directory, host, DAYS)
    }

    /// The same for so many days.
    ///
    /// # Errors
    /// A file cannot be written, or the host is no DNS name.
    pub fn issue_for(&self, directory: &Path, host: &str, days: u32) -> std::io::Result<()> {
        let key = KeyPair::generate().map_err(std::io::Error::other)?;
        self.sign(directory, host, &key, days)
    }

    /// The first with an RSA key of 2048 bits, which OpenSSL makes: nothing here can.
    ///
    /// # Errors
    /// As above, or OpenSSL is missing.
    pub fn issue_rsa(&self, directory: &Path, host: &str) -> std::io::Result<()> {
        let made = Command::new("openssl")
            .args(["genpkey", "-quiet", "-algorithm", "RSA"])
            .args(["-pkeyopt", "rsa_keygen_bits:2048"])
            .output()?;
        let key = String::from_utf8_lossy(&made.stdout);
        let key = KeyPair::from_pem(&key).map_err(std::io::Error::other)?;
        self.sign(directory, host, &key, DAYS)
    }

    /// A certificate and its key, in PEM, of somebody who has these addresses (`id-on-xmppAddr`, RFC 6120 §13.7.1.4), for so many days from now
    /// on; one that ended as many days ago, if they are negative.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn issue_client(&self, addresses: &[&str], days: i64) -> std::io::Result<[String; 2]> {
        let key = KeyPair::generate().map_err(std::io::Error::other)?;
        let mut params = CertificateParams::default();
        let name = |address: &&str| {
            SanType::OtherName((vec![1, 3, 6, 1, 5, 5, 7, 8, 5], (*address).into()))
        };
        params.subject_alt_names = addresses.iter().map(name).collect();
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let now = SystemTime::now();
        let away = Duration::from_secs(24 * 60 * 60 * days.unsigned_abs());
        let month = Duration::from_secs(30 * 24 * 60 * 60);
        let end = if days < 0 { now - away } else { now + away };
        params.not_before = (now - away - month).into();
        params.not_after = end.into();
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(std::io::Error::other)?;
        Ok([certificate.pem(), key.serialize_pem()])
    }

    /// A certificate of this authority's, as `params` has it, in PEM.
    ///
    /// # Errors
    /// It cannot be made.
    pub fn vouch(&self, params: &CertificateParams, key: &KeyPair) -> std::io::Result<String> {
        let certificate = params.signed_by(key, &self.issuer);
        certificate
            .map(|certificate| certificate.pem())
            .map_err(std::io::Error::other)
    }

    fn sign(&self, directory: &Path, host: &str, key: &KeyPair, days: u32) -> std::io::Result<()> {
        let mut params =
            CertificateParams::new(vec![host.to_owned()]).map_err(std::io::Error::other)?;
        let (now, day) = (SystemTime::now(), Duration::from_secs(24 * 60 * 60));
        params.not_before = (now - day).into();
        params.not_after = (now + days * day).into();
        let certificate = params
            .signed_by(key, &self.issuer)
            .map_err(std::io::Error::other)?;
        std::fs::write(directory.join(format!("{host}.crt")), certificate.pem())?;
        let key_path = directory.join(format!("{host}.key"));
        std::fs::write(&key_path, key.serialize_pem())?;
        restrict(&key_path)
    }
}

/// As long as public authorities give certificates. rcgen's year 4096 is more than Erlang can set a timer for.
const DAYS: u32 = 89;

/// A private key is its owner's alone.
fn restrict(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}
