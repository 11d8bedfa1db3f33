//! How a server is reached: the ports that clients and other servers know, and what is said before TLS begins.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::{Duration, Instant};

use serde::Serialize;
use spondee_core::jid::Domain;
use spondee_core::port::Opening;

use super::places::{Place, Places};
use crate::limits::{PROBE_FEATURES_BYTES, PROBE_PATIENCE};

/// Who connects, and how TLS begins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Way {
    pub(super) peer: Peer,
    pub(super) opening: Opening,
}

/// Who connects.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Peer {
    Client,
    Server,
}

/// Why there is no connection over which to shake hands.
#[derive(Debug)]
pub(super) enum Obstacle {
    /// Nobody listens there, or the name has no address.
    Nobody(String),
    /// Somebody does, and is no server of this domain.
    Stranger(String),
}

impl Way {
    /// All that there are.
    pub(super) const ALL: [Self; 4] = [
        Self::new(Peer::Client, Opening::Clear),
        Self::new(Peer::Client, Opening::Tls),
        Self::new(Peer::Server, Opening::Clear),
        Self::new(Peer::Server, Opening::Tls),
    ];

    pub(super) const fn new(peer: Peer, opening: Opening) -> Self {
        Self { peer, opening }
    }

    /// Where it is usual.
    pub(super) const fn port(self) -> u16 {
        match (self.peer, self.opening) {
            (Peer::Client, Opening::Clear) => 5222,
            (Peer::Client, Opening::Tls) => 5223,
            (Peer::Server, Opening::Clear) => 5269,
            (Peer::Server, Opening::Tls) => 5270,
        }
    }

    pub(super) const fn words(self) -> &'static str {
        match (self.peer, self.opening) {
            (Peer::Client, Opening::Clear) => "clients, STARTTLS",
            (Peer::Client, Opening::Tls) => "clients, direct TLS",
            (Peer::Server, Opening::Clear) => "servers, STARTTLS",
            (Peer::Server, Opening::Tls) => "servers, direct TLS",
        }
    }

    /// What ALPN asks for (XEP-0368 §3); nothing behind STARTTLS.
    pub(super) const fn alpn(self) -> Option<&'static [u8]> {
        match (self.peer, self.opening) {
            (_, Opening::Clear) => None,
            (Peer::Client, Opening::Tls) => Some(b"xmpp-client"),
            (Peer::Server, Opening::Tls) => Some(b"xmpp-server"),
        }
    }

    /// A connection on which TLS may begin, and where it leads.
    pub(super) fn reach(
        self,
        domain: &Domain,
        places: &Places,
    ) -> Result<(Patient, SocketAddr), Obstacle> {
        let (mut socket, address) = connected(places).map_err(Obstacle::Nobody)?;
        match self.opening {
            Opening::Clear => starttls(&mut socket, domain, self.peer)
                .map_err(|why| Obstacle::Stranger(format!("{address}: {why}")))?,
            Opening::Tls => {}
        }
        Ok((socket, address))
    }
}

/// The first address that answers.
fn connected(places: &Places) -> Result<(Patient, SocketAddr), String> {
    match places {
        Places::Nowhere(why) => Err(why.clone()),
        Places::Told(place) => {
            let addresses = place
                .to_socket_addrs()
                .map_err(|error| format!("{place} has no address: {error}"))?;
            first_of(addresses)
                .map_err(|why| why.unwrap_or_else(|| format!("{place} has no address")))
        }
        Places::Domain(place) => connected_to(place),
        Places::Srv(places) => {
            let mut all = Vec::new();
            for place in places {
                match connected_to(place) {
                    Ok(connected) => return Ok(connected),
                    Err(why) => all.push(why),
                }
            }
            Err(all.join("; "))
        }
    }
}

fn connected_to(place: &Place) -> Result<(Patient, SocketAddr), String> {
    let words = place.words();
    first_of(place.addresses.iter().copied()).map_err(|why| match (why, &place.why) {
        (Some(why), _) => format!("{words}: {why}"),
        (None, Some(why)) => format!("{words} has no address: {why}"),
        (None, None) => format!("{words} has no address"),
    })
}

/// Why not, if there was any address.
fn first_of(
    addresses: impl Iterator<Item = SocketAddr>,
) -> Result<(Patient, SocketAddr), Option<String>> {
    let mut why = None;
    for address in addresses {
        match TcpStream::connect_timeout(&address, PROBE_PATIENCE) {
            Ok(socket) => return Ok((Patient::new(socket), address)),
            Err(error) => why = Some(format!("nobody answers at {address}: {error}")),
        }
    }
    Err(why)
}

/// The port that stands behind the host: colons inside an IPv6 address are none of it.
pub(super) fn port_of(place: &str) -> Option<u16> {
    let behind = place.rsplit_once(']').map_or(place, |(_, behind)| behind);
    let (_, port) = behind.rsplit_once(':')?;
    port.parse().ok()
}

/// RFC 6120 §5.4, up to the moment in which the handshake begins.
fn starttls(socket: &mut (impl Read + Write), domain: &Domain, peer: Peer) -> Result<(), String> {
    let content = match peer {
        Peer::Client => "jabber:client",
        Peer::Server => "jabber:server",
    };
    let header = format!(
        "<?xml version='1.0'?><stream:stream to='{domain}' version='1.0' xmlns='{content}' \
         xmlns:stream='http://etherx.jabber.org/streams'>"
    );
    let features = ask(socket, &header, Until::End("features"))?;
    if !features.contains("urn:ietf:params:xml:ns:xmpp-tls") {
        return Err("the server offers no STARTTLS".to_owned());
    }
    ask(
        socket,
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        Until::Begin("proceed"),
    )
    .map(drop)
}

/// A tag that is waited for, whatever its prefix.
#[derive(Clone, Copy, Debug)]
enum Until {
    Begin(&'static str),
    End(&'static str),
}

/// Says something and reads until a tag has come. Byte by byte: what comes behind it is TLS.
fn ask(socket: &mut (impl Read + Write), say: &str, until: Until) -> Result<String, String> {
    let failed = |error: io::Error| {
        if is_silence(&error) {
            "the server does not answer as one of XMPP does; is it the right port? --direct is for those that begin with TLS".to_owned()
        } else {
            format!("the connection broke: {error}")
        }
    };
    socket.write_all(say.as_bytes()).map_err(failed)?;
    let (mut said, mut tag, mut byte) = (Vec::new(), Vec::new(), [0]);
    while said.len() < PROBE_FEATURES_BYTES {
        socket.read_exact(&mut byte).map_err(failed)?;
        said.push(byte[0]);
        match byte[0] {
            b'<' => tag.clear(),
            b'>' => {
                if is_wanted(&tag, until) {
                    return Ok(String::from_utf8_lossy(&said).into_owned());
                }
                if tag.starts_with(b"/") && tag.ends_with(b"error") {
                    let text = String::from_utf8_lossy(&said);
                    return Err(format!(
                        "the server refuses the stream: {}",
                        condition(&text)
                    ));
                }
                tag.clear();
            }
            other => tag.push(other),
        }
    }
    Err("the server says more than a server of XMPP would".to_owned())
}

/// Whether a tag, as it stands between its brackets, is one that ends so, or one that begins so.
fn is_wanted(tag: &[u8], until: Until) -> bool {
    match until {
        Until::End(name) => {
            let (is_end, name_of) = match tag.strip_suffix(b"/") {
                Some(empty) => (true, empty),
                None => (tag.starts_with(b"/"), tag),
            };
            is_end && name_of.trim_ascii_end().ends_with(name.as_bytes())
        }
        Until::Begin(name) => tag.starts_with(name.as_bytes()),
    }
}

fn is_silence(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == io::ErrorKind::WouldBlock || kind == io::ErrorKind::TimedOut
}

/// The condition of a stream error. What stands there may be anything, and goes to a terminal.
fn condition(text: &str) -> String {
    let inside = text.split_once("error>").map_or(text, |(_, inside)| inside);
    let name = inside.trim_start().trim_start_matches('<');
    let in_name = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    name.chars().take_while(in_name).take(40).collect()
}

/// A connection on which all answers together may take so long: a server that gives its bytes one by one ends, too.
#[derive(Debug)]
pub(super) struct Patient {
    socket: TcpStream,
    until: Instant,
}

impl Patient {
    fn new(socket: TcpStream) -> Self {
        let until = Instant::now() + PROBE_PATIENCE;
        Self { socket, until }
    }

    fn left(&self) -> io::Result<Duration> {
        let left = self.until.saturating_duration_since(Instant::now());
        match left.is_zero() {
            true => Err(io::ErrorKind::TimedOut.into()),
            false => Ok(left),
        }
    }
}

impl Read for Patient {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.set_read_timeout(Some(self.left()?))?;
        self.socket.read(buffer)
    }
}

impl Write for Patient {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.set_write_timeout(Some(self.left()?))?;
        self.socket.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.socket.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that says this, whatever it is told.
    struct Says<'a>(&'a [u8], Vec<u8>);

    impl Read for Says<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.0.read(buffer)
        }
    }

    impl Write for Says<'_> {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn told(said: &str) -> Result<(), String> {
        let domain = Domain::parse("a.example").unwrap();
        starttls(
            &mut Says(said.as_bytes(), Vec::new()),
            &domain,
            Peer::Client,
        )
    }

    const HEADER: &str =
        "<?xml version='1.0'?><stream:stream xmlns:stream='http://etherx.jabber.org/streams'>";

    #[test]
    fn starttls_is_asked_for_where_it_is_offered() {
        let offer = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'><required/></starttls>";
        let proceed = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>";
        told(&format!(
            "{HEADER}<stream:features>{offer}</stream:features>{proceed}"
        ))
        .unwrap();
        told(&format!(
            "<stream xmlns='http://etherx.jabber.org/streams'><features>{offer}</features>{proceed}"
        ))
        .unwrap();
    }

    #[test]
    fn what_stands_in_the_way_is_told() {
        let error = "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
        for (said, words) in [
            (
                format!("{HEADER}<stream:features><mechanisms/></stream:features>"),
                "offers no STARTTLS",
            ),
            (format!("{HEADER}<stream:features/>"), "offers no STARTTLS"),
            (
                format!("{HEADER}{error}"),
                "refuses the stream: host-unknown",
            ),
            ("SSH-2.0-OpenSSH".to_owned(), "the connection broke"),
            (
                "x".repeat(PROBE_FEATURES_BYTES + 2),
                "more than a server of XMPP would",
            ),
        ] {
            let why = told(&said).unwrap_err();
            assert!(why.contains(words), "{why}");
        }
    }

    /// More is never read than a server would say, and no more said to a terminal than a name.
    #[test]
    fn a_server_that_means_no_good_comes_to_an_end() {
        for endless in [">", "<a>", "<a>\u{1b}[2J"] {
            let why = told(&endless.repeat(PROBE_FEATURES_BYTES)).unwrap_err();
            assert!(why.contains("more than a server of XMPP would"), "{why}");
        }
        let error = "<stream:error><\u{1b}]0;x xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>";
        let why = told(&format!("{HEADER}{error}")).unwrap_err();
        assert!(!why.contains('\u{1b}'), "{why:?}");
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut late = Patient {
            socket,
            until: Instant::now(),
        };
        let silence = late.read(&mut [0]).unwrap_err();
        assert!(is_silence(&silence), "{silence}");
    }

    #[test]
    fn a_port_is_told_from_an_address() {
        for (place, expected) in [
            ("example.org", None),
            ("example.org:5222", Some(5222)),
            ("192.0.2.1:80", Some(80)),
            ("[2001:db8::1]", None),
            ("[2001:db8::1]:5223", Some(5223)),
        ] {
            assert_eq!(port_of(place), expected, "{place}");
        }
    }
}
