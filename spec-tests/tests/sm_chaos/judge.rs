//! What was promised, and what is where: in archives, and at devices as these have it noted down.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use spec_tests::client::PATIENCE;
use spec_tests::kept::{Door, Entry, How, Query, Seen, ask, forwards, ping};

use crate::books::{Device, Event, Heard, Holes, Post, Receiver, Round, SENDERS, bare};

/// Ids and texts of entries of an archive, in order.
pub(crate) type Shown = Vec<(String, String)>;

/// What is known of a server's accounts from one round to the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct Judge {
    pub(crate) archives: BTreeMap<&'static str, Shown>,
    markers: usize,
    pub(crate) figures: Figures,
    pub(crate) faults: Vec<String>,
}

/// How the server came to its end in a round.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    Kill,
    Stop,
}

/// What happened, for people.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures {
    pub(crate) posts: usize,
    pub(crate) cuts: usize,
    pub(crate) resumed: usize,
    pub(crate) over: usize,
    /// Sent again by who could not know.
    pub(crate) resent: usize,
    /// Of these, there twice.
    pub(crate) twins: usize,
    /// Sent again by the server, with the same id, to a device that had not said that it had it, or of which the server forgot it.
    pub(crate) again: usize,
    pub(crate) pushed: usize,
    pub(crate) pulled: usize,
    /// Told live under an id that the archive does not have.
    pub(crate) hollow: usize,
    /// Promised where the power was cut.
    pub(crate) promised: usize,
}

impl Figures {
    pub(crate) fn add(&mut self, other: &Self) {
        self.posts += other.posts;
        self.cuts += other.cuts;
        self.resumed += other.resumed;
        self.over += other.over;
        self.resent += other.resent;
        self.twins += other.twins;
        self.again += other.again;
        self.pushed += other.pushed;
        self.pulled += other.pulled;
        self.hollow += other.hollow;
        self.promised += other.promised;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} written, {} pushed, {} fetched; {} cuts, {} resumed, {} sessions over; {} sent again by writers who could not know, {} of them there \
             twice; {} sent again with the same id; {} ids of nothing; {} promised before power cuts",
            self.posts,
            self.pushed,
            self.pulled,
            self.cuts,
            self.resumed,
            self.over,
            self.resent,
            self.twins,
            self.again,
            self.hollow,
            self.promised
        )
    }
}

impl Judge {
    pub(crate) fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    /// After a round, all of which was acknowledged at last.
    pub(crate) fn judge(&mut self, door: &Door, round: &Round, end: End) -> Result<(), String> {
        let posts = round.posts();
        self.figures.posts += posts.len();
        for said in &round.said {
            self.figures.cuts += said.cuts;
            self.figures.resent += said.again.values().sum::<usize>();
            if end == End::Stop && !said.again.is_empty() {
                self.fault(format!("not known after a stop: {:?}", said.again));
            }
            for stanza in &said.strange {
                self.faults.push(format!("a sender was sent {stanza}"));
            }
            for post in &said.posts {
                if !said.acknowledged.contains(&post.body()) {
                    self.faults.push(format!("{post:?} is not acknowledged"));
                }
            }
        }
        let mut heard = round.heard.clone();
        for receiver in [Receiver::Away, Receiver::Never] {
            let at = receiver.device();
            let seen = self.take_all(door, at)?;
            let mut events = Vec::new();
            if end == End::Kill {
                events.push(Event::Crash);
            }
            events.push(Event::Bound(Holes::No));
            events.extend(seen.into_iter().map(|seen| Event::Push(Box::new(seen))));
            let heard = heard.entry(at).or_default();
            heard.events = events;
        }
        for (at, heard) in &heard {
            self.figures.cuts += heard.cuts;
            self.figures.resumed += heard.resumed;
            self.figures.over += heard.over;
            self.device(*at, heard, round, &posts);
        }
        let archived = self.archives(door, &posts)?;
        for said in &round.said {
            let Some(first) = said.posts.first() else {
                continue;
            };
            let name = SENDERS[first.from];
            let all: Vec<Post> = said.posts.clone();
            self.archive(name, &archived, &all, round, Wanted::All);
            for receiver in Receiver::ALL {
                if !receiver.is_archived() {
                    continue;
                }
                let posts = said.posts.iter().filter(|post| post.to == receiver);
                let posts: Vec<Post> = posts.copied().collect();
                self.archive(receiver.name(), &archived, &posts, round, Wanted::All);
            }
        }
        self.ids(&heard, end);
        Ok(())
    }

    /// What comes to a device from its presence on until what was sent to it then.
    pub(crate) fn take_all(&mut self, door: &Door, at: Device) -> Result<Vec<Seen>, String> {
        let account = bare(at.0);
        let mut client = door.device(at.0, at.1)?;
        let mut nurse = door.device("nurse", "marks")?;
        let mut seen = Vec::new();
        client.send("<presence/>")?;
        ask(&mut client, "here", &ping("here"), |stanza| {
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
                Some(message) if message.body == marker => break,
                message => seen.extend(message),
            }
        }
        client.close()?;
        nurse.close()?;
        Ok(seen)
    }

    /// What came to each archive since it was last read. The texts, in order.
    pub(crate) fn archives(
        &mut self,
        door: &Door,
        posts: &HashMap<String, Post>,
    ) -> Result<BTreeMap<&'static str, Vec<String>>, String> {
        let mut archived = BTreeMap::new();
        let receivers = Receiver::ALL.into_iter().map(Receiver::name);
        for name in receivers.chain(SENDERS) {
            let known = self.archives.entry(name).or_default();
            let after = known.last().map(|(id, _)| id.clone());
            let mut client = door.device(name, "archive")?;
            let (entries, _) = forwards(&mut client, after.as_deref(), &Query::new().max(256))?;
            client.close()?;
            known.extend(entries.iter().map(|entry| (entry.id.clone(), entry.body())));
            for entry in &entries {
                self.entry(name, entry, posts);
            }
            archived.insert(name, entries.iter().map(Entry::body).collect());
        }
        Ok(archived)
    }

    fn entry(&mut self, name: &str, entry: &Entry, posts: &HashMap<String, Post>) {
        let account = bare(name);
        let Some(post) = posts.get(&entry.body()) else {
            self.fault(format!(
                "{name}'s archive has what nobody wrote in this round: {entry:?}"
            ));
            return;
        };
        let (from, to) = (bare(SENDERS[post.from]), bare(post.to.name()));
        if entry.address("from") != format!("{from}/desk")
            || !entry.address("to").starts_with(&to)
            || (account != from && account != to)
            || (account == to && !post.to.is_archived())
        {
            self.fault(format!(
                "{name}'s archive has what is not for it: {entry:?}"
            ));
        }
    }

    /// An archive has these, in the order in which they were written, and each as often as it may have been sent.
    pub(crate) fn archive(
        &mut self,
        name: &str,
        archived: &BTreeMap<&'static str, Vec<String>>,
        posts: &[Post],
        round: &Round,
        wanted: Wanted<'_>,
    ) {
        let place: HashMap<String, usize> = posts
            .iter()
            .enumerate()
            .map(|(index, post)| (post.body(), index))
            .collect();
        let mut count = vec![0; posts.len()];
        let mut next = 0;
        let has = archived.get(name).into_iter().flatten();
        for index in has.filter_map(|body| place.get(body)) {
            count[*index] += 1;
            if count[*index] > 1 {
                continue;
            }
            if *index != next {
                let body = posts[*index].body();
                let other = posts.get(next).map(Post::body);
                self.fault(format!(
                    "{name}'s archive has {body:?} where {other:?} is to be"
                ));
            }
            next = index + 1;
        }
        for (post, count) in posts.iter().zip(count) {
            self.figures.twins += usize::from(count > 1);
            let body = post.body();
            let needed = match wanted {
                Wanted::All => true,
                Wanted::Promised(promised) => promised.contains(&body),
            };
            if count > round.copies(post) || (count == 0 && needed) {
                let copies = round.copies(post);
                self.fault(format!(
                    "{name}'s archive has {body:?} {count} times, which was sent {copies} times and acknowledged"
                ));
            }
        }
    }

    /// Live messages and archives have one id for each message.
    fn ids(&mut self, heard: &HashMap<Device, Heard>, end: End) {
        let mut archives: HashMap<&str, HashSet<(&str, &str)>> = HashMap::new();
        for (name, all) in &self.archives {
            let ids = all.iter().map(|(id, body)| (body.as_str(), id.as_str()));
            archives.insert(name, ids.collect());
        }
        for (at, heard) in heard {
            let archive = archives.get(at.0);
            for event in &heard.events {
                let Event::Push(seen) = event else {
                    continue;
                };
                match &seen.id {
                    None if at.0 == "never" => {}
                    Some(id) if archive.is_some_and(|ids| ids.contains(&(&seen.body, id))) => {}
                    // It was lost with the server.
                    Some(_) if end == End::Kill => self.figures.hollow += 1,
                    other => self
                        .faults
                        .push(format!("{at:?}: {other:?} is not in the archive: {seen:?}")),
                }
            }
        }
    }

    fn device(&mut self, at: Device, heard: &Heard, round: &Round, posts: &HashMap<String, Post>) {
        let mut device = Reading::new(at, round);
        for (index, event) in heard.events.iter().enumerate() {
            match event {
                Event::Crash => device.crashes += 1,
                Event::Bound(holes) => device.bound(*holes),
                Event::Available => device.available = true,
                Event::Confirmed(events) => device.confirmed(*events),
                Event::Pull(id, body) => {
                    self.figures.pulled += 1;
                    device.pulled(id, body);
                }
                Event::Push(seen) => {
                    self.figures.pushed += 1;
                    match posts.get(&seen.body) {
                        Some(post) => self.figures.again += device.pushed(index, seen, post),
                        None => device.fault("was sent what nobody wrote in this round", seen),
                    }
                }
            }
        }
        device.end();
        self.faults.extend(device.faults);
    }
}

/// What an archive must have.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted<'a> {
    All,
    Promised(&'a HashSet<String>),
}

/// Reads what a device has noted down.
struct Reading<'a> {
    at: Device,
    round: &'a Round,
    /// What it is to have of each pair, in order.
    wanted: HashMap<(usize, Receiver), Vec<String>>,
    place: HashMap<String, ((usize, Receiver), usize)>,
    session: usize,
    crashes: usize,
    available: bool,
    /// Up to where it has told the server in each session that it has what came in that.
    confirmed: HashMap<usize, usize>,
    /// Where each message was pushed last, by its id, or its text where there is none.
    pushes: HashMap<String, Pushed>,
    /// How often each text came under another id, or under none.
    texts: HashMap<String, usize>,
    pulled: HashSet<String>,
    /// Ids that it fetched in this session before it was available.
    fetched: HashSet<String>,
    next: HashMap<(usize, Receiver), usize>,
    /// Pairs of which something may be missing in front of the next message.
    loose: HashSet<(usize, Receiver)>,
    faults: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
struct Pushed {
    index: usize,
    session: usize,
    crashes: usize,
}

impl<'a> Reading<'a> {
    fn new(at: Device, round: &'a Round) -> Self {
        let mut wanted: HashMap<_, Vec<String>> = HashMap::new();
        let mut place = HashMap::new();
        for post in round.said.iter().flat_map(|said| &said.posts) {
            let is_wanted = match at.1 {
                "watch" if at.0 == post.to.name() || at.0 == SENDERS[post.from] => post.is_copied(),
                _ => at == post.to.device(),
            };
            if is_wanted {
                let pair = (post.from, post.to);
                let posts = wanted.entry(pair).or_default();
                place.insert(post.body(), (pair, posts.len()));
                posts.push(post.body());
            }
        }
        Self {
            at,
            round,
            wanted,
            place,
            session: 0,
            crashes: 0,
            available: false,
            confirmed: HashMap::new(),
            pushes: HashMap::new(),
            texts: HashMap::new(),
            pulled: HashSet::new(),
            fetched: HashSet::new(),
            next: HashMap::new(),
            loose: HashSet::new(),
            faults: Vec::new(),
        }
    }

    fn fault(&mut self, what: &str, seen: &Seen) {
        self.faults.push(format!("{:?} {what}: {seen:?}", self.at));
    }

    fn bound(&mut self, holes: Holes) {
        self.session += 1;
        self.available = false;
        self.fetched.clear();
        if holes == Holes::Yes {
            self.loose.extend(self.wanted.keys());
        }
    }

    fn confirmed(&mut self, events: usize) {
        let told = self.confirmed.entry(self.session).or_default();
        *told = events.max(*told);
    }

    fn pulled(&mut self, id: &str, body: &str) {
        self.pulled.insert(body.to_owned());
        if !self.available {
            self.fetched.insert(id.to_owned());
        }
    }

    /// Whether it was sent again, and that is no fault.
    fn pushed(&mut self, index: usize, seen: &Seen, post: &Post) -> usize {
        self.address(seen, post);
        let Some((pair, place)) = self.place.get(&seen.body).copied() else {
            self.fault("was sent what is not for it", seen);
            return 0;
        };
        if seen.how == How::Owed && seen.id.as_ref().is_some_and(|id| self.fetched.contains(id)) {
            self.fault("was sent what it had fetched before it was available", seen);
        }
        let key = seen.id.as_ref().unwrap_or(&seen.body).clone();
        let now = Pushed {
            index,
            session: self.session,
            crashes: self.crashes,
        };
        if let Some(before) = self.pushes.insert(key, now) {
            let forgotten = before.crashes != self.crashes;
            let told = self.confirmed.get(&before.session).copied().unwrap_or(0);
            let untold = before.session != self.session && before.index >= told;
            if seen.how == How::Owed && (forgotten || untold) {
                return 1;
            }
            if seen.id.is_some() {
                self.fault("was sent twice", seen);
                return 0;
            }
        }
        let texts = self.texts.entry(seen.body.clone()).or_default();
        *texts += 1;
        let texts = *texts;
        if texts > self.round.copies(post) {
            self.fault("was sent twice, under two ids", seen);
        }
        if texts > 1 {
            return 0;
        }
        if seen.how == How::Owed && self.session > 1 && self.at.0 == "copies" {
            // Of two devices that are over at once each hands on what the other has not: some of it comes late, some is in the archive alone.
            let next = self.next.entry(pair).or_default();
            *next = (place + 1).max(*next);
            return 0;
        }
        let next = self.next.insert(pair, place + 1).unwrap_or(0);
        let loose = self.loose.remove(&pair);
        let missing = || self.wanted[&pair].get(next).cloned();
        if place < next {
            self.next.insert(pair, next);
            let before = next
                .checked_sub(1)
                .and_then(|at| self.wanted[&pair].get(at));
            let (session, crashes) = (self.session, self.crashes);
            let what = format!(
                "was sent out of order, behind {before:?}, in its session {session} behind {crashes} crashes"
            );
            self.fault(&what, seen);
        } else if place > next && !loose {
            let missing = missing();
            self.fault(&format!("was not sent {missing:?}, but"), seen);
        }
        0
    }

    fn address(&mut self, seen: &Seen, post: &Post) {
        let (from, to) = (bare(SENDERS[post.from]), bare(post.to.name()));
        let mine = if seen.how == How::Sent { &from } else { &to };
        let account = bare(self.at.0);
        if seen.from != format!("{from}/desk") || !seen.to.starts_with(&to) || *mine != account {
            self.fault("was sent what is not its own", seen);
        }
    }

    /// It has all that it is to have, by now.
    fn end(&mut self) {
        for wanted in self.wanted.values() {
            let has =
                |body: &&String| self.texts.contains_key(*body) || self.pulled.contains(*body);
            let missing: Vec<_> = wanted.iter().filter(|body| !has(body)).collect();
            if let Some(first) = missing.first() {
                self.faults.push(format!(
                    "{:?} lacks {} messages, from {first:?} on",
                    self.at,
                    missing.len()
                ));
            }
        }
    }
}
