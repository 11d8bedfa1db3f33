//! Guests: accounts of which nothing is kept.

use alloc::borrow::ToOwned as _;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::stage::{HEADER, Stage, chat, config};
use crate::archive::Policy;
use crate::jid::BareJid;
use crate::limits::ACCOUNT_IDLE;
use crate::port::{Command, CommandError, CommandReply, Opening, Standing};
use crate::sasl::Tombstones;
use crate::secret::Secret;
use crate::store::Class;
use crate::testing::{Peer, StorePace, World};

/// A host of guests on so many shards, and a store that would never answer.
fn stage(shards: u16) -> Stage {
    let mut config = config(Policy::Always, shards);
    for host in config.accounts_mut() {
        *host = host.clone().of_guests();
    }
    let mut stage = Stage {
        world: World::new(config),
    };
    stage.world.store_pace = StorePace::Slow;
    stage
}

/// Somebody comes in. Gives back who that is now.
fn guest(stage: &mut Stage) -> (Peer, String) {
    let peer = stage.world.connect(Opening::Tls);
    stage.world.secure(peer);
    let auth = "<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='ANONYMOUS'/>";
    for words in [HEADER, auth, HEADER] {
        stage.write(peer, words);
        stage.world.run();
    }
    stage.world.take_received(peer);
    let bound = stage.bind(peer, "r");
    let (_, jid) = bound.split_once("<jid>").unwrap();
    let (jid, _) = jid.split_once("/r</jid>").unwrap();
    stage.write(peer, "<presence/>");
    stage.world.run();
    stage.heard(peer);
    (peer, jid.to_owned())
}

#[test]
fn the_store_is_never_asked_about_guests() {
    for shards in 1..4 {
        let mut stage = stage(shards);
        let (romeo, _) = guest(&mut stage);
        let (juliet, address) = guest(&mut stage);
        stage.write(romeo, &chat(&address, "x"));
        stage.world.run();
        assert!(stage.heard(juliet).contains("<body>x</body>"));
        stage.world.hang_up(juliet);
        stage.world.run();
        stage.write(romeo, &chat(&address, "y"));
        stage.world.run();
        assert!(stage.heard(romeo).contains("service-unavailable"));
        assert!(stage.world.commits().is_empty());
        stage.world.hang_up(romeo);
        stage.world.run();
        assert!(
            stage
                .world
                .residue()
                .iter()
                .flatten()
                .all(|left| *left == 0)
        );
        stage.no_bugs();
    }
}

/// XEP-0175 §3.
#[test]
fn a_guest_does_not_begin_to_talk_to_other_servers() {
    let mut stage = stage(1);
    let (peer, _) = guest(&mut stage);
    for words in [
        chat("juliet@b.example", "x"),
        "<presence to='juliet@b.example/x'/>".to_owned(),
        "<iq type='get' id='q' to='b.example'><q xmlns='x'/></iq>".to_owned(),
    ] {
        stage.write(peer, &words);
        stage.world.run();
        let heard = stage.heard(peer);
        assert!(heard.contains("<not-allowed "), "{words}: {heard}");
    }
    // Who is asked may answer.
    stage.write(peer, "<iq type='result' id='q' to='b.example'/>");
    stage.world.run();
    assert_eq!(stage.heard(peer), "");
    stage.no_bugs();
}

#[test]
fn a_guest_leaves_where_places_are_short_as_a_stranger_does() {
    let mut stage = stage(1);
    let (peer, _) = guest(&mut stage);
    assert_eq!(stage.world.standing(peer), Standing::Stranger);
    stage.world.evict(peer);
    stage.world.run();
    assert!(stage.heard(peer).contains("<resource-constraint"));
    assert!(stage.world.ended(peer).is_some());
    assert!(
        stage
            .world
            .residue()
            .iter()
            .flatten()
            .all(|left| *left == 0)
    );
    stage.no_bugs();
}

#[test]
fn an_administrator_can_end_a_guests_sessions_and_nothing_else() {
    let mut stage = stage(2);
    let (peer, address) = guest(&mut stage);
    let account = BareJid::parse(&address).unwrap();
    let password = || Secret::new(b"secret".to_vec());
    let refused: Vec<Command> = vec![
        Command::Add {
            account: account.clone(),
            password: password(),
            tombstones: Tombstones::Heed,
        },
        Command::Passwd {
            account: account.clone(),
            password: password(),
        },
        Command::Delete {
            account: account.clone(),
        },
        Command::Disable {
            account: account.clone(),
        },
        Command::Show {
            account: account.clone(),
        },
        Command::Upgrade {
            account: account.clone(),
        },
    ];
    for command in refused {
        let result = stage.world.command(command);
        assert_eq!(result, Err(CommandError::Guests));
    }
    let disconnect = Command::Disconnect {
        account,
        resource: None,
    };
    let ended = stage.world.command(disconnect.clone());
    assert_eq!(ended, Ok(CommandReply::Disconnected { sessions: 1 }));
    assert!(stage.heard(peer).contains("<policy-violation"));
    stage.world.hang_up(peer);
    stage.world.run();
    let ended = stage.world.command(disconnect);
    assert_eq!(ended, Err(CommandError::NoSuchUser));
    stage.no_bugs();
}

/// Whose host goes away is a guest to the end.
#[test]
fn nothing_is_kept_of_guests_whose_host_is_gone() {
    let mut stage = stage(2);
    let guests = [guest(&mut stage), guest(&mut stage)];
    let mut without = stage.world.config().clone();
    without.hosts.clear();
    stage.world.reload(without);
    for (peer, _) in guests {
        assert!(stage.heard(peer).contains("<host-gone"));
        stage.world.hang_up(peer);
    }
    stage.world.advance(ACCOUNT_IDLE);
    assert_eq!(stage.world.asked(Class::Append), 0);
    let residue = stage.world.residue();
    assert!(residue.iter().flatten().all(|left| *left == 0));
    stage.no_bugs();
}
