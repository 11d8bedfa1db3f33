//! What another server's headers are answered with: stream features (RFC 6120 §4.3.2).

use super::bidi::{BothWays, write_feature};
use crate::federation::{Method, Offer};
use crate::limits::{S2S_IDLE, S2S_UNPROVEN_ELEMENT_BYTES};
use crate::port::Starttls;
use crate::stream::client::write_limits;
use crate::stream::{Cx, Stream};
use crate::xml::{Ns, Writer};

impl Stream {
    /// What policy lets there be.
    pub(super) fn write_server_features(cx: &mut Cx<'_>, offer: &Offer, both_ways: BothWays) {
        // `Choice:` the bounds of who has proven a domain, where one can be proven by dialback: no features follow that, and a stanza
        // that would be too large before it is refused then for another reason.
        let (max, idle) = match offer.dialback {
            Method::Offered => (cx.config.federation.stanza_bytes, S2S_IDLE),
            Method::Absent => (S2S_UNPROVEN_ELEMENT_BYTES, cx.config.limits.until_tls),
        };
        cx.say(|out| {
            let mut w = Writer::new(out);
            w.open("stream:features");
            if let Some(starttls) = offer.starttls {
                w.open("starttls").attribute("xmlns", Ns::Tls.uri());
                if starttls == Starttls::Required {
                    w.open("required").close();
                }
                w.close();
            }
            if offer.external == Method::Offered {
                w.open("mechanisms").attribute("xmlns", Ns::Sasl.uri());
                w.leaf("mechanism", "EXTERNAL").close();
            }
            write_feature(&mut w, both_ways);
            if offer.dialback == Method::Offered {
                // XEP-0220 §2.4.2.
                let xmlns = Ns::DialbackFeature.uri();
                w.open("dialback").attribute("xmlns", xmlns);
                w.open("errors").close().close();
                // XEP-0198 §3: for behind the proof, as the limits are. No features follow dialback.
                let xmlns = Ns::StreamManagement.uri();
                w.open("sm").attribute("xmlns", xmlns).close();
            }
            write_limits(&mut w, max, idle);
            w.close();
        });
    }
}
