//! A list server that changes, and clients that read its list.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use crate::providers::buildkite::api::endpoint::Endpoint;
use crate::providers::buildkite::pagination::*;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    created_at: String,
    /// Whether the row has a creation time, as rows of organization members do not.
    pub(crate) dated: bool,
}

impl Row for Entry {
    fn id(&self) -> Uuid {
        self.id
    }

    fn created_at(&self) -> Option<&str> {
        self.dated.then_some(&self.created_at)
    }
}

/// How a server handles `page` and `per_page`, and whether it sends a `Link`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paging {
    Honoured,
    PerPageIgnored,
    PageIgnored,
    BothIgnored,
    CappedAt(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linking {
    Right,
    /// With the last page, so that the length is known.
    WithLast,
    Never,
    AlwaysNext,
}

/// A change of the list before the next response.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    Nothing,
    Insert(usize),
    Delete(usize),
    /// Deletes this many rows from an index on.
    DeleteMany(usize, usize),
    ReAdd(usize),
    /// Deletes rows at the front, and moves the row after them to the end.
    DeleteManyAndReAdd(usize),
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) rows: Vec<Entry>,
    pub(crate) paging: Paging,
    pub(crate) linking: Linking,
    pub(crate) newest_first: bool,
    pub(crate) dated: bool,
    pub(crate) edits: Vec<Edit>,
    pub(crate) lie: Option<Lie>,
    pub(crate) made: u128,
    pub(crate) requests: usize,
}

/// Incorrect responses.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lie {
    /// Number of the first incorrect response, from 1.
    pub(crate) from: usize,
    /// Number of incorrect responses.
    pub(crate) times: usize,
    /// Affects only windows from this offset on.
    pub(crate) behind: u32,
    /// Number of rows returned.
    pub(crate) rows: usize,
    /// Whether the response keeps its `Link`.
    pub(crate) linked: bool,
}

impl Server {
    pub(crate) fn new(rows: usize, paging: Paging, linking: Linking) -> Self {
        let mut server = Self {
            rows: vec![],
            paging,
            linking,
            newest_first: false,
            dated: true,
            edits: vec![],
            lie: None,
            made: 0,
            requests: 0,
        };
        for _ in 0..rows {
            let row = server.make();
            server.rows.push(row);
        }
        server
    }

    fn make(&mut self) -> Entry {
        self.made += 1;
        // Ids in another order than the list, so that sorting by id and reading in order differ.
        let id = Uuid::new_v5(&Uuid::nil(), &self.made.to_be_bytes());
        Entry {
            id,
            created_at: format!("t{}", self.made),
            dated: self.dated,
        }
    }

    fn edit(&mut self, edit: &Edit) {
        match *edit {
            Edit::Insert(at) => {
                let row = self.make();
                // Inserted where new rows go, or anywhere: the reader relies only on the order of the others.
                let at = if self.newest_first {
                    0
                } else {
                    at % (self.rows.len() + 1)
                };
                self.rows.insert(at, row);
            }
            Edit::Delete(at) if !self.rows.is_empty() => {
                self.rows.remove(at % self.rows.len());
            }
            Edit::DeleteMany(at, many) => {
                let start = at % (self.rows.len() + 1);
                let end = self.rows.len().min(start + many);
                self.rows.drain(start..end);
            }
            Edit::DeleteManyAndReAdd(many) => {
                self.edit(&Edit::DeleteMany(0, many));
                self.edit(&Edit::ReAdd(0));
            }
            Edit::ReAdd(at) if !self.rows.is_empty() => {
                let mut row = self.rows.remove(at % self.rows.len());
                self.made += 1;
                row.created_at = format!("t{}", self.made);
                let at = if self.newest_first { 0 } else { self.rows.len() };
                self.rows.insert(at, row);
            }
            _ => {}
        }
    }

    pub(crate) fn respond(&mut self, window: Window) -> ListPage<Entry> {
        self.requests += 1;
        assert!(
            self.requests < 5_000,
            "an endless reading of {} rows: {:?}, {:?}",
            self.rows.len(),
            self.paging,
            self.linking
        );
        if let Some(edit) = self.edits.pop() {
            self.edit(&edit);
        }
        let (page, per_page) = match self.paging {
            Paging::Honoured => (window.page, window.per_page),
            Paging::PerPageIgnored => (window.page, Window::DEFAULT),
            Paging::PageIgnored => (1, window.per_page),
            Paging::BothIgnored => (1, u32::MAX),
            Paging::CappedAt(cap) => (window.page, window.per_page.min(cap)),
        };
        let offset = (page - 1) as usize * per_page as usize;
        let rows: Vec<Entry> = self.rows.iter().skip(offset).take(per_page as usize).cloned().collect();
        let more = offset + rows.len() < self.rows.len();
        let length = u32::try_from(self.rows.len()).unwrap();
        let link = match self.linking {
            Linking::WithLast => Link {
                present: true,
                next: more,
                last: Some(length.div_ceil(per_page).max(1)),
            },
            Linking::Right => Link {
                present: true,
                next: more,
                last: None,
            },
            Linking::Never => Link::default(),
            Linking::AlwaysNext => Link {
                present: true,
                next: true,
                last: None,
            },
        };
        let mut answer = ListPage { rows, link };
        if let Some(lie) = self.lie
            && (lie.from..lie.from + lie.times).contains(&self.requests)
            && window.offset() >= lie.behind
        {
            answer.rows.truncate(lie.rows);
            if !lie.linked {
                answer.link = Link::default();
            }
        }
        answer
    }
}

/// A server that handles concurrent requests and responds in its own order.
pub(crate) struct Shared {
    pub(crate) server: Mutex<Server>,
    pub(crate) concurrency: usize,
}

impl ListSource<Entry> for Shared {
    fn concurrency(&self) -> usize {
        self.concurrency
    }

    async fn window(&self, window: Window) -> Result<ListPage<Entry>, ApiError> {
        for _ in 0..window.page * 7 % 5 {
            tokio::task::yield_now().await;
        }
        Ok(self.server.lock().unwrap().respond(window))
    }

    fn error(&self, kind: ApiErrorKind) -> ApiError {
        ApiError::new(Endpoint::Teams, kind)
    }
}

/// Reads the complete list in batches; each cursor is serialised and parsed.
pub(crate) fn read_all(server: Server, min_rows: usize) -> (Result<Vec<Entry>, ApiError>, Server) {
    read_concurrently(server, 1, min_rows)
}

pub(crate) fn read_concurrently(
    server: Server,
    concurrency: usize,
    min_rows: usize,
) -> (Result<Vec<Entry>, ApiError>, Server) {
    read_limited(server, concurrency, min_rows, None)
}

/// Also splits batches into pages of at most `limit` rows. If `min_rows` exceeds such a page, the rest of a batch is
/// kept for the next page; otherwise each page continues from its token alone.
pub(crate) fn read_limited(
    server: Server,
    concurrency: usize,
    min_rows: usize,
    limit: Option<usize>,
) -> (Result<Vec<Entry>, ApiError>, Server) {
    let server = Mutex::new(server);
    let shared = Shared { server, concurrency };
    let limit = limit.and_then(NonZeroUsize::new);
    let keeps = limit.is_none_or(|limit| min_rows > limit.get());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rows = runtime.block_on(async {
        let mut rows = Vec::new();
        let mut cursor = Cursor::Start;
        loop {
            let mut batch = read(&shared, cursor, min_rows).await?;
            let mut part = batch.split(limit);
            while keeps && !batch.rows.is_empty() {
                rows.extend(part.rows);
                part = batch.split(limit);
            }
            assert!(limit.is_none_or(|limit| part.rows.len() <= limit.get()));
            rows.extend(part.rows);
            match part.next {
                Some(next) => cursor = serde_json::from_str(&serde_json::to_string(&next).unwrap()).unwrap(),
                None => return Ok(rows),
            }
        }
    });
    (rows, shared.server.into_inner().unwrap())
}
