//! Who is at the other end, as the kernel says.

use crate::{Ground, Refused};
use std::ffi::CStr;
use std::ptr;
use tokio::net::UnixStream;

/// The name of the user at the other end, or `uid N` where the system has none. `owner` and root may come in.
pub(super) fn name_of(stream: &UnixStream, owner: u32) -> Result<String, Refused> {
    let hint = "use the NARU_HOME of your own user";
    let uid = stream
        .peer_cred()
        .map_err(|error| Refused::new(Ground::Forbidden, format!("no peer credentials: {error}"), hint))?
        .uid();
    if uid != owner && uid != 0 {
        let error = format!("this server belongs to {}, not to {}", user_name(owner), user_name(uid));
        return Err(Refused::new(Ground::Forbidden, error, hint));
    }
    Ok(user_name(uid))
}

/// The user of this process.
pub(super) fn own_uid() -> u32 {
    // SAFETY: takes nothing, and cannot fail.
    unsafe { libc::geteuid() }
}

/// Enough for a passwd entry with long paths; a longer one counts as none.
const ENTRY_MAX: usize = 16 << 10;

fn user_name(uid: u32) -> String {
    let mut buffer = vec![0; ENTRY_MAX];
    // SAFETY: an all-zero `passwd` is a valid value: integers and null pointers.
    let mut entry: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found = ptr::null_mut();
    // SAFETY: all pointers are to live, writable values of this frame, and the length is the buffer's.
    let status =
        unsafe { libc::getpwuid_r(uid, &mut entry, buffer.as_mut_ptr().cast(), buffer.len(), &mut found) };
    if status != 0 || found.is_null() || entry.pw_name.is_null() {
        return format!("uid {uid}");
    }
    // SAFETY: on success `pw_name` points to a NUL-terminated text inside `buffer`, which is alive.
    unsafe { CStr::from_ptr(entry.pw_name) }.to_string_lossy().into_owned()
}
