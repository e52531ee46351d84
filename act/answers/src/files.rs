//! Files of a folder: found below it and nowhere else, answered with ranges, conditions, and the coding that lies
//! beside them.
//!
//! The system resolves the path (`openat2`, `RESOLVE_BENEATH`), so that neither `..` nor a link leads out of the
//! folder, whoever changes it meanwhile. Names that begin with a dot are not there, `.well-known` excepted: they
//! are where tools keep what is nobody's business.

use crate::answer::{Answer, Content};
use naru_wire::{Coding, FileAnswer, FileAsk, Stored, is_compressible};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A folder whose files are answers.
pub struct Folder {
    files: naru_model::Files,
    /// `Cache-Control`, whole, where clients may keep answers.
    keep: String,
}

/// The fields of a request that matter here.
pub struct Wanted<'a> {
    /// Its method.
    pub method: &'a str,
    /// Path and query, as they came.
    pub target: &'a str,
    /// The first value of a field, by its name in any case.
    pub field: &'a dyn Fn(&str) -> Option<&'a [u8]>,
}

/// A file that was found, as it is stored.
struct Found {
    file: File,
    about: Metadata,
    coding: Option<Coding>,
}

impl Folder {
    /// A folder as a rule describes it.
    pub fn new(files: &naru_model::Files) -> Folder {
        let age = files.max_age.map(|age| format!("Cache-Control: max-age={}\r\n", age.0 / 1000));
        Folder { files: files.clone(), keep: age.unwrap_or_default() }
    }

    /// What the client gets.
    pub fn answer(&self, wanted: &Wanted<'_>) -> Answer {
        if !matches!(wanted.method, "GET" | "HEAD") {
            return Answer::told(405, "files can be read only").with("Allow", "GET, HEAD");
        }
        let (path, query) = match wanted.target.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (wanted.target, None),
        };
        let Some(name) = below(path.strip_prefix(self.files.strip.trim_end_matches('/')).unwrap_or(path))
        else {
            return Answer::told(404, "there is no such file");
        };
        let accept = (wanted.field)("accept-encoding").unwrap_or_default();
        match self.open(&name, path, accept) {
            Ok(Opened::File(found, kind)) => self.send(*found, &kind, wanted),
            Ok(Opened::Folder) => {
                let query = query.map(|query| format!("?{query}")).unwrap_or_default();
                // Relative, so that neither host nor scheme has to be known; one slash, so that it is no host.
                let last = path.rsplit('/').next().unwrap_or_default();
                Answer::bare(301, format!("Location: ./{last}/{query}\r\n"))
            }
            Err(error) => refusal(&error),
        }
    }

    fn open(&self, name: &str, path: &str, accept: &[u8]) -> io::Result<Opened> {
        let found = match self.lookup(name, accept) {
            Ok(found) if found.0.about.is_dir() && path.ends_with('/') => {
                self.lookup(&join(name, &self.files.index), accept)
            }
            Ok(found) if found.0.about.is_dir() => return Ok(Opened::Folder),
            other => other,
        };
        let (found, kind) = match (found, &self.files.fallback) {
            (Err(error), Some(fallback)) if is_absent(&error) => self.lookup(fallback, accept)?,
            (found, _) => found?,
        };
        if found.about.is_file() {
            Ok(Opened::File(Box::new(found), kind))
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    /// Opens a file, or the form of it that the client prefers and that lies beside it. Also its type.
    fn lookup(&self, name: &str, accept: &[u8]) -> io::Result<(Found, String)> {
        let kind = mime_guess::from_path(name).first_or_octet_stream();
        let text = kind.type_() == "text" && kind.get_param("charset").is_none();
        let kind = if text { format!("{kind}; charset=utf-8") } else { kind.to_string() };
        let plain = self.open_below(name)?;
        let about = plain.metadata()?;
        let mut offered = Coding::ALL.to_vec();
        while about.is_file() && !accept.is_empty() && is_compressible(kind.as_bytes()) {
            let Some(coding) = Coding::accepted(accept, &offered) else { break };
            if let Ok(file) = self.open_below(&format!("{name}{}", coding.extension()))
                && let Ok(coded) = file.metadata()
                // One that is older than the file was made from another.
                && coded.is_file() && coded.modified()? >= about.modified()?
            {
                return Ok((Found { file, about: coded, coding: Some(coding) }, kind));
            }
            offered.retain(|other| *other != coding);
        }
        Ok((Found { file: plain, about, coding: None }, kind))
    }

    fn open_below(&self, name: &str) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let folder_flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat2(CWD, &*self.files.root, folder_flags, Mode::empty(), ResolveFlags::empty())?;
        let name = if name.is_empty() { "." } else { name };
        let inside: OwnedFd = openat2(&root, name, flags, Mode::empty(), ResolveFlags::BENEATH)?;
        Ok(inside.into())
    }

    fn send(&self, found: Found, kind: &str, wanted: &Wanted<'_>) -> Answer {
        let modified = found.about.modified().unwrap_or(UNIX_EPOCH);
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let salt = found.coding.map(|coding| format!("-{coding}")).unwrap_or_default();
        // The inode tells a file that was replaced within the clock's grain.
        let stored = Stored::new(
            found.about.len(),
            since.as_nanos() as u64,
            &format!("-{:x}{salt}", found.about.ino()),
        );
        let date = |name: &str| seconds((wanted.field)(name)?);
        let ask = FileAsk {
            if_match: (wanted.field)("if-match"),
            if_none_match: (wanted.field)("if-none-match"),
            if_modified_since: date("if-modified-since"),
            if_unmodified_since: date("if-unmodified-since"),
            if_range: (wanted.field)("if-range"),
            range: (wanted.field)("range").filter(|_| wanted.method == "GET"),
        };
        let mut lines =
            format!("ETag: {}\r\nLast-Modified: {}\r\n", stored.tag, httpdate::fmt_http_date(modified));
        lines += &self.keep;
        if is_compressible(kind.as_bytes()) {
            lines += "Vary: Accept-Encoding\r\n";
        }
        let (start, length, status) = match stored.answer(&ask) {
            FileAnswer::Whole => (0, stored.length, 200),
            FileAnswer::Part { start, length } => (start, length, 206),
            FileAnswer::NotModified => return Answer::bare(304, lines),
            FileAnswer::Failed => return Answer::told(412, "the file is another by now"),
            FileAnswer::NotSatisfiable => {
                let all = format!("bytes */{}", stored.length);
                return Answer::told(416, "the file does not have these bytes").with("Content-Range", &all);
            }
        };
        lines.extend([
            "Accept-Ranges: bytes\r\nX-Content-Type-Options: nosniff\r\nContent-Type: ",
            kind,
            "\r\n",
        ]);
        if let Some(coding) = found.coding {
            lines.extend(["Content-Encoding: ", coding.name(), "\r\n"]);
        }
        if status == 206 {
            let last = start + length - 1;
            lines += &format!("Content-Range: bytes {start}-{last}/{}\r\n", stored.length);
        }
        Answer { status, reason: "", lines, body: Content::File { file: found.file, start, length } }
    }
}

/// What lies at a path.
enum Opened {
    File(Box<Found>, String),
    Folder,
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn refusal(error: &io::Error) -> Answer {
    if is_absent(error) || error.raw_os_error() == Some(libc::EXDEV) {
        return Answer::told(404, "there is no such file");
    }
    tracing::warn!(%error, "a file cannot be read");
    match error.kind() {
        io::ErrorKind::PermissionDenied => Answer::told(403, "the file may not be read"),
        _ => Answer::told(500, "the file cannot be read"),
    }
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.into() } else { format!("{folder}/{name}") }
}

/// The name of a file below the folder, decoded. `None` where no file can have it.
fn below(path: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(path).decode_utf8().ok()?;
    let mut name = String::with_capacity(decoded.len());
    for segment in decoded.split('/').filter(|segment| !segment.is_empty()) {
        if segment.contains('\0') || (segment.starts_with('.') && segment != ".well-known") {
            return None;
        }
        if !name.is_empty() {
            name.push('/');
        }
        name += segment;
    }
    Some(name)
}

/// A date of HTTP, in seconds since 1970.
fn seconds(value: &[u8]) -> Option<u64> {
    let date: SystemTime = httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()?;
    date.duration_since(UNIX_EPOCH).ok().as_ref().map(Duration::as_secs)
}

#[cfg(test)]
mod tests {
    use super::below;

    #[test]
    fn names_stay_below_the_folder() {
        for (path, name) in [("/", ""), ("/a/b.txt", "a/b.txt"), ("//a///b", "a/b"), ("/%61%20b", "a b")] {
            assert_eq!(below(path).as_deref(), Some(name), "{path}");
        }
        for path in ["/../a", "/a/..", "/%2e%2e/a", "/.git/config", "/a/%00", "/a%2f..%2fb", "/%ff"] {
            assert_eq!(below(path), None, "{path}");
        }
        assert_eq!(below("/.well-known/x").as_deref(), Some(".well-known/x"));
    }
}
