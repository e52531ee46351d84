//! What the tests start: `shim …` is a shim; `agent DIR ID SCRIPT [USER]` opens a runtime, starts
//! `sh -c SCRIPT` and waits to be killed.

use naru_logs::LogLimits;
use naru_model::Resources;
use naru_process::{Launch, Runtime, shim_main};
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    let word = args.next().and_then(|word| word.into_string().ok()).unwrap_or_default();
    let rest: Vec<_> = args.collect();
    match word.as_str() {
        "shim" => shim_main(rest),
        "agent" => agent(&rest.iter().map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>()),
        _ => ExitCode::from(2),
    }
}

/// Says `started PID` once it runs, or `failed WHY`.
fn agent(words: &[String]) -> ExitCode {
    let [dir, id, script, user @ ..] = words else { return ExitCode::from(2) };
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build();
    tokio.expect("a runtime can be made").block_on(async {
        let own = std::env::current_exe().expect("a program has a path").to_string_lossy().into_owned();
        let shim = [own, "shim".to_owned()];
        let (runtime, _, mut events) = Runtime::open(Path::new(dir), &shim).await.expect("the folder opens");
        let launch = Launch {
            argv: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
            environment: Default::default(),
            working_dir: "/".into(),
            user: user.first().cloned(),
            resources: Resources::default(),
            log: LogLimits::default(),
        };
        let started = runtime.start(&id.as_str().into(), &launch, b"from the agent").await;
        match started {
            Ok(started) => println!("started {}", started.pid),
            Err(error) => println!("failed {error}"),
        }
        std::io::stdout().flush().expect("the test reads");
        while events.next().await.is_some() {}
    });
    ExitCode::SUCCESS
}
