//! An image made from sources, by the engine's own builder.

use crate::Error;
use crate::context::{self, Context};
use crate::credentials::all_credentials;
use crate::engine::Found;
use crate::image::{Image, STANDSTILL, find, next, split};
use crate::stock::Before;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptionsBuilder, TagImageOptionsBuilder};
use naru_model::{Build, BuildSettings};
use std::collections::HashMap;
use tokio::sync::mpsc;

/// What is made, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Recipe {
    /// The image's reference.
    pub reference: String,
    /// What the file says.
    pub build: Build,
    /// What was typed beside.
    pub settings: BuildSettings,
    /// What it is for; `None`: the engine's own.
    pub platform: Option<String>,
}

/// Makes it.
pub(crate) async fn build(
    engine: &Found,
    recipe: Recipe,
    lines: mpsc::Sender<String>,
) -> Result<Image, Error> {
    let named = recipe.reference.clone();
    let failed = |said: String| Error::Image(format!("image {named} could not be built: {said}"));
    let before = Before::of(engine).await?;
    let sent = context::of(&recipe.build).await.map_err(&failed)?;
    let options = options(&recipe, &sent);
    let body = match sent {
        Context::Sent { archive, .. } => bollard::body_try_stream(context::pieces(archive)),
        Context::Remote(_) => bollard::body_full(Default::default()),
    };
    // A step that compiles says nothing for long: its end is waited for.
    let patient = engine.docker.clone().with_timeout(STANDSTILL * 12);
    let stream = patient.build_image(options, Some(all_credentials().await), Some(body));
    let mut stream = Box::pin(stream);
    let mut words = Words::default();
    loop {
        match next(&mut stream).await {
            Ok(Some(info)) => {
                for line in words.take(info) {
                    // Nobody listens any more: the image is wanted all the same.
                    let _ = lines.send(line).await;
                }
            }
            Ok(None) => break,
            Err(said) => return Err(failed(said_of(engine, &said))),
        }
    }
    if let Some(line) = words.rest() {
        let _ = lines.send(line).await;
    }
    for tag in &recipe.build.tags {
        let (repo, tag) = split(tag);
        let options = TagImageOptionsBuilder::default().repo(repo).tag(tag).build();
        let tagged = engine.docker.tag_image(&named, Some(options));
        engine.ask(tagged, || format!("name image {named} {repo}:{tag}")).await?;
    }
    let image = find(engine, &named).await?;
    let image = image.ok_or_else(|| failed("the engine does not have it after all".into()))?;
    before.enter(engine, &image)?;
    Ok(image)
}

fn options(recipe: &Recipe, sent: &Context) -> bollard::query_parameters::BuildImageOptions {
    let Recipe { reference, build, settings, platform } = recipe;
    let all = |table: &mut dyn Iterator<Item = (&String, &String)>| -> HashMap<String, String> {
        table.map(|(key, value)| (key.clone(), value.clone())).collect()
    };
    let args = all(&mut build.args.iter().chain(&settings.args));
    let labels = all(&mut build.labels.iter());
    let hosts: Vec<String> =
        build.extra_hosts.iter().map(|host| format!("{}:{}", host.name, host.address)).collect();
    let platform = build.platforms.first().or(platform.as_ref());
    let mut options = BuildImageOptionsBuilder::default()
        .t(reference)
        .rm(true)
        .forcerm(true)
        .nocache(build.no_cache || settings.no_cache)
        .buildargs(&args)
        .labels(&labels)
        .cachefrom(&build.cache_from)
        .target(build.target.as_deref().unwrap_or_default())
        .platform(platform.map_or("", String::as_str));
    options = match sent {
        Context::Sent { dockerfile, .. } => options.dockerfile(dockerfile),
        Context::Remote(address) => {
            options.remote(address).dockerfile(build.dockerfile.as_deref().unwrap_or("Dockerfile"))
        }
    };
    if build.pull || settings.pull {
        options = options.pull("1");
    }
    if let Some(network) = &build.network {
        options = options.networkmode(network);
    }
    if let Some(bytes) = build.shm_size {
        options = options.shmsize(i32::try_from(bytes).unwrap_or(i32::MAX));
    }
    if !hosts.is_empty() {
        options = options.extrahosts(&hosts.join(","));
    }
    options.build()
}

/// What the builder says, line by line: it speaks in pieces.
#[derive(Default)]
struct Words {
    open: String,
}

impl Words {
    /// A line without an end in sight is cut.
    const LONGEST: usize = 4_000;

    fn take(&mut self, info: BuildInfo) -> Vec<String> {
        let said = info.stream.unwrap_or_default();
        self.open.push_str(&said.replace('\r', "\n"));
        let mut lines = Vec::new();
        while let Some(end) = self.open.find('\n') {
            let line: String = self.open.drain(..=end).collect();
            lines.push(line.trim_end().to_owned());
        }
        if self.open.len() > Self::LONGEST {
            lines.push(std::mem::take(&mut self.open));
        }
        lines.retain(|line| !line.is_empty());
        lines
    }

    fn rest(self) -> Option<String> {
        Some(self.open.trim_end().to_owned()).filter(|line| !line.is_empty())
    }
}

/// What can be done about a build that failed.
fn said_of(engine: &Found, said: &str) -> String {
    let said = said.trim();
    let low = said.to_lowercase();
    if low.contains("no space left") {
        let socket = engine.socket.display();
        return format!(
            "{said}: the disk of the container engine at {socket} is full: `naru prune` makes room"
        );
    }
    if low.contains("buildkit") || low.contains("unknown flag: mount") {
        let advice = "build it by `docker buildx build`, and `naru up --no-build`";
        return format!("{said}: Naru builds with the engine's own builder, not with BuildKit: {advice}");
    }
    said.to_owned()
}

#[cfg(test)]
mod tests {
    use super::Words;
    use bollard::models::BuildInfo;

    #[test]
    fn what_comes_in_pieces_is_told_in_lines() {
        let mut words = Words::default();
        let mut say =
            |text: &str| words.take(BuildInfo { stream: Some(text.into()), ..BuildInfo::default() });
        assert_eq!(say("Step 1/2 : FROM "), Vec::<String>::new());
        assert_eq!(say("web\n\n ---> 12"), ["Step 1/2 : FROM web"]);
        assert_eq!(say("\rdone"), [" ---> 12"]);
        assert_eq!(words.rest().as_deref(), Some("done"));
    }
}
