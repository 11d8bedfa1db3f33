//! Randomness from the operating system: the only place that asks for it.

/// 32 fresh bytes for a shard's `Entropy`.
///
/// # Errors
/// What the operating system says; the server must not start without.
pub fn fresh() -> Result<[u8; 32], getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}
