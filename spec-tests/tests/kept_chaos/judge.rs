//! What is where after a server was started again: asked by clients.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use spec_tests::client::{Client, PATIENCE};
use spec_tests::kept::{Door, Entry, How, Query, Seen, ask, backwards, forwards, ping};

use crate::books::{About, Post, Receiver, SENDERS, Said, bare};
use crate::crowd::{Device, Heard, Round, Shown, available};

/// What is known of a server's accounts from one round to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judge {
    /// Ids and texts of each archive, in order.
    archives: BTreeMap<&'static str, Shown>,
    /// What each device was sent, and under which id.
    shown: HashMap<(Device, String), Option<String>>,
    markers: usize,
    pub(crate) figures: Figures,
    pub(crate) faults: Vec<String>,
}

/// What happened, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) posts: usize,
    pub(crate) kept: usize,
    /// Gone, with nothing that promised them.
    pub(crate) lost: usize,
    /// Of these, such as had a ping answered behind them.
    pub(crate) pinged: usize,
    /// How long before the end the ping behind the oldest of these was answered.
    pub(crate) window: Duration,
    /// Told live under an id that the archive does not have.
    pub(crate) hollow: usize,
    /// Owed, delivered, and delivered again after the end.
    pub(crate) again: usize,
    /// Delivered again to who had gone, in order, while it was told what it was owed.
    pub(crate) goodbyes: usize,
    /// Owed and delivered after the end.
    pub(crate) owed: usize,
    /// Seen in pages of archives while it was written.
    pub(crate) shown: usize,
}

impl Figures {
    /// Those of another run.
    pub(crate) fn add(&mut self, other: &Self) {
        self.posts += other.posts;
        self.kept += other.kept;
        self.lost += other.lost;
        self.pinged += other.pinged;
        self.window = self.window.max(other.window);
        self.hollow += other.hollow;
        self.again += other.again;
        self.goodbyes += other.goodbyes;
        self.owed += other.owed;
        self.shown += other.shown;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = self.window.as_micros();
        write!(
            f,
            "{} written, {} kept, {} seen in archives meanwhile, {} owed; {} lost without a promise, {} of them before a ping answered at most {window} us \
             before the end; {} ids of nothing, {} delivered again, {} to who had gone meanwhile",
            self.posts,
            self.kept,
            self.shown,
            self.owed,
            self.lost,
            self.pinged,
            self.hollow,
            self.again,
            self.goodbyes
        )
    }
}

impl Judge {
    /// Asks a server that was started again after this round, and takes notice for the next.
    pub(crate) fn judge(&mut self, door: &Door, round: &Round, first: First) -> Result<(), String> {
        let posts: HashMap<String, Post> = round
            .said
            .iter()
            .flat_map(|said| &said.posts)
            .map(|post| (post.body(), *post))
            .collect();
        self.figures.posts += posts.len();
        for stanza in round.said.iter().flat_map(|said| &said.strange) {
            self.faults.push(format!("a sender was sent {stanza}"));
        }
        for (at, sessions) in &round.heard {
            for session in sessions {
                self.session(*at, session, &posts, Crashed::No);
            }
        }
        let after = self.come_back(door, first)?;
        for (at, sessions) in &after {
            for session in sessions {
                self.session(*at, session, &posts, Crashed::Yes);
            }
        }
        let mut archived = BTreeMap::new();
        for name in receivers().chain(SENDERS) {
            archived.insert(name, self.archive(door, name, &posts)?);
        }
        for said in &round.said {
            self.sender(said, &archived);
            for receiver in Receiver::ALL {
                self.pair(said, receiver, round, &after, &archived);
            }
        }
        self.ids(round, &after);
        self.shown(round);
        for name in ["there", "copies"] {
            self.live(round, (name, "phone"), |post| post.to.name() == name);
        }
        self.live(round, ("copies", "watch"), |post| {
            post.to == Receiver::Copies && post.is_copied()
        });
        for (index, name) in SENDERS.into_iter().enumerate() {
            self.live(round, (name, "watch"), |post| {
                post.from == index && post.is_copied()
            });
        }
        Ok(())
    }

    /// Everybody comes and takes what there is.
    fn come_back(&mut self, door: &Door, first: First) -> Result<Heard, String> {
        let mut heard = Heard::new();
        let mut nurse = door.device("nurse", "x")?;
        for at in [
            ("away", "desk"),
            ("there", "phone"),
            ("copies", "phone"),
            ("never", "desk"),
            ("flits", "tablet"),
        ] {
            let mut client = door.device(at.0, at.1)?;
            let looks_first = first == First::Archive && at.0 == "flits";
            if looks_first {
                let last = self.archives.get(at.0).and_then(|all| all.last());
                let last = last.map(|(id, _)| id.as_str());
                forwards(&mut client, last, &Query::new().max(256))?;
            }
            let seen = self.take_all(&mut client, &mut nurse, at)?;
            client.close()?;
            if looks_first && let Some(owed) = seen.first() {
                self.faults
                    .push(format!("from the archive and once more: {owed:?}"));
            }
            self.figures.owed += seen.len();
            heard.insert(at, vec![seen]);
        }
        Ok(heard)
    }

    /// What comes to a device from its presence on until what was sent to it then.
    fn take_all(
        &mut self,
        client: &mut Client,
        nurse: &mut Client,
        at: Device,
    ) -> Result<Vec<Seen>, String> {
        let account = bare(at.0);
        let mut seen = Vec::new();
        client.send("<presence/>")?;
        ask(client, "here", &ping("here"), |stanza| {
            seen.extend(Seen::read(&stanza, &account)?);
            Ok(())
        })?;
        self.markers += 1;
        let marker = format!("marker {}", self.markers);
        nurse.send(&format!(
            "<message type='chat' to='{account}/{}'><body>{marker}</body><no-store xmlns='urn:xmpp:hints'/></message>",
            at.1
        ))?;
        loop {
            let stanza = client.next(PATIENCE)?;
            match Seen::read(&stanza, &account)? {
                Some(message) if message.body == marker => return Ok(seen),
                message => seen.extend(message),
            }
        }
    }

    /// One session of a device: each message once, in order, from whom and to whom it says, under its id.
    fn session(
        &mut self,
        at: Device,
        session: &[Seen],
        posts: &HashMap<String, Post>,
        crashed: Crashed,
    ) {
        let account = bare(at.0);
        let mut last: HashMap<(usize, Receiver), usize> = HashMap::new();
        let mut live = false;
        for seen in session {
            let mut fault = |what: &str| self.faults.push(format!("{at:?} {what}: {seen:?}"));
            let Some(post) = posts.get(&seen.body) else {
                fault("was sent what nobody wrote in this round");
                continue;
            };
            let (from, to) = (bare(SENDERS[post.from]), bare(post.to.name()));
            let mine = if seen.how == How::Sent { &from } else { &to };
            if seen.from != format!("{from}/desk") || !seen.to.starts_with(&to) || *mine != account
            {
                fault("was sent what is not its own");
            }
            let before = last.insert((post.from, post.to), post.number);
            if before.is_some_and(|before| before >= post.number) {
                fault("was sent out of order");
            }
            match seen.how {
                How::Live => live = true,
                How::Owed if live => fault("was sent what was owed behind what was live"),
                How::Owed | How::Sent | How::Received => {}
            }
            if seen.how == How::Owed && !post.is_kept() {
                fault("was sent what was not to be kept");
            }
            let shown = self.shown.insert((at, seen.body.clone()), seen.id.clone());
            match (shown, crashed, seen.how) {
                (None, ..) => {}
                (Some(before), Crashed::Yes, How::Owed) if before == seen.id => {
                    self.figures.again += 1;
                }
                // It went while a page was being written to it: nobody knows how much of that it has.
                (Some(before), Crashed::No, How::Owed) if before == seen.id && at.0 == "flits" => {
                    self.figures.goodbyes += 1;
                }
                (Some(_), ..) => fault("was sent twice"),
            }
        }
    }

    /// Reads what came to an archive in this round. The texts, in order.
    fn archive(
        &mut self,
        door: &Door,
        name: &'static str,
        posts: &HashMap<String, Post>,
    ) -> Result<Vec<String>, String> {
        let known = self.archives.entry(name).or_default();
        let after = known.last().map(|(id, _)| id.clone());
        let mut client = door.device(name, "archive")?;
        let (entries, _) = forwards(&mut client, after.as_deref(), &Query::new().max(256))?;
        client.close()?;
        let known = self.archives.entry(name).or_default();
        known.extend(entries.iter().map(|entry| (entry.id.clone(), entry.body())));
        let account = bare(name);
        for entry in &entries {
            let mut fault = |what: &str| {
                self.faults
                    .push(format!("{name}'s archive {what}: {entry:?}"))
            };
            let Some(post) = posts.get(&entry.body()) else {
                fault("has what nobody wrote in this round");
                continue;
            };
            let (from, to) = (bare(SENDERS[post.from]), bare(post.to.name()));
            if entry.address("from") != format!("{from}/desk")
                || !entry.address("to").starts_with(&to)
                || (account != from && account != to)
            {
                fault("has what is not its own");
            }
            if !post.is_kept() || (account == to && !post.to.is_archived()) {
                fault("has what was not to be archived");
            }
        }
        Ok(entries.iter().map(Entry::body).collect())
    }

    /// A sender's archive has the first of what it wrote, and all that it was shown there.
    fn sender(&mut self, said: &Said, archived: &BTreeMap<&'static str, Vec<String>>) {
        let Some(first) = said.posts.first() else {
            return;
        };
        let name = SENDERS[first.from];
        let kept = said.posts.iter().filter(|post| post.is_kept());
        let kept: Vec<String> = kept.map(Post::body).collect();
        let has = archived.get(name).map_or(&[][..], Vec::as_slice);
        if !kept.starts_with(has) {
            let at = kept.iter().zip(has).position(|(kept, has)| kept != has);
            let at = at.unwrap_or_else(|| kept.len().min(has.len()));
            let (wanted, found) = (kept.get(at), has.get(at));
            self.faults.push(format!(
                "{name}'s archive has {found:?} where {wanted:?} is to be"
            ));
        }
        let promised = said.posts[..said.promised(About::Own)].iter();
        let promised = promised.filter(|post| post.is_kept()).count();
        if has.len() < promised {
            let missing = promised - has.len();
            self.faults.push(format!(
                "{missing} messages are missing of {promised} that were in {name}'s own archive"
            ));
        }
    }

    /// What came to a receiver is the first of what was written to it, up to what was promised at least.
    fn pair(
        &mut self,
        said: &Said,
        receiver: Receiver,
        round: &Round,
        after: &Heard,
        archived: &BTreeMap<&'static str, Vec<String>>,
    ) {
        let name = receiver.name();
        let heard = [&round.heard, after].into_iter().flatten();
        let heard = heard
            .filter(|(at, _)| at.0 == name)
            .flat_map(|(_, sessions)| sessions.iter().flatten())
            .map(|seen| seen.body.as_str());
        let archive = archived.get(name).into_iter().flatten();
        let arrived: HashSet<&str> = heard.chain(archive.map(String::as_str)).collect();
        let pinged = said.promised(About::Ping);
        let mut lost: Option<String> = None;
        for (index, post) in said.posts.iter().enumerate() {
            let body = post.body();
            if post.to != receiver || !post.is_kept() {
                continue;
            }
            if arrived.contains(body.as_str()) {
                self.figures.kept += 1;
                if let Some(lost) = &lost {
                    self.faults
                        .push(format!("{name} has {body:?} and not {lost:?}"));
                }
                continue;
            }
            self.figures.lost += 1;
            if index < pinged {
                self.figures.pinged += 1;
                self.window(said, index, round);
            }
            lost.get_or_insert(body);
        }
    }

    /// How long before the end a ping behind this lost message was answered.
    fn window(&mut self, said: &Said, index: usize, round: &Round) {
        let mut pings = said
            .looks
            .iter()
            .filter(|look| look.about == About::Ping && look.behind > index);
        let answered = pings.find_map(|look| look.answered);
        if let (Some(answered), Some(killed)) = (answered, round.killed) {
            let window = killed.saturating_duration_since(answered);
            self.figures.window = self.figures.window.max(window);
        }
    }

    /// Copies, live messages and archives have one id for each message.
    fn ids(&mut self, round: &Round, after: &Heard) {
        let mut archives: BTreeMap<&str, HashMap<&str, &str>> = BTreeMap::new();
        for (name, all) in &self.archives {
            let ids = all.iter().map(|(id, body)| (body.as_str(), id.as_str()));
            archives.insert(name, ids.collect());
        }
        for (at, sessions) in round.heard.iter().chain(after) {
            for seen in sessions.iter().flatten() {
                let archive = archives.get(at.0);
                let archived = archive.and_then(|ids| ids.get(seen.body.as_str()));
                match (archived, &seen.id) {
                    (Some(archived), Some(id)) if archived == id => {}
                    (None, None) => {}
                    // It was lost with the server.
                    (None, Some(_)) if at.0 != "never" => {
                        self.figures.hollow += 1;
                    }
                    _ => self
                        .faults
                        .push(format!("{at:?}: {archived:?} in the archive, {seen:?}")),
                }
            }
        }
    }

    /// What was seen in a page is there, where it was, with nothing left out before it.
    fn shown(&mut self, round: &Round) {
        for (name, seen) in &round.seen {
            let archive = self.archives.get(name).map_or(&[][..], Vec::as_slice);
            let Some(first) = seen.first() else {
                continue;
            };
            let at = archive.iter().position(|entry| entry == first);
            let there = archive
                .get(at.unwrap_or(archive.len())..)
                .unwrap_or_default();
            let gone = seen
                .iter()
                .zip(there)
                .position(|(seen, there)| seen != there);
            let gone = gone.or_else(|| (there.len() < seen.len()).then_some(there.len()));
            self.figures.shown += seen.len();
            if let Some(gone) = gone.and_then(|gone| seen.get(gone)) {
                self.faults.push(format!(
                    "{name}'s archive has not {gone:?} where it was seen"
                ));
            }
        }
    }

    /// A device that was there all the time was sent the first of what it is to be sent, by each sender.
    fn live(&mut self, round: &Round, at: Device, wanted: impl Fn(&Post) -> bool) {
        let sessions = round.heard.get(&at).into_iter().flatten();
        let heard: Vec<&str> = sessions.flatten().map(|seen| seen.body.as_str()).collect();
        for said in &round.said {
            let wanted = said.posts.iter().filter(|post| wanted(post));
            let wanted: Vec<String> = wanted.map(Post::body).collect();
            let all: HashSet<&str> = wanted.iter().map(String::as_str).collect();
            let came = heard.iter().filter(|body| all.contains(*body)).count();
            let first = wanted.iter().take(came);
            if !first.eq(heard.iter().filter(|body| all.contains(*body))) {
                let missing = wanted
                    .iter()
                    .find(|body| !heard.contains(&body.as_str()))
                    .cloned();
                self.faults.push(format!(
                    "{at:?} was not sent {missing:?}, but what is behind"
                ));
            }
        }
    }

    /// Whole archives, forwards and backwards, are what was read of them piece by piece.
    pub(crate) fn whole(&mut self, door: &Door) -> Result<(), String> {
        for (name, known) in &self.archives {
            let mut client = door.device(name, "archive")?;
            let (there, _) = forwards(&mut client, None, &Query::new().max(256))?;
            let (back, _) = backwards(&mut client, &Query::new().max(100))?;
            available(&mut client)?;
            client.close()?;
            let there: Vec<_> = there
                .into_iter()
                .map(|entry| (entry.id.clone(), entry.body()))
                .collect();
            let back = back
                .into_iter()
                .map(|entry| (entry.id.clone(), entry.body()));
            if there != *known || !back.eq(known.iter().cloned()) {
                self.faults
                    .push(format!("{name}'s archive is not what it was"));
            }
        }
        Ok(())
    }
}

/// Whether the server was killed since the session before.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Crashed {
    No,
    Yes,
}

/// What one that comes and goes looks at when it comes back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum First {
    Owed,
    Archive,
}

fn receivers() -> impl Iterator<Item = &'static str> {
    Receiver::ALL.into_iter().map(Receiver::name)
}
