//! The server, and clients that read its list.

use std::num::NonZeroUsize;
use std::sync::Mutex;

use crate::providers::buildkite::api::endpoint::Endpoint;
use crate::providers::buildkite::pagination::*;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) id: Uuid,
    since: String,
    /// Whether the row tells when it began, as rows of people do not.
    pub(crate) dated: bool,
}

impl Row for Entry {
    fn id(&self) -> Uuid {
        self.id
    }

    fn since(&self) -> Option<&str> {
        self.dated.then_some(&self.since)
    }
}

/// How a server understands `page` and `per_page`, and whether it sends a Link.
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
    /// The last page is named as well, so that the length is known.
    WithLast,
    Never,
    AlwaysNext,
}

/// What happens to the list before the next window is answered.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    Nothing,
    Insert(usize),
    Delete(usize),
    /// So many rows from a place on.
    DeleteMany(usize, usize),
    ReAdd(usize),
    /// Rows go from the front, and the row behind them goes too and comes again at the end.
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
    pub(crate) asked: usize,
}

/// Answers that are not true.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lie {
    /// The first of them, counted from 1.
    pub(crate) from: usize,
    /// How many they are.
    pub(crate) times: usize,
    /// Only windows behind this row are struck.
    pub(crate) behind: u32,
    /// So many rows are shown.
    pub(crate) rows: usize,
    /// Whether the answer keeps its Link.
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
            asked: 0,
        };
        for _ in 0..rows {
            let row = server.make();
            server.rows.push(row);
        }
        server
    }

    fn make(&mut self) -> Entry {
        self.made += 1;
        // Ids that do not follow the order of the list, so that sorting by id and reading in order differ.
        let id = Uuid::new_v5(&Uuid::nil(), &self.made.to_be_bytes());
        Entry {
            id,
            since: format!("t{}", self.made),
            dated: self.dated,
        }
    }

    fn edit(&mut self, edit: &Edit) {
        match *edit {
            Edit::Insert(at) => {
                let row = self.make();
                // Inserted at the end that new rows go to, or anywhere: the reader's premise is only that others stay in order.
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
                row.since = format!("t{}", self.made);
                let at = if self.newest_first { 0 } else { self.rows.len() };
                self.rows.insert(at, row);
            }
            _ => {}
        }
    }

    pub(crate) fn answer(&mut self, window: Window) -> Answer<Entry> {
        self.asked += 1;
        assert!(
            self.asked < 5_000,
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
        let mut answer = Answer { rows, link };
        if let Some(lie) = self.lie
            && (lie.from..lie.from + lie.times).contains(&self.asked)
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

/// A server that is asked for several windows together, and answers them in an order of its own.
pub(crate) struct Shared {
    pub(crate) server: Mutex<Server>,
    pub(crate) together: usize,
}

impl Windows<Entry> for Shared {
    fn together(&self) -> usize {
        self.together
    }

    async fn window(&self, window: Window) -> Result<Answer<Entry>, ApiError> {
        for _ in 0..window.page * 7 % 5 {
            tokio::task::yield_now().await;
        }
        Ok(self.server.lock().unwrap().answer(window))
    }

    fn trouble(&self, trouble: ApiErrorKind) -> ApiError {
        ApiError::new(Endpoint::Teams, trouble)
    }
}

/// Reads the whole list in batches, each position having gone through its serialised form.
pub(crate) fn read_all(server: Server, enough: usize) -> (Result<Vec<Entry>, ApiError>, Server) {
    read_together(server, 1, enough)
}

pub(crate) fn read_together(server: Server, together: usize, enough: usize) -> (Result<Vec<Entry>, ApiError>, Server) {
    read_limited(server, together, enough, None)
}

/// The same, and handed out in parts of `limit` rows at most. Where `enough` rows are more than such a part, what is left of a
/// batch is kept for the next part; else each part goes on from its token alone.
pub(crate) fn read_limited(
    server: Server,
    together: usize,
    enough: usize,
    limit: Option<usize>,
) -> (Result<Vec<Entry>, ApiError>, Server) {
    let server = Mutex::new(server);
    let shared = Shared { server, together };
    let limit = limit.and_then(NonZeroUsize::new);
    let keeps = limit.is_none_or(|limit| enough > limit.get());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let rows = runtime.block_on(async {
        let mut rows = Vec::new();
        let mut position = Cursor::Start;
        loop {
            let mut batch = read(&shared, position, enough).await?;
            let mut part = batch.cut(limit);
            while keeps && !batch.rows.is_empty() {
                rows.extend(part.rows);
                part = batch.cut(limit);
            }
            assert!(limit.is_none_or(|limit| part.rows.len() <= limit.get()));
            rows.extend(part.rows);
            match part.next {
                Some(next) => position = serde_json::from_str(&serde_json::to_string(&next).unwrap()).unwrap(),
                None => return Ok(rows),
            }
        }
    });
    (rows, shared.server.into_inner().unwrap())
}
