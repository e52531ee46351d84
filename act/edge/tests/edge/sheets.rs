//! What a killed edge leaves: its files, read while it lives, are what a kill at this moment would leave.

use crate::lab::{Instance, Lab, get, ok};
use naru_edge::recover;
use naru_model::{EdgeReport, Time};
use std::path::PathBuf;

/// A folder that is gone when this is dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        Folder(std::env::temp_dir().join(format!("naru-sheets-{name}-{}", std::process::id())))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[tokio::test]
async fn what_was_counted_and_in_progress_outlives_the_process() {
    let folder = Folder::new("lives");
    let mut lab = Lab::with(|config| config.sheets = Some(folder.0.clone()));
    let (one, other) = (Instance::new("s.web.1.1").await, Instance::new("s.web.1.2").await);
    lab.serve(&[&one]).await;
    for path in ["/1", "/2", "/3"] {
        let mut client = lab.client().await;
        client.say(&get(path)).await;
        let mut server = one.accept().await;
        server.head().await;
        server.say(&ok("done")).await;
        client.hears(&ok("done")).await;
    }
    let mut waits = lab.client().await;
    waits.say(&get("/long")).await;
    let mut server = one.accept().await;
    server.head().await;
    lab.serve(&[&one, &other]).await;
    lab.until(&one, |counts| counts.counts.requests == 3 && counts.in_progress.requests == 1).await;
    let mut told = lab.report().await;
    // When is not in the copy.
    told.instances.values_mut().for_each(|counts| (counts.oldest, counts.used) = Default::default());
    let left = recover(&folder.0).unwrap().unwrap();
    assert_eq!(left, EdgeReport { seq: u64::MAX, began: Time(1_000_000), ..told });
}

/// An edge that ended in order leaves what it has counted, and what it had in progress if it was cut.
#[tokio::test]
async fn what_was_counted_outlives_an_end_in_order() {
    let folder = Folder::new("ends");
    let mut lab = Lab::with(|config| config.sheets = Some(folder.0.clone()));
    let mut one = Instance::new("s.web.1.1").await;
    let mut waits = {
        lab.serve(&[&one]).await;
        let mut client = lab.client().await;
        client.say(&get("/long")).await;
        client
    };
    let mut server = one.accept().await;
    server.head().await;
    one.answer_all();
    for _ in 0..20 {
        lab.client().await.ask(&get("/")).await;
    }
    lab.until(&one, |counts| counts.counts.requests == 20).await;
    drop(lab);
    // Whichever way it is cut: the edge is gone then.
    let _ = waits.rest().await;
    let left = recover(&folder.0).unwrap().unwrap();
    let counts = &left.instances[&one.id];
    assert_eq!((counts.counts.requests, counts.in_progress.requests), (20, 1));
}

#[tokio::test]
async fn half_a_file_is_no_report() {
    let folder = Folder::new("half");
    let lab = Lab::with(|config| config.sheets = Some(folder.0.clone()));
    // Each worker has opened its file once it reports.
    lab.report().await;
    let whole = std::fs::read(folder.0.join("0")).unwrap();
    drop(lab);
    std::fs::remove_file(folder.0.join("1")).unwrap();
    std::fs::write(folder.0.join("0"), &whole[..whole.len() / 2]).unwrap();
    assert_eq!(recover(&folder.0).unwrap(), None);
    std::fs::write(folder.0.join("0"), vec![0; whole.len()]).unwrap();
    assert_eq!(recover(&folder.0).unwrap(), None);
}
