//! Other servers in a case: those that connect, and those to which ours connects.
//!
//! Settings: `@ servers certificate|tls|nothing` lets others come, of whom that is needed; `@ shown valid|untrusted|self-signed NAME…` is
//! the certificate that each of them shows, and without it none does; `@ dns NAME ADDRESS…` are the addresses of a domain, which has no
//! records of services, `@ flood NAME COUNT EACH` has records of so many services for it, each at so many addresses where nobody listens, and
//! `@ ours ADDRESS:PORT` is where our own listener is. `@ stanzas BYTES` is `s2s_stanza_size_limit`. Elsewhere whoever DNS names listens at port 5269.
//!
//! Orders: `server [tls]` is another server's connection, in clear or behind a handshake; `greet FROM [TO]` its header, up to our features;
//! `{PEER.id}` is the id in our header from then on. `accept ADDRESS` takes the connection that ours has made to there; `welcome FROM` hears our
//! header on it and answers with another, whose id is `its-PEER`, and `encrypt FROM` does so, has STARTTLS, and does so again. `dialled N` says how
//! many connections ours has wanted in all.

use spondee_core::config::{Config, TlsAvailable};
use spondee_core::federation::{
    AllowEncryption, Allowed, PolicyOptions, RequireEncryption, Rules, SecureAuth,
};
use spondee_core::port::{
    CertificateName, CertificateNames, Chain, Lookup, NameConstraints, Opening, Resolved,
    ServerCertificate, Service, Source, Verdict,
};
use spondee_core::time::UnixTime;

use super::client::Client;
use crate::element::{Item, SERVER, STREAMS, TLS, escape};
use crate::memory::{Door, World};
use crate::talk::Talk;

/// The port at which servers listen.
const PORT: u16 = 5269;

/// What a case says of other servers.
#[derive(Debug, Default)]
pub(super) struct Others {
    /// What each of them shows.
    shown: Option<Box<ServerCertificate>>,
    records: Vec<(Lookup, Resolved)>,
    /// Those of names at which nobody listens.
    closed: Vec<(Lookup, Resolved)>,
    /// Connections that were taken by those to whom they lead.
    taken: Vec<usize>,
}

impl Others {
    /// Whether this is a setting that is theirs.
    pub(super) fn set(&mut self, config: &mut Config, words: &[&str]) -> Result<bool, String> {
        match words {
            ["servers", needed] => open(config, needed)?,
            ["shown", chain, names @ ..] => self.shown = Some(certificate(chain, names)?),
            ["dns", name, addresses @ ..] => {
                for service in ["xmpp-server", "xmpps-server"] {
                    self.serve(service, name, Resolved::NoData);
                }
                let addresses: Result<Vec<_>, _> = addresses.iter().map(|a| a.parse()).collect();
                let addresses = addresses.map_err(|_| "not an address")?;
                let name = Lookup::Addresses((*name).into());
                self.records
                    .push((name, Resolved::Addresses(addresses, Source::Dns)));
            }
            ["flood", name, targets, addresses] => self.flood(name, targets, addresses)?,
            ["stanzas", bytes] => {
                config.federation.stanza_bytes = bytes.parse().map_err(|_| "not a number")?;
            }
            ["ours", at] => {
                let at = at.parse().map_err(|_| "not an address with a port")?;
                config.federation.own.push(at);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// DNS names so many targets for a domain, each with so many addresses.
    fn flood(&mut self, name: &str, targets: &str, addresses: &str) -> Result<(), String> {
        let count = |text: &str| text.parse::<u8>().map_err(|_| "not a small number");
        let targets: Vec<String> = (1..=count(targets)?)
            .map(|n| format!("t{n}.{name}"))
            .collect();
        for (subnet, target) in (1..).zip(&targets) {
            let addresses = (1..=count(addresses)?).map(|n| [198, 51, subnet, n].into());
            self.closed.push((
                Lookup::Addresses(target.as_str().into()),
                Resolved::Addresses(addresses.collect(), Source::Dns),
            ));
        }
        let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
        self.serve("xmpp-server", name, services(&targets)?);
        self.serve("xmpps-server", name, Resolved::NoData);
        Ok(())
    }

    fn serve(&mut self, service: &str, name: &str, outcome: Resolved) {
        let lookup = Lookup::Services(format!("_{service}._tcp.{name}").into());
        self.records.push((lookup, outcome));
    }

    /// They are there.
    pub(super) fn settle_in(&self, world: &mut World) {
        world.server.clone_from(&self.shown);
        for (lookup, outcome) in &self.closed {
            world.publish(lookup.clone(), outcome.clone());
        }
        for (lookup, outcome) in &self.records {
            world.publish(lookup.clone(), outcome.clone());
            if let Resolved::Addresses(addresses, _) = outcome {
                for address in addresses {
                    world.set_door((*address, PORT).into(), Door::Opens);
                }
            }
        }
    }

    /// The connection that ours has made to this address, once each.
    pub(super) fn accept(&mut self, world: &World, address: &str) -> Result<Talk, String> {
        let wanted = world.outgoing().iter().enumerate();
        let found = wanted
            .filter(|(at, _)| !self.taken.contains(at))
            .find(|(_, (to, _))| to.ip().to_string() == address);
        let (at, (_, peer)) = found.ok_or_else(|| {
            let wanted: Vec<_> = world.outgoing().iter().map(|(to, _)| to).collect();
            format!("no connection was made to {address}, but to {wanted:?}")
        })?;
        self.taken.push(at);
        Ok(Talk::at(*peer))
    }
}

/// From now on there are other servers, of whom so much is needed.
fn open(config: &mut Config, needed: &str) -> Result<(), String> {
    let (secure_auth, require_encryption) = match needed {
        "certificate" => (SecureAuth::Yes, RequireEncryption::Yes),
        "tls" => (SecureAuth::No, RequireEncryption::Yes),
        "nothing" => (SecureAuth::No, RequireEncryption::No),
        _ => return Err("certificate, tls or nothing".to_owned()),
    };
    let rules = Rules::new(PolicyOptions {
        allow_encryption: AllowEncryption::Yes,
        require_encryption,
        secure_auth,
        secure_domains: [].into(),
        insecure_domains: [].into(),
        allowed: Allowed::All,
        refused: [].into(),
    });
    config.federation.rules = rules.map_err(|fault| format!("{fault:?}"))?;
    for host in config.accounts_mut() {
        host.tls = TlsAvailable::Yes;
    }
    Ok(())
}

fn certificate(chain: &str, names: &[&str]) -> Result<Box<ServerCertificate>, String> {
    let names = names
        .iter()
        .map(|name| CertificateName::Dns((*name).into()));
    Ok(Box::new(ServerCertificate {
        verdict: Some(Verdict::Good),
        chain: match chain {
            "valid" => Chain::Valid {
                until: UnixTime(i64::MAX),
            },
            "untrusted" => Chain::Untrusted,
            "self-signed" => Chain::SelfSigned,
            _ => return Err("valid, untrusted or self-signed".to_owned()),
        },
        names: CertificateNames {
            each: names.collect(),
            constraints: NameConstraints::None,
        },
        fingerprint: [1; 32],
    }))
}

fn services(targets: &[&str]) -> Result<Resolved, String> {
    let each = targets.iter().enumerate().map(|(at, target)| {
        Ok(Service {
            priority: u16::try_from(at).map_err(|_| "too many")?,
            weight: 0,
            port: PORT,
            target: (*target).into(),
        })
    });
    let each: Result<_, &str> = each.collect();
    Ok(Resolved::Services(each?))
}

fn header(from: &str, to: &str, id: Option<&str>) -> String {
    let id = id.map(|id| format!(" id='{}'", escape(id)));
    format!(
        "<stream:stream xmlns='{SERVER}' xmlns:db='jabber:server:dialback' xmlns:stream='{STREAMS}' \
         from='{}' to='{}'{} version='1.0'>",
        escape(from),
        escape(to),
        id.unwrap_or_default()
    )
}

/// What another server says in its first breath.
impl Client {
    /// It connects, to our listener for servers.
    pub(super) fn server(world: &mut World, opening: Opening) -> Self {
        let peer = world.connect_server(opening);
        if opening == Opening::Tls {
            world.secure(peer);
            world.run();
        }
        Self::of_server(Talk::at(peer))
    }

    /// Its header, our header and our features. The id of our header.
    pub(super) fn greet(
        &mut self,
        world: &mut World,
        from: &str,
        to: &str,
    ) -> Result<String, String> {
        self.talk.restart();
        self.talk.send(world, &header(from, to, None));
        let id = self.hear_header(world)?;
        self.next(world)?;
        Ok(id)
    }

    fn hear_header(&mut self, world: &mut World) -> Result<String, String> {
        match self.poll(world)? {
            Some(Item::Open(header)) if header.is(STREAMS, "stream") => {
                Ok(header.attribute("id").unwrap_or_default().to_owned())
            }
            other => Err(format!("expected a header, not {other:?}")),
        }
    }

    /// Our header, and its own.
    pub(super) fn welcome(
        &mut self,
        world: &mut World,
        from: &str,
        id: &str,
    ) -> Result<(), String> {
        self.talk.restart();
        self.hear_header(world)?;
        self.talk.send(world, &header(from, "localhost", Some(id)));
        Ok(())
    }

    /// The same, twice, and TLS between.
    pub(super) fn encrypt(
        &mut self,
        world: &mut World,
        from: &str,
        id: &str,
    ) -> Result<(), String> {
        self.welcome(world, from, "in-clear")?;
        let features = format!(
            "<stream:features><starttls xmlns='{TLS}'><required/></starttls></stream:features>"
        );
        self.talk.send(world, &features);
        let starttls = self.next(world)?;
        if !starttls.is(TLS, "starttls") {
            return Err(format!("expected starttls, not {starttls}"));
        }
        self.talk.send(world, &format!("<proceed xmlns='{TLS}'/>"));
        world.secure(self.talk.peer());
        world.run();
        self.welcome(world, from, id)
    }
}
