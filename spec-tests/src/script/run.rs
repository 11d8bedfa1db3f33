//! Runs a case against shards in memory.
//!
//! Orders of clients: `connect [tls]`, `secure` (a TLS handshake), `open`, `starttls` (with handshake and new stream), `sign-in
//! USER [PASSWORD]`, `bind RESOURCE`, `session USER RESOURCE` (all of these), `online USER RESOURCE` (a session that asked for its roster,
//! is available, and read what came of that), `restart` (what follows is a new stream), `write
//! TIMES XML…`, `stop-reading`, `read-again`, `hang-up`, `wait SECONDS`, and `query WORDS` of the own archive: see `archive::query`.
//! `prove MECHANISM USER HASH` is SCRAM up to the proof, by a client that wants this hash of what was offered (XEP-0474), or hears
//! `instead:ANOTHER`, or none, `without`.
//! `digest USER PASSWORD` is DIGEST-MD5 up to the client's response; the server then proves itself by `{PEER.proof}`.
//! `component NAME SECRET` is a component (XEP-0114) up to its handshake.
//! `guest HOST` is a session of a guest, and `{PEER.jid}` and `{PEER.bare}` are its addresses from then on.
//! Those of other servers are in `servers`.
//! Orders of the administrator: `shut-down`, `start` (the server again, from what is on disk; all connections are gone, however it
//! ended), `passwd ACCOUNT PASSWORD`, `disable ACCOUNT`, `enable ACCOUNT`, `delete ACCOUNT`, `add ACCOUNT`, `drop-host HOST`, `store
//! busy|slow|fails` (the next batch), `mesh full|free` (between shards), and `befriend USER USER to|from|both`, by stanzas of sessions
//! that are gone then: what the roster of the first says of the second.
//!
//! Of stream management: `manage` enables it with resumption, and `{PEER.id}` is the session's id from then on; `resume USER ID H` is a
//! new connection that signs in and asks for that session. Requests for acknowledgement are seen as everything else, unless the client
//! is told to `ignore-requests` or to `answer-requests`, at once.
//!
//! States: `handled N` (nothing but `<a/>`, up to this number), `header`, `features`, `failure CONDITION` (of SASL), `error CONDITION`
//! (of the stream, with its end), `closed`, `tls-failed`, `nothing`, `anything` (what came is passed over), and `page IDS WORDS` of an
//! archive: see `archive::Page`.

use std::collections::BTreeMap;
use std::time::Duration;

use spondee_core::archive::Policy;
use spondee_core::config::Config;
use spondee_core::jid::{BareJid, Domain, Resource};
use spondee_core::port::{ClientCertificate, Command, Opening, TlsVersion};
use spondee_core::sasl::{Mechanism, Provider};
use spondee_core::secret::Secret;
use spondee_core::store::StoreError;

use super::archive::{Page, query};
use super::client::{Client, Requests};
use super::fill::{Names, compare, each, expand};
use super::servers::Others;
use super::settings::{options, set};
use super::{Act, Case, Step};
use crate::element::{Element, Item, Reader, SASL, STREAMS};
use crate::memory::{Ended, Fate, Mesh, StorePace, World, config};
use crate::talk::Talk;

/// How what a client writes is cut.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cut {
    /// Each line of the transcript in one piece.
    Whole,
    /// Byte by byte.
    Bytes,
}

const ROSTER_GET: &str = "<iq id='roster' type='get'><query xmlns='jabber:iq:roster'/></iq>";

/// Runs one case, on so many shards unless it says how many.
///
/// # Errors
/// The first line that does not hold, with what came instead.
pub fn run(case: &Case, cut: Cut, shards: u16) -> Result<(), String> {
    let mut config = config();
    config.shards = shards;
    if case.is_about_archives() {
        for host in config.accounts_mut() {
            host.archive.policy = Policy::Always;
        }
    }
    options(&mut config, &case.settings).map_err(|e| format!("{}: {e}", case.at))?;
    let mut tls = TlsVersion::V1_3;
    let mut more = Vec::new();
    let mut named = None;
    let mut others = Others::default();
    for setting in &case.settings {
        match setting.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["tls", "1.2"] => tls = TlsVersion::V1_2,
            ["account", user] => more.push(user),
            ["certificate", ..] => named = certificate(&setting[1..]),
            ["option", ..] => {}
            ref words
                if others
                    .set(&mut config, words)
                    .map_err(|e| format!("{}: {e}: {setting:?}", case.at))? => {}
            _ => set(&mut config, setting).map_err(|e| format!("{}: {e}: {setting:?}", case.at))?,
        }
    }
    let mut world = World::new(config.clone());
    world.tls = tls;
    world.client = named;
    others.settle_in(&mut world);
    for user in ["juliet", "romeo"].into_iter().chain(more) {
        world.add_user(&account(user), "secret");
    }
    for (name, host) in config.realms() {
        if host.provider == Provider::Ldap {
            world.know(&format!("juliet@{name}"), "secret");
        }
    }
    let mut stage = Stage {
        world,
        config,
        cut,
        clients: BTreeMap::new(),
        names: Names::new(),
        others,
    };
    let file = case.at.split(':').next().unwrap_or_default();
    for step in &case.steps {
        stage
            .step(step)
            .map_err(|e| format!("{file}:{}: {e}", step.line))?;
    }
    stage
        .silence()
        .map_err(|e| format!("{}: at the end, {e}", case.at))
}

/// What a client shows that has a certificate of these, as far as they are addresses.
fn certificate(names: &[String]) -> Option<Box<ClientCertificate>> {
    let names = names.iter().filter_map(|name| BareJid::parse(name).ok());
    let names = names.collect();
    Some(Box::new(ClientCertificate { names }))
}

struct Stage {
    world: World,
    config: Config,
    cut: Cut,
    clients: BTreeMap<String, Client>,
    names: Names,
    others: Others,
}

impl Stage {
    fn step(&mut self, step: &Step) -> Result<(), String> {
        self.attend()?;
        match &step.act {
            Act::Write(text) => {
                let bytes = expand(text, &self.names)?;
                self.write(&step.peer, &bytes);
                Ok(())
            }
            Act::Order(words) => {
                let words: Vec<&str> = words.iter().map(String::as_str).collect();
                self.order(&step.peer, &words)
            }
            Act::Expect(text) => self.expect(&step.peer, text),
            Act::ExpectAll(text) => self.expect_all(&step.peer, text),
            Act::State(text) => self.state(&step.peer, text),
        }
    }

    fn write(&mut self, peer: &str, bytes: &[u8]) {
        let peer = self.client(peer).talk.peer();
        match self.cut {
            Cut::Whole => self.world.write(peer, bytes),
            Cut::Bytes => {
                for byte in bytes {
                    self.world.write(peer, std::slice::from_ref(byte));
                }
            }
        }
        self.world.run();
    }

    /// The client of this name, connected now if need be.
    fn client(&mut self, name: &str) -> &mut Client {
        let world = &mut self.world;
        self.clients
            .entry(name.to_owned())
            .or_insert_with(|| Client::new(Talk::connect(world, Opening::Clear)))
    }

    /// From now on this is the connection of that client, which goes on as it was told to deal with requests.
    fn connected(&mut self, name: &str, talk: Talk) -> &mut Client {
        let requests = self.clients.get(name).map(|client| client.requests);
        let mut client = Client::new(talk);
        client.requests = requests.unwrap_or_default();
        self.clients.insert(name.to_owned(), client);
        self.client(name)
    }

    /// Time passes, and clients that answer requests do so meanwhile.
    fn wait(&mut self, time: Duration) -> Result<(), String> {
        let end = self.world.now().mono + time;
        self.attend()?;
        let answers = |client: &Client| client.requests == Requests::Answered;
        if self.clients.values().any(answers) {
            while let Some(at) = self.world.next_timeout().filter(|at| *at < end) {
                let now = self.world.now().mono;
                self.world.advance(at.since(now));
                self.attend()?;
            }
        }
        let now = self.world.now().mono;
        self.world.advance(end.since(now));
        self.attend()
    }

    fn attend(&mut self) -> Result<(), String> {
        for client in self.clients.values_mut() {
            client.attend(&mut self.world)?;
        }
        Ok(())
    }

    fn order(&mut self, name: &str, words: &[&str]) -> Result<(), String> {
        if self.command(words)? || self.order_of_server(name, words)? {
            return Ok(());
        }
        match words {
            ["connect", "tls"] => {
                let talk = Talk::connect(&mut self.world, Opening::Tls);
                self.connected(name, talk);
            }
            ["component", served, secret] => {
                let talk = Talk::component(&mut self.world, served, secret)?;
                self.connected(name, talk);
            }
            ["session", user, resource] => {
                let account = account(user);
                let talk = Talk::session(&mut self.world, &account, resource)?;
                self.connected(name, talk);
            }
            ["online", user, resource] => {
                let mut talk = Talk::session(&mut self.world, &account(user), resource)?;
                talk.send(&mut self.world, &format!("{ROSTER_GET}<presence/>"));
                talk.rest(&mut self.world)?;
                self.connected(name, talk);
            }
            ["guest", host] => {
                let mut talk = Talk::connect(&mut self.world, Opening::Tls);
                let jid = talk.be_guest(&mut self.world, host)?;
                let bare = jid.split('/').next().unwrap_or_default();
                self.names.insert(format!("{name}.bare"), bare.to_owned());
                self.names.insert(format!("{name}.jid"), jid);
                self.connected(name, talk);
            }
            ["resume", user, id, handled] => {
                let account = account(user);
                let id = String::from_utf8_lossy(&expand(id, &self.names)?).into_owned();
                let mut talk = Talk::connect(&mut self.world, Opening::Tls);
                talk.open(&mut self.world, "localhost")?;
                talk.sign_in(&mut self.world, &account, "secret")?;
                self.connected(name, talk);
                self.with(name, |client, world| client.resume(world, &id, handled))?;
            }
            ["manage"] => {
                let id = self.with(name, Client::enable)?;
                self.names.insert(format!("{name}.id"), id);
            }
            ["ignore-requests"] => self.client(name).requests = Requests::Ignored,
            ["answer-requests"] => self.client(name).requests = Requests::Answered,
            ["befriend", user, other, subscription] => {
                self.befriend(&account(user), &account(other), subscription)?;
            }
            ["wait", seconds] => {
                let seconds = seconds.parse().map_err(|_| "not a number")?;
                self.wait(Duration::from_secs(seconds))?;
            }
            ["write", times, ..] => {
                let times = times.parse::<usize>().map_err(|e| e.to_string())?;
                let xml = expand(&words[2..].join(" "), &self.names)?;
                for _ in 0..times {
                    self.write(name, &xml);
                }
            }
            ["query", words @ ..] => {
                let query = query(words, &self.names)?;
                self.write(name, &query);
            }
            words => return self.order_of_talk(name, words),
        }
        Ok(())
    }

    /// Whether it was one of another server.
    fn order_of_server(&mut self, name: &str, words: &[&str]) -> Result<bool, String> {
        let id = format!("its-{name}");
        match words {
            ["server", opening @ ..] => {
                let opening = match opening {
                    ["tls"] => Opening::Tls,
                    _ => Opening::Clear,
                };
                let client = Client::server(&mut self.world, opening);
                self.clients.insert(name.to_owned(), client);
            }
            ["greet", from, to @ ..] => {
                let to = to.first().unwrap_or(&"localhost");
                let id = self.with(name, |client, world| client.greet(world, from, to))?;
                self.names.insert(format!("{name}.id"), id);
            }
            ["accept", address] => {
                let talk = self.others.accept(&self.world, address)?;
                self.clients
                    .insert(name.to_owned(), Client::of_server(talk));
            }
            ["welcome", from] => {
                self.with(name, |client, world| client.welcome(world, from, &id))?;
            }
            ["encrypt", from] => {
                self.with(name, |client, world| client.encrypt(world, from, &id))?;
            }
            ["dialled", count] => {
                let dialled = self.world.outgoing().len();
                if dialled.to_string() != *count {
                    return Err(format!("{dialled} connections were made"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn order_of_talk(&mut self, name: &str, words: &[&str]) -> Result<(), String> {
        self.client(name);
        let client = self.clients.get_mut(name).ok_or("no such connection")?;
        let talk = &mut client.talk;
        let world = &mut self.world;
        match words {
            ["connect"] => {}
            ["restart"] => talk.restart(),
            ["secure"] => {
                world.secure(talk.peer());
                world.run();
            }
            ["open"] => drop(talk.open(world, "localhost")?),
            ["starttls"] => {
                talk.starttls(world)?;
                talk.open(world, "localhost")?;
            }
            ["sign-in", user] => drop(talk.sign_in(world, &account(user), "secret")?),
            ["sign-in", user, password] => {
                talk.sign_in(world, &account(user), password)?;
            }
            ["prove", mechanism, user, offered] => {
                let mechanism = Mechanism::from_name(mechanism).ok_or("no such mechanism")?;
                talk.prove(world, mechanism, user, |heard| offered_as(heard, offered))?;
            }
            ["digest", user, password] => {
                let proof = talk.digest(world, user, password)?;
                self.names.insert(format!("{name}.proof"), proof);
            }
            ["bind", resource] => drop(talk.bind(world, resource)?),
            ["stop-reading"] => world.stop_taking(talk.peer()),
            ["read-again"] => world.take_again(talk.peer()),
            ["hang-up"] => {
                world.hang_up(talk.peer());
                world.run();
            }
            _ => return Err("no such order".to_owned()),
        }
        Ok(())
    }

    /// What this client does with the world.
    fn with<T>(
        &mut self,
        name: &str,
        act: impl FnOnce(&mut Client, &mut World) -> Result<T, String>,
    ) -> Result<T, String> {
        let client = self.clients.get_mut(name).ok_or("no such connection")?;
        act(client, &mut self.world)
    }

    /// Whether it was an order of the administrator's.
    fn command(&mut self, words: &[&str]) -> Result<bool, String> {
        let address = |text: &str| BareJid::parse(text).map_err(|e| format!("{e:?}"));
        let command = match words {
            ["shut-down"] => {
                self.world.shut_down();
                return Ok(true);
            }
            ["start"] => {
                self.silence()?;
                self.clients.clear();
                self.world.crash();
                return Ok(true);
            }
            ["add", account] => {
                self.world.add_user(account, "secret");
                return Ok(true);
            }
            ["store", "fails"] => {
                let failed = Fate::Failed(StoreError::Failed);
                self.world.fates.push_back(failed);
                return Ok(true);
            }
            ["store", pace] => {
                self.world.store_pace = match *pace {
                    "busy" => StorePace::Busy,
                    _ => StorePace::Slow,
                };
                return Ok(true);
            }
            ["mesh", state] => {
                self.world.mesh = match *state {
                    "full" => Mesh::Full,
                    _ => Mesh::Free,
                };
                self.world.run();
                return Ok(true);
            }
            ["drop-host", host] => {
                let host = Domain::parse(host).map_err(|e| format!("{e:?}"))?;
                self.config.hosts.remove(&host);
                self.world.reload(self.config.clone());
                return Ok(true);
            }
            ["passwd", account, password] => Command::Passwd {
                account: address(account)?,
                password: Secret::new(password.as_bytes().to_vec()),
            },
            ["disable", account] => Command::Disable {
                account: address(account)?,
            },
            ["disconnect", account, resource @ ..] => Command::Disconnect {
                account: address(account)?,
                resource: match resource.join(" ").as_str() {
                    "" => None,
                    name => Some(Resource::parse(name).map_err(|e| format!("{e:?}"))?),
                },
            },
            ["enable", account] => Command::Enable {
                account: address(account)?,
            },
            ["delete", account] => Command::Delete {
                account: address(account)?,
            },
            _ => return Ok(false),
        };
        match self.world.command(command) {
            Ok(_) => Ok(true),
            Err(error) => Err(format!("the command failed: {error:?}")),
        }
    }

    /// One subscribes to the other, or the other way round, or both, as people do.
    fn befriend(&mut self, user: &str, other: &str, subscription: &str) -> Result<(), String> {
        let world = &mut self.world;
        let mut talks = [
            Talk::session(world, user, "befriend")?,
            Talk::session(world, other, "befriend")?,
        ];
        let names = [user, other];
        let askers: &[usize] = match subscription {
            "to" => &[0],
            "from" => &[1],
            "both" => &[0, 1],
            _ => return Err("no such subscription".to_owned()),
        };
        let presence = |to, kind| format!("<presence to='{to}' type='{kind}'/>");
        for asker in askers {
            let asked = 1 - asker;
            talks[*asker].send(world, &presence(names[asked], "subscribe"));
            talks[asked].send(world, &presence(names[*asker], "subscribed"));
        }
        talks[0].send(world, ROSTER_GET);
        let heard = talks[0].rest(world)?;
        let item = heard
            .last()
            .and_then(|answer| answer.children().next())
            .and_then(|query| {
                let mut items = query.children();
                items.find(|item| item.attribute("jid") == Some(other))
            });
        if item.and_then(|item| item.attribute("subscription")) != Some(subscription) {
            return Err(format!("they are not befriended so: {heard:?}"));
        }
        for talk in talks {
            world.hang_up(talk.peer());
            world.run();
        }
        Ok(())
    }

    /// As `expect`, in any order.
    fn expect_all(&mut self, name: &str, text: &str) -> Result<(), String> {
        let client = self.clients.get_mut(name).ok_or("no such connection")?;
        let mut wanted = patterns(text, client.content)?;
        while !wanted.is_empty() {
            let item = match client.poll(&mut self.world)? {
                Some(Item::Element(element)) => element,
                other => {
                    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
                    let wanted = wanted.join("\n    or ");
                    return Err(format!("expected {wanted}\n  not {other:?}"));
                }
            };
            let mut faults = Vec::new();
            let found = wanted.iter().position(|pattern| {
                let Item::Element(pattern) = pattern else {
                    return false;
                };
                let mut names = self.names.clone();
                match compare(pattern, &item, &mut names) {
                    Ok(()) => {
                        self.names = names;
                        true
                    }
                    Err(fault) => {
                        faults.push(fault);
                        false
                    }
                }
            });
            let place = found.ok_or_else(|| format!("{}\n  in {item}", faults.join("; ")))?;
            wanted.remove(place);
        }
        Ok(())
    }

    fn expect(&mut self, name: &str, text: &str) -> Result<(), String> {
        let world = &mut self.world;
        let client = self.clients.get_mut(name).ok_or("no such connection")?;
        for pattern in patterns(&each(text)?, client.content)? {
            let item = client.poll(world)?;
            match (&pattern, &item) {
                (Item::Open(want), Some(Item::Open(have)))
                | (Item::Element(want), Some(Item::Element(have))) => {
                    compare(want, have, &mut self.names)
                        .map_err(|fault| format!("{fault}\n  in {have}"))?;
                }
                (Item::Close, Some(Item::Close)) => {}
                (_, Some(item)) => return Err(format!("expected {pattern}\n  not {item}")),
                (_, None) => {
                    let ended = world.ended(client.talk.peer());
                    return Err(format!(
                        "expected {pattern}\n  but nothing came ({ended:?})"
                    ));
                }
            }
        }
        Ok(())
    }

    fn page(&mut self, name: &str, words: &str) -> Result<(), String> {
        let client = self.clients.get_mut(name).ok_or("no such connection")?;
        let mut page = Page::parse(&words.split_whitespace().collect::<Vec<_>>())?;
        while !page.take(&client.next(&mut self.world)?, &mut self.names)? {}
        Ok(())
    }

    fn state(&mut self, name: &str, text: &str) -> Result<(), String> {
        if let Some(words) = text.strip_prefix("page") {
            return self.page(name, words);
        }
        let client = self.clients.get_mut(name).ok_or("no such connection")?;
        match text.split_once(' ').unwrap_or((text, "")) {
            ("anything", "") => {
                while client.poll(&mut self.world)?.is_some() {}
                return Ok(());
            }
            ("header", "") => {
                return match client.poll(&mut self.world)? {
                    Some(Item::Open(header)) if header.is(STREAMS, "stream") => Ok(()),
                    other => Err(format!("expected a header, not {other:?}")),
                };
            }
            ("handled", all) => {
                let all = all.parse().map_err(|_| "not a number")?;
                return client.handled_by_server(&mut self.world, all);
            }
            ("features", "") => return named(&client.next(&mut self.world)?, STREAMS, "features"),
            ("failure", condition) => {
                let failure = client.next(&mut self.world)?;
                named(&failure, SASL, "failure")?;
                return has_condition(&failure, condition);
            }
            ("error", condition) => {
                let error = client.next(&mut self.world)?;
                named(&error, STREAMS, "error")?;
                has_condition(&error, condition)?;
                return match client.poll(&mut self.world)? {
                    Some(Item::Close) => Ok(()),
                    other => Err(format!("expected the end of the stream, not {other:?}")),
                };
            }
            _ => {}
        }
        if let Some(item) = client.poll(&mut self.world)? {
            return Err(format!("expected {text}, not {item}"));
        }
        let ended = self.world.ended(client.talk.peer());
        let wanted = match text {
            "nothing" => None,
            "closed" => Some(Ended::Closed),
            "tls-failed" => Some(Ended::TlsFailed),
            _ => return Err("no such state".to_owned()),
        };
        if ended == wanted {
            Ok(())
        } else {
            Err(format!("expected {text}, but the connection is {ended:?}"))
        }
    }

    /// Nothing may be left unread by the transcript.
    fn silence(&mut self) -> Result<(), String> {
        for (name, client) in &mut self.clients {
            if let Some(item) = client.poll(&mut self.world)? {
                return Err(format!("{name} had not expected {item}"));
            }
        }
        Ok(())
    }
}

fn named(element: &Element, ns: &str, name: &str) -> Result<(), String> {
    if element.is(ns, name) {
        Ok(())
    } else {
        Err(format!("expected {name}, not {element}"))
    }
}

fn has_condition(element: &Element, condition: &str) -> Result<(), String> {
    if element.condition() == Some(condition) {
        Ok(())
    } else {
        Err(format!("expected {condition}, not {element}"))
    }
}

fn account(user: &str) -> String {
    if user.contains('@') {
        user.to_owned()
    } else {
        format!("{user}@localhost")
    }
}

/// The items of a pattern: one that begins with a header stands for itself, others for children of a stream of this content.
fn patterns(text: &str, content: &str) -> Result<Vec<Item>, String> {
    let mut reader = Reader::new();
    let begins_stream = text.starts_with("<?xml") || text.starts_with("<stream:stream");
    if !begins_stream {
        let header = format!(
            "<stream:stream xmlns='{content}' xmlns:db='jabber:server:dialback' xmlns:stream='{STREAMS}'>"
        );
        reader.push(header.as_bytes());
        reader.next_item()?;
    }
    reader.push(text.as_bytes());
    let mut items = Vec::new();
    while let Some(item) = reader.next_item()? {
        items.push(item);
    }
    if items.is_empty() || !(reader.is_at_boundary() || matches!(items.last(), Some(Item::Close))) {
        return Err(format!("not whole elements: {text}"));
    }
    Ok(items)
}

/// The challenge as a client takes it: it insists on this hash of what was offered, or hears another, or none (XEP-0474 §6.2).
fn offered_as(heard: &str, offered: &str) -> Result<String, String> {
    let (before, hash) = heard.split_once(",h=").ok_or("no hash of the offer")?;
    match offered.split_once(':') {
        Some(("instead", other)) => Ok(format!("{before},h={other}")),
        _ if offered == "without" => Ok(before.to_owned()),
        _ if hash == offered => Ok(heard.to_owned()),
        _ => Err(format!("the hash of the offer is {hash}")),
    }
}
