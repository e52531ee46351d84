//! The server's parts against the real store.

mod deciding;
mod storing;

use naru_decide::{Context, EdgeRecord, World, Write, admit};
use naru_model::{Change, Demand, Ending, ReleaseNo, Stack, Time};
use naru_store::{Epoch, Options, Sqlite};
use std::collections::BTreeMap;
use std::path::Path;

fn store(dir: &Path) -> Sqlite {
    store_of(dir, Options::default())
}

fn store_of(dir: &Path, options: Options) -> Sqlite {
    Sqlite::open(&dir.join("store"), Epoch(1), options).unwrap()
}

/// A small record that is named after `n`.
fn edge(n: usize, weight: usize) -> Write {
    let (node, edge) = (format!("node-{n}").as_str().into(), "x".repeat(weight).as_str().into());
    Write::Edge(EdgeRecord { node, edge, began: Time(n as u64) })
}

/// A record of more than `weight` bytes.
fn release(n: u64, weight: usize) -> Write {
    let context = Context { now: Time(1), free_ports: vec![], node: "here".into() };
    let (_, writes) = admit(&World::default(), &deploy("shop", "web:1"), &context).unwrap();
    let of_release = |write| match write {
        Write::Release(stack, release) => Some((stack, release)),
        _ => None,
    };
    let (stack, mut release) = writes.into_iter().find_map(of_release).unwrap();
    release.number = ReleaseNo(n);
    release.stack.project_dir = "x".repeat(weight);
    Write::Release(stack, release)
}

/// A stack of one service without ports.
fn stack(name: &str, image: &str) -> Stack {
    let text = format!(
        "name: {name}\nservices:\n  web:\n    image: {image}\n    x-naru: {{process: {{command: [sleep, '100']}}}}\n"
    );
    let path = "/srv/compose.yaml".to_string();
    let options = naru_compose::Options { files: vec![path.clone().into()], ..Default::default() };
    naru_compose::load_texts(BTreeMap::from([(path, text)]), &options).unwrap().stack
}

fn deploy(name: &str, image: &str) -> Demand {
    let change = Change::Deploy {
        stack: Box::new(stack(name, image)),
        only: vec![],
        images: BTreeMap::new(),
        idle: vec![],
    };
    Demand { stack: name.into(), change, ending: Ending::Finish, actor: "me".into(), message: None }
}
