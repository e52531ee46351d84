//! Calendars of an HTTP server of the test's own: what is asked, what is kept, and what is said when none comes.

use naru_calendars::{Calendars, Limits};
use naru_schedule::{Fault, Fetched, Told};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

const KR: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART;VALUE=DATE:20261225\r\nEND:VEVENT\r\n\
                  END:VCALENDAR\r\n";
const TIMED: &str = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nUID:1\r\nDTSTART:20261225T090000Z\r\nEND:VEVENT\r\n\
                     END:VCALENDAR\r\n";
const SIGN_IN: &str = "<!doctype html>\n<title>Sign in</title>\n";

/// A server that answers one request after the other, and then is gone.
struct Server {
    port: u16,
    thread: JoinHandle<Vec<String>>,
}

impl Server {
    fn of(answers: Vec<String>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let thread = std::thread::spawn(move || {
            let answered = |answer: String| {
                let (stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(&stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
                }
                // Who has enough does not read to the end.
                let _ = (&stream).write_all(answer.as_bytes());
                head
            };
            answers.into_iter().map(answered).collect()
        });
        Server { port, thread }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Waits until it is gone; what it was asked.
    fn gone(self) -> Vec<String> {
        self.thread.join().unwrap()
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nETag: \"7\"\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn leads_to(location: &str) -> String {
    format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// As the next command does.
fn get(home: &Path, url: &str) -> Result<Fetched, Fault> {
    Calendars::of(home).get(url)
}

fn away(answer: Result<Fetched, Fault>) -> String {
    match answer {
        Err(Fault::Away(Told { what, advice })) => {
            assert!(advice.contains("curl -o holidays.ics ADDRESS"), "{advice}");
            what
        }
        other => panic!("{other:?}"),
    }
}

fn copies(home: &Path) -> Vec<PathBuf> {
    fs::read_dir(home.join("calendars")).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
}

/// As if two days had passed.
fn age(home: &Path) {
    let old = SystemTime::now() - Duration::from_secs(2 * 24 * 3600);
    for copy in copies(home) {
        File::options().append(true).open(copy).unwrap().set_modified(old).unwrap();
    }
}

#[test]
fn a_calendar_is_fetched_once_a_day_and_its_last_copy_outlives_the_server() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::of(vec![ok(KR)]);
    let url = server.url("/days/kr.ics");
    let first = get(home.path(), &url).unwrap();
    assert_eq!((first.holidays.days.join(" "), &first.remark), ("2026-12-25".into(), &None));
    let asked = server.gone();
    assert!(asked[0].starts_with("GET /days/kr.ics HTTP/1.1\r\n"), "{asked:?}");
    assert_eq!(get(home.path(), &url).unwrap(), first, "nobody is asked");
    age(home.path());
    let old = get(home.path(), &url).unwrap();
    assert_eq!(old.holidays, first.holidays);
    let Told { what, .. } = old.remark.expect("it is said that it is old");
    assert!(what.starts_with(&format!("{url} cannot be fetched (127.0.0.1:")), "{what}");
    let two_days_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(48);
    let date = two_days_ago.strftime("and its copy of %Y-%m-%d ").to_string();
    assert!(what.contains("Connection refused") && what.contains(&date), "{what}");
}

#[test]
fn what_did_not_change_is_not_sent_again() {
    let home = tempfile::tempdir().unwrap();
    let same = "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n";
    let server = Server::of(vec![ok(KR), same.into()]);
    let url = server.url("/kr.ics");
    let first = get(home.path(), &url).unwrap();
    age(home.path());
    assert_eq!(get(home.path(), &url).unwrap(), first);
    let asked = server.gone();
    assert!(
        !asked[0].contains("if-none-match") && asked[1].contains("if-none-match: \"7\"\r\n"),
        "{asked:?}"
    );
    assert_eq!(get(home.path(), &url).unwrap(), first, "it is as good as new");
}

#[test]
fn what_is_no_calendar_is_not_kept() {
    let home = tempfile::tempdir().unwrap();
    let no = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_string();
    for (answer, says) in [
        (ok(SIGN_IN), "it is no calendar"),
        (ok(TIMED), "no all-day event"),
        (no, "it answers 403 Forbidden"),
    ] {
        let server = Server::of(vec![answer.clone()]);
        let what = away(get(home.path(), &server.url("/kr.ics")));
        assert!(what.contains("and there is no copy of it: ") && what.contains(says), "{what}");
        server.gone();
        assert!(copies(home.path()).is_empty());

        let with_copy = tempfile::tempdir().unwrap();
        let server = Server::of(vec![ok(KR), answer]);
        let url = server.url("/kr.ics");
        get(with_copy.path(), &url).unwrap();
        age(with_copy.path());
        let kept = fs::read(&copies(with_copy.path())[0]).unwrap();
        let old = get(with_copy.path(), &url).unwrap();
        assert_eq!(old.holidays.days, ["2026-12-25"]);
        assert!(old.remark.unwrap().what.contains(says));
        assert_eq!(fs::read(&copies(with_copy.path())[0]).unwrap(), kept);
        server.gone();
    }
}

#[test]
fn redirects_are_followed_a_few_times_and_to_no_plain_address_elsewhere() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::of(vec![leads_to("/b"), leads_to("c?d"), ok(KR)]);
    assert_eq!(get(home.path(), &server.url("/a")).unwrap().holidays.days, ["2026-12-25"]);
    assert!(server.gone()[2].starts_with("GET /c?d "));
    let server = Server::of(vec![leads_to("http://192.0.2.1/kr.ics?token=secret")]);
    let what = away(get(home.path(), &server.url("/x")));
    assert!(what.ends_with("it leads to http://192.0.2.1/kr.ics?…, which is not https"), "{what}");
    server.gone();
    let server = Server::of(vec![leads_to("/again"); 6]);
    let what = away(get(home.path(), &server.url("/again")));
    assert!(what.ends_with("it leads on more than 5 times"), "{what}");
    server.gone();
}

#[test]
fn what_is_too_long_or_too_slow_is_left() {
    let home = tempfile::tempdir().unwrap();
    let limit = Duration::from_millis(300);
    let short = Calendars::within(home.path(), Limits { bytes: 100, ..Limits::default() });
    let server = Server::of(vec![ok(KR)]);
    let what = away(short.get(&server.url("/kr.ics")));
    assert!(what.ends_with("its answer is over 100 bytes"), "{what}");
    server.gone();
    let limits = Limits { each: limit, together: limit * 2, ..Limits::default() };
    let calendars = Calendars::within(home.path(), limits);
    // It takes connections, and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = |path: &str| format!("http://{}{path}", silent.local_addr().unwrap());
    let begun = Instant::now();
    let what = away(calendars.get(&url("/a")));
    assert!(what.contains("300ms"), "{what}");
    assert_eq!(away(calendars.get(&url("/a"))), what, "it is not asked twice");
    away(calendars.get(&url("/b")));
    let what = away(calendars.get(&url("/c")));
    assert!(what.ends_with("other calendars took 600ms together"), "{what}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn passwords_are_sent_and_not_shown() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::of(vec![ok(KR), ok(SIGN_IN)]);
    let url = format!("http://mina:hidden@127.0.0.1:{}/private-0123abcd/basic.ics?token=hidden", server.port);
    let first = get(home.path(), &url).unwrap();
    age(home.path());
    let told = format!("{first:?} {:?}", get(home.path(), &url).unwrap());
    let port = server.port;
    let asked = server.gone();
    // printf mina:hidden | base64
    assert!(asked[0].contains("authorization: Basic bWluYTpoaWRkZW4=\r\n"), "{asked:?}");
    age(home.path());
    let told = format!("{told} {:?}", get(home.path(), &url).unwrap());
    assert!(told.contains(&format!("http://127.0.0.1:{port}/…/basic.ics?…")), "{told}");
    for secret in ["hidden", "mina", "0123abcd", "bWlu"] {
        assert!(!told.contains(secret), "{secret}: {told}");
    }
}

#[test]
fn a_home_that_cannot_be_written_is_told_and_the_calendar_used() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let server = Server::of(vec![ok(KR)]);
    let found = get(file.path(), &server.url("/kr.ics")).unwrap();
    assert_eq!(found.holidays.days, ["2026-12-25"]);
    let Told { what, advice } = found.remark.unwrap();
    assert!(what.starts_with("no copy of http://127.0.0.1") && what.contains("cannot be written"), "{what}");
    assert!(advice.contains("writable"));
    server.gone();
}

#[tokio::test]
async fn whoever_works_for_a_runtime_may_ask() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::of(vec![ok(KR)]);
    assert_eq!(get(home.path(), &server.url("/kr.ics")).unwrap().holidays.days, ["2026-12-25"]);
    server.gone();
}

#[test]
fn an_address_that_is_not_right_is_told_apart_from_one_that_does_not_answer() {
    let home = tempfile::tempdir().unwrap();
    assert!(matches!(get(home.path(), "http://example.com/kr.ics"), Err(Fault::Wrong(_))));
    assert!(matches!(get(home.path(), "https://"), Err(Fault::Wrong(_))));
    assert!(copies(home.path()).is_empty());
}
