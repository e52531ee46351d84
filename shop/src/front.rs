//! What a user of Docker Compose sets before the shop for the sake of its updates.
//!
//! Docker Compose publishes a port of the host for one container: the second replica of a service with a fixed port cannot
//! start. So there are two settings that a user could have, and both are measured. [`ALONE`] is the file as it is, with
//! one replica of what is published. [`BEFORE`] is the best that is known: two replicas behind HAProxy, which finds them by
//! the engine's names, looks after their health four times a second, and sends what reached nobody, and reads that broke off,
//! to the other one; and a grace period that is longer than any job.

use crate::images::Root;
use crate::shop::Ports;
use std::io;
use std::path::Path;

/// One replica of what is published.
pub const ALONE: &str = "services:
  web: { deploy: { replicas: 1 } }
  api: { deploy: { replicas: 1 } }
";

/// Two replicas behind a proxy.
const BEFORE: &str = r#"services:
  web: { ports: !reset [] }
  api: { ports: !reset [] }
  worker: { stop_grace_period: 60s }
  front:
    image: localhost/shop-front:0
    command: [haproxy, -W, -db, -f, /etc/haproxy.cfg]
    stop_signal: SIGUSR1
    ports: ["127.0.0.1:WEB:8080", "127.0.0.1:API:8000"]
    depends_on: [web, api]
"#;

const HAPROXY: &str = "
global
  maxconn 1000
resolvers engine
  nameserver dns 127.0.0.11:53
  hold valid 500ms
  hold nx 500ms
  hold timeout 2s
  timeout resolve 500ms
  timeout retry 500ms
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  option redispatch 1
  retries 5
  retry-on conn-failure empty-response
  default-server check inter 250ms fall 1 rise 1 resolvers engine resolve-prefer ipv4 init-addr none
frontend web
  bind :8080
  default_backend web
frontend api
  bind :8000
  default_backend api
backend web
  option httpchk GET /
  http-request disable-l7-retry unless METH_GET
  server-template web 4 web:8080
backend api
  option httpchk GET /healthz
  http-request disable-l7-retry unless METH_GET
  server-template api 4 api:8000
";

/// The proxy's image.
///
/// # Errors
/// HAProxy is not installed.
pub fn root() -> io::Result<Root> {
    let root = Root::new()?;
    root.program(Path::new("/usr/sbin/haproxy"), "usr/sbin/haproxy")?;
    root.write("etc/haproxy.cfg", HAPROXY)?;
    Ok(root)
}

/// The file that sets it before the shop.
pub fn before(ports: Ports) -> String {
    BEFORE.replace("WEB", &ports.web.to_string()).replace("API", &ports.api.to_string())
}
