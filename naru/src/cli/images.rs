//! Images on their way: what is wanted of them is ordered, and shown as it goes.

use super::args::ProgressKind;
use super::fail::{Code, Fail};
use super::paint;
use super::printer::{Printer, terminal_size};
use super::session::Session;
use super::table::{cut, foreign};
use clap::{Args, ValueEnum};
use naru_api::{Client, ImageEvent, ImageOrder};
use naru_model::{BuildChoice, ImageAct, Images, PullPolicy, Refusal, ServiceName, Stack};
use std::collections::BTreeMap;

/// How a deploy comes by its images.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ImageArgs {
    /// Build all images that can be built, first
    #[arg(long)]
    build: bool,
    /// Build none, even if it is not here
    #[arg(long, conflicts_with = "build")]
    no_build: bool,
    /// When images that are not built are pulled, instead of what the file says
    #[arg(long, value_enum, value_name = "POLICY")]
    pull: Option<Pull>,
}

/// When an image is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Pull {
    /// In any case
    Always,
    /// When it is not here
    Missing,
    /// Not at all
    Never,
}

impl From<Pull> for PullPolicy {
    fn from(pull: Pull) -> PullPolicy {
        match pull {
            Pull::Always => PullPolicy::Always,
            Pull::Missing => PullPolicy::Missing,
            Pull::Never => PullPolicy::Never,
        }
    }
}

impl ImageArgs {
    /// The same as one word.
    pub fn act(self) -> ImageAct {
        let build = match self {
            ImageArgs { build: true, .. } => BuildChoice::Always,
            ImageArgs { no_build: true, .. } => BuildChoice::Never,
            ImageArgs { .. } => BuildChoice::AsNeeded,
        };
        ImageAct::Prepare { pull: self.pull.map(PullPolicy::from), build }
    }
}

/// What images are, of those that are here. A machine without an engine has none.
///
/// # Errors
/// As [`settled`].
pub async fn seen(
    session: &Session,
    client: &Client,
    stack: &Stack,
    only: &[ServiceName],
) -> Result<Images, Fail> {
    match settled(session, client, stack, only, ImageAct::Look).await {
        Err(fail) if fail.code == Code::Failed => {
            session.printer.note(format!("whether images have changed is not known: {}", fail.error));
            Ok(Images::new())
        }
        other => other,
    }
}

/// Has something done with the images of a stack, shows how it goes, and gives what their references mean. A stack of
/// processes has none, and nothing is asked.
///
/// # Errors
/// No server, or an image cannot be had, built or sent.
pub async fn settled(
    session: &Session,
    client: &Client,
    stack: &Stack,
    only: &[ServiceName],
    act: ImageAct,
) -> Result<Images, Fail> {
    if stack.templates().all(|(_, template, _)| template.run.container().is_none()) {
        return Ok(Images::new());
    }
    let order = ImageOrder { stack: stack.clone(), only: only.to_vec(), act };
    let mut events = client.images(&order).await?;
    let mut display = Display::new(session.printer, session.settings.progress);
    loop {
        let event = tokio::select! {
            event = events.next() => event?,
            _ = tokio::signal::ctrl_c() => {
                display.clear();
                return Err(Fail::new("interrupted: nothing was ordered"));
            }
        };
        let cut_short = || Fail::new("the server ended meanwhile").help("try again in a moment");
        match event.ok_or_else(cut_short)? {
            ImageEvent::Settled { images } => {
                display.clear();
                return Ok(images);
            }
            ImageEvent::Failed { refusal: Refusal { error, hint } } => {
                display.clear();
                return Err(Fail { help: hint, ..Fail::new(foreign(&error)) });
            }
            other => display.show(&other)?,
        }
    }
}

/// How it goes, in the four forms of progress.
struct Display {
    printer: Printer,
    kind: ProgressKind,
    /// What is under way, by image.
    open: BTreeMap<String, String>,
    /// Lines on the terminal that the next picture replaces.
    drawn: usize,
}

impl Display {
    fn new(printer: Printer, kind: ProgressKind) -> Display {
        Display { printer, kind, open: BTreeMap::new(), drawn: 0 }
    }

    fn show(&mut self, event: &ImageEvent) -> Result<(), Fail> {
        match self.kind {
            ProgressKind::Quiet => {}
            ProgressKind::Json => self.printer.progress(serde_json::to_string(event).map_err(Fail::new)?),
            ProgressKind::Auto | ProgressKind::Tty | ProgressKind::Plain => self.text(event),
        }
        Ok(())
    }

    fn text(&mut self, event: &ImageEvent) {
        match event {
            ImageEvent::Progress { image, text } => {
                let is_first = self.open.insert(image.clone(), text.clone()).is_none();
                match self.kind {
                    ProgressKind::Tty => self.draw(),
                    _ if is_first => self.printer.progress(foreign(text)),
                    _ => {}
                }
            }
            ImageEvent::Output { image, line } => {
                self.line(format!("{} {}", paint::dim(format!("{image} |")), foreign(line)));
            }
            ImageEvent::Note { text } => {
                self.clear();
                self.printer.note(foreign(text));
            }
            ImageEvent::Done { image, what, is } => {
                self.open.remove(image);
                self.line(format!("{what} {} ({})", foreign(image), is.short()));
            }
            ImageEvent::Settled { .. } | ImageEvent::Failed { .. } => {}
        }
    }

    fn line(&mut self, line: String) {
        self.clear();
        self.printer.progress(line);
        if self.kind == ProgressKind::Tty {
            self.draw();
        }
    }

    /// What is under way, instead of the picture before.
    fn draw(&mut self) {
        self.clear();
        let (columns, height) = terminal_size();
        let shown = self.open.values().take(height.saturating_sub(2));
        let lines: Vec<String> = shown.map(|text| cut(&foreign(text), columns)).collect();
        lines.iter().for_each(|line| self.printer.progress(line));
        self.drawn = lines.len();
    }

    fn clear(&mut self) {
        if self.drawn > 0 {
            self.printer.raw(&format!("\x1b[{}A\r\x1b[J", self.drawn));
            self.drawn = 0;
        }
    }
}
