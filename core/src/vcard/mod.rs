//! Cards of users (XEP-0054: vcard-temp).

mod rows;

pub use rows::VCARD;
