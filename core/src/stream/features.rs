//! Stream features (RFC 6120 §4.3.2).

use alloc::string::ToString as _;

use super::state::Negotiation;
use super::{Cx, Stream};
use crate::config::TlsAvailable;
use crate::sasl::{Encryption, Offer, OfferEmpty, Transport, offer};
use crate::xml::{Ns, Writer};

impl Stream {
    /// Features before SASL, in the order clients should take them (RFC 6120 §4.3.2, §5.3.1): TLS, then SASL.
    pub(super) fn write_features(
        &self,
        cx: &mut Cx<'_>,
        negotiation: &mut Negotiation,
    ) -> Option<OfferEmpty> {
        let host = cx.config.hosts.get(&negotiation.host)?;
        let (offered, nothing) = match offer(&host.sasl, &negotiation.transport) {
            Ok(offered) => (offered, None),
            Err(why) => (Offer::default(), Some(why)),
        };
        negotiation.offer = offered;
        let max = cx.config.limits.unauthenticated_element_bytes;
        let starttls = negotiation.transport == Transport::Clear && host.tls == TlsAvailable::Yes;
        let required = host.sasl.encryption == Encryption::Required;
        cx.fx.out(cx.conn, |out| {
            let mut w = Writer::new(out);
            w.open("stream:features");
            if starttls {
                w.open("starttls").attribute("xmlns", Ns::Tls.uri());
                if required {
                    w.open("required").close();
                }
                w.close();
            }
            if !negotiation.offer.mechanisms.is_empty() {
                write_mechanisms(&mut w, &negotiation.offer);
            }
            write_limits(&mut w, &max.to_string());
            w.close();
        });
        match nothing {
            Some(OfferEmpty::EncryptionRequired) if starttls => None,
            nothing => nothing,
        }
    }

    /// Features after SASL.
    pub(super) fn write_bind_features(cx: &mut Cx<'_>) {
        let max = cx.config.limits.c2s_stanza_bytes;
        cx.fx.out(cx.conn, |out| {
            let mut w = Writer::new(out);
            w.open("stream:features");
            w.open("bind").attribute("xmlns", Ns::Bind.uri()).close();
            // RFC 3921 §3, as RFC 6121 left it: optional, for old clients.
            w.open("session").attribute("xmlns", Ns::Session.uri());
            w.open("optional").close().close();
            write_limits(&mut w, &max.to_string());
            w.close();
        });
    }
}

/// RFC 6120 §6.4.1, and XEP-0440 §3 beside it.
fn write_mechanisms(w: &mut Writer<'_>, offer: &Offer) {
    w.open("mechanisms").attribute("xmlns", Ns::Sasl.uri());
    for mechanism in &offer.mechanisms {
        w.leaf("mechanism", mechanism.name());
    }
    w.close();
    if !offer.bindings.is_empty() {
        w.open("sasl-channel-binding")
            .attribute("xmlns", Ns::SaslChannelBinding.uri());
        for binding in &offer.bindings {
            w.open("channel-binding").attribute("type", binding).close();
        }
        w.close();
    }
}

/// XEP-0478 §3.1. `Choice:` no idle-seconds, because a silent client is never closed while its TCP connection answers.
fn write_limits(w: &mut Writer<'_>, max_bytes: &str) {
    w.open("limits").attribute("xmlns", Ns::Limits.uri());
    w.leaf("max-bytes", max_bytes).close();
}
