//! Whatever is sent, and whatever names and passwords there are.

use proptest::prelude::*;

use super::*;

/// Messages that are nearly right.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let attribute = prop_oneof![
        Just("n".to_string()),
        Just("y".to_string()),
        Just("p=tls-exporter".to_string()),
        Just(String::new()),
        Just("c=biws".to_string()),
        Just("n=juliet".to_string()),
        Just("\0".to_string()),
        "[anmrcsipvex]=[ -~]{0,8}",
        "[anrcp]=\\PC{0,4}",
    ];
    prop_oneof![
        proptest::collection::vec(attribute, 0..7)
            .prop_map(|attributes| attributes.join(",").into_bytes()),
        "(n|y|p=tls-exporter),(a=\\PC{0,3})?,n=(juliet|\\PC{1,3}),r=[!-~]{1,9}(,x=y)?"
            .prop_map(String::into_bytes),
        "\\PC{0,3}\0\\PC{1,3}\0\\PC{1,3}".prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..40),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_message_panics_and_none_signs_in_by_chance(
        mechanism in proptest::sample::select(by_password().collect::<Vec<_>>()),
        first in messages(),
        second in messages(),
    ) {
        let mut server = Server::new();
        let mut step = server.begin(mechanism, Some(&first));
        if let Step::Challenge(_, exchange) = step {
            step = server.respond(exchange, &second);
        }
        prop_assert!(matches!(step, Step::Failure(_)), "{step:?}");
    }

    #[test]
    fn no_record_panics(record in proptest::collection::vec(any::<u8>(), 0..64)) {
        // A password may be anything; keys are of a length.
        let is_plain = record.first().is_some_and(|first| first & !1 == 2) && record.len() > 1;
        let read = Credentials::from_record(&record).map(|credentials| credentials.verifier);
        prop_assert_eq!(matches!(&read, Some(Verifier::Password(_))), is_plain);
        prop_assert_eq!(read.is_some(), is_plain);
    }
}

/// Names and passwords of one script each, so that most of them pass the rules for mixed directions, and whatever else there is.
fn texts() -> impl Strategy<Value = String> {
    prop_oneof![
        "[!-~]{1,9}",
        "[a-zA-Z0-9,=._-]{1,9}",
        "[a-z\u{c0}-\u{24f}\u{300}-\u{304}]{1,6}",
        "[\u{391}-\u{3a1}\u{3a3}-\u{3c9}\u{1f00}-\u{1f15}]{1,6}",
        "[\u{400}-\u{45f}]{1,6}",
        "[\u{5d0}-\u{5ea}]{1,6}",
        "[\u{621}-\u{63a}]{1,6}",
        "[\u{3041}-\u{3094}\u{30a1}-\u{30fa}\u{4e00}-\u{9fa5}]{1,6}",
        "[\u{ac00}-\u{d7a3}\u{1100}-\u{1112}]{1,6}",
        "[\u{ff01}-\u{ff5e}\u{ff71}-\u{ff9d}]{1,6}",
        "[ \u{a0}-\u{bf}\u{2160}-\u{216b}a-z]{1,6}",
        "\\PC{1,4}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { max_global_rejects: 8192, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn whoever_set_a_password_signs_in_by_every_mechanism(name in texts(), password in texts()) {
        let mut server = Server::new();
        let account = identity::account(&name, &server.host);
        prop_assume!(account.is_ok() && prepare_password(&password).is_ok());
        server.set_password(&name, &password);
        // A client prepares its name (RFC 5802 §5.1), or does not.
        let prepared = stringprep::saslprep(&name).map_or_else(|_| name.clone(), Into::into);
        for name in [name, prepared] {
            for attempt in attempts(&name, &password) {
                let verified = server.scram(&attempt);
                prop_assert_eq!(verified.as_ref().map(Verified::account), account.as_ref());
            }
            let verified = server.plain(&plain("", &name, &password));
            prop_assert_eq!(verified.as_ref().map(Verified::account), account.as_ref());
        }
    }

    #[test]
    fn a_prepared_password_is_prepared_already(password in texts()) {
        let prepared = prepare_password(&password);
        prop_assume!(prepared.is_ok());
        prop_assert_eq!(prepared.and_then(|once| prepare_password(&once)), prepare_password(&password));
    }
}
