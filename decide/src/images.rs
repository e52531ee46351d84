//! Images: which ones a stack is made from, what is done to have them, and what a release records of them.
//!
//! A tag is a name that moves. What it means is found once, just before a release is made, and stands in the release:
//! its instances start from that, a rollback goes back to that, and a tag that means something else at the next deploy
//! changes the services that it is of, as any other change does.

use crate::admit::Contents;
use naru_model::{
    Build, BuildChoice, BuildSettings, ImageAct, Images, MountSource, PullPolicy, Reason, Refusal, Release,
    Run, ServiceName, Stack, Template, UsedImage,
};
use std::collections::{BTreeMap, BTreeSet};

/// The references that an instance is made from: its own, those of what runs before it, and of what it mounts.
pub(crate) fn references(template: &Template) -> BTreeSet<&str> {
    let Run::Container(container) = &template.run else { return BTreeSet::new() };
    let before = container.pre_start.iter().filter_map(|prelude| prelude.image.as_deref());
    let mounted = container.mounts.iter().filter_map(|mount| match &mount.source {
        MountSource::Image { image, .. } => Some(image.as_str()),
        _ => None,
    });
    before.chain(mounted).chain([container.image.as_str()]).collect()
}

/// What a release says of its services' images.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// What each reference means, by service.
    pub images: BTreeMap<ServiceName, Images>,
    /// Two services with the same are interchangeable.
    pub fingerprints: BTreeMap<ServiceName, String>,
    /// References that mean something else than they did.
    pub moved: Vec<Reason>,
}

impl Settled {
    /// The references of a service that mean something else than they did.
    pub fn moved_of<'a>(&'a self, name: &'a ServiceName) -> impl Iterator<Item = &'a Reason> {
        let is_its =
            move |one: &&Reason| matches!(one, Reason::OtherImage { service, .. } if service == name);
        self.moved.iter().filter(is_its)
    }
}

/// What the contents of a release are made from: as `found` has it just now, beside what the present release recorded.
/// What was not found, and what is kept from the present release, stays what it was.
pub(crate) fn settle(
    new: &Contents,
    found: impl Fn(&ServiceName, &str) -> Option<UsedImage>,
    present: Option<&Release>,
) -> Settled {
    let mut settled = Settled::default();
    for (name, template, _) in new.stack.templates() {
        let known = present.and_then(|release| release.images.get(name));
        let mut images = Images::new();
        for reference in references(template) {
            let was = known.and_then(|known| known.get(reference));
            let now = found(name, reference).filter(|_| !new.kept.contains(name));
            if let (Some(was), Some(is)) = (was, &now)
                && !was.is_same(is)
            {
                let (service, reference) = (name.clone(), reference.to_owned());
                let (was, is) = (was.clone(), is.clone());
                settled.moved.push(Reason::OtherImage { service, reference, was, is });
            }
            if let Some(image) = now.or_else(|| was.cloned()) {
                images.insert(reference.to_owned(), image);
            }
        }
        let same = present.and_then(|release| fingerprint_if_same(release, name, template));
        let same = same.filter(|_| settled.moved_of(name).next().is_none());
        let fingerprint = same.unwrap_or_else(|| template.fingerprint_of(&images));
        settled.fingerprints.insert(name.clone(), fingerprint);
        if !images.is_empty() {
            settled.images.insert(name.clone(), images);
        }
    }
    settled
}

/// A release from before images were recorded has a fingerprint without them: what did not change keeps it.
fn fingerprint_if_same(present: &Release, name: &ServiceName, template: &Template) -> Option<String> {
    let (_, old, _) = present.stack.templates().find(|(of, ..)| *of == name)?;
    let is_same = old.fingerprint() == template.fingerprint();
    present.fingerprints.get(name).filter(|_| is_same).cloned()
}

/// What is done about one image.
#[derive(Clone, Debug, PartialEq)]
pub struct ImageStep {
    /// Its reference.
    pub reference: String,
    /// What it is for; `None`: the engine's own.
    pub platform: Option<String>,
    /// Whose it is.
    pub service: ServiceName,
    /// How it is come by.
    pub way: ImageWay,
}

/// How an image is come by.
#[derive(Clone, Debug, PartialEq)]
pub enum ImageWay {
    /// As it is here. One that is not is left out.
    Look,
    /// From its registry, when this policy says so.
    Fetch(PullPolicy),
    /// The same; where it fails, it is only told: it can be built.
    TryFetch(PullPolicy),
    /// From sources, where it is not here.
    MakeMissing(Box<Build>),
    /// From sources, in any case.
    Make(Box<Build>, BuildSettings),
    /// To its registry, with these further names.
    Push(Vec<String>),
}

/// What is done about the images of a stack; only of these services, unless it is empty. Each image once.
///
/// # Errors
/// There is no such service, or what is wanted cannot be.
pub fn image_steps(stack: &Stack, only: &[ServiceName], act: &ImageAct) -> Result<Vec<ImageStep>, Refusal> {
    let chosen = match act {
        _ if only.is_empty() => stack.templates().map(|(name, ..)| name.clone()).collect(),
        ImageAct::Look | ImageAct::Prepare { .. } => stack.with_dependencies(only)?,
        ImageAct::Pull { .. } | ImageAct::Build(_) | ImageAct::Push => {
            stack.with_dependencies(only)?;
            only.iter().cloned().collect()
        }
    };
    let mut steps: Vec<ImageStep> = Vec::new();
    for (name, template, build) in stack.templates().filter(|(name, ..)| chosen.contains(*name)) {
        let Run::Container(container) = &template.run else { continue };
        for reference in references(template) {
            let is_own = reference == container.image;
            let asked = Asked { stack, name, build, policy: container.pull };
            let Some(way) = asked.way(reference, is_own, act)? else { continue };
            let platform = container.platform.clone().filter(|_| is_own);
            let step = ImageStep { reference: reference.into(), platform, service: name.clone(), way };
            match steps.iter_mut().find(|one| one.reference == reference && one.platform == step.platform) {
                Some(same) if rank(&step.way) > rank(&same.way) => *same = step,
                Some(_) => {}
                None => steps.push(step),
            }
        }
    }
    // What is built may begin with what is fetched, and a service with what another one builds.
    steps.sort_by_key(|step| matches!(step.way, ImageWay::MakeMissing(_) | ImageWay::Make(..)));
    Ok(steps)
}

/// Of several services with one image, the one that asks for most has its way.
fn rank(way: &ImageWay) -> u8 {
    match way {
        ImageWay::Look => 0,
        ImageWay::Fetch(PullPolicy::Never | PullPolicy::Build) => 1,
        ImageWay::Fetch(PullPolicy::Missing) | ImageWay::TryFetch(_) => 2,
        ImageWay::Fetch(PullPolicy::Every(_)) => 3,
        ImageWay::Fetch(PullPolicy::Always) => 4,
        ImageWay::MakeMissing(_) => 5,
        ImageWay::Make(..) | ImageWay::Push(_) => 6,
    }
}

/// One service or job, whose image is wanted.
struct Asked<'a> {
    stack: &'a Stack,
    name: &'a ServiceName,
    build: Option<&'a Build>,
    policy: PullPolicy,
}

impl Asked<'_> {
    /// `None`: nothing is to be done.
    fn way(&self, reference: &str, is_own: bool, act: &ImageAct) -> Result<Option<ImageWay>, Refusal> {
        let build = self.build.filter(|_| is_own);
        // A name that only this machine knows is no registry's.
        let is_given = format!("{}-{}", self.stack.name, self.name) == reference;
        Ok(match (act, build) {
            (ImageAct::Look, _) => Some(ImageWay::Look),
            (ImageAct::Prepare { build: choice, .. }, Some(build)) => {
                let asks = matches!(self.policy, PullPolicy::Always | PullPolicy::Every(_));
                let policy = match choice {
                    BuildChoice::Never if is_given => PullPolicy::Never,
                    _ if is_given && asks => PullPolicy::Missing,
                    _ => self.policy,
                };
                Some(self.prepared(build, policy, *choice)?)
            }
            (ImageAct::Prepare { pull, .. }, None) => {
                let policy = pull.unwrap_or(if is_own { self.policy } else { PullPolicy::Missing });
                Some(ImageWay::Fetch(self.fetchable(policy)?))
            }
            (ImageAct::Pull { .. }, Some(_)) if is_given => None,
            (ImageAct::Pull { policy }, Some(_)) => {
                Some(ImageWay::TryFetch(policy.unwrap_or(PullPolicy::Always)))
            }
            (ImageAct::Pull { policy }, None) => Some(ImageWay::Fetch(policy.unwrap_or(PullPolicy::Always))),
            (ImageAct::Build(settings), Some(build)) => {
                self.check(build)?;
                Some(ImageWay::Make(build.clone().into(), settings.clone()))
            }
            (ImageAct::Push, Some(build)) if is_given && build.tags.is_empty() => None,
            (ImageAct::Push, Some(build)) => Some(ImageWay::Push(build.tags.clone())),
            (ImageAct::Build(_) | ImageAct::Push, None) => None,
        })
    }

    fn prepared(&self, build: &Build, policy: PullPolicy, choice: BuildChoice) -> Result<ImageWay, Refusal> {
        let now = || ImageWay::Make(build.clone().into(), BuildSettings::default());
        let way = match (choice, policy) {
            (BuildChoice::Never, PullPolicy::Build | PullPolicy::Never) => ImageWay::Fetch(PullPolicy::Never),
            (BuildChoice::Never, policy) => ImageWay::Fetch(policy),
            (BuildChoice::Always, _) | (BuildChoice::AsNeeded, PullPolicy::Build) => now(),
            (BuildChoice::AsNeeded, PullPolicy::Missing) => ImageWay::MakeMissing(build.clone().into()),
            (BuildChoice::AsNeeded, policy) => ImageWay::Fetch(policy),
        };
        if matches!(way, ImageWay::Make(..) | ImageWay::MakeMissing(_)) {
            self.check(build)?;
        }
        Ok(way)
    }

    fn fetchable(&self, policy: PullPolicy) -> Result<PullPolicy, Refusal> {
        if policy != PullPolicy::Build {
            return Ok(policy);
        }
        let error = format!("service `{}` has `pull_policy: build`, and nothing to build", self.name);
        Err(Refusal::new(error, "add `build`, or another pull_policy"))
    }

    /// What the engine's own builder cannot do would come out as something else than what is meant.
    fn check(&self, build: &Build) -> Result<(), Refusal> {
        let cannot = if let Some(name) = build.additional_contexts.keys().next() {
            format!("build.additional_contexts (`{name}`) of service `{}`", self.name)
        } else if build.platforms.len() > 1 {
            format!("build.platforms of service `{}` with more than one platform", self.name)
        } else {
            return Ok(());
        };
        let error = format!("{cannot} needs BuildKit, and Naru builds with the engine's own builder");
        Err(Refusal::new(error, "build it by `docker buildx build`, and `naru up --no-build`"))
    }
}

#[cfg(test)]
mod tests {
    use super::{ImageWay, image_steps};
    use crate::share::tests::{service, web};
    use naru_model::{Build, BuildChoice, BuildSettings, Container, ImageAct, PullPolicy, Service, Stack};
    use std::collections::BTreeMap;

    fn image(reference: &str, pull: PullPolicy) -> Service {
        service(Container { image: reference.into(), pull, ..web() })
    }

    fn built(reference: &str, pull: PullPolicy) -> Service {
        Service { build: Some(Build::default()), ..image(reference, pull) }
    }

    /// `REFERENCE WAY`, a line each.
    fn check(services: &[(&str, Service)], act: ImageAct) -> Vec<String> {
        let services = services.iter().map(|(name, one)| ((*name).into(), one.clone())).collect();
        let stack = Stack {
            name: "s".into(),
            project_dir: "/".into(),
            services,
            jobs: BTreeMap::new(),
            listeners: vec![],
            routes: vec![],
        };
        let steps = match image_steps(&stack, &[], &act) {
            Ok(steps) => steps,
            Err(refusal) => return vec![refusal.error],
        };
        let way = |way: ImageWay| match way {
            ImageWay::MakeMissing(_) => "make if missing".into(),
            ImageWay::Make(..) => "make".to_string(),
            other => format!("{other:?}").to_lowercase(),
        };
        steps.into_iter().map(|step| format!("{} {}", step.reference, way(step.way))).collect()
    }

    fn prepare(pull: Option<PullPolicy>, build: BuildChoice) -> ImageAct {
        ImageAct::Prepare { pull, build }
    }

    #[test]
    fn a_release_has_its_images_as_the_file_says() {
        let services = [
            ("a", built("a:1", PullPolicy::Missing)),
            ("b", built("b:1", PullPolicy::Build)),
            ("c", image("c:1", PullPolicy::Missing)),
            ("d", image("c:1", PullPolicy::Always)),
            ("e", built("s-e", PullPolicy::Always)),
        ];
        let act = |pull, build| check(&services, prepare(pull, build));
        let usual = act(None, BuildChoice::AsNeeded);
        assert_eq!(usual, ["c:1 fetch(always)", "a:1 make if missing", "b:1 make", "s-e make if missing"]);
        let all = act(Some(PullPolicy::Never), BuildChoice::Always);
        assert_eq!(all, ["c:1 fetch(never)", "a:1 make", "b:1 make", "s-e make"]);
        let none = act(None, BuildChoice::Never);
        assert_eq!(none, ["a:1 fetch(missing)", "b:1 fetch(never)", "c:1 fetch(always)", "s-e fetch(never)"]);
        let looked = check(&services, ImageAct::Look);
        assert_eq!(looked, ["a:1 look", "b:1 look", "c:1 look", "s-e look"]);
    }

    #[test]
    fn a_name_that_only_this_machine_knows_is_neither_pulled_nor_pushed() {
        let services = [("a", built("s-a", PullPolicy::Missing)), ("b", built("r/b:1", PullPolicy::Missing))];
        assert_eq!(check(&services, ImageAct::Pull { policy: None }), ["r/b:1 tryfetch(always)"]);
        assert_eq!(check(&services, ImageAct::Push), ["r/b:1 push([])"]);
        let made = check(&services, ImageAct::Build(BuildSettings::default()));
        assert_eq!(made, ["s-a make", "r/b:1 make"]);
    }

    #[test]
    fn what_another_builder_would_make_is_refused_and_only_when_it_is_to_be_made() {
        let contexts = BTreeMap::from([("base".to_owned(), "./base".to_owned())]);
        let build = Some(Build { additional_contexts: contexts, ..Build::default() });
        let services = [("a", Service { build, ..image("a:1", PullPolicy::Missing) })];
        let refused = check(&services, prepare(None, BuildChoice::AsNeeded));
        assert!(refused[0].contains("needs BuildKit"), "{refused:?}");
        let not_made = check(&services, prepare(None, BuildChoice::Never));
        assert_eq!(not_made, ["a:1 fetch(missing)"]);
        let nothing = check(&[("a", image("a:1", PullPolicy::Build))], prepare(None, BuildChoice::AsNeeded));
        assert_eq!(nothing, ["service `a` has `pull_policy: build`, and nothing to build"]);
    }
}
