//! What a stream promises its shard: when it wants input, what it waits for and for how long.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::{Cx, Ending, Event, Expiry, Stream, Violation};
use crate::arena::Arena;
use crate::config::{Config, of_localhost};
use crate::effects::Effects;
use crate::entropy::Entropy;
use crate::envelope::Place;
use crate::jid::Jid;
use crate::limits::Limits;
use crate::port::{ConnId, Listener, Opening, TlsInfo, TlsVersion};
use crate::sasl::{ChannelBindings, Credentials, DeriveParams, Failure, ScramKeys, Status};
use crate::secret::Secret;
use crate::store::StoreError;
use crate::time::{Instant, Now};
use crate::xep::Capabilities;

const HEADER: &str = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
     xmlns:stream='http://etherx.jabber.org/streams'>";
const BIND: &str = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
const SECOND: Duration = Duration::from_secs(1);

/// A stream and what surrounds it.
struct Stage {
    stream: Stream,
    config: Config,
    entropy: Entropy,
    fx: Effects,
    conn: ConnId,
    now: Now,
}

impl Stage {
    fn new(opening: Opening) -> Self {
        let config = of_localhost();
        let mut fx = Effects::new(Place { node: 0, shard: 0 }, &config.limits);
        let conn = Arena::<ConnId, ()>::default().insert(());
        fx.open(conn, Vec::new());
        let now = Now {
            mono: Instant(1_000_000_000_000),
            ..Now::default()
        };
        Self {
            stream: Stream::new(Listener::of_clients(opening), now, &config),
            config,
            entropy: Entropy::new([0; 32]),
            fx,
            conn,
            now,
        }
    }

    /// One below TLS that has had its features.
    fn secured() -> Self {
        let mut stage = Self::new(Opening::Tls);
        let tls = TlsInfo {
            version: TlsVersion::V1_3,
            suite: "TLS_AES_128_GCM_SHA256",
            bindings: ChannelBindings::default(),
            client: None,
            server: None,
        };
        assert!(stage.call(|s, cx| s.secured(cx, tls)).is_none());
        assert!(stage.hear(HEADER).is_none());
        stage
    }

    /// One that waits for credentials.
    fn looking_up() -> Self {
        let mut stage = Self::secured();
        let event = stage.hear(&plain("juliet", "secret"));
        assert!(matches!(&event, Some(Event::Lookup(jid)) if jid.as_str() == "juliet@localhost"));
        stage
    }

    /// One that is verified, as the event says.
    fn verified() -> (Self, Event) {
        let mut stage = Self::looking_up();
        let record = record();
        let event = stage.call(|s, cx| s.credentials(cx, Ok(Some(record)), 42));
        let Some(Event::Derive(job, password)) = event else {
            panic!("{event:?}");
        };
        let keys = vec![job.derive(&password)];
        let event = stage.call(|s, cx| s.derived(cx, Ok(keys))).unwrap();
        (stage, event)
    }

    /// One with a session.
    fn established() -> Self {
        let (mut stage, _) = Self::verified();
        stage.call(|s, cx| s.admitted(cx));
        assert!(matches!(stage.hear(HEADER), Some(Event::AtOwner)));
        let Some(Event::Bind { request, .. }) = stage.hear(BIND) else {
            panic!("no request to bind");
        };
        let jid = Jid::parse("juliet@localhost/balcony").unwrap();
        stage.call(|s, cx| s.bound(cx, jid, &request));
        stage
    }

    fn call<T>(&mut self, call: impl FnOnce(&mut Stream, &mut Cx<'_>) -> T) -> T {
        let mut cx = Cx {
            now: self.now,
            config: &self.config,
            entropy: &mut self.entropy,
            fx: &mut self.fx,
            conn: self.conn,
            capabilities: &Capabilities::of(&self.config),
            tallies: &crate::sasl::Tallies::default(),
            dialback: &self.config.dialback_keys(),
        };
        call(&mut self.stream, &mut cx)
    }

    /// The first event of `text`, all of which is taken.
    fn hear(&mut self, text: &str) -> Option<Event> {
        let (event, rest) = self.hear_some(text);
        assert_eq!(rest, "", "{event:?}");
        event
    }

    /// The first event of `text`, and what was not taken.
    fn hear_some<'t>(&mut self, text: &'t str) -> (Option<Event>, &'t str) {
        let mut input = text.as_bytes();
        let event = self.call(|s, cx| {
            let early = s.hear(cx, input);
            early.or_else(|| s.poll(cx, &mut input))
        });
        let taken = text.len() - input.len();
        (event, text.get(taken..).unwrap())
    }

    /// What it has said since this was asked last.
    fn said(&mut self) -> String {
        let said = String::from_utf8(self.fx.outgoing(self.conn).to_vec()).unwrap();
        self.fx.sent(self.conn, said.len());
        said
    }

    fn patience(&mut self) -> Duration {
        self.call(|s, cx| s.patience(cx))
    }

    fn wait(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
    }

    fn expire(&mut self) -> Expiry {
        self.call(|s, cx| s.expire(cx))
    }
}

fn plain(name: &str, password: &str) -> String {
    let message = STANDARD.encode(format!("\0{name}\0{password}"));
    format!("<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{message}</auth>")
}

/// The credentials of somebody whose password is `secret`.
fn record() -> Bytes {
    let password = Secret::new(b"secret".to_vec());
    let jobs = DeriveParams::for_new_password(4096, &mut Entropy::new([1; 32]));
    let keys: Vec<ScramKeys> = jobs.iter().map(|job| job.derive(&password)).collect();
    let status = Status::Enabled;
    Credentials::hashed(status, keys).to_record()
}

#[test]
fn each_state_has_its_deadline() {
    let limits = Limits::default();
    let until_tls = limits.until_tls - SECOND;
    let all = limits.negotiation - SECOND;
    let mut clear = Stage::new(Opening::Clear);
    let mut handshake = Stage::new(Opening::Tls);
    let mut negotiates = Stage::secured();
    let mut waits = Stage::looking_up();
    let (mut admit, _) = Stage::verified();
    let mut session = Stage::established();
    let mut closing = Stage::established();
    closing.call(|s, cx| s.fail(cx, Violation::Shutdown));
    for (what, stage, expected) in [
        ("in front of TLS", &mut clear, until_tls),
        ("shaking hands", &mut handshake, until_tls),
        ("below TLS", &mut negotiates, all),
        ("waiting for the store", &mut waits, all),
        ("waiting for the owner", &mut admit, all),
        ("with a session", &mut session, limits.idle - SECOND),
        ("closing, from now on", &mut closing, limits.close),
    ] {
        stage.wait(SECOND);
        assert_eq!(stage.patience(), expected, "{what}");
    }
    // Where TLS is required, nothing goes on without: the header wins no time.
    assert!(clear.hear(HEADER).is_none());
    assert_eq!(clear.patience(), until_tls);
}

#[test]
fn a_deadline_that_has_moved_is_waited_for_again() {
    let mut stage = Stage::established();
    stage.wait(SECOND * 60);
    assert!(stage.hear(" ").is_none());
    let idle = stage.config.limits.idle;
    stage.wait(idle - SECOND);
    assert!(matches!(stage.expire(), Expiry::Again(left) if left == SECOND));
    stage.said();
    stage.wait(SECOND);
    assert!(matches!(stage.expire(), Expiry::Again(left) if left == idle));
    assert_eq!(stage.said(), " ");
}

#[test]
fn a_deadline_ends_a_stream_as_its_state_has_it() {
    let mut clear = Stage::new(Opening::Clear);
    clear.wait(Limits::default().negotiation);
    assert!(matches!(clear.expire(), Expiry::Fail(Violation::Timeout)));
    // Nothing of ours could be read in the middle of a handshake.
    let mut handshake = Stage::new(Opening::Tls);
    handshake.wait(Limits::default().negotiation);
    assert!(matches!(handshake.expire(), Expiry::Close));
    let mut closing = Stage::secured();
    closing.call(|s, cx| s.fail(cx, Violation::Shutdown));
    assert!(matches!(closing.expire(), Expiry::Close));
}

#[test]
fn a_held_up_sign_in_is_answered_late_and_before_the_stream_ends() {
    let mut stage = Stage::looking_up();
    let Limits {
        sasl_delay,
        negotiation,
        ..
    } = Limits::default();
    stage.said();
    stage.call(|s, cx| s.hold_up(cx));
    assert_eq!(stage.patience(), sasl_delay);
    // What the store says now comes too late.
    let record = record();
    assert!(
        stage
            .call(|s, cx| s.credentials(cx, Ok(Some(record)), 0))
            .is_none()
    );
    stage.wait(sasl_delay);
    let Expiry::Said(Some(Event::SignInFailed(account, failure))) = stage.expire() else {
        panic!("nothing was said");
    };
    assert_eq!(account.unwrap().as_str(), "juliet@localhost");
    assert_eq!(failure, Failure::TemporaryAuthFailure);
    assert!(stage.said().contains("<temporary-auth-failure/>"));

    let mut late = Stage::looking_up();
    late.wait(negotiation - SECOND);
    late.call(|s, cx| s.hold_up(cx));
    assert_eq!(late.patience(), SECOND);
    late.wait(SECOND);
    assert!(matches!(late.expire(), Expiry::Fail(Violation::Timeout)));
}

#[test]
fn nothing_is_taken_while_an_answer_is_awaited() {
    let mut stage = Stage::secured();
    let next = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    let both = format!("{}{next}", plain("juliet", "secret"));
    let (event, rest) = stage.hear_some(&both);
    assert!(matches!(event, Some(Event::Lookup(_))) && stage.stream.waits());
    assert_eq!(rest, next);
    let (event, rest) = stage.hear_some(next);
    assert!(event.is_none());
    assert_eq!(rest, next);
    stage.stream.hold(next.as_bytes());
    assert!(stage.stream.holds());
    // The end takes what was held with it.
    stage.call(|s, cx| s.fail(cx, Violation::Shutdown));
    assert!(!stage.stream.holds() && !stage.stream.waits());
}

#[test]
fn what_stands_behind_starttls_goes_to_tls() {
    let mut stage = Stage::new(Opening::Clear);
    assert!(stage.hear(HEADER).is_none());
    let event = stage.hear("<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>\x16\x03");
    assert!(matches!(event, Some(Event::Secure(_, behind)) if behind == b"\x16\x03"));
    assert!(stage.stream.waits());
    assert!(stage.hear(" \n").is_none());
    assert!(matches!(stage.hear_some("<a/>").0, Some(Event::Close)));
}

#[test]
fn an_answer_to_a_stream_that_has_ended_says_nothing() {
    let mut stage = Stage::looking_up();
    stage.call(|s, cx| s.fail(cx, Violation::Shutdown));
    stage.said();
    assert!(
        stage
            .call(|s, cx| s.credentials(cx, Err(StoreError::Failed), 0))
            .is_none()
    );
    assert!(stage.call(|s, cx| s.derived(cx, Ok(Vec::new()))).is_none());
    assert!(
        stage
            .call(|s, cx| s.refused(cx, Failure::NotAuthorized))
            .is_none()
    );
    stage.call(|s, cx| s.admitted(cx));
    assert_eq!(stage.said(), "");
}

#[test]
fn a_verified_sign_in_says_what_it_was_verified_against() {
    let (mut stage, event) = Stage::verified();
    let Event::Verified(sign_in) = event else {
        panic!("{event:?}");
    };
    assert_eq!(sign_in.verified.account().as_str(), "juliet@localhost");
    assert_eq!(sign_in.record, super::record_hash(&[0; 32], &record()));
    assert_eq!(sign_in.as_of, 42);
    assert!(
        stage.said().ends_with("</stream:features>"),
        "success was not written yet"
    );
    assert!(stage.stream.signs_in() && !stage.stream.is_signed_in());
    stage.call(|s, cx| s.admitted(cx));
    assert!(!stage.stream.signs_in() && stage.stream.is_signed_in());
}

#[test]
fn who_does_not_exist_is_rejected_like_a_wrong_password() {
    let mut stage = Stage::looking_up();
    let event = stage.call(|s, cx| s.credentials(cx, Ok(None), 0));
    let Some(Event::Derive(job, password)) = event else {
        panic!("{event:?}");
    };
    let keys = vec![job.derive(&password)];
    let event = stage.call(|s, cx| s.derived(cx, Ok(keys)));
    assert!(
        matches!(event, Some(Event::Rejected(Some(jid))) if jid.as_str() == "juliet@localhost")
    );
}

#[test]
fn a_second_end_is_not_told() {
    let mut stage = Stage::established();
    stage.said();
    let event = stage.call(|s, cx| s.fail(cx, Violation::Shutdown));
    let Event::Closing(Some(Ending { account, .. })) = event else {
        panic!("{event:?}");
    };
    assert_eq!(account.unwrap().as_str(), "juliet@localhost");
    assert!(stage.said().ends_with("</stream:error></stream:stream>"));
    let again = stage.call(|s, cx| s.fail(cx, Violation::Timeout));
    assert!(matches!(again, Event::Closing(None)));
    assert!(matches!(
        stage.hear("<presence/></stream:stream>"),
        Some(Event::Close)
    ));
    assert_eq!(stage.said(), "");
}
