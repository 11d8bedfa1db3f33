//! One client's side of a conversation with a `World`: everything it reads goes through the reference parser.

use std::net::IpAddr;

use sha1::{Digest as _, Sha1};
use spondee_core::port::Opening;
use spondee_core::sasl::{Hash, Mechanism, Plus};

use crate::element::{BIND, CLIENT, Element, Item, Reader, SASL, STREAMS, TLS, escape};
use crate::memory::{Peer, World};
use crate::sasl::{Binding, Scram, decode, digest_response, encode};

/// A connection with its reader.
#[derive(Debug)]
pub struct Talk {
    peer: Peer,
    reader: Reader,
}

/// A stream header to `host`.
#[must_use]
pub fn header(host: &str) -> String {
    format!(
        "<?xml version='1.0'?><stream:stream to='{}' version='1.0' xmlns='{CLIENT}' xmlns:stream='{STREAMS}'>",
        escape(host)
    )
}

impl Talk {
    /// Connects. On a TLS port the handshake is done too.
    pub fn connect(world: &mut World, opening: Opening) -> Self {
        let peer = world.connect(opening);
        Self::begin(world, peer, opening)
    }

    /// As `connect`, from this address to this shard.
    pub fn connect_from(
        world: &mut World,
        address: IpAddr,
        shard: usize,
        opening: Opening,
    ) -> Self {
        let peer = world.connect_from(address, shard, opening);
        Self::begin(world, peer, opening)
    }

    /// A component connects, says which name it wants to serve, and shows what it makes of the id and this secret.
    ///
    /// # Errors
    /// Something else came than our header.
    pub fn component(world: &mut World, name: &str, secret: &str) -> Result<Self, String> {
        let peer = world.connect_component_to(0);
        let mut talk = Self::begin(world, peer, Opening::Clear);
        talk.send(
            world,
            &format!(
                "<stream:stream xmlns='jabber:component:accept' xmlns:stream='{STREAMS}' to='{}'>",
                escape(name)
            ),
        );
        let id = match talk.poll(world)? {
            Some(Item::Open(header)) => header.attribute("id").unwrap_or_default().to_owned(),
            other => return Err(format!("expected a header, not {other:?}")),
        };
        let hash = Sha1::digest(format!("{id}{secret}"));
        let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        talk.send(world, &format!("<handshake>{hex}</handshake>"));
        Ok(talk)
    }

    fn begin(world: &mut World, peer: Peer, opening: Opening) -> Self {
        if opening == Opening::Tls {
            world.secure(peer);
        }
        Self::at(peer)
    }

    /// At this end of a connection that is there.
    #[must_use]
    pub fn at(peer: Peer) -> Self {
        Self {
            peer,
            reader: Reader::new(),
        }
    }

    /// A whole session: TLS, SCRAM and the resource.
    ///
    /// # Errors
    /// What was not as expected; so with all functions here.
    pub fn session(world: &mut World, account: &str, resource: &str) -> Result<Self, String> {
        let mut talk = Self::connect(world, Opening::Tls);
        talk.open(world, host_of(account))?;
        talk.sign_in(world, account, "secret")?;
        talk.bind(world, resource)?;
        Ok(talk)
    }

    /// The connection.
    #[must_use]
    pub const fn peer(&self) -> Peer {
        self.peer
    }

    /// Writes XML and lets everything happen.
    pub fn send(&mut self, world: &mut World, xml: &str) {
        world.write(self.peer, xml.as_bytes());
        world.run();
    }

    /// The next item the server wrote, if there is one.
    ///
    /// # Errors
    /// It is not well-formed.
    pub fn poll(&mut self, world: &mut World) -> Result<Option<Item>, String> {
        self.reader.push(&world.take_received(self.peer));
        self.reader.next_item()
    }

    /// The next element the server wrote.
    ///
    /// # Errors
    /// There is none, or it is another item.
    pub fn next(&mut self, world: &mut World) -> Result<Element, String> {
        match self.poll(world)? {
            Some(Item::Element(element)) => Ok(element),
            other => Err(format!("expected an element, not {other:?}")),
        }
    }

    /// All elements the server wrote and nobody read yet.
    ///
    /// # Errors
    /// There is another item among them.
    pub fn rest(&mut self, world: &mut World) -> Result<Vec<Element>, String> {
        let mut elements = Vec::new();
        while let Some(item) = self.poll(world)? {
            match item {
                Item::Element(element) => elements.push(element),
                other @ (Item::Open(_) | Item::Close) => {
                    return Err(format!("expected an element, not {other}"));
                }
            }
        }
        Ok(elements)
    }

    /// The stream begins again: what the server writes next is a new document.
    pub fn restart(&mut self) {
        self.reader = Reader::new();
    }

    /// Opens a stream; the server's header is checked, its features are returned.
    ///
    /// # Errors
    /// Something else came.
    pub fn open(&mut self, world: &mut World, host: &str) -> Result<Element, String> {
        self.restart();
        self.send(world, &header(host));
        match self.poll(world)? {
            Some(Item::Open(header)) if header.is(STREAMS, "stream") => self.next(world),
            other => Err(format!("expected a header, not {other:?}")),
        }
    }

    /// STARTTLS and the handshake. `open` is next.
    ///
    /// # Errors
    /// The server does not proceed.
    pub fn starttls(&mut self, world: &mut World) -> Result<(), String> {
        self.send(world, &format!("<starttls xmlns='{TLS}'/>"));
        let answer = self.next(world)?;
        if !answer.is(TLS, "proceed") {
            return Err(format!("expected proceed, not {answer}"));
        }
        world.secure(self.peer);
        world.run();
        Ok(())
    }

    /// SCRAM-SHA-256 and the new stream.
    ///
    /// # Errors
    /// Something else came.
    pub fn sign_in(
        &mut self,
        world: &mut World,
        account: &str,
        password: &str,
    ) -> Result<Element, String> {
        let user = account.split_once('@').map_or(account, |(user, _)| user);
        let mechanism = Mechanism::Scram(Hash::Sha256, Plus::No);
        let scram = Scram::new(
            mechanism,
            user,
            password,
            "clientnonce",
            Binding::Unsupported,
        )
        .ok_or("no SCRAM")?;
        self.send(
            world,
            &format!(
                "<auth xmlns='{SASL}' mechanism='{}'>{}</auth>",
                mechanism.name(),
                scram.first()
            ),
        );
        let challenge = self.sasl(world, "challenge")?;
        let (response, signed) = scram.respond(&challenge)?;
        self.send(
            world,
            &format!("<response xmlns='{SASL}'>{response}</response>"),
        );
        signed.verify(&self.sasl(world, "success")?)?;
        self.open(world, host_of(account))
    }

    /// SCRAM up to the client's proof, which is made over what it hears of the challenge: that is for `hear` to say.
    ///
    /// # Errors
    /// Something else came.
    pub fn prove(
        &mut self,
        world: &mut World,
        mechanism: Mechanism,
        user: &str,
        hear: impl FnOnce(&str) -> Result<String, String>,
    ) -> Result<(), String> {
        let scram = Scram::new(mechanism, user, "secret", "nonce", Binding::Unsupported);
        let scram = scram.ok_or("no SCRAM")?;
        let (name, first) = (mechanism.name(), scram.first());
        self.send(
            world,
            &format!("<auth xmlns='{SASL}' mechanism='{name}'>{first}</auth>"),
        );
        let challenge = decode(&self.sasl(world, "challenge")?)?;
        let (response, _) = scram.respond(&encode(hear(&challenge)?.as_bytes()))?;
        self.send(
            world,
            &format!("<response xmlns='{SASL}'>{response}</response>"),
        );
        Ok(())
    }

    /// DIGEST-MD5 up to the client's response. Gives back what the server is to prove itself by.
    ///
    /// # Errors
    /// Something else came.
    pub fn digest(
        &mut self,
        world: &mut World,
        user: &str,
        password: &str,
    ) -> Result<String, String> {
        self.send(
            world,
            &format!("<auth xmlns='{SASL}' mechanism='DIGEST-MD5'/>"),
        );
        let challenge = self.sasl(world, "challenge")?;
        let (response, proof) = digest_response(&challenge, "localhost", user, password)?;
        self.send(
            world,
            &format!("<response xmlns='{SASL}'>{response}</response>"),
        );
        Ok(proof)
    }

    /// A session of a guest (XEP-0175) on a connection where TLS is there already. Gives back its full address.
    ///
    /// # Errors
    /// Something else came.
    pub fn be_guest(&mut self, world: &mut World, host: &str) -> Result<String, String> {
        self.open(world, host)?;
        self.send(
            world,
            &format!("<auth xmlns='{SASL}' mechanism='ANONYMOUS'/>"),
        );
        self.sasl(world, "success")?;
        self.open(world, host)?;
        self.bind(world, "r")
    }

    /// Binds a resource.
    ///
    /// # Errors
    /// It is refused.
    pub fn bind(&mut self, world: &mut World, resource: &str) -> Result<String, String> {
        self.send(world, &bind_request(resource));
        let answer = self.next(world)?;
        let jid = answer
            .child(BIND, "bind")
            .and_then(|bind| bind.child(BIND, "jid"));
        match jid {
            Some(jid) if answer.attribute("type") == Some("result") => Ok(jid.text()),
            _ => Err(format!("expected a bound address, not {answer}")),
        }
    }

    fn sasl(&mut self, world: &mut World, name: &str) -> Result<String, String> {
        let answer = self.next(world)?;
        if answer.is(SASL, name) {
            Ok(answer.text())
        } else {
            Err(format!("expected {name}, not {answer}"))
        }
    }
}

/// A request to bind `resource`.
#[must_use]
pub fn bind_request(resource: &str) -> String {
    format!(
        "<iq type='set' id='bind'><bind xmlns='{BIND}'><resource>{}</resource></bind></iq>",
        escape(resource)
    )
}

/// A sign-in by PLAIN, which can be written without waiting for an answer.
#[must_use]
pub fn plain_auth(user: &str, password: &str) -> String {
    let message = encode(format!("\0{user}\0{password}").as_bytes());
    format!("<auth xmlns='{SASL}' mechanism='PLAIN'>{message}</auth>")
}

fn host_of(account: &str) -> &str {
    account.split_once('@').map_or(account, |(_, host)| host)
}

/// That two lists are one, told where they begin to differ.
///
/// # Errors
/// They are not.
pub fn same<T: PartialEq + std::fmt::Debug>(came: &[T], wanted: &[T]) -> Result<(), String> {
    if came == wanted {
        return Ok(());
    }
    let at = came.iter().zip(wanted).position(|(a, b)| a != b);
    let at = at.unwrap_or_else(|| came.len().min(wanted.len()));
    Err(format!(
        "{} came and {} should have; at {at} {:?}, not {:?}",
        came.len(),
        wanted.len(),
        came.get(at),
        wanted.get(at)
    ))
}
