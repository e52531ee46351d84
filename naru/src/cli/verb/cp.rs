//! `naru cp`: files from an instance to here, or from here to an instance.

use super::exec::choose;
use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::session::Session;
use clap::Args;
use naru_api::{CopyOrder, ReachOrder};
use naru_reach::{Lost, copy_here, copy_there};
use std::path::Path;

/// What `naru cp` takes.
#[derive(Args, Debug)]
pub struct Cp {
    /// What is copied: a path here, or `SERVICE:PATH`
    source: String,
    /// Where to: `SERVICE:PATH`, or a path here. Within a folder that is there; else under this name
    target: String,
    /// Which of its instances, from 1; without it, the first that is ready
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    index: Option<u32>,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// `SERVICE:PATH`. A path here that has a colon in it is written with a slash before that.
fn inside(text: &str) -> Option<(&str, &str)> {
    text.split_once(':').filter(|(service, _)| !service.is_empty() && !service.contains('/'))
}

impl Cp {
    /// Copies.
    ///
    /// # Errors
    /// No server, no such instance or file.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let client = session.client()?;
        let instances = client.instances(session.scope()?.as_ref()).await?;
        let order = |service: &str, path: &str, name: &str| {
            let instance = choose(&instances, service, self.index)?.id.clone();
            Ok::<_, Fail>(CopyOrder { instance, path: path.into(), name: name.into() })
        };
        let copied = match (inside(&self.source), inside(&self.target)) {
            (Some((service, path)), None) => {
                let stream = client.reach(&ReachOrder::CopyOut(order(service, path, "")?)).await?;
                copy_here(stream, session.settings.folder.join(&self.target)).await
            }
            (None, Some((service, path))) => {
                let source = session.settings.folder.join(&self.source);
                let whole =
                    source.canonicalize().map_err(|error| Fail::new(format!("{}: {error}", self.source)))?;
                // `.` and `..` have another name, which nobody typed.
                let name = source.file_name().or(whole.file_name()).unwrap_or_default().to_string_lossy();
                let stream = client.reach(&ReachOrder::CopyIn(order(service, path, &name)?)).await?;
                copy_there(stream, Path::new(&source)).await
            }
            _ => {
                let help = "`naru cp web:/etc/hosts .`, or `naru cp page.html web:/www`";
                return Err(Fail::usage("one of the two is in a service, as SERVICE:PATH").help(help));
            }
        };
        match copied {
            Ok(()) => Ok(Code::Done),
            Err(Lost::Failed(failure)) => Err(Fail { help: failure.hint, ..Fail::new(failure.error) }),
            Err(lost) => Err(Fail::new(lost)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn a_colon_after_a_slash_is_of_a_path_here() {
        assert_eq!(inside("web:/etc/hosts"), Some(("web", "/etc/hosts")));
        assert_eq!(inside("web:a:b"), Some(("web", "a:b")));
        assert_eq!([inside("./a:b"), inside("/a:b"), inside("a"), inside(":a")], [None; 4]);
    }
}
