//! The terminal, taken over for a picture that changes: on its second screen, with keys as they are pressed. Given back as it
//! was when dropped, whatever happened.

use crate::draw::{Colours, Page, draw};
use crate::view::{Act, Key, View};
use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::io;
use std::thread;
use tokio::sync::mpsc;

/// Keys that may wait.
const KEYS: usize = 64;

/// The terminal behind standard output.
pub struct Screen {
    terminal: DefaultTerminal,
    view: View,
    colours: Colours,
    keys: mpsc::Receiver<Key>,
}

impl Screen {
    /// Takes it over.
    ///
    /// # Errors
    /// It cannot be set so, or written to.
    pub fn open(colours: Colours) -> io::Result<Screen> {
        let (to, keys) = mpsc::channel(KEYS);
        let terminal = ratatui::try_init()?;
        let screen = Screen { terminal, view: View::default(), colours, keys };
        // It ends with the process: nothing else ends a wait for a key.
        thread::Builder::new().name("keys".into()).spawn(move || {
            while let Ok(event) = event::read() {
                if key_of(event).is_some_and(|key| to.blocking_send(key).is_err()) {
                    return;
                }
            }
        })?;
        Ok(screen)
    }

    /// Shows a page as the person wants to see it.
    ///
    /// # Errors
    /// It cannot be written to.
    pub fn show(&mut self, page: &Page) -> io::Result<()> {
        let Screen { terminal, view, colours, .. } = self;
        terminal.draw(|frame| draw(frame, page, view, *colours)).map(drop)
    }

    /// What the next key asks of the caller. Safe to cancel; never, where there is no keyboard.
    pub async fn act(&mut self) -> Act {
        match self.keys.recv().await {
            Some(key) => self.view.key(key),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone has nothing to be given back.
        let _ = ratatui::try_restore();
    }
}

fn key_of(event: Event) -> Option<Key> {
    match event {
        Event::Resize(..) => Some(Key::Resized),
        Event::Key(KeyEvent { kind: KeyEventKind::Release, .. }) => None,
        Event::Key(KeyEvent { code: KeyCode::Char('c'), modifiers, .. })
            if modifiers.contains(KeyModifiers::CONTROL) =>
        {
            Some(Key::Interrupt)
        }
        Event::Key(KeyEvent { code, .. }) => Some(match code {
            KeyCode::Char(typed) => Key::Char(typed),
            KeyCode::Esc => Key::Escape,
            KeyCode::Enter => Key::Enter,
            KeyCode::Backspace => Key::Back,
            KeyCode::Up => Key::Up,
            KeyCode::Down => Key::Down,
            KeyCode::Left => Key::Left,
            KeyCode::Right => Key::Right,
            KeyCode::PageUp => Key::PageUp,
            KeyCode::PageDown => Key::PageDown,
            KeyCode::Home => Key::Home,
            KeyCode::End => Key::End,
            _ => return None,
        }),
        _ => None,
    }
}
