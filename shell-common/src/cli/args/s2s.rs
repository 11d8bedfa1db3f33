//! What `spondee s2s …` is told.

use std::path::PathBuf;

use clap::Subcommand;
use spondee_core::jid::Domain;

use super::{Print, host};

pub(super) const EXAMPLES: &str = "\
Examples:
  spondee s2s explain example.org
  spondee s2s list
  spondee s2s close example.org

The server that runs is asked; docs/federation.md has how to read what it says.";

/// What is to be done about links to other servers.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum S2sTask {
    /// Find out what would come of a link to a domain, and by which rule, without making one
    #[command(after_help = "\
Examples:
  spondee s2s explain example.org
  spondee s2s explain example.org --from chat.example.com
  spondee s2s explain example.org --what-if new.toml
  spondee s2s explain example.org --json

The server that runs asks DNS, connects and begins TLS as it does for a link, shows its certificate if it is asked for one, hears what is offered,
and closes before it has proven who it is: nothing comes of it. All that it saw is shown, and what its rules say of that, step by step. Links and
streams with the domain that there are now are shown, too.

--what-if names a configuration that is not in use: the same is judged once more by what that one says of other servers (`s2s_secure_auth` and the
other options of who is trusted and talked to), and told beside it. Nothing is changed. --config names the configuration of the server that runs.

The exit code is 0 if there would be a link, with --what-if by that configuration; 1 if not; 3 if no server runs.")]
    Explain {
        /// The domain, as it stands behind the @ of an address
        #[arg(value_name = "DOMAIN", value_parser = host)]
        domain: Domain,
        /// The host of this server that the link would be from; without it the first that has users
        #[arg(long, value_name = "HOST", value_parser = host)]
        from: Option<Domain>,
        /// Judge by this configuration, too
        #[arg(long, value_name = "FILE")]
        what_if: Option<PathBuf>,
        #[command(flatten)]
        print: Print,
    },
    /// List links to other servers and the streams that they opened
    #[command(after_help = "\
Examples:
  spondee s2s list
  spondee s2s list example.org
  spondee s2s list --json

`out` is a link of this server, by which it sends; `in` is a stream that the other server opened, by which it does.")]
    List {
        /// With this domain alone
        #[arg(value_name = "DOMAIN", value_parser = host)]
        domain: Option<Domain>,
        #[command(flatten)]
        print: Print,
    },
    /// End the links to a domain and the streams from it, in order, and forget why there was none
    #[command(after_help = "\
Example:
  spondee s2s close example.org

What waits for the domain is kept, and a new link is looked for at once; what was sent and is not confirmed yet goes once more, so the other side may
get it twice. After a refusal the next stanza tries again. Either server may open new
streams at any time: `s2s_refused_domains` in the configuration keeps a domain out.")]
    Close {
        /// This domain
        #[arg(value_name = "DOMAIN", value_parser = host)]
        domain: Domain,
    },
}
