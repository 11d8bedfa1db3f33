//! What TLS is asked with, where we connect to others.

use spondee_core::port::TlsClient;

use super::{Pump, TlsError};

/// How we ask for TLS. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Outgoing;

impl Outgoing {
    /// A connection that asks for this.
    ///
    /// # Errors
    /// The name cannot be asked for.
    pub fn pump(&self, client: &TlsClient) -> Result<Pump, TlsError> {
        Err(TlsError {
            message: format!("nothing is asked of {} yet", client.name),
        })
    }
}
