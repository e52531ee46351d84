//! From what was typed to a stack: the Compose files are loaded, and what is odd about them is shown.

use super::fail::{Code, Fail};
use super::printer::Printer;
use super::settings::Settings;
use clap::Args;
use naru_compose::{Addresses, Diagnostic, Errors, Loaded, Options, Unsupported};
use naru_model::{ServiceName, Stack, StackName, plural};

/// What follows when a file says what Naru does not do.
#[derive(Args, Clone, Copy, Debug)]
pub struct StrictArgs {
    /// Keys that have no effect yet are errors, not warnings
    #[arg(long)]
    strict: bool,
    /// Keys that are not known are ignored, not errors
    #[arg(long, conflicts_with = "strict")]
    loose: bool,
}

impl StrictArgs {
    /// The same as one word.
    pub fn unsupported(self) -> Unsupported {
        match self {
            StrictArgs { strict: true, .. } => Unsupported::Strict,
            StrictArgs { loose: true, .. } => Unsupported::Loose,
            StrictArgs { .. } => Unsupported::Warn,
        }
    }
}

/// Loads the files, and shows what is odd about them.
///
/// # Errors
/// The files cannot be used; what is wrong with them has been shown.
pub fn load(settings: &Settings, printer: &Printer, unsupported: Unsupported) -> Result<Loaded, Fail> {
    let loaded =
        naru_compose::load(&options(settings, unsupported)).map_err(|errors| broken(printer, &errors))?;
    show(printer, "warning", &loaded.warnings);
    Ok(loaded)
}

/// The same, where the stack is to be run: what it needs has to be there.
///
/// # Errors
/// The files cannot be used, or the stack cannot be run here and now; why has been shown.
pub fn runnable(settings: &Settings, printer: &Printer, unsupported: Unsupported) -> Result<Loaded, Fail> {
    let loaded = load(settings, printer, unsupported)?;
    loaded.runnable().map_err(|errors| broken(printer, &Errors { warnings: vec![], ..errors }))
}

/// The same, and a service in it whatever its profile, with what it depends on.
///
/// # Errors
/// As [`runnable`], or there is no such service.
pub fn runnable_with(settings: &Settings, printer: &Printer, service: &ServiceName) -> Result<Loaded, Fail> {
    let mut loaded = runnable(settings, printer, Unsupported::Warn)?;
    if loaded.stack.services.contains_key(service) {
        return Ok(loaded);
    }
    let every = Options { profiles: vec!["*".into()], ..options(settings, Unsupported::Loose) };
    let wide = naru_compose::load(&every).map_err(|errors| broken(printer, &errors))?;
    let Ok(needed) = wide.stack.with_dependencies(std::slice::from_ref(service)) else {
        return Err(stranger(&wide.stack, service.as_str()));
    };
    for name in needed {
        let definition = wide.stack.services[&name].clone();
        loaded.stack.services.entry(name).or_insert(definition);
    }
    Ok(Loaded { contents: wide.contents, ..loaded })
}

/// The name of the stack that the files describe; `None` where there are no files.
///
/// # Errors
/// There are files, and they cannot be used.
pub fn name(settings: &Settings, printer: &Printer) -> Result<Option<StackName>, Fail> {
    if let Some(name) = settings.stated_name() {
        return Ok(Some(name.into()));
    }
    if !settings.names_files() {
        return Ok(None);
    }
    // Whoever asks for a name does not wait for calendars.
    let options = Options { addresses: Addresses::passed_over(), ..options(settings, Unsupported::Loose) };
    let loaded = naru_compose::load(&options);
    let help = "`-p NAME` names a stack without its files";
    loaded.map(|loaded| Some(loaded.stack.name)).map_err(|errors| broken(printer, &errors).help(help))
}

fn options(settings: &Settings, unsupported: Unsupported) -> Options {
    let project = settings.project.clone();
    Options {
        files: project.file,
        project_name: project.project_name,
        project_dir: project.project_directory,
        env_files: project.env_file,
        environment: settings.environment.clone(),
        profiles: project.profile,
        unsupported,
        addresses: settings.home().map(naru_calendars::addresses).unwrap_or_default(),
    }
}

fn broken(printer: &Printer, errors: &Errors) -> Fail {
    show(printer, "warning", &errors.warnings);
    match errors.errors.as_slice() {
        // Without a place there is no line to show, and the sentence is the whole error.
        [only] if only.place.is_none() => {
            Fail { help: only.advice.clone(), code: Code::Failed, ..Fail::new(&only.message) }
        }
        all => {
            show(printer, "error", all);
            Fail::new(format!("the Compose file cannot be used: {}", plural(all.len() as u64, "error")))
        }
    }
}

/// Shows what is wrong in files, with its places.
pub fn show(printer: &Printer, severity: &'static str, all: &[Diagnostic]) {
    for one in all {
        let at = one.place.as_ref().map(|place| format!("{}:{}:{}: ", place.file, place.line, place.column));
        let text = format!("{}{}", at.unwrap_or_default(), one.message);
        printer.found(severity, text, &one.render(printer.diagnostics()));
    }
}

/// `SERVICE=N`.
///
/// # Errors
/// It is something else.
pub fn parse_scale(text: &str) -> Result<(ServiceName, u32), String> {
    let wrong = || "write SERVICE=N, such as api=3".to_string();
    let (name, count) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(wrong)?;
    Ok((name.into(), count.parse().map_err(|_| wrong())?))
}

/// The stack with other numbers of instances.
///
/// # Errors
/// There is no such service.
pub fn scaled(mut stack: Stack, scale: &[(ServiceName, u32)]) -> Result<Stack, Fail> {
    for (name, count) in scale {
        let strange = stranger(&stack, name.as_str());
        stack.services.get_mut(name).ok_or(strange)?.replicas = *count;
    }
    Ok(stack)
}

/// What was typed, as names of services of the stack.
///
/// # Errors
/// There is no such service.
pub fn names(stack: &Stack, typed: &[String]) -> Result<Vec<ServiceName>, Fail> {
    let known = |name: &String| {
        let name = ServiceName::from(name.as_str());
        if stack.services.contains_key(&name) { Ok(name) } else { Err(stranger(stack, name.as_str())) }
    };
    typed.iter().map(known).collect()
}

fn stranger(stack: &Stack, name: &str) -> Fail {
    let all: Vec<&str> = stack.services.keys().map(ServiceName::as_str).collect();
    Fail::usage(format!("stack {} has no service `{name}`", stack.name))
        .help(format!("services: {}", all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::{names, parse_scale, scaled};
    use naru_model::Stack;

    #[test]
    fn scales_are_read_and_strangers_refused() {
        assert_eq!(parse_scale("api=3").unwrap(), ("api".into(), 3));
        for bad in ["api", "api=", "=3", "api=-1", "api=x"] {
            assert!(parse_scale(bad).is_err(), "{bad}");
        }
        let stack = Stack {
            name: "shop".into(),
            project_dir: "/".into(),
            services: Default::default(),
            jobs: Default::default(),
            listeners: vec![],
            routes: vec![],
        };
        assert!(scaled(stack.clone(), &[("api".into(), 2)]).is_err());
        assert_eq!(names(&stack, &["api".into()]).unwrap_err().error, "stack shop has no service `api`");
    }
}
