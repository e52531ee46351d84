//! A terminal taken over for a picture that changes: on its second screen, with keys heard as they are pressed. Given
//! back as it was when dropped, whatever happened.

use rustix::termios::{LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr};
use std::io::{self, Read, Write, stdin, stdout};
use std::thread;
use tokio::sync::mpsc;

/// Keys that may wait.
const KEYS: usize = 16;

/// The terminal behind standard output.
pub struct Screen {
    /// How standard input was, if it is a terminal.
    before: Option<Termios>,
    keys: mpsc::Receiver<u8>,
}

impl Screen {
    /// Takes it over.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn open() -> io::Result<Screen> {
        let before = tcgetattr(stdin()).ok();
        if let Some(before) = &before {
            let mut keys = before.clone();
            keys.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
            // Stopped half-way, it would leave the shell with a terminal like this.
            keys.special_codes[SpecialCodeIndex::VSUSP] = 0;
            tcsetattr(stdin(), OptionalActions::Now, &keys)?;
        }
        let (to, keys) = mpsc::channel(KEYS);
        let screen = Screen { before, keys };
        if screen.before.is_some() {
            // It ends with the process: nothing else ends a wait for a key.
            thread::Builder::new().name("keys".into()).spawn(move || {
                let mut key = [0];
                while matches!(stdin().read(&mut key), Ok(1)) && to.blocking_send(key[0]).is_ok() {}
            })?;
        }
        write("\x1b[?1049h\x1b[?25l")?;
        Ok(screen)
    }

    /// Shows a picture instead of the one before.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn show(&self, picture: &str) -> io::Result<()> {
        let lines: Vec<&str> = picture.lines().collect();
        write(&format!("\x1b[H{}\x1b[K\x1b[J", lines.join("\x1b[K\r\n")))
    }

    /// The next key. Safe to cancel; never, where there is no keyboard.
    pub async fn key(&mut self) -> u8 {
        match self.keys.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to be given back.
        let _ = write("\x1b[?25h\x1b[?1049l");
        if let Some(before) = &self.before {
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

fn write(text: &str) -> io::Result<()> {
    let mut out = stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}
