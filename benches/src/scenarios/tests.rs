use super::*;

#[test]
fn a_recorded_sign_in_succeeds_on_every_new_server() {
    let scenario = SignIn::new();
    let first = scenario.run(&mut scenario.server());
    assert!(first > 1000);
    assert_eq!(scenario.run(&mut scenario.server()), first);
}

#[test]
fn messages_arrive_on_the_same_shard_and_on_another() {
    for mut route in [Route::same_shard(3), Route::cross_shard(3)] {
        let first = route.run();
        assert!(first > 3 * CHAT_BYTES);
        assert_eq!(route.run(), first);
    }
}

#[test]
fn a_change_of_presence_reaches_every_contact_again_and_again() {
    let mut broadcast = Broadcast::new();
    let first = broadcast.run();
    assert_eq!(broadcast.run(), first);
}

/// Those who are not on line are asked nothing, and nobody loads them.
#[test]
fn a_sign_in_with_50_contacts_loads_one_account() {
    let mut arrive = Arrive::new();
    for _ in 0..3 {
        let before = arrive.loads();
        arrive.run();
        assert_eq!(arrive.loads() - before, 1);
    }
}

#[test]
fn a_chat_message_has_its_length() {
    assert_eq!(chat_message("juliet@localhost/load").len(), CHAT_BYTES);
    let numbered = numbered_message("juliet@localhost", 4711);
    assert_eq!(numbered.len(), CHAT_BYTES);
    assert_eq!(number_of(&numbered), Some(4711));
    assert!(Scan::roster().size() > 20_000);
}
