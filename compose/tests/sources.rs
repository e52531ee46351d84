//! Where files and names come from: standard input, several paths, names that cannot stay as they are.

use naru_compose::{Addresses, Loaded, Options, Style, load_texts};
use naru_schedule::{BY_HAND, Fault, Fetched, Holidays, Told};
use std::collections::BTreeMap;

fn load(texts: &[(&str, &str)], options: &Options) -> Result<Loaded, String> {
    let texts = texts.iter().map(|(path, text)| (path.to_string(), text.to_string())).collect();
    load_texts(texts, options).map_err(|errors| errors.to_string())
}

fn from(files: &[&str]) -> Options {
    Options {
        files: files.iter().map(Into::into).collect(),
        project_dir: Some("/srv/shop".into()),
        ..Options::default()
    }
}

const WEB: &str =
    "services: { web: { image: web, working_dir: run, x-naru: { process: { command: ./web } } } }";

#[test]
fn standard_input_is_a_layer_like_others() {
    let over = "services: { web: { environment: { A: 1 } } }";
    for files in [&["-", "over.yaml"][..], &["over.yaml", "-"]] {
        let loaded = load(&[("-", WEB), ("/over.yaml", over)], &from(files)).unwrap();
        let web = &loaded.stack.services[&"web".into()];
        assert_eq!(web.template.environment["A"], "1");
        assert_eq!(web.template.working_dir, "/srv/shop/run");
        assert!(loaded.files.contains(&"-".to_string()));
    }
    let by_variable = Options {
        environment: BTreeMap::from([("COMPOSE_FILE".to_string(), "-:/over.yaml".to_string())]),
        ..from(&[])
    };
    assert!(load(&[("-", WEB), ("/over.yaml", over)], &by_variable).is_ok());
    let told = load(&[("-", "services: { web: 1 }")], &from(&["-"])).unwrap_err();
    assert!(told.starts_with("-:1:18: error"), "{told}");
}

#[test]
fn without_a_folder_standard_input_belongs_to_the_present_one() {
    let options = Options { project_dir: None, project_name: Some("p".into()), ..from(&["-"]) };
    let loaded = load(&[("-", WEB)], &options).unwrap();
    assert_eq!(loaded.stack.project_dir, "/");
}

#[test]
fn a_name_that_cannot_stay_as_it_is_written_is_told() {
    let told = |name: &str| {
        let text = format!("name: {name}\n{WEB}");
        let loaded = load(&[("/srv/shop/compose.yaml", &text)], &from(&["/srv/shop/compose.yaml"])).unwrap();
        let warnings: Vec<String> = loaded.warnings.into_iter().map(|warning| warning.message).collect();
        (loaded.stack.name.to_string(), warnings)
    };
    assert_eq!(told("my-shop"), ("my-shop".into(), vec![]));
    let (name, warnings) = told("My Shop");
    assert_eq!((name.as_str(), warnings.len()), ("myshop", 1));
    let (name, warnings) = told("나루");
    assert_eq!(name, "shop");
    assert_eq!(warnings, ["the name \"나루\" cannot be a stack's, and becomes shop"]);
}

#[test]
fn what_a_process_is_not_given_is_told() {
    let text = "services:\n  web:\n    image: web\n    labels: [a=1]\n    mem_reservation: 1m\n    mem_limit: 2m\n    \
                x-naru: { process: { command: ./web } }\n";
    let loaded = load(&[("/srv/shop/compose.yaml", text)], &from(&["/srv/shop/compose.yaml"])).unwrap();
    let warnings: Vec<String> = loaded.warnings.into_iter().map(|warning| warning.message).collect();
    let want = [
        "services.web.labels has no effect on a process, ignored",
        "not supported yet: services.web.mem_reservation, ignored",
    ];
    assert_eq!(warnings, want);
}

#[test]
fn names_have_a_bound() {
    let named = |stack: &str, service: &str| {
        let text = format!("services:\n  {service}: {{ image: web }}\n");
        let options = Options { project_name: Some(stack.into()), ..from(&["/srv/shop/compose.yaml"]) };
        load(&[("/srv/shop/compose.yaml", &text)], &options).map(drop)
    };
    let (most, more) = ("n".repeat(63), "n".repeat(64));
    assert_eq!(named(&most, &most), Ok(()));
    assert!(
        named(&more, "web").unwrap_err().contains("the stack's name has 64 characters, and 63 are the most")
    );
    assert!(named("shop", &more).unwrap_err().contains("compose.yaml:2:3: error: a service's name has 64"));
}

#[test]
fn services_with_the_same_variable_for_their_address_are_told() {
    let text = "services:\n  a-b: { image: web }\n  a_b: { image: web }\n  ab: { image: web }\n";
    let loaded = load(&[("/srv/shop/compose.yaml", text)], &from(&["/srv/shop/compose.yaml"])).unwrap();
    let warnings: Vec<String> = loaded.warnings.into_iter().map(|warning| warning.message).collect();
    assert_eq!(warnings, ["services a-b and a_b have the same variable for their address: NARU_URL_A_B"]);
}

const HOLIDAYS: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:test\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20261225\r\n\
                        END:VEVENT\r\nBEGIN:VEVENT\r\nUID:2\r\nDTSTART:20261224T180000Z\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";

/// A service that sleeps on Sundays and on these days.
fn asleep_on(holidays: &str) -> String {
    format!(
        "services:\n  web:\n    image: web\n    working_dir: run\n    x-naru:\n      process: {{ command: ./web }}\n      \
         power: {{ off: Sun, holidays: {holidays} }}\n"
    )
}

#[test]
fn holidays_are_days_and_the_calendars_beside_the_file() {
    let calendar = ("/srv/shop/days/kr.ics", HOLIDAYS);
    for holidays in ["days/kr.ics", "[days/kr.ics]", "[\"2026-12-25\", ./days/kr.ics]"] {
        let text = asleep_on(holidays);
        let loaded =
            load(&[("/srv/shop/compose.yaml", &text), calendar], &from(&["/srv/shop/compose.yaml"])).unwrap();
        let off = |loaded: &Loaded| {
            loaded.stack.services[&"web".into()].power.clone().unwrap().off.unwrap().holidays
        };
        assert_eq!(off(&loaded), ["2026-12-25"], "{holidays}");
        let told: Vec<&str> = loaded.warnings.iter().map(|warning| warning.message.as_str()).collect();
        assert!(told[0].contains("/srv/shop/days/kr.ics has events at a time of the day (1)"), "{told:?}");
        let again =
            load(&[("/other/compose.yaml", &loaded.yaml()), calendar], &from(&["/other/compose.yaml"]))
                .unwrap();
        assert_eq!(off(&again), off(&loaded));
    }
    let of_all = format!("x-naru: {{ power: {{ off: Sun, holidays: days/kr.ics }} }}\n{WEB}\n");
    let loaded =
        load(&[("/srv/shop/compose.yaml", &of_all), calendar], &from(&["/srv/shop/compose.yaml"])).unwrap();
    assert!(loaded.stack.services[&"web".into()].power.is_some());
}

#[test]
fn a_calendar_that_cannot_be_read_is_told_at_its_place() {
    for (holidays, file, says) in [
        (
            "kr.ics",
            None,
            "compose.yaml:7:36: error: services.web.x-naru.power.holidays: /srv/shop/kr.ics is not there",
        ),
        ("kr.ics", Some("BEGIN:VCALENDAR\r\n"), "cut off"),
        ("25.12.2026", None, "a calendar's file, as kr.ics, or its address"),
    ] {
        let text = asleep_on(holidays);
        let mut texts = vec![("/srv/shop/compose.yaml", text.as_str())];
        texts.extend(file.map(|file| ("/srv/shop/kr.ics", file)));
        let told = load(&texts, &from(&["/srv/shop/compose.yaml"])).unwrap_err();
        assert!(told.contains(says), "{holidays}: {told}");
    }
}

/// What such a calendar is: one that answers, one that is away, and one that nobody asks.
fn at_addresses() -> Addresses {
    let holidays = Holidays { days: vec!["2027-01-01".into()], timed: 0 };
    let old = Told::new("https://example.com/… is old", "wait");
    Addresses::read_by(move |address| match address {
        "https://example.com/0123secret" => {
            Ok(Fetched { shown: String::new(), holidays: holidays.clone(), remark: Some(old.clone()) })
        }
        "http://example.com/0123secret" => Err(Fault::Wrong(Told::new("it is not asked", "write https"))),
        _ => Err(Fault::Away(Told::new("https://example.com/… cannot be fetched", BY_HAND))),
    })
}

#[test]
fn holidays_are_at_addresses_too() {
    let options = Options { addresses: at_addresses(), ..from(&["/srv/shop/compose.yaml"]) };
    let text = asleep_on("[\"2026-12-25\", 'https://example.com/0123secret']");
    let loaded = load(&[("/srv/shop/compose.yaml", &text)], &options).unwrap();
    let power = |loaded: &Loaded| loaded.stack.services[&"web".into()].power.clone().unwrap().off.unwrap();
    assert_eq!(power(&loaded).holidays, ["2026-12-25", "2027-01-01"]);
    assert!(loaded.yaml().contains("https://example.com/0123secret\n"), "it stays as written");
    let told = loaded.warnings[0].render(Style::Plain);
    let says = "srv/shop/compose.yaml:7:51: warning: services.web.x-naru.power.holidays: https://example.com/… is old\n";
    assert!(told.starts_with(says) && told.contains("'https://********"), "{told}");
    assert!(!told.contains("secret"), "{told}");
    let of_all =
        format!("x-naru: {{ power: {{ off: Sun, holidays: https://example.com/0123secret }} }}\n{WEB}\n");
    let loaded = load(&[("/srv/shop/compose.yaml", &of_all)], &options).unwrap();
    assert_eq!(power(&loaded).holidays, ["2027-01-01"]);
}

#[test]
fn a_calendar_that_is_away_keeps_the_stack_from_being_run_and_not_from_being_looked_at() {
    let options = Options { addresses: at_addresses(), ..from(&["/srv/shop/compose.yaml"]) };
    let text = asleep_on("https://example.com/other/0123secret");
    let loaded = load(&[("/srv/shop/compose.yaml", &text)], &options).unwrap();
    let told = loaded.runnable().unwrap_err().to_string();
    let says = "srv/shop/compose.yaml:7:36: error: services.web.x-naru.power.holidays: https://example.com/… cannot be fetched\n";
    assert!(told.starts_with(says) && told.contains("curl -o holidays.ics"), "{told}");
    assert!(!told.contains("secret"), "{told}");
    let text = asleep_on("http://example.com/0123secret");
    let told = load(&[("/srv/shop/compose.yaml", &text)], &options).unwrap_err();
    assert!(told.contains("it is not asked") && !told.contains("secret"), "{told}");
    // Where nobody says who asks, nobody is asked.
    let loaded = load(&[("/srv/shop/compose.yaml", &text)], &from(&["/srv/shop/compose.yaml"])).unwrap();
    assert_eq!(loaded.unfit.len(), 1);
}
