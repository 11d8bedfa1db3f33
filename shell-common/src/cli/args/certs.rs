//! What `spondee cert …` and `spondee check …` are told.

use std::path::PathBuf;

use clap::Subcommand;
use spondee_core::jid::Domain;

use super::{FILES, Print, host};
use crate::dns::NameServer;
use crate::limits::CERTIFICATE_DAYS;

pub(super) const EXAMPLES: &str = "\
Examples:
  spondee cert show example.org
  spondee cert import example.org --from /etc/letsencrypt/live
  spondee cert generate test.example.org --days 30";

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CertTask {
    /// Show what a certificate says: of a file, or the one that a host is served with
    #[command(after_help = "\
Examples:
  spondee cert show example.org
  spondee cert show /etc/letsencrypt/live/example.org/fullchain.pem
  spondee cert show --json example.org")]
    Show {
        /// A file, or a host
        #[arg(value_name = "FILE|HOST")]
        what: PathBuf,
        #[command(flatten)]
        print: Print,
    },
    /// Show the fingerprints of a certificate, for users who compare them with what their client shows
    #[command(after_help = "\
Examples:
  spondee cert fingerprint example.org
  spondee cert fingerprint example.org.crt")]
    Fingerprint {
        /// A file, or a host
        #[arg(value_name = "FILE|HOST")]
        what: PathBuf,
    },
    /// Copy certificates and keys to where the server looks, from where certbot, lego or acme.sh keeps them, or as their hook
    #[command(after_help = "\
Examples:
  spondee cert import --from /etc/letsencrypt/live                    all hosts that are served
  spondee cert import example.org --from /etc/letsencrypt/live
  spondee cert import example.org --from ~/.lego/certificates
  spondee cert import example.org --from ~/.acme.sh/example.org_ecc
As a hook, where it is known what was renewed:
  certbot renew --deploy-hook 'spondee cert import'
  lego … run --run-hook 'spondee cert import', lego … renew --renew-hook 'spondee cert import'
  acme.sh --install-cert -d example.org --ecc --reloadcmd 'spondee cert import'

For each host the newest certificate that names it is taken, if its key belongs to it and clients would accept it; others are refused with the
reason. Both are written into the directory `certificates` as HOST.crt and HOST.key, readable by the server's user only (by root: for the owner
of the data directory), in such an order that a server that reads at any moment finds a pair that belongs together. A server that runs reads them
at once. What is there already is not written again. Where one host fails, the others are imported all the same, and the exit code is 1. A hook
for a certificate that is for no host that is served does nothing.")]
    Import {
        /// Only these; by default all that are served, or as a hook those that the renewed certificate is for
        #[arg(value_name = "HOST", value_parser = host)]
        hosts: Vec<Domain>,
        /// Files, or directories that are looked through, four levels deep; as a hook what was renewed
        #[arg(long, value_name = "PATH", num_args = 1..)]
        from: Vec<PathBuf>,
    },
    /// Make a certificate that nobody vouches for, for a host that is tried out
    #[command(after_help = "\
Examples:
  spondee cert generate test.example.org
  spondee cert generate test.example.org --days 30

HOST.crt and HOST.key (0600) are written into the directory `certificates`; a key that is there is used, a certificate that is there is never
replaced. Clients must be told to trust it: `spondee cert fingerprint HOST` shows what they compare.")]
    Generate {
        /// The host
        #[arg(value_name = "HOST", value_parser = host)]
        host: Domain,
        /// How long it lasts
        #[arg(long, value_name = "N", default_value_t = CERTIFICATE_DAYS, value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: u32,
    },
    /// Write a request for a certificate, to be given to an authority
    #[command(after_help = "\
Example:
  spondee cert request example.org

HOST.csr is written into the directory `certificates`, for the key HOST.key, which is made (0600) if it is not there. What the authority
answers goes beside it as HOST.crt, with the chain behind it.")]
    Request {
        /// The host
        #[arg(value_name = "HOST", value_parser = host)]
        host: Domain,
    },
}

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CheckTask {
    /// Say all that is wrong with a configuration, its certificates and its data directory
    #[command(after_help = format!("\
Examples:
  spondee check config
  spondee check config spondee.toml
  spondee check config --json spondee.toml
  spondee check config --connect

Warnings leave the exit code 0; faults make it 3. Nothing is changed. Whether files may be read and written is judged for the
user that runs this: run it as the one that runs the server, `sudo -u spondee spondee check config`.

{FILES}"))]
    Config {
        /// The file to check; by default the one the server would read
        #[arg(value_name = "FILE")]
        file: Option<PathBuf>,
        /// Ask the directories of hosts that have one, whether they would judge a password
        #[arg(long)]
        connect: bool,
        #[command(flatten)]
        print: Print,
    },
    /// Show the certificate of each host, or of those named: until when it is good, what clients hold against it, its fingerprints
    #[command(after_help = "\
Examples:
  spondee check certs
  spondee check certs example.org
  spondee check certs --json

Users who verify a certificate by hand compare its fingerprint with what their client shows: SHA-256 in one of its three forms, or SHA-1 where
a client is old. The TLSA records are for DNS (DANE): one of each two is enough, the first stays right when the certificate is renewed with
the same key; they stand at the names that the SRV records _xmpp-client._tcp and _xmpps-client._tcp point to, if those are others.

Warnings leave the exit code 0; faults make it 3. Nothing is changed.")]
    Certs {
        /// Only these
        #[arg(value_name = "HOST", value_parser = host)]
        hosts: Vec<Domain>,
        #[command(flatten)]
        print: Print,
    },
    /// Connect to the server of any XMPP domain, and show its certificate, what was agreed on and what a strict peer refuses
    #[command(after_help = "\
Examples:
  spondee check tls example.org
  spondee check tls example.org --connect xmpp.example.org
  spondee check tls example.org --connect 192.0.2.7:5223
  spondee check tls example.org --connect 192.0.2.7:443 --direct
  spondee check tls example.org --server
  spondee check tls example.org --name-server 192.0.2.53
  spondee check tls localhost --connect 127.0.0.1:5222 --ca-file spondee-data/certs/localhost.crt
  spondee check tls example.org --json

Looked at is what the SRV records _xmpp-client._tcp, _xmpps-client._tcp (direct TLS), _xmpp-server._tcp and _xmpps-server._tcp name; where there
are none, the domain itself, at the ports that are usual: 5222, 5223 (direct TLS), 5269, 5270 (direct TLS); or what --connect says. What is asked
for, and must be named by the certificate, is the domain in any case. A certificate that does not verify is shown all the same. Who is trusted: the authorities that this machine trusts, or those of --ca-file.

Warnings leave the exit code 0; faults make it 3. A port where nobody answers is a fault only if it is all there is.")]
    Tls {
        /// The domain, as it stands behind the @ of an address
        #[arg(value_name = "DOMAIN", value_parser = host)]
        domain: Domain,
        #[command(flatten)]
        toward: Toward,
        #[command(flatten)]
        print: Print,
    },
}

/// Where `check tls` looks.
#[derive(Debug, clap::Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "a flag is one, and becomes what it means at once"
)]
pub(in crate::cli) struct Toward {
    /// Where the server is; without a port those that are usual
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(in crate::cli) connect: Option<String>,
    /// Begin with TLS, as on the ports 5223 and 5270
    #[arg(long)]
    pub(in crate::cli) direct: bool,
    /// Look at it as another server does, as on the ports 5269 and 5270
    #[arg(long)]
    pub(in crate::cli) server: bool,
    /// Trust the authorities in this file instead
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) ca_file: Option<PathBuf>,
    /// Ask this name server instead of those of this machine
    #[arg(long, value_name = "ADDRESS[:PORT]", conflicts_with = "connect")]
    pub(in crate::cli) name_server: Option<NameServer>,
}
