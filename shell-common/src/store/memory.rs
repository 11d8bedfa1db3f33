//! The store in memory of the core's tests as a back end.

use std::sync::{Arc, Mutex, PoisonError};

use spondee_core::store::{Batch, Reply, StoreError};
use spondee_core::testing;

use super::Backend;

/// Clones and readers share what is kept.
#[derive(Clone, Debug, Default)]
pub(crate) struct Memory(Arc<Mutex<testing::Memory>>);

impl Backend for Memory {
    fn apply(&mut self, batches: &[Batch]) -> Vec<Result<Vec<Reply>, StoreError>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        batches.iter().map(|batch| kept.apply(batch)).collect()
    }

    fn reader(&self) -> Option<Box<dyn Backend>> {
        Some(Box::new(self.clone()))
    }
}
