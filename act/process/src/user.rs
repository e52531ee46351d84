//! Whom a process runs as: names and numbers, looked up in the machine's user database.
//!
//! The look-up is the agent's, not the shim's: the database may be a network service, whose libraries a
//! small process had better not load.

use serde::{Deserialize, Serialize};
use std::ffi::{CStr, CString};

/// The user database's buffers grow to this many bytes at most; a group of 10,000 members fits.
const MAX_ENTRY: usize = 1 << 20;
/// More supplementary groups than this, the kernel does not take either (NGROUPS_MAX).
const MAX_GROUPS: usize = 65_536;

/// A user, resolved to numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) said: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) account: Option<Account>,
}

/// What the user database says beside the numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Account {
    pub(crate) name: String,
    pub(crate) home: String,
}

/// Why nobody can be run as the `user` that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// No such user.
    #[error("user {0:?} is not known on this machine")]
    NoUser(String),
    /// No such group.
    #[error("group {0:?} is not known on this machine")]
    NoGroup(String),
    /// A number without an entry has no group of its own.
    #[error("user {0} has no entry in the user database, so its group is not known: write {0}:GROUP")]
    GroupNeeded(u32),
    /// Only root may become another.
    #[error(
        "cannot run as user {said:?}: the agent runs as uid {own}, and only root may become another user"
    )]
    Denied {
        /// As it was asked for.
        said: String,
        /// The agent's own uid.
        own: u32,
    },
}

impl Identity {
    /// Looks up `USER`, `UID`, `USER:GROUP` or `UID:GID`.
    pub(crate) fn find(said: &str) -> Result<Identity, UserError> {
        let (user, group) = match said.split_once(':') {
            Some((user, group)) => (user, Some(group)),
            None => (said, None),
        };
        let number = user.parse::<u32>().ok();
        let entry = match number {
            Some(uid) => passwd(|p, b, l, r| unsafe { libc::getpwuid_r(uid, p, b, l, r) }),
            None => passwd_by_name(user),
        };
        let uid =
            entry.as_ref().map(|e| e.uid).or(number).ok_or_else(|| UserError::NoUser(user.to_owned()))?;
        let gid = match (group, &entry) {
            (Some(group), _) => find_group(group)?,
            (None, Some(entry)) => entry.gid,
            (None, None) => return Err(UserError::GroupNeeded(uid)),
        };
        // An explicit group stands alone, as in Docker.
        let groups = match (&entry, group) {
            (Some(entry), None) => groups_of(&entry.account.name, gid),
            _ => vec![gid],
        };
        Ok(Identity { said: said.to_owned(), uid, gid, groups, account: entry.map(|e| e.account) })
    }

    /// `None` where the agent is this user already; an error where it may not become it.
    pub(crate) fn needed(self) -> Result<Option<Identity>, UserError> {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        match () {
            () if uid == 0 => Ok(Some(self)),
            () if uid == self.uid && gid == self.gid => Ok(None),
            () => Err(UserError::Denied { said: self.said, own: uid }),
        }
    }

    /// `HOME`, `USER` and `LOGNAME` of this user.
    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        let Some(account) = &self.account else { return vec![("HOME".into(), "/".into())] };
        let pairs = [("HOME", &account.home), ("USER", &account.name), ("LOGNAME", &account.name)];
        pairs.map(|(name, value)| (name.to_owned(), value.clone())).to_vec()
    }
}

struct Entry {
    uid: u32,
    gid: u32,
    account: Account,
}

fn passwd_by_name(name: &str) -> Option<Entry> {
    let name = CString::new(name).ok()?;
    passwd(|p, b, l, r| unsafe { libc::getpwnam_r(name.as_ptr(), p, b, l, r) })
}

fn passwd(
    ask: impl Fn(*mut libc::passwd, *mut libc::c_char, usize, *mut *mut libc::passwd) -> i32,
) -> Option<Entry> {
    with_buffer(|buffer| {
        // SAFETY: a passwd of zeros is a valid value (null pointers and numbers), filled in by the call.
        let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        let code = ask(&mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &mut found);
        let value = (!found.is_null()).then(|| Entry {
            uid: entry.pw_uid,
            gid: entry.pw_gid,
            account: Account { name: text(entry.pw_name), home: text(entry.pw_dir) },
        });
        (code, value)
    })
}

fn find_group(group: &str) -> Result<u32, UserError> {
    if let Ok(number) = group.parse::<u32>() {
        return Ok(number);
    }
    let unknown = || UserError::NoGroup(group.to_owned());
    let name = CString::new(group).map_err(|_| unknown())?;
    let found = with_buffer(|buffer| {
        // SAFETY: as for passwd above.
        let mut entry: libc::group = unsafe { std::mem::zeroed() };
        let mut found = std::ptr::null_mut();
        // SAFETY: all pointers are to live values of the stated length.
        let code = unsafe {
            libc::getgrnam_r(name.as_ptr(), &mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &mut found)
        };
        (code, (!found.is_null()).then_some(entry.gr_gid))
    });
    found.ok_or_else(unknown)
}

fn groups_of(name: &str, gid: u32) -> Vec<u32> {
    let Ok(name) = CString::new(name) else { return vec![gid] };
    let mut groups: Vec<libc::gid_t> = vec![0; 64];
    loop {
        let mut count = groups.len() as libc::c_int;
        // SAFETY: `groups` has room for `count` numbers.
        let code = unsafe { libc::getgrouplist(name.as_ptr(), gid, groups.as_mut_ptr(), &mut count) };
        if code >= 0 {
            groups.truncate(count as usize);
            return groups;
        }
        if groups.len() >= MAX_GROUPS {
            return vec![gid];
        }
        groups.resize((groups.len() * 2).max(count as usize), 0);
    }
}

/// Repeats `ask` with a growing buffer while it says ERANGE.
fn with_buffer<T>(ask: impl Fn(&mut [u8]) -> (i32, Option<T>)) -> Option<T> {
    let mut buffer = vec![0u8; 4096];
    loop {
        let (code, value) = ask(&mut buffer);
        if code != libc::ERANGE || buffer.len() >= MAX_ENTRY {
            return value;
        }
        buffer.resize(buffer.len() * 4, 0);
    }
}

fn text(c: *const libc::c_char) -> String {
    if c.is_null() {
        return String::new();
    }
    // SAFETY: the database's functions return strings that end with a zero byte, within our buffer.
    unsafe { CStr::from_ptr(c) }.to_string_lossy().into_owned()
}
