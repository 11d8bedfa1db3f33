//! A client of a case, and how it deals with requests for acknowledgement (XEP-0198).

use std::collections::VecDeque;

use crate::element::{CLIENT, Element, Item, SERVER};
use crate::memory::World;
use crate::talk::Talk;

const SM: &str = "urn:xmpp:sm:3";

/// What it does about `<r/>`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Requests {
    /// The transcript says.
    #[default]
    Shown,
    /// Nothing: they are passed over.
    Ignored,
    /// It answers with the number of all that it has got.
    Answered,
}

/// A connection with what was read from it.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) talk: Talk,
    pub(super) requests: Requests,
    /// How many stanzas have come since stream management was enabled.
    pub(super) handled: u32,
    /// What was read before the transcript asked for it.
    read: VecDeque<Item>,
    /// What its stream is of: the default namespace of what is expected there.
    pub(super) content: &'static str,
}

impl Client {
    pub(super) const fn new(talk: Talk) -> Self {
        Self {
            talk,
            requests: Requests::Shown,
            handled: 0,
            read: VecDeque::new(),
            content: CLIENT,
        }
    }

    /// Another server's.
    pub(super) fn of_server(talk: Talk) -> Self {
        Self {
            content: SERVER,
            ..Self::new(talk)
        }
    }

    /// The next item that the transcript is to see, if there is one.
    pub(super) fn poll(&mut self, world: &mut World) -> Result<Option<Item>, String> {
        match self.read.pop_front() {
            Some(item) => Ok(Some(item)),
            None => self.take(world),
        }
    }

    /// The next element.
    pub(super) fn next(&mut self, world: &mut World) -> Result<Element, String> {
        match self.poll(world)? {
            Some(Item::Element(element)) => Ok(element),
            other => Err(format!("expected an element, not {other:?}")),
        }
    }

    /// Reads all that has come, so that requests are answered now. What is no stream any more is the transcript's to see.
    pub(super) fn attend(&mut self, world: &mut World) -> Result<(), String> {
        if self.requests == Requests::Answered {
            while let Some(item) = self.take(world)? {
                self.read.push_back(item);
            }
        }
        Ok(())
    }

    fn take(&mut self, world: &mut World) -> Result<Option<Item>, String> {
        loop {
            let item = self.talk.poll(world)?;
            let Some(Item::Element(element)) = &item else {
                return Ok(item);
            };
            if element.is(SM, "enabled") {
                self.handled = 0;
            }
            if element.ns == CLIENT {
                self.handled = self.handled.wrapping_add(1);
            }
            match self.requests {
                Requests::Ignored | Requests::Answered if !element.is(SM, "r") => return Ok(item),
                Requests::Shown => return Ok(item),
                Requests::Ignored => {}
                Requests::Answered => {
                    let answer = format!("<a xmlns='{SM}' h='{}'/>", self.handled);
                    self.talk.send(world, &answer);
                }
            }
        }
    }

    /// Whether the server says by and by, in nothing but `<a/>`, that it has handled this many stanzas, and no more.
    pub(super) fn handled_by_server(&mut self, world: &mut World, all: u32) -> Result<(), String> {
        let mut before = 0;
        loop {
            let answer = self.next(world)?;
            let h = answer.attribute("h").and_then(|h| h.parse::<u32>().ok());
            match h {
                Some(h) if answer.is(SM, "a") && (before..=all).contains(&h) => before = h,
                _ => {
                    return Err(format!(
                        "expected what leads from {before} to {all}, not {answer}"
                    ));
                }
            }
            if before == all {
                return Ok(());
            }
        }
    }

    /// Stream management with resumption; what its id is.
    pub(super) fn enable(&mut self, world: &mut World) -> Result<String, String> {
        self.talk
            .send(world, &format!("<enable xmlns='{SM}' resume='true'/>"));
        let enabled = self.next(world)?;
        match enabled.attribute("id") {
            Some(id) if enabled.is(SM, "enabled") => Ok(id.to_owned()),
            _ => Err(format!(
                "expected that the session can be resumed, not {enabled}"
            )),
        }
    }

    /// Asks for a former session, of which so many stanzas have come.
    pub(super) fn resume(
        &mut self,
        world: &mut World,
        id: &str,
        handled: &str,
    ) -> Result<(), String> {
        self.handled = handled.parse().map_err(|_| "not a number")?;
        let request = format!("<resume xmlns='{SM}' previd='{id}' h='{handled}'/>");
        self.talk.send(world, &request);
        Ok(())
    }
}
