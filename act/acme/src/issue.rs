//! One certificate, from the account to the files.

use crate::Wanted;
use crate::store::{account as account_file, certificate_files, make, put};
use instant_acme::{
    Account, AccountCredentials, AuthorizationHandle, AuthorizationStatus, ChallengeType, Identifier,
    NewAccount, NewOrder, Order, OrderStatus, RetryPolicy,
};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Why no certificate was had.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The authority, or the way to it.
    #[error("{directory}: {error}")]
    Authority {
        /// The authority's directory.
        directory: String,
        /// What it said, or the system.
        error: String,
    },
    /// It did not accept the proof that a name is ours.
    #[error("the authority did not find its challenge answered for {}: see that they lead to port 80 of this edge", domains.join(", "))]
    Unproven {
        /// The names.
        domains: Vec<String>,
    },
    /// It offers no challenge that can be answered.
    #[error("the authority offers no http-01 challenge for {domain}; a wildcard cannot be had this way")]
    NoChallenge {
        /// The name.
        domain: String,
    },
    /// A file.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Has one.
pub(crate) async fn issue(wanted: &Wanted) -> Result<(), Failure> {
    let failed = |error: instant_acme::Error| authority(wanted, error);
    let account = open_account(wanted).await?;
    let domains: Vec<Identifier> = wanted.acme.domains.iter().cloned().map(Identifier::Dns).collect();
    let mut order = account.new_order(&NewOrder::new(&domains)).await.map_err(failed)?;
    let mut answers = Answers(Vec::new());
    answer_challenges(wanted, &mut order, &mut answers).await?;
    let retries = RetryPolicy::default();
    let status = order.poll_ready(&retries).await.map_err(failed)?;
    if status != OrderStatus::Ready {
        return Err(Failure::Unproven { domains: wanted.acme.domains.clone() });
    }
    let key = order.finalize().await.map_err(failed)?;
    let chain = order.poll_certificate(&retries).await.map_err(failed)?;
    let files = certificate_files(&wanted.acme, &wanted.folder);
    // The key first: a certificate that is there has its key beside it. In between the pair does not fit, which
    // whoever reads both sees, and reads again.
    put_file(Path::new(&files.key), key.as_bytes())?;
    put_file(Path::new(&files.cert), chain.as_bytes())
}

async fn answer_challenges(wanted: &Wanted, order: &mut Order, answers: &mut Answers) -> Result<(), Failure> {
    let failed = |error: instant_acme::Error| authority(wanted, error);
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization.map_err(failed)?;
        match authorization.status {
            AuthorizationStatus::Valid => continue,
            AuthorizationStatus::Pending => answer_challenge(wanted, &mut authorization, answers).await?,
            _ => return Err(Failure::Unproven { domains: vec![authorization.identifier().to_string()] }),
        }
    }
    Ok(())
}

async fn answer_challenge<'a>(
    wanted: &Wanted,
    authorization: &'a mut AuthorizationHandle<'a>,
    answers: &mut Answers,
) -> Result<(), Failure> {
    let domain = authorization.identifier().to_string();
    let challenge = authorization.challenge(ChallengeType::Http01);
    let mut challenge = challenge.ok_or(Failure::NoChallenge { domain })?;
    // The token becomes a file's name: it is base64url, says the standard, and nothing else is taken.
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if challenge.token.is_empty() || !challenge.token.bytes().all(is_plain) {
        return Err(Failure::Authority {
            directory: wanted.acme.directory.clone(),
            error: "its challenge's token is no base64url".into(),
        });
    }
    let path = wanted.challenges.join(&challenge.token);
    put_file(&path, challenge.key_authorization().as_str().as_bytes())?;
    answers.0.push(path);
    challenge.set_ready().await.map_err(|error| authority(wanted, error))
}

/// The account at the authority: the one that is kept, or a new one.
async fn open_account(wanted: &Wanted) -> Result<Account, Failure> {
    let failed = |error: instant_acme::Error| authority(wanted, error);
    let builder = || match &wanted.acme.root {
        Some(root) => Account::builder_with_root(root),
        None => Account::builder(),
    };
    let path = account_file(&wanted.acme, &wanted.folder);
    let kept = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<AccountCredentials>(&text).ok());
    if let Some(credentials) = kept {
        return builder().map_err(failed)?.from_credentials(credentials).await.map_err(failed);
    }
    make(&wanted.folder).map_err(|error| Failure::File { path: wanted.folder.clone(), error })?;
    let contact = wanted.acme.email.as_ref().map(|email| format!("mailto:{email}"));
    let contact: Vec<&str> = contact.iter().map(String::as_str).collect();
    let new = NewAccount { contact: &contact, terms_of_service_agreed: true, only_return_existing: false };
    let made = builder().map_err(failed)?.create(&new, wanted.acme.directory.clone(), None).await;
    let (account, credentials) = made.map_err(failed)?;
    let text = serde_json::to_vec(&credentials).expect("credentials have only text keys");
    put_file(&path, &text)?;
    Ok(account)
}

fn authority(wanted: &Wanted, error: instant_acme::Error) -> Failure {
    Failure::Authority { directory: wanted.acme.directory.clone(), error: error.to_string() }
}

fn put_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    put(path, content).map_err(|error| Failure::File { path: path.into(), error })
}

/// Answers to challenges, which nobody needs once the order is through.
struct Answers(Vec<PathBuf>);

impl Drop for Answers {
    fn drop(&mut self) {
        for path in &self.0 {
            // One that stays tells nobody anything.
            let _ = fs::remove_file(path);
        }
    }
}
