//! A file of certificates and keys, each block of it put in its place: used, passed over with a reason that is told, or refused by
//! name. None is dropped in silence.

#[cfg(test)]
mod tests;

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustls::pki_types::CertificateDer;
use x509_parser::asn1_rs::{Any, FromDer as _};
use zeroize::Zeroizing;

use super::CertError;
use super::keys::{Form, Key};
use super::pem::{self, Block};
use crate::limits::CERTIFICATE_FILE_BYTES;

/// What a file holds.
pub(super) struct PemFile {
    pub(super) path: PathBuf,
    /// Each with the line it begins in.
    pub(super) certificates: Vec<(usize, CertificateDer<'static>)>,
    pub(super) keys: Vec<Key>,
    /// Blocks of no use to a server: a sentence for each.
    pub(super) passed_over: Vec<String>,
    nature: Nature,
}

/// What a file is if it holds neither certificate nor key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Nature {
    /// There are blocks, but only such as are passed over.
    Request,
    PublicKey,
    OtherBlocks,
    Der,
    Text,
}

/// What becomes of a block.
enum Use {
    Certificate,
    /// OpenSSL's own form: a certificate, and behind it whom its owner trusts it for.
    TrustedCertificate,
    Key(Form),
    /// Says again what the key says.
    PartOfKey,
    PassedOver(&'static str),
    Refused(&'static str),
}

impl Use {
    fn of(label: &str) -> Self {
        if let Some(form) = Form::of(label) {
            return Self::Key(form);
        }
        match label {
            // The latter two are history (RFC 7468 §5.1), and cost nothing to understand.
            "CERTIFICATE" | "X509 CERTIFICATE" | "X.509 CERTIFICATE" => Self::Certificate,
            "TRUSTED CERTIFICATE" => Self::TrustedCertificate,
            "EC PARAMETERS" => Self::PartOfKey,
            "DH PARAMETERS" | "X9.42 DH PARAMETERS" => {
                Self::PassedOver("keys are agreed on by elliptic curves alone")
            }
            "DSA PARAMETERS" => Self::PassedOver("DSA is not supported"),
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => {
                Self::PassedOver("a request is for the authority, which answers with a certificate")
            }
            "X509 CRL" | "CRL" => Self::PassedOver("a server sends no list of what was revoked"),
            "PUBLIC KEY" | "RSA PUBLIC KEY" => Self::PassedOver("the certificate has it already"),
            "PKCS7" | "CMS" | "PKCS #7 SIGNED DATA" | "CERTIFICATE CHAIN" => Self::Refused(
                "which may hold certificates in a form that is not read here; convert it by openssl pkcs7 -print_certs -in FILE \
                 -out FILE.crt",
            ),
            "ATTRIBUTE CERTIFICATE" => {
                Self::Refused("which is no certificate of a host; remove it")
            }
            _ => Self::Refused(
                "of which nothing is known here; if it is a certificate or key, correct its BEGIN and END lines, else remove it",
            ),
        }
    }
}

impl PemFile {
    /// # Errors
    /// The file cannot be read, is damaged, or holds a block that is neither used nor known to be of no use.
    pub(super) fn read(path: &Path) -> Result<Self, CertError> {
        let content = read(path)?;
        if content.trim_ascii().is_empty() {
            return Err(CertError::new(
                path,
                "this file is empty; a renewal may be under way, or the disk was full when it was written",
            ));
        }
        let mut file = Self {
            path: path.to_owned(),
            certificates: Vec::new(),
            keys: Vec::new(),
            passed_over: Vec::new(),
            nature: match content.first() {
                Some(0x30) => Nature::Der,
                Some(_) | None => Nature::Text,
            },
        };
        for block in pem::blocks(&content).map_err(|fault| CertError::new(path, &fault))? {
            file.sort(block)
                .map_err(|fault| CertError::new(path, &fault))?;
        }
        Ok(file)
    }

    fn sort(&mut self, mut block: Block) -> Result<(), String> {
        let line = block.line;
        let label = block.label.as_str();
        match Use::of(label) {
            Use::Certificate => {
                let der = std::mem::take(&mut *block.der);
                self.certificates.push((line, der.into()));
            }
            Use::TrustedCertificate => {
                let mut der = std::mem::take(&mut *block.der);
                if let Ok((behind, _)) = Any::from_der(&der) {
                    der.truncate(der.len() - behind.len());
                }
                self.certificates.push((line, der.into()));
            }
            Use::Key(form) => self.keys.push(Key::new(form, block)),
            Use::PartOfKey => self.nature = Nature::OtherBlocks,
            Use::PassedOver(why) => {
                self.nature = match label {
                    "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Nature::Request,
                    "PUBLIC KEY" | "RSA PUBLIC KEY" => Nature::PublicKey,
                    _ => Nature::OtherBlocks,
                };
                self.passed_over.push(format!(
                    "{}: the block {label} in line {line} is not used ({why}); it can be removed",
                    self.path.display()
                ));
            }
            Use::Refused(why) => {
                return Err(format!(
                    "in line {line} begins a block \"{}\", {why}",
                    shown(label)
                ));
            }
        }
        Ok(())
    }

    /// What to say when a certificate was looked for and there is none.
    pub(super) fn no_certificate(&self) -> CertError {
        let advice = match self.nature {
            _ if !self.keys.is_empty() => {
                "this is a private key, not a certificate; the two files may be swapped"
            }
            Nature::Request => {
                "this is a request for a certificate; use the file the authority sent back"
            }
            Nature::Der => {
                "this is in DER form; convert it with openssl x509 -inform DER -in FILE -out FILE.crt (or, if a password opens \
                 it, openssl pkcs12 -in FILE -noenc -out FILE.pem)"
            }
            Nature::PublicKey | Nature::OtherBlocks | Nature::Text => {
                "there is no certificate in this file (no line -----BEGIN CERTIFICATE-----)"
            }
        };
        CertError::new(&self.path, advice)
    }

    /// What to say when a private key was looked for and there is none.
    pub(super) fn no_key(&self) -> CertError {
        let advice = match self.nature {
            _ if !self.certificates.is_empty() => {
                "this is a certificate, not a private key; the two files may be swapped"
            }
            Nature::PublicKey => "this is a public key; the private one is needed",
            Nature::Der => {
                "this is in DER form; convert it with openssl pkey -inform DER -in FILE -out FILE.key"
            }
            Nature::Request | Nature::OtherBlocks | Nature::Text => {
                "there is no private key in this file (no line -----BEGIN PRIVATE KEY-----)"
            }
        };
        CertError::new(&self.path, advice)
    }

    /// A warning, if everybody on this machine can read the file, or write another key into it.
    ///
    /// That a group can read it is not worth one: it is how a server that is not root reads a key of root's.
    pub(super) fn exposure(&self) -> Option<String> {
        let mode = fs::metadata(&self.path).ok()?.permissions().mode();
        let file = self.path.display();
        let can = match mode & 0o006 {
            0 => return None,
            0o004 => "read",
            0o002 => "replace",
            _ => "read and replace",
        };
        Some(format!(
            "{file}: every user of this machine can {can} this private key (its mode is {:04o}): run `chmod o-rwx {file}`",
            mode & 0o7777
        ))
    }
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, CertError> {
    let too_large = || CertError::new(path, "too large for a certificate or key");
    let metadata = fs::metadata(path).map_err(|error| CertError::io(path, &error))?;
    // Opening a pipe would wait for somebody to write to it.
    if !metadata.is_file() && !metadata.is_dir() {
        return Err(CertError::new(path, "this is not a file"));
    }
    let file = fs::File::open(path).map_err(|error| CertError::io(path, &error))?;
    let size = metadata.len();
    let room = usize::try_from(size.min(CERTIFICATE_FILE_BYTES)).map_err(|_| too_large())?;
    // With room for all of it, so that no copy of a key stays behind where the buffer grew.
    let mut content = Zeroizing::new(Vec::with_capacity(room + 1));
    file.take(CERTIFICATE_FILE_BYTES + 1)
        .read_to_end(&mut content)
        .map_err(|error| CertError::io(path, &error))?;
    if content.len() as u64 > CERTIFICATE_FILE_BYTES {
        return Err(too_large());
    }
    Ok(content)
}

/// Text out of a file, fit for a terminal: it may be anything.
pub(super) fn shown(text: &str) -> String {
    const LENGTH: usize = 100;
    let printable = |c: char| if c.is_control() { '\u{fffd}' } else { c };
    let mut shown: String = text.chars().take(LENGTH).map(printable).collect();
    if text.chars().nth(LENGTH).is_some() {
        shown.push('\u{2026}');
    }
    shown
}

impl CertError {
    pub(super) fn new(path: &Path, advice: &str) -> Self {
        Self {
            message: format!("{}: {advice}", path.display()),
        }
    }

    /// What it said when one was to be written.
    pub(super) fn writing(path: &Path, error: &io::Error) -> Self {
        match error.kind() == io::ErrorKind::PermissionDenied {
            true => Self::new(
                path,
                "permission denied; run this as root, or as the user to whom the directory belongs",
            ),
            false => Self::new(path, &format!("cannot be written: {error}")),
        }
    }

    /// What the operating system said about a file or directory that was to be read.
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        let kind = error.kind();
        let advice = if kind == io::ErrorKind::PermissionDenied {
            "permission denied; let the user that runs the server read it, for example with chown"
        } else if kind == io::ErrorKind::NotFound && path.is_symlink() {
            "this is a link to a file that does not exist"
        } else if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) {
            "this link leads in a circle"
        } else if kind == io::ErrorKind::NotFound {
            "there is no such file"
        } else if kind == io::ErrorKind::IsADirectory {
            "this is a directory, not a file"
        } else {
            return Self::new(path, &error.to_string());
        };
        Self::new(path, advice)
    }
}
