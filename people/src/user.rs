//! `naru user`: who may come in.

use crate::{Around, Problem, ask, json, span};
use clap::{Args, Subcommand};
use naru_show::table::Table;
use naru_who::{Origin, PeopleOrder, PeopleView, UserView};

/// What `naru user` takes.
#[derive(Args, Debug)]
pub struct UserArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add a user, with a password that is typed or read from standard input
    Add {
        /// The name: small letters, digits, `-`, `_`, `.`
        name: String,
        /// A group that the user is of; may be repeated
        #[arg(long, value_name = "GROUP")]
        group: Vec<String>,
        /// Read the password from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
        /// No password: only tokens that the owner makes
        #[arg(long, conflicts_with = "password_stdin")]
        no_password: bool,
    },
    /// List users
    Ls {
        /// Print them as JSON
        #[arg(long)]
        json: bool,
    },
    /// Remove a user, with its tokens and its grants
    Rm {
        /// The name
        name: String,
    },
    /// Set another password; tokens by sign-in end
    Passwd {
        /// The name
        name: String,
        /// Read it from the first line of standard input
        #[arg(long)]
        password_stdin: bool,
    },
    /// Set the groups of a user
    Groups {
        /// The name
        name: String,
        /// These, and no others
        #[arg(value_name = "GROUP")]
        groups: Vec<String>,
    },
}

impl UserArgs {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        let client = around.client()?;
        let (order, said) = match self.what {
            What::Ls { json } => return list(&client.people().await?, json, around),
            What::Add { name, group, password_stdin, no_password } => {
                let password = if no_password { None } else { Some(ask::new_secret(&name, password_stdin)?) };
                let said = format!(
                    "added user {name}; it may do nothing until something is granted: `naru grant add`"
                );
                (PeopleOrder::AddUser { name, groups: group.into_iter().collect(), password }, said)
            }
            What::Rm { name } => {
                let said = format!("removed user {name}, with its tokens and grants");
                (PeopleOrder::RemoveUser { name }, said)
            }
            What::Passwd { name, password_stdin } => {
                let password = ask::new_secret(&name, password_stdin)?;
                let said = format!("{name} has another password");
                (PeopleOrder::SetPassword { name, password }, said)
            }
            What::Groups { name, groups } => {
                let said = format!("set the groups of {name}");
                (PeopleOrder::SetGroups { name, groups: groups.into_iter().collect() }, said)
            }
        };
        client.change_people(&order).await?;
        around.result(&said);
        Ok(())
    }
}

fn list(people: &PeopleView, as_json: bool, around: &impl Around) -> Result<(), Problem> {
    if as_json {
        return around.data(&json(&people.users)?);
    }
    if people.users.is_empty() {
        around.note("no users: only the owner of this server may do anything");
        return Ok(());
    }
    let mut table = Table::new(&["USER", "GROUPS", "SIGNS IN", "SINCE", "BY"]);
    for user in &people.users {
        let groups: Vec<&str> = user.groups.iter().map(String::as_str).collect();
        table.row([
            user.name.clone(),
            groups.join(", "),
            signs_in(user).into(),
            span::date(user.made),
            user.by.clone(),
        ]);
    }
    around.data(&table.render())
}

fn signs_in(user: &UserView) -> &'static str {
    match &user.origin {
        Origin::Directory { gone: Some(_), .. } => "gone from the directory",
        Origin::Directory { .. } => "by the directory",
        Origin::Local if user.password => "by password",
        Origin::Local => "by token",
    }
}
