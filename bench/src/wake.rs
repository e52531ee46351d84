//! How long a request waits that wakes a service: until the first byte of its answer, beside the program's own start.

use crate::report::{Report, median, most};
use crate::stage::with_rig;
use crate::up::{ms, start_one};
use hyper::Method;
use naru_demo::call::call;
use naru_demo::rig::Rig;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// What Naru itself may add, in ms.
const OWN_MS: f64 = 20.0;
/// Longer is no sleep.
const PATIENCE: Duration = Duration::from_secs(30);

/// The measurement.
#[derive(Clone, Debug)]
pub struct Wake {
    /// How often each time is taken.
    pub rounds: u32,
}

impl Wake {
    /// Runs it.
    ///
    /// # Errors
    /// Something did not start, fell asleep or answer.
    pub async fn run(&self, exe: &Path) -> io::Result<Report> {
        let mut report =
            Report::new(format!("a request that wakes a service, medians of {} rounds", self.rounds));
        let (starts, wakes) = with_rig(exe, async |rig: &Rig| self.rounds(exe, rig).await).await?;
        let both = |of: &[f64]| format!("{:.1} / {:.1} ms", median(of), most(of));
        report.figure("the process's own start, until it answers, median / most", both(&starts));
        report.figure("asleep, until the first byte of the answer", both(&wakes));
        report.at_most("Naru's own part", median(&wakes) - median(&starts), OWN_MS, "ms");
        Ok(report)
    }

    async fn rounds(&self, exe: &Path, rig: &Rig) -> io::Result<(Vec<f64>, Vec<f64>)> {
        std::fs::write(rig.file(), file(exe, &rig.url()))?;
        rig.naru(&["up", "--progress", "quiet"]).await?;
        let url = format!("{}/read", rig.url());
        let (mut starts, mut wakes) = (Vec::new(), Vec::new());
        for _ in 0..self.rounds {
            rig.settled(PATIENCE).await?;
            rig.naru(&["sleep", "api", "--progress", "quiet"]).await?;
            rig.settled(PATIENCE).await?;
            if !rig.instances().await?.is_empty() {
                return Err(io::Error::other("it is not asleep"));
            }
            let began = Instant::now();
            let answer = call(Method::GET, &url, String::new()).await?;
            wakes.push(ms(began));
            if !answer.status().is_success() {
                return Err(io::Error::other(format!("the answer is {}", answer.status())));
            }
            starts.push(start_one(exe).await?);
        }
        Ok((starts, wakes))
    }
}

/// A service that a request wakes.
fn file(exe: &Path, url: &str) -> String {
    let port = url.rsplit(':').next().unwrap_or_default();
    let exe = exe.display();
    format!(
        r#"name: wakes
services:
  api:
    image: registry.example.com/demo:1
    ports: [{{ target: 8000, published: "{port}", host_ip: 127.0.0.1, app_protocol: http }}]
    x-naru:
      process: {{ command: ["{exe}", demo-tier, "1", "0"] }}
      health: {{ http: /healthz }}
      power: {{ idle_after: 1h }}
"#
    )
}
