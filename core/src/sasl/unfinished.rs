//! An account that is brought here from elsewhere in steps, and is not there before the last of them.
//!
//! What the steps keep belongs to nobody who can sign in, because there are no credentials; this row says so, and each step insists on it.
//! Whoever takes the name meanwhile purges what is there, this row included, so that nobody comes into what was brought for another.

use alloc::vec;

use crate::store::{Column, Expect, Field, Kind, Loading, Op, Puts, Row, Shape};
use crate::time::UnixTime;

/// When it was begun, and by which import, one row each. It goes with the last step.
pub static IMPORTS: Shape = Shape {
    name: "imports",
    key: &[],
    columns: &[
        Column::new("begun", Kind::Time),
        // Which import it is: each draws a number.
        Column::new("import", Kind::Int),
    ],
    loading: Loading::Alone,
    puts: Puts::Awaited,
};

/// Reads whether an account is being brought here.
pub(crate) fn get_unfinished() -> Op {
    Op::Get {
        table: &IMPORTS,
        key: Row::default(),
    }
}

/// Which import brings it, by its row; `None` if none does.
pub(crate) fn import_of(row: Option<&Row>) -> Option<i64> {
    match row?.0[..] {
        [Field::Time(_), Field::Int(import)] => Some(import),
        _ => None,
    }
}

/// It is begun, or, with `Expect::Present`, goes on.
pub(crate) fn put_unfinished(import: i64, now: UnixTime, expect: Expect) -> Op {
    Op::Put {
        table: &IMPORTS,
        row: Row(vec![
            Field::Time(now.0.saturating_mul(1000)),
            Field::Int(import),
        ]),
        expect,
    }
}

/// It is there.
pub(crate) fn remove_unfinished() -> Op {
    Op::Delete {
        table: &IMPORTS,
        key: Row::default(),
    }
}
