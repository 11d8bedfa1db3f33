//! Oracle at rest: whether every stanza went where it should have gone (`verdict.rs`).

use spondee_core::stanza::{IqType, Kind, MessageType, PresenceType};

use super::Moment;
use super::accounts::{Accounts, NAMES};
use super::blocks::{Blocked, Blocks};
use super::faults::{Credit, Faults, Served, Struck};
use super::kept::{Course, Likely, Way};
use super::ledger::Ledger;
use super::lives::{Attention, Life, Name, Standing, State};
use super::stanzas::{Question, Receipt, Sent, To};
use super::subscriptions::account_of;
use super::verdict::{Loss, Verdict};

/// What is known of who sent it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Sender {
    /// There throughout: it was accepted, and answers arrive.
    There,
    /// It closed its stream in good order: it was accepted, and answers that need nobody else arrive.
    Left,
    /// It closed its connection behind it: it was accepted.
    Parted,
    /// It may not have been read.
    Unsure,
}

/// What is known around everything that was sent.
pub(super) struct Circumstances<'a> {
    pub(super) now: Moment,
    pub(super) faults: &'a Faults,
    pub(super) blocks: &'a Blocks,
    pub(super) accounts: &'a Accounts,
    /// Whether an account may have had all the messages that may wait for it.
    pub(super) may_be_full: &'a dyn Fn(usize) -> bool,
    /// Whether a client has read a message in the archive of its receiver.
    pub(super) has_read: &'a dyn Fn(&Sent, usize) -> bool,
    /// Whether a device of its receiver may have a copy of a message.
    pub(super) may_be_copied: &'a dyn Fn(&Sent) -> bool,
    /// Whether anything between two accounts makes presence come and go.
    pub(super) stirred: &'a dyn Fn(usize, usize) -> bool,
}

/// One stanza at rest: how it should have gone, and what is known of how it went.
struct Case<'a> {
    sent: &'a Sent,
    verdict: Verdict,
    sender: Sender,
    answer: Option<&'a str>,
    /// An answer came back on its way.
    lost: bool,
}

impl Case<'_> {
    fn fail(&self, what: &str) -> Result<(), String> {
        let Self {
            sent,
            verdict,
            sender,
            ..
        } = self;
        Err(format!(
            "{what}: {sent:?}, should be {verdict:?}, sender {sender:?}"
        ))
    }

    /// Whether nobody heard anything of it.
    fn is_silent(&self) -> bool {
        let sent = self.sent;
        sent.delivered.is_empty()
            && sent.spooled.is_empty()
            && !sent.may_have_come()
            && self.answer.is_none()
    }

    /// Whether it was handled, as its sender was told, and nobody may refuse it whose answer its sender never hears.
    fn is_handled(&self, may_be_full: &dyn Fn(usize) -> bool) -> bool {
        let is_normal = self.sent.kind == Kind::Message(MessageType::Normal);
        let may_be_refused = is_normal && matches!(self.sent.to, To::Full(_));
        // Too much may wait there already.
        let full = self.sent.receiver().is_some_and(may_be_full);
        self.sent.receipt == Receipt::Handled && !may_be_refused && !full
    }
}

impl Ledger {
    /// Judges everything sent since the last time, and tells what became of messages.
    pub(super) fn judge(&self, around: &Circumstances<'_>) -> Result<Vec<Course>, String> {
        let mut courses = Vec::new();
        for sent in self.open.values() {
            if sent.is_broadcast() {
                self.judge_broadcast(around.now, sent)?;
            } else {
                courses.extend(self.judge_one(around, sent)?);
            }
        }
        self.judge_addresses()?;
        self.judge_farewells(around.now, around.stirred)?;
        self.judge_ghosts(around.faults, around.stirred)?;
        Ok(courses)
    }

    fn judge_one(&self, around: &Circumstances<'_>, sent: &Sent) -> Result<Option<Course>, String> {
        let name = self.name(sent.by);
        let faults = around.faults;
        let case = Case {
            sent,
            verdict: self.verdict(around, sent),
            sender: self.sender_of(around, sent),
            answer: sent.answers.first().map(String::as_str),
            lost: faults.answer_came_back(sent.kind.to_error(), &sent.id, name)
                || faults.answer_came_back(Kind::Iq(IqType::Result), &sent.id, name),
        };
        if case.answer.is_some() && !sent.delivered.is_empty() {
            case.fail("both delivered and answered")?;
        }
        if !sent.delivered.is_empty() && !sent.spooled.is_empty() {
            case.fail("both delivered and kept for later")?;
        }
        let is_known = !case.is_silent() || !sent.copied.is_empty();
        if sent.receipt == Receipt::Never && is_known {
            case.fail("done, though the server said that it had not handled it")?;
        }
        let failed = self.store_failed(around, &case);
        let mut copied = sent.copied.iter();
        // Who has a copy and is gone may not have said so.
        let has_copy =
            |(client, way): &(usize, Way)| *way == Way::Received && !self.has_left(*client);
        if case.answer.is_some() && !failed && copied.any(has_copy) {
            case.fail("both copied and refused")?;
        }
        if case.answer.is_some() && !sent.spooled.is_empty() && !failed {
            case.fail("both kept and refused")?;
        }
        if !failed {
            match &case.verdict {
                Verdict::Exactly(to, wanted) => self.judge_exactly(around, &case, to, *wanted)?,
                Verdict::Owed => self.judge_owed(around, &case)?,
                Verdict::Answered => {
                    if !sent.delivered.is_empty() {
                        case.fail("delivered to whom it should not be")?;
                    }
                    // An answer that waits behind what a client never says it has got is lost when it leaves.
                    let left = case.sender == Sender::Left && !self.was_managed(sent.by);
                    if case.answer.is_none() && (case.sender == Sender::There || left) {
                        case.fail("not answered")?;
                    }
                }
                Verdict::Loosely(loss) => self.judge_loosely(around, &case, *loss)?,
            }
        }
        Ok(self.course(around, &case, failed.into()))
    }

    /// Whether the answer is that the store did not do its part, and that is so. What waits for an account that cannot be read is
    /// answered so; and what is to be kept, if there is no room for it.
    fn store_failed(&self, around: &Circumstances<'_>, case: &Case<'_>) -> bool {
        let sent = case.sent;
        let own = self.name(sent.by).split('/').next();
        let whose = sent.to.bare().or(own).unwrap_or_default();
        let faults = around.faults;
        let is_kept = sent.content.is_archived(sent.kind) || sent.content.is_owed(sent.kind);
        match case.answer {
            Some("internal-server-error") => faults.store_since(sent.at, whose),
            Some("resource-constraint") if is_kept => {
                let own = own.unwrap_or_default();
                faults.credit == Credit::Scarce
                    || faults.store_since(sent.at, whose)
                    || faults.store_since(sent.at, own)
            }
            // That may have been said, and lost.
            None if is_kept && case.lost => {
                faults.credit == Credit::Scarce || faults.store_since(sent.at, whose)
            }
            Some(_) | None => false,
        }
    }

    fn judge_exactly(
        &self,
        around: &Circumstances<'_>,
        case: &Case<'_>,
        to: &[usize],
        wanted: Option<&str>,
    ) -> Result<(), String> {
        let sent = case.sent;
        // One who is told first what waited gets from there what comes meanwhile for it alone.
        let waited = match to {
            [_] if sent.content.is_owed(sent.kind) => sent.spooled.as_slice(),
            _ => &[],
        };
        let mut got = [&sent.delivered, waited].concat();
        let to: Vec<usize> = to
            .iter()
            .copied()
            .filter(|one| !self.was_muted(sent, *one))
            .collect();
        let to = to.as_slice();
        // And it does not, if it has read it in the archive before.
        if let [one] = to
            && got.is_empty()
            && (around.has_read)(sent, *one)
        {
            got.push(*one);
        }
        got.sort_unstable();
        if case.sender != Sender::Unsure && got != *to {
            case.fail("not delivered to whom it should be")?;
        }
        if got.iter().any(|client| !to.contains(client)) {
            case.fail("delivered to whom it should not be")?;
        }
        if waited != sent.spooled {
            case.fail("kept for later where it should not be")?;
        }
        // The account must be read for it, and a store that has much to do serves others first.
        let busy = sent.question == Question::Items && case.answer == Some("resource-constraint");
        if case.answer.is_some() && case.answer != wanted && !busy {
            case.fail("wrongly answered")?;
        }
        // Of what nobody is there to get, devices may have copies: then it has come.
        let is_refused = matches!(
            (&sent.to, sent.kind),
            (To::Full(_), Kind::Message(MessageType::Normal))
        );
        let copied = case.answer.is_none() && !is_refused && (around.may_be_copied)(sent);
        let answered = case.answer == wanted || busy || case.lost || copied;
        if case.sender == Sender::There && !answered {
            case.fail("not answered")?;
        }
        Ok(())
    }

    /// XEP-0160 §2: it waits for who is away, and the sender hears nothing, unless too much waits already.
    fn judge_owed(&self, around: &Circumstances<'_>, case: &Case<'_>) -> Result<(), String> {
        if !case.sent.delivered.is_empty() {
            return case.fail("delivered to whom it should not be");
        }
        let full = case.sent.receiver().is_some_and(around.may_be_full);
        match case.answer {
            None => Ok(()),
            Some("service-unavailable") if full => Ok(()),
            Some(_) => case.fail("wrongly answered"),
        }
    }

    fn judge_loosely(
        &self,
        around: &Circumstances<'_>,
        case: &Case<'_>,
        loss: Loss,
    ) -> Result<(), String> {
        let (sent, faults) = (case.sent, around.faults);
        let one = matches!(&sent.to, To::Full(_)) && sent.kind != Kind::Message(MessageType::Chat);
        // Where a session died, as a message to the account.
        let one = one && !self.may_leave(sent.receiver());
        if one && sent.delivered.len() > 1 {
            case.fail("delivered to two")?;
        }
        let gone = faults.reload_since(sent.at);
        let fits = match case.answer {
            None | Some("service-unavailable") => true,
            Some("result") => sent.question != Question::Unknown,
            Some("not-acceptable") => self.own_list(around.now, around.blocks, sent) != Blocked::No,
            Some("remote-server-not-found") => {
                let served = sent.to.bare().map(|bare| faults.served(bare, sent.at));
                gone || served != Some(Served::Yes)
            }
            Some("resource-constraint") => {
                // The store had much to do, as above, or the way was full.
                sent.question == Question::Items
                    || faults.came_back(sent.kind, &sent.id, self.name(sent.by))
            }
            Some(_) => false,
        };
        if !fits {
            case.fail("wrongly answered")?;
        }
        // What waits for somebody is not heard of.
        let waits = sent.content.is_owed(sent.kind);
        let copied = (around.may_be_copied)(sent);
        // A session of which nobody knows whether it is settled hangs, until the server ends.
        let unknown = |name: &&str| faults.struck_since(sent.at, name, Struck::Unknown);
        let hangs = self.may_leave(sent.receiver()) && NAMES.iter().any(unknown);
        // An answer that came while the sender's host was not served went nowhere, though the sender is there yet.
        let own = self.name(sent.by).split('/').next().unwrap_or_default();
        let homeless = faults.served(own, sent.at) != Served::Yes;
        let vanished = case.is_silent() && !case.lost && !waits && !copied && !hangs && !homeless;
        if loss == Loss::Fault && case.sender == Sender::There && vanished {
            case.fail("vanished")?;
        }
        Ok(())
    }

    /// What became of a message.
    fn course(
        &self,
        around: &Circumstances<'_>,
        case: &Case<'_>,
        failed: Likely,
    ) -> Option<Course> {
        let sent = case.sent;
        let Kind::Message(kind) = sent.kind else {
            return None;
        };
        let heard =
            !sent.delivered.is_empty() || !sent.spooled.is_empty() || !sent.lapsed.is_empty();
        let accepted = match case.sender {
            _ if sent.receipt == Receipt::Never => Likely::No,
            Sender::There | Sender::Left | Sender::Parted => Likely::Yes,
            Sender::Unsure if heard || !sent.copied.is_empty() || case.answer.is_some() => {
                Likely::Yes
            }
            Sender::Unsure => Likely::Maybe,
        };
        let came_back = around
            .faults
            .came_back(sent.kind, &sent.id, self.name(sent.by));
        let routed = self.routed(around, sent).unless(failed).unless(came_back);
        let silent = case.is_silent() && accepted == Likely::Yes && !case.lost;
        let refused = case.answer.is_some() || sent.receiver().is_none();
        let reached = match &case.verdict {
            // Who got it is gone: what it was refused with then, its sender would have heard.
            _ if heard && sent.delivered.is_empty() && sent.spooled.is_empty() => {
                Likely::Yes.unless(case.sender != Sender::There)
            }
            _ if heard => Likely::Yes,
            _ if failed == Likely::Yes => Likely::Maybe,
            _ if refused || routed == Likely::No => Likely::No,
            Verdict::Owed | Verdict::Loosely(Loss::Fault)
                if silent && sent.content.is_owed(sent.kind) =>
            {
                // What was refused is handled, too, and a sender that left need not have heard so.
                let owed = matches!(case.verdict, Verdict::Owed);
                let handled = owed && case.is_handled(around.may_be_full);
                Likely::Yes.unless(case.sender != Sender::There && !handled)
            }
            // Nobody is to hear of a headline that nobody waits for.
            Verdict::Exactly(to, _) if to.is_empty() && kind != MessageType::Headline => Likely::No,
            Verdict::Exactly(..) | Verdict::Answered | Verdict::Owed | Verdict::Loosely(_) => {
                Likely::Maybe
            }
        };
        Some(Course {
            sent: sent.clone(),
            routed: routed.and(accepted),
            reached,
        })
    }

    /// Whether nothing on the sender's side refused it.
    fn routed(&self, around: &Circumstances<'_>, sent: &Sent) -> Likely {
        let own_list = match self.own_list(around.now, around.blocks, sent) {
            Blocked::Yes => Likely::No,
            Blocked::Maybe => Likely::Maybe,
            Blocked::No => Likely::Yes,
        };
        let place = match &sent.to {
            To::Malformed | To::Remote | To::Host(_) => Likely::No,
            To::Unsaid => Likely::Yes,
            To::Bare(to) | To::Full(to) => match around
                .faults
                .served(to.split('/').next().unwrap_or_default(), sent.at)
            {
                Served::Yes => Likely::Yes,
                Served::Unsure => Likely::Maybe,
                Served::No => Likely::No,
            },
        };
        own_list.and(place)
    }

    /// As `sender`, of what may be refused for want of credit with the store, which who is gone does not hear.
    fn sender_of(&self, around: &Circumstances<'_>, sent: &Sent) -> Sender {
        let is_kept = sent.content.is_archived(sent.kind) || sent.content.is_owed(sent.kind);
        match self.sender(around.now, sent) {
            Sender::Left | Sender::Parted if is_kept && around.faults.credit == Credit::Scarce => {
                Sender::Unsure
            }
            sender @ (Sender::There | Sender::Left | Sender::Parted | Sender::Unsure) => sender,
        }
    }

    /// Whether the stream of a client was managed.
    fn was_managed(&self, client: usize) -> bool {
        let mut lives = self.lives.iter();
        lives.any(|life| life.client == client && life.managed.is_some())
    }

    /// Whether a session is over that left to others what it had.
    fn has_left(&self, client: usize) -> bool {
        let mut lives = self.lives.iter();
        lives.any(|life| life.client == client && life.managed.is_some() && life.is_over())
    }

    /// Whether presence for this client may have made room for later, and has not come.
    fn was_muted(&self, sent: &Sent, client: usize) -> bool {
        let mut lives = self.lives.iter();
        matches!(sent.kind, Kind::Presence(_))
            && !sent.delivered.contains(&client)
            && lives.any(|life| life.client == client && life.was_muted(sent.at))
    }

    fn sender(&self, now: Moment, sent: &Sent) -> Sender {
        let life = self.lives.iter().find(|life| life.client == sent.by);
        match life.map(|life| life.during(sent.at, now)) {
            Some(Standing::Always(_)) => Sender::There,
            _ if self.left.contains(&sent.by) => Sender::Left,
            _ if self.parted.contains(&sent.by) || sent.receipt == Receipt::Handled => {
                Sender::Parted
            }
            _ => Sender::Unsure,
        }
    }

    /// RFC 6121 §4.2.2: presence reaches all available resources of the account.
    fn judge_broadcast(&self, now: Moment, sent: &Sent) -> Result<(), String> {
        if self.sender(now, sent) != Sender::There
            || sent.kind != Kind::Presence(PresenceType::Available)
        {
            return Ok(());
        }
        let account = self.name(sent.by).split('/').next().unwrap_or_default();
        for life in self
            .lives
            .iter()
            .filter(|life| NAMES[life.account] == account)
        {
            let available = match life.during(sent.at, now) {
                Standing::Always(priorities) => priorities.iter().all(Option::is_some),
                Standing::Never | Standing::Unsure | Standing::MayLose => false,
            };
            let is_to_hear = available || life.client == sent.by;
            if is_to_hear && !sent.delivered.contains(&life.client) && !life.was_muted(sent.at) {
                return Err(format!("client {} never got {sent:?}", life.client));
            }
        }
        Ok(())
    }

    /// RFC 6120 §7.7.2.2: an address has one session.
    fn judge_addresses(&self) -> Result<(), String> {
        let alive = |life: &&Life| {
            let known = matches!(life.name, Name::Known(_));
            known && life.attention == Attention::Reads && !life.is_over()
        };
        let mut names: Vec<&str> = self.lives.iter().filter(alive).map(Life::jid).collect();
        names.sort_unstable();
        match names.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(format!("{} has two sessions", pair[0])),
            None => Ok(()),
        }
    }

    /// The server said of these that they are over.
    fn judge_farewells(
        &self,
        now: Moment,
        stirred: &dyn Fn(usize, usize) -> bool,
    ) -> Result<(), String> {
        for (account, from) in &self.farewells {
            let other = account_of(from.split('/').next().unwrap_or_default());
            if other.is_some_and(|other| stirred(*account, other)) {
                continue; // it was over for those alone
            }
            let mut of_name = self.lives.iter().filter(|life| life.may_be(from));
            let over = |life: &Life| !matches!(life.during(self.rest, now), Standing::Always(_));
            if !of_name.any(over) {
                return Err(format!(
                    "the server says that {from} is gone, which it is not"
                ));
            }
        }
        Ok(())
    }

    /// RFC 6121 §4.5.2, §4.6.3: who was told that somebody is available is told that it is no more.
    fn judge_ghosts(
        &self,
        faults: &Faults,
        stirred: &dyn Fn(usize, usize) -> bool,
    ) -> Result<(), String> {
        for life in self.lives.iter().filter(|life| !life.is_over()) {
            // RFC 6121 §4.6.3, case 1: what is directed to one resource of a subscriber ends with what is told to all its available ones,
            // and it may be none.
            let is_available = life.state() != State::Bound(None);
            let excused = self.withdrawn.contains(&life.client) || !is_available;
            if excused || life.attention == Attention::Loses {
                continue;
            }
            let Some(seen) = self.seen.get(&life.client) else {
                continue;
            };
            for jid in seen {
                let alive = self
                    .lives
                    .iter()
                    .any(|other| other.may_be(jid) && !other.is_over());
                let other = account_of(jid.split('/').next().unwrap_or_default());
                if other.is_some_and(|other| stirred(life.account, other)) {
                    continue;
                }
                if !alive && !faults.farewell_came_back(jid, NAMES[life.account]) {
                    return Err(format!("{} was never told that {jid} is gone", life.jid()));
                }
            }
        }
        Ok(())
    }
}
