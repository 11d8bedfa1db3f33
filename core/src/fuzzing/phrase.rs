//! What clients say, one phrase at a time, so that a byte of the fuzzer's says much.

use alloc::format;
use alloc::string::String;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::cursor::Cursor;
use super::world::{ACCOUNTS, HOSTS, PASSWORDS, World, account};
use crate::jid::Jid;
use crate::sasl::client::plain;

const RESOURCES: [&str; 4] = ["", "r0", "r1", "r\u{e9}"];
const PRIORITIES: [&str; 4] = ["0", "1", "-1", "x"];
const MESSAGE_TYPES: [&str; 6] = ["chat", "error", "groupchat", "headline", "normal", "odd"];
const IQ_TYPES: [&str; 5] = ["get", "set", "result", "error", "odd"];
const PRESENCE_TYPES: [&str; 9] = [
    "error",
    "probe",
    "subscribe",
    "subscribed",
    "unavailable",
    "unsubscribe",
    "unsubscribed",
    "available",
    "odd",
];
const PAYLOADS: [&str; 11] = [
    "<ping xmlns='urn:xmpp:ping'/>",
    "<query xmlns='http://jabber.org/protocol/disco#info'/>",
    "<query xmlns='http://jabber.org/protocol/disco#items' node='n'/>",
    "<query xmlns='jabber:iq:version'/>",
    "<time xmlns='urn:xmpp:time'/>",
    "<session xmlns='urn:ietf:params:xml:ns:xmpp-session'/>",
    "<query xmlns='jabber:iq:roster'/>",
    "<blocklist xmlns='urn:xmpp:blocking'/>",
    "<block xmlns='urn:xmpp:blocking'><item jid='u1@a.example'/><item jid='b.example'/></block>",
    "<unblock xmlns='urn:xmpp:blocking'/>",
    "",
];

/// Signs in and binds; the address, if that is possible under this configuration.
pub(super) fn session(world: &mut World, peer: usize) -> Option<Jid> {
    let phrase = sign_in(world, peer, 0, 0) + &header(0) + &bind("r0");
    world.say(peer, phrase.as_bytes());
    world.settle();
    let presence = "<presence/>";
    world.say(peer, presence.as_bytes());
    world.settle();
    world.peers.get(peer).and_then(|peer| peer.jid.clone())
}

/// One phrase of a peer's.
pub(super) fn any(world: &mut World, peer: usize, bytes: &mut Cursor<'_>) -> String {
    match bytes.below(13) {
        0 => header(bytes.below(3)),
        1 => {
            let (account, password) = (bytes.below(ACCOUNTS.len()), bytes.below(3));
            sign_in(world, peer, account, password) + &header(account / 3) + &bind("")
        }
        2 => {
            let (account, password) = (bytes.below(ACCOUNTS.len()), bytes.below(3));
            auth(world, peer, account, password)
        }
        3 => bind(bytes.pick(&RESOURCES)),
        4 => presence(bytes),
        5 => directed_presence(bytes),
        6 => message(peer, bytes),
        7 => iq(peer, bytes),
        8 => "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".into(),
        9 => format!(
            "<message from='{}' to='{}'><mark>{peer}</mark></message>",
            address(bytes),
            address(bytes),
        ),
        10 => "<abort xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>".into(),
        11 => "</stream:stream>".into(),
        _ => " ".into(),
    }
}

/// What few say: content and payloads with prefixes, of the stream header and of the stanza, and ids that would be longer if they were
/// escaped.
pub(super) fn rare(world: &mut World, peer: usize, bytes: &mut Cursor<'_>) -> String {
    match bytes.below(4) {
        0 => {
            let (account, password) = (bytes.below(ACCOUNTS.len()), bytes.below(3));
            sign_in(world, peer, account, password)
                + &declaring_header(account / 3, bytes)
                + &bind("r0")
        }
        1 => {
            let uses = ["<h:a/>", "<h:a>", "<a h:b=''/>", "<c:h/>"];
            let used = bytes.pick(&uses).repeat(usize::from(bytes.byte()));
            format!("<message{}><mark>{peer}</mark>{used}</message>", to(bytes))
        }
        2 => {
            let uri = "u".repeat(usize::from(bytes.byte()) * 4);
            let children = [
                "<x/>",
                "<c:x/>",
                "<x><c:y/></x>",
                "<x xmlns:c='v'><c:y/></x>",
            ];
            let inside = bytes.pick(&children).repeat(usize::from(bytes.byte()));
            format!(
                "<c:message xmlns:c='jabber:client' xmlns='{uri}'{}><c:mark>{peer}</c:mark>{inside}</c:message>",
                to(bytes)
            )
        }
        _ => {
            let id = bytes
                .pick(&["'", ">", "&quot;", "\t"])
                .repeat(usize::from(bytes.byte()) * 8);
            format!(
                "<iq{} type='get' id=\"{id}\"><x xmlns='u'/></iq>",
                to(bytes)
            )
        }
    }
}

/// A header with more declarations than are usual, and perhaps longer ones than are allowed.
fn declaring_header(host: usize, bytes: &mut Cursor<'_>) -> String {
    let uri = "u".repeat(usize::from(bytes.byte()) * 16);
    let declared = format!(" xmlns:c='jabber:client' xmlns:h='{uri}'>");
    header(host).replace('>', &declared)
}

/// Header, TLS where it is needed, and PLAIN: the whole way, without waiting.
fn sign_in(world: &mut World, peer: usize, account: usize, password: usize) -> String {
    let host = account / 3; // see `ACCOUNTS`
    let tls = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
    let first = header(host);
    let auth = auth(world, peer, account, password);
    match host {
        0 => first + &auth,
        _ => first.clone() + tls + &first + &auth,
    }
}

fn header(host: usize) -> String {
    let host = HOSTS.get(host).copied().unwrap_or("c.example");
    format!(
        "<stream:stream to='{host}' version='1.0' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    )
}

fn auth(world: &mut World, peer: usize, at: usize, password: usize) -> String {
    let account = account(at);
    let password = PASSWORDS.get(password).copied().unwrap_or_default();
    let message = plain("", account.local().unwrap_or_default(), password);
    if let Some(peer) = world.peers.get_mut(peer) {
        // The host is that of the stream, whichever it is.
        for at in 0..ACCOUNTS.len() {
            let same = super::world::account(at);
            if same.local() == account.local() {
                peer.tried.insert((same, password));
            }
        }
    }
    format!(
        "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>{}</auth>",
        STANDARD.encode(message)
    )
}

fn bind(resource: &str) -> String {
    format!(
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'>\
         <resource>{resource}</resource></bind></iq>"
    )
}

/// An address: of an account, a host, a stranger, none.
fn address(bytes: &mut Cursor<'_>) -> String {
    let bare = match bytes.below(ACCOUNTS.len() + 4) {
        5 => "a.example",
        6 => "x@elsewhere.example",
        7 => "@",
        8 => "b.example",
        at => ACCOUNTS.get(at).copied().unwrap_or_default(),
    };
    match bytes.pick(&RESOURCES) {
        "" => bare.into(),
        resource => format!("{bare}/{resource}"),
    }
}

fn to(bytes: &mut Cursor<'_>) -> String {
    match bytes.below(4) {
        0 => String::new(),
        _ => format!(" to='{}'", address(bytes)),
    }
}

fn presence(bytes: &mut Cursor<'_>) -> String {
    match bytes.below(2) {
        0 => format!(
            "<presence><priority>{}</priority></presence>",
            bytes.pick(&PRIORITIES)
        ),
        _ => format!("<presence type='{}'/>", bytes.pick(&PRESENCE_TYPES)),
    }
}

fn directed_presence(bytes: &mut Cursor<'_>) -> String {
    match bytes.below(2) {
        0 => format!("<presence{}/>", to(bytes)),
        _ => format!(
            "<presence{} type='{}'/>",
            to(bytes),
            bytes.pick(&PRESENCE_TYPES)
        ),
    }
}

fn message(peer: usize, bytes: &mut Cursor<'_>) -> String {
    let size = bytes.byte();
    format!(
        "<message{} type='{}'><mark>{peer}</mark><body>{}</body></message>",
        to(bytes),
        bytes.pick(&MESSAGE_TYPES),
        "x".repeat(usize::from(size / 8) * usize::from(size / 8)),
    )
}

fn iq(peer: usize, bytes: &mut Cursor<'_>) -> String {
    format!(
        "<iq{} type='{}' id='i{peer}'>{}</iq>",
        to(bytes),
        bytes.pick(&IQ_TYPES),
        bytes.pick(&PAYLOADS),
    )
}
