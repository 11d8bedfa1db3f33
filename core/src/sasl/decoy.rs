//! What an unknown user is answered from: parameters that are steady for each name and look like an account's, so that asking
//! does not tell who exists (RFC 6120 §6.5.10). An account of which the password is kept has the same salt and rounds: there are no
//! others, and so it looks exactly as it did before it was there.

use bytes::Bytes;

use super::credentials::{
    PLAIN_RECORD_OF_NOBODY, RECORD_OF_NOBODY, RECORD_WITHOUT_PASSWORD, SALT_BYTES,
};
use super::{Context, Credentials, DeriveParams, Hash, Provider, ScramKeys};
use crate::entropy::keyed_hash;
use crate::jid::BareJid;
use crate::secret::Secret;

/// Salt and rounds. The salt follows from the server's secret, so it is the same each time and no one else can work it out.
pub(super) fn params(account: &BareJid, hash: Hash, cx: Context<'_>) -> DeriveParams {
    let salt = block("salt", account, hash, cx);
    DeriveParams {
        hash,
        salt: salt.into_iter().take(SALT_BYTES).collect(),
        rounds: rounds(account, cx),
    }
}

/// The host's rounds, or those of before, which older accounts still have: for each name always the same, under all hashes. With one
/// more to choose from, only those change that now have that one; only who asked before and after sees it.
fn rounds(account: &BareJid, cx: Context<'_>) -> u32 {
    let draw = |rounds: &u32| {
        let parts: [&[u8]; 4] = [
            b"rounds|",
            account.as_str().as_bytes(),
            b"|",
            &rounds.to_be_bytes(),
        ];
        keyed_hash(cx.server_secret, &parts)
    };
    let all = core::iter::once(cx.rounds).chain(cx.former_rounds.iter().copied());
    all.max_by_key(draw).unwrap_or(cx.rounds).max(1)
}

/// Keys of no password. They only give the check something to work on: whoever holds them must refuse whatever it says.
pub(super) fn keys(account: &BareJid, hash: Hash, cx: Context<'_>) -> ScramKeys {
    let DeriveParams { hash, salt, rounds } = params(account, hash, cx);
    let key = |label| {
        let block = block(label, account, hash, cx);
        Secret::new(
            block
                .into_iter()
                .cycle()
                .take(hash.output_bytes())
                .collect(),
        )
    };
    ScramKeys {
        hash,
        salt,
        rounds,
        stored_key: key("stored key"),
        server_key: key("server key"),
    }
}

/// Reads a record as an account's would be read that this provider has made, for nobody, and returns it: so an unknown user takes as long as
/// a known one.
#[must_use]
pub fn pretend_to_read(provider: Provider) -> Bytes {
    let record: &[u8] = match provider {
        // Of guests nothing is read.
        Provider::Anonymous | Provider::Hashed => &RECORD_OF_NOBODY,
        Provider::Ldap => &RECORD_WITHOUT_PASSWORD,
        Provider::Plain => &PLAIN_RECORD_OF_NOBODY,
    };
    let record = Bytes::copy_from_slice(core::hint::black_box(record));
    core::hint::black_box(Credentials::from_record(&record));
    record
}

fn block(label: &str, account: &BareJid, hash: Hash, cx: Context<'_>) -> [u8; 32] {
    // No label and no name of a hash holds the separator, so no two questions share an answer.
    let parts = [label, "|", account.as_str(), "|", hash.name()];
    keyed_hash(cx.server_secret, &parts.map(str::as_bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jid::Domain;
    use crate::sasl::{Derives, Offer, Transport};

    #[test]
    fn what_is_read_for_nobody_is_a_whole_record() {
        let read = Credentials::from_record(&RECORD_OF_NOBODY).unwrap();
        assert_eq!(read.keys().len(), Hash::ALL.len());
        assert_eq!(read.to_record()[..], RECORD_OF_NOBODY);
        let read = Credentials::from_record(&PLAIN_RECORD_OF_NOBODY).unwrap();
        assert!(read.keys().is_empty());
        assert_eq!(read.to_record()[..], PLAIN_RECORD_OF_NOBODY);
        let without = Credentials::without_password();
        assert_eq!(without.to_record()[..], RECORD_WITHOUT_PASSWORD);
    }

    #[test]
    fn unknown_users_have_rounds_of_today_or_before_and_keep_them() {
        let host = Domain::parse("a.example").unwrap();
        let (offer, transport) = (Offer::default(), Transport::Clear);
        let rounds_of = |n: u32, rounds, former_rounds: &[u32]| {
            let account = BareJid::parse(&alloc::format!("user{n}@a.example")).unwrap();
            let cx = Context {
                host: &host,
                offer: &offer,
                transport: &transport,
                server_secret: &[7; 32],
                rounds,
                former_rounds,
                provider: Provider::default(),
                derives: Derives::IfNeeded,
            };
            let all = Hash::ALL.map(|hash| params(&account, hash, cx).rounds);
            assert_eq!(all, [all[0]; 3], "as of one password");
            all[0]
        };
        let mut old = 0;
        for n in 0..200 {
            assert_eq!(rounds_of(n, 10_000, &[]), 10_000);
            let now = rounds_of(n, 20_000, &[10_000]);
            assert_eq!(now, rounds_of(n, 20_000, &[10_000]));
            assert_eq!(now, rounds_of(n, 10_000, &[20_000]), "whichever is today's");
            old += usize::from(now == 10_000);
            // One more takes some, and moves nobody between the others.
            let later = rounds_of(n, 30_000, &[20_000, 10_000]);
            assert!(later == now || later == 30_000);
        }
        assert!((60..140).contains(&old), "{old}");
    }
}
