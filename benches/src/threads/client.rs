//! What a client does, as part of its socket: it takes what is written to it and has ready what it says to that. So it runs on the thread
//! that serves it, and costs little: between messages it counts bytes and looks at none.

use std::cell::Cell;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use memchr::memmem;

use crate::scenarios::{HEADER, RESOURCE, auth, bind, content, response};
use crate::scram::{Account, Proven};

const NONCE: &str = "fyko+d2lbbFgONRv9qkxdawL";
const CLOSE: &[u8] = b"</stream:stream>";
/// Messages that one read can take.
const AHEAD: usize = 64;

thread_local! {
    /// What clients of this thread did and what that took.
    static TALLY: Cell<Tally> = const { Cell::new(Tally { done: 0, client_ns: 0, there: 0 }) };
    /// Whether those who are there talk.
    static TALK: Cell<Talk> = const { Cell::new(Talk::NotYet) };
}

/// The sums of a thread.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Messages that arrived, or sign-ins.
    pub(super) done: u64,
    /// Of the thread's time, what clients took to sign in.
    pub(super) client_ns: u64,
    /// Who is there and waits.
    pub(super) there: u64,
}

/// Whether clients that are signed in begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Talk {
    NotYet,
    Now,
}

impl Tally {
    /// Of this thread so far.
    pub(super) fn now() -> Self {
        TALLY.get()
    }

    fn add(more: Self) {
        let Self {
            done,
            client_ns,
            there,
        } = TALLY.get();
        TALLY.set(Self {
            done: done + more.done,
            client_ns: client_ns + more.client_ns,
            there: there + more.there,
        });
    }
}

/// From now on, on this thread.
pub(super) fn talk(talk: Talk) {
    TALK.set(talk);
}

/// What comes after the sign-in.
#[derive(Clone, Debug)]
pub(super) enum Errand {
    /// It goes.
    Leave,
    /// Messages, one for each that comes.
    Chat {
        message: Vec<u8>,
        /// How many it begins with.
        window: usize,
    },
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    account: Arc<Mutex<Account>>,
    state: State,
    errand: Errand,
    /// What the server wrote since it was last answered.
    heard: Vec<u8>,
    /// What it says, up to where that was read.
    said: Vec<u8>,
    read: usize,
    line: Line,
}

#[derive(Debug)]
enum State {
    Opening,
    Challenged,
    Proving(Proven),
    Reopening,
    Binding,
    /// Signed in, until all are.
    There,
    Chatting(Chat),
    Leaving,
}

#[derive(Debug)]
struct Chat {
    /// As often as a read can take it.
    messages: Vec<u8>,
    /// Bytes of one.
    size: usize,
    /// Bytes of one that comes, known from the first.
    coming: Option<usize>,
    /// Bytes of one of which not all has come.
    part: usize,
    /// Bytes to say.
    owed: usize,
}

/// Whether the client has ended.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Line {
    Open,
    Ended,
}

/// What a read finds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Found {
    Bytes(usize),
    End,
    Nothing,
}

impl Client {
    /// Has connected and said its first words.
    pub(super) fn new(account: Arc<Mutex<Account>>, errand: Errand) -> Self {
        Self {
            account,
            state: State::Opening,
            errand,
            heard: Vec::new(),
            said: HEADER.to_vec(),
            read: 0,
            line: Line::Open,
        }
    }

    /// Whether a read would find something.
    pub(super) fn has_said(&self) -> bool {
        let owed = matches!(&self.state, State::Chatting(chat) if chat.owed > 0);
        owed || self.read < self.said.len() || self.line == Line::Ended
    }

    /// What it says, as far as it fits.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Found {
        self.begin();
        if let State::Chatting(chat) = &mut self.state {
            return chat.read(into);
        }
        let left = self.said.get(self.read..).unwrap_or_default();
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        self.read += count;
        match (count, self.line) {
            (0, Line::Open) => Found::Nothing,
            (0, Line::Ended) => Found::End,
            (count, _) => Found::Bytes(count),
        }
    }

    /// Takes what the server says.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        self.begin();
        if let State::Chatting(chat) = &mut self.state {
            chat.hear(bytes);
            return;
        }
        let begun = Instant::now();
        self.heard.extend_from_slice(bytes);
        let mut tally = self.answer();
        tally.client_ns = u64::try_from(begun.elapsed().as_nanos()).unwrap_or(0);
        Tally::add(tally);
    }

    /// If it is there and all are.
    fn begin(&mut self) {
        if let (State::There, Talk::Now, Errand::Chat { message, window }) =
            (&self.state, TALK.get(), &self.errand)
        {
            self.state = State::Chatting(Chat::new(message, *window));
        }
    }

    fn answer(&mut self) -> Tally {
        let mut tally = Tally::default();
        let awaited = match self.state {
            State::Opening | State::Reopening => "</stream:features>",
            State::Challenged => "</challenge>",
            State::Proving(_) => "</success>",
            State::Binding => "</iq>",
            State::Leaving => "</stream:stream>",
            State::There | State::Chatting(_) => return tally,
        };
        if memmem::find(&self.heard, awaited.as_bytes()).is_none() {
            return tally;
        }
        let heard = String::from_utf8(std::mem::take(&mut self.heard)).expect("text");
        let account = Arc::clone(&self.account);
        let mut account = account.lock().unwrap_or_else(PoisonError::into_inner);
        let state = std::mem::replace(&mut self.state, State::There);
        self.state = match state {
            State::Opening => {
                self.say(auth("SCRAM-SHA-256", &account.first(NONCE)).as_bytes());
                State::Challenged
            }
            State::Challenged => {
                let challenge = content(&heard, "challenge").expect("a challenge");
                let (answer, proven) = account.answer(NONCE, challenge).expect("a proof");
                self.say(response(&answer).as_bytes());
                State::Proving(proven)
            }
            State::Proving(proven) => {
                let last = content(&heard, "success").expect("success");
                assert!(proven.holds(last), "{heard}");
                self.say(HEADER);
                State::Reopening
            }
            State::Reopening => {
                self.say(bind(RESOURCE).as_bytes());
                State::Binding
            }
            State::Binding => {
                assert!(heard.contains("</jid>"), "{heard}");
                self.bound(&mut tally)
            }
            State::Leaving => {
                self.line = Line::Ended;
                State::Leaving
            }
            state @ (State::There | State::Chatting(_)) => state,
        };
        tally
    }

    fn bound(&mut self, tally: &mut Tally) -> State {
        match &self.errand {
            Errand::Leave => {
                tally.done = 1;
                self.say(CLOSE);
                State::Leaving
            }
            Errand::Chat { .. } => {
                tally.there = 1;
                State::There
            }
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.said.clear();
        self.said.extend_from_slice(bytes);
        self.read = 0;
    }
}

impl Chat {
    fn new(message: &[u8], window: usize) -> Self {
        Self {
            messages: message.repeat(AHEAD),
            size: message.len(),
            coming: None,
            part: 0,
            owed: window * message.len(),
        }
    }

    fn read(&mut self, into: &mut [u8]) -> Found {
        // It begins where the last one ended: within a message, if that had no room.
        let from = (self.size - self.owed % self.size) % self.size;
        let there = self.messages.len() - from;
        let count = self.owed.min(into.len()).min(there);
        into[..count].copy_from_slice(&self.messages[from..from + count]);
        self.owed -= count;
        match count {
            0 => Found::Nothing,
            count => Found::Bytes(count),
        }
    }

    fn hear(&mut self, bytes: &[u8]) {
        let end = b"</message>";
        let first = || Some(memmem::find(bytes, end)? + end.len());
        let Some(size) = self.coming.or_else(first) else {
            panic!("no whole message in {:?}", String::from_utf8_lossy(bytes));
        };
        self.coming = Some(size);
        self.part += bytes.len();
        let came = self.part / size;
        self.part %= size;
        assert!(
            self.part > 0 || bytes.ends_with(end),
            "something else came between messages: {:?}",
            String::from_utf8_lossy(bytes)
        );
        self.owed += came * self.size;
        Tally::add(Tally {
            done: u64::try_from(came).unwrap_or(0),
            ..Tally::default()
        });
    }
}
