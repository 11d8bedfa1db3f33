//! What the core wants done, and whether it may.

use alloc::vec::Vec;

use super::setup::QUEUE_SLACK;
use super::{About, Conduct, Question, World};
use crate::fuzzing::peer::{Course, Ears, Reading, Received, Speech, Wire};
use crate::jid::{BareJid, Jid};
use crate::port::{
    Action, Command, CommandId, CommandReply, CommandResult, ConnId, Note, Standing,
};
use crate::stanza::{IqType, Kind, MessageType, PresenceType};

impl World {
    /// Does what the core says, until it says nothing more.
    ///
    /// # Panics
    /// If the core does what it must not.
    pub(in crate::fuzzing) fn drain(&mut self) {
        while (0..self.shards.len()).any(|shard| self.turn(shard)) {}
    }

    fn turn(&mut self, shard: usize) -> bool {
        let mut actions = Vec::new();
        while let Some(action) = self.shards.get_mut(shard).and_then(|s| s.poll_action()) {
            actions.push(action);
        }
        let any = !actions.is_empty();
        // What is noted in a turn holds for what is written in it.
        let (notes, actions): (Vec<_>, Vec<_>) = actions
            .into_iter()
            .partition(|action| matches!(action, Action::Note(_)));
        for note in notes {
            if let Action::Note(note) = note {
                self.note(shard, note);
            }
        }
        for action in actions {
            self.act(shard, action);
        }
        any
    }

    fn peer(&self, shard: usize, conn: ConnId) -> Option<usize> {
        let seat = Some((shard, conn));
        self.peers.iter().position(|peer| peer.seat == seat)
    }

    fn act(&mut self, shard: usize, action: Action) {
        match action {
            Action::Answer { id, result } => self.answered(id, &result),
            Action::Close { conn } => self.close_at(shard, conn),
            Action::Derive {
                ticket,
                password,
                jobs,
            } => {
                let about = About::Derive(password, jobs);
                self.questions.push_back(Question {
                    shard,
                    ticket,
                    about,
                });
            }
            Action::Flush { conn } => {
                if let Some(peer) = self.peer(shard, conn) {
                    self.flush(peer);
                }
            }
            Action::HandOff { conn, to } => self.hand_offs.push_back((shard, conn, to)),
            Action::Note(note) => self.note(shard, note),
            Action::Pause { conn } => self.set_reading(shard, conn, Reading::Paused),
            Action::Resume { conn } => self.set_reading(shard, conn, Reading::On),
            Action::Secure { conn, behind, .. } => {
                if let Some(at) = self.peer(shard, conn)
                    && let Some(peer) = self.peers.get_mut(at)
                {
                    assert_eq!(peer.wire, Wire::Stream, "TLS twice");
                    peer.wire = Wire::Handshake;
                    peer.backlog.splice(..0, behind);
                }
            }
            Action::Send(envelope) => {
                assert_ne!(envelope.from, envelope.to);
                self.envelopes.push_back(envelope);
            }
            Action::Standing { conn, standing } => {
                if let Some(at) = self.peer(shard, conn)
                    && let Some(peer) = self.peers.get_mut(at)
                {
                    let over = peer.stream == Course::Over;
                    assert!(over || standing == Standing::Member, "estranged: {peer:?}");
                    assert!(peer.account.is_some() || over, "nobody's: {peer:?}");
                    peer.standing = standing;
                }
            }
            Action::Store { ticket, batch } => {
                let owner = batch.owner.clone();
                let about = About::Store(owner, self.apply(batch));
                self.questions.push_back(Question {
                    shard,
                    ticket,
                    about,
                });
            }
        }
    }

    fn set_reading(&mut self, shard: usize, conn: ConnId, reading: Reading) {
        let Some(at) = self.peer(shard, conn) else {
            return;
        };
        if let Some(peer) = self.peers.get_mut(at) {
            peer.reading = reading;
        }
        self.read(at);
    }

    fn close_at(&mut self, shard: usize, conn: ConnId) {
        let Some(at) = self.peer(shard, conn) else {
            return;
        };
        self.flush(at);
        if let Some(peer) = self.peers.get_mut(at) {
            assert_eq!(peer.connection, Course::On, "closed twice");
            assert_eq!(peer.stream, Course::Over, "closed without a word");
            peer.connection = Course::Over;
        }
    }

    /// Writes what is owed to a peer, if it reads.
    pub(in crate::fuzzing) fn flush(&mut self, at: usize) {
        let Some(peer) = self.peers.get_mut(at) else {
            return;
        };
        let Some((shard, conn)) = peer.seat else {
            return;
        };
        let Some(shard) = self.shards.get_mut(shard) else {
            return;
        };
        let owed = shard.outgoing(conn).len();
        let limit = self
            .config
            .limits
            .account_queue_bytes
            .max(self.config.limits.session_queue_bytes)
            + QUEUE_SLACK;
        assert!(owed <= limit, "{owed} bytes are owed");
        if peer.ears == Ears::Shut {
            return;
        }
        let received = peer.hear(shard.outgoing(conn));
        let (surplus, told) = (peer.surplus, self.told);
        assert!(
            surplus <= 2 * told,
            "{surplus} bytes too many of {told} that came"
        );
        // In two steps: a socket rarely takes all.
        shard.sent(conn, owed / 2);
        let owed = shard.outgoing(conn).len();
        shard.sent(conn, owed);
        for stanza in &received {
            self.check(stanza);
        }
    }

    /// Every stanza is from whom it says.
    fn check(&self, received: &Received) {
        let Received { stanza, mark } = received;
        let from = stanza.from();
        let senders = from.and_then(|from| self.bound.get(from));
        match stanza.kind() {
            // Whoever an answer was expected from.
            Kind::Iq(IqType::Error)
            | Kind::Message(MessageType::Error)
            | Kind::Presence(PresenceType::Error) => return,
            Kind::Iq(IqType::Result) if senders.is_none() => {
                // From the server itself, for a host or an account.
                let server = from.is_none_or(|from| from.resource().is_none());
                assert!(server, "{stanza:?}");
                return;
            }
            Kind::Iq(_) | Kind::Message(_) | Kind::Presence(_) => {}
        }
        let senders = senders.unwrap_or_else(|| panic!("from nobody: {stanza:?}"));
        let speech = |sender: &usize| self.peers.get(*sender).map(|peer| peer.speech);
        let marks_all = senders.iter().all(|s| speech(s) == Some(Speech::Phrases));
        let is_message = matches!(stanza.kind(), Kind::Message(_));
        if marks_all && (is_message || mark.is_some()) {
            let true_mark = mark.is_some_and(|writer| senders.contains(&writer));
            assert!(true_mark, "written by {mark:?}: {stanza:?}");
        }
    }

    /// Before a command that puts people out is answered, they are out.
    fn answered(&mut self, id: CommandId, result: &CommandResult) {
        let command = self.commands.remove(&id).expect("answered once");
        let gone: &BareJid = match &command {
            Command::Delete { account }
            | Command::Disable { account }
            | Command::Passwd { account, .. } => account,
            Command::Add { .. } | Command::Enable { .. } | Command::List { .. } => return,
        };
        if *result != Ok(CommandReply::Done) {
            return;
        }
        for peer in &self.peers {
            let out = peer.account.as_ref() != Some(gone)
                || peer.stream == Course::Over
                || peer.seat.is_none();
            assert!(out, "{command:?} leaves {:?}", peer.jid);
        }
    }

    fn note(&mut self, shard: usize, note: Note) {
        match note {
            Note::Bug(what) => assert_eq!(self.conduct, Conduct::Bad, "{what}"),
            Note::Bound { conn, jid } => {
                if let Some(peer) = self.peer(shard, conn) {
                    self.note_bound(peer, &jid);
                }
            }
            Note::Closed { conn, .. } => {
                if let Some(at) = self.peer(shard, conn)
                    && let Some(peer) = self.peers.get_mut(at)
                {
                    assert_eq!(peer.stream, Course::On, "over twice");
                    peer.stream = Course::Over;
                }
            }
            Note::SignedIn { conn, account, .. } => {
                if let Some(peer) = self.peer(shard, conn) {
                    self.note_signed_in(peer, account);
                }
            }
            Note::AccountChanged { .. }
            | Note::AccountHeldUp { .. }
            | Note::AddressHeldUp { .. }
            | Note::NothingOffered { .. }
            | Note::SignInCutOff { .. }
            | Note::SignInFailed { .. } => {}
        }
    }

    fn note_bound(&mut self, at: usize, jid: &Jid) {
        for other in &self.peers {
            let gone = other.jid.as_ref() != Some(jid)
                || other.stream == Course::Over
                || other.seat.is_none();
            assert!(gone, "{jid} is bound twice");
        }
        if let Some(peer) = self.peers.get_mut(at) {
            let account = peer.account.as_ref().map(BareJid::as_str);
            assert_eq!(account, Some(jid.bare()), "bound to another account");
            assert_eq!(peer.jid, None, "bound again");
            assert_eq!(peer.stream, Course::On);
            peer.jid = Some(jid.clone());
            self.bound.entry(jid.clone()).or_default().insert(at);
        }
    }

    fn note_signed_in(&mut self, at: usize, account: BareJid) {
        if let Some(peer) = self.peers.get_mut(at) {
            let knew = peer
                .tried
                .iter()
                .any(|tried| tried.0 == account && self.passwords.contains(tried));
            assert!(
                knew || peer.speech == Speech::Free,
                "signed in as {account}"
            );
            assert_eq!(peer.account, None, "signed in again");
            assert_eq!(peer.stream, Course::On, "signed in after the end");
            peer.account = Some(account);
        }
    }
}
