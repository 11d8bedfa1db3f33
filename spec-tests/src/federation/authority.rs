//! What a server may show of itself: good certificates of every kind that is about, and each kind of bad one.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, KeyPair};

use crate::ca::Authority;

/// A certificate, by what is right or wrong with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Paper {
    /// Of the test's authority, for servers and clients, with all three forms of the name: xmppAddr, SRVName, dNSName (RFC 6120 §13.7.1.2).
    /// ejabberd 23.01 loses each stream on which it sees one: it takes an xmppAddr for a list of names.
    Full,
    /// Good, with the dNSName alone, as public authorities give them.
    DnsOnly,
    /// The same, and with a dNSName for all names right below that one.
    Wildcard,
    /// Good, with the dNSName alone, and by its extended key usage for servers alone, as they will give them soon.
    ServerUse,
    /// Ended yesterday.
    Expired,
    /// Good, of another name.
    WrongName,
    /// Its own issuer.
    SelfSigned,
    /// Of an authority that nobody trusts.
    Untrusted,
}

impl Paper {
    /// All there are.
    pub const ALL: [Self; 8] = [
        Self::Full,
        Self::DnsOnly,
        Self::Wildcard,
        Self::ServerUse,
        Self::Expired,
        Self::WrongName,
        Self::SelfSigned,
        Self::Untrusted,
    ];

    /// Whether who trusts the authority has nothing against it, as far as its use is not looked at.
    #[must_use]
    pub const fn is_good(self) -> bool {
        match self {
            Self::Full | Self::DnsOnly | Self::Wildcard | Self::ServerUse => true,
            Self::Expired | Self::WrongName | Self::SelfSigned | Self::Untrusted => false,
        }
    }

    fn params(self, domain: &str) -> CertificateParams {
        let mut params = CertificateParams::default();
        let domain = match self {
            Self::WrongName => "somebody.else.example",
            Self::Full
            | Self::DnsOnly
            | Self::Wildcard
            | Self::ServerUse
            | Self::Expired
            | Self::SelfSigned
            | Self::Untrusted => domain,
        };
        // ejabberd takes this for a name of the server, whatever other names there are.
        params.distinguished_name.push(DnType::CommonName, domain);
        let names = match self {
            Self::Full => vec![xmpp_addr(domain), srv_name(domain), dns_name(domain)],
            Self::Wildcard => vec![dns_name(domain), dns_name(&format!("*.{domain}"))],
            Self::WrongName
            | Self::DnsOnly
            | Self::ServerUse
            | Self::Expired
            | Self::SelfSigned
            | Self::Untrusted => vec![dns_name(domain)],
        };
        let names = tlv(SEQUENCE, &names.concat());
        let names = CustomExtension::from_oid_content(SUBJECT_ALT_NAME, names);
        params.custom_extensions.push(names);
        params.extended_key_usages = match self {
            Self::ServerUse => vec![ExtendedKeyUsagePurpose::ServerAuth],
            Self::Full
            | Self::DnsOnly
            | Self::Wildcard
            | Self::Expired
            | Self::WrongName
            | Self::SelfSigned
            | Self::Untrusted => vec![
                ExtendedKeyUsagePurpose::ServerAuth,
                ExtendedKeyUsagePurpose::ClientAuth,
            ],
        };
        let now = SystemTime::now();
        let (begins, ends) = match self {
            Self::Expired => (now - 30 * DAY, now - DAY),
            Self::Full
            | Self::DnsOnly
            | Self::Wildcard
            | Self::ServerUse
            | Self::WrongName
            | Self::SelfSigned
            | Self::Untrusted => (now - DAY, now + 60 * DAY),
        };
        params.not_before = begins.into();
        params.not_after = ends.into();
        params
    }
}

/// The authority that all trust, and the one that nobody does.
#[derive(Debug)]
pub struct Authorities {
    trusted: Authority,
    stranger: Authority,
}

impl Authorities {
    /// New ones; the certificate of the trusted one lies in `directory`.
    ///
    /// # Errors
    /// Something cannot be made or written.
    pub fn new(directory: &Path) -> std::io::Result<Self> {
        let away = directory.join("stranger");
        fs::create_dir(&away)?;
        Ok(Self {
            trusted: Authority::new(directory)?,
            stranger: Authority::named(&away, "authority that nobody trusts")?,
        })
    }

    /// The file that who trusts it is told.
    #[must_use]
    pub fn trusted(&self) -> &Path {
        self.trusted.path()
    }

    /// Writes `DOMAIN.crt`, `DOMAIN.key` and, for programs that want both in one, `DOMAIN.pem`.
    ///
    /// # Errors
    /// One cannot be made or written.
    pub fn issue(&self, paper: Paper, domain: &str, directory: &Path) -> std::io::Result<Files> {
        let key = KeyPair::generate().map_err(std::io::Error::other)?;
        let params = paper.params(domain);
        let certificate = match paper {
            Paper::SelfSigned => {
                let own = params.self_signed(&key);
                own.map_err(std::io::Error::other)?.pem()
            }
            Paper::Untrusted => self.stranger.vouch(&params, &key)?,
            Paper::Full
            | Paper::DnsOnly
            | Paper::Wildcard
            | Paper::ServerUse
            | Paper::Expired
            | Paper::WrongName => self.trusted.vouch(&params, &key)?,
        };
        let path = |kind: &str| directory.join(format!("{domain}.{kind}"));
        let files = Files {
            certificate: path("crt"),
            key: path("key"),
            both: path("pem"),
        };
        let key = key.serialize_pem();
        write_for_owner(&files.both, &format!("{certificate}{key}"))?;
        write_for_owner(&files.key, &key)?;
        fs::write(&files.certificate, certificate)?;
        Ok(files)
    }
}

/// Where a certificate and its key lie.
#[derive(Clone, Debug)]
pub struct Files {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
    /// Both.
    pub both: PathBuf,
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The extension of names. It is written here: rcgen writes other names as UTF-8 alone, and an SRVName is an `IA5String` (RFC 4985 §2).
const SUBJECT_ALT_NAME: &[u64] = &[2, 5, 29, 17];
const SEQUENCE: u8 = 0x30;
const UTF8: u8 = 0x0c;
const IA5: u8 = 0x16;
/// `GeneralName`: `otherName` is the first, `dNSName` the third (RFC 5280 §4.2.1.6).
const OTHER_NAME: u8 = 0xa0;
const DNS_NAME: u8 = 0x82;
/// `1.3.6.1.5.5.7.8.5` and `1.3.6.1.5.5.7.8.7`.
const XMPP_ADDR: &[u8] = &[0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 8, 5];
const SRV_NAME: &[u8] = &[0x06, 0x08, 0x2b, 6, 1, 5, 5, 7, 8, 7];

fn xmpp_addr(domain: &str) -> Vec<u8> {
    other_name(XMPP_ADDR, UTF8, domain)
}

fn srv_name(domain: &str) -> Vec<u8> {
    other_name(SRV_NAME, IA5, &format!("_xmpp-server.{domain}"))
}

fn dns_name(domain: &str) -> Vec<u8> {
    tlv(DNS_NAME, domain.as_bytes())
}

fn other_name(kind: &[u8], form: u8, text: &str) -> Vec<u8> {
    let value = tlv(0xa0, &tlv(form, text.as_bytes()));
    tlv(OTHER_NAME, &[kind, &value].concat())
}

/// A value of DER, of less than 64 KiB.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let [.., high, low] = content.len().to_be_bytes();
    let mut value = match (high, low) {
        (0, 0..128) => vec![tag, low],
        (_, _) => vec![tag, 0x82, high, low],
    };
    value.extend(content);
    value
}

fn write_for_owner(path: &Path, text: &str) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(text.as_bytes())
}
