//! A server that lies: it claims domains of others, sends what comes from elsewhere, answers what nobody asked, and what somebody else was asked.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use spondee_core::port::{Lookup, Opening, PeerJudged, PeerStanding, Resolved, Service, Source};
use spondee_core::testing::{Door, Peer};

use super::Simulation;
use super::sites::{Shown, certificate};

/// What it may call itself.
const DOMAIN: &str = "liar.example";
const AT: &str = "198.51.100.250:5269";

/// Streams that it keeps up.
const STREAMS_MAX: usize = 8;

/// Its streams.
#[derive(Debug, Default)]
pub(super) struct Liar {
    streams: Vec<Lying>,
    /// Connections of each server that were looked at.
    seen: BTreeMap<usize, usize>,
    /// Claims that it made: as which domain, to which, on the stream of which id.
    claims: Vec<(String, String, String)>,
    gone: bool,
}

/// One stream.
#[derive(Debug)]
struct Lying {
    site: usize,
    peer: Peer,
    side: Side,
    /// What was heard since the last header.
    heard: String,
    /// The id of the other side's stream.
    id: String,
    /// As whom it opened the stream.
    name: String,
}

/// Who opened it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    /// The liar.
    Caller,
    /// A server that has something for it, or asks it something.
    Called,
}

impl Simulation {
    /// DNS knows it.
    pub(super) fn publish_liar(&mut self) {
        let at: SocketAddr = AT.parse().expect("an address");
        let service = Service {
            priority: 1,
            weight: 1,
            port: at.port(),
            target: format!("x.{DOMAIN}").into(),
        };
        let name = |service: &str| Lookup::Services(format!("{service}.{DOMAIN}").into());
        self.net.publish(
            &name("_xmpp-server._tcp"),
            &Resolved::Services(vec![service]),
        );
        self.net
            .publish(&name("_xmpps-server._tcp"), &Resolved::NoData);
        self.net.publish(
            &Lookup::Addresses(format!("x.{DOMAIN}").into()),
            &Resolved::Addresses(vec![at.ip()], Source::Dns),
        );
        for world in &mut self.net.worlds {
            world.set_door(at, Door::Opens);
        }
    }

    /// Whether this was said by it as somebody else.
    pub(super) fn is_lie(&self, from: &str, words: &str) -> bool {
        words == "lie" && !from.ends_with(DOMAIN)
    }

    /// What a server has decided of somebody.
    pub(super) fn judged(&mut self, site: usize, judged: &PeerJudged) -> Result<(), String> {
        let PeerJudged {
            host,
            server,
            standing,
        } = judged;
        if let PeerStanding::Proven(..) = standing
            && server.as_str() == DOMAIN
        {
            self.counts.liar_proven += 1;
        }
        match host.as_str() == self.sites[site].domain {
            true => Ok(()),
            false => Err(format!("site {site} judges {server} for {host}")),
        }
    }

    /// Somebody writes to somebody there.
    pub(super) fn say_to_liar(&mut self, from: usize) {
        self.note(format_args!("user {from} writes to the liar"));
        let words = format!("<message to='u@{DOMAIN}' type='chat' id='x'><body>x</body></message>");
        self.say(from, &words, None);
    }

    /// It does something.
    pub(super) fn liar_acts(&mut self) {
        if self.liar.gone {
            return;
        }
        self.liar_answers();
        self.counts.lies += 1;
        let callers = self.liar.streams.iter();
        let callers = callers.filter(|stream| stream.side == Side::Caller).count();
        if callers < STREAMS_MAX && self.random.percent(30) {
            return self.liar_calls();
        }
        if self.liar.streams.is_empty() {
            return;
        }
        let at = self.random.below(self.liar.streams.len());
        self.lie(at);
    }

    fn liar_calls(&mut self) {
        let site = self.random.below(self.sites.len());
        if !self.is_up(site) {
            return;
        }
        let name = match self.random.below(2) {
            0 => DOMAIN.to_owned(),
            _ => self.other_than(site),
        };
        let shown = self
            .random
            .pick(&[Shown::Good, Shown::SelfSigned, Shown::None]);
        // Nobody certifies that it is somebody else.
        let certificate = match (shown, name == DOMAIN) {
            (Shown::Good, false) => certificate(Shown::Good, DOMAIN),
            (shown, _) => certificate(shown, &name),
        };
        self.note(format_args!(
            "the liar calls site {site} as {name}, {shown:?}"
        ));
        let world = &mut self.net.worlds[site];
        let peer = world.connect_server(Opening::Tls);
        world.show(peer, certificate);
        world.secure(peer);
        let header = header(&name, &self.sites[site].domain, None);
        self.net.worlds[site].write(peer, header.as_bytes());
        self.liar.streams.push(Lying {
            site,
            peer,
            side: Side::Caller,
            heard: String::new(),
            id: String::new(),
            name,
        });
    }

    /// The domain of another server.
    fn other_than(&mut self, site: usize) -> String {
        let by = 1 + self.random.below(self.sites.len() - 1);
        let other = (site + by) % self.sites.len();
        self.sites[other].domain.clone()
    }

    /// It says something on a stream that is not so, or that is not its to say.
    fn lie(&mut self, at: usize) {
        let Lying {
            site,
            peer,
            side,
            ref id,
            ref name,
            ..
        } = self.liar.streams[at];
        let (id, name) = (id.clone(), name.clone());
        let site_name = self.sites[site].domain.clone();
        let claimed = self.liar.claims.iter().rev();
        let mut claimed = claimed.filter(|claim| claim.1 == site_name && claim.0 != DOMAIN);
        let other = match claimed.next().cloned() {
            Some((claimed, ..)) if self.random.percent(60) => claimed,
            Some(_) | None => self.other_than(site),
        };
        let user = self.random.below(2);
        let words = match (side, self.random.below(7)) {
            (Side::Caller, 6) => "<bidi xmlns='urn:xmpp:bidi'/>".to_owned(),
            (Side::Caller, 0 | 1) => {
                let claimed = match self.random.below(2) {
                    0 => name,
                    _ => other,
                };
                let claim = (claimed.clone(), site_name.clone(), id);
                if claimed != DOMAIN && self.random.percent(60) {
                    self.confirm_itself(site, &claim);
                }
                self.liar.claims.push(claim);
                format!("<db:result from='{claimed}' to='{site_name}'>0123456789abcdef</db:result>")
            }
            (Side::Caller, 2) => {
                "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='EXTERNAL'>=</auth>"
                    .to_owned()
            }
            (Side::Caller, 3) => format!(
                "<db:verify from='{other}' to='{site_name}' id='{id}'>0123456789abcdef</db:verify>"
            ),
            (Side::Called, 0 | 1) => match self.liar.claims.last() {
                Some((claimed, to, id)) if *to == site_name => {
                    format!("<db:verify from='{claimed}' to='{to}' id='{id}' type='valid'/>")
                }
                Some(_) | None => return,
            },
            (Side::Called, 2) if self.random.percent(20) => {
                format!("<db:result from='{other}' to='{site_name}' type='valid'/>")
            }
            (Side::Caller, 4) | (Side::Called, 3) => format!(
                "<presence from='u{user}@{other}/r' to='u0@{site_name}/r'><status>lie</status></presence>"
            ),
            (Side::Caller, _) | (Side::Called, 4) => format!(
                "<message from='u{user}@{other}/r' to='u0@{site_name}/r' type='chat'><body>lie</body></message>"
            ),
            (Side::Called, _) => return,
        };
        self.note(format_args!("the liar says {words}"));
        self.net.worlds[site].write(peer, words.as_bytes());
    }

    /// It answers what another will be asked, on whichever streams it was called.
    fn confirm_itself(&mut self, site: usize, (claimed, to, id): &(String, String, String)) {
        let words = format!("<db:verify from='{claimed}' to='{to}' id='{id}' type='valid'/>");
        for stream in &self.liar.streams {
            if stream.side == Side::Called && stream.site == site {
                self.net.worlds[site].write(stream.peer, words.as_bytes());
            }
        }
    }

    /// It is polite where that gets it further.
    pub(super) fn liar_answers(&mut self) {
        if self.liar.gone {
            return;
        }
        self.liar_is_called();
        for at in 0..self.liar.streams.len() {
            let stream = &mut self.liar.streams[at];
            let bytes = self.net.worlds[stream.site].take_received(stream.peer);
            stream.heard.push_str(&String::from_utf8_lossy(&bytes));
            let words = match stream.side {
                Side::Caller => caller(stream, &self.sites[stream.site].domain),
                Side::Called => called(stream, &self.sites[stream.site].domain),
            };
            let (site, peer) = (stream.site, stream.peer);
            for words in words {
                let world = &mut self.net.worlds[site];
                match words {
                    Words::Say(words) => world.write(peer, words.as_bytes()),
                    Words::Secure => {
                        world.show(peer, certificate(Shown::Good, DOMAIN));
                        world.secure(peer);
                    }
                }
            }
        }
        let worlds = &self.net.worlds;
        self.liar
            .streams
            .retain(|stream| worlds[stream.site].ended(stream.peer).is_none());
    }

    fn liar_is_called(&mut self) {
        let at: SocketAddr = AT.parse().expect("an address");
        for (site, world) in self.net.worlds.iter().enumerate() {
            let seen = self.liar.seen.entry(site).or_default();
            for (to, peer) in &world.outgoing()[*seen..] {
                if *to == at {
                    self.liar.streams.push(Lying {
                        site,
                        peer: *peer,
                        side: Side::Called,
                        heard: String::new(),
                        id: String::new(),
                        name: DOMAIN.to_owned(),
                    });
                }
            }
            *seen = world.outgoing().len();
        }
    }

    /// It ends all its streams, and answers nothing more.
    pub(super) fn liar_leaves(&mut self) {
        self.liar_answers();
        self.liar.gone = true;
        let at: SocketAddr = AT.parse().expect("an address");
        for world in &mut self.net.worlds {
            world.set_door(at, Door::Refuses(spondee_core::port::ConnectError::Refused));
        }
        for stream in std::mem::take(&mut self.liar.streams) {
            self.net.worlds[stream.site].hang_up(stream.peer);
        }
    }
}

/// What it does on a connection.
#[derive(Debug)]
enum Words {
    Say(String),
    Secure,
}

fn header(from: &str, to: &str, id: Option<&str>) -> String {
    let id = id.map(|id| format!(" id='{id}'")).unwrap_or_default();
    format!(
        "<?xml version='1.0'?><stream:stream from='{from}' to='{to}'{id} version='1.0' xmlns='jabber:server' \
         xmlns:db='jabber:server:dialback' xmlns:stream='http://etherx.jabber.org/streams'>"
    )
}

/// On a stream that it opened.
fn caller(stream: &mut Lying, site: &str) -> Vec<Words> {
    if stream.heard.contains("<stream:stream")
        && let Some(id) = attribute(&stream.heard, "id")
    {
        stream.id = id;
    }
    let succeeded = stream.heard.contains("<success");
    stream.heard.clear();
    match succeeded {
        true => vec![Words::Say(header(&stream.name, site, None))],
        false => Vec::new(),
    }
}

/// On a stream of somebody who wants something of it.
fn called(stream: &mut Lying, site: &str) -> Vec<Words> {
    let heard = std::mem::take(&mut stream.heard);
    let mut words = Vec::new();
    let mut say = |text: String| words.push(Words::Say(text));
    if heard.contains("<starttls") {
        say("<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>".to_owned());
        words.push(Words::Secure);
        stream.id = "secured".to_owned();
        return words;
    }
    if heard.contains("<stream:stream") {
        say(header(DOMAIN, site, Some("l1")));
        let starttls = match stream.id.is_empty() {
            true => "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
            false => "",
        };
        say(format!(
            "<stream:features>{starttls}<bidi xmlns='urn:xmpp:features:bidi'/><dialback xmlns='urn:xmpp:features:dialback'/></stream:features>"
        ));
    }
    if heard.contains("<db:result") {
        say(format!(
            "<db:result from='{DOMAIN}' to='{site}' type='valid'/>"
        ));
    }
    for asked in heard.split("<db:verify").skip(1) {
        if let Some(id) = attribute(asked, "id") {
            say(format!(
                "<db:verify from='{DOMAIN}' to='{site}' id='{id}' type='valid'/>"
            ));
        }
    }
    words
}

/// The first of this name.
fn attribute(text: &str, name: &str) -> Option<String> {
    let (_, rest) = text.split_once(&format!(" {name}='"))?;
    Some(rest.split_once('\'')?.0.to_owned())
}
