//! Servers of different makes talk to each other: Prosody and ejabberd, which proves the harness, and ours with each.
//!
//! They need Prosody with lua-unbound, ejabberd and unbound, so they run as the tests of interop.rs do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use spec_tests::federation::World;
use spec_tests::federation::authority::Paper;
use spec_tests::federation::plan::{Encryption, Family, Plan, Program, Proof, Ways};
use spec_tests::program::left_out;

fn prosody() -> Plan {
    Plan::new(Program::Prosody, "prosody.example")
}

fn ejabberd() -> Plan {
    Plan::new(Program::Ejabberd, "ejabberd.example")
}

#[test]
fn prosody_and_ejabberd_prove_themselves_by_certificates() {
    if left_out("Prosody, ejabberd") {
        return;
    }
    let world = World::begin([prosody(), ejabberd()]).unwrap();
    let [forth, back] = world.converse().unwrap();
    if let Ok(dir) = std::env::var("KEEP_LOGS") {
        for peer in &world.peers {
            std::fs::write(format!("{dir}/{}", peer.domain()), peer.log()).unwrap();
        }
    }
    assert!(forth.is_well() && back.is_well(), "{forth:?} {back:?}");
}
