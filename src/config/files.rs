//! Reads the files that the configuration names, with clear errors.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// More than any of these files needs: all usual certificate authorities together take 220 KiB.
const MAX_BYTES: u64 = 4 << 20;
/// U+FEFF in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Why a file can't be used.
#[derive(Debug)]
pub(super) enum FileFault {
    Unreadable(io::Error),
    TooLarge,
    Empty,
    Utf16,
    NotUtf8,
}

impl FileFault {
    /// What is wrong, as written after "key: ".
    pub(super) fn what(&self) -> String {
        match self {
            FileFault::Unreadable(error) => format!("can't be read: {}", cause(error)),
            FileFault::TooLarge => "is larger than 4 MiB".to_owned(),
            FileFault::Empty => "is empty".to_owned(),
            FileFault::Utf16 => "is UTF-16".to_owned(),
            FileFault::NotUtf8 => "is not UTF-8".to_owned(),
        }
    }

    /// The same with the path, unless that is empty.
    pub(super) fn what_at(&self, path: &str) -> String {
        let path = if path.is_empty() {
            String::new()
        } else {
            format!(": {path}")
        };
        format!("{}{path}", self.what())
    }

    /// The remedy, if it does not depend on the kind of file.
    pub(super) fn remedy(&self) -> Option<&'static str> {
        matches!(self, FileFault::Utf16 | FileFault::NotUtf8).then_some("save it as UTF-8")
    }
}

/// The cause in plain words.
fn cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "this user may not read it".to_owned(),
        io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
        io::ErrorKind::NotADirectory => "a part of its path is not a directory".to_owned(),
        kind => kind.to_string(),
    }
}

/// The bytes of a file, at least one.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, FileFault> {
    let read = || {
        let mut bytes = Vec::new();
        let file = File::open(path)?;
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let bytes: Vec<u8> = read().map_err(FileFault::Unreadable)?;
    if bytes.is_empty() {
        return Err(FileFault::Empty);
    }
    if bytes.len() as u64 > MAX_BYTES {
        return Err(FileFault::TooLarge);
    }
    Ok(bytes)
}

/// The bytes without the byte order mark that some editors put first.
pub(super) fn without_byte_order_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes)
}

/// The text of a file without a byte order mark; it may be blank.
pub(super) fn text(path: &Path) -> Result<String, FileFault> {
    let bytes = bytes(path)?;
    // UTF-8 text contains no zero bytes; in UTF-16 about half of the bytes of most texts are zero.
    if matches!(&*bytes, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]) || bytes.contains(&0) {
        return Err(FileFault::Utf16);
    }
    let text = without_byte_order_mark(&bytes);
    let text = std::str::from_utf8(text).map_err(|_| FileFault::NotUtf8)?;
    Ok(text.to_owned())
}

/// The path as shown in messages; empty if it may be the secret itself, given by mistake instead of a path.
pub(super) fn shown(path: &Path) -> String {
    let is_a_path = path.is_absolute() || path.starts_with(".") || path.starts_with("..");
    if is_a_path || path.exists() {
        path.display().to_string()
    } else {
        String::new()
    }
}
