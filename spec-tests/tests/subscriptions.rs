//! Every row of every table of RFC 6121 appendix A, between two accounts of one server: both are put into a state by what people
//! send, one sends a stanza, and what the clients of both see is held against the tables.
//!
//! Here an outbound row of the sender and an inbound row of the other are one case, because what one is the other is mirrored. Each
//! account has three sessions, since who is available and who asked for the roster hear different things (RFC 6121 §3.1).

use spec_tests::element::{CLIENT, Element};
use spec_tests::memory::{World, config};
use spec_tests::talk::Talk;

type Outcome = Result<(), String>;

const ROSTER: &str = "jabber:iq:roster";
const JULIET: &str = "juliet@localhost";
const ROMEO: &str = "romeo@localhost";

/// RFC 6121 §A.1, as the first of two accounts has it of the second.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    None,
    Out,
    In,
    OutIn,
    To,
    ToIn,
    From,
    FromOut,
    Both,
}

use State::{Both, From, FromOut, In, None as Nothing, Out, OutIn, To, ToIn};

const STATES: [State; 9] = [Nothing, Out, In, OutIn, To, ToIn, From, FromOut, Both];

impl State {
    /// The same as the other account has it.
    const fn mirrored(self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Out => Self::In,
            Self::In => Self::Out,
            Self::OutIn => Self::OutIn,
            Self::To => Self::From,
            Self::ToIn => Self::FromOut,
            Self::From => Self::To,
            Self::FromOut => Self::ToIn,
            Self::Both => Self::Both,
        }
    }

    const fn subscription(self) -> &'static str {
        match self {
            Self::None | Self::Out | Self::In | Self::OutIn => "none",
            Self::To | Self::ToIn => "to",
            Self::From | Self::FromOut => "from",
            Self::Both => "both",
        }
    }

    const fn has_asked(self) -> bool {
        matches!(self, Self::Out | Self::OutIn | Self::FromOut)
    }

    const fn is_asked(self) -> bool {
        matches!(self, Self::In | Self::OutIn | Self::ToIn)
    }

    /// Whether the user is subscribed to the contact.
    fn has_to(self) -> bool {
        matches!(self.subscription(), "to" | "both")
    }

    /// Whether the contact is subscribed to the user.
    fn has_from(self) -> bool {
        matches!(self.subscription(), "from" | "both")
    }

    /// What leads there from nothing: who sends what, the first being the one whose state it is.
    const fn way(self) -> &'static [(Side, &'static str)] {
        use Side::{First, Second};
        match self {
            Self::None => &[],
            Self::Out => &[(First, "subscribe")],
            Self::In => &[(Second, "subscribe")],
            Self::OutIn => &[(First, "subscribe"), (Second, "subscribe")],
            Self::To => &[(First, "subscribe"), (Second, "subscribed")],
            Self::ToIn => &[
                (First, "subscribe"),
                (Second, "subscribed"),
                (Second, "subscribe"),
            ],
            Self::From => &[(Second, "subscribe"), (First, "subscribed")],
            Self::FromOut => &[
                (Second, "subscribe"),
                (First, "subscribed"),
                (First, "subscribe"),
            ],
            Self::Both => &[
                (First, "subscribe"),
                (Second, "subscribed"),
                (Second, "subscribe"),
                (First, "subscribed"),
            ],
        }
    }
}

/// Of the two accounts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Side {
    First,
    Second,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Route {
    Must,
    Not,
}

use Route::{Must, Not};

/// What becomes of the state.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum New {
    Same,
    Becomes(State),
    /// RFC 6121 §3.4.2.
    PreApproval,
}

use New::{Becomes, PreApproval, Same};

/// An existing state, whether the stanza is routed or delivered, and the new state.
type Row = (State, Route, New);

/// RFC 6121 §A.2.1, table 2.
const OUT_SUBSCRIBE: [Row; 9] = [
    (Nothing, Must, Becomes(Out)),
    (Out, Must, Same),
    (In, Must, Becomes(OutIn)),
    (OutIn, Must, Same),
    (To, Must, Same),
    (ToIn, Must, Same),
    (From, Must, Becomes(FromOut)),
    (FromOut, Must, Same),
    (Both, Must, Same),
];

/// RFC 6121 §A.2.2, table 3.
const OUT_UNSUBSCRIBE: [Row; 9] = [
    (Nothing, Must, Same),
    (Out, Must, Becomes(Nothing)),
    (In, Must, Same),
    (OutIn, Must, Becomes(In)),
    (To, Must, Becomes(Nothing)),
    (ToIn, Must, Becomes(In)),
    (From, Must, Same),
    (FromOut, Must, Becomes(From)),
    (Both, Must, Becomes(From)),
];

/// RFC 6121 §A.2.3, table 4.
const OUT_SUBSCRIBED: [Row; 9] = [
    (Nothing, Not, PreApproval),
    (Out, Not, PreApproval),
    (In, Must, Becomes(From)),
    (OutIn, Must, Becomes(FromOut)),
    (To, Not, PreApproval),
    (ToIn, Must, Becomes(Both)),
    (From, Not, Same),
    (FromOut, Not, Same),
    (Both, Not, Same),
];

/// RFC 6121 §A.2.4, table 5.
const OUT_UNSUBSCRIBED: [Row; 9] = [
    (Nothing, Not, Same),
    (Out, Not, Same),
    (In, Must, Becomes(Nothing)),
    (OutIn, Must, Becomes(Out)),
    (To, Not, Same),
    (ToIn, Must, Becomes(To)),
    (From, Must, Becomes(Nothing)),
    (FromOut, Must, Becomes(Out)),
    (Both, Must, Becomes(To)),
];

/// RFC 6121 §A.3.1, table 6.
const IN_SUBSCRIBE: [Row; 9] = [
    (Nothing, Must, Becomes(In)),
    (Out, Must, Becomes(OutIn)),
    (In, Not, Same),
    (OutIn, Not, Same),
    (To, Must, Becomes(ToIn)),
    (ToIn, Not, Same),
    (From, Not, Same),
    (FromOut, Not, Same),
    (Both, Not, Same),
];

/// RFC 6121 §A.3.2, table 7.
const IN_UNSUBSCRIBE: [Row; 9] = [
    (Nothing, Not, Same),
    (Out, Not, Same),
    (In, Must, Becomes(Nothing)),
    (OutIn, Must, Becomes(Out)),
    (To, Not, Same),
    (ToIn, Must, Becomes(To)),
    (From, Must, Becomes(Nothing)),
    (FromOut, Must, Becomes(Out)),
    (Both, Must, Becomes(To)),
];

/// RFC 6121 §A.3.3, table 8.
const IN_SUBSCRIBED: [Row; 9] = [
    (Nothing, Not, Same),
    (Out, Must, Becomes(To)),
    (In, Not, Same),
    (OutIn, Must, Becomes(ToIn)),
    (To, Not, Same),
    (ToIn, Not, Same),
    (From, Not, Same),
    (FromOut, Must, Becomes(Both)),
    (Both, Not, Same),
];

/// RFC 6121 §A.3.4, table 9.
const IN_UNSUBSCRIBED: [Row; 9] = [
    (Nothing, Not, Same),
    (Out, Must, Becomes(Nothing)),
    (In, Not, Same),
    (OutIn, Must, Becomes(In)),
    (To, Must, Becomes(Nothing)),
    (ToIn, Must, Becomes(In)),
    (From, Not, Same),
    (FromOut, Must, Becomes(From)),
    (Both, Must, Becomes(From)),
];

fn row(table: &[Row; 9], state: State) -> Row {
    // They stand in the order of the document.
    table[state as usize]
}

/// Whether the users made an item for each other before anything else.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Before {
    Strangers,
    Listed,
}

/// What a roster says of the contact: subscription, ask, approved. With none there is no item.
type Item = Option<(&'static str, bool, bool)>;

/// Whether there is an item even if the state needs none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Entry {
    Absent,
    Made,
    /// With a pre-approval.
    Approved,
}

/// RFC 6121 §A.1: a request that waits makes no item.
fn item(state: State, entry: Entry) -> Item {
    let is_there = entry != Entry::Absent || !matches!(state, Nothing | In);
    is_there.then(|| {
        (
            state.subscription(),
            state.has_asked(),
            entry == Entry::Approved,
        )
    })
}

fn said(item: Item) -> String {
    let Some((subscription, ask, approved)) = item else {
        return "no item".to_owned();
    };
    let ask = if ask { " ask" } else { "" };
    let approved = if approved { " approved" } else { "" };
    format!("item {subscription}{ask}{approved}")
}

/// One account with its sessions, its state of the other before and after, and what its roster says.
struct Account {
    own: &'static str,
    other: &'static str,
    /// Available, and asked for the roster.
    desk: Talk,
    /// Asked for the roster and is not available.
    shelf: Talk,
    /// Available, and did not ask for the roster.
    phone: Talk,
    has_name: bool,
}

impl Account {
    fn enter(
        world: &mut World,
        own: &'static str,
        other: &'static str,
        before: Before,
    ) -> Result<Self, String> {
        let mut desk = Talk::session(world, own, "desk")?;
        let mut shelf = Talk::session(world, own, "shelf")?;
        let mut phone = Talk::session(world, own, "phone")?;
        if before == Before::Listed {
            let set = format!(
                "<iq id='s' type='set'><query xmlns='{ROSTER}'><item jid='{other}' name='N'><group>G</group></item></query></iq>"
            );
            desk.send(world, &set);
        }
        let get = format!("<iq id='r' type='get'><query xmlns='{ROSTER}'/></iq>");
        desk.send(world, &get);
        shelf.send(world, &get);
        desk.send(world, "<presence id='p1'/>");
        phone.send(world, "<presence id='p2'/>");
        let has_name = before == Before::Listed;
        let mut account = Self {
            own,
            other,
            desk,
            shelf,
            phone,
            has_name,
        };
        account.forget(world)?;
        Ok(account)
    }

    fn forget(&mut self, world: &mut World) -> Outcome {
        for talk in [&mut self.desk, &mut self.shelf, &mut self.phone] {
            talk.rest(world)?;
        }
        Ok(())
    }

    fn send(&mut self, world: &mut World, kind: &str) {
        let stanza = format!(
            "<presence id='x' to='{}' type='{kind}'><status>s</status></presence>",
            self.other
        );
        self.desk.send(world, &stanza);
    }

    /// What the three heard, in words.
    fn heard(&mut self, world: &mut World) -> Result<[Vec<String>; 3], String> {
        let desk = self.desk.rest(world)?;
        let shelf = self.shelf.rest(world)?;
        let phone = self.phone.rest(world)?;
        let words = |heard: Vec<Element>| heard.iter().map(|stanza| self.word(stanza)).collect();
        let mut heard: [Result<Vec<String>, String>; 3] = [words(desk), words(shelf), words(phone)];
        let [desk, shelf, phone] = &mut heard;
        let take =
            |heard: &mut Result<Vec<String>, String>| std::mem::replace(heard, Ok(Vec::new()));
        Ok([take(desk)?, take(shelf)?, take(phone)?])
    }

    /// A stanza that came to this account, checked, in a few words.
    fn word(&self, stanza: &Element) -> Result<String, String> {
        let fault = || Err(format!("{} did not expect {stanza}", self.own));
        let attribute = |name| stanza.attribute(name).unwrap_or_default();
        let to = attribute("to");
        if to != self.own && !to.starts_with(&format!("{}/", self.own)) {
            return fault();
        }
        if stanza.is(CLIENT, "iq") {
            return self.item(stanza).map(|item| match item {
                Some(item) => format!("push: {item}"),
                None => "push without the contact".to_owned(),
            });
        }
        let from = attribute("from");
        let kind = stanza.attribute("type").unwrap_or("available");
        match kind {
            "subscribe" | "subscribed" | "unsubscribe" | "unsubscribed" => {
                // Bare, and the whole stanza (RFC 6121 §3, §3.1.3).
                let status = stanza.child(CLIENT, "status").map(Element::text);
                if from != self.other
                    || to != self.own
                    || attribute("id") != "x"
                    || status.as_deref() != Some("s")
                {
                    return fault();
                }
                Ok(kind.to_owned())
            }
            "available" | "unavailable" => match from.strip_prefix(&format!("{}/", self.other)) {
                Some(resource) => Ok(format!("{kind} {resource}")),
                None => fault(),
            },
            _ => fault(),
        }
    }

    /// What a push or a roster says of the other.
    fn item(&self, iq: &Element) -> Result<Option<String>, String> {
        let query = iq.child(ROSTER, "query").ok_or_else(|| format!("{iq}"))?;
        let Some(item) = query
            .children()
            .find(|item| item.attribute("jid") == Some(self.other))
        else {
            return Ok(None);
        };
        let has_name = item.attribute("name") == Some("N") && item.child(ROSTER, "group").is_some();
        if has_name != self.has_name {
            return Err(format!("what the user had said of it has changed: {item}"));
        }
        let mut words = format!("item {}", item.attribute("subscription").unwrap_or("none"));
        for (name, value) in [("ask", "subscribe"), ("approved", "true")] {
            match item.attribute(name) {
                Some(said) if said == value => words.extend([" ", name]),
                Some(said) if said != "false" => return Err(format!("{name} is {said}")),
                Some(_) | None => {}
            }
        }
        Ok(Some(words))
    }

    /// What a new session finds: what the roster says, and whether a request waits.
    fn at_rest(&self, world: &mut World) -> Result<(String, bool), String> {
        let mut late = Talk::session(world, self.own, "late")?;
        late.send(
            world,
            &format!("<iq id='r' type='get'><query xmlns='{ROSTER}'/></iq>"),
        );
        let roster = late.next(world)?;
        let roster = self.item(&roster)?.unwrap_or_else(|| said(None));
        late.send(world, "<presence/>");
        let heard = late.rest(world)?;
        let requests = heard
            .iter()
            .filter(|stanza| stanza.attribute("type") == Some("subscribe"));
        let count = requests.count();
        if count > 1 {
            return Err(format!("{count} requests of one"));
        }
        Ok((roster, count == 1))
    }
}

/// In what the tables do not order, that is presence of resources, in one order.
fn in_order(mut words: Vec<String>) -> Vec<String> {
    let is_presence = |word: &String| word.contains("available ");
    for run in words.chunk_by_mut(|a, b| is_presence(a) && is_presence(b)) {
        run.sort();
    }
    words
}

/// What the sessions of an account hear.
#[derive(Debug, Default, Eq, PartialEq)]
struct Expected {
    desk: Vec<String>,
    shelf: Vec<String>,
    phone: Vec<String>,
}

impl Expected {
    /// Who asked for the roster.
    fn interested(&mut self, word: &str) {
        self.desk.push(word.to_owned());
        self.shelf.push(word.to_owned());
    }

    /// Who is available.
    fn available(&mut self, word: &str) {
        self.desk.push(word.to_owned());
        self.phone.push(word.to_owned());
    }

    fn push(&mut self, before: Item, after: Item) {
        if before != after {
            self.interested(&format!("push: {}", said(after)));
        }
    }
}

/// The state of both, and what their rosters say.
#[derive(Clone, Copy, Debug)]
struct Position {
    state: State,
    entry: Entry,
}

impl Position {
    fn item(self) -> Item {
        item(self.state, self.entry)
    }

    fn becomes(self, new: New) -> Self {
        let state = match new {
            Becomes(state) => state,
            Same | PreApproval => self.state,
        };
        let entry = match (new, self.item()) {
            (PreApproval, _) => Entry::Approved,
            (Becomes(_) | Same, Some(_)) => Entry::Made,
            (Becomes(_) | Same, None) => Entry::Absent,
        };
        Self { state, entry }
    }
}

fn tables(kind: &str) -> (&'static [Row; 9], &'static [Row; 9]) {
    match kind {
        "subscribe" => (&OUT_SUBSCRIBE, &IN_SUBSCRIBE),
        "unsubscribe" => (&OUT_UNSUBSCRIBE, &IN_UNSUBSCRIBE),
        "subscribed" => (&OUT_SUBSCRIBED, &IN_SUBSCRIBED),
        _ => (&OUT_UNSUBSCRIBED, &IN_UNSUBSCRIBED),
    }
}

/// What becomes of a stanza `kind` from `own` to `other`, and what each hears of it.
fn judge(kind: &str, own: Position, other: Position) -> [(Position, Expected); 2] {
    let (outbound, inbound) = tables(kind);
    let (_, routed, new) = row(outbound, own.state);
    let after = own.becomes(new);
    let mut sender = Expected::default();
    sender.push(own.item(), after.item());
    let mut receiver = Expected::default();
    let (_, delivered, new) = match routed {
        Must => row(inbound, other.state),
        Not => (other.state, Not, Same),
    };
    let other_after = other.becomes(new);
    // RFC 6121 §3.2.2: unavailable presence while the contact is still subscribed.
    if own.state.has_from() && !after.state.has_from() {
        receiver.available("unavailable desk");
        receiver.available("unavailable phone");
    }
    if delivered == Must {
        // RFC 6121 §3.1: requests to who is available, and what goes with pushes to who is interested.
        match kind {
            "subscribe" => receiver.available(kind),
            _ => receiver.interested(kind),
        }
    }
    receiver.push(other.item(), other_after.item());
    // RFC 6121 §3.1.5: current presence.
    if after.state.has_from() && !own.state.has_from() {
        receiver.available("available desk");
        receiver.available("available phone");
    }
    // Who asks again may not have seen it, and is shown it once more.
    if kind == "subscribe" && other.state.has_from() {
        sender.available("available desk");
        sender.available("available phone");
    }
    // RFC 6121 §3.3.3: unavailable presence to who unsubscribed.
    if own.state.has_to() && !after.state.has_to() {
        sender.available("unavailable desk");
        sender.available("unavailable phone");
    }
    [(after, sender), (other_after, receiver)]
}

/// One case; its fault, if it has one.
fn play(shards: u16, before: Before, state: State, kind: &str) -> Outcome {
    let mut config = config();
    config.shards = shards;
    let mut world = World::new(config);
    world.add_user(JULIET, "secret");
    world.add_user(ROMEO, "secret");
    let mut juliet = Account::enter(&mut world, JULIET, ROMEO, before)?;
    let mut romeo = Account::enter(&mut world, ROMEO, JULIET, before)?;
    let entry = match before {
        Before::Strangers => Entry::Absent,
        Before::Listed => Entry::Made,
    };
    let start = Position {
        state: Nothing,
        entry,
    };
    let mut positions = [start, start];
    for (side, kind) in state.way() {
        let [first, second] = positions;
        positions = match side {
            Side::First => {
                juliet.send(&mut world, kind);
                judge(kind, first, second).map(|(after, _)| after)
            }
            Side::Second => {
                romeo.send(&mut world, kind);
                let [after, other] = judge(kind, second, first).map(|(after, _)| after);
                [other, after]
            }
        };
    }
    let [own, other] = positions;
    assert_eq!(
        (own.state, other.state),
        (state, state.mirrored()),
        "the test itself"
    );
    juliet.forget(&mut world)?;
    romeo.forget(&mut world)?;
    juliet.send(&mut world, kind);
    let judged = judge(kind, own, other);
    let heard = [juliet.heard(&mut world)?, romeo.heard(&mut world)?];
    for ((account, heard), (after, mut expected)) in
        [juliet, romeo].into_iter().zip(heard).zip(judged)
    {
        let [desk, shelf, phone] = heard.map(in_order);
        let mut heard = Expected { desk, shelf, phone };
        // Who unsubscribes hears of presence and of the roster in either order.
        if account.own == JULIET {
            for words in [&mut heard.desk, &mut expected.desk] {
                words.sort();
            }
        }
        if heard != expected {
            return Err(format!(
                "{} heard {heard:?},\n  expected {expected:?}",
                account.own
            ));
        }
        let found = account.at_rest(&mut world)?;
        let wanted = (said(after.item()), after.state.is_asked());
        if found != wanted {
            return Err(format!(
                "{} is left with {found:?}, expected {wanted:?}",
                account.own
            ));
        }
    }
    Ok(())
}

fn play_all(shards: u16) {
    let mut faults = Vec::new();
    let mut count = 0;
    for before in [Before::Strangers, Before::Listed] {
        for state in STATES {
            for kind in ["subscribe", "unsubscribe", "subscribed", "unsubscribed"] {
                count += 1;
                if let Err(fault) = play(shards, before, state, kind) {
                    faults.push(format!("{kind} in {state:?} ({before:?}): {fault}"));
                }
            }
        }
    }
    assert!(
        faults.is_empty(),
        "{} of {count}:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn every_row_of_every_table_holds_on_one_shard() {
    play_all(1);
}

#[test]
fn every_row_of_every_table_holds_across_three_shards() {
    play_all(3);
}
