//! Accounts that people make, change and remove themselves (XEP-0077: In-Band Registration, version 2.4).
//!
//! Requests, answers, options and limits as values. A member changes the password or removes the account by a request of its session
//! (`account/registration.rs`); a stranger makes an account before it signs in, where that is allowed (`stream/client/registration.rs`). Both are
//! carried out as an administrator's command would be (`shard/registration.rs`).

mod options;
mod request;
#[cfg(test)]
mod tests;
mod throttle;

pub use options::{RegistrationOptions, Reserved, WhoRegisters};
pub(crate) use request::{
    Application, Change, IN_DIRECTORY, JOIN_DIRECTORY, apply_for, change, fields, in_directory,
    on_file,
};
pub(crate) use throttle::Registrations;
