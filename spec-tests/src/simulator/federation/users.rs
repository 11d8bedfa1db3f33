//! Users: they sign in, write to each other, answer, and look at what they hear.

use super::book::{Request, Sent};
use super::sites::Site;
use super::{Moment, Simulation, Weather};
use crate::element::{CLIENT, Element, Item, STANZA_ERRORS};
use crate::talk::Talk;

const MANAGED: &str = "urn:xmpp:sm:3";
const PING: &str = "urn:xmpp:ping";

/// One.
#[derive(Debug)]
pub(super) struct User {
    pub(super) site: usize,
    pub(super) bare: String,
    pub(super) full: String,
    pub(super) session: Option<Session>,
    /// When its last session was over.
    pub(super) left: Option<Moment>,
}

/// A session of one.
#[derive(Debug)]
pub(super) struct Session {
    talk: Talk,
    /// The message that each stanza was that it sent, if it was one.
    sent: Vec<Option<usize>>,
    /// How many of them were acknowledged.
    acknowledged: usize,
    /// How many stanzas it has heard.
    heard: u32,
}

/// So many at each server.
pub(super) fn all(sites: &[Site], each: usize) -> Vec<User> {
    let of = |(site, at): (usize, &Site)| {
        let domain = at.domain.clone();
        (0..each).map(move |number| User {
            site,
            bare: format!("u{number}@{domain}"),
            full: format!("u{number}@{domain}/r"),
            session: None,
            left: None,
        })
    };
    sites.iter().enumerate().flat_map(of).collect()
}

impl Simulation {
    /// Those whose server runs and who are not signed in do so.
    pub(super) fn sign_in_all(&mut self) -> Result<(), String> {
        for user in 0..self.users.len() {
            if self.users[user].session.is_none() && self.is_up(self.users[user].site) {
                self.sign_in(user)?;
            }
        }
        Ok(())
    }

    fn sign_in(&mut self, index: usize) -> Result<(), String> {
        let user = &mut self.users[index];
        let site = user.site;
        let world = &mut self.net.worlds[site];
        let mut talk = Talk::session(world, &user.bare, "r")?;
        talk.send(world, &format!("<enable xmlns='{MANAGED}'/>"));
        let enabled = talk.next(world)?;
        if !enabled.is(MANAGED, "enabled") {
            return Err(format!("{} is told {enabled}", user.bare));
        }
        world.write(talk.peer(), b"<presence/>");
        user.session = Some(Session {
            talk,
            sent: vec![None],
            acknowledged: 0,
            heard: 0,
        });
        self.net.pump(site);
        self.note(format_args!("user {index} signs in"));
        Ok(())
    }

    /// Somebody says something to somebody.
    pub(super) fn user_acts(&mut self) {
        let (from, to) = (
            self.random.below(self.users.len()),
            self.random.below(self.users.len()),
        );
        if self.users[from].session.is_none() || self.users[from].site == self.users[to].site {
            return;
        }
        match self.random.below(22) {
            0..14 => self.send_messages(from, to),
            14 | 15 => self.request(from, to),
            16 | 17 => self.direct(from, to),
            18 => {
                let (from_, to_) = (self.users[from].bare.clone(), self.users[to].bare.clone());
                self.note(format_args!("{from_} subscribes to {to_}"));
                let words = format!("<presence type='subscribe' to='{to_}'/>");
                self.say(from, &words, None);
            }
            19 | 20 => self.meet(from, to),
            _ => self.say_to_liar(from),
        }
    }

    fn send_messages(&mut self, from: usize, to: usize) {
        let many = 1 + self.random.below(4);
        for _ in 0..many {
            let number = self.book.messages.len();
            // All of a pair go to one kind of address: what goes to the account and what goes to a session may take turns.
            let address = match (from + to) % 2 {
                0 => self.users[to].full.clone(),
                _ => self.users[to].bare.clone(),
            };
            self.note(format_args!("user {from} sends m{number} to {address}"));
            let filling = match self.filling {
                many if many > 0 && self.random.percent(50) => {
                    format!("<x xmlns='urn:example:filling'>{}</x>", "x".repeat(many))
                }
                _ => String::new(),
            };
            let words = format!(
                "<message to='{address}' type='chat' id='m{number}'>{filling}<body>m{number}</body></message>"
            );
            self.book.messages.push(Sent {
                from,
                to,
                at: self.now,
                when: self.net.worlds[0].now().mono,
                address,
                acknowledged: false,
                delivered: 0,
                bounced: 0,
            });
            self.counts.messages += 1;
            self.say(from, &words, Some(number));
        }
        if self.random.percent(40) {
            self.tell(from, &format!("<r xmlns='{MANAGED}'/>"));
        }
    }

    /// Both servers look for each other at once: nothing is between them, and each has something for the other.
    fn meet(&mut self, from: usize, to: usize) {
        if self.users[to].session.is_none() {
            return;
        }
        let sites = [self.users[from].site, self.users[to].site];
        let live = self.net.live().to_vec();
        let between = |wire: &usize| {
            let ends = self.net.ends(*wire).map(|(site, _)| site);
            ends.iter().all(|site| sites.contains(site))
        };
        let between: Vec<usize> = live.into_iter().filter(between).collect();
        if !between.is_empty() && self.weather == Weather::Fair {
            return;
        }
        for wire in between {
            self.undisturbed = false;
            self.taps.lose(wire);
            self.net.cut(wire);
        }
        self.counts.met += 1;
        self.send_messages(from, to);
        self.send_messages(to, from);
    }

    fn request(&mut self, from: usize, to: usize) {
        let number = self.book.requests.len();
        let address = match self.random.below(3) {
            0 => self.sites[self.users[to].site].domain.clone(),
            1 => self.users[to].bare.clone(),
            _ => self.users[to].full.clone(),
        };
        self.note(format_args!("user {from} asks q{number} of {address}"));
        let words =
            format!("<iq type='get' id='q{number}' to='{address}'><ping xmlns='{PING}'/></iq>");
        self.book.requests.push(Request {
            from,
            address,
            answers: 0,
            undisturbed: self.undisturbed && self.plan.is_sociable(),
        });
        self.counts.requests += 1;
        self.say(from, &words, None);
    }

    fn direct(&mut self, from: usize, to: usize) {
        let number = self.book.presences.len();
        self.book.presences.push(from);
        let to = self.users[to].full.clone();
        self.note(format_args!("user {from} sends presence p{number} to {to}"));
        let words = format!("<presence to='{to}'><status>p{number}</status></presence>");
        self.say(from, &words, None);
    }

    /// A stanza.
    pub(super) fn say(&mut self, from: usize, words: &str, message: Option<usize>) {
        if let Some(session) = &mut self.users[from].session {
            session.sent.push(message);
        }
        self.tell(from, words);
    }

    /// Its user is not there any more.
    pub(super) fn leave(&mut self, index: usize) {
        let user = &self.users[index];
        if let Some(session) = &user.session {
            let world = &mut self.net.worlds[user.site];
            world.write(session.talk.peer(), b"</stream:stream>");
            world.hang_up(session.talk.peer());
        }
    }

    fn tell(&mut self, from: usize, words: &str) {
        let user = &self.users[from];
        if let Some(session) = &user.session {
            self.net.worlds[user.site].write(session.talk.peer(), words.as_bytes());
        }
    }

    /// Everybody reads all that is there.
    pub(super) fn hear_all(&mut self) -> Result<(), String> {
        for user in 0..self.users.len() {
            self.hear(user)?;
        }
        Ok(())
    }

    fn hear(&mut self, index: usize) -> Result<(), String> {
        let user = &self.users[index];
        let (site, peer) = match &user.session {
            Some(session) => (user.site, session.talk.peer()),
            None => return Ok(()),
        };
        let world = &self.net.worlds[site];
        let is_over = world.ended(peer).is_some();
        if !is_over && !world.has_received(peer) {
            return Ok(());
        }
        while let Some(session) = &mut self.users[index].session
            && let Some(item) = session.talk.poll(&mut self.net.worlds[site])?
        {
            if let Item::Element(element) = item {
                self.hears(index, &element)?;
            }
        }
        if is_over {
            self.users[index].session = None;
            self.users[index].left = Some(self.now);
            self.note(format_args!("user {index} is out"));
        }
        Ok(())
    }

    fn hears(&mut self, index: usize, element: &Element) -> Result<(), String> {
        if element.is(MANAGED, "r") {
            let heard = self.users[index].session.as_ref().map_or(0, |s| s.heard);
            self.tell(index, &format!("<a xmlns='{MANAGED}' h='{heard}'/>"));
            return Ok(());
        }
        if element.is(MANAGED, "a") {
            return self.acknowledged(index, element);
        }
        if element.ns != CLIENT {
            return Ok(());
        }
        if let Some(session) = &mut self.users[index].session {
            session.heard += 1;
        }
        match element.name.as_str() {
            "message" => self.hears_message(index, element),
            "iq" => self.hears_iq(index, element),
            "presence" => self.hears_presence(index, element),
            _ => Err(format!("user {index} hears {element}")),
        }
    }

    fn acknowledged(&mut self, index: usize, element: &Element) -> Result<(), String> {
        let h = element.attribute("h").and_then(|h| h.parse().ok());
        let Some(session) = &mut self.users[index].session else {
            return Ok(());
        };
        let h: usize = h.ok_or("an acknowledgement of nothing")?;
        let Some(handled) = session.sent.get(session.acknowledged..h) else {
            return Err(format!("user {index} is told that {h} stanzas are handled"));
        };
        session.acknowledged = h;
        for number in handled.iter().flatten() {
            self.book.messages[*number].acknowledged = true;
            self.counts.acknowledged += 1;
        }
        Ok(())
    }

    fn hears_message(&mut self, index: usize, element: &Element) -> Result<(), String> {
        let from = element.attribute("from").unwrap_or_default().to_owned();
        let body = element.child(CLIENT, "body").map(Element::text);
        let body = body.unwrap_or_default();
        if element.attribute("type") == Some("error") {
            return self.hears_bounce(index, element, &from);
        }
        if self.is_lie(&from, &body) {
            return Err(format!("user {index} believes {element}"));
        }
        let Some(number) = number(&body, 'm') else {
            return Ok(());
        };
        self.note(format_args!("user {index} gets m{number}"));
        let sent = self.book.messages.get_mut(number);
        let sent = sent.ok_or_else(|| format!("nobody sent {element}"))?;
        if sent.to != index || self.users[sent.from].full != from {
            return Err(format!("{sent:?} comes to user {index} as {element}"));
        }
        sent.delivered += 1;
        match sent.delivered {
            1 => {
                self.counts.delivered += 1;
                self.book.first(number)
            }
            _ => Ok(()),
        }
    }

    fn hears_bounce(&mut self, index: usize, element: &Element, from: &str) -> Result<(), String> {
        let error = element.child(CLIENT, "error");
        let text = error.and_then(|error| error.child(STANZA_ERRORS, "text"));
        let text = text.map(Element::text).unwrap_or_default();
        if text.contains(".example") {
            return Err(format!("user {index} is told a name: {text}"));
        }
        let id = element.attribute("id").unwrap_or_default();
        let Some(number) = number(id, 'm') else {
            return Ok(());
        };
        let condition = error.and_then(Element::condition).unwrap_or_default();
        self.note(format_args!("user {index} has m{number} back: {condition}"));
        let sent = self.book.messages.get_mut(number);
        let sent = sent.ok_or_else(|| format!("nobody sent {element}"))?;
        if sent.from != index || sent.address != from {
            return Err(format!("{sent:?} comes back to user {index} as {element}"));
        }
        sent.bounced += 1;
        if sent.bounced == 1 {
            self.counts.bounced += 1;
        }
        Ok(())
    }

    fn hears_iq(&mut self, index: usize, element: &Element) -> Result<(), String> {
        let from = element.attribute("from").unwrap_or_default().to_owned();
        let id = element.attribute("id").unwrap_or_default().to_owned();
        if matches!(element.attribute("type"), Some("get" | "set")) {
            let to = match from.is_empty() {
                true => String::new(),
                false => format!(" to='{from}'"),
            };
            self.say(index, &format!("<iq type='result' id='{id}'{to}/>"), None);
            return Ok(());
        }
        if id == "roster" {
            self.rosters.take(index, element);
            return Ok(());
        }
        let Some(number) = number(&id, 'q') else {
            return Ok(());
        };
        self.note(format_args!("user {index} is answered q{number}"));
        let request = self.book.requests.get_mut(number);
        let request = request.ok_or_else(|| format!("nobody asked {element}"))?;
        if request.from != index || request.address != from {
            return Err(format!(
                "{request:?} is answered to user {index} by {element}"
            ));
        }
        request.answers += 1;
        self.counts.answers += 1;
        match request.answers {
            1 => Ok(()),
            _ if !request.undisturbed || !self.undisturbed => Ok(()),
            many => Err(format!("q{number} is answered {many} times")),
        }
    }

    fn hears_presence(&mut self, index: usize, element: &Element) -> Result<(), String> {
        let from = element.attribute("from").unwrap_or_default().to_owned();
        let status = element.child(CLIENT, "status").map(Element::text);
        let status = status.unwrap_or_default();
        if self.is_lie(&from, &status) {
            return Err(format!("user {index} believes {element}"));
        }
        self.counts.presences += 1;
        if element.attribute("type") == Some("error") {
            return Ok(());
        }
        if let Some(number) = number(&status, 'p') {
            let author = self.book.presences.get(number).copied();
            let author = author.ok_or_else(|| format!("nobody said {element}"))?;
            if self.users[author].full != from {
                return Err(format!("user {author} said p{number}, and not as {from}"));
            }
        }
        if element.attribute("type") == Some("subscribe") {
            self.say(
                index,
                &format!("<presence type='subscribed' to='{from}'/>"),
                None,
            );
        }
        Ok(())
    }
}

/// The number behind this letter.
fn number(text: &str, letter: char) -> Option<usize> {
    text.strip_prefix(letter)?.parse().ok()
}
