//! TLS: certificates and configurations of the hosts, and a sans-IO pump over rustls that any shell can drive.

mod audit;
mod binding;
mod bring;
mod certs;
mod chain;
mod clients;
mod development;
mod dhe;
mod file;
mod find;
mod hosts;
mod judge;
mod keys;
mod load;
#[cfg(test)]
pub(crate) mod made;
mod named;
mod names;
mod outgoing;
mod own;
mod pem;
mod place;
mod policy;
mod probe;
mod pump;
mod shown;

pub(crate) use audit::date;
pub use audit::{Remark, Severity};
pub(crate) use bring::{Brought, Stock};
pub use certs::CertError;
pub use clients::{Authorities, Trust};
pub use development::generate_development_certificate;
pub(crate) use development::{Renewal, generate, renew, request};
pub use hosts::TlsHosts;
#[cfg(any(test, feature = "testing"))]
pub(crate) use judge::AnyCertificate;
pub(crate) use load::now;
pub use load::{HostReport, HostState, Loaded, ServiceReport, Source};
pub use named::{Location, Named};
pub(crate) use names::{DH_GROUP, dhparam, group, suite_of_12, suite_of_13};
pub use outgoing::Outgoing;
pub(crate) use place::{Owner, Place};
pub(crate) use policy::lacks_group_for_12;
pub use policy::{ClientAuth, Dhe, HostPolicy, Policies, Policy, Suites, Versions};
pub(crate) use probe::{Agreed, Probed, Roots, probe, to_ascii};
pub use pump::{Ended, Pump, Received, Step, Taken, TlsError};
pub(crate) use shown::{Shown, colons};
