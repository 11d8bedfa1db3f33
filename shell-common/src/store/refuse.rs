//! What back ends share of outcomes.

use spondee_core::store::{Batch, Reply, StoreError};

/// Of one batch.
pub(super) type Outcome = Result<Vec<Reply>, StoreError>;

/// One after another. Behind one of which nobody can know whether it took effect none is begun: it would be built on what is
/// perhaps not on the disk.
pub(super) fn each_until_unknown(
    batches: &[Batch],
    mut apply: impl FnMut(&Batch) -> Outcome,
) -> Vec<Outcome> {
    let mut lost = false;
    let outcomes = batches.iter().map(|batch| match lost {
        true => Err(StoreError::Failed),
        false => {
            let outcome = apply(batch);
            lost = outcome == Err(StoreError::Unknown);
            outcome
        }
    });
    outcomes.collect()
}

/// The core made a batch that no back end takes.
pub(super) fn refuse(batch: &Batch, why: &str) -> Outcome {
    tracing::error!(
        owner = %batch.owner,
        "an error of this program, please report it: a batch that cannot be applied: {why}"
    );
    Err(StoreError::Failed)
}
