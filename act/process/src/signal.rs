//! Signals by name or number, as Docker takes them: `SIGTERM`, `TERM`, `term`, `15`.

use std::fmt;
use std::str::FromStr;

/// A signal that can be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Signal(i32);

/// Names and numbers on Linux.
const NAMES: [(&str, i32); 35] = [
    ("HUP", libc::SIGHUP),
    ("INT", libc::SIGINT),
    ("QUIT", libc::SIGQUIT),
    ("ILL", libc::SIGILL),
    ("TRAP", libc::SIGTRAP),
    ("ABRT", libc::SIGABRT),
    ("IOT", libc::SIGABRT),
    ("BUS", libc::SIGBUS),
    ("FPE", libc::SIGFPE),
    ("KILL", libc::SIGKILL),
    ("USR1", libc::SIGUSR1),
    ("SEGV", libc::SIGSEGV),
    ("USR2", libc::SIGUSR2),
    ("PIPE", libc::SIGPIPE),
    ("ALRM", libc::SIGALRM),
    ("TERM", libc::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("STOP", libc::SIGSTOP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("XCPU", libc::SIGXCPU),
    ("XFSZ", libc::SIGXFSZ),
    ("VTALRM", libc::SIGVTALRM),
    ("PROF", libc::SIGPROF),
    ("WINCH", libc::SIGWINCH),
    ("IO", libc::SIGIO),
    ("POLL", libc::SIGIO),
    ("PWR", libc::SIGPWR),
    ("SYS", libc::SIGSYS),
    ("RTMIN", 34),
];
/// The kernel's last real-time signal.
const LAST: i32 = 64;

/// The text names no signal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no signal: write a name such as SIGTERM or TERM, or a number from 1 to 64")]
pub struct UnknownSignal(String);

impl Signal {
    /// The usual request to end.
    pub const TERM: Signal = Signal(libc::SIGTERM);
    /// The one that cannot be ignored.
    pub const KILL: Signal = Signal(libc::SIGKILL);
    /// As from a terminal's Ctrl-C.
    pub const INT: Signal = Signal(libc::SIGINT);
    /// Goes on, if it was stopped.
    pub const CONT: Signal = Signal(libc::SIGCONT);
    /// Its terminal is gone; by custom of what has none: read the configuration again.
    pub const HUP: Signal = Signal(libc::SIGHUP);

    /// Its number on Linux.
    pub fn number(self) -> i32 {
        self.0
    }

    fn by_name(name: &str) -> Option<Signal> {
        let upper = name.to_ascii_uppercase();
        let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
        let offset = |from: &str, base: i32, sign: i32| -> Option<i32> {
            bare.strip_prefix(from)?.parse::<u8>().ok().map(|n| base + sign * i32::from(n))
        };
        let known = NAMES.iter().find(|(known, _)| *known == bare).map(|(_, number)| *number);
        let number = known
            .or_else(|| (bare == "RTMAX").then_some(LAST))
            .or_else(|| offset("RTMIN+", 34, 1))
            .or_else(|| offset("RTMAX-", LAST, -1))?;
        let real_time = bare.starts_with("RT");
        (!real_time || (34..=LAST).contains(&number)).then_some(Signal(number))
    }
}

impl FromStr for Signal {
    type Err = UnknownSignal;
    fn from_str(text: &str) -> Result<Signal, UnknownSignal> {
        let unknown = || UnknownSignal(text.to_owned());
        match text.parse::<i32>() {
            Ok(number) => (1..=LAST).contains(&number).then_some(Signal(number)).ok_or_else(unknown),
            Err(_) => Signal::by_name(text).ok_or_else(unknown),
        }
    }
}

/// `SIGTERM`, or `signal 40` for one without a name.
impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => write!(f, "SIG{name}"),
            None => write!(f, "signal {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Signal;

    fn check(text: &str) -> String {
        match text.parse::<Signal>() {
            Ok(signal) => format!("{} {signal}", signal.number()),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn names_and_numbers_are_taken_as_docker_takes_them() {
        for text in ["SIGTERM", "TERM", "term", "sigterm", "15"] {
            assert_eq!(check(text), "15 SIGTERM", "{text}");
        }
        assert_eq!(check("SIGABRT"), check("IOT"));
        assert_eq!(check("RTMIN+3"), "37 signal 37");
        assert_eq!(check("SIGRTMAX-1"), "63 signal 63");
        assert_eq!(check("64"), "64 signal 64");
    }

    #[test]
    fn anything_else_is_named_in_the_error() {
        for text in ["", "SIG", "TERMINATE", "0", "65", "-1", "RTMIN+31", "RTMAX-31", "SIGSIGTERM", " 15"] {
            let said = check(text);
            assert!(said.starts_with(&format!("{text:?} is no signal: write a name")), "{said}");
        }
    }
}
