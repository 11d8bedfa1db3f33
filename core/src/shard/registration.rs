//! What people ask of accounts of their own (XEP-0077), carried out as an administrator's command would be: one after another for each account,
//! answered once it is on disk.

use alloc::sync::Arc;

use super::Shard;
use super::connections::Role;
use super::managed::Departure;
use crate::envelope::{Body, Sent};
use crate::jid::BareJid;
use crate::port::{Action, Command, CommandError, CommandReply, ConnId, Standing};
use crate::registration::{Application, Change};
use crate::sasl::{Tombstones, Verdict};
use crate::stanza::{Condition, Stanza};
use crate::stream::Violation;
use crate::time::Now;
use crate::wait::{Member, Petition, PetitionKey, PetitionOf, Requester};

impl Shard {
    /// A session wants to change the password of its account, or to have no account any more.
    pub(super) fn grant(
        &mut self,
        now: Now,
        conn: ConnId,
        change: Change,
        (request, receipt): (Arc<Stanza>, Option<Sent>),
    ) {
        let Some(account) = self.connections.get(conn).and_then(|c| c.stream.account()) else {
            return self.fx.bug("a session of no account");
        };
        // One at a time, so that there is always room for an administrator.
        if self.is_under_command(&account) || self.credit.is_spent() {
            self.answer_member(conn, &request, Err(Condition::ResourceConstraint));
            return self.all_handled(receipt);
        }
        let is_safe = self.with(now, conn, |stream, cx| stream.may_carry_passwords(cx));
        let command = match change {
            // XEP-0077 §3.3: "does not consider the channel safe enough".
            Change::Password(_) if is_safe != Some(true) => {
                self.answer_member(conn, &request, Err(Condition::NotAuthorized));
                return self.all_handled(receipt);
            }
            Change::Password(password) => Command::Passwd { account, password },
            Change::Remove => Command::Delete { account },
        };
        let Some((key, session)) = self.session(conn) else {
            return self.fx.bug("a session of no account");
        };
        if let Some(owner) = self.owners.get_mut(key) {
            owner.account.hold(conn);
        }
        let member = Member {
            account: key,
            session,
            request,
            receipt,
        };
        self.file(now, conn, PetitionOf::Member(member), command);
    }

    /// A stranger wants an account: it is made by the shard that owns its name.
    pub(super) fn register(&mut self, now: Now, conn: ConnId, account: BareJid) {
        let to = self.placement.owner(account.as_str());
        if to != self.place {
            if let Some(connection) = self.connections.get_mut(conn) {
                connection.role = Role::Leaving(account);
                self.fx.act(Action::HandOff { conn, to });
            }
            return;
        }
        let application = self.with(now, conn, |stream, _| stream.take_application());
        let Some(Some(Application { account, password })) = application else {
            return self.fx.bug("a stranger who registers and says not what");
        };
        if !self.may_register(now, conn, &account) {
            return self.answer_newcomer(now, conn, Err(Condition::ResourceConstraint));
        }
        let tombstones = Tombstones::Heed;
        let command = Command::Add {
            account,
            password,
            tombstones,
        };
        self.file(now, conn, PetitionOf::Newcomer, command);
    }

    /// Whether one more account may be made now; if so, that is counted, whatever comes of it.
    fn may_register(&mut self, now: Now, conn: ConnId, account: &BareJid) -> bool {
        if self.is_under_command(account) || self.credit.is_spent() {
            return false;
        }
        let Some(peer) = self.peer(conn) else {
            return false;
        };
        let limits = &self.config.limits;
        let attempt = self.throttle.attempt(limits, peer, Some(account));
        let address = attempt.counted_address();
        let registrations = &mut self.registrations;
        if registrations.verdict(now.mono, limits, address) == Verdict::HoldUp {
            return false;
        }
        registrations.count(now.mono, limits, address);
        self.tell_others(&Body::Registration(address));
        true
    }

    fn file(&mut self, now: Now, conn: ConnId, of: PetitionOf, command: Command) {
        let Some(peer) = self.peer(conn) else {
            return self.fx.bug("a petition from nowhere");
        };
        let petition = Petition { conn, peer, of };
        let key = self.petitions.insert(petition);
        self.enlist(now, Requester::Petitioner(key), command);
    }

    /// The petition by which a command came about, if it is no administrator's.
    pub(super) fn petition(&self, by: Requester) -> Option<&Petition> {
        match by {
            Requester::Administrator(_) | Requester::Nobody => None,
            Requester::Petitioner(key) => self.petitions.get(key),
        }
    }

    /// An account is being deleted: if that is by the wish of one of its sessions, that session ends as all others do, and its stream stays to be
    /// told what came of it.
    pub(super) fn set_apart(&mut self, now: Now, by: Requester) {
        let Requester::Petitioner(key) = by else {
            return;
        };
        // Where its session is now.
        let carrier = self.petitioner(by).map(|member| self.carrier_of(member));
        let Some(petition) = self.petitions.get_mut(key) else {
            return;
        };
        let Some(conn) = carrier.unwrap_or(Some(petition.conn)) else {
            return;
        };
        petition.conn = conn;
        if self.end_session(now, conn, Departure::Ended).is_some() {
            self.with(now, conn, |stream, _| stream.set_apart());
        }
    }

    /// What was asked for is done, or is not.
    pub(super) fn answer_petition(
        &mut self,
        now: Now,
        key: PetitionKey,
        result: &Result<CommandReply, CommandError>,
    ) {
        let Some(Petition { conn, of, .. }) = self.petitions.remove(key) else {
            return self.fx.bug("an answer to no petition");
        };
        let outcome = match result {
            Ok(_) => Ok(()),
            Err(error) => Err(condition(*error)),
        };
        match of {
            PetitionOf::Newcomer => self.answer_newcomer(now, conn, outcome),
            PetitionOf::Member(member) => {
                // Where nobody can know, its stream ends.
                let is_known = *result != Err(CommandError::Unknown);
                if is_known {
                    self.all_handled(member.receipt);
                }
                let conn = self.carrier_of(&member).unwrap_or(conn);
                let connection = self.connections.get(conn);
                match connection.is_some_and(|c| c.stream.is_apart()) {
                    true => self.take_leave_of(now, conn, &member.request, outcome),
                    false => {
                        if is_known {
                            self.answer_session(&member, outcome);
                        }
                        self.let_go_on(now, conn);
                    }
                }
            }
        }
    }

    /// The session that asked for a command, if it was one.
    pub(super) fn petitioner(&self, by: Requester) -> Option<&Member> {
        match &self.petition(by)?.of {
            PetitionOf::Member(member) => Some(member),
            PetitionOf::Newcomer => None,
        }
    }

    /// The connection that carries it now.
    fn carrier_of(&self, member: &Member) -> Option<ConnId> {
        let owner = self.owners.get(member.account)?;
        owner.account.carrier(member.session)
    }

    /// Wherever it is by now; its client hears it when that is back.
    fn answer_session(&mut self, member: &Member, outcome: Outcome) {
        let answer = answer(&member.request, outcome);
        if let (Some(answer), Some(owner)) = (answer, self.owners.get_mut(member.account)) {
            let session = member.session;
            owner.account.tell_now(&mut self.fx, session, answer.into());
        }
    }

    fn answer_member(&mut self, conn: ConnId, request: &Arc<Stanza>, outcome: Outcome) {
        let Some(answer) = answer(request, outcome) else {
            return;
        };
        if let Some((key, session)) = self.session(conn)
            && let Some(owner) = self.owners.get_mut(key)
        {
            owner.account.tell_now(&mut self.fx, session, answer.into());
        }
    }

    /// A session whose wish was answered is read again.
    fn let_go_on(&mut self, now: Now, conn: ConnId) {
        if let Some(owner) = self.member(conn).and_then(|key| self.owners.get_mut(key)) {
            owner.account.go_on(conn);
        }
        self.proceed(now, conn);
    }

    /// XEP-0077 §3.2: the result, and then "a <not-authorized/> stream error".
    fn take_leave_of(&mut self, now: Now, conn: ConnId, request: &Stanza, outcome: Outcome) {
        if let Some(answer) = answer(request, outcome) {
            self.with(now, conn, |stream, cx| stream.tell_apart(cx, &answer));
        }
        let violation = match outcome {
            Ok(()) => Violation::AccountGone,
            Err(_) => Violation::Store,
        };
        let standing = Standing::Stranger;
        self.act(conn, Action::Standing { conn, standing });
        self.fail_now(now, conn, violation);
    }

    fn answer_newcomer(&mut self, now: Now, conn: ConnId, outcome: Outcome) {
        self.answered(now, conn, |stream, cx| {
            stream.registered(cx, outcome);
            None
        });
        self.look_again(now, conn);
    }
}

type Outcome = Result<(), Condition>;

fn answer(request: &Stanza, outcome: Outcome) -> Option<Stanza> {
    match outcome {
        Ok(()) => Some(request.result(|_| {})),
        Err(condition) => request.refusal(condition, None),
    }
}

/// What people are told of a command that came to nothing.
const fn condition(error: CommandError) -> Condition {
    match error {
        CommandError::Busy | CommandError::Full => Condition::ResourceConstraint,
        // Names that were deleted are told from those that are taken by nobody but an administrator.
        CommandError::Exists | CommandError::Held(_) => Condition::Conflict,
        CommandError::NoSuchHost | CommandError::NoSuchUser => Condition::RegistrationRequired,
        // Nobody asks for the end of a session.
        CommandError::NoSuchSession => Condition::ItemNotFound,
        // Nor for keys, nor for a way to other domains; and guests are refused before.
        CommandError::Directory
        | CommandError::Guests
        | CommandError::KeepsPasswords
        | CommandError::Reaching => Condition::NotAllowed,
        CommandError::Password => Condition::NotAcceptable,
        CommandError::Store | CommandError::Unknown => Condition::InternalServerError,
    }
}
