use alloc::{format, vec};

use super::*;

fn credentials() -> Credentials {
    let mut entropy = Entropy::new([1; 32]);
    let password = Secret::new(b"pencil".to_vec());
    let jobs = DeriveParams::for_new_password(7, &mut entropy);
    let keys = jobs.iter().map(|job| job.derive(&password)).collect();
    Credentials::hashed(Status::Enabled, keys)
}

fn plain() -> Credentials {
    Credentials {
        status: Status::Enabled,
        verifier: Verifier::Password(Secret::new(b"pencil".to_vec())),
    }
}

fn keys(credentials: &mut Credentials) -> &mut Vec<ScramKeys> {
    match &mut credentials.verifier {
        Verifier::Keys(keys) => keys,
        Verifier::Password(_) => panic!("a password"),
    }
}

fn row() -> Row {
    credentials().to_row(Dates::new(UnixTime(7)))
}

fn is_damaged(change: impl Fn(&mut Vec<Field>)) -> bool {
    let mut row = row();
    change(&mut row.0);
    Credentials::from_row(&row).is_none()
}

#[test]
fn a_new_password_has_a_fresh_salt_for_each_hash() {
    let credentials = credentials();
    let keys = credentials.keys();
    let hashes: Vec<Hash> = keys.iter().map(|keys| keys.hash).collect();
    assert_eq!(hashes, Hash::ALL);
    assert!(keys.iter().all(|keys| keys.salt.len() == SALT_BYTES));
    assert_ne!(keys[0].salt, keys[1].salt);
    for keys in keys {
        assert_eq!(keys.stored_key.expose().len(), keys.hash.output_bytes());
        assert_eq!(keys.server_key.expose().len(), keys.hash.output_bytes());
    }
}

#[test]
fn a_row_has_a_column_for_each_value_and_reads_back() {
    let mut credentials = credentials();
    let row = row();
    assert!(row.fits(&CREDENTIALS));
    assert_eq!(row.0[0], Field::text("enabled"));
    assert_eq!(row.0[1], Field::Int(7));
    assert_eq!(
        row.0[13..],
        [Field::Time(7000), Field::Time(7000), Field::Absent]
    );
    assert_eq!(Credentials::from_row(&row), Some(credentials.clone()));
    credentials.status = Status::Disabled;
    keys(&mut credentials).remove(1);
    let row = credentials.to_row(Dates::default());
    assert!(row.fits(&CREDENTIALS));
    assert_eq!(row.0[5..9], [const { Field::Absent }; 4]);
    assert_eq!(Credentials::from_row(&row), Some(credentials));
}

#[test]
fn a_password_that_is_kept_reads_back_and_stands_beside_no_keys() {
    for status in [Status::Enabled, Status::Disabled] {
        let credentials = Credentials { status, ..plain() };
        let row = credentials.to_row(Dates::new(UnixTime(7)));
        assert!(row.fits(&CREDENTIALS));
        assert_eq!(row.0[1..CREATED], [const { Field::Absent }; 12]);
        assert_eq!(row.0[PASSWORD], Field::text("pencil"));
        assert_eq!(Credentials::from_row(&row), Some(credentials.clone()));
        let record = credentials.to_record();
        assert_eq!(Credentials::from_record(&record), Some(credentials));
        assert!(Credentials::from_record(&record[..1]).is_none());
    }
    let mut row = plain().to_row(Dates::default());
    row.0[PASSWORD] = Field::text("");
    assert!(Credentials::from_row(&row).is_none());
}

#[test]
fn a_row_tells_what_is_kept_of_the_password() {
    let form =
        |credentials: &Credentials| Credentials::form_of(&credentials.to_row(Dates::default()));
    let mut some = credentials();
    assert_eq!(form(&some), Form::Hashed);
    keys(&mut some).pop();
    assert_eq!(form(&some), Form::PartlyHashed);
    keys(&mut some).clear();
    assert_eq!(form(&some), Form::None);
    assert_eq!(form(&plain()), Form::Plain);
    assert_eq!(Credentials::form_of(&Row::default()), Form::None);
}

#[test]
fn a_change_keeps_the_day_of_creation() {
    let dates = Dates::changed(&row(), UnixTime(9));
    assert_eq!(dates.created, Some(UnixTime(7)));
    assert_eq!(dates.updated, Some(UnixTime(9)));
    let unknown = Dates::changed(&credentials().to_row(Dates::default()), UnixTime(9));
    assert_eq!(unknown.created, None);
}

#[test]
fn a_record_tells_passwords_and_status_apart_and_nothing_else() {
    let record = Credentials::record(&row());
    assert_eq!(record, credentials().to_record(), "whatever the dates");
    let mut disabled = credentials();
    disabled.status = Status::Disabled;
    assert_ne!(record, disabled.to_record());
    let mut other = credentials();
    keys(&mut other)[2].salt[0] ^= 1;
    assert_ne!(record, other.to_record());
}

#[test]
fn a_damaged_row_or_record_lets_nobody_in() {
    assert!(!is_damaged(|_| ()));
    assert!(is_damaged(|row| row[0] = Field::text("maybe")));
    assert!(is_damaged(|row| row[0] = Field::Int(1)));
    assert!(is_damaged(|row| row[1] = Field::Int(0)));
    assert!(is_damaged(|row| row[1] = Field::Int(-1)));
    assert!(is_damaged(|row| row[1] = Field::Int(1 << 32)));
    assert!(is_damaged(|row| row[1] = Field::Absent));
    assert!(is_damaged(|row| row[2] = Field::Bytes(Bytes::new())));
    assert!(is_damaged(|row| row[2] = Field::text("salt")));
    assert!(is_damaged(|row| row[3] = Field::Bytes(vec![0; 3].into())));
    assert!(is_damaged(|row| row[4] = Field::Bytes(Bytes::new())));
    assert!(is_damaged(|row| row[PASSWORD] = Field::text("pencil")));
    assert!(is_damaged(|row| row[PASSWORD] = Field::Int(1)));
    assert!(is_damaged(|row| row.truncate(5)));
    assert!(is_damaged(Vec::clear));
    let record = credentials().to_record();
    for end in 0..record.len() {
        assert!(Credentials::from_record(&record[..end]).is_none());
    }
    assert!(Credentials::from_record(&[&record[..], b"x"].concat()).is_none());
}

#[test]
fn a_new_password_is_bounded_and_utf8() {
    let longest = "\u{e9}".repeat(PASSWORD_BYTES / 2);
    assert_eq!(
        prepare_new_password(longest.as_bytes()),
        Ok(longest.clone())
    );
    for (typed, error) in [
        ((longest + "x").as_bytes(), PasswordError::TooLong),
        (b"\xff\xfe", PasswordError::Encoding),
        (b"", PasswordError::Empty),
        ("\u{ad}".as_bytes(), PasswordError::Empty),
        (b"a\x07b", PasswordError::Prohibited),
    ] {
        assert_eq!(prepare_new_password(typed), Err(error));
    }
}

#[test]
fn a_password_is_prepared_by_saslprep() {
    // The last is from the note in RFC 5802 §3.
    for (given, prepared) in [
        ("I\u{ad}X", "IX"),
        ("user", "user"),
        ("USER", "USER"),
        ("\u{aa}", "a"),
        ("\u{2168}", "IX"),
        ("a\u{a0}b", "a b"),
        ("\u{bd}", "1\u{2044}2"),
    ] {
        assert_eq!(prepare_password(given).as_deref(), Ok(prepared));
    }
    for given in ["\u{7}", "\u{627}1", "\u{e000}", "a\0b", "\u{1f600}"] {
        assert_eq!(prepare_password(given), Err(PasswordError::Prohibited));
    }
    for given in ["", "\u{ad}"] {
        assert_eq!(prepare_password(given), Err(PasswordError::Empty));
    }
}

#[test]
fn secrets_are_not_printed() {
    let printed = format!("{:?}", credentials());
    assert!(printed.contains("stored_key: Secret(..)"), "{printed}");
    let printed = format!("{:?}", plain());
    assert!(printed.contains("Password(Secret(..))"), "{printed}");
}
