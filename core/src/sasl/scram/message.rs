//! The client's two messages, read to the letter of RFC 5802 §7. Every form that the grammar lacks is `None`.

use alloc::string::String;

use crate::limits::SCRAM_NONCE_BYTES;

/// The client-first-message, split where the exchange needs it.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct ClientFirst<'a> {
    /// gs2-header with both commas: what `c=` must repeat.
    pub(super) gs2_header: &'a str,
    /// gs2-cbind-flag.
    pub(super) flag: BindingFlag<'a>,
    /// Unescaped.
    pub(super) authzid: Option<String>,
    /// client-first-message-bare, as received: it goes into the AuthMessage.
    pub(super) bare: &'a str,
    /// Unescaped.
    pub(super) username: String,
    /// c-nonce.
    pub(super) nonce: &'a str,
}

/// gs2-cbind-flag.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BindingFlag<'a> {
    /// `n`: the client cannot bind.
    Unsupported,
    /// `y`: the client could, but thinks that the server cannot.
    NotOffered,
    /// `p=`: the client binds to this type.
    Used(&'a str),
}

impl<'a> ClientFirst<'a> {
    /// `gs2-header [reserved-mext ","] username "," nonce ["," extensions]`.
    pub(super) fn parse(message: &'a str) -> Option<Self> {
        let (flag, rest) = message.split_once(',')?;
        let (authzid, bare) = rest.split_once(',')?;
        let gs2_header = message.strip_suffix(bare)?;
        let mut attributes = bare.split(',');
        // reserved-mext would stand here: `m=` is not `n=`, so it fails as RFC 5802 §5.1 wants.
        let username = attributes.next()?.strip_prefix("n=")?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        if !is_nonce(nonce) || nonce.len() > SCRAM_NONCE_BYTES {
            return None;
        }
        attributes.all(is_extension).then_some(Self {
            gs2_header,
            flag: BindingFlag::parse(flag)?,
            authzid: match authzid {
                "" => None,
                authzid => Some(unescape(authzid.strip_prefix("a=")?)?),
            },
            bare,
            username: unescape(username)?,
            nonce,
        })
    }
}

impl<'a> BindingFlag<'a> {
    fn parse(flag: &'a str) -> Option<Self> {
        match flag {
            "n" => Some(Self::Unsupported),
            "y" => Some(Self::NotOffered),
            flag => {
                let name = flag.strip_prefix("p=")?;
                let in_name = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
                (!name.is_empty() && name.bytes().all(in_name)).then_some(Self::Used(name))
            }
        }
    }
}

/// The client-final-message.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct ClientFinal<'a> {
    /// client-final-message-without-proof, as received: it goes into the AuthMessage.
    pub(super) without_proof: &'a str,
    /// channel-binding, still in base64.
    pub(super) binding: &'a str,
    /// nonce.
    pub(super) nonce: &'a str,
    /// proof, still in base64.
    pub(super) proof: &'a str,
}

impl<'a> ClientFinal<'a> {
    /// `channel-binding "," nonce ["," extensions] "," proof`.
    pub(super) fn parse(message: &'a str) -> Option<Self> {
        let (without_proof, proof) = message.rsplit_once(',')?;
        let mut attributes = without_proof.split(',');
        let binding = attributes.next()?.strip_prefix("c=")?;
        let nonce = attributes.next()?.strip_prefix("r=")?;
        attributes.all(is_extension).then_some(Self {
            without_proof,
            binding,
            nonce,
            proof: proof.strip_prefix("p=")?,
        })
    }
}

/// `printable` (RFC 5802 §7), at least one.
fn is_nonce(nonce: &str) -> bool {
    !nonce.is_empty()
        && nonce
            .bytes()
            .all(|byte| matches!(byte, 0x21..=0x2b | 0x2d..=0x7e))
}

/// An optional extension, which is ignored. The attributes that RFC 5802 defines are none: their places are fixed (§5.1), and `m`
/// fails wherever it stands.
fn is_extension(attribute: &str) -> bool {
    let Some((name, value)) = attribute.split_once('=') else {
        return false;
    };
    let mut letters = name.bytes();
    let (Some(letter), None) = (letters.next(), letters.next()) else {
        return false;
    };
    letter.is_ascii_alphabetic()
        && !b"anmrcsipve".contains(&letter)
        && !value.is_empty()
        && !value.contains('\0')
}

/// A `saslname`: `=2C` and `=3D` are the only escapes, in capitals as the grammar has them.
fn unescape(name: &str) -> Option<String> {
    if name.is_empty() || name.contains('\0') {
        return None;
    }
    let mut pieces = name.split('=');
    let mut unescaped = String::with_capacity(name.len());
    unescaped.push_str(pieces.next()?);
    for piece in pieces {
        let (character, rest) = match (piece.strip_prefix("2C"), piece.strip_prefix("3D")) {
            (Some(rest), _) => (',', rest),
            (None, Some(rest)) => ('=', rest),
            (None, None) => return None,
        };
        unescaped.push(character);
        unescaped.push_str(rest);
    }
    Some(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_client_first_message() {
        let message = "p=tls-exporter,a=me@example.com,n=a=2Cb=3Dc,r=non%ce,x=ign=ored,y=1";
        assert_eq!(
            ClientFirst::parse(message),
            Some(ClientFirst {
                gs2_header: "p=tls-exporter,a=me@example.com,",
                flag: BindingFlag::Used("tls-exporter"),
                authzid: Some("me@example.com".into()),
                bare: "n=a=2Cb=3Dc,r=non%ce,x=ign=ored,y=1",
                username: "a,b=c".into(),
                nonce: "non%ce",
            })
        );
        let first = ClientFirst::parse("n,,n=user,r=x").unwrap();
        assert_eq!((first.gs2_header, first.authzid), ("n,,", None));
        assert_eq!(first.flag, BindingFlag::Unsupported);
        let first = ClientFirst::parse("y,,n=,,r=x");
        assert_eq!(first, None);
    }

    #[test]
    fn refuses_every_other_client_first_message() {
        for message in [
            "",
            "n",
            "n,",
            "n,,",
            "n,,n=user",
            "n,n=user,r=x",
            // The flag.
            ",,n=user,r=x",
            "N,,n=user,r=x",
            "z,,n=user,r=x",
            "nn,,n=user,r=x",
            "p,,n=user,r=x",
            "p=,,n=user,r=x",
            "p=tls_unique,,n=user,r=x",
            "F,n,,n=user,r=x",
            // The authorization identity.
            "n,a=,n=user,r=x",
            "n,user,n=user,r=x",
            "n,a=b=c,n=user,r=x",
            // The name.
            "n,,n=,r=x",
            "n,,N=user,r=x",
            "n,,n=us=er,r=x",
            "n,,n=user=,r=x",
            "n,,n=user=2,r=x",
            "n,,n=user=2c,r=x",
            "n,,n=user=3d,r=x",
            "n,,n=us\0er,r=x",
            // The nonce.
            "n,,n=user,r=",
            "n,,n=user,r=a b",
            "n,,n=user,r=\u{e4}",
            "n,,n=user,r=a\u{7f}",
            // The order, and mandatory extensions.
            "n,,r=x,n=user",
            "n,,n=user,x=y,r=x",
            "n,,m=ext,n=user,r=x",
            "n,,n=user,r=x,m=ext",
            "n,,n=user,r=x,r=y",
            "n,,n=user,r=x,n=other",
            // Extensions that are none.
            "n,,n=user,r=x,",
            "n,,n=user,r=x,x",
            "n,,n=user,r=x,x=",
            "n,,n=user,r=x,xx=y",
            "n,,n=user,r=x,1=y",
            "n,,n=user,r=x,=y",
        ] {
            assert_eq!(ClientFirst::parse(message), None, "{message:?}");
        }
    }

    #[test]
    fn bounds_the_nonce() {
        let message = |len: usize| alloc::format!("n,,n=user,r={}", "x".repeat(len));
        assert!(ClientFirst::parse(&message(SCRAM_NONCE_BYTES)).is_some());
        assert!(ClientFirst::parse(&message(SCRAM_NONCE_BYTES + 1)).is_none());
    }

    #[test]
    fn reads_a_client_final_message() {
        assert_eq!(
            ClientFinal::parse("c=biws,r=nonce,x=y,p=AAA="),
            Some(ClientFinal {
                without_proof: "c=biws,r=nonce,x=y",
                binding: "biws",
                nonce: "nonce",
                proof: "AAA=",
            })
        );
    }

    #[test]
    fn refuses_every_other_client_final_message() {
        for message in [
            "",
            "c=biws",
            "c=biws,r=nonce",
            "c=biws,p=AAA=",
            "r=nonce,c=biws,p=AAA=",
            "c=biws,p=AAA=,r=nonce",
            "c=biws,r=nonce,p=AAA=,x=y",
            "c=biws,r=nonce,p=AAA=,p=AAA=",
            "c=biws,x=y,r=nonce,p=AAA=",
            "c=biws,r=nonce,m=ext,p=AAA=",
            "m=ext,c=biws,r=nonce,p=AAA=",
            "c=biws,r=nonce,,p=AAA=",
            "c=biws,r=nonce,P=AAA=",
            "C=biws,r=nonce,p=AAA=",
            "*",
        ] {
            assert_eq!(ClientFinal::parse(message), None, "{message:?}");
        }
    }
}
