//! A stream with a client: sign-in, a resource, a session (RFC 6120 §5 to §7).

mod bind;
mod established;
mod features;
mod negotiate;
pub(super) mod state;

pub(super) use features::transport;
