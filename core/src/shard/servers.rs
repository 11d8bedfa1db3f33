//! Streams that other servers opened: what they say is routed, and what they claim is asked about.

use alloc::boxed::Box;
use alloc::sync::Arc;

use super::Shard;
use super::connections::Role;
use super::managed::Departure;
use super::proven::proof_of;
use crate::arena::ArenaKey as _;
use crate::envelope::{Delivery, Receipt, Sender, Sent, To};
use crate::federation::{Claim, Judged, Verified};
use crate::jid::BareJid;
use crate::port::{Action, CloseReason, ConnId, Note, PeerJudged, Standing};
use crate::stanza::{Kind, Stanza};
use crate::stream::{Stream, Violation};
use crate::time::Now;

impl Shard {
    /// A server claims a domain by a key: who is asked about it says so some time later.
    pub(super) fn claimed(&mut self, now: Now, conn: ConnId, claim: Claim) {
        self.verify(now, conn, claim);
    }

    /// What the servers of a domain say to a key. The stream may be over.
    pub(super) fn verified_claim(
        &mut self,
        now: Now,
        conn: ConnId,
        claim: &Claim,
        verified: Verified,
    ) {
        self.answered(now, conn, |s, cx| s.claim_verified(cx, claim, verified));
    }

    /// A server has proven that it speaks for a domain, or has not. The first that it proves gives its connection a claim to its place.
    pub(super) fn judged_peer(&mut self, now: Now, conn: ConnId, judged: Judged) {
        let is_proven = judged.outcome.is_proven();
        let proof = proof_of(&judged);
        let pair = (judged.ours.clone(), judged.theirs.clone());
        if is_proven {
            self.heard_of(now, &judged.ours, &judged.theirs);
        }
        self.note_judged(conn, judged);
        if is_proven
            && let Some(connection) = self.connections.get_mut(conn)
            && matches!(connection.role, Role::Stranger)
        {
            connection.role = Role::Server;
            let standing = Standing::Member;
            self.act(conn, Action::Standing { conn, standing });
            self.look_again(now, conn);
        }
        if let Some(proof) = proof {
            self.make_room_for(now, conn, pair, proof);
        }
        let failed = self.with(now, conn, |stream, cx| stream.has_failed_enough(cx));
        if failed == Some(true) {
            self.fail(now, conn, Violation::SaslFailures);
        }
    }

    /// For the log.
    pub(super) fn note_judged(&mut self, conn: ConnId, judged: Judged) {
        if let Some(connection) = self.connections.get(conn) {
            let peer = connection.peer.ip();
            let judged = Box::new(PeerJudged {
                standing: judged.standing(),
                host: judged.ours,
                server: judged.theirs,
            });
            self.fx.note(Note::PeerJudged { conn, peer, judged });
        }
    }

    /// Its stream is over: another may need its place.
    pub(super) fn leave_server(&mut self, conn: ConnId) {
        self.proven.forget(conn);
        if let Some(connection) = self.connections.get_mut(conn)
            && matches!(connection.role, Role::Server)
        {
            connection.role = Role::Stranger;
            let standing = Standing::Stranger;
            self.act(conn, Action::Standing { conn, standing });
        }
    }

    /// Our closing tag is sent, in order.
    pub(super) fn finished(&mut self, now: Now, conn: ConnId, judged: Option<Box<Judged>>) {
        self.end_session(now, conn, Departure::Ended);
        self.leave_server(conn);
        let account = judged
            .as_ref()
            .map(|judged| BareJid::of_domain(&judged.theirs));
        if let Some(judged) = judged {
            self.note_judged(conn, *judged);
        }
        self.ending(now, conn, account, CloseReason::Ended);
    }

    /// A stanza of a domain that was proven, to a domain of ours to which it was.
    ///
    /// A message is settled where it comes to its end; with all else that is when it is on its way, since nobody keeps it.
    pub(super) fn route_remote(&mut self, conn: ConnId, stanza: Arc<Stanza>, number: Option<u32>) {
        let sent = number.map(|number| self.sent_by(conn, number));
        let is_kept = matches!(stanza.kind(), Kind::Message(_));
        self.fx.route(Delivery {
            stanza,
            to: To::Named,
            receipt: sent.filter(|_| is_kept).map(Receipt::Sent),
        });
        if !is_kept && let Some(sent) = sent {
            self.fx.handled(sent);
        }
    }

    fn sent_by(&self, conn: ConnId, number: u32) -> Sent {
        Sent {
            by: Sender::Server(conn.key()),
            number,
            place: self.place,
        }
    }

    /// What such a server sent, and is no stanza to be routed, is answered over a stream of ours.
    pub(super) fn refuse_remote(
        &mut self,
        conn: ConnId,
        error: Option<Stanza>,
        number: Option<u32>,
    ) {
        if let Some(error) = error {
            self.fx.route(Delivery::named(error));
        }
        if let Some(number) = number {
            let sent = self.sent_by(conn, number);
            self.fx.handled(sent);
        }
    }

    /// The connection of a server is gone: what it had sent before is heard.
    pub(super) fn finish_remote_input(&mut self, now: Now, conn: ConnId) {
        let Some(connection) = self.connections.get_mut(conn) else {
            return;
        };
        let held = connection.stream.take_held();
        let mut input = held.as_slice();
        while self.is_proven(conn)
            && let Some(Some(event)) = self.with(now, conn, |s, cx| s.poll(cx, &mut input))
        {
            self.on_event(now, conn, event);
            self.settle(now);
        }
    }

    fn is_proven(&self, conn: ConnId) -> bool {
        let stream = self
            .connections
            .get(conn)
            .map(|connection| &connection.stream);
        stream.is_some_and(Stream::is_proven)
    }
}
