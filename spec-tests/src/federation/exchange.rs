//! What two accounts of two servers say to each other, and how each of it ends.

use std::time::{Duration, Instant};

use super::peer::Peer;
use crate::client::{Client, PATIENCE};
use crate::element::{CLIENT, Element};

/// How something that was sent ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum End {
    /// The other one got it, and what it answers came back.
    Arrived,
    /// The sender got an error of this condition.
    Bounced(String),
    /// Neither, for as long as was waited.
    Nothing,
}

/// What came of everything that one says to the other.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Outcome {
    /// A message to the full address.
    pub message: End,
    /// A request to the full address, and its result.
    pub request: End,
    /// A request for the other's presence, granted.
    pub subscription: End,
    /// That presence, seen.
    pub presence: End,
}

impl Outcome {
    /// Everything came.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let ends = [&self.message, &self.request, &self.subscription];
        ends.into_iter()
            .chain([&self.presence])
            .all(|end| *end == End::Arrived)
    }

    /// Nothing came, and what has an answer was answered by this error.
    #[must_use]
    pub fn is_refused(&self, condition: &str) -> bool {
        let bounced = End::Bounced(condition.to_owned());
        let silent = |end: &End| *end == End::Nothing || *end == bounced;
        self.message == bounced
            && self.request == bounced
            && silent(&self.subscription)
            && self.presence == End::Nothing
    }

    /// Nothing came, whatever was said of it.
    #[must_use]
    pub fn is_in_vain(&self) -> bool {
        let ends = [&self.message, &self.request, &self.subscription];
        ends.into_iter()
            .chain([&self.presence])
            .all(|end| *end != End::Arrived)
    }
}

/// How long is waited for what nobody expects any more.
const LITTLE: Duration = Duration::from_secs(2);
/// How long one of the two is listened to before it is the other one's turn.
const TURN: Duration = Duration::from_millis(20);

/// One that takes part.
struct Side {
    client: Client,
    full: String,
    bare: String,
}

impl Side {
    fn new(peer: &Peer, account: &str) -> Result<Self, String> {
        let (mut client, full) = peer.sign_in(account)?;
        // Who has not asked for the roster is not told of subscriptions (RFC 6121 §2.2).
        client
            .send("<iq type='get' id='roster'><query xmlns='jabber:iq:roster'/></iq><presence/>")?;
        client.next_where(PATIENCE, |element| {
            element.attribute("id") == Some("roster")
        })?;
        let bare = full.split('/').next().unwrap_or_default().to_owned();
        Ok(Self { client, full, bare })
    }
}

/// Account `one` of the first server speaks, then account `other` of the second; both have to be there, and not to know each other.
///
/// # Errors
/// A client of one lost its stream, or could not sign in.
pub fn converse(
    first: &Peer,
    one: &str,
    second: &Peer,
    other: &str,
) -> Result<[Outcome; 2], String> {
    let mut there = Side::new(first, one)?;
    let mut back = Side::new(second, other)?;
    let forth = say_all(&mut there, &mut back, "forth")?;
    let return_ = say_all(&mut back, &mut there, "back")?;
    Ok([forth, return_])
}

/// Where something came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum At {
    Receiver,
    Sender,
}

fn say_all(from: &mut Side, to: &mut Side, mark: &str) -> Result<Outcome, String> {
    let message = message(from, to, mark)?;
    let request = request(from, to, mark)?;
    let patience = match message == End::Arrived {
        true => PATIENCE,
        false => LITTLE,
    };
    let subscription = subscription(from, to, mark, patience)?;
    let presence = match subscription {
        End::Arrived => presence(from, to)?,
        End::Bounced(_) | End::Nothing => End::Nothing,
    };
    Ok(Outcome {
        message,
        request,
        subscription,
        presence,
    })
}

fn message(from: &mut Side, to: &mut Side, mark: &str) -> Result<End, String> {
    let id = format!("message-{mark}");
    from.client.send(&format!(
        "<message to='{}' type='chat' id='{id}'><body>{id}</body></message>",
        to.full
    ))?;
    ends(from, to, PATIENCE, |_, came, at| {
        let body = came.child(CLIENT, "body").map(Element::text);
        match at {
            At::Receiver => Ok((body.as_deref() == Some(&*id)).then_some(End::Arrived)),
            At::Sender => Ok(bounce(came, &id)),
        }
    })
}

fn request(from: &mut Side, to: &mut Side, mark: &str) -> Result<End, String> {
    let id = format!("request-{mark}");
    from.client.send(&format!(
        "<iq to='{}' type='get' id='{id}'><ping xmlns='urn:xmpp:ping'/></iq>",
        to.full
    ))?;
    ends(from, to, PATIENCE, |to, came, at| {
        let is_it = came.attribute("id") == Some(&*id);
        match (at, came.attribute("type")) {
            (At::Receiver, Some("get")) if is_it => {
                let back = came.attribute("from").unwrap_or_default();
                let answer = format!("<iq to='{back}' type='result' id='{id}'/>");
                to.client.send(&answer).map(|()| None)
            }
            (At::Receiver, _) => Ok(None),
            (At::Sender, Some("result")) if is_it => Ok(Some(End::Arrived)),
            (At::Sender, _) => Ok(bounce(came, &id)),
        }
    })
}

fn subscription(
    from: &mut Side,
    to: &mut Side,
    mark: &str,
    patience: Duration,
) -> Result<End, String> {
    let id = format!("subscribe-{mark}");
    from.client.send(&format!(
        "<presence to='{}' type='subscribe' id='{id}'/>",
        to.bare
    ))?;
    let (asking, asked) = (from.bare.clone(), to.bare.clone());
    ends(from, to, patience, |to, came, at| {
        if !came.is(CLIENT, "presence") {
            return Ok(None);
        }
        let sender = came.attribute("from").unwrap_or_default();
        match (at, came.attribute("type")) {
            (At::Receiver, Some("subscribe")) if sender == asking => {
                let answer = format!("<presence to='{asking}' type='subscribed'/>");
                to.client.send(&answer).map(|()| None)
            }
            (At::Receiver, _) => Ok(None),
            (At::Sender, Some("subscribed")) if sender == asked => Ok(Some(End::Arrived)),
            (At::Sender, _) => Ok(bounce(came, &id)),
        }
    })
}

/// It follows the grant, from each device of who granted it (RFC 6121 §3.1.5).
fn presence(from: &mut Side, to: &mut Side) -> Result<End, String> {
    let seen = to.full.clone();
    ends(from, to, PATIENCE, |_, came, at| {
        let is_it = at == At::Sender
            && came.is(CLIENT, "presence")
            && came.attribute("type").is_none()
            && came.attribute("from") == Some(&*seen);
        Ok(is_it.then_some(End::Arrived))
    })
}

/// Listens to both in turns until `judge`, which is told what came and where, says how it ended.
fn ends(
    from: &mut Side,
    to: &mut Side,
    patience: Duration,
    mut judge: impl FnMut(&mut Side, &Element, At) -> Result<Option<End>, String>,
) -> Result<End, String> {
    let deadline = Instant::now() + patience;
    while Instant::now() < deadline {
        if let Some(came) = to.client.poll(TURN)?
            && let Some(end) = judge(to, &came, At::Receiver)?
        {
            return Ok(end);
        }
        if let Some(came) = from.client.poll(TURN)?
            && let Some(end) = judge(to, &came, At::Sender)?
        {
            return Ok(end);
        }
    }
    Ok(End::Nothing)
}

/// An error that came back to the sender.
fn bounce(element: &Element, id: &str) -> Option<End> {
    let is_it = element.attribute("id") == Some(id) && element.attribute("type") == Some("error");
    let error = element.child(CLIENT, "error").filter(|_| is_it)?;
    let condition = error.condition().unwrap_or("no condition");
    Some(End::Bounced(condition.to_owned()))
}
