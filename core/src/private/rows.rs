//! How private XML is kept: a row for each element.

use crate::store::{Column, Kind, Loading, Puts, Shape};

/// Elements, each known by its namespace and name.
pub static PRIVATE: Shape = Shape {
    name: "private",
    key: &[
        Column::new("namespace", Kind::Text),
        Column::new("name", Kind::Text),
    ],
    columns: &[Column::new("xml", Kind::Xml)],
    loading: Loading::Alone,
    puts: Puts::Awaited,
};
