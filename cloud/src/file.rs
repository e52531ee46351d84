//! Where assets come from: the file in NARU_HOME, and the clouds that it names.

pub use naru_assets::{FILE, Provider, iam_policy};
pub use naru_yaml::file::FileError;

use naru_ec2::{Ec2, Environment, Fault, Settings};
use naru_home::Home;
use naru_model::{Machine, MachineState, plural};
use naru_schedule::{Addresses, Fault as NoDays, Fetched, Sources, Told};
use naru_show::machines_table;
use naru_show::paint::heading;
use naru_yaml::file::{content, content_if_any};
use std::collections::BTreeMap;

/// A fleet of hundreds of machines takes some ten KiB.
const FILE_MAX: u64 = 1 << 20;

/// The providers that the home's file names; none where there is no file. It may fetch calendars, and blocks for as long.
///
/// # Errors
/// It cannot be read, or something in it is wrong.
pub fn providers(home: &Home) -> Result<Vec<Provider>, FileError> {
    let path = home.path(FILE);
    let Some(text) = content_if_any(&path, FILE_MAX)? else { return Ok(vec![]) };
    let calendars = Calendars { home, addresses: naru_calendars::addresses(home.path("").as_path()) };
    Ok(naru_assets::read(&path.display().to_string(), &text, &calendars)?)
}

/// Calendars beside the file, and at addresses.
struct Calendars<'a> {
    home: &'a Home,
    addresses: Addresses,
}

impl Sources for Calendars<'_> {
    fn file(&self, name: &str) -> Result<String, Told> {
        let path = self.home.path(name);
        let advice = "put it beside assets.yaml, as an iCalendar file";
        content(&path, FILE_MAX)
            .map_err(|error| Told::new(format!("{} cannot be read: {error}", path.display()), advice))
    }

    fn address(&self, address: &str) -> Result<Fetched, NoDays> {
        let fetched = self.addresses.get(address)?;
        if let Some(remark) = &fetched.remark {
            tracing::warn!(calendar = %fetched.shown, "{}", remark.what);
        }
        Ok(fetched)
    }
}

/// A client of a provider's cloud.
///
/// # Errors
/// Nothing says which region, or an address is none.
pub(crate) async fn connect(provider: &Provider, environment: &Environment) -> Result<Ec2, Fault> {
    let settings = Settings {
        region: provider.region.clone(),
        endpoint: provider.endpoint.clone(),
        profile: provider.profile.clone(),
    };
    Ec2::new(&settings, environment).await
}

/// A provider's machines, of all or of some, with what the cloud's checks say of those that run.
///
/// # Errors
/// The cloud gives no answer, or refuses.
pub(crate) async fn look(ec2: &Ec2, provider: &Provider, only: &[String]) -> Result<Vec<Machine>, Fault> {
    let mut machines = ec2.machines(&provider.tags, only).await?;
    let running = |one: &&Machine| one.state == MachineState::Running;
    let ids: Vec<String> = machines.iter().filter(running).map(|one| one.id.clone()).collect();
    if only.is_empty() && !ids.is_empty() {
        // Without the right to it, or in a cloud that does not know it, it is not told.
        let health =
            ec2.health(&ids).await.inspect_err(|fault| tracing::debug!(%fault, "no health of machines"));
        for (id, word) in health.unwrap_or_default() {
            machines.iter_mut().filter(|one| one.id == id).for_each(|one| one.health = Some(word.clone()));
        }
    }
    Ok(machines)
}

/// What to do where no cloud is named.
pub fn no_file(home: &Home) -> String {
    let path = home.path(FILE);
    format!("name some in {}; the guide (docs/guide.md, \"Machines of a cloud\") shows how", path.display())
}

/// What a provider shows now, to whoever asks.
struct Discovered {
    /// Where.
    region: String,
    /// Where the credentials come from.
    source: String,
    /// What has its tags.
    machines: Vec<Machine>,
}

/// What all providers show now.
#[derive(Default)]
pub struct AllDiscovered {
    /// By the providers' names.
    pub machines: BTreeMap<String, Vec<Machine>>,
    /// The same, for people.
    pub text: String,
    /// Which could not be asked, and why.
    pub failed: Vec<String>,
}

/// Asks all clouds, one after the other.
pub async fn discover_all(providers: &[Provider]) -> AllDiscovered {
    let mut all = AllDiscovered::default();
    for provider in providers {
        let name = &provider.name;
        match discover(provider).await {
            Ok(found) => {
                let count = plural(found.machines.len() as u64, "machine");
                let (region, source) = (found.region, found.source);
                all.text +=
                    &heading(&format!("{name}: {count} in {region}, with the credentials of {source}"));
                if !found.machines.is_empty() {
                    all.text += &machines_table(&found.machines, provider.group.as_deref());
                }
                all.machines.insert(name.clone(), found.machines);
            }
            Err(fault) => all.failed.push(format!("{name}: {fault}")),
        }
    }
    all
}

/// Asks a provider's cloud, from here.
async fn discover(provider: &Provider) -> Result<Discovered, Fault> {
    let ec2 = connect(provider, &Environment::of_process()).await?;
    let source = ec2.source().await?;
    let machines = look(&ec2, provider, &[]).await?;
    Ok(Discovered { region: ec2.region().into(), source, machines })
}
