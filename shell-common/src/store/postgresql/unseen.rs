//! What is not there takes as long as what is: as `sqlite/unseen.rs` has it, in one statement that reads two rows for everybody. One is the own,
//! or that of who stands in; the other is another's, with little in it if that one has much, and with much if it has little.

use spondee_core::jid::BareJid;
use spondee_core::store::{Reply, Table};

use super::connect::Ask;
use super::faults::Answer;
use super::fields::{Param, read_row};
use super::reads::Found;
use super::sql::TableSql;
use crate::store::unseen::{Fill, StandIns};

pub(super) fn ask<'a>(sql: &'a TableSql, stand_ins: &StandIns, owner: &'a BareJid) -> Ask<'a> {
    let domain = owner.domain();
    let place = stand_ins.in_place_of(owner).map(|(_, id)| id);
    let beside = [Fill::Full, Fill::Sparse].map(|fill| stand_ins.get(domain, fill));
    let numbers = [place].into_iter().chain(beside);
    let numbers = numbers.map(|id| id.map_or(Param::Null, Param::Number));
    let params = [Param::text(owner.as_str())].into_iter().chain(numbers);
    Ask::new(&sql.get_unseen, params.collect())
}

pub(super) fn read(table: Table, found: &Found, stand_ins: &StandIns, owner: &BareJid) -> Answer {
    let domain = owner.domain();
    let (mut own, mut instead, mut beside) = (None, None, None);
    for row in found {
        let (which, of): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
        let row = read_row(table, row, 2)?;
        let fill = Fill::of(&row);
        // The database says whose it is: who stands in may be another by now, as several are asked for together.
        match which {
            1 => own = Some((row, of, fill)),
            2 => instead = Some(fill),
            _ => beside = Some(fill),
        }
    }
    let fill = own.as_ref().map(|(_, _, fill)| *fill).or(instead);
    let row = own.map(|(row, of, fill)| {
        stand_ins.learn(owner, of, fill);
        row
    });
    if let Some((kind, _)) = stand_ins.in_place_of(owner)
        && row.is_none()
        && instead != Some(kind)
    {
        // It has changed, or is gone.
        stand_ins.forget(domain, kind);
    }
    let other = fill.unwrap_or(Fill::Full).other();
    if beside != Some(other) {
        stand_ins.forget(domain, other);
    }
    Ok(Reply::Row(row))
}
