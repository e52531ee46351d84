//! Garbage: which images of a node nobody needs any more.
//!
//! An image goes only when Naru brought it and nothing that Naru keeps could ask for it again: no release on record, for a
//! rollback may go to any of them, and a service that is stopped starts again from its release. What bears a name that the
//! present release uses stays as well: somebody pulled or built it for the next one.

use crate::World;
use crate::images::references;
use naru_model::{FateReason, ImageFate, Release, ReleaseNo, ServiceName, Span, StackName, StockImage, Time};
use std::collections::BTreeMap;

/// What just came may be for a release that is about to be made.
const SPARED: Span = Span::secs(3600);

/// On whose word images go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// By itself: what a stack that is down was made from stays, for it may come up again tomorrow.
    Quiet,
    /// A person asked.
    Ordered,
}

/// What becomes of each image, in the order of the stock.
pub fn garbage(world: &World, stock: Vec<StockImage>, sweep: Sweep, now: Time) -> Vec<ImageFate> {
    let needs = Needs::of(world);
    let fate = |image: StockImage| {
        let why = why(&needs, &image, sweep, now);
        ImageFate { image, why, refused: None }
    };
    stock.into_iter().map(fate).collect()
}

fn why(needs: &Needs, image: &StockImage, sweep: Sweep, now: Time) -> FateReason {
    let Some(brought) = image.brought else { return FateReason::NotOurs };
    if image.containers > 0 {
        return FateReason::Used { containers: image.containers };
    }
    let need = needs.find(image);
    match need {
        Some(Need { stack, is_up: false, .. }) if sweep == Sweep::Ordered => {
            FateReason::Down { stack: stack.clone() }
        }
        Some(Need { stack, service, release, .. }) => {
            let (stack, service, release) = (stack.clone(), service.clone(), *release);
            FateReason::Needed { stack, service, release }
        }
        None if now.since(brought) < SPARED => FateReason::Recent,
        None => FateReason::Unneeded,
    }
}

/// Who needs an image.
#[derive(Clone, Debug)]
struct Need {
    stack: StackName,
    service: ServiceName,
    release: ReleaseNo,
    /// Whether the stack is up, or an instance of it is still there.
    is_up: bool,
}

/// What a release is to its stack.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// It is wanted now.
    Present,
    /// A rollback may go to it.
    Past,
    /// The stack was taken down.
    Down,
}

/// Who needs which image: by the engine's id, by a registry's digest, or only by a name.
#[derive(Default)]
struct Needs {
    by_id: BTreeMap<String, Need>,
    by_name: BTreeMap<String, Need>,
}

impl Needs {
    fn of(world: &World) -> Needs {
        let mut needs = Needs::default();
        for ((stack, _), release) in &world.releases {
            let target = world.stacks.get(stack).and_then(|record| record.target.as_ref());
            let standing = match target {
                Some(target) if target.release == release.number => Standing::Present,
                Some(_) => Standing::Past,
                None if world.instances.values().any(|one| one.stack == *stack) => Standing::Past,
                None => Standing::Down,
            };
            needs.enter(stack, release, standing);
        }
        needs
    }

    fn enter(&mut self, stack: &StackName, release: &Release, standing: Standing) {
        for (name, template, _) in release.stack.templates() {
            let is_up = standing != Standing::Down;
            let need = Need { stack: stack.clone(), service: name.clone(), release: release.number, is_up };
            let recorded = release.images.get(name);
            for reference in references(template) {
                let image = recorded.and_then(|images| images.get(reference));
                if let Some(image) = image {
                    put(&mut self.by_id, &image.id, &need);
                    image.digest.iter().for_each(|digest| put(&mut self.by_name, digest, &need));
                }
                if image.is_none() || standing == Standing::Present {
                    put(&mut self.by_name, &tagged(reference), &need);
                }
            }
        }
    }

    /// Of several, one of a stack that is up.
    fn find(&self, image: &StockImage) -> Option<&Need> {
        let by_name = image.names.iter().filter_map(|name| self.by_name.get(name));
        by_name.chain(self.by_id.get(&image.id)).max_by_key(|need| (need.is_up, need.release))
    }
}

/// The newest release of a stack that is up goes before others.
fn put(needs: &mut BTreeMap<String, Need>, key: &str, need: &Need) {
    let rank = |need: &Need| (need.is_up, need.release);
    match needs.get_mut(key) {
        Some(there) if rank(there) < rank(need) => *there = need.clone(),
        Some(_) => {}
        None => drop(needs.insert(key.to_owned(), need.clone())),
    }
}

/// A reference as an engine lists it: with its tag.
fn tagged(reference: &str) -> String {
    let last = reference.rsplit('/').next().unwrap_or(reference);
    if reference.contains('@') || last.contains(':') {
        reference.into()
    } else {
        format!("{reference}:latest")
    }
}

#[cfg(test)]
mod tests {
    use super::{Sweep, garbage, tagged};
    use crate::World;
    use crate::share::tests::{service, web};
    use naru_model::{
        Container, Images, OperationId, Release, ReleaseNo, Stack, StackRecord, StockImage, Target, Time,
        UsedImage,
    };
    use std::collections::BTreeMap;

    const NOW: Time = Time(10_000_000);

    /// A world with one release of one stack; `images` is what it recorded.
    fn world(reference: &str, images: Images, is_up: bool) -> World {
        let container = Container { image: reference.into(), ..web() };
        let services = [("web".into(), service(container))].into();
        let stack = Stack {
            name: "shop".into(),
            project_dir: "/".into(),
            services,
            jobs: BTreeMap::new(),
            listeners: vec![],
            routes: vec![],
        };
        let number = ReleaseNo(3);
        let images = if images.is_empty() { BTreeMap::new() } else { [("web".into(), images)].into() };
        let release = Release {
            number,
            operation: OperationId(1),
            made: Time(1),
            same_as: None,
            stack,
            fingerprints: BTreeMap::new(),
            images,
        };
        let target = Target { release: number, replicas: BTreeMap::new(), stopped: ["web".into()].into() };
        let record = StackRecord {
            name: "shop".into(),
            newest: number,
            instances_made: 0,
            target: is_up.then_some(target),
            serving: None,
            steering: None,
            services: BTreeMap::new(),
            jobs: BTreeMap::new(),
        };
        let mut world = World::default();
        world.stacks.insert("shop".into(), record);
        world.releases.insert(("shop".into(), number), release);
        world
    }

    fn image(id: &str, names: &[&str]) -> StockImage {
        let names = names.iter().map(|name| name.to_string()).collect();
        StockImage { id: id.into(), names, bytes: 1, brought: Some(Time(0)), containers: 0 }
    }

    fn check(world: &World, image: StockImage, sweep: Sweep) -> String {
        garbage(world, vec![image], sweep, NOW).remove(0).why.to_string()
    }

    #[test]
    fn only_what_naru_brought_and_nothing_asks_for_goes() {
        let used = UsedImage { id: "sha256:aa".into(), digest: Some("reg/web@sha256:d".into()) };
        let world = world("web:1", [("web:1".into(), used)].into(), true);
        let quiet = |image| check(&world, image, Sweep::Quiet);
        let needed = "release 3 of shop needs it for web";
        assert_eq!(quiet(image("sha256:aa", &[])), needed, "though the service is stopped");
        assert_eq!(quiet(image("sha256:zz", &["reg/web@sha256:d"])), needed, "another engine's id");
        assert_eq!(quiet(image("sha256:bb", &["web:1"])), needed, "somebody pulled it for the next release");
        assert_eq!(quiet(image("sha256:bb", &["web:0"])), "no release that is kept needs it");
        let foreign = StockImage { brought: None, ..image("sha256:bb", &[]) };
        assert_eq!(quiet(foreign), "Naru did not bring it");
        let used = StockImage { containers: 2, ..image("sha256:cc", &[]) };
        assert_eq!(quiet(used), "2 containers made from it");
        let recent = StockImage { brought: Some(NOW), ..image("sha256:bb", &[]) };
        assert_eq!(quiet(recent), "it came within the last hour");
    }

    #[test]
    fn what_a_stack_that_is_down_was_made_from_goes_when_a_person_asks() {
        let used = UsedImage { id: "sha256:aa".into(), digest: None };
        let world = world("web:1", [("web:1".into(), used)].into(), false);
        assert_eq!(
            check(&world, image("sha256:aa", &[]), Sweep::Quiet),
            "release 3 of shop needs it for web"
        );
        let ordered = check(&world, image("sha256:aa", &[]), Sweep::Ordered);
        assert_eq!(ordered, "shop is down, and pulls or builds it when it comes up");
    }

    #[test]
    fn a_release_without_a_record_of_images_keeps_what_has_the_name() {
        let world = world("web", Images::new(), true);
        assert_eq!(
            check(&world, image("sha256:aa", &["web:latest"]), Sweep::Ordered),
            "release 3 of shop needs it for web"
        );
        let names = ["web", "a/b:1", "r:5/b", "b@sha256:1"].map(tagged);
        assert_eq!(names, ["web:latest", "a/b:1", "r:5/b:latest", "b@sha256:1"]);
    }
}
