//! `naru up`: the Compose file becomes a release, and the release serves.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::follow::Wish;
use crate::cli::images::{self, ImageArgs};
use crate::cli::load::{StrictArgs, names, scaled};
use crate::cli::order::{Order, OrderArgs, WaitArgs, carry_out};
use crate::cli::session::Session;
use clap::Args;
use naru_api::{Client, PlanRequest};
use naru_model::{Change, Images, PlanAction, ServiceName, Stack};
use std::collections::BTreeSet;

/// What `naru up` takes.
#[derive(Args, Debug)]
pub struct Up {
    /// Only these services, and what they depend on; the others stay as they are
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Another number of instances than the file says
    #[arg(long, value_name = "SERVICE=N", value_parser = crate::cli::load::parse_scale)]
    scale: Vec<(ServiceName, u32)>,
    #[command(flatten)]
    images: ImageArgs,
    #[command(flatten)]
    order: OrderArgs,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    strict: StrictArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl Up {
    /// Deploys.
    ///
    /// # Errors
    /// The files cannot be used, an image cannot be had, the order was refused, or the deploy failed.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let loaded = session.runnable(self.strict.unsupported())?;
        let stack = scaled(loaded.stack, &self.scale)?;
        let only = names(&stack, &self.services)?;
        let client = session.ensured().await?;
        for content in loaded.contents.0.values() {
            client.keep_content(content).await?;
        }
        let images = images::settled(session, &client, &stack, &only, self.images.act()).await?;
        let affects = match self.order.cut {
            true => Some(replaced(&client, &stack, &only, &images).await?),
            false => None,
        };
        let order = Order {
            stack: stack.name.clone(),
            change: Change::Deploy { stack: Box::new(stack), only, images, idle: vec![] },
            args: self.order,
            until: self.wait.wait.into(),
            wish: Wish::Success,
            affects,
        };
        carry_out(session, &client, order).await
    }
}

/// The services whose instances this deploy retires.
async fn replaced(
    client: &Client,
    stack: &Stack,
    only: &[ServiceName],
    images: &Images,
) -> Result<BTreeSet<ServiceName>, Fail> {
    let request = PlanRequest { stack: stack.clone(), only: only.to_vec(), images: images.clone() };
    let plan = client.plan(&request).await?;
    let touches = |action| matches!(action, PlanAction::Replace | PlanAction::Scale | PlanAction::Remove);
    Ok(plan.services.into_iter().filter(|one| touches(one.action)).map(|one| one.service).collect())
}
