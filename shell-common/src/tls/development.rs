//! A self-made certificate, for hosts used in development only: nobody vouches for it.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use spondee_core::jid::Domain;
use zeroize::Zeroizing;

use super::CertError;

/// A year, and a day before now for clocks that are slow.
const VALID: Duration = Duration::from_secs(365 * DAY);
const DAY: u64 = 24 * 60 * 60;

/// Writes a self-signed certificate `HOST.crt` and its key `HOST.key` (0600) into `directory`, for hosts used in development.
///
/// The directory is made (0700) if it is not there. A key that is there is used, a certificate that is there is never replaced.
///
/// # Errors
/// The directory cannot be written, the certificate exists, or the host's name is not ASCII.
pub fn generate_development_certificate(directory: &Path, host: &Domain) -> Result<(), CertError> {
    let certificate_path = directory.join(format!("{host}.crt"));
    let key_path = directory.join(format!("{host}.key"));
    let failed = |error: rcgen::Error| {
        CertError::new(
            &certificate_path,
            &format!("cannot make a certificate for {host}: {error}"),
        )
    };

    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| CertError::io(directory, &error))?;
    if certificate_path.exists() {
        return Err(CertError::new(
            &certificate_path,
            "is there already; move it away to have a new one made",
        ));
    }
    // The key first: a run that is interrupted leaves a key without a certificate, which the next run completes.
    let key = match fs::read_to_string(&key_path).map(Zeroizing::new) {
        Ok(pem) => KeyPair::from_pem(&pem).map_err(|error| {
            CertError::new(&key_path, &format!("this key cannot be used: {error}"))
        })?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
            let pem = Zeroizing::new(key.serialize_pem());
            create(&key_path, 0o600, pem.as_bytes())?;
            key
        }
        Err(error) => return Err(CertError::io(&key_path, &error)),
    };
    let certificate = params(host)
        .and_then(|params| params.self_signed(&key))
        .map_err(failed)?;
    create(&certificate_path, 0o644, certificate.pem().as_bytes())
}

fn params(host: &Domain) -> Result<CertificateParams, rcgen::Error> {
    let mut names = vec![host.as_str().trim_matches(['[', ']']).to_owned()];
    if host.as_str() == "localhost" {
        // What a client may be told to connect to.
        names.extend(["127.0.0.1".to_owned(), "::1".to_owned()]);
    }
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, host.as_str());
    // Not an authority: it can be trusted by itself, but cannot vouch for another.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let today = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_secs());
    params.not_before = today - Duration::from_secs(DAY);
    params.not_after = today + VALID;
    Ok(params)
}

/// Creates a file with its mode from the start; never opens one that is there.
fn create(path: &Path, mode: u32, content: &[u8]) -> Result<(), CertError> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        })
        .map_err(|error| CertError::io(path, &error))
}
