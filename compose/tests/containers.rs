//! Containers: every key of a file reaches the model, and the contents of secrets come beside it, not in it.
//!
//! `containers/whole.yaml` has every key; what it means is kept in `whole.json`, which `UPDATE=1` writes anew.

use naru_compose::{Loaded, Options, SERVICE_KEYS, load_texts};
use naru_model::{Connection, ContentId, Run};
use std::collections::BTreeMap;
use std::path::Path;

fn load(text: &str) -> Loaded {
    let options = Options {
        files: vec!["/srv/shop/compose.yaml".into()],
        environment: BTreeMap::from(
            [("NAME", "you"), ("KEY", "open sesame")].map(|(k, v)| (k.into(), v.into())),
        ),
        ..Options::default()
    };
    let texts = [
        ("/srv/shop/compose.yaml", text),
        ("/srv/shop/token.txt", "hunter2\n"),
        ("/srv/shop/app.conf", "level = 1\n"),
    ];
    let texts = texts.map(|(path, text)| (path.to_string(), text.to_string()));
    load_texts(texts.into(), &options).unwrap_or_else(|errors| panic!("{errors}"))
}

fn whole() -> Loaded {
    load(include_str!("containers/whole.yaml"))
}

#[test]
fn every_key_reaches_the_model() {
    let loaded = whole();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/containers/whole.json");
    let mut got = serde_json::to_string_pretty(&loaded.stack.services).expect("plain data");
    got.push('\n');
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &got).expect("writable");
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(got == kept, "run this test with UPDATE=1, and look at what changed:\n{got}");
    let warnings: Vec<_> = loaded.warnings.iter().map(|warning| warning.message.as_str()).collect();
    let kept =
        ["services.probe.healthcheck has no test, and its times are not taken over to the image's own"];
    assert_eq!(warnings, kept, "what is honoured is not warned about");
    assert!(loaded.unfit.is_empty(), "{:?}", loaded.unfit);
}

#[test]
fn every_key_that_containers_honour_is_in_the_file_that_says_so() {
    let loaded = whole();
    let elsewhere = [
        "cpus",
        "deploy.mode",
        "deploy.replicas",
        "deploy.restart_policy",
        "deploy.rollback_config",
        "deploy.update_config",
        "env_file",
        "environment",
        "expose",
        "label_file",
        "labels",
        "mac_address",
        "mem_limit",
        "mem_reservation",
        "pids_limit",
        "pre_stop",
        "profiles",
        "restart",
        "scale",
        "stop_grace_period",
    ];
    let services = loaded.canonical["services"].as_object().expect("it is one");
    for key in SERVICE_KEYS.iter().filter(|key| key.container == naru_compose::Effect::Honoured) {
        let mut written = services.values().filter_map(|service| {
            key.path.split('.').try_fold(service, |node, part| node.get(part)).filter(|node| !node.is_null())
        });
        let is_here = written.next().is_some();
        assert!(is_here != elsewhere.contains(&key.path), "{}", key.path);
    }
}

#[test]
fn contents_come_beside_the_stack_and_are_not_shown() {
    let loaded = whole();
    let secrets = ["hunter2\n", "open sesame", "hello you", "level = 1\n"];
    let held: Vec<&[u8]> = loaded.contents.0.values().map(Vec::as_slice).collect();
    assert_eq!(held.len(), secrets.len(), "one for two secrets with the same content");
    for secret in secrets {
        assert_eq!(loaded.contents.0[&ContentId::of(secret.as_bytes())], secret.as_bytes());
    }
    let shown = format!("{:?} {}", loaded, serde_json::to_string(&loaded.stack).expect("plain data"));
    assert!(!shown.contains("hunter2") && !shown.contains("open sesame"), "{shown}");
}

#[test]
fn another_content_is_another_template_and_another_way_to_fetch_is_not() {
    let print = |text: &str| {
        let text = format!("services: {{ web: {{ image: web:1, {text} }} }}\n");
        load(&text).stack.services[&"web".into()].template.fingerprint()
    };
    let config = |content: &str| {
        print(&format!("configs: [c] }} }}\nconfigs: {{ c: {{ content: {content} }}, x: {{ file: /x"))
    };
    assert_ne!(config("one"), config("two"));
    assert_eq!(config("one"), config("one"));
    assert_eq!(print("pull_policy: always"), print("pull_policy: never"));
    assert_ne!(print("init: true"), print("init: false"));
}

#[test]
fn what_cannot_be_read_keeps_the_stack_from_being_run_and_not_from_being_shown() {
    let loaded = load(
        "services: { web: { image: web, pull_policy: alwaysx, secrets: [a, b, c, d], configs: [{ source: e, uid: me }] } }\n\
         secrets:\n  a: { file: ./nosuch }\n  b: { environment: NOSUCH }\n  c: { external: true }\n  d: { file: ./token.txt }\n\
         configs: { e: { content: x } }\n",
    );
    let unfit: Vec<_> = loaded.unfit.iter().map(|one| one.message.as_str()).collect();
    let want = [
        "services.web.pull_policy \"alwaysx\" is not one that is known",
        "services.web.secrets.a: /srv/shop/nosuch is not there",
        "services.web.secrets.b: the variable NOSUCH, which is its content, is not set",
        "services.web.secrets.c: it is kept by someone else, and Naru has no way to ask",
        "services.web.configs.uid must be a number, not \"me\"",
    ];
    assert_eq!(unfit, want);
    assert_eq!(loaded.canonical["services"]["web"]["secrets"].as_array().map(Vec::len), Some(4));
    assert!(loaded.runnable().is_err());
}

#[test]
fn on_the_host_s_network_nobody_else_publishes() {
    let loaded = load("services: { web: { image: web, network_mode: host, ports: ['8080:80', '81:81'] } }");
    let web = &loaded.stack.services[&"web".into()];
    assert!(web.ports.is_empty());
    assert_eq!(web.template.targets.iter().map(|target| target.port).collect::<Vec<_>>(), [80, 81]);
    let Run::Container(container) = &web.template.run else { panic!("it is one") };
    assert_eq!((&container.connection, container.ports.len()), (&Connection::Host, 0));
    let said: Vec<_> = loaded.warnings.iter().map(|one| one.message.as_str()).collect();
    let want =
        "services.web.ports publishes 8080, and with network_mode: host the container listens on 80 itself";
    assert_eq!(said, [want]);
}
