//! `naru plan`: what `up` would change, and why. Nothing is changed.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::images;
use crate::cli::load::{StrictArgs, names, parse_scale, scaled};
use crate::cli::paint::{self, Tone};
use crate::cli::session::Session;
use crate::cli::table::{foreign, pad, width};
use clap::Args;
use naru_api::PlanRequest;
use naru_model::{Plan, PlanAction, ServiceName, ServicePlan, plural};

/// What `naru plan` takes.
#[derive(Args, Debug)]
pub struct PlanArgs {
    /// Only these services, and what they depend on
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
    /// Another number of instances than the file says
    #[arg(long, value_name = "SERVICE=N", value_parser = parse_scale)]
    scale: Vec<(ServiceName, u32)>,
    /// Print the plan as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    strict: StrictArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl PlanArgs {
    /// Plans.
    ///
    /// # Errors
    /// The files cannot be used, or the server would refuse the order.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let stack = scaled(session.runnable(self.strict.unsupported())?.stack, &self.scale)?;
        let only = names(&stack, &self.services)?;
        let client = session.ensured().await?;
        let images = images::seen(session, &client, &stack, &only).await?;
        let plan = client.plan(&PlanRequest { stack, only, images }).await?;
        if self.json {
            session.printer.json(&plan)?;
        } else {
            session.printer.data(&render(&plan))?;
        }
        Ok(if plan.changes() { Code::Usage } else { Code::Done })
    }
}

fn render(plan: &Plan) -> String {
    let mut text = if plan.changes() {
        paint::heading(&format!("release {} of {} would", plan.release, plan.stack))
    } else {
        format!("{} is as the file says (release {}): nothing would change\n", plan.stack, plan.release)
    };
    let widest = plan.services.iter().map(|one| width(one.service.as_str())).max().unwrap_or(0);
    for one in plan.services.iter().filter(|one| one.action != PlanAction::Keep) {
        text += &service(one, widest);
    }
    let kept: Vec<&str> = plan
        .services
        .iter()
        .filter(|one| one.action == PlanAction::Keep)
        .map(|one| one.service.as_str())
        .collect();
    if plan.changes() && !kept.is_empty() {
        text += &paint::dim(format!("  = keep {} as it is", kept.join(", ")));
        text.push('\n');
    }
    for change in plan.routes.iter().chain(&plan.jobs) {
        text += &format!("  {} {}\n", paint::tone(Tone::Busy, "~"), foreign(change));
    }
    for note in &plan.notes {
        text += &format!("{} {}\n", paint::bold("note:"), foreign(note));
    }
    text
}

fn service(one: &ServicePlan, widest: usize) -> String {
    let (sign, tone) = match one.action {
        PlanAction::Create => ("+", Tone::Good),
        PlanAction::Remove => ("-", Tone::Bad),
        PlanAction::Replace | PlanAction::Scale | PlanAction::Adjust => ("~", Tone::Busy),
        PlanAction::Keep => ("=", Tone::Quiet),
    };
    let why = if one.differs.is_empty() { String::new() } else { format!(": {}", one.differs.join(", ")) };
    let mut text = format!(
        "  {} {}  {}{}\n",
        paint::tone(tone, sign),
        pad(&paint::bold(&one.service), widest),
        action(one),
        foreign(&why)
    );
    one.how.iter().for_each(|how| text += &format!("      {}\n", foreign(how)));
    text
}

fn action(one: &ServicePlan) -> String {
    let (now, then) = one.replicas;
    let count = |n: u32| plural(u64::from(n), "instance");
    match one.action {
        PlanAction::Create => format!("create {}", count(then)),
        PlanAction::Replace if now == then => format!("replace {}", count(now)),
        PlanAction::Replace => format!("replace {} by {}", count(now), count(then)),
        PlanAction::Scale => format!("go from {now} to {}", count(then)),
        PlanAction::Adjust => "adjust, without touching an instance".into(),
        PlanAction::Remove => format!("retire {}", count(now)),
        PlanAction::Keep => "keep".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::render;
    use anstream::adapter::strip_str;
    use naru_model::{Plan, PlanAction, ReleaseNo, ServicePlan};

    fn planned(name: &str, action: PlanAction, replicas: (u32, u32)) -> ServicePlan {
        let differs = if action == PlanAction::Replace { vec!["environment".into()] } else { vec![] };
        let how = if action == PlanAction::Replace { vec!["one at a time".into()] } else { vec![] };
        ServicePlan { service: name.into(), action, replicas, differs, how }
    }

    #[test]
    fn a_plan_says_what_why_and_how() {
        let services = vec![
            planned("api", PlanAction::Replace, (3, 3)),
            planned("db", PlanAction::Keep, (1, 1)),
            planned("엔진", PlanAction::Create, (0, 2)),
            planned("old", PlanAction::Remove, (1, 0)),
        ];
        let plan = Plan {
            stack: "shop".into(),
            release: ReleaseNo(2),
            services,
            routes: vec!["route api is new: */api/* to api:80".into()],
            jobs: vec!["job backup goes".into()],
            notes: vec!["api: port 80 is taken for http".into()],
        };
        let want = "\
release 2 of shop would
  ~ api   replace 3 instances: environment
      one at a time
  + 엔진  create 2 instances
  - old   retire 1 instance
  = keep db as it is
  ~ route api is new: */api/* to api:80
  ~ job backup goes
note: api: port 80 is taken for http
";
        assert_eq!(strip_str(&render(&plan)).to_string(), want);
    }
}
