//! `naru assets`: machines of clouds, shown, started and stopped.

use crate::cli::fail::{Code, Fail};
use crate::cli::load;
use crate::cli::moment::now;
use crate::cli::printer::Answer;
use crate::cli::session::Session;
use clap::{Args, Subcommand};
use naru_api::ShowAssets;
use naru_cloud::{Ended, FileError, no_file, providers};
use naru_home::Home;
use naru_model::{AssetOrder, Span, Wanted, plural};
use naru_show::power::Local;
use naru_show::{asset_faults, assets_table, no_assets, stop_ends};

/// What `naru assets` takes.
#[derive(Args, Debug)]
pub struct Assets {
    #[command(subcommand)]
    verb: AssetsVerb,
}

#[derive(Debug, Subcommand)]
enum AssetsVerb {
    /// List assets: where they are, what is wanted of them, and why
    Ls(Ls),
    /// Ask the clouds that assets.yaml names what they show, from here and without a server
    Discover(Discover),
    /// Have a machine run
    Start(Start),
    /// Have a machine stopped. Asks first
    Stop(Stop),
    /// Print the rights that assets.yaml needs, as an IAM policy
    IamPolicy,
}

/// What `naru assets ls` takes.
#[derive(Args, Debug)]
struct Ls {
    /// Look at the clouds first, instead of showing what was seen within the last minute
    #[arg(long)]
    look: bool,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

/// What `naru assets discover` takes.
#[derive(Args, Debug)]
struct Discover {
    /// Print the machines as JSON
    #[arg(long)]
    json: bool,
}

/// What `naru assets start` takes.
#[derive(Args, Debug)]
struct Start {
    /// The asset, by its name or the cloud's name of the machine
    #[arg(value_name = "NAME")]
    name: String,
    /// For how long, as 30m or 2h; then it is as its hours say, and stopped where it has none
    #[arg(long = "for", value_name = "DURATION", value_parser = naru_work::parse_span)]
    within: Option<Span>,
    #[command(flatten)]
    order: WantArgs,
}

/// What `naru assets stop` takes.
#[derive(Args, Debug)]
struct Stop {
    /// The asset, by its name or the cloud's name of the machine
    #[arg(value_name = "NAME")]
    name: String,
    /// Keep what is in its memory, where the machine was made for that
    #[arg(long)]
    hibernate: bool,
    /// Answer yes to the question
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    order: WantArgs,
}

/// What both take.
#[derive(Args, Debug)]
struct WantArgs {
    /// Do not wait
    #[arg(long)]
    no_wait: bool,
    /// Why, for whoever asks
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
}

impl Assets {
    /// Does what was typed.
    ///
    /// # Errors
    /// assets.yaml cannot be used, a cloud gives no answer, or the order was refused or failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        match self.verb {
            AssetsVerb::Ls(ls) => list(session, ls).await,
            AssetsVerb::Discover(discover) => discover.run(session).await,
            AssetsVerb::Start(Start { name, within, order }) => {
                want(session, (name, Wanted::On, within), order).await
            }
            AssetsVerb::Stop(stop) => {
                if !stop.yes {
                    confirm(session, &stop.name).await?;
                }
                let wanted = if stop.hibernate { Wanted::Hibernated } else { Wanted::Off };
                want(session, (stop.name, wanted, None), stop.order).await
            }
            AssetsVerb::IamPolicy => policy(session),
        }
    }
}

fn home(session: &Session) -> Result<Home, Fail> {
    Home::open(session.settings.home()?).map_err(Fail::new)
}

/// The file's errors with their places.
fn wrong_file(session: &Session, error: FileError) -> Fail {
    match error {
        FileError::Wrong(errors) => {
            load::show(&session.printer, "error", &errors.errors);
            Fail::new(format!("assets.yaml cannot be used: {}", plural(errors.errors.len() as u64, "error")))
        }
        unreadable => Fail::new(unreadable),
    }
}

fn policy(session: &Session) -> Result<Code, Fail> {
    let home = home(session)?;
    let providers = providers(&home).map_err(|error| wrong_file(session, error))?;
    if providers.is_empty() {
        return Err(Fail::new("no cloud is named").help(no_file(&home)));
    }
    session.printer.json(&naru_cloud::iam_policy(&providers))?;
    Ok(Code::Done)
}

impl Discover {
    async fn run(self, session: &Session) -> Result<Code, Fail> {
        let home = home(session)?;
        let providers = providers(&home).map_err(|error| wrong_file(session, error))?;
        let found = naru_cloud::discover_all(&providers).await;
        if self.json {
            session.printer.json(&found.machines)?;
        } else {
            session.printer.data(&found.text)?;
        }
        if providers.is_empty() {
            session.printer.note(format!("no cloud is named: {}", no_file(&home)));
        }
        if found.failed.is_empty() { Ok(Code::Done) } else { Err(Fail::new(found.failed.join("\n"))) }
    }
}

async fn list(session: &Session, typed: Ls) -> Result<Code, Fail> {
    let client = session.ensured().await?;
    let how = if typed.look { ShowAssets::Looked } else { ShowAssets::Known };
    let mut view = client.assets(how).await?;
    if how == ShowAssets::Known
        && view.providers.iter().any(|one| one.looked.is_none() && one.fault.is_none())
    {
        // A server that has just begun, or a file that has just been written.
        view = client.assets(ShowAssets::Looked).await?;
    }
    if typed.json {
        session.printer.json(&view)?;
        return Ok(Code::Done);
    }
    asset_faults(&view).iter().for_each(|fault| session.printer.warn(fault));
    session.printer.data(&assets_table(&view.assets, now(), &Local(now())))?;
    if let Some(why) = no_assets(&view, &no_file(&home(session)?)) {
        session.printer.note(why);
    }
    Ok(Code::Done)
}

/// Says what a stop would end, and asks.
async fn confirm(session: &Session, name: &str) -> Result<(), Fail> {
    if !session.printer.can_ask() {
        let error = "`assets stop` asks before it stops a machine, and there is no terminal to ask on";
        return Err(Fail::usage(error).help("add `--yes`"));
    }
    let view = session.ensured().await?.assets(ShowAssets::Looked).await?;
    let Some(asset) = view.assets.iter().find(|one| one.name.as_str() == name || one.id.machine() == name)
    else {
        // The server says it better.
        return Ok(());
    };
    session.printer.result(stop_ends(asset, now()));
    match session.printer.ask("Stop it?")? {
        Answer::Yes => Ok(()),
        Answer::No => Err(Fail { code: Code::Refused, ..Fail::new("not confirmed: nothing was changed") }),
    }
}

async fn want(
    session: &Session,
    (asset, wanted, within): (String, Wanted, Option<Span>),
    typed: WantArgs,
) -> Result<Code, Fail> {
    let client = session.ensured().await?;
    // The server may not have looked at the clouds yet.
    client.assets(ShowAssets::Looked).await?;
    let order = AssetOrder { asset, wanted, within, message: typed.message };
    let asset = client.want_asset(&order).await?;
    if typed.no_wait {
        let told = format!("{} is wanted {wanted}; `naru assets ls` shows how it goes", asset.name);
        session.printer.result(told);
        return Ok(Code::Done);
    }
    let name = asset.name.clone();
    tokio::select! {
        ended = naru_cloud::see_through(&client, asset, |step| session.printer.result(step)) => match ended {
            Ended::Well => Ok(Code::Done),
            Ended::Badly(why) => Err(Fail::new(why)),
        },
        _ = tokio::signal::ctrl_c() => {
            session.printer.result(format!("detached: {name} is still wanted {wanted}"));
            Ok(Code::Detached)
        }
    }
}
