//! The reference: exit codes and environment variables for `--help`, and all commands as Markdown. Both are
//! made from what the program itself goes by, so they cannot be wrong.

use super::args::Cli;
use super::fail::Code;
use super::settings::VARIABLES;
use anstream::adapter::strip_str;
use clap::{Arg, Command, CommandFactory};
use std::fmt::Write;

/// What stands under `naru --help`.
pub fn after_help() -> String {
    let codes = Code::TABLE.map(|(code, meaning)| format!("  {:<5} {meaning}", code.number()));
    let widest = VARIABLES.iter().map(|variable| variable.name.len()).max().unwrap_or(0);
    let line = |name, meaning| format!("  {name:<widest$} {meaning}");
    let variables = VARIABLES.map(|variable| line(variable.name, variable.meaning));
    format!("Exit codes:\n{}\n\nEnvironment variables:\n{}", codes.join("\n"), variables.join("\n"))
}

/// All commands, as Markdown.
pub fn markdown() -> String {
    let mut root = Cli::command();
    root.build();
    let mut text = String::from(
        "<!-- Made by `naru reference`; a test compares it. UPDATE=1 cargo test -p naru --test cli writes it. -->\n\n\
         # The command line\n\n\
         Progress and remarks go to standard error, data to standard output. `-f`, `-p`, `--profile`,\n\
         `--env-file` and `--project-directory` may stand before or after the verb (after `logs` and\n\
         `events`, `-f` is `--follow`).\n",
    );
    text += "\n## Exit codes\n\n| code | meaning |\n| --- | --- |\n";
    for (code, meaning) in Code::TABLE {
        let _ = writeln!(text, "| {} | {meaning} |", code.number());
    }
    text += "\n`naru exec`, `naru run` and `naru work run` end with the exit status of their command; 125 to 127 as `env` and `docker exec` do.\n";
    text += "\n## Environment variables\n\n| variable | meaning |\n| --- | --- |\n";
    for variable in VARIABLES {
        let _ = writeln!(text, "| `{}` | {} |", variable.name, variable.meaning);
    }
    text += "\n## Options of every command\n\n`--progress`, and for those that are about a stack:\n\n";
    text += TABLE_HEAD;
    root.get_arguments().filter(|arg| is_shared(arg)).for_each(|arg| argument(&mut text, arg));
    text += "\n## Commands\n";
    root.get_subcommands().filter(|verb| is_shown(verb)).for_each(|verb| section(&mut text, verb, "naru"));
    text
}

const TABLE_HEAD: &str = "| argument | meaning |\n| --- | --- |\n";

fn is_shared(arg: &Arg) -> bool {
    ["progress", "file", "project_name", "profile", "env_file", "project_directory"]
        .contains(&arg.get_id().as_str())
}

fn is_shown(verb: &Command) -> bool {
    !verb.is_hide_set() && verb.get_name() != "help"
}

fn section(text: &mut String, verb: &Command, above: &str) {
    let path = format!("{above} {}", verb.get_name());
    let usage = strip_str(&verb.clone().render_usage().to_string()).to_string();
    let usage = usage.trim_start_matches("Usage:").trim().to_string();
    let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
    let _ = writeln!(text, "\n### `{path}`\n\n{about}.\n\n```\n{usage}\n```\n");
    let shared = ["help", "progress", "file", "project_name", "profile", "env_file", "project_directory"];
    let own: Vec<&Arg> =
        verb.get_arguments().filter(|arg| !shared.contains(&arg.get_id().as_str())).collect();
    if !own.is_empty() {
        text.push_str("| argument | meaning |\n| --- | --- |\n");
    }
    own.into_iter().for_each(|arg| argument(text, arg));
    verb.get_subcommands().filter(|verb| is_shown(verb)).for_each(|verb| section(text, verb, &path));
}

fn argument(text: &mut String, arg: &Arg) {
    let name = arg.to_string();
    let short = arg.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let values = arg.get_possible_values();
    let visible = values.iter().filter(|value| !value.is_hide_set() && arg.get_action().takes_values());
    let said: Vec<String> = visible.map(|value| format!("`{}`", value.get_name())).collect();
    let said = if said.is_empty() { String::new() } else { format!(": {}", said.join(", ")) };
    let _ = writeln!(text, "| {short}`{}` | {help}{said} |", name.replace('|', "\\|"));
}
