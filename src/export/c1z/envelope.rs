//! The envelope of a c1z: the bytes around its database.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use crate::export::ExportError;

/// The first bytes of a c1z of any version; the fourth byte is the version's.
const FAMILY: &[u8; 3] = b"C1Z";
const V1: &[u8; 5] = b"C1ZF\0";
const V3: &[u8; 5] = b"C1Z3\0";

/// The first bytes of an `SQLite` database.
const SQLITE: &[u8] = b"SQLite format 3\0";

/// The bytes of the database header that name the journal mode, and their value for a database without a write-ahead log.
const JOURNAL_MODE: std::ops::Range<usize> = 18..20;
const NO_WRITE_AHEAD_LOG: u8 = 1;

/// Limits that every reader of the format applies: to the zstd window, as a power of two, and to the database.
const MAX_WINDOW_LOG: u32 = 27;
const MAX_DATABASE: usize = 10 << 30;

/// The level that every writer of the format uses: speed counts, because a file lives only until the next sync.
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
    // Readers allocate the size that the frame declares.
    stream.include_contentsize(true)?;
    stream.set_pledged_src_size(Some(size))?;
    io::copy(&mut database, &mut stream)?;
    stream.finish()?.sync_all()
}

/// Copies the database of the c1z at `path` into `database`. Returns `None` if the file is empty or absent.
///
/// # Errors
/// `Refused` if the file is not a c1z of version 1, or the failure to write `database`.
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
        .window_log_max(MAX_WINDOW_LOG)
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
    // A database in a c1z is complete without a write-ahead log, which a c1z cannot contain. Some writers leave its mode set.
    if let Some(journal) = header.get_mut(JOURNAL_MODE) {
        journal.fill(NO_WRITE_AHEAD_LOG);
    }
    let failed = |error| ExportError::write(path, error);
    database.write_all(&header).map_err(failed)?;
    let (mut buffer, mut copied) = (vec![0; 1 << 17], 0);
    loop {
        // A read error means a damaged file; a write error means a problem of the disk.
        let read = stream.read(&mut buffer).map_err(|error| unreadable(path, &error))?;
        let Some(part) = buffer.get(..read).filter(|part| !part.is_empty()) else {
            return Ok(Some(()));
        };
        copied += read;
        if copied > MAX_DATABASE {
            return Err(ExportError::refused(
                path,
                "holds more than 10 GiB, which no reader accepts",
            ));
        }
        database.write_all(part).map_err(failed)?;
    }
}

fn unreadable(path: &Path, error: &io::Error) -> ExportError {
    ExportError::refused(path, format!("cannot be read as a c1z ({error}): give another path"))
}
