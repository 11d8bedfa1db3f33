//! A shell at fault: what the core does with plaintext where a TLS handshake belongs (RFC 6120 §5.4.3.1).

use std::net::SocketAddr;
use std::sync::Arc;

use spec_tests::memory::config;
use spec_tests::talk::header;
use spondee_core::envelope::Place;
use spondee_core::port::{Action, ConnId, Input, Listener, Opening, TlsInfo, TlsVersion};
use spondee_core::sasl::ChannelBindings;
use spondee_core::shard::Shard;
use spondee_core::time::{Instant, Now, UnixTime};

use crate::stage::Outcome;
use crate::starttls::{starttls, whole_sign_in};

/// The core alone, told by a shell that is at fault: plaintext between `Secure` and `Secured`, or before a TLS port's handshake.
#[test]
fn the_core_closes_a_connection_whose_shell_lets_plaintext_into_the_handshake() -> Outcome {
    for opening in [Opening::Clear, Opening::Tls] {
        let mut alone = Alone::new(opening);
        if opening == Opening::Clear {
            alone.hear(&header("localhost"));
            alone.hear(&starttls());
        }
        alone.hear(&whole_sign_in());
        alone.shard.handle(alone.now, secured(alone.conn));
        alone.hear(&whole_sign_in());
        let (actions, said) = alone.drain();
        let closes = actions.iter().filter(|a| matches!(a, Action::Close { .. }));
        assert_eq!(closes.count(), 1, "{actions:?}");
        let asked = actions
            .iter()
            .any(|a| matches!(a, Action::Store { .. } | Action::Derive { .. }));
        assert!(!asked, "{actions:?}");
        let last = match opening {
            Opening::Clear => "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            Opening::Tls => "",
        };
        assert!(
            said.ends_with(last) && last.is_empty() == said.is_empty(),
            "{said}"
        );
    }
    Ok(())
}

/// `Deviation:` as for the pump, white space does no harm there; and it does not stop the shell's reading, which is the handshake's.
#[test]
fn white_space_in_the_handshake_is_forgotten() -> Outcome {
    let mut alone = Alone::new(Opening::Clear);
    alone.hear(&header("localhost"));
    alone.hear(&(starttls() + "\n"));
    alone.hear("\r\n \t");
    let (actions, _) = alone.drain();
    let stopped = actions
        .iter()
        .any(|a| matches!(a, Action::Pause { .. } | Action::Close { .. }));
    assert!(!stopped, "{actions:?}");
    alone.shard.handle(alone.now, secured(alone.conn));
    alone.hear(&header("localhost"));
    let (_, said) = alone.drain();
    assert!(said.contains("<mechanisms "), "{said}");
    Ok(())
}

/// A shard without a shell.
struct Alone {
    shard: Shard,
    now: Now,
    conn: ConnId,
}

impl Alone {
    fn new(opening: Opening) -> Self {
        let now = Now {
            mono: Instant(1_000_000),
            wall: UnixTime(1_800_000_000_000),
        };
        let mut shard = Shard::new(Arc::new(config()), Place { node: 0, shard: 0 }, [1; 32]);
        let peer: SocketAddr = ([127, 0, 0, 1], 4321).into();
        let conn = shard.accept(now, Listener::of_clients(opening), peer);
        Self { shard, now, conn }
    }

    /// Nothing is drained in between: as many inputs may come before it as do.
    fn hear(&mut self, text: &str) {
        let (conn, bytes) = (self.conn, text.as_bytes());
        self.shard.handle(self.now, Input::Bytes { conn, bytes });
    }

    fn drain(&mut self) -> (Vec<Action>, String) {
        let actions: Vec<Action> = std::iter::from_fn(|| self.shard.poll_action()).collect();
        let said = self.shard.outgoing(self.conn).to_vec();
        self.shard.sent(self.conn, said.len());
        (actions, String::from_utf8_lossy(&said).into_owned())
    }
}

fn secured(conn: ConnId) -> Input<'static> {
    let tls = Box::new(TlsInfo {
        version: TlsVersion::V1_3,
        suite: "TLS_AES_128_GCM_SHA256",
        bindings: ChannelBindings {
            exporter: Some([1; 32]),
            end_point: Some(vec![2; 32]),
        },
        client: None,
        server: None,
    });
    Input::Secured { conn, tls }
}
