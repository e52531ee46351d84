//! The shop: its images and its Compose file, without a word that only Naru knows.

use crate::engine::Engine;
use crate::front;
use crate::images::{POSTGRES_UID, Root};
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

/// Static pages: nginx as Debian has it.
const NGINX: &str = "
worker_processes 1;
pid /run/nginx.pid;
error_log /dev/stderr;
events { worker_connections 1024; }
http {
  access_log off;
  server {
    listen 8080;
    root /www;
    location = /tag { alias /etc/tag; }
  }
}
";
const PAGE: &str = "<!doctype html><title>shop</title><h1>shop</h1>\n";

/// What of the shop has been changed how often.
#[derive(Clone, Copy, Debug, Default)]
pub struct Versions {
    web: u32,
    api: u32,
    worker: u32,
    schema: u32,
    theme: u32,
}

/// Ports of 127.0.0.1 where it is published.
#[derive(Clone, Copy, Debug)]
pub struct Ports {
    /// The pages.
    pub web: u16,
    /// The API.
    pub api: u16,
}

impl Ports {
    /// Free ones.
    ///
    /// # Errors
    /// There are none.
    pub fn free() -> io::Result<Ports> {
        // Taken and given back: whoever publishes there binds them a moment later.
        let (web, api) = (TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?);
        Ok(Ports { web: web.local_addr()?.port(), api: api.local_addr()?.port() })
    }
}

impl Versions {
    /// The change that comes as number `n`, from 1: an image of one tier, or an environment, or everything at once with a
    /// new migration.
    pub fn change(&mut self, n: u32) {
        match n % 5 {
            1 => self.api = n,
            2 => self.web = n,
            3 => self.worker = n,
            4 => self.theme = n,
            _ => *self = Versions { web: n, api: n, worker: n, schema: n, theme: self.theme },
        }
    }

    /// How many migrations there are after so many changes, the first one included.
    pub fn migrations(changes: u32) -> u32 {
        1 + changes / 5
    }

    /// The Compose file.
    pub fn file(&self, ports: Ports) -> String {
        let Versions { web, api, worker, schema, theme } = self;
        format!(
            r#"name: shop

x-app: &app
  environment: &environment
    DATABASE: host=db user=postgres dbname=postgres
  depends_on:
    db: {{ condition: service_healthy }}
    migrate: {{ condition: service_completed_successfully }}

services:
  web:
    image: localhost/shop-web:{web}
    command: [nginx, -c, /etc/nginx.conf, -g, "daemon off;"]
    stop_signal: SIGQUIT
    ports: ["127.0.0.1:{}:8080"]
    healthcheck: {{ test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:8080/"], interval: 1s }}
    deploy: {{ replicas: 2, update_config: {{ order: start-first }} }}
  api:
    <<: *app
    image: localhost/shop-app:{api}
    command: [shop, shop-tier, api]
    environment: {{ <<: *environment, VERSION: "{api}", THEME: "{theme}" }}
    ports: ["127.0.0.1:{}:8000"]
    healthcheck: {{ test: [CMD, wget, -q, -O, /dev/null, "http://127.0.0.1:8000/healthz"], interval: 1s }}
    deploy: {{ replicas: 2, update_config: {{ order: start-first }} }}
  worker:
    <<: *app
    image: localhost/shop-app:{worker}
    command: [shop, shop-tier, worker]
    deploy: {{ replicas: 2, update_config: {{ order: start-first }} }}
  migrate:
    image: localhost/shop-app:{schema}
    command: [shop, shop-tier, migrate]
    environment: {{ <<: *environment, VERSION: "{schema}" }}
    restart: "no"
    depends_on: {{ db: {{ condition: service_healthy }} }}
  db:
    image: localhost/shop-db:0
    command: [sh, /bin/database]
    user: "{POSTGRES_UID}:{POSTGRES_UID}"
    volumes: ["data:/data"]
    healthcheck: {{ test: [CMD, sh, /bin/database, ready], interval: 1s }}

volumes: {{ data: {{}} }}
"#,
            ports.web, ports.api
        )
    }
}

/// Makes all images that so many changes need.
///
/// # Errors
/// Something is not installed, or the engine refuses an image.
pub fn images(engine: &Engine, changes: u32) -> io::Result<()> {
    let web = Root::new()?;
    web.program(Path::new("/usr/sbin/nginx"), "usr/sbin/nginx")?;
    web.write("etc/nginx.conf", NGINX)?;
    web.write("www/index.html", PAGE)?;
    let app = Root::new()?;
    app.program(&std::env::current_exe()?, "bin/shop")?;
    for tag in 0..=changes {
        web.load(engine, "shop-web", tag)?;
        app.load(engine, "shop-app", tag)?;
    }
    database()?.load(engine, "shop-db", 0)?;
    front::root()?.load(engine, "shop-front", 0)
}

/// PostgreSQL, with a script that makes the cluster in an empty volume.
fn database() -> io::Result<Root> {
    let home = postgres()?;
    let version = home.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let root = Root::new()?;
    for program in ["postgres", "initdb", "pg_isready"] {
        let path = home.join("bin").join(program);
        let inner = path.strip_prefix("/").map_err(io::Error::other)?;
        root.program(&path, &inner.to_string_lossy())?;
    }
    root.tree(&home.join("lib"))?;
    root.tree(&Path::new("/usr/share/postgresql").join(version))?;
    root.tree(Path::new("/usr/share/zoneinfo/UTC"))?;
    let bin = home.join("bin");
    let bin = bin.display();
    let script = format!(
        "if [ \"$1\" = ready ]; then exec {bin}/pg_isready -q -h 127.0.0.1; fi\n\
         if [ ! -s /data/db/PG_VERSION ]; then\n\
           {bin}/initdb -D /data/db -U postgres --auth=trust --no-locale -E UTF8 --no-sync\n\
           echo 'host all all all trust' >> /data/db/pg_hba.conf\n\
         fi\n\
         exec {bin}/postgres -D /data/db -c listen_addresses='*' -c unix_socket_directories='' -c timezone=UTC\n"
    );
    root.write("bin/database", &script)?;
    Ok(root)
}

/// The newest that is installed.
fn postgres() -> io::Result<PathBuf> {
    let all = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest =
        all.map(|entry| entry.path()).filter(|path| path.join("bin/postgres").exists()).max_by_key(number);
    newest.ok_or_else(|| io::Error::other("PostgreSQL is not installed"))
}

#[cfg(test)]
mod tests {
    use super::{Ports, Versions};

    #[test]
    fn each_change_changes_the_file_and_every_fifth_the_migration() {
        let mut versions = Versions::default();
        let mut files = vec![versions.file(Ports { web: 1, api: 2 })];
        for n in 1..=20 {
            versions.change(n);
            files.push(versions.file(Ports { web: 1, api: 2 }));
        }
        assert!(files.windows(2).all(|pair| pair[0] != pair[1]));
        let migrations: std::collections::BTreeSet<&str> =
            files.iter().filter_map(|file| file.split("  migrate:\n").last()?.lines().next()).collect();
        assert_eq!(migrations.len() as u32, Versions::migrations(20));
    }
}
