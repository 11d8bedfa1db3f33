//! What the core must not do.

use alloc::vec::Vec;

use super::setup::QUEUE_SLACK;
use super::{Conduct, World};
use crate::fuzzing::peer::{Course, Received, Side, Speech};
use crate::jid::{BareJid, Jid};
use crate::limits::{REACH_FEATURES_TOLD, ROUND_CONNECTS, ROUND_TARGETS};
use crate::port::{
    Action, AttemptOutcome, Command, CommandId, CommandReply, CommandResult, ConnId, Note, Reach,
    Standing,
};
use crate::stanza::{IqType, Kind, MessageType, PresenceType};

impl World {
    /// Does what the core says, until it says nothing more.
    ///
    /// # Panics
    /// If the core does what it must not.
    pub(in crate::fuzzing) fn drain(&mut self) {
        while (0..self.world.shards()).any(|shard| self.turn(shard)) {}
    }

    fn turn(&mut self, shard: usize) -> bool {
        let actions = self.world.poll_actions(shard);
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
        self.check_owed();
        for action in actions {
            self.act(shard, action);
        }
        for (id, result) in self.world.take_answers() {
            self.answered(id, &result);
        }
        any
    }

    fn at(&self, shard: usize, conn: ConnId) -> Option<usize> {
        self.world.peer(shard, conn).map(|line| line.index())
    }

    /// Has an action carried out, and looks at it before and after.
    fn act(&mut self, shard: usize, action: Action) {
        if let Action::Close { conn } = action {
            self.check_close(shard, conn);
        }
        if let Action::Secure { conn, behind, .. } = &action {
            self.check_secure(shard, *conn, behind);
        }
        if let Action::Standing { conn, standing } = action {
            self.check_standing(shard, conn, standing);
        }
        let read = if let Action::Pause { conn } | Action::Resume { conn } = action {
            self.at(shard, conn)
        } else {
            None
        };
        self.world.carry_out(shard, action);
        self.meet_servers();
        for at in 0..self.peers.len() {
            self.hear(at);
        }
        if let Some(at) = read {
            self.read(at);
        }
    }

    fn check_close(&self, shard: usize, conn: ConnId) {
        if let Some(at) = self.at(shard, conn)
            && let Some(peer) = self.peers.get(at)
        {
            let connection = self.connection(peer.line);
            assert_eq!(connection, Course::On, "closed twice");
            // Of connections of its own the core says nothing but what a command is answered with.
            let told = peer.stream == Course::Over || peer.side == Side::Server;
            assert!(told, "closed without a word");
        }
    }

    fn check_secure(&mut self, shard: usize, conn: ConnId, behind: &[u8]) {
        if let Some(at) = self.at(shard, conn)
            && let Some(peer) = self.peers.get_mut(at)
        {
            assert!(!self.world.shakes_hands(peer.line), "TLS twice");
            peer.backlog.splice(..0, behind.iter().copied());
        }
    }

    fn check_standing(&self, shard: usize, conn: ConnId, standing: Standing) {
        if let Some(at) = self.at(shard, conn)
            && let Some(peer) = self.peers.get(at)
        {
            let over = peer.stream == Course::Over;
            assert!(over || standing == Standing::Member, "estranged: {peer:?}");
            assert!(peer.account.is_some() || over, "nobody's: {peer:?}");
        }
    }

    /// No more is owed to anybody than may be.
    fn check_owed(&self) {
        let limits = &self.world.config().limits;
        let limit = limits.account_queue_bytes.max(limits.session_queue_bytes) + QUEUE_SLACK;
        for peer in &self.peers {
            let owed = self.world.owed(peer.line);
            assert!(owed <= limit, "{owed} bytes are owed");
        }
    }

    /// A peer reads what it was written.
    pub(super) fn hear(&mut self, at: usize) {
        let Some(peer) = self.peers.get_mut(at) else {
            return;
        };
        let bytes = self.world.take_received(peer.line);
        if bytes.is_empty() {
            return;
        }
        let received = peer.hear(&bytes);
        let (surplus, told) = (peer.surplus, self.world.told());
        assert!(
            surplus <= 2 * told,
            "{surplus} bytes too many of {told} that came"
        );
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
        if let Ok(CommandReply::Reached(reach)) = result {
            check_reach(reach);
        }
        let gone: &BareJid = match &command {
            Command::Delete { account }
            | Command::Disable { account }
            | Command::Passwd { account, .. } => account,
            Command::Add { .. }
            | Command::Archive { .. }
            | Command::Disconnect { .. }
            | Command::Erase { .. }
            | Command::Enable { .. }
            | Command::Import { .. }
            | Command::Links(_)
            | Command::List { .. }
            | Command::Reach { .. }
            | Command::Show { .. }
            | Command::Upgrade { .. } => return,
        };
        if *result != Ok(CommandReply::Done) {
            return;
        }
        for peer in &self.peers {
            let out = peer.account.as_ref() != Some(gone)
                || peer.stream == Course::Over
                || self.world.seat(peer.line).is_none();
            assert!(out, "{command:?} leaves {:?}", peer.jid);
        }
    }

    fn note(&mut self, shard: usize, note: Note) {
        match note {
            Note::Bug(what) => assert_eq!(self.conduct, Conduct::Bad, "{what}"),
            // It reads what it wrote.
            Note::Unreadable { why, .. } => assert_eq!(self.conduct, Conduct::Bad, "{why}"),
            Note::Bound { conn, jid } | Note::Resumed { conn, jid } => {
                if let Some(peer) = self.at(shard, conn) {
                    self.note_bound(peer, &jid);
                }
            }
            Note::Closed { conn, .. } => {
                if let Some(at) = self.at(shard, conn)
                    && let Some(peer) = self.peers.get_mut(at)
                {
                    assert_eq!(peer.stream, Course::On, "over twice");
                    peer.stream = Course::Over;
                }
            }
            Note::SignedIn { conn, account, .. } => {
                if let Some(peer) = self.at(shard, conn) {
                    self.note_signed_in(peer, account);
                }
            }
            Note::AccountChanged { .. }
            | Note::AccountHeldUp { .. }
            | Note::AddressHeldUp { .. }
            | Note::Component { .. }
            | Note::Disconnected { .. }
            | Note::LinkFailed { .. }
            | Note::LinkProven { .. }
            | Note::LinkTaken { .. }
            | Note::KeysMissing { .. }
            | Note::NothingOffered { .. }
            | Note::PeerJudged { .. }
            | Note::SignInCutOff { .. }
            | Note::SignInFailed { .. }
            | Note::LinkQueue { .. }
            | Note::Unkept { .. } => {}
        }
    }

    fn note_bound(&mut self, at: usize, jid: &Jid) {
        for other in &self.peers {
            let gone = other.jid.as_ref() != Some(jid)
                || other.stream == Course::Over
                || self.world.seat(other.line).is_none();
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

/// What is told of reaching a domain is bounded, and agrees with itself.
fn check_reach(reach: &Reach) {
    assert!(reach.attempts.len() <= ROUND_CONNECTS, "{reach:?}");
    assert!(reach.asked.len() <= ROUND_TARGETS + 2, "{reach:?}");
    let reached = reach.attempts.iter();
    let reached = reached.filter(|attempt| attempt.outcome == AttemptOutcome::Reached);
    assert_eq!(reached.count(), usize::from(reach.outcome.is_ok()));
    if let Ok(reached) = &reach.outcome {
        let features = &reached.features;
        assert!(features.all.len() <= REACH_FEATURES_TOLD);
        assert!(features.mechanisms.len() <= REACH_FEATURES_TOLD);
    }
}
