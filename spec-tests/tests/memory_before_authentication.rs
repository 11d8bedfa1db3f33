//! What the core keeps for bytes of strangers, counted by the allocator: below four bytes for each byte received, beside a fixed
//! cost for each connection, and nothing once it is gone.
//!
//! The counter counts its own thread, so the tests do not disturb each other.

use std::net::SocketAddr;
use std::sync::Arc;

use allocation_counter::measure;
use spec_tests::element::{SASL, TLS};
use spec_tests::memory::config;
use spec_tests::sasl::encode;
use spec_tests::talk::{header, plain_auth};
use spondee_core::envelope::Place;
use spondee_core::limits::Limits;
use spondee_core::port::{
    Action, Closed, ConnId, Input, Listener, Opening, Ticket, TlsInfo, TlsVersion,
};
use spondee_core::sasl::ChannelBindings;
use spondee_core::shard::Shard;
use spondee_core::time::{Instant, Now, UnixTime};

/// What each byte received before authentication may cost while its connection lives.
const PER_BYTE: i64 = 4;

/// What a connection may cost that has said nothing, or only opened its stream: its place, its stream, its deadline.
const PER_CONNECTION: i64 = 1024;

/// What it may cost besides, however short, once it has begun an element: what the scanner knows of it.
const PER_ELEMENT: i64 = 1024;

/// Streams at a time, so that the growth of what they share is spread over them: tables double. Fewer where each byte is a call.
const STREAMS: usize = 8;
const DRIPPING: usize = 4;

/// A shell that only listens: it writes everything at once and asks nobody.
struct Shell {
    shard: Shard,
    now: Now,
    /// Questions of streams that wait for an answer.
    tickets: Vec<Ticket>,
}

impl Shell {
    fn new() -> Self {
        let now = Now {
            mono: Instant(1_000_000),
            wall: UnixTime(1_800_000_000_000),
        };
        Self {
            shard: Shard::new(Arc::new(config()), Place { node: 0, shard: 0 }, [1; 32]),
            now,
            tickets: Vec::new(),
        }
    }

    fn accept(&mut self, opening: Opening) -> ConnId {
        let peer: SocketAddr = ([127, 0, 0, 1], 4321).into();
        let conn = self
            .shard
            .accept(self.now, Listener::of_clients(opening), peer);
        if opening == Opening::Tls {
            let bindings = ChannelBindings {
                exporter: Some([1; 32]),
                end_point: Some(vec![2; 32]),
            };
            let version = TlsVersion::V1_3;
            let client = None;
            let tls = Box::new(TlsInfo {
                version,
                suite: "TLS_AES_128_GCM_SHA256",
                bindings,
                client,
                server: None,
            });
            self.shard.handle(self.now, Input::Secured { conn, tls });
        }
        conn
    }

    fn hear(&mut self, conn: ConnId, bytes: &[u8]) {
        self.shard.handle(self.now, Input::Bytes { conn, bytes });
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(action) = self.shard.poll_action() {
            if let Action::Flush { conn } | Action::Close { conn } = action {
                let count = self.shard.outgoing(conn).len();
                self.shard.sent(conn, count);
            } else if let Action::Store { ticket, .. } | Action::Derive { ticket, .. } = action {
                self.tickets.push(ticket);
            }
        }
    }

    fn close(&mut self, conn: ConnId) {
        let how = Closed::Eof;
        self.shard.handle(self.now, Input::Closed { conn, how });
        self.drain();
    }
}

/// What strangers send: the first part opens their stream, the second is repeated or cut to fill.
struct Shape {
    name: &'static str,
    opening: Opening,
    begin: String,
    /// Said over and over.
    again: String,
}

fn shape(name: &'static str, opening: Opening, begin: &str, again: &str) -> Shape {
    Shape {
        name,
        opening,
        begin: begin.to_owned(),
        again: again.to_owned(),
    }
}

fn shapes() -> Vec<Shape> {
    [shapes_of_headers(), shapes_of_elements(), shapes_of_sasl()]
        .into_iter()
        .flatten()
        .collect()
}

fn shapes_of_headers() -> Vec<Shape> {
    let open = header("localhost");
    let prefixes: String = (0..60).map(|n| format!(" xmlns:p{n}='{n}'")).collect();
    let own = open.replacen(" to=", &format!("{prefixes} to="), 1);
    let from = open.replacen(" to=", " from='a@localhost' xml:lang='en' to=", 1);
    let (clear, tls) = (Opening::Clear, Opening::Tls);
    vec![
        shape("white space before it", clear, "", " "),
        shape("a header without end", clear, "<stream:stream to='", "a"),
        shape("a header of attributes", clear, "<stream:stream", " a='b'"),
        shape("white space behind it", tls, &open, " \n"),
        shape("from and language", tls, &from, " "),
        shape("prefixes in the header", tls, &own, " "),
        shape("prefixes to write out", tls, &(own + "<a>"), "<p1:b/>"),
    ]
}

fn shapes_of_elements() -> Vec<Shape> {
    let tls = Opening::Tls;
    let open = header("localhost");
    let inside = open.clone() + "<a>";
    let deep = open.clone() + &"<a>".repeat(6);
    let attributes: String = (0..100).map(|n| format!(" a{n}='{n}'")).collect();
    let declared: String = (0..60).map(|n| format!(" xmlns:p{n}='urn:{n}'")).collect();
    vec![
        shape("text", tls, &inside, "x"),
        shape("references", tls, &inside, "&lt;"),
        shape("tiny elements", tls, &inside, "<b/>"),
        shape("tiny elements with ends", tls, &inside, "<b></b>"),
        shape(
            "elements that declare",
            tls,
            &inside,
            "<b xmlns:x='y' x:z=''/>",
        ),
        shape("as deep as may be", tls, &deep, "<b/>"),
        shape("one value", tls, &format!("{open}<a b='"), "x"),
        shape("attributes", tls, &format!("{open}<a{attributes}"), " "),
        shape("declarations", tls, &format!("{open}<a{declared}>"), "<b/>"),
    ]
}

fn shapes_of_sasl() -> Vec<Shape> {
    let (clear, tls) = (Opening::Clear, Opening::Tls);
    let open = header("localhost");
    let auth = format!("<auth xmlns='{SASL}' mechanism='SCRAM-SHA-256'>");
    let begun = format!("{auth}{}</auth>", encode(b"n,,n=romeo,r=abcdefgh"));
    let response = format!("{open}{begun}<response xmlns='{SASL}'>");
    let waiting = open.clone() + &plain_auth("romeo", "secret");
    let starttls = format!("{open}<starttls xmlns='{TLS}'/>");
    vec![
        shape(
            "a sign-in without end",
            tls,
            &format!("{open}{auth}"),
            "QUJD",
        ),
        shape("a response without end", tls, &response, "QUJD"),
        shape("sign-ins over and over", tls, &open, &begun),
        shape("text behind a question", tls, &waiting, "x"),
        shape("elements behind a question", tls, &waiting, "<a/>"),
        shape("white space behind starttls", clear, &starttls, " "),
    ]
}

/// A shape in this many bytes.
fn written(shape: &Shape, bytes: usize) -> Vec<u8> {
    let mut text = shape.begin.clone().into_bytes();
    while text.len() < bytes {
        text.extend_from_slice(shape.again.as_bytes());
    }
    text.truncate(bytes.max(shape.begin.len()));
    text
}

/// What each of so many streams holds that was sent this, in such pieces.
fn held(shape: &Shape, text: &[u8], piece: usize, streams: usize) -> i64 {
    let mut shell = Shell::new();
    let info = measure(|| {
        for _ in 0..streams {
            let conn = shell.accept(shape.opening);
            for part in text.chunks(piece) {
                shell.hear(conn, part);
            }
        }
        shell.tickets = Vec::new();
    });
    info.bytes_current / streams as i64
}

#[test]
fn a_connection_that_says_nothing_has_a_small_fixed_cost() {
    let nothing = |opening| Shape {
        name: "nothing",
        opening,
        begin: String::new(),
        again: " ".to_owned(),
    };
    let open = header("localhost");
    for (shape, text, what) in [
        (nothing(Opening::Clear), "", "accepted"),
        (nothing(Opening::Tls), "", "below TLS"),
        (nothing(Opening::Clear), open.as_str(), "opened in clear"),
        (nothing(Opening::Tls), open.as_str(), "opened below TLS"),
    ] {
        let each = held(&shape, text.as_bytes(), usize::MAX, STREAMS);
        report(format_args!("{what}: {each} bytes a connection"));
        assert!(each <= PER_CONNECTION, "{what}: {each} bytes");
    }
}

#[test]
fn a_byte_received_before_authentication_costs_less_than_four() {
    let limits = Limits::default();
    let element = limits.unauthenticated_element_bytes as usize;
    let stream = limits.unauthenticated_stream_bytes as usize;
    let mut worst = 0.0_f64;
    for shape in shapes() {
        for bytes in [1024, element - 1, element + 1024, stream - 1, stream + 1] {
            for (piece, streams) in [(1, DRIPPING), (1460, STREAMS), (usize::MAX, STREAMS)] {
                if piece == 1 && bytes > element {
                    continue;
                }
                let text = written(&shape, bytes);
                let each = held(&shape, &text, piece, streams) - PER_CONNECTION - PER_ELEMENT;
                let ratio = each as f64 / text.len() as f64;
                worst = worst.max(ratio);
                let case = format!("{}, {} bytes by {piece}", shape.name, text.len());
                report(format_args!("{case}: {ratio:.2} for each"));
                assert!(each < PER_BYTE * text.len() as i64, "{case}: {ratio:.2}");
            }
        }
    }
    report(format_args!("the worst: {worst:.2}"));
}

/// At no moment, not only when all is said: copies made on the way count.
#[test]
fn no_moment_of_one_stream_costs_more_than_four_for_each_byte() {
    let limits = Limits::default();
    let element = limits.unauthenticated_element_bytes as usize;
    let stream = limits.unauthenticated_stream_bytes as usize;
    let mut worst = 0.0_f64;
    for shape in shapes() {
        for bytes in [element - 1, stream - 1] {
            for piece in [1, 1460, usize::MAX] {
                let text = written(&shape, bytes);
                let mut shell = Shell::new();
                // What the first stream makes the shard allocate for good is no cost of this one.
                let before = shell.accept(shape.opening);
                shell.hear(before, header("localhost").as_bytes());
                let info = measure(|| {
                    let conn = shell.accept(shape.opening);
                    for part in text.chunks(piece) {
                        shell.hear(conn, part);
                    }
                });
                let fixed = (PER_CONNECTION + PER_ELEMENT) as f64;
                let ratio = (info.bytes_max as f64 - fixed) / text.len() as f64;
                worst = worst.max(ratio);
                let case = format!("{}, {} bytes by {piece}", shape.name, text.len());
                report(format_args!("{case}: {ratio:.2} for each at most"));
                assert!(ratio < PER_BYTE as f64, "{case}: {ratio:.2}");
            }
        }
    }
    report(format_args!("the worst: {worst:.2}"));
}

/// Connections that come, send what is hostile and go: after the second round nothing grows any more.
#[test]
fn nothing_is_left_of_a_stranger_that_is_gone() {
    let mut shell = Shell::new();
    let mut round = |shape: &Shape| {
        let text = written(shape, 20_000);
        let mut tickets = Vec::new();
        for piece in [1000, usize::MAX] {
            let conn = shell.accept(shape.opening);
            for part in text.chunks(piece) {
                shell.hear(conn, part);
            }
            shell.close(conn);
            tickets.append(&mut shell.tickets);
        }
        // Questions are answered after the end as well; to nobody.
        for ticket in tickets {
            let outcome = Ok(Vec::new());
            let answer = Input::Stored { ticket, outcome };
            shell.shard.handle(shell.now, answer);
            shell.drain();
        }
    };
    for shape in shapes() {
        round(&shape);
        round(&shape);
        let info = measure(|| {
            for _ in 0..10 {
                round(&shape);
            }
        });
        assert_eq!(info.bytes_current, 0, "{}", shape.name);
    }
    assert_eq!(shell.shard.residue(), [0; 9]);
}

#[expect(clippy::print_stdout, reason = "the figures are shown by --nocapture")]
fn report(what: std::fmt::Arguments<'_>) {
    println!("{what}");
}
