//! What the tests have in common that bring a server to its end again and again in the middle of a crowd.

use crate::kept::{Door, IN_CLEAR, archive_policy};
use crate::server::Server;

/// The least that is allowed, and nobody waits for TLS.
#[must_use]
pub fn options() -> String {
    format!("default_iteration_count = 4096\n{IN_CLEAR}")
}

/// How often it is tried: the whole, or a sample of it.
#[must_use]
pub fn rounds() -> usize {
    match std::env::var_os("SPONDEE_LONG") {
        Some(_) => 30,
        None => 3,
    }
}

/// Makes accounts of these names while the server runs, `nurse` for who looks on among them; that of `never` archives nothing.
///
/// # Errors
/// The server does not do so.
pub fn settle<'a>(
    server: &Server,
    names: impl IntoIterator<Item = &'a str>,
) -> Result<Door, String> {
    for name in names.into_iter().chain(["nurse"]) {
        server.add_user(&format!("{name}@localhost"), "secret")?;
    }
    let door = Door::of(server)?;
    let mut never = door.device("never", "desk")?;
    archive_policy(&mut never, "never")?;
    never.close()?;
    Ok(door)
}
