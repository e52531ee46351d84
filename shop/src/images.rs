//! Images of real programs, made on the spot of what Debian has installed: each program with the libraries that it
//! is linked with, and nothing else. What an image is told differs by its tag, so that two tags are two images.

use crate::engine::Engine;
use std::io;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Whose files PostgreSQL's are, in its image.
pub const POSTGRES_UID: u32 = 70;
/// What a shell in an image may call.
const APPLETS: [&str; 10] = ["sh", "cat", "echo", "httpd", "kill", "mkdir", "nc", "sleep", "test", "wget"];
const PASSWD: &str =
    "root:x:0:0::/:/bin/sh\npostgres:x:70:70::/data:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\npostgres:x:70:\nnogroup:x:65534:\n";

/// An image's files, before they are one.
pub struct Root {
    folder: tempfile::TempDir,
}

impl Root {
    /// With busybox, and the accounts that the programs here run under.
    ///
    /// # Errors
    /// A file cannot be written, or busybox is not installed.
    pub fn new() -> io::Result<Root> {
        let folder = tempfile::Builder::new().prefix("naru-image-").tempdir()?;
        let root = Root { folder };
        for inner in ["bin", "etc", "tmp", "run", "www", "data", "var/log/nginx", "var/lib/nginx"] {
            std::fs::create_dir_all(root.path(inner))?;
        }
        std::fs::copy("/bin/busybox", root.path("bin/busybox"))?;
        APPLETS.iter().try_for_each(|name| symlink("busybox", root.path("bin").join(name)))?;
        std::fs::set_permissions(root.path("tmp"), PermissionsExt::from_mode(0o1777))?;
        std::fs::set_permissions(root.path(""), PermissionsExt::from_mode(0o755))?;
        chown(root.path("data"), Some(POSTGRES_UID), Some(POSTGRES_UID))?;
        root.write("etc/passwd", PASSWD)?;
        root.write("etc/group", GROUP)?;
        Ok(root)
    }

    /// The folder that is the image's `/`.
    pub fn path(&self, inner: &str) -> PathBuf {
        self.folder.path().join(inner)
    }

    /// A file of the image.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, inner: &str, text: &str) -> io::Result<()> {
        std::fs::write(self.path(inner), text)
    }

    /// Copies a program of this machine to `inner`, and what it is linked with to where it is here.
    ///
    /// # Errors
    /// It is not installed.
    pub fn program(&self, program: &Path, inner: &str) -> io::Result<()> {
        let there = self.path(inner);
        std::fs::create_dir_all(there.parent().unwrap_or(self.folder.path()))?;
        std::fs::copy(program, &there).map_err(|error| missing(program, &error))?;
        let linked = run(Command::new("ldd").arg(program))?;
        for line in String::from_utf8_lossy(&linked.stdout).lines() {
            if let Some(library) = line.split_whitespace().find(|word| word.starts_with('/')) {
                self.tree(Path::new(library))?;
            }
        }
        Ok(())
    }

    /// Copies a file or a folder of this machine to where it is here.
    ///
    /// # Errors
    /// It is not there.
    pub fn tree(&self, path: &Path) -> io::Result<()> {
        let mut copy = Command::new("cp");
        copy.args(["--recursive", "--dereference", "--parents"]).arg(path).arg(self.folder.path());
        run(&mut copy).map(drop).map_err(|error| missing(path, &error))
    }

    /// Makes it the image `localhost/NAME:TAG`.
    ///
    /// # Errors
    /// The engine refuses it.
    pub fn load(&self, engine: &Engine, name: &str, tag: u32) -> io::Result<()> {
        self.write("etc/tag", &format!("{tag}\n"))?;
        let tar = tempfile::NamedTempFile::new()?;
        run(Command::new("tar")
            .args(["--numeric-owner", "-C"])
            .arg(self.folder.path())
            .arg("-cf")
            .arg(tar.path())
            .arg("."))?;
        let body = format!("@{}", tar.path().display());
        let url = format!("http://engine/images/create?fromSrc=-&repo=localhost/{name}&tag={tag}");
        let told = engine.curl(&[
            "-X",
            "POST",
            "-H",
            "Content-Type: application/x-tar",
            "--data-binary",
            &body,
            &url,
        ]);
        told.map(drop).ok_or_else(|| io::Error::other(format!("the engine takes no image {name}:{tag}")))
    }
}

fn run(command: &mut Command) -> io::Result<Output> {
    let output = command.output()?;
    if output.status.success() {
        return Ok(output);
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(io::Error::other(format!("{command:?}: {said}")))
}

fn missing(what: &Path, error: &io::Error) -> io::Error {
    io::Error::other(format!("{}: {error}; bench/README.md lists what has to be installed", what.display()))
}
