//! How much of them there may be, how fast, and for how long.

use core::time::Duration;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_server_has_its_own_time_for_its_closing_tag() {
    let mut config = open_config(1);
    config.federation.close_timeout = 20 * SECOND;
    config.limits.close = SECOND;
    let mut stage = stage_of(config);
    let peer = stage.proven();
    stage.server_says(peer, "<message from='b.example' to='localhost'/>");
    stage.world.advance(19 * SECOND);
    stage.world.run();
    assert_eq!(stage.world.ended(peer), None);
    stage.world.advance(SECOND);
    stage.world.run();
    assert_eq!(stage.world.ended(peer), Some(Ended::Closed));
}
