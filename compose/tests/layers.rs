//! Several files into one: `-f`, documents, `!reset`, `!override`, `extends`, `include`, profiles, discovery,
//! variables. Texts in, the canonical form or what is told out.

use naru_compose::{Options, load_texts};
use serde_json::{Value, json};

/// Loads `texts` from `/p`, with `change` made to the options.
fn load(texts: &[(&str, &str)], change: impl FnOnce(&mut Options)) -> Result<Value, String> {
    let mut options =
        Options { project_name: Some("p".into()), project_dir: Some("/p".into()), ..Options::default() };
    change(&mut options);
    let texts = texts.iter().map(|(path, text)| (format!("/p/{path}"), text.to_string())).collect();
    load_texts(texts, &options).map(|loaded| loaded.canonical).map_err(|errors| errors.to_string())
}

/// The service `web` of `base` with `over` merged over it.
fn merged(base: &str, over: &str) -> Value {
    let wrap = |keys: &str| format!("services:\n  web:\n    image: web\n    {keys}\nvolumes: {{ data: }}\n");
    let texts = [("a.yaml", wrap(base)), ("b.yaml", wrap(over))];
    let texts: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (*path, text.as_str())).collect();
    let found = load(&texts, |options| options.files = vec!["/p/a.yaml".into(), "/p/b.yaml".into()]);
    found.unwrap_or_else(|errors| panic!("{errors}"))["services"]["web"].clone()
}

/// A base, what is merged over it, a key, and what it is then, as JSON.
const MERGES: &[(&str, &str, &str, &str)] = &[
    ("command: a b", "command: c", "command", r#"["c"]"#),
    ("entrypoint: [a]", "entrypoint: []", "entrypoint", r#"[]"#),
    (
        "environment: { A: 1, B: 2 }",
        "environment: [B=3, C]",
        "environment",
        r#"{"A": "1", "B": "3", "C": null}"#,
    ),
    ("labels: [a=1]", "labels: { a: 2, b: }", "labels", r#"{"a": "2", "b": ""}"#),
    ("cap_add: [A, B]", "cap_add: [B, C]", "cap_add", r#"["A", "B", "C"]"#),
    ("dns: 1.1.1.1", "dns: [8.8.8.8, 1.1.1.1]", "dns", r#"["1.1.1.1", "8.8.8.8"]"#),
    ("expose: [80]", "expose: ['80', '81']", "expose", r#"["80", "81"]"#),
    ("hostname: a", "hostname: b", "hostname", r#""b""#),
    (
        "extra_hosts: ['a=1.1.1.1']",
        "extra_hosts: { a: 1.1.1.1, b: '::1' }",
        "extra_hosts",
        r#"["a=1.1.1.1", "b=::1"]"#,
    ),
    ("sysctls: [a=1]", "sysctls: { a: 2 }", "sysctls", r#"{"a": "2"}"#),
    (
        "ulimits: { nofile: 5 }",
        "ulimits: { nofile: { soft: 1, hard: 2 } }",
        "ulimits",
        r#"{"nofile": {"soft": 1, "hard": 2}}"#,
    ),
    ("cap_drop: [A]", "cap_drop: !reset null", "cap_drop", r#"null"#),
    ("cap_drop: [A]", "cap_drop: !override [B]", "cap_drop", r#"["B"]"#),
    (
        "healthcheck: { test: a, retries: 2 }",
        "healthcheck: { test: [CMD, b] }",
        "healthcheck",
        r#"{"test": ["CMD", "b"], "retries": 2}"#,
    ),
    (
        "logging: { driver: a, options: { x: '1' } }",
        "logging: { driver: a, options: { y: '2' } }",
        "logging",
        r#"{"driver": "a", "options": {"x": "1", "y": "2"}}"#,
    ),
    (
        "logging: { driver: a, options: { x: '1' } }",
        "logging: { driver: b }",
        "logging",
        r#"{"driver": "b"}"#,
    ),
];

#[test]
fn layers_merge_by_the_specification_s_rules() {
    for (base, over, key, want) in MERGES {
        let want: Value = serde_json::from_str(want).expect("JSON");
        assert_eq!(merged(base, over)[key], want, "{base} + {over}");
    }
}

#[test]
fn ports_and_volumes_are_unique_by_what_they_stand_for() {
    let ports =
        merged("ports: ['8080:80', '9090:90']", "ports: [{ target: 80, published: '8080', name: web }]");
    let ports: Vec<_> = ports["ports"].as_array().expect("a list").iter().map(|port| &port["name"]).collect();
    assert_eq!(ports, [&json!("web"), &Value::Null]);
    let volumes = merged("volumes: [data:/a, ./b:/b]", "volumes: ['./c:/a:ro']");
    let volumes: Vec<_> =
        volumes["volumes"].as_array().expect("a list").iter().map(|v| &v["source"]).collect();
    assert_eq!(volumes, [&json!("/p/c"), &json!("/p/b")]);
}

#[test]
fn documents_are_layers_and_forms_that_do_not_fit_are_told() {
    let text =
        "services:\n  web:\n    image: a\n    ports: ['80:80']\n---\nservices:\n  web:\n    image: b\n";
    let found = load(&[("compose.yaml", text)], |_| {}).expect("it loads");
    assert_eq!(found["services"]["web"]["image"], "b");
    let over = "services:\n  web:\n    ports: { a: b }\n";
    let told = load(&[("a.yaml", text), ("b.yaml", over)], |options| {
        options.files = vec!["/p/a.yaml".into(), "/p/b.yaml".into()];
    });
    let told = told.expect_err("a list and a mapping");
    assert!(
        told.starts_with("p/b.yaml:3:5: error: services.web.ports is a list in an earlier file"),
        "{told}"
    );
}

#[test]
fn extends_takes_over_a_service_with_its_paths() {
    let base = "services:\n  base:\n    image: base\n    build: { context: ./src }\n    volumes: ['./v:/v']\n    \
                environment: { A: '1', B: '1' }\n    command: run\n  unused: { image: x }\n";
    let text = "services:\n  web:\n    extends: { file: sub/base.yaml, service: base }\n    environment: [B=2]\n    \
                command: !reset null\n  mid:\n    extends: web\n    image: mid\n";
    let found = load(&[("compose.yaml", text), ("sub/base.yaml", base)], |_| {}).expect("it loads");
    let (web, mid) = (&found["services"]["web"], &found["services"]["mid"]);
    assert_eq!(web["image"], "base");
    assert_eq!(web["build"]["context"], "/p/sub/src");
    assert_eq!(web["volumes"][0]["source"], "/p/sub/v");
    assert_eq!(web["environment"], json!({"A": "1", "B": "2"}));
    assert_eq!(web["command"], Value::Null);
    assert_eq!((&mid["image"], &mid["environment"]), (&json!("mid"), &web["environment"]));
    assert_eq!(found["services"].as_object().expect("a mapping").len(), 2);
    let circle = "services:\n  a: { extends: b, image: a }\n  b: { extends: a }\n";
    let told = load(&[("compose.yaml", circle)], |_| {}).expect_err("a circle");
    assert!(told.contains("extend each other in a circle"), "{told}");
}

#[test]
fn include_has_its_own_folder_and_variables() {
    let text =
        "include:\n  - sub/compose.yaml\nservices:\n  web: { image: 'web:${TAG}', depends_on: [db] }\n";
    let sub = "services:\n  db: { image: 'db:${TAG}', volumes: ['./d:/d'] }\n";
    let texts =
        [("compose.yaml", text), ("sub/compose.yaml", sub), (".env", "TAG=1"), ("sub/.env", "TAG=2\nX=1")];
    let found = load(&texts, |_| {}).expect("it loads");
    assert_eq!(found["services"]["web"]["image"], "web:1");
    assert_eq!(found["services"]["db"]["image"], "db:1", "what is set outside wins over the included .env");
    assert_eq!(found["services"]["db"]["volumes"][0]["source"], "/p/sub/d");
    let conflict = [("compose.yaml", text), ("sub/compose.yaml", "services: { web: { image: other } }")];
    let told = load(&conflict, |_| {}).expect_err("two of the same name");
    assert!(told.contains("services.web is also in a file that is included"), "{told}");
    let circle = [
        ("compose.yaml", text),
        ("sub/compose.yaml", "include: [../compose.yaml]\nservices: { db: { image: x } }"),
    ];
    let told = load(&circle, |_| {}).expect_err("a circle");
    assert!(told.contains("include each other in a circle"), "{told}");
}

#[test]
fn levels_of_include_are_bounded() {
    let names: Vec<String> = (0..40).map(|at| format!("f{at}.yaml")).collect();
    let text = |at: usize| format!("include: [f{}.yaml]\nservices: {{ s{at}: {{ image: x }} }}\n", at + 1);
    let texts: Vec<String> = (0..40).map(text).collect();
    let texts: Vec<(&str, &str)> =
        names.iter().map(String::as_str).zip(texts.iter().map(String::as_str)).collect();
    let told = load(&texts, |options| options.files = vec!["/p/f0.yaml".into()]).expect_err("40 levels");
    assert!(told.contains("files include each other over more than 20 levels"), "{told}");
}

#[test]
fn profiles_choose_services_and_what_they_use() {
    let text = "services:\n  web: { image: w, depends_on: { tool: { condition: service_started, required: false } } }\n  \
                tool: { image: t, profiles: [debug], volumes: ['data:/d'] }\nvolumes: { data: }\n";
    let names =
        |found: &Value| found["services"].as_object().expect("a mapping").keys().cloned().collect::<Vec<_>>();
    let without = load(&[("compose.yaml", text)], |_| {}).expect("it loads");
    assert_eq!(names(&without), ["web"]);
    assert_eq!(without.get("volumes"), None);
    let with =
        load(&[("compose.yaml", text)], |options| options.profiles = vec!["debug".into()]).expect("it loads");
    assert_eq!(names(&with), ["web", "tool"]);
    let from_env =
        |options: &mut Options| drop(options.environment.insert("COMPOSE_PROFILES".into(), "x,debug".into()));
    assert_eq!(load(&[("compose.yaml", text)], from_env).expect("it loads"), with);
    let needed =
        "services:\n  web: { image: w, depends_on: [tool] }\n  tool: { image: t, profiles: [debug] }\n";
    let told = load(&[("compose.yaml", needed)], |_| {}).expect_err("it needs what is not active");
    assert!(told.contains("whose profile is not active"), "{told}");
}

#[test]
fn files_and_names_are_found_as_compose_finds_them() {
    let web = |image: &str| format!("services: {{ web: {{ image: {image} }} }}\n");
    let (one, two) = (web("one"), web("two"));
    let image = |found: Result<Value, String>| found.expect("it loads")["services"]["web"]["image"].clone();
    let texts = [("compose.yaml", one.as_str()), ("compose.override.yml", two.as_str())];
    assert_eq!(image(load(&texts, |_| {})), "two");
    assert_eq!(image(load(&texts, |options| options.project_dir = Some("/p/deep/er".into()))), "two");
    let by_variable = |options: &mut Options| {
        options.environment.insert("COMPOSE_FILE".into(), "/p/compose.yaml".into());
    };
    assert_eq!(image(load(&texts, by_variable)), "one");
    let told = load(&[], |_| {}).expect_err("nothing is there");
    assert!(told.contains("there is no compose.yaml in /p or above it"), "{told}");

    let named =
        [("compose.yaml", "name: My App!\nservices: { web: { image: '${COMPOSE_PROJECT_NAME}' } }\n")];
    let found = load(&named, |options| options.project_name = None).expect("it loads");
    assert_eq!((&found["name"], &found["services"]["web"]["image"]), (&json!("myapp"), &json!("myapp")));
    let found = load(&texts, |options| options.project_name = None).expect("it loads");
    assert_eq!(found["name"], "p", "the folder's");
    let told = load(&texts, |options| options.project_name = Some("My App".into())).expect_err("not a name");
    assert!(told.contains("cannot be the name of a stack"), "{told}");
}

#[test]
fn variables_in_every_form() {
    let set = [("A", "a"), ("E", ""), ("N", "3")];
    let cases = [
        ("$A-${A}", "a-a"),
        ("$$A ${A}$$", "$$A a$$"),
        ("${U:-d} ${U-d} ${E:-d} ${E-d}|", "d d d |"),
        ("${A:+x} ${U:+x}${E:+x}${E+x}", "x x"),
        ("${U:-${V:-${A}}}", "a"),
        ("${U:-{\"k\":1}}", "{\"k\":1}"),
        ("${A:?e} ${E?e}|", "a |"),
        ("$U|$1|a$", "|$$1|a$$"),
        ("${U:-a b:c}", "a b:c"),
    ];
    for (written, want) in cases {
        let text = format!("services:\n  web:\n    image: w\n    hostname: '{written}'\n    scale: ${{N}}\n");
        let found = load(&[("compose.yaml", &text)], |options| {
            options.environment =
                set.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        });
        let found = found.unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(found["services"]["web"]["hostname"], want, "{written}");
        assert_eq!(found["services"]["web"]["scale"], 3);
    }
    let secret = "services: { web: { image: w, mem_limit: '${N}' } }";
    let told = load(&[("compose.yaml", secret)], |options| {
        options.environment.insert("N".into(), "hunter2".into());
    });
    let told = told.expect_err("not a size");
    assert!(!told.contains("hunter2") && told.contains("the value that the variable gives"), "{told}");
}

#[test]
fn nothing_of_an_env_file_is_shown() {
    let text = "services: { web: { image: w, env_file: app.env } }\ninclude: [{ path: sub.yaml, env_file: sub.env }]\n";
    let bad = ["hunter2 hunter2", "hunter2 x=1", "A=hunter2${", "A='hunter2", "A=1\nhunter2!=3"];
    for line in bad {
        for file in [".env", "app.env", "sub.env"] {
            let mut texts =
                vec![("compose.yaml", text), ("sub.yaml", "services: {}"), ("app.env", ""), ("sub.env", "")];
            texts.retain(|(name, _)| *name != file);
            texts.push((file, line));
            let told = load(&texts, |_| {}).expect_err("a bad env file");
            assert!(told.starts_with(&format!("p/{file}:")), "{told}");
            assert!(!told.contains("hunter2"), "{told}");
        }
    }
}
