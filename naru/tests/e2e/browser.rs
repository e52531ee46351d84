//! Chromium without a window, driven as its maker's driver is driven: JSON over HTTP on loopback.

use crate::containers::pause;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Nothing takes so long on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// A browser with a window of its own.
pub struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None`: there is no Chromium here.
    pub fn start(language: &str, width: u32) -> Option<Browser> {
        let mut command = Command::new("chromedriver");
        let driver = command.arg("--port=0").stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        let mut driver = driver.ok()?;
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let said = "started successfully on port ";
        let port =
            lines.find_map(|line| line.unwrap().split_once(said)?.1.trim_end_matches('.').parse().ok());
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Browser { driver, port: port.unwrap(), session: String::new(), _profile: profile };
        let folder = format!("--user-data-dir={}", browser._profile.path().display());
        let size = format!("--window-size={width},900");
        let args =
            ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", &folder, &size];
        let options = json!({
            "args": args,
            "prefs": {
                "intl.accept_languages": language,
                "intl.selected_languages": language,
            },
            "mobileEmulation": if width < 600 {
                json!({ "deviceMetrics": { "width": width, "height": 800, "pixelRatio": 2.0 } })
            } else {
                Value::Null
            },
        });
        let options: serde_json::Map<_, _> =
            options.as_object().unwrap().clone().into_iter().filter(|(_, value)| !value.is_null()).collect();
        let wanted = json!({ "acceptInsecureCerts": true, "goog:chromeOptions": options });
        let made = browser.call("POST", "", &json!({ "capabilities": { "alwaysMatch": wanted } }));
        browser.session = format!("/{}", made["sessionId"].as_str().expect("a session"));
        Some(browser)
    }

    fn call(&self, verb: &str, path: &str, body: &Value) -> Value {
        self.tried(verb, path, body).unwrap_or_else(|error| panic!("{verb} {path}: {error}"))
    }

    fn tried(&self, verb: &str, path: &str, body: &Value) -> Result<Value, Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let body = if verb == "GET" { String::new() } else { body.to_string() };
        let (session, length) = (&self.session, body.len());
        write!(
            stream,
            "{verb} /session{session}{path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let text = body_of(stream);
        let mut value: Value = serde_json::from_slice(&text).unwrap();
        let value = value["value"].take();
        if value["error"].is_string() { Err(value) } else { Ok(value) }
    }

    pub fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    pub fn address(&self) -> String {
        self.call("GET", "/url", &Value::Null).as_str().unwrap().into()
    }

    fn find(&self, css: &str) -> Result<String, Value> {
        let found = self.tried("POST", "/element", &json!({ "using": "css selector", "value": css }))?;
        Ok(found.as_object().unwrap().values().next().unwrap().as_str().unwrap().into())
    }

    /// Tries until a page that loads itself anew has come to rest.
    fn on<T>(&self, css: &str, act: impl Fn(&str) -> Result<T, Value>) -> T {
        let deadline = Instant::now() + LIMIT;
        loop {
            match self.find(css).and_then(|element| act(&element)) {
                Ok(done) => return done,
                Err(error) if Instant::now() > deadline => {
                    panic!("{css} at {}: {error}\n{}", self.address(), self.text())
                }
                Err(_) => pause(Duration::from_millis(50)),
            }
        }
    }

    pub fn click(&self, css: &str) {
        self.on(css, |element| self.tried("POST", &format!("/element/{element}/click"), &json!({})));
    }

    pub fn type_into(&self, css: &str, text: &str) {
        self.on(css, |element| {
            self.tried("POST", &format!("/element/{element}/value"), &json!({ "text": text }))
        });
    }

    pub fn attribute(&self, css: &str, name: &str) -> String {
        let read =
            |element: &str| self.tried("GET", &format!("/element/{element}/attribute/{name}"), &Value::Null);
        self.on(css, read).as_str().unwrap_or_default().into()
    }

    /// All that is to be read on the page.
    pub fn text(&self) -> String {
        let read = |element: String| self.tried("GET", &format!("/element/{element}/text"), &Value::Null);
        let text = self.find("body").and_then(read);
        text.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// Waits until the page says this, by itself.
    pub fn until(&self, said: &str) -> String {
        let deadline = Instant::now() + LIMIT;
        loop {
            let text = self.text();
            if text.contains(said) {
                return text;
            }
            assert!(Instant::now() < deadline, "{} does not say {said:?}:\n{text}", self.address());
            pause(Duration::from_millis(100));
        }
    }

    /// Keeps a picture of the page, for people.
    pub fn picture(&self, name: &str) {
        let png = self.call("GET", "/screenshot", &Value::Null);
        let png = BASE64_STANDARD.decode(png.as_str().unwrap()).unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("page");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), png).unwrap();
    }
}

/// The driver keeps its connections: the end of the answer is by its length.
fn body_of(stream: TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).unwrap() > 0 && line != "\r\n" {
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    body
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = self.tried("DELETE", "", &Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
