//! The shop's own program: an API, a worker and a migration, all with one PostgreSQL.
//!
//! It is as good a citizen of containers as its users' programs may be: at SIGTERM the API answers what it has
//! begun, and the worker takes no more jobs and finishes those it has. Where there is a `NARU_WORK_URL`, the worker holds a
//! lease for each job, and takes no more once it is asked to be quiet; elsewhere nothing of that happens.
//!
//! - `GET /healthz`: 200 where the database answers.
//! - `GET /items/N`: reads one of the items that the migration has made.
//! - `POST /orders`: writes a row.
//! - `POST /jobs?name=N&ms=T`: queues a job that takes the worker T ms; the same name again is the same job.
//! - `GET /books`: the jobs, and how often the migration has run.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use hyper::Method;
use naru_demo::call::call;
use serde::{Deserialize, Serialize};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Semaphore, watch};
use tokio_postgres::{Client, NoTls};

/// Where the API listens.
const PORT: u16 = 8000;
/// How long the database may take to be there.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks for a job.
const LOOK: Duration = Duration::from_millis(100);
/// So many jobs at once in one worker.
const JOBS: u32 = 8;
/// A job's lease lasts so long, in s, and is renewed each third of it.
const LEASE: u64 = 15;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS items (id int PRIMARY KEY, name text NOT NULL);
    INSERT INTO items SELECT n, 'item ' || n FROM generate_series(0, 999) n ON CONFLICT DO NOTHING;
    CREATE TABLE IF NOT EXISTS orders (id serial PRIMARY KEY, at timestamptz NOT NULL DEFAULT now());
    CREATE TABLE IF NOT EXISTS jobs (name text PRIMARY KEY, ms int NOT NULL,
        worker text, begun timestamptz, ended timestamptz);
    CREATE TABLE IF NOT EXISTS migrations (version text NOT NULL, at timestamptz NOT NULL DEFAULT now());
";
const CLAIM: &str = "
    UPDATE jobs SET worker = $1, begun = now() WHERE name =
        (SELECT name FROM jobs WHERE begun IS NULL ORDER BY name LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING name, ms";
const BOOKS: &str = "
    SELECT name, begun IS NOT NULL, ended IS NOT NULL,
        coalesce(extract(epoch FROM now() - begun) * 1000 - ms, 0)::int FROM jobs ORDER BY name";

/// What the program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Role {
    /// Answers requests.
    Api,
    /// Does jobs.
    Worker,
    /// Brings the tables to what they have to be, and ends.
    Migrate,
}

/// What the API says of everything.
#[derive(Debug, Deserialize, Serialize)]
pub struct Books {
    /// By name.
    pub jobs: Vec<Job>,
    /// How often the migration ran to its end.
    pub migrations: i64,
}

/// A job, as it is in the table.
#[derive(Debug, Deserialize, Serialize)]
pub struct Job {
    /// Who put it there chose it.
    pub name: String,
    /// A worker took it.
    pub begun: bool,
    /// A worker finished it.
    pub ended: bool,
    /// How much longer ago it began than it takes, in ms.
    pub over_ms: i32,
}

/// Runs until it is told to end, or has done what it is for.
///
/// # Errors
/// The database is not there, or the port is taken.
pub fn main(role: Role) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let end = signal(SignalKind::terminate())?;
        let database = connect().await?;
        match role {
            Role::Api => serve(database, end).await,
            Role::Worker => work(database, end).await,
            Role::Migrate => migrate(&database).await,
        }
    })
}

async fn connect() -> io::Result<Client> {
    let give_up = tokio::time::Instant::now() + PATIENCE;
    loop {
        match tokio_postgres::connect(&variable("DATABASE"), NoTls).await {
            Ok((client, connection)) => {
                tokio::spawn(connection);
                return Ok(client);
            }
            Err(error) if tokio::time::Instant::now() > give_up => return Err(io::Error::other(error)),
            Err(_) => tokio::time::sleep(LOOK).await,
        }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_default()
}

async fn migrate(database: &Client) -> io::Result<()> {
    database.batch_execute(SCHEMA).await.map_err(io::Error::other)?;
    let version = variable("VERSION");
    let done = "INSERT INTO migrations (version) VALUES ($1)";
    database.execute(done, &[&version]).await.map_err(io::Error::other)?;
    Ok(())
}

async fn serve(database: Client, mut end: Signal) -> io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(healthy))
        .route("/items/{id}", get(item))
        .route("/orders", post(order))
        .route("/jobs", post(queue))
        .route("/books", get(books))
        .with_state(Arc::new(database));
    let listener = tokio::net::TcpListener::bind(("0.0.0.0", PORT)).await?;
    let ended = async move {
        end.recv().await;
    };
    axum::serve(listener, router).with_graceful_shutdown(ended).await
}

type Shared = State<Arc<Client>>;

/// An answer, or what the database said instead.
fn answer<T: IntoResponse>(found: Result<T, tokio_postgres::Error>) -> Response {
    match found {
        Ok(found) => found.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

async fn healthy(State(database): Shared) -> Response {
    answer(database.query_one("SELECT 1 FROM items LIMIT 1", &[]).await.map(|_| "ok"))
}

async fn item(State(database): Shared, Path(id): Path<i32>) -> Response {
    let found = database.query_one("SELECT name FROM items WHERE id = $1", &[&id]).await;
    answer(found.map(|row| format!("{} by {}", row.get::<_, &str>(0), variable("VERSION"))))
}

async fn order(State(database): Shared) -> Response {
    let made = database.query_one("INSERT INTO orders DEFAULT VALUES RETURNING id", &[]).await;
    answer(made.map(|row| (StatusCode::CREATED, row.get::<_, i32>(0).to_string())))
}

#[derive(Deserialize)]
struct Queued {
    name: String,
    ms: i32,
}

async fn queue(State(database): Shared, Query(job): Query<Queued>) -> Response {
    let put = "INSERT INTO jobs (name, ms) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let put = database.execute(put, &[&job.name, &job.ms]).await;
    answer(put.map(|_| StatusCode::ACCEPTED))
}

async fn books(State(database): Shared) -> Response {
    let found = async {
        let rows = database.query(BOOKS, &[]).await?;
        let jobs = rows.iter().map(|row| Job {
            name: row.get(0),
            begun: row.get(1),
            ended: row.get(2),
            over_ms: row.get(3),
        });
        let migrations = database.query_one("SELECT count(*) FROM migrations", &[]).await?.get(0);
        Ok(Json(Books { jobs: jobs.collect(), migrations }))
    };
    answer(found.await)
}

/// Takes jobs until it is told to end, and ends when it has finished what it took.
async fn work(database: Client, mut end: Signal) -> io::Result<()> {
    let database = Arc::new(database);
    let hands = Arc::new(Semaphore::new(JOBS as usize));
    let (stop, mut stopped) = watch::channel(());
    tokio::spawn(async move {
        end.recv().await;
        drop(stop);
    });
    loop {
        let hand = hands.clone().acquire_owned().await.map_err(io::Error::other)?;
        if stopped.has_changed().is_err() {
            break;
        }
        if let Some((name, ms, lease)) = take(&database).await? {
            let database = database.clone();
            tokio::spawn(async move {
                let ended = finish(&database, &name, ms, lease.as_deref()).await;
                drop(hand);
                if let Err(error) = ended {
                    eprintln!("job {name}: {error}");
                }
            });
        } else {
            drop(hand);
            tokio::select! {
                _ = stopped.changed() => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    }
    hands.acquire_many(JOBS).await.map(drop).map_err(io::Error::other)
}

/// A job, and its lease where there are leases.
async fn take(database: &Client) -> io::Result<Option<(String, i32, Option<String>)>> {
    let waits = "SELECT 1 FROM jobs WHERE begun IS NULL LIMIT 1";
    if database.query_opt(waits, &[]).await.map_err(io::Error::other)?.is_none() {
        return Ok(None);
    }
    let lease = match leases() {
        Some(url) => match lease(&url).await? {
            Some(lease) => Some(lease),
            None => return Ok(None),
        },
        None => None,
    };
    let who = variable("HOSTNAME");
    let row = database.query_opt(CLAIM, &[&who]).await.map_err(io::Error::other)?;
    if row.is_none() {
        give_back(lease.as_deref()).await?;
    }
    Ok(row.map(|row| (row.get(0), row.get(1), lease)))
}

fn leases() -> Option<String> {
    std::env::var("NARU_WORK_URL").ok()
}

#[derive(Deserialize)]
struct Lease {
    id: String,
    quiet: bool,
}

/// None where this instance is to begin no more.
async fn lease(url: &str) -> io::Result<Option<String>> {
    let body = format!(r#"{{"name": "job", "ttl": {LEASE}}}"#);
    let told = call(Method::POST, url, body).await?;
    if told.status() == StatusCode::CONFLICT {
        return Ok(None);
    }
    let lease: Lease = serde_json::from_slice(told.body())?;
    let lease_url = format!("{url}/{}", lease.id);
    if lease.quiet {
        give_back(Some(&lease_url)).await?;
        return Ok(None);
    }
    Ok(Some(lease_url))
}

async fn give_back(lease: Option<&str>) -> io::Result<()> {
    if let Some(lease) = lease {
        call(Method::DELETE, lease, String::new()).await?;
    }
    Ok(())
}

async fn finish(database: &Client, name: &str, ms: i32, lease: Option<&str>) -> io::Result<()> {
    let done = tokio::time::Instant::now() + Duration::from_millis(ms.max(0) as u64);
    while tokio::time::Instant::now() < done {
        let step = tokio::time::Instant::now() + Duration::from_secs(LEASE / 3);
        tokio::time::sleep_until(step.min(done)).await;
        if let Some(lease) = lease {
            call(Method::PUT, lease, String::new()).await?;
        }
    }
    let ended = "UPDATE jobs SET ended = now() WHERE name = $1";
    database.execute(ended, &[&name]).await.map_err(io::Error::other)?;
    give_back(lease).await
}
