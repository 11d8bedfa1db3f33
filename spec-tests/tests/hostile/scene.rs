//! Where the tests in memory play: juliet and nurse talk, romeo attacks, and nobody must notice.

use spec_tests::element::{CLIENT, Item, STREAMS};
use spec_tests::memory::{Ended, Peer, World};
use spec_tests::talk::Talk;
use spondee_core::config::Config;
use spondee_core::limits::Limits;
use spondee_core::port::{Note, Opening};

use crate::stage::{self, Outcome, stream_error};

/// Whom attackers write to.
pub(crate) const VICTIM: &str = "juliet@localhost/balcony";

/// The attacker's account, when it has one.
pub(crate) const ROMEO: &str = "romeo@localhost";

/// A message to the victim with `inside` in its body: hostile only by that.
pub(crate) fn message(inside: &str) -> String {
    format!("<message to='{VICTIM}'><body>{inside}</body></message>")
}

/// How far an attacker has come when it attacks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stage {
    /// Connected, and said nothing yet.
    Fresh,
    /// Its stream is open, without TLS.
    Clear,
    /// Its stream is open below TLS.
    Secure,
    /// Signed in, and has no resource.
    SignedIn,
    /// In a session.
    Session,
}

impl Stage {
    /// All in which a stream is open.
    pub(crate) const OPEN: [Self; 4] = [Self::Clear, Self::Secure, Self::SignedIn, Self::Session];
    /// Those of a stranger.
    pub(crate) const STRANGER: [Self; 2] = [Self::Clear, Self::Secure];
}

/// A server on three shards with two accounts that are signed in.
pub(crate) struct Scene {
    pub(crate) world: World,
    juliet: Talk,
    nurse: Talk,
    /// What is in memory while no attacker is there.
    quiet: Vec<[usize; 9]>,
}

impl Scene {
    pub(crate) fn new() -> Result<Self, String> {
        Self::with(|_| {})
    }

    pub(crate) fn with(configure: impl FnOnce(&mut Config)) -> Result<Self, String> {
        let mut world = stage::world(3, configure);
        let juliet = Talk::session(&mut world, "juliet@localhost", "balcony")?;
        let nurse = Talk::session(&mut world, "nurse@localhost", "kitchen")?;
        let quiet = world.residue();
        Ok(Self {
            world,
            juliet,
            nurse,
            quiet,
        })
    }

    /// An attacker that has come so far.
    pub(crate) fn enter(&mut self, stage: Stage) -> Result<Talk, String> {
        let world = &mut self.world;
        let opening = match stage {
            Stage::Fresh | Stage::Clear => Opening::Clear,
            Stage::Secure | Stage::SignedIn | Stage::Session => Opening::Tls,
        };
        let mut talk = Talk::connect(world, opening);
        if stage != Stage::Fresh {
            talk.open(world, "localhost")?;
        }
        if matches!(stage, Stage::SignedIn | Stage::Session) {
            talk.sign_in(world, ROMEO, "secret")?;
        }
        if stage == Stage::Session {
            talk.bind(world, "orchard")?;
        }
        Ok(talk)
    }

    /// In each of these stages `input` ends the stream with `condition`, in one piece and in small ones.
    pub(crate) fn refuses(&mut self, stages: &[Stage], input: &[u8], condition: &str) -> Outcome {
        let small = if input.len() < 2000 { 1 } else { 1000 };
        for stage in stages {
            for piece in [input.len().max(1), small] {
                self.refuses_in(*stage, input, piece, condition)
                    .map_err(|fault| {
                        let start = &input[..input.len().min(200)];
                        let shown = String::from_utf8_lossy(start);
                        format!("{stage:?}, {piece} bytes at a time, {shown:?}: {fault}")
                    })?;
            }
        }
        Ok(())
    }

    fn refuses_in(&mut self, stage: Stage, input: &[u8], piece: usize, condition: &str) -> Outcome {
        let mut talk = self.enter(stage)?;
        for bytes in input.chunks(piece) {
            self.world.write(talk.peer(), bytes);
        }
        self.world.run();
        if stage == Stage::Fresh {
            match talk.poll(&mut self.world)? {
                Some(Item::Open(header)) if header.is(STREAMS, "stream") => {}
                other => return Err(format!("expected a header, not {other:?}")),
            }
        }
        self.ends(&mut talk, condition)
    }

    /// The stream of this attacker ends with `condition` and nothing else, its connection is closed, and all is quiet.
    pub(crate) fn ends(&mut self, talk: &mut Talk, condition: &str) -> Outcome {
        let ended = stream_error(&mut self.world, talk)?;
        if ended != condition {
            return Err(format!("ended with {ended}"));
        }
        self.is_closed(talk.peer())
    }

    /// The server closes this connection by itself, saying nothing more, and all is quiet.
    pub(crate) fn is_closed(&mut self, peer: Peer) -> Outcome {
        self.world.advance(Limits::default().close);
        match self.world.ended(peer) {
            Some(Ended::Closed | Ended::TlsFailed) => {}
            other => return Err(format!("the connection is not closed, but {other:?}")),
        }
        let said = self.world.take_received(peer);
        if !said.is_empty() {
            return Err(format!("more was said: {}", String::from_utf8_lossy(&said)));
        }
        self.is_quiet()
    }

    /// The attacker hangs up, and all is quiet.
    pub(crate) fn leaves(&mut self, peer: Peer) -> Outcome {
        self.world.hang_up(peer);
        self.world.run();
        self.is_quiet()
    }

    /// Nothing has reached anybody, nothing of the attacker is in memory, and the others are served.
    pub(crate) fn is_quiet(&mut self) -> Outcome {
        self.nothing_arrived()?;
        let residue = self.world.residue();
        if residue != self.quiet {
            return Err(format!("{residue:?} is in memory, not {:?}", self.quiet));
        }
        self.others_are_served()
    }

    /// Neither juliet nor nurse was sent anything.
    pub(crate) fn nothing_arrived(&mut self) -> Outcome {
        for talk in [&mut self.juliet, &mut self.nurse] {
            let arrived = talk.rest(&mut self.world)?;
            if let Some(stanza) = arrived.first() {
                return Err(format!("somebody was sent {stanza}"));
            }
        }
        Ok(())
    }

    /// Nurse reaches juliet, and the server answers her.
    pub(crate) fn others_are_served(&mut self) -> Outcome {
        let world = &mut self.world;
        self.nurse.send(world, &message("good morrow"));
        let arrived = self.juliet.next(world)?;
        let body = arrived.child(CLIENT, "body");
        if body.map(|body| body.text()).as_deref() != Some("good morrow") {
            return Err(format!("nurse's message arrived as {arrived}"));
        }
        let ping = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
        self.nurse.send(world, ping);
        let pong = self.nurse.next(world)?;
        match pong.attribute("type") {
            Some("result") => Ok(()),
            _ => Err(format!("nurse was answered {pong}")),
        }
    }

    /// What juliet was sent since she was last asked, as it came, in bytes.
    pub(crate) fn juliets_bytes(&mut self) -> Vec<u8> {
        self.world.take_received(self.juliet.peer())
    }

    /// Juliet's side.
    pub(crate) const fn juliet(&mut self) -> (&mut World, &mut Talk) {
        (&mut self.world, &mut self.juliet)
    }

    /// Nurse's side.
    pub(crate) const fn nurse(&mut self) -> (&mut World, &mut Talk) {
        (&mut self.world, &mut self.nurse)
    }

    /// How many sign-ins have succeeded.
    pub(crate) fn sign_ins(&self) -> usize {
        let notes = self.world.notes.iter();
        notes
            .filter(|note| matches!(note, Note::SignedIn { .. }))
            .count()
    }
}
