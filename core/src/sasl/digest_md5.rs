//! DIGEST-MD5 (RFC 2831, which RFC 6331 has moved to historic): for clients that know nothing better, at hosts that keep passwords, where an
//! administrator takes it out of `disable_sasl_mechanisms`.
//!
//! The server is first. Nothing is protected but the sign-in (`qop` is `auth`), and no challenge is answered twice.

mod message;
#[cfg(test)]
mod tests;

use alloc::borrow::Cow;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use core::str;

use md5::{Digest as _, Md5};

use self::message::Response;
use super::standing::Standing;
use super::{Context, Credentials, Failure, Hash, Mechanism, Verified, Verifier, decoy, identity};
use crate::entropy::Entropy;
use crate::jid::BareJid;
use crate::secret::Secret;

/// The service of XMPP (RFC 3920 §6.1).
const SERVICE: &str = "xmpp";

/// A challenge was sent. Consumed by what comes: no nonce is used twice.
#[derive(Debug)]
pub(super) struct Challenged {
    nonce: String,
}

impl Challenged {
    /// The digest-challenge (RFC 2831 §2.1.1).
    pub(super) fn begin(cx: Context<'_>, entropy: &mut Entropy) -> (Vec<u8>, Self) {
        let nonce = entropy.id("digest nonce");
        let challenge = format!(
            "realm=\"{}\",nonce=\"{nonce}\",qop=\"auth\",charset=utf-8,algorithm=md5-sess",
            cx.host.as_str()
        );
        (challenge.into_bytes(), Self { nonce })
    }

    /// Reads the digest-response (§2.1.2).
    ///
    /// # Errors
    /// `MalformedRequest`, also for a nonce, a realm or a service that is not this exchange's; `InvalidAuthzid`; `NotAuthorized` for a name
    /// that no account can have.
    pub(super) fn respond(self, message: &[u8], cx: Context<'_>) -> Result<Asked, Failure> {
        let response = str::from_utf8(message)
            .ok()
            .and_then(Response::parse)
            .filter(|response| response.nonce == self.nonce)
            .filter(|response| is_of(&response.realm, cx) && serves(&response.uri, cx))
            .ok_or(Failure::MalformedRequest)?;
        let account = identity::account(&response.username, cx.host)?;
        identity::authorize(response.authzid.as_deref(), &account)?;
        Ok(Asked { account, response })
    }
}

/// Whether it is the one realm there is.
fn is_of(realm: &str, cx: Context<'_>) -> bool {
    realm == cx.host.as_str()
}

/// Whether the client means this server (§2.1.2, digest-uri): `xmpp/HOST`, or `xmpp/MACHINE/HOST`.
fn serves(uri: &str, cx: Context<'_>) -> bool {
    let mut parts = uri.split('/');
    let (service, host, name, more) = (parts.next(), parts.next(), parts.next(), parts.next());
    let host = name.or(host);
    service.is_some_and(|service| service.eq_ignore_ascii_case(SERVICE))
        && host.is_some_and(|host| host.eq_ignore_ascii_case(cx.host.as_str()))
        && more.is_none()
}

/// A response that was read; its account must be looked up.
#[derive(Debug)]
pub(super) struct Asked {
    account: BareJid,
    response: Response,
}

impl Asked {
    /// Whom to look up.
    pub(super) const fn account(&self) -> &BareJid {
        &self.account
    }

    /// Judges, and gives what proves that the server knows the password, too (§2.1.3). Who is unknown, or has keys alone, costs the same.
    ///
    /// # Errors
    /// `NotAuthorized`; `AccountDisabled` after the right response.
    pub(super) fn found(
        self,
        credentials: Option<&Credentials>,
        cx: Context<'_>,
    ) -> Result<(Vec<u8>, Verified), Failure> {
        let nobodys = decoy::keys(&self.account, Hash::Sha1, cx).stored_key;
        let (password, standing) = match credentials.map(|known| (&known.verifier, known.status)) {
            Some((Verifier::Password(password), status)) => (password, Standing::of(status)),
            Some((Verifier::Keys(_), _)) | None => (&nobodys, Standing::Unknown),
        };
        let claimed = Secret::new(self.response.response.clone().into_bytes());
        // §2.1.2.1 has clients convert what fits into ISO 8859-1. Many never did.
        let [converted, as_it_is] = [latin1, utf8].map(|written| {
            let session = self.response.session(password, written);
            let right = |method| self.response.value(&session, method);
            (right("AUTHENTICATE"), right(""))
        });
        let (right, proof) = match claimed == as_it_is.0 {
            true => as_it_is,
            false => converted,
        };
        standing.judge(&claimed, &right)?;
        let proof = [b"rspauth=", proof.expose()].concat();
        let outdated = credentials
            .is_some_and(|known| known.is_outdated(cx.provider, cx.rounds))
            .then(|| password.clone());
        let verified = Verified::new(self.account, Mechanism::DigestMd5, outdated);
        Ok((proof, verified))
    }
}

impl Response {
    /// HEX(H(A1)).
    fn session(&self, password: &Secret, written: fn(&[u8]) -> Cow<'_, [u8]>) -> Secret {
        let name = written(self.username.as_bytes());
        let password = Secret::new(written(password.expose()).into_owned());
        let secret = Md5::new()
            .chain_update(&name)
            .chain_update(b":")
            .chain_update(&self.realm)
            .chain_update(b":")
            .chain_update(password.expose())
            .finalize();
        let mut all = Md5::new()
            .chain_update(secret)
            .chain_update(b":")
            .chain_update(&self.nonce)
            .chain_update(b":")
            .chain_update(&self.cnonce);
        if let Some(authzid) = &self.authzid {
            all = all.chain_update(b":").chain_update(authzid);
        }
        hex(&all.finalize())
    }

    /// The response-value: of the client with `AUTHENTICATE`, of the server without a method.
    fn value(&self, session: &Secret, method: &str) -> Secret {
        let what = Md5::new()
            .chain_update(method)
            .chain_update(b":")
            .chain_update(&self.uri)
            .finalize();
        let value = Md5::new()
            .chain_update(session.expose())
            .chain_update(b":")
            .chain_update(&self.nonce)
            .chain_update(b":")
            .chain_update(message::FIRST)
            .chain_update(b":")
            .chain_update(&self.cnonce)
            .chain_update(b":auth:")
            .chain_update(hex(&what).expose())
            .finalize();
        hex(&value)
    }
}

fn hex(bytes: &[u8]) -> Secret {
    let mut hex = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // To a string this cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    Secret::new(hex.into_bytes())
}

fn utf8(text: &[u8]) -> Cow<'_, [u8]> {
    Cow::Borrowed(text)
}

/// ISO 8859-1, if it has all of these characters.
fn latin1(text: &[u8]) -> Cow<'_, [u8]> {
    let Ok(text) = str::from_utf8(text) else {
        return Cow::Borrowed(text);
    };
    let mut converted = Vec::with_capacity(text.len());
    for c in text.chars() {
        match u8::try_from(c) {
            Ok(byte) => converted.push(byte),
            Err(_) => return Cow::Borrowed(text.as_bytes()),
        }
    }
    Cow::Owned(converted)
}
