//! What clients keep with the server for themselves (XEP-0049: Private XML Storage).

mod rows;

pub use rows::PRIVATE;
