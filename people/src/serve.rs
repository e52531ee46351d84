//! `naru serve`: the API on the network, where that is wanted.

use crate::Problem;
use clap::Args;
use naru_gate::listen::{self, Listen};
use naru_home::{Home, Post};
use std::net::TcpListener;
use std::path::PathBuf;

/// What `naru serve` takes.
#[derive(Args, Debug)]
pub struct Serve {
    /// Serve the API by TLS at this address, too: `0.0.0.0:7700`. Without: only at the socket in NARU_HOME
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// The certificate's file (PEM); without: one that is made in NARU_HOME/tls and signs itself
    #[arg(long, value_name = "FILE", requires_all = ["listen", "key"])]
    certificate: Option<PathBuf>,
    /// Its key's file (PEM)
    #[arg(long, value_name = "FILE", requires_all = ["listen", "certificate"])]
    key: Option<PathBuf>,
}

impl Serve {
    /// Keeps what is to be listened at, once it is known to work. Says where, and the fingerprint.
    ///
    /// # Errors
    /// The address or the certificate cannot be used.
    pub fn prepare(self, home: &Home) -> Result<Option<String>, Problem> {
        // One that runs goes on as it is; the keeper says so.
        if home.holder(Post::Keeper).is_ok_and(|holder| holder.is_some()) {
            return Ok(None);
        }
        let wanted = self.wanted()?;
        let said = wanted.as_ref().map(|listen| tried(home, listen)).transpose()?;
        let kept = listen::keep(home, wanted.as_ref());
        kept.map_err(|error| {
            Problem::failed(format!("NARU_HOME cannot be written: {error}"), "see to the disk")
        })?;
        Ok(said)
    }

    fn wanted(self) -> Result<Option<Listen>, Problem> {
        let Some(address) = self.listen else { return Ok(None) };
        let absolute = |path: PathBuf| {
            std::path::absolute(&path)
                .map_err(|error| Problem::failed(error, "name the file by its whole path"))
        };
        let certificate = self.certificate.map(absolute).transpose()?;
        Ok(Some(Listen { address, certificate, key: self.key.map(absolute).transpose()? }))
    }
}

/// That it works, and what people who connect have to know.
fn tried(home: &Home, listen: &Listen) -> Result<String, Problem> {
    let (address, help) = (&listen.address, "write ADDRESS:PORT, such as 0.0.0.0:7700");
    if address.ends_with(":0") {
        return Err(Problem::failed("a port that is another one at each start is found by nobody", help));
    }
    let (_, fingerprint) = listen::acceptor(home, listen)
        .map_err(|error| Problem::failed(error, "`--certificate` and `--key` name PEM files"))?;
    let tried = TcpListener::bind(address).and_then(|listener| listener.local_addr());
    let at =
        tried.map_err(|error| Problem::failed(format!("{address} cannot be listened at: {error}"), help))?;
    Ok(format!("the API is served at https://{at}, fingerprint {fingerprint}"))
}
