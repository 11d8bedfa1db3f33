//! The arguments and their help, as clap reads them.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

const SERVER_HELP: &str = "\
Without a configuration a safe development server starts for the host `localhost`, on this machine only, with its data in
./spondee-data. The configuration is the file named by --config, else by the variable SPONDEE_CONFIG, else
/etc/spondee/spondee.toml if it is there. SPONDEE_LOG overrides log_level, as in SPONDEE_LOG=debug.

Signals: SIGTERM and SIGINT stop the server in order, SIGHUP reads configuration and certificates again.

As root the server warns and runs, because in a container there may be no other user: elsewhere give it one of its own.

Exit codes: 0 done; 1 refused or failed; 2 wrong usage; 3 the server or its storage cannot be reached or is busy: try again.

Examples:
  spondee                                  start a server
  spondee user add juliet@localhost        add an account; asks for the password
  spondee check config                     look for mistakes in the configuration";

/// Spondee, an XMPP server.
#[derive(Debug, Parser)]
#[command(name = "spondee", version, after_help = SERVER_HELP)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(super) command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the server (also without any command)
    #[command(after_help = SERVER_HELP)]
    Serve,
    /// Add, change, list and delete accounts, whether a server runs or not
    #[command(subcommand, after_help = USER_HELP)]
    User(UserCommand),
    /// Look for mistakes
    #[command(subcommand)]
    Check(CheckCommand),
}

const USER_HELP: &str = "\
With a server running on the data directory commands take effect at once, through its control socket.

Examples:
  spondee user add juliet@example.org
  spondee user list example.org --json
  spondee user disable juliet@example.org";

const ADD_HELP: &str = "\
The password is asked for on the terminal, twice; elsewhere it is the first line of standard input. It is never an argument:
other users of the machine could read those.

Examples:
  spondee user add juliet@example.org
  pwgen -s 20 1 | tee password | spondee user add juliet@example.org --password-stdin";

const PASSWD_HELP: &str = "\
Other sessions of the account are closed. The password is asked for as with `spondee user add`.

Examples:
  spondee user passwd juliet@example.org
  spondee user passwd juliet@example.org --password-stdin < password";

const LIST_HELP: &str = "\
One line for each account: address and status. With --json one array of objects with `account` and `status`.

Examples:
  spondee user list
  spondee user list example.org --json | jq -r '.[] | select(.status == \"disabled\").account'";

const DISABLE_HELP: &str = "\
Its sessions are closed at once and nobody can sign in until it is enabled again. Nothing is deleted.

Example:
  spondee user disable juliet@example.org";

const ENABLE_HELP: &str = "\
Example:
  spondee user enable juliet@example.org";

const DELETE_HELP: &str = "\
Its sessions are closed at once and everything it keeps is deleted. Asks first, on a terminal.

Examples:
  spondee user delete juliet@example.org
  spondee user delete juliet@example.org --yes";

#[derive(Debug, Subcommand)]
pub(super) enum UserCommand {
    /// Add an account
    #[command(after_help = ADD_HELP)]
    Add(Password),
    /// Set a new password
    #[command(after_help = PASSWD_HELP)]
    Passwd(Password),
    /// List the accounts of one host or of all
    #[command(after_help = LIST_HELP)]
    List {
        /// The host; all that are configured if none is named
        host: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Keep an account from signing in
    #[command(after_help = DISABLE_HELP)]
    Disable(Account),
    /// Undo `disable`
    #[command(after_help = ENABLE_HELP)]
    Enable(Account),
    /// Delete an account and everything it keeps
    #[command(after_help = DELETE_HELP)]
    Delete {
        #[command(flatten)]
        account: Account,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Args, Debug)]
pub(super) struct Account {
    /// The address of the account, as in juliet@example.org
    #[arg(value_name = "JID")]
    pub(super) address: String,
}

#[derive(Args, Debug)]
pub(super) struct Password {
    #[command(flatten)]
    pub(super) account: Account,
    /// Read the password from the first line of standard input, also on a terminal
    #[arg(long)]
    pub(super) password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum CheckCommand {
    /// Read the configuration and the certificates, tell every mistake
    #[command(after_help = CHECK_HELP)]
    Config(CheckConfig),
}

const CHECK_HELP: &str = "\
Mistakes end with exit code 1. Warnings are told and end with 0.

Examples:
  spondee check config
  spondee check config spondee.toml --json
  spondee check config --example > spondee.toml     a file with every option and what it does";

#[derive(Args, Debug)]
pub(super) struct CheckConfig {
    /// The file; the one the server would read if none is named
    pub(super) file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) form: CheckForm,
}

#[derive(Args, Clone, Copy, Debug)]
#[group(multiple = false)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "clap reads flags into booleans; at most one of these is true"
)]
pub(super) struct CheckForm {
    /// Print a file with every option, its default and what it does, and check nothing
    #[arg(long)]
    pub(super) example: bool,
    /// Print JSON
    #[arg(long)]
    pub(super) json: bool,
}
