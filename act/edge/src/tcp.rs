//! TCP listeners: each connection is one stream to one instance.

use crate::Config;
use crate::route::{Chosen, Route};
use crate::search::{Failure, Search};
use crate::tunnel::{self, Closing};
use naru_books::{Ending, Kind, Passing};
use naru_carry::{Inbox, Stream, Upstream};

/// Carries one client's connection to its end. Without an instance, it is closed.
pub(crate) async fn serve(config: &Config, route: &Route, mut client: Stream) {
    let mut search = Search::new(config, &route.own, Kind::Stream);
    let (claim, mut upstream, address) = loop {
        let Ok(Chosen { claim, address }) = search.next().await else { return };
        match Upstream::connect(address, config.connect_time).await {
            Ok(upstream) => break (claim, upstream, address),
            Err(_) => search.fail(claim, Failure::Unreachable),
        }
    };
    let _seen = Passing::begin(&route.register);
    let ended = {
        let (mut read, mut write) = client.split();
        let mut inbox = Inbox::default();
        let client = (&mut read, &mut write, &mut inbox);
        let (up, down, _) = upstream.split();
        tunnel::run(client, (up, down), &mut Inbox::default(), address, Closing::Apart, config).await
    };
    // Each side sees how the other ended. One that is gone already cannot be told.
    let _ = match ended {
        Ending::Lost => client.set_zero_linger(),
        Ending::ClientLeft => upstream.stream.set_zero_linger(),
        _ => Ok(()),
    };
    drop(upstream);
    claim.end(ended);
}
