//! The process that serves: it takes tables, reports for the whole chain, and listens for those that drain
//! and for a successor.

use crate::admin::{self, Admin, LookedAt};
use crate::handover::{self, Handed};
use crate::links::{Changed, Links};
use crate::wire::{self, Carried, Hello, Link, Standing, Told};
use crate::{Member, Sockets};
use naru_api::{Client, ClientError, Taken};
use naru_home::{EndSignals, Home, Rest, wall};
use naru_model::{EdgeReport, EdgeSnapshot, RouteTable};
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

/// A report is handed in at least this often.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Who calls says within this time who it is.
const HELLO_WITHIN: Duration = Duration::from_secs(5);

/// Those that drain are gone within this after an order to cut, or are left to themselves.
const CUT_WITHIN: Duration = Duration::from_secs(5);

/// A process that serves.
pub struct Serving {
    client: Client,
    shared: Arc<Shared>,
    listener: UnixListener,
    admin: Option<Admin>,
}

/// What its tasks have in common.
pub struct Shared {
    pub member: Member,
    links: Mutex<Links>,
    /// Something of a link is worth a report: a number that grows.
    news: watch::Sender<u64>,
    /// Held while a table is kept and applied, and during a hand-over: the table that is handed over stays
    /// the newest.
    pub applying: tokio::sync::Mutex<Phase>,
    /// Told once a successor has taken over.
    replaced: watch::Sender<bool>,
}

/// What a process that serves may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// All that it is for.
    Serving,
    /// It ends: no successor can have it.
    Ending,
}

/// Whether what is in progress was ordered to be cut.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Yes,
    No,
}

/// Why it serves no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// A signal said so.
    Told,
    /// A successor serves.
    Replaced,
}

impl Serving {
    /// Whoever called the process before comes to `listener` from now on.
    pub fn new(home: &Home, member: Member, listener: UnixListener) -> Serving {
        let links = Links::find(member.chain.clone(), member.place.number);
        let shared = Shared {
            member,
            links: Mutex::new(links),
            news: watch::Sender::new(0),
            applying: tokio::sync::Mutex::new(Phase::Serving),
            replaced: watch::Sender::new(false),
        };
        let unseen = |error: &io::Error| tracing::error!(%error, "nobody can look at this edge");
        let admin = Admin::open(home).inspect_err(unseen).ok();
        Serving { client: Client::new(home.socket()), shared: Arc::new(shared), listener, admin }
    }

    /// Serves until it is not to any more.
    pub async fn run(&self, signals: &mut EndSignals) -> Ended {
        let mut replaced = self.shared.replaced.subscribe();
        tokio::select! {
            biased;
            _ = replaced.wait_for(|replaced| *replaced) => Ended::Replaced,
            () = self.take_tables() => Ended::Told,
            () = self.hand_in() => Ended::Told,
            () = self.answer_calls() => Ended::Told,
            () = admin::serve(self.admin.as_ref(), &*self.shared) => Ended::Told,
            () = signals.next() => Ended::Told,
        }
    }

    /// Accepts nothing more, sees to it that those that drain do the same, and tells the server the last once
    /// all is finished. A second signal cuts.
    ///
    /// # Errors
    /// The last report can neither be handed in nor kept.
    pub async fn finish(self, signals: &mut EndSignals) -> io::Result<()> {
        *self.shared.applying.lock().await = Phase::Ending;
        let Member { edge, keep, chain, .. } = &self.shared.member;
        let mut calls = pin!(self.answer_calls());
        let cut = tokio::select! {
            ((), ()) = async { tokio::join!(edge.shutdown(), self.all_drained(&Told::Finish)) } => Cut::No,
            () = self.hand_in() => Cut::No,
            () = &mut calls => Cut::No,
            () = admin::serve(self.admin.as_ref(), &*self.shared) => Cut::No,
            () = signals.next() => Cut::Yes,
        };
        if cut == Cut::Yes {
            tracing::warn!("told to end a second time: what is in progress is cut");
            tokio::select! {
                _ = tokio::time::timeout(CUT_WITHIN, self.all_drained(&Told::Cut)) => {}
                () = &mut calls => {}
            }
        }
        let began = chain.identity.began;
        let own = edge.report(wall()).await;
        // One that was cut and could not tell is in the chain's folder, which then stays for the next life.
        let Some((last, _)) = self.shared.links().sum(own) else { return Ok(()) };
        if hand_in_once(&self.client, &last).await.is_err() {
            keep.put_last(&last)?;
        }
        if self.shared.links().is_empty() {
            keep.drop_chain(began);
        }
        Ok(())
    }

    /// Tells those that drain, and returns when none is left.
    async fn all_drained(&self, word: &Told) {
        let mut news = self.shared.news.subscribe();
        loop {
            {
                let mut links = self.shared.links();
                links.look();
                if links.is_empty() {
                    return;
                }
                links.tell_all(word);
            }
            // Whoever connects only now is told then.
            let _ = tokio::time::timeout(REPORT_EVERY, news.changed()).await;
        }
    }

    /// Listens to nobody any more: whoever called is to call the successor.
    pub fn hang_up(self) -> Arc<Shared> {
        self.shared
    }

    /// Applies each new table, but not before it is on disk: an acknowledged table must be the one that the next
    /// life begins with. An older one may name an instance that was told to be quiet on the strength of the
    /// acknowledgement.
    async fn take_tables(&self) {
        let Member { keep, chain, edge, .. } = &self.shared.member;
        let mut tables = self.client.node_routes(&chain.identity.node);
        let mut kept = keep.table().map(|table| table.generation).unwrap_or_default();
        loop {
            let table = tables.next().await;
            let generation = table.generation;
            let _applying = self.shared.applying.lock().await;
            if generation < kept {
                tracing::warn!(%generation, %kept, "an older table is refused");
                continue;
            }
            while let Err(error) = keep.put_table(table.clone()).await {
                tracing::error!(%error, %generation, "the table cannot be kept, and is not applied");
                tokio::time::sleep(REPORT_EVERY).await;
            }
            kept = generation;
            match edge.apply(table.clone()) {
                Ok(()) => tracing::info!(%generation, "chooses by a new table"),
                Err(refused) => tracing::warn!(%refused, "a table is refused"),
            }
            let mut links = self.shared.links();
            links.table_changed(&table);
            links.tell_all(&Told::Table(Arc::new(table)));
        }
    }

    /// Hands in reports for ever.
    async fn hand_in(&self) {
        let Member { keep, chain, edge, .. } = &self.shared.member;
        let began = chain.identity.began;
        self.hand_in_first(&keep.last(began)).await;
        keep.drop_last(began);
        let (mut news, mut links) = (edge.watch(), self.shared.news.subscribe());
        let mut rest = Rest::default();
        let mut look = tokio::time::interval(REPORT_EVERY);
        loop {
            news.mark_unchanged();
            links.mark_unchanged();
            match self.hand_in_sum().await {
                Ok(()) => {
                    rest = Rest::default();
                    // The edge lives, and so do the senders.
                    tokio::select! {
                        biased;
                        _ = look.tick() => drop(self.shared.links().look()),
                        _ = news.changed() => {}
                        _ = links.changed() => {}
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, "a report could not be handed in");
                    rest.take().await;
                }
            }
        }
    }

    /// What edges before this one could not hand in any more comes first: once the server has heard of this one, the
    /// others count as gone. A server that ends in between has forgotten them, so all are told again until this
    /// one's is taken.
    async fn hand_in_first(&self, before: &[EdgeReport]) {
        let mut rest = Rest::default();
        'again: loop {
            for report in before {
                if hand_in_once(&self.client, report).await.is_err() {
                    rest.take().await;
                    continue 'again;
                }
            }
            match self.hand_in_sum().await {
                Ok(()) => return,
                Err(_) => rest.take().await,
            }
        }
    }

    async fn hand_in_sum(&self) -> Result<(), ClientError> {
        let edge = &self.shared.member.edge;
        let Some((sum, parts)) = self.shared.sum().await else { return Ok(()) };
        let taken = hand_in_once(&self.client, &sum).await?;
        edge.confirm(taken.seq, &taken.gone);
        self.shared.links().confirm(&parts, &taken.gone);
        Ok(())
    }

    /// Answers whoever calls, for ever.
    async fn answer_calls(&self) {
        let mut calls = JoinSet::new();
        loop {
            tokio::select! {
                Some(_) = calls.join_next() => {}
                call = self.listener.accept() => match call {
                    Ok((stream, _)) => drop(calls.spawn(self.shared.clone().answer(stream))),
                    Err(error) => {
                        tracing::warn!(%error, "a call could not be taken");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                    }
                },
            }
        }
    }
}

/// All processes of the edge are looked at together.
impl LookedAt for Shared {
    async fn seen(&self) -> EdgeSnapshot {
        let (own, mut news) = (self.member.edge.snapshot(wall()).await, self.news.subscribe());
        let all = async {
            loop {
                if let Some(all) = self.links().see(&own) {
                    return all;
                }
                // The sender lives as long as this.
                let _ = news.changed().await;
            }
        };
        tokio::time::timeout(HELLO_WITHIN, all).await.unwrap_or(own.clone())
    }
}

impl Shared {
    /// What is known of the others.
    pub fn links(&self) -> MutexGuard<'_, Links> {
        // Every change of it is whole before anything can panic.
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell_news(&self) {
        self.news.send_modify(|n| *n += 1);
    }

    /// The report of all, once all that live have been heard of.
    async fn sum(&self) -> Option<(EdgeReport, crate::links::Parts)> {
        let own = self.member.edge.report(wall()).await;
        self.links().sum(own)
    }

    async fn answer(self: Arc<Shared>, stream: UnixStream) {
        let mut link = Link::new(stream);
        match tokio::time::timeout(HELLO_WITHIN, link.hear()).await {
            Ok(Ok(Hello::Ask)) => {
                // Who asked may be gone: then nobody needs the answer.
                let _ = link.say(&self.standing()).await;
            }
            Ok(Ok(Hello::Drains { link: number, pid, edge })) => {
                self.listen_to(link, number, pid, &edge).await
            }
            Ok(Ok(Hello::TakeOver { version })) => self.hand_over(link, version).await,
            Ok(Err(error)) => tracing::debug!(%error, "a call makes no sense"),
            Err(_) => tracing::debug!("a call without a word"),
        }
    }

    fn standing(&self) -> Standing {
        Standing {
            pid: std::process::id(),
            connections: self.member.edge.connections() as u64,
            draining: self.links().draining(),
        }
    }

    async fn hand_over(&self, link: Link, version: u32) {
        match handover::hand_over(self, link, version).await {
            Handed::Over => {
                tracing::info!("a successor serves; what is open here runs to its end");
                self.replaced.send_replace(true);
            }
            Handed::Not => {
                // It may have taken a place, and even work.
                if self.links().look() == Changed::Yes {
                    self.tell_news();
                }
            }
        }
    }

    /// Listens to one that drains, and tells it what it must know, until either is gone.
    async fn listen_to(&self, link: Link, number: u32, pid: u32, edge: &naru_model::EdgeId) {
        let (to, mut told) = mpsc::unbounded_channel();
        if *edge != self.member.chain.identity.edge || self.links().connect(number, pid, to.clone()).is_none()
        {
            return tracing::warn!(number, pid, "somebody drains that does not belong here");
        }
        // It missed what was told while it was not connected.
        let _ = to.send(Told::Table(Arc::new(self.table())));
        if self.member.sockets == Sockets::Own {
            let _ = to.send(Told::Release);
        }
        let (mut reads, mut writes) = link.split();
        let tell = async {
            while let Some(told) = told.recv().await {
                wire::say(&mut writes, &told).await?;
            }
            io::Result::Ok(())
        };
        // One that has ended hears nothing, and what it said last is to be read all the same.
        let tell = async {
            if let Err(error) = tell.await {
                tracing::debug!(%error, number, "one that drains hears no more");
            }
            std::future::pending().await
        };
        let hear = async {
            loop {
                let said: Carried = wire::hear(&mut reads).await?;
                self.links().heard(number, said);
                self.tell_news();
            }
        };
        let ended: io::Result<()> = tokio::select! { ended = tell => ended, ended = hear => ended };
        if let Err(error) = ended.as_ref()
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            tracing::debug!(%error, number, "the connection to one that drains ended");
        }
        self.links().disconnect(number);
        self.tell_news();
    }

    fn table(&self) -> RouteTable {
        self.member.edge.table()
    }
}

async fn hand_in_once(client: &Client, report: &EdgeReport) -> Result<Taken, ClientError> {
    client.edge_report(report).await
}
