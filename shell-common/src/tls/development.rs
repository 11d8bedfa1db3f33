//! Certificates made here: signed by themselves, so that nobody vouches for them, or asked of an authority.

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, date_time_ymd,
};
use spondee_core::jid::Domain;
use zeroize::Zeroizing;

use super::CertError;
use super::certs::{Certificate, parse};
use super::chain::is_self_issued;
use super::place::{Owner, replace};
use crate::limits::CERTIFICATE_DAYS;

const DAY: u64 = 24 * 60 * 60;

/// The file of a certificate or of a request, and that of its key.
pub(crate) type Made = (PathBuf, PathBuf);

/// Writes a self-signed certificate `HOST.crt` and its key `HOST.key` (0600) into `directory`, for hosts used in development.
///
/// The directory is made (0700) if it is not there. A key that is there is used, a certificate that is there is never replaced.
///
/// # Errors
/// The directory cannot be written, the certificate exists, or the host's name is not ASCII.
pub fn generate_development_certificate(directory: &Path, host: &Domain) -> Result<(), CertError> {
    generate(directory, host, CERTIFICATE_DAYS, Owner::Maker).map(drop)
}

/// The same for so many days, and for who has to read it.
pub(crate) fn generate(
    directory: &Path,
    host: &Domain,
    days: u32,
    owner: Owner,
) -> Result<Made, CertError> {
    let path = directory.join(format!("{host}.crt"));
    make(directory, owner)?;
    if path.try_exists().unwrap_or(true) {
        return Err(CertError::new(
            &path,
            "is there already; move it away to have a new one made",
        ));
    }
    // The key first: a run that is interrupted leaves a key without a certificate, which the next run completes.
    let (key_path, key) = key(directory, host, owner)?;
    let pem = self_signed(host, &key, days).map_err(|error| cannot_make(&path, host, &error))?;
    create(&path, 0o644, pem.as_bytes(), owner)?;
    Ok((path, key_path))
}

/// Writes a request for a certificate, `HOST.csr`, to be given to an authority; its key is `HOST.key`, made if it is not there.
///
/// # Errors
/// The directory cannot be written, or the host's name is not ASCII.
pub(crate) fn request(directory: &Path, host: &Domain, owner: Owner) -> Result<Made, CertError> {
    let path = directory.join(format!("{host}.csr"));
    make(directory, owner)?;
    let (key_path, key) = key(directory, host, owner)?;
    let mut params = named(host).map_err(|error| cannot_make(&path, host, &error))?;
    // An authority sets the rest itself.
    params.is_ca = IsCa::NoCa;
    let pem = params
        .serialize_request(&key)
        .and_then(|request| request.pem())
        .map_err(|error| cannot_make(&path, host, &error))?;
    replace(&path, pem.as_bytes(), 0o644, owner)?;
    Ok((path, key_path))
}

/// What was done about the certificate of a host used in development.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Renewal {
    /// There was none.
    Made,
    /// It had expired: there is another one with the same key.
    Renewed,
    /// Nothing: it is good, or somebody else's business.
    Left,
}

/// Makes the certificate of a host used in development if it is missing or was made here and has expired. `now` is in seconds since 1970.
///
/// # Errors
/// As `generate_development_certificate`.
pub(crate) fn renew(directory: &Path, host: &Domain, now: i64) -> Result<Renewal, CertError> {
    let path = directory.join(format!("{host}.crt"));
    // What may not be looked at is left to who reads it, and tells why.
    if !path.try_exists().unwrap_or(true) {
        generate_development_certificate(directory, host)?;
        return Ok(Renewal::Made);
    }
    let Ok(certificate) = Certificate::read(&path) else {
        return Ok(Renewal::Left);
    };
    let own = certificate.chain.first().and_then(|own| parse(own).ok());
    if certificate.facts.not_after >= now || !own.is_some_and(|own| is_self_issued(&own)) {
        return Ok(Renewal::Left);
    }
    let (_, key) = key(directory, host, Owner::Maker)?;
    let pem = self_signed(host, &key, CERTIFICATE_DAYS)
        .map_err(|error| cannot_make(&path, host, &error))?;
    replace(&path, pem.as_bytes(), 0o644, Owner::Maker)?;
    Ok(Renewal::Renewed)
}

fn cannot_make(path: &Path, host: &Domain, error: &rcgen::Error) -> CertError {
    let what = format!("cannot make a certificate for {host}: {error}");
    CertError::new(path, &what)
}

fn make(directory: &Path, owner: Owner) -> Result<(), CertError> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .and_then(|()| owner.take_directory(directory))
        .map_err(|error| CertError::writing(directory, &error))
}

/// The key of a host, made if it is not there.
fn key(directory: &Path, host: &Domain, owner: Owner) -> Result<(PathBuf, KeyPair), CertError> {
    let path = directory.join(format!("{host}.key"));
    let key = match fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(pem) => KeyPair::from_pem(&pem)
            .map_err(|error| CertError::new(&path, &format!("this key cannot be used: {error}")))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
                .map_err(|error| cannot_make(&path, host, &error))?;
            let pem = Zeroizing::new(key.serialize_pem());
            create(&path, 0o600, pem.as_bytes(), owner)?;
            key
        }
        Err(error) => return Err(CertError::io(&path, &error)),
    };
    Ok((path, key))
}

/// For so many days, and for a day before now, for clocks that are slow.
fn self_signed(host: &Domain, key: &KeyPair, days: u32) -> Result<String, rcgen::Error> {
    let mut params = named(host)?;
    // Not an authority: it can be trusted by itself, but cannot vouch for another.
    params.is_ca = IsCa::ExplicitNoCa;
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let today = date_time_ymd(1970, 1, 1) + Duration::from_secs(now.as_secs());
    params.not_before = today - Duration::from_secs(DAY);
    params.not_after = today + Duration::from_secs(DAY * u64::from(days));
    Ok(params.self_signed(key)?.pem())
}

/// What a certificate of a host says of it.
fn named(host: &Domain) -> Result<CertificateParams, rcgen::Error> {
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
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(params)
}

/// Creates a file with its mode from the start; never opens one that is there.
fn create(path: &Path, mode: u32, content: &[u8], owner: Owner) -> Result<(), CertError> {
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)
        .and_then(|mut file| {
            owner.take(&file)?;
            file.write_all(content)?;
            file.sync_all()
        })
        .map_err(|error| CertError::writing(path, &error))
}
