//! The bytes around the database.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::export::ExportError;

/// What every c1z begins with; the fourth byte is the version's.
const FAMILY: &[u8; 3] = b"C1Z";
const V1: &[u8; 5] = b"C1ZF\0";
const V3: &[u8; 5] = b"C1Z3\0";

/// What the database begins with.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Where the database says how it is journalled, and what says "by no log beside it".
const JOURNAL: std::ops::Range<usize> = 18..20;
const NO_LOG: u8 = 1;

/// Limits that every reader of the format sets: of the window, as a power of two, and of the database.
const WINDOW_LOG: u32 = 27;
const LARGEST: usize = 10 << 30;

/// As every writer of the format: speed counts, since these files live until the next sync.
const LEVEL: i32 = 1;

/// Whether a file begins as a c1z of any version does.
pub(in crate::export) fn is_c1z(beginning: &[u8]) -> bool {
    beginning.starts_with(FAMILY)
}

/// Writes the database as a c1z and waits until it is on the disk.
pub(super) fn pack(mut database: &File, mut out: File) -> io::Result<()> {
    let size = database.metadata()?.len();
    database.seek(SeekFrom::Start(0))?;
    out.write_all(V1)?;
    let mut stream = zstd::Encoder::new(out, LEVEL)?;
    // Readers take the frame's own word for how much memory it needs.
    stream.include_contentsize(true)?;
    stream.set_pledged_src_size(Some(size))?;
    io::copy(&mut database, &mut stream)?;
    stream.finish()?.sync_all()
}

/// Copies the database of the c1z at `path` into `database`; none where the file is empty or not there.
///
/// # Errors
/// Refused where it is not a c1z of version 1; otherwise where `database` cannot be written.
pub(super) fn unpack(path: &Path, database: &mut File) -> Result<Option<()>, ExportError> {
    let mut file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unreadable(path, &error)),
    };
    let mut magic = Vec::new();
    let read = file.by_ref().take(V1.len() as u64).read_to_end(&mut magic);
    read.map_err(|error| unreadable(path, &error))?;
    match magic.as_slice() {
        [] => return Ok(None),
        magic if magic == V1 => {}
        magic if magic == V3 => {
            return Err(ExportError::refused(
                path,
                "is a c1z of version 3, which only the Baton SDK reads and writes: give another path, or convert it with `baton`",
            ));
        }
        _ => return Err(ExportError::refused(path, "is not a c1z: give another path")),
    }
    let mut stream = zstd::Decoder::with_buffer(file).map_err(|error| unreadable(path, &error))?;
    stream
        .window_log_max(WINDOW_LOG)
        .map_err(|error| unreadable(path, &error))?;
    let mut header = Vec::new();
    let read = stream.by_ref().take(100).read_to_end(&mut header);
    read.map_err(|error| unreadable(path, &error))?;
    if !header.starts_with(SQLITE) {
        return Err(ExportError::refused(
            path,
            "holds no database and is damaged: give another path",
        ));
    }
    // A database that was written by way of a log is whole without it once it is in a c1z, where no log can follow it.
    if let Some(journal) = header.get_mut(JOURNAL) {
        journal.fill(NO_LOG);
    }
    let failed = |error| ExportError::write(path, error);
    database.write_all(&header).map_err(failed)?;
    let (mut buffer, mut copied) = (vec![0; 1 << 17], 0);
    loop {
        // A stream that is damaged is the file's fault, a copy that cannot be written is the disk's.
        let read = stream.read(&mut buffer).map_err(|error| unreadable(path, &error))?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
            return Ok(Some(()));
        };
        copied += read;
        if copied > LARGEST {
            return Err(ExportError::refused(
                path,
                "holds more than 10 GiB, which no reader takes",
            ));
        }
        database.write_all(part).map_err(failed)?;
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ExportError {
    ExportError::refused(path, format!("cannot be read as a c1z ({error}): give another path"))
}
