//! Subscriptions of those who are blocked.

use std::time::Duration;

use spondee_core::limits::ACCOUNT_IDLE;

use super::stage::{Outcome, world};
use super::{
    JULIET, NOTHING, NURSE, ROMEO, TYBALT, arrive, ask, friends, heard, hush, set, subscribe,
};

/// A request that waits is one that its sender has sent before it was blocked.
#[test]
fn a_waiting_request_of_who_is_blocked_is_forgotten_and_a_later_one_ignored() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        let mut tybalt = arrive(&mut world, TYBALT, "square")?;
        let mut nurse = arrive(&mut world, NURSE, "house")?;
        for talk in [&mut tybalt, &mut nurse] {
            talk.send(
                &mut world,
                "<presence type='subscribe' to='juliet@localhost'/>",
            );
        }
        let asks = |told: &[String]| -> Vec<String> {
            let asks = told.iter().filter(|word| word.ends_with(" subscribe"));
            asks.cloned().collect()
        };
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        let told = heard(&mut world, &mut juliet)?;
        let both = ["nurse@localhost subscribe", "tybalt@other.test subscribe"];
        assert_eq!(asks(&told), both);
        ask(&mut world, &mut juliet, &set("block", &["other.test"]))?;
        tybalt.send(
            &mut world,
            "<presence type='subscribe' to='juliet@localhost'/>",
        );
        hush(&mut world, &mut [&mut tybalt])?;
        for request in ["", &set("unblock", &["other.test"])] {
            if !request.is_empty() {
                ask(&mut world, &mut juliet, request)?;
            }
            world.hang_up(juliet.peer());
            world.advance(ACCOUNT_IDLE + Duration::from_secs(1));
            juliet = arrive(&mut world, JULIET, "balcony")?;
            let told = heard(&mut world, &mut juliet)?;
            assert_eq!(asks(&told), both[..1]);
        }
        assert_eq!(heard(&mut world, &mut tybalt)?, NOTHING);
        // It may ask again.
        tybalt.send(
            &mut world,
            "<presence type='subscribe' to='juliet@localhost'/>",
        );
        assert_eq!(asks(&heard(&mut world, &mut juliet)?), both[1..]);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// Both sides of a subscription agree, whoever blocks whom.
#[test]
fn what_who_is_blocked_ends_is_ended_here_too_without_a_word() -> Outcome {
    for shards in [1, 3] {
        for (kind, left) in [("unsubscribe", "to"), ("unsubscribed", "from")] {
            let mut world = friends(shards, &[(JULIET, ROMEO)]);
            let mut juliet = arrive(&mut world, JULIET, "balcony")?;
            let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
            ask(&mut world, &mut juliet, &set("block", &[ROMEO]))?;
            hush(&mut world, &mut [&mut romeo, &mut juliet])?;
            let presence = format!("<presence type='{kind}' to='juliet@localhost'/>");
            let told = ask(&mut world, &mut romeo, &presence)?;
            let other = if left == "to" { "from" } else { "to" };
            assert_eq!(
                told.iter()
                    .filter(|word| !word.ends_with("unavailable"))
                    .collect::<Vec<_>>(),
                [&format!("query juliet@localhost {other}")],
                "{kind}"
            );
            assert_eq!(
                heard(&mut world, &mut juliet)?,
                [format!("query romeo@localhost {left}")],
                "{kind}"
            );
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}

#[test]
fn a_blocked_contact_that_is_removed_hears_of_that_and_of_no_presence() -> Outcome {
    for shards in [1, 3] {
        let mut world = friends(shards, &[(JULIET, ROMEO)]);
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        ask(&mut world, &mut juliet, &set("block", &[ROMEO]))?;
        hush(&mut world, &mut [&mut romeo, &mut juliet])?;
        let item = "<item jid='romeo@localhost' subscription='remove'/>";
        let remove =
            format!("<iq id='1' type='set'><query xmlns='jabber:iq:roster'>{item}</query></iq>");
        let told = ask(&mut world, &mut juliet, &remove)?;
        assert_eq!(told, ["result", "query romeo@localhost remove"]);
        let told = heard(&mut world, &mut romeo)?;
        assert!(
            told.iter().all(|word| !word.ends_with("unavailable")),
            "{told:?}"
        );
        assert_eq!(
            told.last().map(String::as_str),
            Some("query juliet@localhost none")
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// Who was granted a subscription and has not heard of it, as when the answer crossed a second request, is told so: it would ask for ever.
#[test]
fn a_subscriber_that_is_blocked_and_asks_again_hears_that_it_is_one_and_sees_nothing() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        subscribe(&mut world, JULIET, ROMEO, "from");
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        ask(&mut world, &mut juliet, &set("block", &[ROMEO]))?;
        hush(&mut world, &mut [&mut romeo, &mut juliet])?;
        let request = "<presence type='subscribe' to='juliet@localhost'/>";
        let told = ask(&mut world, &mut romeo, request)?;
        let answer = ["juliet@localhost subscribed", "query juliet@localhost to"];
        assert_eq!(told.get(1..), Some(&answer.map(str::to_owned)[..]));
        // Nor when it is one for sure.
        assert_eq!(ask(&mut world, &mut romeo, request)?, NOTHING);
        assert_eq!(heard(&mut world, &mut juliet)?, NOTHING);
        ask(&mut world, &mut juliet, &set("unblock", &[ROMEO]))?;
        let shown = ["juliet@localhost/balcony available"];
        assert_eq!(heard(&mut world, &mut romeo)?, shown);
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}
