//! The copies on disk: a file of NARU_HOME for each address, named by its digest, that only its owner may read.

use crate::address::Address;
use naru_model::ContentId;
use naru_schedule::{Holidays, holidays};
use serde::{Deserialize, Serialize};
use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use tempfile::NamedTempFile;

/// The folder's name in NARU_HOME.
const FOLDER: &str = "calendars";

/// What was not good for anything for so long goes.
const KEPT: Duration = Duration::from_secs(400 * 24 * 3600);

/// The copies of one home.
pub(crate) struct Copies {
    folder: PathBuf,
}

/// A calendar as it came.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Calendar {
    pub text: String,
    /// By what the other side tells whether it has another one by now.
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

/// A copy of a calendar.
pub(crate) struct Copy {
    pub calendar: Calendar,
    pub holidays: Holidays,
    /// When the other side last said that it is so.
    pub at: SystemTime,
}

impl Copies {
    pub fn of(home: &Path) -> Copies {
        Copies { folder: home.join(FOLDER) }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The copy of what is at an address. One that cannot be read is none: there will be another.
    pub fn find(&self, address: &Address) -> Option<Copy> {
        let path = self.path(address);
        let at = fs::metadata(&path).and_then(|about| about.modified()).ok()?;
        let calendar: Calendar = serde_json::from_slice(&fs::read(&path).ok()?).ok()?;
        let holidays = good(&calendar.text).ok()?;
        Some(Copy { calendar, holidays, at })
    }

    /// Keeps a calendar, whole or not at all, in place of the copy before.
    pub fn keep(&self, address: &Address, calendar: &Calendar) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        // Only its owner may read it.
        let mut file = NamedTempFile::new_in(&self.folder)?;
        file.write_all(&serde_json::to_vec(calendar)?)?;
        file.as_file().sync_data()?;
        file.persist(self.path(address))?;
        self.sweep();
        Ok(())
    }

    /// The copy is as good as a new one.
    pub fn confirm(&self, address: &Address) -> io::Result<()> {
        File::options().append(true).open(self.path(address))?.set_modified(SystemTime::now())
    }

    fn path(&self, address: &Address) -> PathBuf {
        let whole = format!("{} {}", address.authorization.as_deref().unwrap_or_default(), address.whole());
        self.folder.join(format!("{}.json", ContentId::of(whole.as_bytes()).as_str()))
    }

    /// Copies of addresses that no file names any more, and what a killed process left. What cannot be removed may stay.
    fn sweep(&self) {
        let now = SystemTime::now();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let modified = entry.metadata().and_then(|about| about.modified());
            if modified.is_ok_and(|at| now.duration_since(at).is_ok_and(|age| age > KEPT)) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// The days of a calendar that is worth being kept. The error says why it is not.
pub(crate) fn good(text: &str) -> Result<Holidays, String> {
    let found = holidays(text)?;
    match found.days.is_empty() {
        true => Err("it has no all-day event from 2020 on".into()),
        false => Ok(found),
    }
}

#[cfg(test)]
mod tests {
    use super::{Calendar, Copies, KEPT};
    use crate::address::Address;
    use std::fs::{self, File};
    use std::os::unix::fs::PermissionsExt;
    use std::time::SystemTime;

    const TEXT: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20261225\r\nEND:VEVENT\r\n\
                        END:VCALENDAR\r\n";

    #[test]
    fn copies_are_their_owner_s_and_each_address_has_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let copies = Copies::of(&dir.path().join("home"));
        let address = |written: &str| Address::read(written).unwrap();
        let [kr, us] = ["https://example.com/kr.ics?secret", "https://mina:secret@example.com/kr.ics?secret"]
            .map(address);
        assert!(copies.find(&kr).is_none());
        copies.keep(&kr, &Calendar { text: TEXT.into(), ..Calendar::default() }).unwrap();
        assert_eq!(copies.find(&kr).unwrap().holidays.days, ["2026-12-25"]);
        assert!(copies.find(&us).is_none(), "somebody else sees something else there");
        let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(copies.folder()), mode(&copies.path(&kr))), (0o700, 0o600));
        let names: Vec<_> =
            fs::read_dir(copies.folder()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert!(names.len() == 1 && !format!("{names:?}").contains("secret"), "{names:?}");
        // One that cannot be read is none.
        fs::write(copies.path(&kr), "{").unwrap();
        assert!(copies.find(&kr).is_none());
    }

    #[test]
    fn what_nobody_asks_for_any_more_goes() {
        let dir = tempfile::tempdir().unwrap();
        let copies = Copies::of(dir.path());
        let all = ["https://example.com/a", "https://example.com/b"].map(|one| Address::read(one).unwrap());
        copies.keep(&all[0], &Calendar { text: TEXT.into(), ..Calendar::default() }).unwrap();
        let old = SystemTime::now() - KEPT * 2;
        File::options().append(true).open(copies.path(&all[0])).unwrap().set_modified(old).unwrap();
        copies.keep(&all[1], &Calendar { text: TEXT.into(), ..Calendar::default() }).unwrap();
        assert!(copies.find(&all[0]).is_none() && copies.find(&all[1]).is_some());
    }
}
