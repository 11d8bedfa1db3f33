//! Whether there are credentials is not told by what it takes to read them.

use rusqlite::StatementStatus;
use spondee_core::sasl::{Credentials, Dates, Hash, ScramKeys, Status, Verifier};
use spondee_core::secret::Secret;

use super::*;

fn credentials(password: &str) -> Op {
    let credentials = Credentials {
        status: Status::Enabled,
        verifier: Verifier::Password(Secret::new(password.as_bytes().to_vec())),
    };
    Op::Put {
        table: &CREDENTIALS,
        row: credentials.to_row(Dates::default()),
        expect: Expect::Anything,
    }
}

fn read() -> Op {
    Op::Get {
        table: &CREDENTIALS,
        key: Row(Vec::new()),
    }
}

fn password(reply: &Reply) -> Option<String> {
    let Reply::Row(row) = reply else {
        panic!("{reply:?}");
    };
    let credentials = Credentials::from_row(row.as_ref()?).unwrap();
    let Verifier::Password(password) = credentials.verifier else {
        panic!("{reply:?}");
    };
    Some(String::from_utf8(password.expose().to_vec()).unwrap())
}

#[test]
fn everybody_is_answered_with_his_own_credentials_whoever_stands_in() {
    let mut stores = Backends::new();
    let names = ["a@x.example", "b@x.example", "c@y.example"];
    for name in names {
        assert_eq!(stores.one(name, credentials(name)), Reply::Done);
    }
    let nobody = |stores: &mut Backends| {
        for name in ["d@x.example", "d@y.example", "d@z.example"] {
            assert_eq!(password(&stores.one(name, read())), None);
        }
    };
    for _ in 0..3 {
        for name in names {
            assert_eq!(password(&stores.one(name, read())).as_deref(), Some(name));
            nobody(&mut stores);
        }
    }
    // The first that was read stands in for its host.
    stores.one("a@x.example", Op::Purge);
    nobody(&mut stores);
    assert_eq!(password(&stores.one("a@x.example", read())), None);
    assert_eq!(
        password(&stores.one("b@x.example", read())).as_deref(),
        Some("b@x.example")
    );
    nobody(&mut stores);
    stores.one("a@x.example", credentials("again"));
    for _ in 0..2 {
        nobody(&mut stores);
        assert_eq!(
            password(&stores.one("a@x.example", read())).as_deref(),
            Some("again")
        );
    }
}

/// Keys of no password.
fn keys() -> Op {
    let keys = Hash::ALL.map(|hash| ScramKeys {
        hash,
        salt: vec![7; 16],
        rounds: 10_000,
        stored_key: Secret::new(vec![1; hash.output_bytes()]),
        server_key: Secret::new(vec![2; hash.output_bytes()]),
    });
    Op::Put {
        table: &CREDENTIALS,
        row: Credentials::hashed(Status::Enabled, keys.to_vec()).to_row(Dates::default()),
        expect: Expect::Anything,
    }
}

fn together(steps: &mut dyn FnMut(&str, Op) -> i32, names: &[&str]) {
    let counts: Vec<i32> = names.iter().map(|name| steps(name, read())).collect();
    let spread = counts.iter().max().unwrap() - counts.iter().min().unwrap();
    assert!(spread <= 2, "{names:?}: {counts:?}");
}

#[test]
fn nobody_takes_as_many_steps_as_accounts_of_either_kind() {
    let directory = Scratch::new();
    let mut sqlite = open(&directory);
    let mut steps = |name: &str, op: Op| {
        let before = sqlite.all_statements(StatementStatus::VmStep);
        let outcome = sqlite.apply(&[batch(name, vec![op])]).remove(0);
        outcome.unwrap();
        sqlite.all_statements(StatementStatus::VmStep) - before
    };
    for n in 0..20 {
        steps(&format!("plain{n}@x.example"), credentials("rosemary"));
        steps(&format!("keys{n}@x.example"), keys());
        steps(&format!("keys{n}@y.example"), keys());
    }
    // Whoever is read first stands in.
    for name in ["plain0@x.example", "keys0@x.example", "keys0@y.example"] {
        steps(name, read());
    }
    together(&mut steps, &["keys3@y.example", "nobody@y.example"]);
    together(
        &mut steps,
        &["plain3@x.example", "keys3@x.example", "nobody@x.example"],
    );
    // All have keys by now.
    for n in 0..20 {
        steps(&format!("plain{n}@x.example"), keys());
    }
    steps("nobody@x.example", read());
    together(
        &mut steps,
        &["plain3@x.example", "keys3@x.example", "nobody@x.example"],
    );
}
