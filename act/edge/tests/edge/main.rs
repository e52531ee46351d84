//! The edge over real sockets on loopback: each test is the client, the instances, or both, and says every
//! byte itself. What it waits for is an event: bytes, an end, a report.

mod acme;
mod answers;
#[path = "../../../acme/tests/authority/mod.rs"]
mod authority;
mod choice;
mod cuts;
mod doze;
mod drains;
mod entrance;
mod grpc;
mod http2;
mod lab;
mod leave;
mod load;
mod logged;
#[path = "../../../../wire/tests/numbers/mod.rs"]
mod numbers;
mod observed;
mod retry;
mod routes;
mod rules;
mod sheets;
mod streams;
mod tls;
mod udp;
