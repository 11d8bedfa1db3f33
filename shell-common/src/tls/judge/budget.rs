//! How many signatures may be looked at for one peer.
//!
//! Whoever makes certificates that all have the name of an authority has webpki try each of them before each other, and a signature for each try:
//! a hundred, before it gives up by itself. With P-384 that is a hundred times what the handshake costs.

use std::sync::atomic::{AtomicUsize, Ordering};

use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};

/// An algorithm that finds no signature good any more once all have looked at as many as they may together.
#[derive(Debug)]
pub(super) struct Bounded<'a> {
    algorithm: &'a dyn SignatureVerificationAlgorithm,
    left: &'a AtomicUsize,
}

/// These, within one budget.
pub(super) fn bounded<'a>(
    algorithms: &'a [&'a dyn SignatureVerificationAlgorithm],
    left: &'a AtomicUsize,
) -> Vec<Bounded<'a>> {
    let bound = |algorithm: &&'a dyn SignatureVerificationAlgorithm| Bounded {
        algorithm: *algorithm,
        left,
    };
    algorithms.iter().map(bound).collect()
}

impl SignatureVerificationAlgorithm for Bounded<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let one_less = |left: usize| left.checked_sub(1);
        let order = Ordering::Relaxed;
        match self.left.fetch_update(order, order, one_less) {
            Ok(_) => self
                .algorithm
                .verify_signature(public_key, message, signature),
            Err(_) => Err(InvalidSignature),
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}
