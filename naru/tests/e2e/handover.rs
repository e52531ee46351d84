//! The edge replaced under load, and what a kill in the middle of it does.

use crate::{TURN, meets_its_bars, naru};
use naru_bench::handover::{Handover, small_load};
use naru_demo::client::{Client, Load};
use naru_demo::rig::{Rig, Shape};
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

fn handover(times: u32, load: Load) -> Handover {
    Handover { times, every: Duration::from_secs(1), load }
}

/// Websockets that outlive what the test does.
fn long_websockets() -> Load {
    Load { websocket_ms: vec![12_000], transfers: 0, job_every: None, ..small_load() }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_is_replaced_under_load_loses_nothing() {
    let _turn = TURN.lock().await;
    meets_its_bars(handover(6, small_load()).run(naru()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_edge_that_is_killed_carried_is_on_a_receipt() {
    let _turn = TURN.lock().await;
    meets_its_bars(handover(1, long_websockets()).drainer_killed(naru()).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_edge_carries_outlives_the_edge_that_replaced_it() {
    let _turn = TURN.lock().await;
    meets_its_bars(handover(1, long_websockets()).successor_killed(naru()).await);
}

/// How far a successor comes before it dies.
#[derive(Clone, Copy)]
pub(crate) enum Stage {
    Called,
    Offered,
    Prepared,
}

/// A successor is gone at every moment before it serves; a kill shows to the old edge as the end of the
/// connection, as here.
#[tokio::test(flavor = "multi_thread")]
async fn a_successor_that_dies_before_it_serves_changes_nothing() {
    let _turn = TURN.lock().await;
    let rig = Rig::new(naru()).unwrap();
    let played = deaths(&rig).await;
    rig.end().await.unwrap();
    let (failed, cut) = played.unwrap();
    assert_eq!((failed, cut), (vec![], vec![]));
}

async fn deaths(rig: &Rig) -> io::Result<(Vec<String>, Vec<String>)> {
    let shape = Shape {
        strategy: "rolling",
        api: 2,
        engine: 1,
        talk: 0,
        max_retiring: 3,
        monitor: "1s",
        start_ms: 0,
    };
    rig.write(1, &shape)?;
    rig.naru(&["up", "--progress", "quiet"]).await?;
    let client = Client::start(Load { url: rig.url(), talks: 0, ..small_load() }).await?;
    for stage in [Stage::Called, Stage::Offered, Stage::Prepared].repeat(4) {
        die(&rig.home(), stage).await?;
    }
    let refused = call(&rig.home(), r#"{"TakeOver":{"version":4000}}"#).await?.1;
    assert!(refused.contains("hands over in version"), "{refused}");
    // After all that, the real one still comes through.
    rig.naru(&["upgrade", "--edge"]).await?;
    let books = client.finish(Duration::from_secs(30)).await;
    assert!(books.answered() > 0);
    Ok((books.failed, books.cut))
}

/// A successor that comes so far, and dies.
pub(crate) async fn die(home: &Path, stage: Stage) -> io::Result<()> {
    if let Stage::Called = stage {
        let mut stream = UnixStream::connect(home.join("edge.sock")).await?;
        return say(&mut stream, r#"{"TakeOver":{"version":1}}"#).await;
    }
    let (mut stream, offer) = call(home, r#"{"TakeOver":{"version":1}}"#).await?;
    assert!(offer.contains("Ready") && offer.contains("keys"), "{offer}");
    if let Stage::Prepared = stage {
        say(&mut stream, r#""Prepared""#).await?;
        // The byte that came with the sockets. A read ends behind it, even if the word to begin is there already, and
        // the runtime takes a read that ends early for the last that there is: so it is asked for by itself.
        stream.read_u8().await?;
        let mut rest = [0; 4 + r#""Begin""#.len()];
        stream.read_exact(&mut rest).await?;
        assert!(rest.ends_with(br#""Begin""#));
    }
    Ok(())
}

async fn call(home: &Path, word: &str) -> io::Result<(UnixStream, String)> {
    let mut stream = UnixStream::connect(home.join("edge.sock")).await?;
    say(&mut stream, word).await?;
    let length = stream.read_u32().await?;
    let mut answer = vec![0; length as usize];
    stream.read_exact(&mut answer).await?;
    Ok((stream, String::from_utf8(answer).map_err(io::Error::other)?))
}

async fn say(stream: &mut UnixStream, word: &str) -> io::Result<()> {
    stream.write_u32(word.len() as u32).await?;
    stream.write_all(word.as_bytes()).await
}
