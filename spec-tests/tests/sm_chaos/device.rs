//! A session with stream management over connections that are cut: by chance, by its own choice, or by the end of the server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use spec_tests::acks::{Acks, Came, REQUEST, Resumed, SM};
use spec_tests::client::{Client, PATIENCE};
use spec_tests::dice::Dice;
use spec_tests::element::{CLIENT, Element, Item, STREAMS};
use spec_tests::kept::{CARBONS, Door, Entry, MAM, Query, Seen, page, ping};

use crate::books::{self, Event, Heard, Holes, Post, bare};
use crate::crowd::Square;

/// Of a thousand stanzas that come, behind so many the network breaks.
const CUTS: usize = 4;

/// The same right before and after the server comes to an end.
const STORM: usize = 200;

/// How long the server keeps a session of one who wishes so: `max` of `<enable/>`.
const SHORT: Duration = Duration::from_secs(1);

/// Why something was not done to its end.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The session is over, and a new one is there.
    Over,
    Fault(String),
}

impl From<String> for Trouble {
    fn from(fault: String) -> Self {
        Self::Fault(fault)
    }
}

/// How a session is to live.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Life {
    /// As long as the server lets it.
    Long,
    /// For a second without a connection.
    Short,
    /// As long as its connection.
    Connection,
}

impl Life {
    const fn enable(self) -> &'static str {
        match self {
            Self::Long => "<enable xmlns='urn:xmpp:sm:3' resume='true'/>",
            Self::Short => "<enable xmlns='urn:xmpp:sm:3' resume='true' max='1'/>",
            Self::Connection => "<enable xmlns='urn:xmpp:sm:3'/>",
        }
    }
}

/// What who comes looks at first.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum First {
    Owed,
    Archive,
}

/// What who goes says of what came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Tells {
    All,
    Nothing,
}

/// A stanza that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) xml: String,
    pub(crate) post: Option<Post>,
}

/// What was sent in a session that is over, and that the server did not have, or may not have had.
#[derive(Debug)]
pub(crate) struct Left {
    pub(crate) posts: Vec<Post>,
    pub(crate) known: Known,
}

/// Whether the server said how much of it it had.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Known {
    Yes,
    No,
}

/// One device.
pub(crate) struct Line {
    door: Door,
    square: Arc<Square>,
    at: books::Device,
    life: Life,
    client: Option<Client>,
    acks: Acks<Sent>,
    pub(crate) dice: Dice,
    /// How often the server had come to an end when this connection was begun.
    ends: usize,
    kills: usize,
    /// Something may be in the archive alone, and the device has not looked since.
    crashed: bool,
    cut_at: Option<Instant>,
    /// It answers the next request only behind so many stanzas.
    lazy: usize,
    /// Up to which event it has told the server that it has all.
    told: usize,
    /// The last that it knows of its archive.
    last: Option<String>,
    pub(crate) heard: Heard,
    /// What the server acknowledged since it was last asked.
    pub(crate) acknowledged: Vec<Post>,
    pub(crate) left: Vec<Left>,
    /// What was sent in each session.
    pub(crate) sessions: Vec<(String, Vec<Option<Post>>)>,
    pub(crate) strange: Vec<Element>,
    requests: usize,
    marker: Option<String>,
}

/// What a read came to.
enum Read {
    Element(Element),
    Nothing,
    /// The connection is no more.
    Lost,
}

impl Line {
    /// A first session at this address.
    pub(crate) fn begin(
        door: &Door,
        square: &Arc<Square>,
        at: books::Device,
        life: Life,
        seed: u64,
    ) -> Result<Self, String> {
        let mut archive = door.device(at.0, "last")?;
        let mut last = page(&mut archive, "last", &Query::new().max(1).before(""))?;
        archive.close()?;
        let (ends, kills) = (square.ends(), square.kills());
        let (client, acks) = enter(door.signed_in(at.0)?, at.1, life)?;
        let mut line = Self {
            door: door.clone(),
            square: square.clone(),
            at,
            life,
            client: Some(client),
            acks,
            dice: Dice::new(seed),
            ends,
            kills,
            crashed: false,
            cut_at: None,
            lazy: 0,
            told: 0,
            last: last.entries.pop().map(|entry| entry.id),
            heard: Heard::default(),
            acknowledged: Vec::new(),
            left: Vec::new(),
            sessions: Vec::new(),
            strange: Vec::new(),
            requests: 0,
            marker: None,
        };
        line.open_book();
        Ok(line)
    }

    fn open_book(&mut self) {
        let id = self.acks.id().unwrap_or_default().to_owned();
        self.sessions.push((id, Vec::new()));
    }

    pub(crate) fn note(&mut self, event: Event) {
        self.heard.events.push(event);
    }

    /// How many stanzas were sent that the server has not acknowledged.
    pub(crate) fn unacknowledged(&self) -> usize {
        self.acks.unacknowledged().len()
    }

    /// Writes a stanza. If the connection is gone, that is found out by who reads.
    pub(crate) fn send(&mut self, xml: &str, post: Option<Post>) {
        if let Some((_, sent)) = self.sessions.last_mut() {
            sent.push(post);
        }
        self.acks.send(Sent {
            xml: xml.to_owned(),
            post,
        });
        self.write(xml);
    }

    /// Writes what is no stanza.
    pub(crate) fn write(&mut self, xml: &str) {
        if let Some(client) = &mut self.client {
            // See `send`.
            let _ = client.send(xml);
        }
    }

    pub(crate) fn request(&mut self) {
        self.write(REQUEST);
    }

    /// The network breaks.
    pub(crate) fn cut(&mut self) {
        self.client = None;
        self.heard.cuts += 1;
        self.cut_at = Some(Instant::now());
    }

    /// Whether there is a connection.
    pub(crate) const fn is_connected(&self) -> bool {
        self.client.is_some()
    }

    /// The next stanza that says something to who asked for it: an answer or an entry of an archive. `None` if nothing comes in time.
    pub(crate) fn next(&mut self, patience: Duration) -> Result<Option<Element>, Trouble> {
        let deadline = Instant::now() + patience;
        loop {
            let cuts = if self.square.is_stormy() { STORM } else { CUTS };
            if self.dice.below(1000) < cuts && self.life != Life::Connection && self.is_connected()
            {
                self.cut();
            }
            // Who is lazy still answers soon.
            let until = match self.lazy {
                0 => deadline,
                _ => deadline.min(Instant::now() + Duration::from_millis(30)),
            };
            match self.read(until)? {
                Read::Element(element) => {
                    if let Some(element) = self.take(element)? {
                        return Ok(Some(element));
                    }
                }
                Read::Nothing => {
                    if std::mem::take(&mut self.lazy) > 0 {
                        self.acknowledge();
                    }
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                }
                Read::Lost => self.go_on()?,
            }
        }
    }

    fn read(&mut self, deadline: Instant) -> Result<Read, Trouble> {
        let Some(client) = &mut self.client else {
            return Ok(Read::Lost);
        };
        match client.next_item(deadline.saturating_duration_since(Instant::now())) {
            Ok(Item::Element(element)) if element.is(STREAMS, "error") => {
                match (element.condition(), self.is_ended()) {
                    (Some("system-shutdown"), true) => self.read(deadline),
                    _ => Err(Trouble::Fault(format!("{:?}: {element}", self.at))),
                }
            }
            Ok(Item::Element(element)) => Ok(Read::Element(element)),
            Ok(Item::Close) => {
                self.farewell();
                self.lost()
            }
            Ok(Item::Open(header)) => Err(Trouble::Fault(format!("a second header: {header}"))),
            Err(fault) if fault == "nothing came in time" => Ok(Read::Nothing),
            Err(fault) if is_end(&fault) => self.lost(),
            Err(fault) => Err(Trouble::Fault(format!("{:?}: {fault}", self.at))),
        }
    }

    /// Whether the server has come to an end since this connection was begun, or is about to.
    fn is_ended(&self) -> bool {
        self.square.is_ended(self.ends)
    }

    /// Whether it has been the same server all the time.
    pub(crate) fn is_first(&self) -> bool {
        self.square.ends() == 0
    }

    fn lost(&mut self) -> Result<Read, Trouble> {
        self.client = None;
        self.cut_at = Some(Instant::now());
        match self.is_ended() {
            true => Ok(Read::Lost),
            false => Err(Trouble::Fault(format!(
                "{:?}: the server ended the connection",
                self.at
            ))),
        }
    }

    /// The server said goodbye: it hears what came, and that is the end.
    fn farewell(&mut self) {
        let answer = self.acks.answer();
        self.write(&format!("{answer}</stream:stream>"));
        let events = self.heard.events.len();
        let Some(client) = &mut self.client else {
            return;
        };
        if client.expect_end().is_ok() {
            self.note(Event::Confirmed(events));
        }
    }

    fn acknowledge(&mut self) {
        let answer = self.acks.answer();
        self.write(&answer);
        self.told = self.heard.events.len();
    }

    /// Takes what came; gives back what somebody waits for.
    fn take(&mut self, element: Element) -> Result<Option<Element>, Trouble> {
        match self.acks.take(&element)? {
            Came::Stanza => {}
            Came::Request => {
                // Who is lazy answers, if later.
                match self.dice.percent(70) {
                    true => self.acknowledge(),
                    false => self.lazy = self.lazy.max(1 + self.dice.below(30)),
                }
                return Ok(None);
            }
            Came::Acknowledged(sent) => {
                self.cover(sent);
                return Ok(None);
            }
            Came::Other => return Err(Trouble::Fault(format!("{:?}: {element}", self.at))),
        }
        if self.lazy > 0 {
            self.lazy -= 1;
            if self.lazy == 0 {
                self.acknowledge();
            }
        }
        if let Some(result) = element.child(MAM, "result") {
            let query = result.attribute("queryid").unwrap_or_default();
            let entry = Entry::read(&element, query)?.ok_or_else(|| "no entry".to_owned())?;
            self.last = Some(entry.id.clone());
            self.note(Event::Pull(entry.id.clone(), entry.body()));
            return Ok(None);
        }
        if element.is(CLIENT, "iq") {
            return Ok(Some(element));
        }
        match Seen::read(&element, &bare(self.at.0))? {
            Some(seen) if self.marker.as_deref() == Some(&seen.body) => self.marker = None,
            Some(seen) => {
                self.last = seen.id.clone().or_else(|| self.last.take());
                self.note(Event::Push(Box::new(seen)));
            }
            None if element.is(CLIENT, "presence") => {}
            None => self.strange.push(element),
        }
        Ok(None)
    }

    fn cover(&mut self, sent: Vec<Sent>) {
        let posts = sent.into_iter().filter_map(|sent| sent.post);
        self.acknowledged.extend(posts);
    }

    /// There is no connection: another one, and the session goes on. If it is over, there is a new one.
    pub(crate) fn go_on(&mut self) -> Result<(), Trouble> {
        if self.life == Life::Connection {
            self.anew()?;
            return Err(Trouble::Over);
        }
        let deadline = Instant::now() + 2 * PATIENCE;
        while Instant::now() < deadline {
            let ends = self.square.ends();
            let Ok(mut client) = self.door.signed_in(self.at.0) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            // A server that answers from here on is no older than that.
            let kills = self.square.kills();
            let sent = client.send(&self.acks.resume()?);
            let answer = match sent.and_then(|()| client.next_item(PATIENCE)) {
                Ok(Item::Element(answer)) if answer.ns == SM => answer,
                _ if self.square.is_ended(ends) => continue,
                other => return Err(Trouble::Fault(format!("{:?}: {other:?}", self.at))),
            };
            let resumed = self.acks.take_resumed(&answer)?;
            match resumed {
                Resumed::Yes(sent) => {
                    self.resumed(client, sent, ends);
                    return Ok(());
                }
                Resumed::Over(sent) => {
                    self.judge_end(&answer, Known::Yes, ends, kills)?;
                    self.cover(sent);
                    self.leave(Known::Yes);
                }
                Resumed::Unknown => {
                    self.judge_end(&answer, Known::No, ends, kills)?;
                    self.leave(Known::No);
                }
            }
            self.heard.over += 1;
            // What another device of the account has is not told again.
            self.crashed |= self.at.0 == "copies";
            match enter(client, self.at.1, self.life) {
                Ok(entered) => self.entered(entered, ends, kills),
                Err(_) if self.square.is_ended(ends) => self.anew()?,
                Err(fault) => return Err(Trouble::Fault(fault)),
            }
            return Err(Trouble::Over);
        }
        Err(Trouble::Fault(format!("{:?}: no server", self.at)))
    }

    fn resumed(&mut self, client: Client, sent: Vec<Sent>, ends: usize) {
        self.heard.resumed += 1;
        self.cover(sent);
        self.ends = ends;
        self.client = Some(client);
        self.lazy = 0;
        let events = self.heard.events.len();
        self.note(Event::Confirmed(events));
        let again = self.acks.unacknowledged().map(|sent| sent.xml.as_str());
        let again: String = again.collect();
        self.write(&again);
    }

    /// A session is over only if there is a reason, and how much the server had of it is known unless the server was killed.
    fn judge_end(
        &self,
        answer: &Element,
        known: Known,
        ends: usize,
        kills: usize,
    ) -> Result<(), Trouble> {
        let killed = kills != self.kills;
        let late = self.life == Life::Short && self.cut_at.is_some_and(|at| at.elapsed() >= SHORT);
        let over = ends != self.ends || self.is_ended() || late;
        match (known, killed, over) {
            (_, true, _) | (Known::Yes, false, true) => Ok(()),
            (Known::No, false, _) | (Known::Yes, false, false) => Err(Trouble::Fault(format!(
                "{:?}: {answer}, where {known:?} is not to be known",
                self.at
            ))),
        }
    }

    /// What is still unacknowledged of this session is left to who wrote it.
    fn leave(&mut self, known: Known) {
        let posts = self.acks.unacknowledged().filter_map(|sent| sent.post);
        let posts = posts.collect();
        self.left.push(Left { posts, known });
    }

    fn entered(&mut self, (client, acks): (Client, Acks<Sent>), ends: usize, kills: usize) {
        (self.client, self.acks) = (Some(client), acks);
        self.ends = ends;
        if std::mem::replace(&mut self.kills, kills) != kills {
            self.note(Event::Crash);
            self.crashed = true;
        }
        self.lazy = 0;
        self.told = 0;
        self.open_book();
    }

    /// Another session, whatever became of the one before.
    pub(crate) fn anew(&mut self) -> Result<(), Trouble> {
        self.client = None;
        let deadline = Instant::now() + 2 * PATIENCE;
        while Instant::now() < deadline {
            let ends = self.square.ends();
            let Ok(client) = self.door.signed_in(self.at.0) else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            let kills = self.square.kills();
            match enter(client, self.at.1, self.life) {
                Ok(entered) => {
                    self.entered(entered, ends, kills);
                    return Ok(());
                }
                Err(_) if self.square.is_ended(ends) => {}
                Err(fault) => return Err(Trouble::Fault(fault)),
            }
        }
        Err(Trouble::Fault(format!("{:?}: no server", self.at)))
    }

    /// Sends a request, and waits for its answer.
    pub(crate) fn ask(&mut self, request: impl Fn(&str) -> String) -> Result<Element, Trouble> {
        self.requests += 1;
        let id = format!("ask{}", self.requests);
        self.send(&request(&id), None);
        loop {
            match self.next(PATIENCE)? {
                Some(answer) if answer.attribute("id") == Some(&id) => return Ok(answer),
                Some(_) => {}
                None => return Err(Trouble::Fault(format!("{:?}: no answer to {id}", self.at))),
            }
        }
    }

    /// The server has heard what it was told before.
    pub(crate) fn confirm(&mut self) -> Result<(), Trouble> {
        let told = self.told;
        self.ask(ping)?;
        self.note(Event::Confirmed(told));
        Ok(())
    }

    /// The begin of a session of who is sent what comes for the account: looks into the archive first, or then, or not at all.
    pub(crate) fn come(&mut self, first: First) -> Result<(), Trouble> {
        let (crashed, looks_first) = (self.crashed, first == First::Archive);
        let holes = match crashed || looks_first {
            true => Holes::Yes,
            false => Holes::No,
        };
        self.note(Event::Bound(holes));
        let known = self.last.clone();
        if looks_first {
            self.fetch(known.clone())?;
        }
        self.note(Event::Available);
        self.send("<presence/>", None);
        self.square.is_there();
        if crashed && !looks_first {
            self.fetch(known)?;
        }
        self.crashed = false;
        Ok(())
    }

    /// The same, to the archive first so many times of a hundred.
    pub(crate) fn come_first_to(&mut self, percent: usize) -> Result<(), Trouble> {
        let first = match self.dice.percent(percent) {
            true => First::Archive,
            false => First::Owed,
        };
        self.come(first)
    }

    /// The begin of a session that is sent copies alone.
    pub(crate) fn watch(&mut self) -> Result<(), Trouble> {
        self.note(Event::Bound(Holes::Yes));
        let known = self.last.clone();
        let enable =
            |id: &str| format!("<iq type='set' id='{id}'><enable xmlns='{CARBONS}'/></iq>");
        let answer = self.ask(enable)?;
        if answer.attribute("type") != Some("result") {
            return Err(Trouble::Fault(format!("no copies: {answer}")));
        }
        self.fetch(known)
    }

    /// All that is in the archive behind this.
    fn fetch(&mut self, mut after: Option<String>) -> Result<(), Trouble> {
        loop {
            let query = match &after {
                Some(id) => Query::new().max(100).after(id),
                None => Query::new().max(100),
            };
            let end = self.ask(|id| query.request(id))?;
            if let Some(error) = end.child(CLIENT, "error") {
                match (error.condition(), after.take()) {
                    (Some("item-not-found"), Some(_)) => continue,
                    _ => return Err(Trouble::Fault(format!("{:?}: {end}", self.at))),
                }
            }
            let fin = end.child(MAM, "fin");
            let fin = fin.ok_or_else(|| format!("not the end of a page: {end}"))?;
            if fin.attribute("complete") == Some("true") {
                return Ok(());
            }
            after.clone_from(&self.last);
        }
    }

    /// Up to what somebody writes to it now.
    pub(crate) fn settle(&mut self) -> Result<(), Trouble> {
        let marker = format!("marker {} {}", self.at.0, self.requests);
        self.requests += 1;
        let mut nurse = self
            .door
            .device("nurse", &format!("{}-{}", self.at.0, self.at.1))?;
        let to = format!("{}/{}", bare(self.at.0), self.at.1);
        self.marker = Some(marker.clone());
        nurse.send(&format!(
            "<message type='chat' to='{to}'><body>{marker}</body><no-store xmlns='urn:xmpp:hints'/><private xmlns='urn:xmpp:carbons:2'/></message>"
        ))?;
        let deadline = Instant::now() + PATIENCE;
        while self.marker.is_some() {
            self.next(Duration::from_millis(200))?;
            if Instant::now() > deadline {
                return Err(Trouble::Fault(format!("{to} was not sent {marker:?}")));
            }
        }
        nurse.close()?;
        Ok(())
    }

    /// Goes in order. Whether the server is told what came.
    pub(crate) fn go(&mut self, tells: Tells) -> Result<(), Trouble> {
        if tells == Tells::All {
            self.acknowledge();
            self.confirm()?;
            self.acknowledge();
        }
        let events = self.heard.events.len();
        self.write("</stream:stream>");
        let Some(mut client) = self.client.take() else {
            return Ok(());
        };
        loop {
            match client.next_item(PATIENCE) {
                Ok(Item::Element(error)) if error.is(STREAMS, "error") && self.is_ended() => {}
                // What comes now was not told.
                Ok(Item::Element(element)) => {
                    self.take(element)?;
                }
                Ok(Item::Close) => break,
                Ok(Item::Open(header)) => {
                    return Err(Trouble::Fault(format!("a second header: {header}")));
                }
                Err(fault) if self.is_ended() && is_end(&fault) => return Ok(()),
                Err(fault) => return Err(Trouble::Fault(fault)),
            }
        }
        if tells == Tells::All {
            self.note(Event::Confirmed(events));
        }
        Ok(())
    }
}

/// Whether this is how a connection ends, and no fault of what came before.
fn is_end(fault: &str) -> bool {
    let ends = ["read:", "send:", "the server closed the connection"];
    ends.iter().any(|end| fault.starts_with(end)) || fault.ends_with("not </stream:stream>")
}

fn enter(mut client: Client, resource: &str, life: Life) -> Result<(Client, Acks<Sent>), String> {
    client.bind(Some(resource))?;
    client.send(life.enable())?;
    let answer = client.next(PATIENCE)?;
    Ok((client, Acks::enabled(&answer)?))
}
