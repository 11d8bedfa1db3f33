//! How a server is reached: the ports that clients and other servers know, and what is said before TLS begins.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};

use serde::Serialize;
use spondee_core::jid::Domain;
use spondee_core::port::Opening;

use crate::limits::{PROBE_FEATURES_BYTES, PROBE_PATIENCE};
use crate::tls::to_ascii;

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

    /// A connection on which TLS may begin, and where it leads: to `connect`, `HOST` or `HOST:PORT`, or to the domain itself.
    pub(super) fn reach(
        self,
        domain: &Domain,
        connect: Option<&str>,
    ) -> Result<(TcpStream, SocketAddr), Obstacle> {
        let port = self.port();
        let place = match connect {
            Some(place) if port_of(place).is_some() => place.to_owned(),
            Some(place) => format!("{place}:{port}"),
            None => format!("{}:{port}", to_ascii(domain)),
        };
        let (mut socket, address) = connected(&place).map_err(Obstacle::Nobody)?;
        match self.opening {
            Opening::Clear => starttls(&mut socket, domain, self.peer)
                .map_err(|why| Obstacle::Stranger(format!("{address}: {why}")))?,
            Opening::Tls => {}
        }
        Ok((socket, address))
    }
}

/// The first address that answers.
fn connected(place: &str) -> Result<(TcpStream, SocketAddr), String> {
    let addresses = place
        .to_socket_addrs()
        .map_err(|error| format!("{place} has no address: {error}"))?;
    let mut why = format!("{place} has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, PROBE_PATIENCE) {
            Ok(socket) => {
                let times = socket
                    .set_read_timeout(Some(PROBE_PATIENCE))
                    .and_then(|()| socket.set_write_timeout(Some(PROBE_PATIENCE)));
                times.map_err(|error| error.to_string())?;
                return Ok((socket, address));
            }
            Err(error) => {
                why = format!("nobody answers at {address}: {error}");
            }
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
    let features = ask(socket, &header, "features>")?;
    if !features.contains("urn:ietf:params:xml:ns:xmpp-tls") {
        return Err("the server offers no STARTTLS".to_owned());
    }
    ask(
        socket,
        "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>",
        "<proceed",
    )
    .map(drop)
}

/// Says something and reads until a tag has come that ends with or begins by `until`. Byte by byte: what comes behind it is TLS.
fn ask(socket: &mut (impl Read + Write), say: &str, until: &str) -> Result<String, String> {
    let failed = |error: io::Error| {
        if is_silence(&error) {
            "the server does not answer as one of XMPP does; is it the right port? --direct is for those that begin with TLS".to_owned()
        } else {
            format!("the connection broke: {error}")
        }
    };
    socket.write_all(say.as_bytes()).map_err(failed)?;
    let (mut said, mut byte) = (Vec::new(), [0]);
    loop {
        socket.read_exact(&mut byte).map_err(failed)?;
        said.push(byte[0]);
        if byte[0] != b'>' {
            if said.len() > PROBE_FEATURES_BYTES {
                return Err("the server says more than a server of XMPP would".to_owned());
            }
            continue;
        }
        let text = String::from_utf8_lossy(&said);
        if text.ends_with("error>") && text.contains("urn:ietf:params:xml:ns:xmpp-streams") {
            return Err(format!(
                "the server refuses the stream: {}",
                condition(&text)
            ));
        }
        let tag = text.rsplit_once('<').map_or("", |(_, tag)| tag);
        let is_end = tag.starts_with('/') && tag.ends_with(until);
        if is_end || format!("<{tag}").starts_with(until) {
            return Ok(text.into_owned());
        }
    }
}

fn is_silence(error: &io::Error) -> bool {
    let kind = error.kind();
    kind == io::ErrorKind::WouldBlock || kind == io::ErrorKind::TimedOut
}

/// The condition of a stream error, as it stands there.
fn condition(text: &str) -> &str {
    let inside = text.split_once("error>").map_or(text, |(_, inside)| inside);
    let name = inside.trim_start().trim_start_matches('<');
    name.split([' ', '/', '>']).next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
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
