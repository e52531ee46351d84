//! By mail: SMTP, by TLS from the first byte or by STARTTLS; without only to this machine.

use crate::channel::Fault;
use crate::file::{MailTo, Tls};
use crate::notice::Notice;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls as Layer, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use std::time::Duration;

/// For all that is said to a server about one mail.
const WITHIN: Duration = Duration::from_secs(20);

/// A subject line of more is cut by those who read it.
const SUBJECT_MAX: usize = 150;

/// A server that takes mails, and to whom they go.
pub(crate) struct Post {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

impl Post {
    pub(crate) fn new(mail: &MailTo, password: Option<String>, ca: Option<&str>) -> Result<Post, String> {
        let mailbox =
            |address: &String| address.parse::<Mailbox>().map_err(|error| format!("{address}: {error}"));
        let mut parameters = TlsParameters::builder(mail.server.host.clone());
        if let Some(ca) = ca {
            let ca =
                Certificate::from_pem(ca.as_bytes()).map_err(|error| format!("the CA is none: {error}"))?;
            parameters = parameters.add_root_certificate(ca);
        }
        let layer = || parameters.build_rustls().map_err(|error| format!("TLS: {error}"));
        let tls = match mail.server.tls {
            Tls::AtOnce => Layer::Wrapper(layer()?),
            Tls::StartTls => Layer::Required(layer()?),
            Tls::None => Layer::None,
        };
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(&mail.server.host);
        let mut builder = builder.port(mail.server.port).tls(tls).timeout(Some(WITHIN / 2));
        if let (Some(user), Some(password)) = (&mail.user, password) {
            builder = builder.credentials(Credentials::new(user.clone(), password));
        }
        let to: Result<Vec<_>, _> = mail.to.iter().map(mailbox).collect();
        Ok(Post { transport: builder.build(), from: mailbox(&mail.from)?, to: to? })
    }

    pub(crate) async fn send(&self, notice: &Notice) -> Result<(), Fault> {
        let lasting = |error: &dyn std::fmt::Display| Fault::Lasting(error.to_string());
        let mut message = Message::builder().from(self.from.clone()).subject(subject(&notice.title));
        for to in &self.to {
            message = message.to(to.clone());
        }
        let message = message.body(text(notice)).map_err(|error| lasting(&error))?;
        let sent = tokio::time::timeout(WITHIN, self.transport.send(message)).await;
        match sent.map_err(|_| Fault::Passing(format!("no answer within {WITHIN:?}")))? {
            Ok(_) => Ok(()),
            Err(error) if error.is_permanent() => Err(lasting(&error)),
            Err(error) => Err(Fault::Passing(cause(&error))),
        }
    }
}

fn cause(error: &dyn std::error::Error) -> String {
    let (mut text, mut inner) = (error.to_string(), error.source());
    while let Some(next) = inner {
        if !text.contains(&next.to_string()) {
            text += &format!(": {next}");
        }
        inner = next.source();
    }
    text
}

/// One line, whatever people wrote.
fn subject(title: &str) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    title.chars().take(SUBJECT_MAX).map(clean).collect()
}

fn text(notice: &Notice) -> String {
    let mut text = format!("{}\n\n", notice.text);
    for (name, value) in &notice.fields {
        text += &format!("{name}: {value}\n");
    }
    if let Some(link) = &notice.link {
        text += &format!("\n{link}\n");
    }
    text += &format!("\n{}\n", notice.time.utc());
    text
}
