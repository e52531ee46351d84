//! A network namespace for the measurement alone: its engine's bridges and addresses are not those of the machine, no
//! firewall rule of the machine stands between its containers, and all of it is gone with it.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Set where this program runs in one already.
const MARK: &str = "NARU_BENCH_NETWORK";
/// Of the new namespace, not even loopback is up.
const BEGIN: &str = "ip link set lo up && exec \"$@\"";

/// Goes on in a namespace of its own: this program starts again there, with the same arguments.
///
/// # Errors
/// It needs root, and util-linux and iproute2.
pub fn alone() -> io::Result<()> {
    if std::env::var_os(MARK).is_some() {
        return Ok(());
    }
    let mut again = Command::new("unshare");
    again.args(["--net", "--", "sh", "-c", BEGIN, "sh"]).arg(std::env::current_exe()?);
    again.args(std::env::args_os().skip(1)).env(MARK, "1");
    Err(again.exec())
}
