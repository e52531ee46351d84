//! What a build begins with: a folder as an archive, without what `.dockerignore` leaves out, or an address.

use bytes::Bytes;
use futures_util::Stream;
use globset::{GlobBuilder, GlobMatcher};
use naru_model::Build;
use std::fs::{self, File};
use std::io::{self, Seek};
use std::path::{Component, Path, PathBuf};
use tokio::io::AsyncReadExt;

/// A recipe that does not lie in the context is put into the archive under this name.
const RECIPE: &str = ".naru-dockerfile";
/// Entries of a context; more are a slip, such as the whole disk.
const MOST: usize = 1_000_000;
/// How much of the archive is sent at a time.
const PIECE: usize = 256 << 10;

/// What a build begins with.
pub(crate) enum Context {
    /// An archive.
    Sent {
        /// It.
        archive: File,
        /// Where in it the recipe is.
        dockerfile: String,
    },
    /// The engine fetches it.
    Remote(String),
}

/// The context of a build.
///
/// # Errors
/// In words: it cannot be read, or what it is cannot be built so.
pub(crate) async fn of(build: &Build) -> Result<Context, String> {
    if is_remote(&build.context) {
        if build.inline.is_some() {
            return Err("`dockerfile_inline` does not go together with a context that is an address".into());
        }
        return Ok(Context::Remote(build.context.clone()));
    }
    let build = build.clone();
    let packed =
        tokio::task::spawn_blocking(move || pack(&build)).await.map_err(|error| error.to_string())?;
    let (archive, dockerfile) = packed?;
    Ok(Context::Sent { archive, dockerfile })
}

/// An archive, piece by piece.
pub(crate) fn pieces(archive: File) -> impl Stream<Item = io::Result<Bytes>> {
    let file = tokio::fs::File::from_std(archive);
    futures_util::stream::try_unfold(file, |mut file| async move {
        let mut piece = Vec::with_capacity(PIECE);
        let read = (&mut file).take(PIECE as u64).read_to_end(&mut piece).await?;
        Ok::<_, io::Error>((read > 0).then(|| (Bytes::from(piece), file)))
    })
}

fn is_remote(context: &str) -> bool {
    ["http://", "https://", "git://", "ssh://", "git@", "github.com/"]
        .iter()
        .any(|one| context.starts_with(one))
}

/// Writes the archive to a file that has no name: it is gone with its last reader.
fn pack(build: &Build) -> Result<(File, String), String> {
    let root = Path::new(&build.context);
    if !root.is_dir() {
        return Err(format!("its context {} is no folder", root.display()));
    }
    let own = build.dockerfile.as_deref().unwrap_or("Dockerfile");
    let recipe = root.join(own);
    let ignored = Ignored::of(root, &recipe).map_err(|error| format!("its .dockerignore: {error}"))?;
    let file = unnamed().map_err(|error| format!("its context cannot be packed: {error}"))?;
    let mut archive = tar::Builder::new(file);
    archive.follow_symlinks(false);
    let mut walk = Walk { root, ignored, archive, count: 0 };
    walk.folder(Path::new("")).map_err(|error| format!("its context {}: {error}", root.display()))?;
    let inside = plain(own).filter(|_| build.inline.is_none());
    let dockerfile = match inside {
        Some(name) if recipe.is_file() && !walk.ignored.has(Path::new(&name)) => name,
        _ => {
            let text = match &build.inline {
                Some(text) => Ok(text.clone().into_bytes()),
                None => fs::read(&recipe),
            };
            let kept = text.and_then(|text| walk.add_text(RECIPE, &text));
            kept.map_err(|error| format!("its recipe {}: {error}", recipe.display()))?;
            RECIPE.to_owned()
        }
    };
    let finish = || -> io::Result<File> {
        let mut file = walk.archive.into_inner()?;
        file.rewind()?;
        Ok(file)
    };
    Ok((finish().map_err(|error| format!("its context cannot be packed: {error}"))?, dockerfile))
}

/// `a/b` of `./a/b`; `None`: it is not below the context.
fn plain(path: &str) -> Option<String> {
    let mut parts = Vec::new();
    for part in Path::new(path).components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(parts.join("/"))
}

fn unnamed() -> io::Result<File> {
    let dir = std::env::temp_dir();
    let flags = rustix::fs::OFlags::TMPFILE | rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC;
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    Ok(File::from(rustix::fs::open(&dir, flags, mode)?))
}

struct Walk<'a> {
    root: &'a Path,
    ignored: Ignored,
    archive: tar::Builder<File>,
    count: usize,
}

impl Walk<'_> {
    /// Adds what is in a folder, in the order of names.
    fn folder(&mut self, below: &Path) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(self.root.join(below))? {
            names.push(entry?.file_name());
        }
        names.sort();
        for name in names {
            let path = below.join(name);
            let whole = self.root.join(&path);
            let kind = fs::symlink_metadata(&whole)?.file_type();
            let is_ignored = self.ignored.has(&path);
            if kind.is_dir() {
                if !is_ignored {
                    self.add(&path, &whole)?;
                }
                // Something below it may be taken back.
                if !is_ignored || self.ignored.takes_back {
                    self.folder(&path)?;
                }
            } else if !is_ignored && (kind.is_file() || kind.is_symlink()) {
                self.add(&path, &whole)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &Path, whole: &Path) -> io::Result<()> {
        self.count += 1;
        if self.count > MOST {
            return Err(io::Error::other(format!("it has over {MOST} files: narrow it by .dockerignore")));
        }
        let added = self.archive.append_path_with_name(whole, path);
        added.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", whole.display())))
    }

    fn add_text(&mut self, name: &str, text: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        self.archive.append_data(&mut header, name, text)
    }
}

/// The patterns of `.dockerignore`; the last one that fits a path, or a folder above it, decides.
#[derive(Default)]
struct Ignored {
    patterns: Vec<(GlobMatcher, Fate)>,
    /// Whether any pattern takes back.
    takes_back: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Ignored,
    TakenBack,
}

impl Ignored {
    /// Those beside the recipe, if it has some of its own, or the context's.
    fn of(root: &Path, recipe: &Path) -> Result<Ignored, String> {
        let mut own = recipe.as_os_str().to_owned();
        own.push(".dockerignore");
        for path in [PathBuf::from(own), root.join(".dockerignore")] {
            match fs::read_to_string(&path) {
                Ok(text) => return Ignored::read(&text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error.to_string()),
            }
        }
        Ok(Ignored::default())
    }

    fn read(text: &str) -> Result<Ignored, String> {
        let mut ignored = Ignored::default();
        for line in text.trim_start_matches('\u{feff}').lines() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (line, fate) = match line.strip_prefix('!') {
                Some(rest) => (rest.trim(), Fate::TakenBack),
                None => (line, Fate::Ignored),
            };
            let parts = line.split('/').filter(|part| !part.is_empty() && *part != ".");
            let pattern = parts.collect::<Vec<_>>().join("/");
            if pattern.is_empty() {
                continue;
            }
            let glob = GlobBuilder::new(&pattern).literal_separator(true).backslash_escape(true).build();
            let glob = glob.map_err(|error| format!("{line}: {error}"))?;
            ignored.takes_back |= fate == Fate::TakenBack;
            ignored.patterns.push((glob.compile_matcher(), fate));
        }
        Ok(ignored)
    }

    fn has(&self, path: &Path) -> bool {
        let fits = |glob: &GlobMatcher| {
            path.ancestors().any(|one| !one.as_os_str().is_empty() && glob.is_match(one))
        };
        let last = self.patterns.iter().rev().find(|(glob, _)| fits(glob));
        last.is_some_and(|(_, fate)| *fate == Fate::Ignored)
    }
}

#[cfg(test)]
mod tests {
    use super::{Ignored, pack, plain};
    use naru_model::Build;
    use std::fs;
    use std::path::Path;

    #[test]
    fn the_last_pattern_that_fits_decides() {
        let ignored =
            Ignored::read("# none\n*.log\n**/node_modules\n/target/\ndocs/*\n!docs/kept.md\n").unwrap();
        let has = |path: &str| ignored.has(Path::new(path));
        assert!(has("a.log") && !has("sub/a.log"), "a pattern begins at the context");
        assert!(has("node_modules/x/y") && has("a/b/node_modules"));
        assert!(has("target") && has("target/debug/x"));
        assert!(has("docs/other.md") && !has("docs/kept.md") && !has("docs"));
    }

    #[test]
    fn the_recipe_is_below_the_context_or_goes_along() {
        assert_eq!(plain("./a/../b"), None);
        assert_eq!(plain("./docker/Dockerfile").as_deref(), Some("docker/Dockerfile"));
        assert_eq!(plain("../Dockerfile"), None);
        assert_eq!(plain("/srv/Dockerfile"), None);
    }

    /// The names in the archive of a context, and where its recipe is.
    fn packed(build: &Build) -> (Vec<String>, String) {
        let (file, dockerfile) = pack(build).unwrap();
        let mut archive = tar::Archive::new(file);
        let names = archive.entries().unwrap().map(|one| one.unwrap().path().unwrap().display().to_string());
        (names.collect(), dockerfile)
    }

    #[test]
    fn a_context_is_sent_without_what_is_ignored() {
        let dir = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(dir.path().join(name), text).unwrap();
        fs::create_dir(dir.path().join("big")).unwrap();
        write("big/data", "1");
        write("app", "2");
        write("Dockerfile", "FROM scratch");
        write(".dockerignore", "big\nDockerfile\n");
        let context = dir.path().display().to_string();
        let build = Build { context: context.clone(), ..Build::default() };
        assert_eq!(
            packed(&build),
            (
                vec![".dockerignore".into(), "app".into(), ".naru-dockerfile".into()],
                ".naru-dockerfile".into()
            )
        );
        let inline = Build { context, inline: Some("FROM scratch".into()), ..Build::default() };
        assert_eq!(packed(&inline).1, ".naru-dockerfile");
        let nowhere = Build { context: "/nowhere".into(), ..Build::default() };
        assert_eq!(pack(&nowhere).unwrap_err(), "its context /nowhere is no folder");
    }
}
