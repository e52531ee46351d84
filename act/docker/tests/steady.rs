//! Podman's bridges, whose hardware address may change as containers come and go.

mod bench;
mod engine;

use bench::{Bench, LIMIT, bench, sh};
use engine::Kind;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::process::Command;

/// Says that it begins, and the rest once it may.
const SERVER: &str = r#"printf 'echo begun\nwhile [ ! -e /go ]; do sleep 0.05; done\necho whole\n' > /answer
exec /bin/busybox nc -ll -p 8080 -e /bin/sh /answer"#;

/// One pair of containers in two has the first one's address on the bridge; a hundred without are not chance.
const PAIRS: usize = 100;

/// An answer in progress is finished, though the container goes whose hardware address the bridge had.
#[tokio::test]
async fn podman_an_answer_survives_a_new_address_of_its_bridge() {
    let Some(bench) = bench(Kind::Podman) else { return };
    for pair in 0..PAIRS {
        let (first, server) = (format!("shop.first.{pair}.1"), format!("shop.web.{pair}.1"));
        let there = bench.start(&first, 1, &sh("sleep 1000")).await.unwrap();
        let bridge = bridge_to(there.address.unwrap());
        if is_set(&bridge) {
            // A newer one: nothing can happen to it.
            return;
        }
        let had = hardware_address(&bridge);
        let mut launch = sh(SERVER);
        launch.targets = vec![8080];
        let started = bench.start(&server, 1, &launch).await.unwrap();
        if hardware_address(&bridge) != had {
            remove(&bench, &server).await;
            remove(&bench, &first).await;
            continue;
        }
        let address = SocketAddr::from((started.address.unwrap(), 8080));
        let mut answer = connect(address).await.lines();
        let begun = tokio::task::spawn_blocking(move || (answer.next().unwrap().unwrap(), answer));
        let (begun, mut answer) = begun.await.unwrap();
        assert_eq!(begun, "begun");
        remove(&bench, &first).await;
        assert_ne!(hardware_address(&bridge), had, "otherwise nothing is shown");
        bench.exec(&server, "echo > /go").await;
        let rest = tokio::task::spawn_blocking(move || answer.next().unwrap());
        assert_eq!(rest.await.unwrap().expect("the rest of the answer"), "whole");
        return;
    }
    panic!("the bridge never had the first container's address");
}

async fn remove(bench: &Bench, instance: &str) {
    bench.engine.remove_container(&bench.engine.containers(&format!("naru.instance={instance}"))[0]);
}

async fn connect(address: SocketAddr) -> BufReader<TcpStream> {
    let deadline = std::time::Instant::now() + LIMIT;
    loop {
        match TcpStream::connect(address) {
            Ok(stream) => {
                stream.set_read_timeout(Some(LIMIT)).unwrap();
                return BufReader::new(stream);
            }
            Err(error) => assert!(std::time::Instant::now() < deadline, "{address}: {error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn bridge_to(address: Ipv4Addr) -> String {
    let told = Command::new("ip").args(["-o", "route", "get", &address.to_string()]).output().unwrap();
    let told = String::from_utf8(told.stdout).unwrap();
    let mut words = told.split_whitespace().skip_while(|word| *word != "dev");
    words.nth(1).unwrap_or_else(|| panic!("{told}")).to_owned()
}

fn hardware_address(interface: &str) -> String {
    std::fs::read_to_string(format!("/sys/class/net/{interface}/address")).unwrap()
}

/// Whether somebody gave it its hardware address, which then stays (`NET_ADDR_SET`).
fn is_set(interface: &str) -> bool {
    let path = format!("/sys/class/net/{interface}/addr_assign_type");
    std::fs::read_to_string(path).unwrap().trim() == "3"
}
