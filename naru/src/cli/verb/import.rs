//! `naru import`: what Docker Compose runs becomes a stack of Naru's, and runs on.

use crate::cli::args::ProjectArgs;
use crate::cli::fail::{Code, Fail};
use crate::cli::follow::Wish;
use crate::cli::load;
use crate::cli::order::{Order, OrderArgs, WaitArgs, carry_out};
use crate::cli::session::Session;
use clap::Args;
use naru_compose::Unsupported;
use naru_docker::{Foreign, Project};
use naru_model::{Change, Exit, Imported, Run, Service, ServiceName, Stack, UsedImage, plural};

/// What `naru import` takes.
#[derive(Args, Debug)]
pub struct Import {
    /// The project of Docker Compose; may be left out where one runs
    #[arg(value_name = "PROJECT")]
    name: Option<String>,
    /// Only show what would be imported
    #[arg(long)]
    dry_run: bool,
    /// Do not wait
    #[arg(short, long)]
    detach: bool,
    /// Why, for the receipt
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl Import {
    /// Imports.
    ///
    /// # Errors
    /// No such project runs, its files cannot be used, or the order was refused.
    pub async fn run(self, session: &Session) -> Result<Code, Fail> {
        let said = |error: naru_docker::Error| Fail::new(error.to_string());
        let running = naru_docker::projects(naru_docker::sockets()).await.map_err(said)?;
        let wanted = self.name.as_deref().or(session.settings.stated_name());
        let found = chosen(running, wanted)?;
        let mut settings = session.settings.clone();
        let own = ProjectArgs {
            file: found.files.clone(),
            project_name: Some(found.name.clone()),
            profile: settings.project.profile.clone(),
            env_file: found.env_files.clone(),
            project_directory: Some(found.folder.clone()),
        };
        if settings.project.file.is_empty() {
            settings.project = own;
        } else {
            settings.project.project_name = own.project_name;
        }
        let loaded = load::runnable(&settings, &session.printer, Unsupported::Warn)?;
        let matched = Matched::of(&found, &loaded.stack)?;
        matched.notes.iter().for_each(|note| session.printer.note(note));
        if self.dry_run {
            session.printer.data(&matched.shown())?;
            return Ok(Code::Done);
        }
        let client = session.ensured().await?;
        for content in loaded.contents.0.values() {
            client.keep_content(content).await?;
        }
        let order = Order {
            stack: loaded.stack.name.clone(),
            change: Change::Import { stack: Box::new(loaded.stack), found: matched.found },
            args: OrderArgs { detach: self.detach, message: self.message, cut: false, yes: false },
            until: self.wait.wait.into(),
            wish: Wish::Success,
            affects: None,
        };
        carry_out(session, &client, order).await
    }
}

/// The project that is meant.
fn chosen(running: Vec<Project>, wanted: Option<&str>) -> Result<Project, Fail> {
    let names: Vec<String> = running.iter().map(|project| project.name.clone()).collect();
    let there = match names.as_slice() {
        [] => "Docker Compose has no container on this engine; DOCKER_HOST names another".to_string(),
        names => format!("projects of Docker Compose here: {}", names.join(", ")),
    };
    let mut fitting = running.into_iter().filter(|one| wanted.is_none_or(|wanted| one.name == wanted));
    match (fitting.next(), fitting.next(), wanted) {
        (Some(one), None, _) => Ok(one),
        (None, _, Some(wanted)) => {
            Err(Fail::new(format!("there is no project `{wanted}` to import")).help(there))
        }
        (None, _, None) => Err(Fail::new("there is nothing to import").help(there)),
        (Some(_), Some(_), _) => Err(Fail::usage("which project?").help(there)),
    }
}

/// The containers beside the file.
struct Matched {
    found: Imported,
    /// What a person should know before.
    notes: Vec<String>,
    rows: Vec<(String, String, String)>,
}

impl Matched {
    fn of(project: &Project, stack: &Stack) -> Result<Matched, Fail> {
        let mut matched = Matched { found: Imported::default(), notes: vec![], rows: vec![] };
        for one in &project.containers {
            let name = ServiceName::from(one.service.as_str());
            match stack.services.get(&name) {
                Some(service) => matched.enter(&name, service, one)?,
                None => matched.notes.push(format!(
                    "container {} is of service `{name}`, which the file does not have: it is left alone",
                    one.name
                )),
            }
        }
        let is_running = |name: &ServiceName| matched.found.containers.contains_key(name);
        let off =
            stack.services.keys().filter(|name| !is_running(name) && !matched.found.done.contains(*name));
        let off: Vec<&str> = off.map(ServiceName::as_str).collect();
        if !off.is_empty() {
            matched.notes.push(format!("not running, and not started: {}", off.join(", ")));
        }
        Ok(matched)
    }

    fn enter(&mut self, name: &ServiceName, service: &Service, one: &Foreign) -> Result<(), Fail> {
        let Run::Container(container) = &service.template.run else {
            let error = format!("`{name}` runs as a container, and its `x-naru.process` makes it a process");
            return Err(
                Fail::new(error).help("import it without; write `x-naru.process` for a later release")
            );
        };
        let becomes = if one.is_running {
            self.found.containers.entry(name.clone()).or_default().push(one.id.clone());
            "runs on"
        } else if one.exit == Some(Exit::Status(0)) && service.template.targets.is_empty() {
            self.found.done.insert(name.clone());
            "has succeeded, and is not run again"
        } else {
            "does not run: left alone"
        };
        self.rows.push((name.to_string(), one.name.clone(), becomes.into()));
        if one.image == container.image && !one.image_id.is_empty() {
            let image = UsedImage { id: one.image_id.clone(), digest: None };
            self.found.images.insert(one.image.clone(), image);
        }
        if one.is_running && one.image != container.image {
            self.notes.push(format!(
                "container {} was made from {}, and the file says {}: `naru restart {name}` brings that",
                one.name, one.image, container.image
            ));
        }
        for target in &one.unnamed_volumes {
            self.notes.push(format!(
                "container {} keeps {target} in a volume without a name, and the next instance begins without it: \
                 copy what is in it into a named one before",
                one.name
            ));
        }
        Ok(())
    }

    fn shown(&self) -> String {
        let count: usize = self.found.containers.values().map(Vec::len).sum();
        let mut text = format!("{} would run on:\n", plural(count as u64, "container"));
        for (service, container, becomes) in &self.rows {
            text.push_str(&format!("  {service}: {container} {becomes}\n"));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str) -> Project {
        Project { name: name.into(), ..Project::default() }
    }

    #[test]
    fn the_only_project_is_meant_and_of_several_the_named_one() {
        let (a, b) = (project("a"), project("b"));
        assert_eq!(chosen(vec![a.clone()], None).unwrap(), a);
        assert_eq!(chosen(vec![a.clone(), b.clone()], Some("b")).unwrap(), b);
        assert!(chosen(vec![a.clone(), b], None).is_err());
        assert!(chosen(vec![a], Some("c")).is_err());
        assert!(chosen(vec![], None).is_err());
    }
}
