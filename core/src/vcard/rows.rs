//! How cards are kept: a row for each account that has one.

use crate::store::{Column, Kind, Loading, Puts, Shape};

/// The card of an account.
pub static VCARD: Shape = Shape {
    name: "vcard",
    key: &[],
    columns: &[Column::new("xml", Kind::Xml)],
    loading: Loading::Alone,
    puts: Puts::Awaited,
};
