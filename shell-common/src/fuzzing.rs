//! What the fuzzers do with their bytes beyond the core: one function for each target. `fuzz/` hands them what libFuzzer makes up; the tests here
//! replay `fuzz/corpus`.

mod dns;
#[cfg(test)]
mod tests;

pub use dns::dns;
