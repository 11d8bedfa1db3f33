//! What an unknown user is answered from: parameters that are steady for each name and look like an account's, so that asking
//! does not tell who exists (RFC 6120 §6.5.10). An account of which the password is kept has the same salt and rounds: there are no
//! others, and so it looks exactly as it did before it was there.

use bytes::Bytes;

use super::credentials::{Blank, SALT_BYTES, row_of_nobody};
use super::{Context, Credentials, DeriveParams, Hash, Provider, ScramKeys, Verifier};
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

/// Reads, for nobody, what was not read of an account: as its row would become a record, and that be read. What comes of it is to be hashed as the
/// record of an account is. So a sign-in takes as long whether or not there is such an account, and whichever of the two kinds it is: a host that keeps
/// passwords may have accounts of before, which have keys, and one that keeps keys those that still have a password.
pub fn read_beside(provider: Provider, read: Option<&Verifier>) -> impl Iterator<Item = Bytes> {
    let blanks: &[Blank] = match (provider, read) {
        // Of guests nothing is read.
        (Provider::Anonymous, _) | (Provider::Ldap, Some(_)) => &[],
        (Provider::Ldap, None) => &[Blank::Nothing],
        (Provider::Hashed | Provider::Plain, Some(Verifier::Password(_))) => &[Blank::Keys],
        (Provider::Hashed | Provider::Plain, Some(Verifier::Keys(_))) => &[Blank::Password],
        (Provider::Hashed | Provider::Plain, None) => &[Blank::Keys, Blank::Password],
    };
    blanks.iter().map(|blank| {
        let record = Credentials::record(&core::hint::black_box(row_of_nobody(*blank)));
        core::hint::black_box(Credentials::from_record(&record));
        record
    })
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
        let read = |blank| Credentials::from_row(&row_of_nobody(blank)).unwrap();
        assert_eq!(read(Blank::Keys).keys().len(), Hash::ALL.len());
        assert_eq!(read(Blank::Nothing), Credentials::without_password());
        let password = Verifier::Password(Secret::new(b"no password".to_vec()));
        assert_eq!(read(Blank::Password).verifier, password);
    }

    #[test]
    fn whatever_there_is_the_same_is_read() {
        let (keys, password) = (Blank::Keys, Blank::Password);
        let of = |blank| {
            Credentials::from_row(&row_of_nobody(blank))
                .unwrap()
                .verifier
        };
        for (provider, kinds, count) in [
            (Provider::Hashed, &[keys, password][..], 2),
            (Provider::Plain, &[keys, password], 2),
            (Provider::Ldap, &[Blank::Nothing], 1),
        ] {
            assert_eq!(read_beside(provider, None).count(), count);
            for kind in kinds {
                let beside = read_beside(provider, Some(&of(*kind))).count();
                assert_eq!(1 + beside, count, "{provider:?} {kind:?}");
            }
        }
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
