//! Where a directory has the passwords: it alone is believed, and asked alike about everybody.

use super::*;

impl Server {
    /// A host that asks a directory, which says this. `juliet` has keys of before, `romeo` has signed in by the directory.
    fn asking(judgement: Judgement) -> Self {
        let mut server = Self::new();
        server.set_password("romeo", "unused");
        *server.credentials("romeo") = Credentials::without_password();
        server.provider = Provider::Ldap;
        server.offer = offer(&SaslPolicy::default(), Provider::Ldap, &server.transport).unwrap();
        server.judgement = judgement;
        server
    }
}

#[test]
fn a_directory_is_offered_by_plain_alone_and_only_below_tls() {
    let server = Server::asking(Judgement::Right);
    assert_eq!(server.offer.mechanisms, [Mechanism::Plain]);
    assert_eq!(server.offer.bindings, [""; 0]);
    let optional = SaslPolicy {
        encryption: Encryption::Optional,
        ..SaslPolicy::default()
    };
    let clear = offer(&optional, Provider::Ldap, &Transport::Clear);
    assert_eq!(clear, Err(OfferEmpty::AllInsecure));
    let disabled = SaslPolicy {
        disable: vec!["PLAIN".into()],
        ..SaslPolicy::default()
    };
    let none = offer(&disabled, Provider::Ldap, &server.transport);
    assert_eq!(none, Err(OfferEmpty::AllDisabled));
}

#[test]
fn who_the_directory_knows_comes_in_whatever_is_kept_here() {
    let mut server = Server::asking(Judgement::Right);
    for name in ["juliet", "romeo", "nobody", "Fu\u{df}Ball"] {
        let verified = server.plain(&plain("", name, "\u{2168}")).unwrap();
        assert!(verified.is_by_directory());
        assert_eq!(verified.outdated(), None);
        assert!(Provider::Ldap.takes(&verified));
        for provider in [Provider::Hashed, Provider::Plain, Provider::Anonymous] {
            assert!(!provider.takes(&verified), "{provider:?}");
        }
    }
    assert_eq!(server.lookups.last().unwrap(), "fu\u{df}ball@example.com");
    // Prepared, and no worker had anything to do.
    assert_eq!(
        server.asked,
        [const { b"IX" }; 4].map(|text| Secret::new(text.to_vec()))
    );
    assert_eq!(server.jobs, []);
}

#[test]
fn a_password_of_before_is_worth_nothing() {
    let mut server = Server::asking(Judgement::Wrong);
    for name in ["juliet", "romeo", "nobody"] {
        let refused = refusal(server.plain(&plain("", name, "r0m30")));
        assert_eq!(refused, Some(Failure::NotAuthorized), "{name}");
    }
    assert_eq!(server.asked.len(), 3, "asked about everybody alike");
}

#[test]
fn where_nobody_knows_no_password_is_called_wrong() {
    let mut server = Server::asking(Judgement::None);
    server.credentials("romeo").status = Status::Disabled;
    for name in ["juliet", "romeo", "nobody"] {
        let refused = refusal(server.plain(&plain("", name, "r0m30")));
        assert_eq!(refused, Some(Failure::TemporaryAuthFailure), "{name}");
        assert!(!Failure::TemporaryAuthFailure.is_about_a_password());
    }
}

#[test]
fn who_is_disabled_here_stays_out_and_hears_why_after_the_right_password() {
    for (judgement, expected) in [
        (Judgement::Right, Failure::AccountDisabled),
        (Judgement::Wrong, Failure::NotAuthorized),
    ] {
        let mut server = Server::asking(judgement);
        for name in ["juliet", "romeo"] {
            server.credentials(name).status = Status::Disabled;
            let refused = refusal(server.plain(&plain("", name, "r0m30")));
            assert_eq!(refused, Some(expected));
        }
    }
}

/// What the first sign-in makes is nobody's way in once the host keeps passwords itself.
#[test]
fn an_account_of_a_directory_has_no_password_here() {
    let mut server = Server::asking(Judgement::Right);
    for provider in [Provider::Hashed, Provider::Plain] {
        server.provider = provider;
        for password in ["r0m30", "no password", "unused"] {
            for attempt in attempts("romeo", password) {
                let refused = refusal(server.scram(&attempt));
                assert!(refused.is_some());
            }
            let refused = refusal(server.plain(&plain("", "romeo", password)));
            assert_eq!(refused, Some(Failure::NotAuthorized));
        }
        let credentials = server.credentials("romeo").clone();
        assert!(!credentials.is_outdated(Provider::Ldap, u32::MAX));
    }
    assert_eq!(server.asked, []);
}

/// A reload in the middle of an exchange.
#[test]
fn a_proof_of_keys_is_no_proof_to_who_asks_a_directory() {
    let mut server = Server::new();
    let verified = server.plain(&plain("", "juliet", "r0m30")).unwrap();
    assert!(Provider::Hashed.takes(&verified) && !Provider::Ldap.takes(&verified));
    let verified = server.scram(&JULIET).unwrap();
    assert!(Provider::Plain.takes(&verified) && !Provider::Ldap.takes(&verified));
    let certified = Verified::new(verified.account().clone(), Mechanism::External, None);
    assert!(Provider::Ldap.takes(&certified) && !Provider::Anonymous.takes(&certified));
}
