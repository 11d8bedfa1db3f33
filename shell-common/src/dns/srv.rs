//! In which order the targets of a service are tried (RFC 2782).

use spondee_core::port::Service;

/// Puts services into the order in which a client tries them: `spondee_core::federation::order`.
#[must_use]
pub fn order(services: Vec<Service>, draw: &mut dyn FnMut(u32) -> u32) -> Vec<Service> {
    let rank = |service: &Service| (service.priority, service.weight);
    spondee_core::federation::order(services, rank, draw)
}
