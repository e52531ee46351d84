//! `naru grant` and `naru can`: who may do what.

use crate::{Around, Problem, json, span};
use clap::{Args, Subcommand};
use naru_model::Span;
use naru_show::table::Table;
use naru_who::{
    GrantRecord, Granted, Grantee, PeopleOrder, PeopleView, Resource, Right, RightQuestion, Role,
};

/// What `naru grant` takes.
#[derive(Args, Debug)]
pub struct GrantArgs {
    #[command(subcommand)]
    what: Verb,
}

/// A role, or actions.
#[derive(Args, Debug)]
pub struct What {
    /// viewer, waker, operator, deployer or admin: each has all of the one before it
    #[arg(long)]
    role: Option<Role>,
    /// An action, instead of a role: `deploy`, `cut`, `exec`, …; may be repeated
    #[arg(long, value_name = "ACTION", value_delimiter = ',', conflicts_with = "role")]
    action: Vec<Right>,
}

impl What {
    pub(crate) fn granted(self) -> Result<Option<Granted>, Problem> {
        Ok(match (self.role, self.action) {
            (Some(role), _) => Some(Granted::Role(role)),
            (None, actions) if actions.is_empty() => None,
            (None, actions) => Some(Granted::Actions(actions.into_iter().collect())),
        })
    }
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Give somebody a right
    Add {
        /// `user/NAME` or `group/NAME`; a name alone is a user's
        who: Grantee,
        #[command(flatten)]
        what: What,
        /// `all`, `stack/NAME`, `service/STACK/NAME`, `instance/ID`, `node/NAME`, `asset/NAME`
        #[arg(long, value_name = "RESOURCE")]
        on: Resource,
        /// How long: `4h`, `30d`; without: until it is taken back
        #[arg(long = "for", value_name = "DURATION", value_parser = span::parse)]
        lasts: Option<Span>,
        /// Why
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// List grants
    Ls {
        /// Only of this user or group
        who: Option<Grantee>,
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Take a right back, at once
    Rm {
        /// Its number, as `naru grant ls` shows it
        id: u64,
    },
}

impl GrantArgs {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let client = around.client()?;
        match self.what {
            Verb::Ls { who, json } => list(client.people().await?, who.as_ref(), json, around),
            Verb::Rm { id } => {
                client.change_people(&PeopleOrder::RemoveGrant { id }).await?;
                around.result(&format!("took back grant {id}"));
                Ok(())
            }
            Verb::Add { who, what, on, lasts, reason } => {
                let Some(what) = what.granted()? else {
                    let help = "`--role operator`, or `--action wake,extend`";
                    return Err(Problem::Usage(
                        "what is granted? Neither a role nor an action is named".into(),
                        help.into(),
                    ));
                };
                let said = format!("{what} on {on} to {who}");
                let made =
                    client.change_people(&PeopleOrder::AddGrant { who, what, on, lasts, reason }).await?;
                let until =
                    made.until.map_or(String::new(), |until| format!(", until {}", span::date(until)));
                around.result(&format!("grant {}: {said}{until}", made.id.unwrap_or_default()));
                Ok(())
            }
        }
    }
}

fn list(
    people: PeopleView,
    who: Option<&Grantee>,
    as_json: bool,
    around: &impl Around,
) -> Result<(), Problem> {
    let mut grants = people.grants;
    grants.retain(|grant| who.is_none_or(|who| grant.who == *who));
    if as_json {
        return around.data(&json(&grants)?);
    }
    if grants.is_empty() {
        around.note("no grants");
        return Ok(());
    }
    around.data(&table(grants))
}

fn table(grants: Vec<GrantRecord>) -> String {
    let now = span::now();
    let mut table = Table::new(&["GRANT", "WHO", "WHAT", "ON", "UNTIL", "BY", "REASON"]);
    for grant in grants {
        let until = match grant.until {
            Some(until) if until <= now => "ended".into(),
            Some(until) => span::date(until),
            None => String::new(),
        };
        let (who, what, on) = (grant.who.to_string(), grant.what.to_string(), grant.on.to_string());
        table.row([grant.id.to_string(), who, what, on, until, grant.by, grant.reason.unwrap_or_default()]);
    }
    table.render()
}

/// What `naru can` takes.
#[derive(Args, Debug)]
pub struct Can {
    /// Whose right
    user: String,
    /// To do what: `read`, `deploy`, `exec`, …
    action: Right,
    /// With what; a name alone is a stack's
    resource: Resource,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
}

impl Can {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let Can { user, action, resource: on, json: as_json } = self;
        let verdict = around.client()?.can(&RightQuestion { user, action, on, at: None }).await?;
        if as_json {
            around.data(&json(&verdict)?)?;
        } else {
            let by = verdict.by.filter(|by| !verdict.why.starts_with(by.as_str()));
            let by = by.map(|by| format!(" ({by})")).unwrap_or_default();
            let word = if verdict.allowed { "yes" } else { "no" };
            let near: String = verdict.near.iter().map(|near| format!("  {near}\n")).collect();
            around.data(&format!("{word}{by}: {}\n{near}", verdict.why))?;
        }
        if verdict.allowed { Ok(()) } else { Err(Problem::No) }
    }
}
