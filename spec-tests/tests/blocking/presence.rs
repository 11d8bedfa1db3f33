//! Who sees whom, at the block, during it, and when it ends.

use spec_tests::talk::Talk;

use super::stage::{Outcome, world};
use super::{
    JULIET, NOTHING, NURSE, ROMEO, TYBALT, arrive, ask, friends, heard, hush, set, subscribe, words,
};

/// XEP-0191 §3.3: "unavailable presence information to the JID", and no word of anything else; the subscription stays.
#[test]
fn a_contact_who_is_blocked_sees_every_resource_go_once() -> Outcome {
    for shards in [1, 3] {
        let mut world = friends(shards, &[(JULIET, ROMEO), (JULIET, NURSE)]);
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        let mut nurse = arrive(&mut world, NURSE, "house")?;
        let mut balcony = arrive(&mut world, JULIET, "balcony")?;
        let mut chamber = arrive(&mut world, JULIET, "chamber")?;
        // It has said nothing of itself.
        let mut garden = Talk::session(&mut world, JULIET, "garden")?;
        hush(
            &mut world,
            &mut [&mut romeo, &mut nurse, &mut balcony, &mut chamber],
        )?;
        let told = ask(&mut world, &mut garden, &set("block", &[ROMEO]))?;
        assert_eq!(told, ["result"]);
        assert_eq!(
            heard(&mut world, &mut romeo)?,
            [
                "juliet@localhost/balcony unavailable",
                "juliet@localhost/chamber unavailable"
            ]
        );
        assert_eq!(heard(&mut world, &mut nurse)?, NOTHING);
        for talk in [&mut balcony, &mut chamber] {
            assert_eq!(heard(&mut world, talk)?, ["block romeo@localhost"]);
        }
        // Again, in another way, and at the end: nothing.
        let again = set("block", &[ROMEO, "romeo@localhost/orchard", "a@b"]);
        assert_eq!(ask(&mut world, &mut garden, &again)?, ["result"]);
        for talk in [&balcony, &chamber, &garden] {
            world.hang_up(talk.peer());
        }
        world.run();
        assert_eq!(heard(&mut world, &mut romeo)?, NOTHING);
        let told = heard(&mut world, &mut nurse)?;
        assert_eq!(told.len(), 2, "{told:?}");
        // Nor does it see how they come back.
        let _balcony = arrive(&mut world, JULIET, "balcony")?;
        assert_eq!(heard(&mut world, &mut romeo)?, NOTHING);
        assert_eq!(
            heard(&mut world, &mut nurse)?,
            ["juliet@localhost/balcony available"]
        );
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// What the blocked one does is not shown to the blocker.
#[test]
fn nothing_is_heard_of_whom_one_has_blocked() -> Outcome {
    for shards in [1, 3] {
        let mut world = friends(shards, &[(JULIET, ROMEO)]);
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        ask(&mut world, &mut juliet, &set("block", &[ROMEO]))?;
        hush(&mut world, &mut [&mut juliet])?;
        for presence in [
            "<presence><show>away</show></presence>",
            "<presence type='unavailable'/>",
            "<presence/>",
            "<presence to='juliet@localhost/balcony'/>",
        ] {
            romeo.send(&mut world, presence);
        }
        world.hang_up(romeo.peer());
        world.run();
        let romeo = arrive(&mut world, ROMEO, "orchard")?;
        assert_eq!(heard(&mut world, &mut juliet)?, NOTHING);
        world.hang_up(juliet.peer());
        world.run();
        // Whoever comes back is not told of it either.
        let mut juliet = arrive(&mut world, JULIET, "balcony")?;
        let told = heard(&mut world, &mut juliet)?;
        assert!(
            !told.iter().any(|word| word.contains("orchard")),
            "{told:?}"
        );
        world.hang_up(romeo.peer());
        world.run();
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// XEP-0191 §3.4: "the user's current presence information to the JID"; and what one missed of it is asked for.
#[test]
fn who_is_unblocked_sees_and_is_seen_as_it_is_now() -> Outcome {
    for shards in [1, 3] {
        for unblock in [set("unblock", &[ROMEO]), set("unblock", &[])] {
            let mut world = friends(shards, &[(JULIET, ROMEO), (JULIET, NURSE)]);
            let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
            let mut nurse = arrive(&mut world, NURSE, "house")?;
            let mut balcony = arrive(&mut world, JULIET, "balcony")?;
            let mut chamber = arrive(&mut world, JULIET, "chamber")?;
            ask(&mut world, &mut balcony, &set("block", &[ROMEO]))?;
            romeo.send(&mut world, "<presence><show>away</show></presence>");
            balcony.send(&mut world, "<presence><show>dnd</show></presence>");
            world.hang_up(chamber.peer());
            world.run();
            chamber = Talk::session(&mut world, JULIET, "chamber")?;
            hush(
                &mut world,
                &mut [&mut romeo, &mut nurse, &mut balcony, &mut chamber],
            )?;
            balcony.send(&mut world, &unblock);
            let elements = balcony.rest(&mut world)?;
            let told: Vec<_> = elements.iter().map(words).collect();
            assert_eq!(told[0], "result");
            assert!(told[1].starts_with("unblock"), "{told:?}");
            assert_eq!(told[2..], ["romeo@localhost/orchard available"]);
            assert!(elements[2].to_string().contains("away"));
            let elements = romeo.rest(&mut world)?;
            let told: Vec<_> = elements.iter().map(words).collect();
            assert_eq!(told, ["juliet@localhost/balcony available"]);
            assert!(elements[0].to_string().contains("dnd"));
            assert_eq!(heard(&mut world, &mut nurse)?, NOTHING);
            assert_eq!(heard(&mut world, &mut chamber)?, NOTHING);
            // And from now on all is as before.
            romeo.send(
                &mut world,
                "<message to='juliet@localhost' type='chat'><body>O</body></message>",
            );
            assert_eq!(
                heard(&mut world, &mut balcony)?,
                ["romeo@localhost/orchard: O"]
            );
            world.hang_up(romeo.peer());
            world.run();
            assert_eq!(
                heard(&mut world, &mut balcony)?,
                ["romeo@localhost/orchard unavailable"]
            );
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}

/// Whoever unblocks while nobody is available shows nothing, and who is no contact is not shown to.
#[test]
fn only_who_may_see_it_is_shown_anything_when_it_is_unblocked() -> Outcome {
    for shards in [1, 3] {
        let mut world = world(shards, |_| {});
        subscribe(&mut world, JULIET, ROMEO, "to");
        subscribe(&mut world, ROMEO, JULIET, "from");
        subscribe(&mut world, JULIET, NURSE, "from");
        subscribe(&mut world, NURSE, JULIET, "to");
        let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
        let mut nurse = arrive(&mut world, NURSE, "house")?;
        let mut tybalt = arrive(&mut world, TYBALT, "square")?;
        let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
        let domains = ["localhost", "other.test"];
        for presence in ["", "<presence/>"] {
            if !presence.is_empty() {
                juliet.send(&mut world, presence);
            }
            ask(&mut world, &mut juliet, &set("block", &domains))?;
            hush(&mut world, &mut [&mut romeo, &mut nurse, &mut tybalt])?;
            let told = ask(&mut world, &mut juliet, &set("unblock", &domains))?;
            let (seen, sees): (&[&str], &[&str]) = match presence.is_empty() {
                true => (&[], &[]),
                false => (
                    &["romeo@localhost/orchard available"],
                    &["juliet@localhost/balcony available"],
                ),
            };
            assert_eq!(told[1..], *seen);
            assert_eq!(heard(&mut world, &mut nurse)?, sees);
            assert_eq!(heard(&mut world, &mut romeo)?, NOTHING);
            assert_eq!(heard(&mut world, &mut tybalt)?, NOTHING);
        }
        assert_eq!(world.is_sound(), Ok(()));
    }
    Ok(())
}

/// RFC 6121 §4.6.3 has it told of the end. It was.
#[test]
fn who_got_directed_presence_and_stays_blocked_hears_nothing_of_the_end() -> Outcome {
    for shards in [1, 3] {
        for end in ["<presence type='unavailable'/>", "</stream:stream>"] {
            let mut world = friends(shards, &[(JULIET, ROMEO)]);
            let mut nurse = arrive(&mut world, NURSE, "house")?;
            let mut romeo = arrive(&mut world, ROMEO, "orchard")?;
            let mut juliet = arrive(&mut world, JULIET, "balcony")?;
            for to in [NURSE, "nurse@localhost/house", "romeo@localhost/orchard"] {
                juliet.send(&mut world, &format!("<presence to='{to}'/>"));
            }
            hush(&mut world, &mut [&mut nurse, &mut romeo])?;
            ask(&mut world, &mut juliet, &set("block", &[NURSE, ROMEO]))?;
            let gone = "juliet@localhost/balcony unavailable";
            // Each address that it was sent to is told.
            assert_eq!(heard(&mut world, &mut nurse)?, [gone, gone]);
            assert_eq!(heard(&mut world, &mut romeo)?, [gone]);
            world.write(juliet.peer(), end.as_bytes());
            world.hang_up(juliet.peer());
            world.run();
            for talk in [&mut nurse, &mut romeo] {
                assert_eq!(heard(&mut world, talk)?, NOTHING, "{end}");
            }
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}

/// RFC 6121 §4.6: somebody who is no contact may see one's presence, too.
#[test]
fn who_got_directed_presence_sees_its_end_at_the_block_and_not_later() -> Outcome {
    for shards in [1, 3] {
        for (to, blocked) in [
            (NURSE, NURSE),
            ("nurse@localhost/house", NURSE),
            ("nurse@localhost/house", "nurse@localhost/house"),
            (NURSE, "nurse@localhost/house"),
            (NURSE, "localhost"),
        ] {
            let mut world = world(shards, |_| {});
            let mut nurse = arrive(&mut world, NURSE, "house")?;
            let mut juliet = Talk::session(&mut world, JULIET, "balcony")?;
            let mut other = Talk::session(&mut world, JULIET, "chamber")?;
            juliet.send(&mut world, &format!("<presence to='{to}'/>"));
            hush(&mut world, &mut [&mut nurse])?;
            ask(&mut world, &mut other, &set("block", &[blocked]))?;
            let gone = ["juliet@localhost/balcony unavailable"];
            assert_eq!(heard(&mut world, &mut nurse)?, gone, "{to} {blocked}");
            // Unblocked it is not told again (XEP-0191 §3.4): it is no subscriber.
            ask(&mut world, &mut other, &set("unblock", &[]))?;
            assert_eq!(heard(&mut world, &mut nurse)?, NOTHING);
            if to == blocked || blocked == NURSE || blocked == "localhost" {
                world.hang_up(juliet.peer());
                world.run();
                assert_eq!(heard(&mut world, &mut nurse)?, NOTHING, "{to} {blocked}");
            }
            assert_eq!(world.is_sound(), Ok(()));
        }
    }
    Ok(())
}
