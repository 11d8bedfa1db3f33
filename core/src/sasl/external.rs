//! XEP-0178: Best Practices for Use of SASL EXTERNAL with Certificates, version 1.2.
//!
//! A client that showed a certificate to TLS, signed by an authority that the host trusts with that, is whom it names (RFC 4422 appendix A).

use core::str;

use super::{Context, Credentials, Failure, Mechanism, Status, Verified};
use crate::jid::BareJid;

/// Somebody whose certificate names an account; it must be looked up whether there is one.
#[derive(Debug)]
pub(super) struct Asked {
    account: BareJid,
}

impl Asked {
    /// Reads the message of the client, which is the identity it wants, or nothing (XEP-0178 §2).
    ///
    /// # Errors
    /// `MalformedRequest` for no text; `InvalidAuthzid` for an identity that the certificate does not name, and for none where it names
    /// several.
    pub(super) fn read(message: &[u8], cx: Context<'_>) -> Result<Self, Failure> {
        let text = str::from_utf8(message).map_err(|_| Failure::MalformedRequest)?;
        let named = cx.transport.certified();
        let account = match (text, named) {
            ("", [one]) => Some(one.clone()),
            ("", _) => None,
            (text, named) => BareJid::parse(text)
                .ok()
                .filter(|wanted| named.contains(wanted)),
        };
        let account = account.filter(|account| account.domain() == cx.host.as_str());
        Ok(Self {
            account: account.ok_or(Failure::InvalidAuthzid)?,
        })
    }

    /// Whom to look up.
    pub(super) const fn account(&self) -> &BareJid {
        &self.account
    }

    /// Whether there is such an account, whatever it could sign in by besides.
    ///
    /// # Errors
    /// `NotAuthorized` if there is none (XEP-0178 §2), `AccountDisabled`.
    pub(super) fn found(self, credentials: Option<&Credentials>) -> Result<Verified, Failure> {
        match credentials.map(|credentials| credentials.status) {
            Some(Status::Enabled) => Ok(Verified::new(self.account, Mechanism::External, None)),
            Some(Status::Disabled) => Err(Failure::AccountDisabled),
            None => Err(Failure::NotAuthorized),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    use alloc::vec::Vec;

    use super::*;
    use crate::jid::Domain;
    use crate::sasl::{ChannelBindings, Derives, Offer, Provider, Transport};

    fn jid(text: &str) -> BareJid {
        BareJid::parse(text).unwrap()
    }

    fn read(named: &[&str], message: &[u8]) -> Result<BareJid, Failure> {
        let named: Vec<BareJid> = named.iter().map(|name| jid(name)).collect();
        let cx = Context {
            host: &Domain::parse("a.example").unwrap(),
            offer: &Offer::default(),
            transport: &Transport::Certified(ChannelBindings::default(), named),
            server_secret: &[7; 32],
            rounds: 4096,
            former_rounds: &[],
            provider: Provider::Hashed,
            derives: Derives::IfNeeded,
        };
        Asked::read(message, cx).map(|asked| asked.account)
    }

    #[test]
    fn a_client_is_whom_its_certificate_names_or_one_of_those() {
        let juliet = Ok(jid("juliet@a.example"));
        let invalid = Err(Failure::InvalidAuthzid);
        let one: &[&str] = &["juliet@a.example"];
        let both: &[&str] = &["romeo@a.example", "juliet@a.example"];
        for (named, message, outcome) in [
            (one, &b""[..], &juliet),
            (one, b"juliet@a.example", &juliet),
            (one, b"Juliet@A.example", &juliet),
            (one, b"romeo@a.example", &invalid),
            (one, b"juliet@a.example/balcony", &invalid),
            (one, b"a.example", &invalid),
            (both, b"juliet@a.example", &juliet),
            (both, b"", &invalid),
            (&[], b"", &invalid),
            (&[], b"juliet@a.example", &invalid),
            // Whoever vouches for one host vouches for no other.
            (&["juliet@b.example"], b"", &invalid),
            (&["juliet@b.example"], b"juliet@b.example", &invalid),
            (one, b"\xff", &Err(Failure::MalformedRequest)),
        ] {
            assert_eq!(read(named, message), *outcome, "{named:?} {message:?}");
        }
    }

    #[test]
    fn there_must_be_an_account_that_may_sign_in() {
        let found = |status: Option<Status>| {
            let asked = Asked {
                account: jid("juliet@a.example"),
            };
            let credentials = status.map(|status| Credentials::hashed(status, vec![]));
            let verified = asked.found(credentials.as_ref());
            verified.map(|verified| verified.mechanism())
        };
        assert_eq!(found(Some(Status::Enabled)), Ok(Mechanism::External));
        assert_eq!(found(Some(Status::Disabled)), Err(Failure::AccountDisabled));
        assert_eq!(found(None), Err(Failure::NotAuthorized));
    }
}
