//! Rows that a provider has read, and the cursor at which a list continues.

use std::fmt::Debug;
use std::num::NonZeroUsize;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// Where a list continues: JSON that only the provider reads. It becomes part of page tokens byte for byte, so that another
/// process can continue the list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(Box<RawValue>);

impl Cursor {
    /// A cursor from the provider's own form. `None` if the form cannot be expressed in JSON.
    #[must_use]
    pub fn new(position: &impl Serialize) -> Option<Self> {
        serde_json::value::to_raw_value(position).ok().map(Self)
    }

    /// The provider's own form.
    ///
    /// # Errors
    /// If the cursor was not made by [`Self::new`] from the same form.
    pub fn parse<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_str(self.0.get())
    }
}

impl PartialEq for Cursor {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for Cursor {}

/// Consecutive rows of a list, and where the list continues after them; `None` at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rows<R> {
    /// The rows.
    pub rows: Vec<R>,
    /// Where the list continues.
    pub next: Option<Cursor>,
}

impl<R> Default for Rows<R> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            next: None,
        }
    }
}

/// How many rows to read of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// A page of at most this many rows. Rows beyond the page are discarded, so no more is read than certainly fits.
    Page(Option<NonZeroUsize>),
    /// At least this many rows, unless the list ends before.
    AtLeast(usize),
    /// The rest of the list.
    All,
}

/// Rows that were read together and are taken in parts. The provider decides where they can be split at no cost, and keeps them in
/// its own form until then.
pub trait Batch<R>: Debug + Send {
    /// How many rows are left.
    fn len(&self) -> usize;

    /// Whether no row is left.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the list continues after all rows of the batch; `None` at its end.
    fn next(&self) -> Option<Cursor>;

    /// Removes and returns the first part: at most `limit` rows, or a number that the provider chooses.
    fn split(&mut self, limit: Option<NonZeroUsize>) -> Rows<R>;

    /// Removes and returns all rows.
    fn take_all(&mut self) -> Rows<R>;
}

impl<R: Debug + Send> Batch<R> for Rows<R> {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn next(&self) -> Option<Cursor> {
        self.next.clone()
    }

    /// Hands out all rows at once: they cannot be split.
    fn split(&mut self, _: Option<NonZeroUsize>) -> Self {
        std::mem::take(self)
    }

    fn take_all(&mut self) -> Self {
        std::mem::take(self)
    }
}
