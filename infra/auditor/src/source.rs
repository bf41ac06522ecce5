use crate::{InvalidManifest, Manifest};
use ledger::{Segment, note::Note};
use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
};

/// The paths of a bundle's files.
pub mod paths {
    pub const MANIFEST: &str = "bundle.json";
    pub const SEGMENTS: &str = "segments";
    pub const CHECKPOINTS: &str = "checkpoints";
    pub const KEYS: &str = "keys";
    pub const KEY: &str = "keys/checkpoint.pub";

    /// The segment whose first event has sequence `first`.
    pub fn segment(first: u64) -> String {
        format!("{SEGMENTS}/{first:012}.jsonl")
    }

    /// The checkpoint of a tree of `size` leaves.
    pub fn checkpoint(size: u64) -> String {
        format!("{CHECKPOINTS}/{size:012}.txt")
    }
}

/// Why a source cannot be verified at all.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("`{file}`: {why}")]
    Io { file: String, why: io::Error },
    #[error("`{}`: {}", paths::MANIFEST, .0)]
    Manifest(#[from] InvalidManifest),
    #[error("`{file}` is not a verifier key: expected `<name>+<id>+<base64>`")]
    Key { file: String },
}

impl Unreadable {
    /// An error of the source itself, such as of its file system.
    pub fn io(file: impl Into<String>, why: io::Error) -> Self {
        Self::Io { file: file.into(), why }
    }

    pub(crate) fn file(&self) -> &str {
        match self {
            Self::Io { file, .. } | Self::Key { file } => file,
            Self::Manifest(_) => paths::MANIFEST,
        }
    }
}

/// The source of a log: a bundle on disk, or a running deployment. Its data is not trusted.
///
/// Files have the same names as in a bundle, for any source.
pub trait Source {
    /// # Errors
    /// [`Unreadable`].
    fn manifest(&mut self) -> Result<Manifest, Unreadable>;

    /// The present segments, listed or not, by the sequence of their first event, ascending.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn segments(&mut self) -> Result<Vec<u64>, Unreadable>;

    /// Replaces `body` by a segment's bytes, at most [`Segment::MAX_LEN`] plus one.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn segment(&mut self, first: u64, body: &mut Vec<u8>) -> Result<(), Unreadable>;

    /// The present checkpoints by size, ascending.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn checkpoints(&mut self) -> Result<Vec<u64>, Unreadable>;

    /// A checkpoint's signed note.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn checkpoint(&mut self, size: u64) -> Result<Vec<u8>, Unreadable>;

    /// The source's own verifier key, as one line.
    ///
    /// # Errors
    /// [`Unreadable`].
    fn key(&mut self) -> Result<String, Unreadable>;
}

/// A bundle on disk.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    fn read(&self, file: &str, limit: usize) -> Result<Vec<u8>, Unreadable> {
        let mut bytes = Vec::new();
        read(&self.0.join(file), limit, &mut bytes).map_err(|why| Unreadable::io(file, why))?;
        Ok(bytes)
    }

    /// The numbers of a folder's files whose names are those of `name`; other files are ignored.
    fn numbers(&self, folder: &str, name: impl Fn(u64) -> String) -> Result<Vec<u64>, Unreadable> {
        let unreadable = |why| Unreadable::io(folder, why);
        let mut numbers = Vec::new();
        for entry in fs::read_dir(self.0.join(folder)).map_err(unreadable)? {
            let file = entry.map_err(unreadable)?.file_name();
            let file = file.to_string_lossy();
            let number = file.split('.').next().and_then(|digits| digits.parse().ok());
            numbers.extend(number.filter(|number| name(*number) == format!("{folder}/{file}")));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// About 600 bytes for a segment of a thousand events: two billion events.
const MAX_MANIFEST: usize = 1 << 30;
const MAX_KEY: usize = 4096;

impl Source for Directory {
    fn manifest(&mut self) -> Result<Manifest, Unreadable> {
        Ok(Manifest::parse(&self.read(paths::MANIFEST, MAX_MANIFEST)?)?)
    }

    fn segments(&mut self) -> Result<Vec<u64>, Unreadable> {
        self.numbers(paths::SEGMENTS, paths::segment)
    }

    fn segment(&mut self, first: u64, body: &mut Vec<u8>) -> Result<(), Unreadable> {
        let file = paths::segment(first);
        read(&self.0.join(&file), Segment::MAX_LEN + 1, body).map_err(|why| Unreadable::io(file, why))
    }

    fn checkpoints(&mut self) -> Result<Vec<u64>, Unreadable> {
        self.numbers(paths::CHECKPOINTS, paths::checkpoint)
    }

    fn checkpoint(&mut self, size: u64) -> Result<Vec<u8>, Unreadable> {
        self.read(&paths::checkpoint(size), Note::MAX_LEN + 1)
    }

    fn key(&mut self) -> Result<String, Unreadable> {
        let bytes = self.read(paths::KEY, MAX_KEY)?;
        String::from_utf8(bytes).map_err(|_| Unreadable::Key { file: paths::KEY.to_owned() })
    }
}

/// Replaces `bytes` by at most `limit` bytes of a file.
fn read(path: &Path, limit: usize, bytes: &mut Vec<u8>) -> io::Result<()> {
    bytes.clear();
    File::open(path)?.take(limit as u64).read_to_end(bytes).map(drop)
}
