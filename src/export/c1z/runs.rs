//! Which runs a file holds, and which of them stay.

use rusqlite::{Connection, OptionalExtension, params};

use super::schema::OF_RUNS;
use crate::export::RunType;

/// Finished full runs that a file keeps, the new one included.
const KEPT: i64 = 2;

/// The newest finished full run.
pub(super) fn newest_full(database: &Connection) -> rusqlite::Result<Option<String>> {
    let newest = "select sync_id from v1_sync_runs where ended_at is not null and sync_type = 'full' \
                  order by ended_at desc, id desc limit 1";
    database.query_row(newest, [], |row| row.get(0)).optional()
}

/// Makes room for a run of this type. What stays is the newest finished full runs, so many that there are [`KEPT`] with the new one,
/// and what finished after the newest of them.
pub(super) fn prune(database: &Connection, new: RunType) -> rusqlite::Result<()> {
    let kept = if new == RunType::Full { KEPT - 1 } else { KEPT };
    let dropped = "select sync_id from v1_sync_runs where sync_id not in ( \
                     select sync_id from v1_sync_runs where ended_at is not null and sync_type = 'full' \
                     order by ended_at desc, id desc limit ?1) \
                   and (ended_at is null or sync_type = 'full' or ended_at < coalesce(( \
                     select max(ended_at) from v1_sync_runs where sync_type = 'full'), ''))";
    let dropped: Vec<String> = database
        .prepare(dropped)?
        .query_map(params![kept], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for run in dropped {
        for table in OF_RUNS.iter().map(|table| table.name).chain(["v1_sync_runs"]) {
            database.execute(&format!("delete from {table} where sync_id = ?1"), [&run])?;
        }
    }
    Ok(())
}

/// Gives the space of what was dropped back, where that is worth rewriting the file.
pub(super) fn shrink(database: &Connection) -> rusqlite::Result<()> {
    let pages = |pragma| database.query_row(&format!("pragma {pragma}"), [], |row| row.get::<_, i64>(0));
    if pages("freelist_count")? * 4 > pages("page_count")? {
        database.execute_batch("vacuum")?;
    }
    Ok(())
}
