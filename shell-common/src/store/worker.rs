//! The writer thread with adaptive group commit, and the readers beside it.
