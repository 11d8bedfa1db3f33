//! TLS: certificates and configurations of the hosts, and a sans-IO pump over rustls that any shell can drive.

mod binding;
mod certs;
mod development;
mod find;
mod hosts;
mod pump;

pub use certs::CertError;
pub use development::generate_development_certificate;
pub use hosts::TlsHosts;
pub use pump::{Ended, Pump, Received, TlsError};
