//! Stream features (RFC 6120 §4.3.2).

use alloc::string::ToString as _;
use core::time::Duration;

use super::Negotiation;
use crate::config::TlsAvailable;
use crate::port::{TlsInfo, TlsVersion};
use crate::sasl::{ChannelBindings, Encryption, Offer, OfferEmpty, Transport, offer};
use crate::stream::{Cx, Stream};
use crate::xml::{Ns, Writer};

impl Stream {
    /// Features before SASL, in the order clients should take them (RFC 6120 §4.3.2, §5.3.1): TLS, then SASL.
    pub(in crate::stream) fn write_features(
        &self,
        cx: &mut Cx<'_>,
        negotiation: &mut Negotiation,
    ) -> Option<OfferEmpty> {
        let host = cx.config.accounts(&negotiation.host)?;
        let (offered, nothing) = match offer(&host.sasl, host.provider, &negotiation.transport) {
            Ok(offered) => (offered.for_all(&cx.tallies.of(&negotiation.host)), None),
            Err(why) => (Offer::default(), Some(why)),
        };
        negotiation.offer = offered;
        let registers = self.may_register(cx, host);
        let max = cx.config.limits.unauthenticated_element_bytes;
        let starttls = negotiation.transport == Transport::Clear && host.tls == TlsAvailable::Yes;
        let required = host.sasl.encryption == Encryption::Required;
        let deadline = match required && negotiation.transport == Transport::Clear {
            true => cx.config.limits.until_tls,
            false => cx.config.limits.negotiation,
        };
        cx.say(|out| {
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
            if registers {
                // XEP-0077 §8.
                let xmlns = Ns::RegistrationFeature.uri();
                w.open("register").attribute("xmlns", xmlns).close();
            }
            write_limits(&mut w, max, deadline);
            w.close();
        });
        match nothing {
            Some(OfferEmpty::EncryptionRequired) if starttls => None,
            nothing => nothing,
        }
    }

    /// Features after SASL.
    pub(in crate::stream) fn write_bind_features(cx: &mut Cx<'_>, host: &str) {
        let max = cx.config.limits.c2s_stanza_bytes;
        let idle = cx.config.limits.idle;
        let capabilities = cx.capabilities;
        cx.say(|out| {
            let mut w = Writer::new(out);
            w.open("stream:features");
            w.open("bind").attribute("xmlns", Ns::Bind.uri()).close();
            // RFC 3921 §3, as RFC 6121 left it: optional, for old clients.
            w.open("session").attribute("xmlns", Ns::Session.uri());
            w.open("optional").close().close();
            // RFC 6121 §2.6.1.
            w.open("ver")
                .attribute("xmlns", Ns::RosterVersioning.uri())
                .close();
            // RFC 6121 §3.4.
            w.open("sub")
                .attribute("xmlns", Ns::PreApproval.uri())
                .close();
            // XEP-0198 §2, XEP-0352 §4.1.
            w.open("sm")
                .attribute("xmlns", Ns::StreamManagement.uri())
                .close();
            w.open("csi")
                .attribute("xmlns", Ns::ClientState.uri())
                .close();
            capabilities.write(&mut w, host);
            write_limits(&mut w, max, idle);
            w.close();
        });
    }
}

/// What SASL may bind to.
///
/// `Deviation:` XEP-0440 §3 wants `tls-server-end-point` of every server. With TLS 1.2 nothing is bound to: RFC 5802 §6.1 has clients
/// take `tls-unique` there, which we do not have, and those that never ask what else there is fail with each -PLUS in turn
/// before they go without. Where neither -PLUS nor a type is announced, clients that could bind say so (`y`), and whoever took
/// both out is found. With TLS 1.3 there is no `tls-unique`, and `tls-exporter` is the default (RFC 9266).
pub(in crate::stream) fn transport(tls: TlsInfo) -> Transport {
    let bindings = match tls.version {
        TlsVersion::V1_2 => ChannelBindings::default(),
        TlsVersion::V1_3 => tls.bindings,
    };
    match tls.client {
        Some(client) => Transport::Certified(bindings, client.names),
        None => Transport::Tls(bindings),
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

/// XEP-0478 §3.1. Silence for so long ends a stream under negotiation, which has no longer in all; in a session it makes us write a
/// space, to find out whether anybody is there.
pub(in crate::stream) fn write_limits(w: &mut Writer<'_>, max_bytes: u32, idle: Duration) {
    w.open("limits").attribute("xmlns", Ns::Limits.uri());
    w.leaf("max-bytes", &max_bytes.to_string());
    w.leaf("idle-seconds", &idle.as_secs().to_string()).close();
}
