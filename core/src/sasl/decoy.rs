//! What an unknown user is answered from: parameters that are steady for each name and look like an account's, so that asking
//! does not tell who exists (RFC 6120 §6.5.10).

use super::credentials::SALT_BYTES;
use super::{Context, DeriveParams, Hash, ScramKeys};
use crate::entropy::keyed_hash;
use crate::jid::BareJid;
use crate::secret::Secret;

/// Salt and rounds. The salt follows from the server's secret, so it is the same each time and no one else can work it out.
/// Accounts whose rounds differ from the host's default, set before it was changed, can still be told apart.
pub(super) fn params(account: &BareJid, hash: Hash, cx: Context<'_>) -> DeriveParams {
    let salt = block("salt", account, hash, cx);
    DeriveParams {
        hash,
        salt: salt.into_iter().take(SALT_BYTES).collect(),
        rounds: cx.rounds.max(1),
    }
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

fn block(label: &str, account: &BareJid, hash: Hash, cx: Context<'_>) -> [u8; 32] {
    // No label and no name of a hash holds the separator, so no two questions share an answer.
    let parts = [label, "|", account.as_str(), "|", hash.name()];
    keyed_hash(cx.server_secret, &parts.map(str::as_bytes))
}
