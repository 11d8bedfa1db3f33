//! A client with stream management in memory.

use spec_tests::acks::{Acks, Came, ENABLE, Resumed};
use spec_tests::element::{Element, Item, STREAMS};
use spec_tests::memory::World;
use spec_tests::talk::Talk;
use spondee_core::port::Opening;

use crate::Outcome;

pub(crate) struct Phone {
    account: String,
    pub(crate) talk: Talk,
    pub(crate) acks: Acks<String>,
    /// How often the server asked what came.
    pub(crate) asked: usize,
    /// The stream error with which its stream ended.
    pub(crate) error: Option<Element>,
    /// Whether the stream was closed.
    pub(crate) closed: bool,
}

/// A connection that may bind or resume.
pub(crate) fn signed_in(world: &mut World, account: &str) -> Result<Talk, String> {
    signed_in_with(world, account, "secret")
}

pub(crate) fn signed_in_with(
    world: &mut World,
    account: &str,
    password: &str,
) -> Result<Talk, String> {
    let mut talk = Talk::connect(world, Opening::Tls);
    talk.open(world, "localhost")?;
    talk.sign_in(world, account, password)?;
    Ok(talk)
}

impl Phone {
    /// A session that can be resumed, and no presence.
    pub(crate) fn enter(world: &mut World, account: &str, resource: &str) -> Result<Self, String> {
        Self::enter_with(world, account, resource, ENABLE)
    }

    pub(crate) fn enter_with(
        world: &mut World,
        account: &str,
        resource: &str,
        enable: &str,
    ) -> Result<Self, String> {
        let mut talk = signed_in(world, account)?;
        talk.bind(world, resource)?;
        talk.send(world, enable);
        let acks = Acks::enabled(&talk.next(world)?)?;
        Ok(Self {
            account: account.to_owned(),
            talk,
            acks,
            asked: 0,
            error: None,
            closed: false,
        })
    }

    /// The same, available, and with all acknowledged that came with that.
    pub(crate) fn there(world: &mut World, account: &str, resource: &str) -> Result<Self, String> {
        let mut phone = Self::enter(world, account, resource)?;
        phone.send(world, "<presence/>");
        phone.come(world)?;
        phone.answer(world);
        phone.come(world)?;
        Ok(phone)
    }

    /// Writes a stanza and lets everything happen.
    pub(crate) fn send(&mut self, world: &mut World, xml: &str) {
        self.put(world, xml);
        world.run();
    }

    /// Writes a stanza.
    pub(crate) fn put(&mut self, world: &mut World, xml: &str) {
        self.acks.send(xml.to_owned());
        world.write(self.talk.peer(), xml.as_bytes());
    }

    /// Writes what is no stanza.
    pub(crate) fn say(&mut self, world: &mut World, xml: &str) {
        self.talk.send(world, xml);
    }

    /// Acknowledges all that was read.
    pub(crate) fn answer(&mut self, world: &mut World) {
        let answer = self.acks.answer();
        self.say(world, &answer);
    }

    /// The stanzas that came and nobody read yet.
    pub(crate) fn come(&mut self, world: &mut World) -> Result<Vec<Element>, String> {
        let mut stanzas = Vec::new();
        while let Some(item) = self.talk.poll(world)? {
            match item {
                Item::Element(element) if element.is(STREAMS, "error") => {
                    self.error = Some(element);
                }
                Item::Element(element) => match self.acks.take(&element)? {
                    Came::Stanza => stanzas.push(element),
                    Came::Request => self.asked += 1,
                    Came::Acknowledged(_) => {}
                    Came::Other => return Err(format!("not a stanza: {element}")),
                },
                Item::Close => self.closed = true,
                Item::Open(header) => return Err(format!("a second header: {header}")),
            }
        }
        Ok(stanzas)
    }

    /// The network breaks, after all that was written was read.
    pub(crate) fn cut(&self, world: &mut World) {
        world.cut(self.talk.peer());
        world.run();
    }

    /// Closes the stream without a word about what came.
    pub(crate) fn close(&mut self, world: &mut World) {
        self.say(world, "</stream:stream>");
    }

    /// Another connection goes on with this session.
    pub(crate) fn resume(&mut self, world: &mut World) -> Outcome {
        match self.try_resume(world)? {
            Resumed::Yes(_) => Ok(()),
            other @ (Resumed::Over(_) | Resumed::Unknown) => Err(format!("not resumed: {other:?}")),
        }
    }

    /// The same, whatever comes of it. What the server has not is sent again.
    pub(crate) fn try_resume(&mut self, world: &mut World) -> Result<Resumed<String>, String> {
        self.try_resume_with(world, "secret")
    }

    pub(crate) fn try_resume_with(
        &mut self,
        world: &mut World,
        password: &str,
    ) -> Result<Resumed<String>, String> {
        let mut talk = signed_in_with(world, &self.account, password)?;
        talk.send(world, &self.acks.resume()?);
        let answer = talk.next(world)?;
        self.talk = talk;
        let resumed = self.acks.take_resumed(&answer)?;
        if let Resumed::Yes(_) = resumed {
            let again: String = self.acks.unacknowledged().map(String::as_str).collect();
            self.say(world, &again);
        }
        Ok(resumed)
    }

    /// That it is there.
    pub(crate) fn lives(&mut self, world: &mut World) -> Outcome {
        self.send(
            world,
            "<iq type='get' id='alive'><ping xmlns='urn:xmpp:ping'/></iq>",
        );
        let came = self.come(world)?;
        match came
            .iter()
            .any(|stanza| stanza.attribute("id") == Some("alive"))
        {
            true => Ok(()),
            false => Err(format!("no answer, but {came:?}, {:?}", self.error)),
        }
    }

    /// All that there is to read, page by page where something waited, and each is acknowledged.
    pub(crate) fn come_all(&mut self, world: &mut World) -> Result<Vec<Element>, String> {
        let mut all = Vec::new();
        loop {
            let came = self.come(world)?;
            if came.is_empty() {
                return Ok(all);
            }
            self.answer(world);
            all.extend(came);
        }
    }

    /// Whether the server closed the connection without a word.
    pub(crate) fn is_dropped(&mut self, world: &mut World) -> Result<bool, String> {
        self.come(world)?;
        let ended = world.ended(self.talk.peer()).is_some();
        Ok(ended && !self.closed && self.error.is_none())
    }
}
