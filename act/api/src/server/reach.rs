//! A connection with an instance: after the answer, bytes go both ways as they are.

use super::Closing;
use super::extract::Json;
use super::router::Shared;
use crate::{Duplex, Ground, ReachOrder, Refused};
use axum::Extension;
use axum::http::StatusCode;
use axum::http::header::{CONNECTION, UPGRADE};
use axum::response::IntoResponse;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use naru_model::Refusal;
use naru_who::Who;
use tokio::io::{AsyncWriteExt, BufReader, copy_buf, split};

/// What an upgraded connection is called.
pub(crate) const PROTOCOL: &str = "naru-reach";

/// Bytes that may be on their way in each direction.
const BUFFER: usize = 16 << 10;

/// Connects with an instance, for as long as both ends want. The connection is upgraded to `naru-reach`, whose frames the two
/// ends understand.
#[utoipa::path(post, path = "/v1/reach", request_body = ReachOrder,
    responses((status = 101, description = "Frames go both ways."),
        (status = 404, body = Refusal, description = "There is no such instance."),
        (status = "default", body = Refusal)))]
pub(super) async fn reach(
    Shared(core): Shared,
    Extension(who): Extension<Who>,
    Extension(closing): Extension<Closing>,
    upgrade: Option<Extension<OnUpgrade>>,
    Json(order): Json<ReachOrder>,
) -> Result<impl IntoResponse, Refused> {
    let Some(Extension(upgrade)) = upgrade else {
        let error = "this route needs a connection that is upgraded to naru-reach";
        return Err(Refused::new(
            Ground::Malformed,
            error,
            "send `connection: upgrade`, `upgrade: naru-reach`",
        ));
    };
    let far = core.reach(order, who.name).await?;
    tokio::spawn(async move {
        let carried = async {
            match upgrade.await {
                Ok(near) => carry(TokioIo::new(near), far).await,
                Err(error) => tracing::debug!(%error, "whoever asked for a connection has gone"),
            }
        };
        tokio::select! {
            () = carried => {}
            () = closing.begun() => {}
        }
    });
    Ok((StatusCode::SWITCHING_PROTOCOLS, [(CONNECTION, "upgrade"), (UPGRADE, PROTOCOL)]))
}

/// Until the far end has said all that it says. It may close before it has heard all: then what comes for it is dropped, and its
/// last words are passed on all the same.
async fn carry(near: impl Duplex, far: impl Duplex) {
    let (from_near, mut to_near) = split(near);
    let (from_far, mut to_far) = split(far);
    let (mut from_near, mut from_far) =
        (BufReader::with_capacity(BUFFER, from_near), BufReader::with_capacity(BUFFER, from_far));
    let there = async {
        if copy_buf(&mut from_near, &mut to_far).await.is_ok() {
            let _ = to_far.shutdown().await;
        }
        std::future::pending::<()>().await;
    };
    let back = async {
        if let Err(error) = copy_buf(&mut from_far, &mut to_near).await {
            tracing::debug!(%error, "a connection with an instance broke off");
        }
        let _ = to_near.shutdown().await;
    };
    tokio::select! {
        () = there => {}
        () = back => {}
    }
}

#[cfg(test)]
mod tests {
    use super::carry;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    #[tokio::test]
    async fn last_words_come_through_though_the_far_end_hears_nothing_more() {
        let (mut person, near) = duplex(100);
        let (mut agent, far) = duplex(100);
        person.write_all(b"too late").await.unwrap();
        agent.write_all(b"last words").await.unwrap();
        drop(agent);
        carry(near, far).await;
        let mut heard = String::new();
        person.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "last words");
    }

    #[tokio::test]
    async fn whoever_leaves_is_told_to_the_far_end() {
        let (person, near) = duplex(100);
        let (mut agent, far) = duplex(100);
        drop(person);
        let left = async {
            let mut heard = String::new();
            agent.read_to_string(&mut heard).await.unwrap();
            drop(agent);
        };
        tokio::join!(carry(near, far), left);
    }
}
