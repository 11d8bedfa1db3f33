//! The server is another one when a client comes back.

use spec_tests::proxy::{Cut, Trouble, Ways};

use crate::journey::{JULIET, Journey, Outcome, ROMEO, Setting, are, of, told};
use crate::partner::Partner;
use crate::traveller::Kind;

/// Each writes so many, twice.
const PART: usize = 100;

/// How a server ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum End {
    InOrder,
    Killed,
}

/// The server is another one when she comes back. What it had acknowledged is there, once; what it had not she sends again. What came
/// for her meanwhile she is sent, if the server ended in order; if it was killed, it is in her archive.
pub(crate) fn finds_the_server_begun_anew(kind: Kind, end: End) -> Outcome {
    Journey::with(kind, Setting::default(), |journey| {
        journey.talk(PART)?;
        journey.romeo.until(PART)?;
        journey.juliet.until("the first part", |journal| {
            journal.acked.len() == PART && journal.came.len() == PART
        })?;
        is_away(journey)?;
        match end {
            End::InOrder => journey.server.stop()?,
            End::Killed => journey.server.kill()?,
        }
        journey.server.start_again()?;
        journey.proxy.pass()?;
        returns(journey, kind, end)
    })
}

/// She is cut while she writes, and is not let in; he goes on, and what he wrote is on disk.
fn is_away(journey: &mut Journey) -> Outcome {
    journey.proxy.refuse()?;
    journey
        .proxy
        .trouble_after(5_000, Ways::Up, Trouble::Cut(Cut::Reset))?;
    journey.juliet.send(ROMEO.0, "lark", PART, PART)?;
    journey.proxy.wait_for_troubles(1)?;
    let there = journey.juliet.journal.bound[0].clone();
    journey.romeo.send(&there, "nightingale", PART, PART)?;
    let mut juliet = Partner::reader(&journey.server, JULIET)?;
    juliet.until_kept(3 * PART)?;
    // A stream of who does not read would hold up the server's end.
    juliet.leave()?;
    journey.romeo.leave()
}

fn returns(journey: &mut Journey, kind: Kind, end: End) -> Outcome {
    let juliet = &mut journey.juliet;
    juliet.until("a new session", |journal| journal.bound.len() == 2)?;
    juliet.until("acknowledgements", |journal| {
        journal.acked.len() == 2 * PART
    })?;
    let came = match end {
        End::InOrder => 2 * PART,
        End::Killed => PART,
    };
    juliet.until("what waited", |journal| journal.came.len() >= came)?;
    let [his, hers] = [ROMEO, JULIET].map(|who| {
        let mut reader = Partner::reader(&journey.server, who)?;
        reader.until_kept(4 * PART)?;
        reader.archive()
    });
    let (his, hers) = (his?, hers?);
    let journal = journey.juliet.leave()?;

    assert_eq!(journal.resumed, [""; 0]);
    // Smack does not tell.
    if kind != Kind::Smack {
        let [refused] = &journal.refused[..] else {
            return Err(format!("{:?}", journal.refused));
        };
        assert_eq!(refused.condition, "item-not-found");
        assert_eq!(refused.h.is_some(), end == End::InOrder, "{refused:?}");
    }
    let nightingales = told("nightingale", 2 * PART);
    are("what came to her", &journal.bodies(), &nightingales[..came])?;
    are("her archive", &of(&hers, ROMEO.0), &nightingales)?;
    are("his archive", &of(&his, ROMEO.0), &nightingales)?;
    let acknowledged = &journal.acked[..journal.acked_before];
    for archive in [of(&his, JULIET.0), of(&hers, JULIET.0)] {
        is_there(&archive, acknowledged, &told("lark", 2 * PART))?;
    }
    Ok(())
}

/// All is there, what was acknowledged once.
fn is_there(archive: &[String], acknowledged: &[String], all: &[String]) -> Outcome {
    let mut first: Vec<&String> = Vec::new();
    for body in archive {
        match first.contains(&body) {
            true if acknowledged.contains(body) => {
                return Err(format!("{body} was acknowledged and came again"));
            }
            true => {}
            false => first.push(body),
        }
    }
    are("what is there at least once", &first, all)
}
