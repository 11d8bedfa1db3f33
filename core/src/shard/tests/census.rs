//! What is offered depends on what the accounts of a host have.

use alloc::borrow::ToOwned;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use super::Shard;
use super::stage::{HEADER, Stage, config};
use crate::archive::Policy;
use crate::entropy::Entropy;
use crate::envelope::{Body, Envelope, Place};
use crate::jid::{BareJid, Domain};
use crate::limits::{CENSUS_AGAIN, CENSUS_EVERY};
use crate::port::{
    Command, CommandReply, ImportStep, Imported, ImportedProof, Input, Note, Opening,
};
use crate::sasl::{Credentials, Dates, DeriveParams, Hash, Hashes, Provider, Status, Tombstones};
use crate::secret::Secret;
use crate::store::{Reply, StoreError};
use crate::testing::{Fate, Mesh};

const ALL: [&str; 3] = ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"];

/// The mechanisms without binding that a shard offers, but for PLAIN.
fn offered(stage: &mut Stage, shard: usize) -> Vec<String> {
    let peer = stage.world.connect_to(shard, Opening::Tls);
    stage.world.secure(peer);
    stage.write(peer, HEADER);
    stage.world.run();
    let heard = stage.heard(peer);
    stage.world.hang_up(peer);
    stage.world.run();
    let parts = heard.split("<mechanism>").skip(1);
    let names = parts.filter_map(|part| part.split('<').next());
    let scram = names.filter(|name| name.starts_with("SCRAM") && !name.ends_with("-PLUS"));
    scram.map(ToOwned::to_owned).collect()
}

fn keys(of: &[Hash]) -> Credentials {
    let jobs = DeriveParams::for_new_password(1, &mut Entropy::new([1; 32]));
    let jobs = jobs.iter().filter(|job| of.contains(&job.hash));
    let password = Secret::new(b"secret".to_vec());
    Credentials::hashed(
        Status::Enabled,
        jobs.map(|job| job.derive(&password)).collect(),
    )
}

fn jid(account: &str) -> BareJid {
    BareJid::parse(account).unwrap()
}

/// An account comes from elsewhere with what it could sign in by there.
fn import(stage: &mut Stage, account: &str, of: &[Hash]) {
    let imported = Imported {
        status: Status::Enabled,
        proof: ImportedProof::Keys(keys(of).keys().to_vec()),
        created: None,
        updated: None,
    };
    for step in [
        ImportStep::Begin(7, Tombstones::Heed),
        ImportStep::End(7, imported),
    ] {
        let command = Command::Import {
            account: jid(account),
            step: step.into(),
        };
        assert_eq!(stage.world.command(command), Ok(CommandReply::Done));
    }
}

fn missing(stage: &Stage) -> Vec<[u64; 3]> {
    let notes = stage.world.notes.iter();
    notes
        .filter_map(|note| {
            let Note::KeysMissing { tally, .. } = note else {
                return None;
            };
            Some(tally.lacking)
        })
        .collect()
}

#[test]
fn what_an_account_lacks_is_offered_by_no_shard_from_when_it_is_there() {
    for shards in 1..4 {
        let mut stage = Stage::new(Policy::Never, shards);
        stage.world.run();
        for shard in 0..usize::from(shards) {
            assert_eq!(offered(&mut stage, shard), ALL);
        }
        import(&mut stage, "juliet@localhost", &[Hash::Sha1, Hash::Sha512]);
        for shard in 0..usize::from(shards) {
            assert_eq!(offered(&mut stage, shard), ["SCRAM-SHA-512", "SCRAM-SHA-1"]);
        }
        import(&mut stage, "romeo@localhost", &[Hash::Sha1]);
        for shard in 0..usize::from(shards) {
            assert_eq!(offered(&mut stage, shard), ["SCRAM-SHA-1"]);
        }
        // Each signs in by what is left, and by nothing else.
        stage.session("nurse@localhost", "r", super::stage::Counts::No);
        stage.no_bugs();
    }
}

#[test]
fn what_was_kept_before_the_start_counts_and_what_all_have_is_offered_again() {
    let mut stage = Stage::new(Policy::Never, 3);
    for (account, of) in [
        ("juliet@localhost", &[Hash::Sha1][..]),
        ("romeo@localhost", &Hash::ALL),
    ] {
        let row = keys(of).to_row(Dates::default());
        stage.world.keep_account(jid(account), row);
    }
    stage.world.run();
    for shard in 0..3 {
        assert_eq!(offered(&mut stage, shard), ["SCRAM-SHA-1"]);
    }
    assert_eq!(missing(&stage), [[0, 1, 1]]);
    let command = Command::Passwd {
        account: jid("juliet@localhost"),
        password: Secret::new(b"another".to_vec()),
    };
    assert_eq!(stage.world.command(command), Ok(CommandReply::Done));
    assert_eq!(offered(&mut stage, 0), ["SCRAM-SHA-1"]);
    stage.world.advance(CENSUS_EVERY);
    for shard in 0..3 {
        assert_eq!(offered(&mut stage, shard), ALL);
    }
    assert_eq!(missing(&stage), [[0, 1, 1], [0, 0, 0]]);
    stage.no_bugs();
}

/// The store has counted, the account comes, its shard says so, and then comes the answer.
#[test]
fn what_is_told_while_the_store_counts_is_not_forgotten() {
    let now = super::at(Duration::ZERO);
    let mut shard = super::shard();
    shard.begin_census();
    shard.handle(now, Input::Tick);
    let lacking = |shard: &Shard| {
        let host = Domain::parse("localhost").unwrap();
        shard.census.tallies.of(&host).lacking
    };
    let told = |shard: &mut Shard| {
        let hashes = Hashes::lacked_by(&keys(&[Hash::Sha1]));
        let (from, to) = (Place { node: 0, shard: 1 }, shard.place);
        let body = Body::Lacking(Domain::parse("localhost").unwrap(), hashes);
        let envelope = Envelope { from, to, body };
        shard.handle(now, Input::Delivered(envelope));
    };
    let nobody = || Ok([0; 4].map(Reply::Count).into());
    told(&mut shard);
    super::answer(&mut shard, now, nobody());
    assert_eq!(lacking(&shard), [0, 1, 1]);
    // What was told before it was asked is counted, or is no more.
    let later = super::at(CENSUS_EVERY);
    shard.take_census(later);
    super::answer(&mut shard, later, nobody());
    assert_eq!(lacking(&shard), [0; 3]);
}

#[test]
fn a_store_that_cannot_count_is_asked_again_and_a_shard_that_could_not_be_told_is_told_again() {
    let mut stage = Stage::new(Policy::Never, 2);
    let row = keys(&[Hash::Sha256]).to_row(Dates::default());
    stage.world.keep_account(jid("juliet@localhost"), row);
    for _ in 0..2 {
        stage
            .world
            .fates
            .push_back(Fate::Failed(StoreError::Failed));
    }
    stage.world.run();
    assert_eq!(offered(&mut stage, 0), ALL);
    stage.world.advance(CENSUS_AGAIN);
    for shard in 0..2 {
        assert_eq!(offered(&mut stage, shard), ["SCRAM-SHA-256"]);
    }
    stage.world.mesh = Mesh::Full;
    let here = stage.world.owner("romeo@localhost");
    import(&mut stage, "romeo@localhost", &[Hash::Sha256, Hash::Sha512]);
    stage.world.mesh = Mesh::Free;
    stage.world.advance(CENSUS_AGAIN + Duration::from_secs(1));
    for shard in [here, 1 - here] {
        assert_eq!(offered(&mut stage, shard), ["SCRAM-SHA-256"]);
    }
    stage.no_bugs();
}

/// Whose password is still kept waits for a worker when it signs in by SCRAM.
#[test]
fn where_some_passwords_are_still_kept_all_wait_for_a_worker() {
    let mut config = config(Policy::Never, 1);
    let mut stage = Stage::new(Policy::Never, 1);
    let provide = |config: &mut crate::config::Config, provider| {
        for host in config.accounts_mut() {
            host.provider = provider;
        }
    };
    provide(&mut config, Provider::Plain);
    stage.world.reload(config.clone());
    stage.world.run();
    stage.world.add_user("juliet@localhost", "secret");
    provide(&mut config, Provider::Hashed);
    stage.world.reload(config);
    let kept = |stage: &mut Stage| {
        let host = Domain::parse("localhost").unwrap();
        stage.world.shard(0).census.tallies.of(&host).kept
    };
    assert_eq!(kept(&mut stage), 1, "until it is known better");
    stage.world.run();
    assert_eq!(kept(&mut stage), 1);
    let command = Command::Upgrade {
        account: jid("juliet@localhost"),
    };
    assert_eq!(stage.world.command(command), Ok(CommandReply::Done));
    stage.world.advance(CENSUS_EVERY);
    assert_eq!(kept(&mut stage), 0);
    stage.no_bugs();
}
