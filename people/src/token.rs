//! `naru token`: what programs show instead of a password.

use crate::grant::What as Rights;
use crate::{Around, Problem, json, span};
use clap::{Args, Subcommand};
use naru_model::Span;
use naru_show::table::Table;
use naru_who::{PeopleChanged, PeopleOrder, PeopleView, Resource, Scope, TokenOrigin};

/// What `naru token` takes.
#[derive(Args, Debug)]
pub struct TokenArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Make a token, and print it: this once
    Create {
        /// Whose; without: yours
        user: Option<String>,
        /// How long it lasts: `90d`, `12h`
        #[arg(long = "for", value_name = "DURATION", value_parser = span::parse, default_value = "30d")]
        lasts: Span,
        #[command(flatten)]
        rights: Rights,
        /// What it is for at most; needs `--role` or `--action`
        #[arg(long, value_name = "RESOURCE", default_value = "all")]
        on: Resource,
        /// What it is called
        #[arg(long, default_value = "")]
        note: String,
    },
    /// List tokens
    Ls {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// End a token, at once
    Rm {
        /// Its id, as `naru token ls` shows it
        id: String,
    },
}

impl TokenArgs {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let client = around.client()?;
        match self.what {
            What::Ls { json } => list(&client.people().await?, json, around),
            What::Rm { id } => {
                client.change_people(&PeopleOrder::RemoveToken { id: id.clone() }).await?;
                around.result(&format!("token {id} has ended"));
                Ok(())
            }
            What::Create { user, lasts, rights, on, note } => {
                let user = match user {
                    Some(user) => user,
                    None => client.people().await?.me,
                };
                let scope = scope(rights, on)?;
                let made =
                    client.change_people(&PeopleOrder::CreateToken { user, scope, lasts, note }).await?;
                shown(made, around)
            }
        }
    }
}

fn scope(rights: Rights, on: Resource) -> Result<Option<Scope>, Problem> {
    match rights.granted()? {
        Some(what) => Ok(Some(Scope { what, on })),
        None if on == Resource::All => Ok(None),
        None => {
            let help = "`--role viewer --on stack/shop`";
            Err(Problem::Usage("`--on` needs `--role` or `--action`".into(), help.into()))
        }
    }
}

fn shown(made: PeopleChanged, around: &impl Around) -> Result<(), Problem> {
    let token = made.token.ok_or_else(|| Problem::failed("the server sent no token", ""))?;
    around.data(&format!("{token}\n"))?;
    let (id, until) = (made.id.unwrap_or_default(), made.until.map(span::date).unwrap_or_default());
    around.note(&format!("token {id} lasts until {until}; it is not shown again"));
    Ok(())
}

fn list(people: &PeopleView, as_json: bool, around: &impl Around) -> Result<(), Problem> {
    if as_json {
        return around.data(&json(&people.tokens)?);
    }
    if people.tokens.is_empty() {
        around.note("no tokens");
        return Ok(());
    }
    let now = span::now();
    let mut table = Table::new(&["TOKEN", "USER", "FOR", "UNTIL", "NOTE"]);
    for token in &people.tokens {
        let scope = token.scope.as_ref().map(|scope| format!("{} on {}", scope.what, scope.on));
        let until = if token.until <= now { "ended".into() } else { span::date(token.until) };
        let note = if token.origin == TokenOrigin::SignIn { "sign-in".into() } else { token.note.clone() };
        let all = || "all that its user may".into();
        table.row([token.id.clone(), token.user.clone(), scope.unwrap_or_else(all), until, note]);
    }
    around.data(&table.render())
}
