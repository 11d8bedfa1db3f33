//! Three accounts that do to each other what comes to their minds, on one shard and on three, while the store fails, ways are full, accounts
//! leave memory, one of them is deleted and made again, and the server is killed: at rest every two agree.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use spec_tests::dice::Dice;
use spec_tests::memory::{Bounds, Fate, World, config};
use spec_tests::talk::Talk;
use spondee_core::jid::BareJid;
use spondee_core::limits::{ACCOUNT_IDLE, ENDINGS_PER_TICK, StoreCredit};
use spondee_core::port::{Command, CommandId};
use spondee_core::sasl::Tombstones;
use spondee_core::secret::Secret;
use spondee_core::store::StoreError;

/// The last is deleted now and then.
const CAST: [&str; 3] = ["romeo@localhost", "juliet@localhost", "nurse@localhost"];

const SEEDS: u64 = 60;

const KINDS: [&str; 4] = ["subscribe", "subscribed", "unsubscribe", "unsubscribed"];

/// What one knows of the others.
#[derive(Debug, Default)]
struct View {
    /// Subscription, and whether it asks.
    contacts: BTreeMap<String, (String, bool)>,
    requests: BTreeSet<String>,
    available: BTreeSet<String>,
}

struct Play {
    world: World,
    dice: Dice,
    talks: [Option<Talk>; 3],
    commands: u64,
    told: Vec<String>,
}

impl Play {
    fn new(seed: u64) -> Self {
        let mut config = config();
        config.shards = if seed.is_multiple_of(3) { 1 } else { 3 };
        let bounds = Bounds {
            credit: StoreCredit::of_one(config.shards),
            // With none, two that have something for each other would each be gone whenever the other answers.
            idle: if seed.is_multiple_of(2) { 1 } else { 3 },
            endings: ENDINGS_PER_TICK,
        };
        let mut world = World::with_bounds(config, seed, bounds);
        for name in CAST {
            world.add_user(name, "secret");
        }
        Self {
            world,
            dice: Dice::new(seed),
            talks: [None, None, None],
            commands: 1000,
            told: Vec::new(),
        }
    }

    fn log_in(&mut self, who: usize) {
        self.log_out(who);
        if let Ok(mut talk) = Talk::session(&mut self.world, CAST[who], "x") {
            talk.send(
                &mut self.world,
                "<iq id='r' type='get'><query xmlns='jabber:iq:roster'/></iq>",
            );
            talk.send(&mut self.world, "<presence/>");
            self.talks[who] = Some(talk);
        }
    }

    fn log_out(&mut self, who: usize) {
        if let Some(talk) = self.talks[who].take() {
            self.world.hang_up(talk.peer());
        }
    }

    fn write(&mut self, who: usize, xml: &str) {
        if let Some(talk) = &self.talks[who] {
            self.told.push(format!("{who} {xml}"));
            self.world.write(talk.peer(), xml.as_bytes());
        }
    }

    fn command(&mut self, command: Command) {
        self.told.push(format!("{command:?}"));
        self.commands += 1;
        self.world.post_command(CommandId(self.commands), command);
    }

    fn act(&mut self) {
        let (who, whom) = (self.dice.below(3), self.dice.below(3));
        match self.dice.below(100) {
            0..55 => {
                let kind = KINDS[self.dice.below(4)];
                let to = CAST[whom];
                self.write(who, &format!("<presence type='{kind}' to='{to}'/>"));
            }
            55..60 => {
                let item = format!("<item jid='{}' subscription='remove'/>", CAST[whom]);
                let query = format!("<query xmlns='jabber:iq:roster'>{item}</query>");
                self.write(who, &format!("<iq id='s' type='set'>{query}</iq>"));
            }
            60..65 => self.write(who, "<presence type='unavailable'/><presence/>"),
            65..72 => self.log_in(who),
            72..75 => self.log_out(who),
            75..85 => {
                let error = [StoreError::Failed, StoreError::Full, StoreError::Busy];
                let fate = match self.dice.below(4) {
                    0 => Fate::Lost,
                    which => Fate::Failed(error[which - 1]),
                };
                self.told.push(format!("{fate:?}"));
                let at = self.dice.below(4);
                let kept = (0..at).map(|_| Fate::Kept);
                self.world.fates.extend(kept.chain([fate]));
            }
            85..88 => self.world.lane_capacity = 1 + self.dice.below(3),
            88..91 => self.world.lane_capacity = usize::MAX,
            91..93 => self.world.pass(Duration::from_secs(70)),
            93..95 => {
                let account = BareJid::parse(CAST[2]).unwrap();
                self.command(Command::Delete { account });
            }
            95..99 => self.add(),
            _ if self.dice.percent(30) => {
                self.told.push("crash".to_owned());
                self.talks = [None, None, None];
                self.world.crash();
            }
            _ => {}
        }
    }

    fn add(&mut self) {
        let account = BareJid::parse(CAST[2]).unwrap();
        let password = Secret::new(b"secret".to_vec());
        let tombstones = Tombstones::Ignore;
        self.command(Command::Add {
            account,
            password,
            tombstones,
        });
    }

    fn steps(&mut self, count: usize) {
        for _ in 0..count {
            let steps = self.world.steps();
            match steps.get(self.dice.below(steps.len().max(1))) {
                Some(step) => self.world.step(*step),
                None => return,
            }
        }
    }

    fn all_log_in(&mut self) {
        for who in 0..3 {
            self.log_out(who);
        }
        self.world.run();
        self.world.advance(ACCOUNT_IDLE + Duration::from_secs(40));
        for who in 0..3 {
            self.log_in(who);
            assert!(self.talks[who].is_some(), "{who} cannot sign in");
        }
        self.world.run();
    }

    fn rest(&mut self) -> Result<[View; 3], String> {
        self.world.fates.clear();
        self.world.lane_capacity = usize::MAX;
        self.world.run();
        self.world.advance(Duration::from_secs(60));
        self.add();
        self.world.run();
        for _ in 0..3 {
            self.all_log_in();
        }
        let mut views = [View::default(), View::default(), View::default()];
        for (who, view) in views.iter_mut().enumerate() {
            let talk = self.talks[who].as_mut().unwrap();
            for element in talk.rest(&mut self.world)? {
                view.hear(&element.to_string());
            }
            // What it is now: others have come since.
            let talk = self.talks[who].as_mut().unwrap();
            talk.send(
                &mut self.world,
                "<iq id='g' type='get'><query xmlns='jabber:iq:roster'/></iq>",
            );
            view.contacts.clear();
            for element in talk.rest(&mut self.world)? {
                view.hear(&element.to_string());
            }
        }
        Ok(views)
    }
}

impl View {
    fn hear(&mut self, xml: &str) {
        let part = |xml: &str, name: &str| {
            let rest = xml.split(&format!(" {name}=")).nth(1)?;
            rest.get(1..)?.split(['\'', '"']).next().map(str::to_owned)
        };
        if xml.starts_with("<presence") {
            let from = part(xml, "from").unwrap_or_default();
            let bare = from.split('/').next().unwrap_or_default().to_owned();
            match part(xml, "type").as_deref() {
                None => drop(self.available.insert(bare)),
                Some("unavailable") => drop(self.available.remove(&bare)),
                Some("subscribe") => drop(self.requests.insert(bare)),
                Some(_) => {}
            }
        } else if xml.contains("type='result'") || xml.contains("type=\"result\"") {
            for item in xml.split("<item").skip(1) {
                let jid = part(item, "jid").unwrap_or_default();
                let subscription = part(item, "subscription").unwrap_or_default();
                let asks = part(item, "ask").is_some();
                self.contacts.insert(jid, (subscription, asks));
            }
        }
    }
}

/// What is wrong between two of them, as seen from the first.
fn fault(views: &[View; 3], who: usize, whom: usize) -> Option<String> {
    let none = ("none".to_owned(), false);
    let (his, asks) = views[who].contacts.get(CAST[whom]).unwrap_or(&none);
    let (hers, _) = views[whom].contacts.get(CAST[who]).unwrap_or(&none);
    let to = his == "to" || his == "both";
    let from = hers == "from" || hers == "both";
    let waits = views[whom].requests.contains(CAST[who]);
    let sees = views[who].available.contains(CAST[whom]);
    // Whoever asked one that was not there asks for ever.
    let in_vain = whom == 2 && *asks && !to && !from && !waits;
    let agree = match (to, *asks) {
        (false, false) => !from && !waits,
        (false, true) => waits && !from,
        (true, false) => from && !waits,
        (true, true) => false,
    };
    let right = (agree || in_vain) && sees == to;
    (!right).then(|| format!("{who} of {whom}: {his} {asks}, {hers} {waits}, sees {sees}"))
}

#[test]
fn every_two_agree_whatever_befell_them() {
    for seed in 0..SEEDS {
        let mut play = Play::new(seed);
        for who in 0..3 {
            play.log_in(who);
        }
        for _ in 0..80 {
            play.act();
            let steps = play.dice.below(12);
            play.steps(steps);
        }
        let views = play.rest().unwrap();
        let told = play.told.join("\n");
        assert_eq!(play.world.is_sound(), Ok(()), "{seed}:\n{told}");
        for (who, whom) in [(0, 1), (1, 0), (0, 2), (2, 0), (1, 2), (2, 1)] {
            if let Some(fault) = fault(&views, who, whom) {
                panic!("{seed}: {fault}\n{}", play.told.join("\n"));
            }
        }
    }
}
