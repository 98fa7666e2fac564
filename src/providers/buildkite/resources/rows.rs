//! Converts rows of the API into rows of the model, when they are taken from a batch.

use std::fmt::Debug;
use std::num::NonZeroUsize;

use crate::governance::model::ProfileValue;
use crate::governance::provider::{Amount, Batch, Cursor, Failure, Rows};
use crate::governance::{GovernanceError, PageTokenError};
use crate::providers::buildkite::pagination::{self, Row, min_rows_for};

/// A batch of rows of the API, with the function that converts each.
struct Converted<A, R, F> {
    batch: pagination::Batch<A>,
    convert: F,
    row: std::marker::PhantomData<fn() -> R>,
}

/// The rows of `batch`, each converted by `convert` when it is taken.
pub(super) fn converted<A, R, F>(batch: pagination::Batch<A>, convert: F) -> Box<dyn Batch<R>>
where
    A: Row + Debug + 'static,
    R: 'static,
    F: FnMut(A) -> R + Send + 'static,
{
    Box::new(Converted {
        batch,
        convert,
        row: std::marker::PhantomData,
    })
}

impl<A: Row + Debug, R, F: FnMut(A) -> R + Send> Batch<R> for Converted<A, R, F> {
    fn len(&self) -> usize {
        self.batch.rows.len()
    }

    fn next(&self) -> Option<Cursor> {
        self.batch.next.as_ref().and_then(Cursor::new)
    }

    fn split(&mut self, limit: Option<NonZeroUsize>) -> Rows<R> {
        let part = self.batch.split(limit);
        self.convert(part)
    }

    fn take_all(&mut self) -> Rows<R> {
        let all = std::mem::take(&mut self.batch);
        self.convert(all)
    }
}

impl<A: Row, R, F: FnMut(A) -> R> Converted<A, R, F> {
    fn convert(&mut self, part: pagination::Batch<A>) -> Rows<R> {
        Rows {
            next: part.next.as_ref().and_then(Cursor::new),
            rows: part.rows.into_iter().map(&mut self.convert).collect(),
        }
    }
}

impl<A: Debug, R, F> Debug for Converted<A, R, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Converted").field(&self.batch).finish()
    }
}

/// The rows of a complete list from `from` on, in the order of their ids, each converted by `convert` when it is taken.
///
/// # Errors
/// An invalid page token.
pub(super) fn complete<A, R, F>(rows: Vec<A>, from: Option<Cursor>, convert: F) -> Result<Box<dyn Batch<R>>, Failure>
where
    A: Row + Debug + 'static,
    R: 'static,
    F: FnMut(A) -> R + Send + 'static,
{
    let batch = pagination::rows_after(rows, &position(from)?);
    let batch = batch.ok_or_else(|| Failure::from(GovernanceError::from(PageTokenError)))?;
    Ok(converted(batch, convert))
}

/// The profile fields that have a text.
pub(super) fn texts<const N: usize>(
    fields: [(&'static str, Option<String>); N],
) -> impl Iterator<Item = (&'static str, ProfileValue)> {
    let fields = fields.into_iter();
    fields.filter_map(|(field, value)| Some((field, ProfileValue::Text(value?))))
}

/// The API's cursor. A page token may contain any JSON, so a cursor that no list can produce is rejected.
///
/// # Errors
/// An invalid page token.
pub(super) fn position(from: Option<Cursor>) -> Result<pagination::Cursor, Failure> {
    let Some(cursor) = from else {
        return Ok(pagination::Cursor::Start);
    };
    match cursor.parse::<pagination::Cursor>() {
        Ok(position) if position.is_plausible() => Ok(position),
        _ => Err(Failure::from(GovernanceError::from(PageTokenError))),
    }
}

/// The minimum number of rows that the API reads.
pub(super) fn min_rows(amount: Amount) -> usize {
    match amount {
        Amount::Page(limit) => min_rows_for(limit),
        Amount::AtLeast(rows) => rows,
        Amount::All => usize::MAX,
    }
}
