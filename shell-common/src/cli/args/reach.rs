//! What `spondee reach …` is told.

use spondee_core::jid::Domain;
use spondee_core::port::Protocol;

use super::{Form, Print, host};

pub(super) const EXAMPLES: &str = "\
Examples:
  spondee reach example.org
  spondee reach example.org --server
  spondee reach example.org --json

The server that runs asks DNS for the records _xmpps-client._tcp (direct TLS) and _xmpp-client._tcp, or with --server _xmpps-server._tcp and
_xmpp-server._tcp, and tries their targets in the order that they say; where there are none, the domain itself. It begins a stream and TLS, hears
what is offered, and closes. Nobody signs in. All that was asked and tried is shown: what a network in between does to the server is seen, which
`spondee check tls` of another machine does not.

The exit code is 0 if the domain is reached by TLS with a certificate that is good for it; 1 if not; 3 if no server runs.";

/// Whom to reach.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Whom {
    /// The domain, as it stands behind the @ of an address
    #[arg(value_name = "DOMAIN", value_parser = host)]
    pub(in crate::cli) domain: Domain,
    /// As another server, not as a client
    #[arg(long)]
    server: bool,
    #[command(flatten)]
    print: Print,
}

impl Whom {
    pub(in crate::cli) const fn service(&self) -> Protocol {
        match self.server {
            true => Protocol::XmppServer,
            false => Protocol::XmppClient,
        }
    }

    pub(in crate::cli) const fn form(&self) -> Form {
        self.print.form()
    }
}
