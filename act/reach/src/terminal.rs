//! The person's terminal: its size, and the time in which every key goes to the command.

use crate::Size;
use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{self, stdin, stdout};

/// Whether a command can be given a terminal as this one: both standard input and output are one.
pub fn is_terminal() -> bool {
    isatty(stdin()) && isatty(stdout())
}

/// The size of the terminal; 80 by 24 where there is none that says.
pub fn size() -> Size {
    let said = tcgetwinsize(stdout()).or_else(|_| tcgetwinsize(stdin())).ok();
    let known = said.filter(|size| size.ws_col > 0 && size.ws_row > 0);
    known.map_or(Size { columns: 80, lines: 24 }, |size| Size { columns: size.ws_col, lines: size.ws_row })
}

/// Has every key go to the command as it is pressed, Ctrl-C among them. Given back when dropped, whatever happened.
pub(crate) struct Raw {
    before: Termios,
}

impl Raw {
    /// Takes the terminal; `None` where standard input is none.
    ///
    /// # Errors
    /// It cannot be set so.
    pub(crate) fn take() -> io::Result<Option<Raw>> {
        let Ok(before) = tcgetattr(stdin()) else { return Ok(None) };
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Raw { before }))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to be given back.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.before);
    }
}
