//! `naru policy`: the administrator's own policies, checked and tried out.

use crate::{Around, Problem};
use clap::{Args, Subcommand};
use naru_model::plural;
use naru_rights::{Policies, PolicyFault, schema};
use naru_who::{Resource, Right, RightQuestion};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What `naru policy` takes.
#[derive(Args, Debug)]
pub struct PolicyArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Read policies as the server would, and tell all that is wrong with them
    Check {
        /// These files; without: those in NARU_HOME/policies
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// Ask the server about a file of cases: `USER ACTION RESOURCE yes|no` a line
    Test {
        /// The file; what stands behind `#` is a remark
        file: PathBuf,
    },
    /// Print the schema that policies are held against, and the fixed policies
    Schema,
}

impl PolicyArgs {
    pub(crate) async fn run(self, around: &impl Around) -> Result<(), Problem> {
        match self.what {
            What::Schema => around.data(&format!("{}\n{}", schema::text(), schema::fixed())),
            What::Check { files } if files.is_empty() => {
                let folder = around.home()?.join(naru_gate::POLICIES);
                tell(naru_gate::read_folder(&folder), around)
            }
            What::Check { files } => {
                let mut texts = BTreeMap::new();
                for file in files {
                    texts.insert(file.display().to_string(), text(&file)?);
                }
                tell(Policies::read(&texts), around)
            }
            What::Test { file } => test(&file, around).await,
        }
    }
}

fn text(file: &Path) -> Result<String, Problem> {
    std::fs::read_to_string(file)
        .map_err(|error| Problem::failed(format!("{} cannot be read: {error}", file.display()), ""))
}

fn tell(read: Result<Policies, Vec<PolicyFault>>, around: &impl Around) -> Result<(), Problem> {
    match read {
        Ok(policies) => {
            let count = policies.count as u64;
            let (policies, hold) = match count {
                1 => ("1 policy".to_string(), "holds"),
                count => (format!("{count} policies"), "hold"),
            };
            around.result(&format!("{policies} {hold} against the schema"));
            Ok(())
        }
        Err(faults) => {
            around.data(&faults.iter().map(|fault| format!("{fault}\n")).collect::<String>())?;
            Err(Problem::Bad)
        }
    }
}

/// A line of a file of cases.
struct Case {
    line: usize,
    question: RightQuestion,
    wanted: bool,
}

fn cases(text: &str) -> Result<Vec<Case>, String> {
    let mut cases = vec![];
    for (at, line) in text.lines().enumerate() {
        let line_no = at + 1;
        let words: Vec<&str> = line.split('#').next().unwrap_or_default().split_whitespace().collect();
        let [user, action, on, wanted] = words[..] else {
            if words.is_empty() {
                continue;
            }
            return Err(format!("line {line_no}: a case is USER ACTION RESOURCE yes|no"));
        };
        let said = |error: naru_who::Unreadable| format!("line {line_no}: {error}");
        let action: Right = action.parse().map_err(said)?;
        let on: Resource = on.parse().map_err(said)?;
        let wanted = match wanted {
            "yes" => true,
            "no" => false,
            other => return Err(format!("line {line_no}: {other:?} is neither yes nor no")),
        };
        cases.push(Case {
            line: line_no,
            question: RightQuestion { user: user.into(), action, on, at: None },
            wanted,
        });
    }
    Ok(cases)
}

async fn test(file: &Path, around: &impl Around) -> Result<(), Problem> {
    let name = file.display();
    let cases = cases(&text(file)?).map_err(|error| Problem::failed(format!("{name}: {error}"), ""))?;
    let client = around.client()?;
    let mut wrong = 0;
    for Case { line, question, wanted } in &cases {
        let verdict = client.can(question).await?;
        if verdict.allowed != *wanted {
            wrong += 1;
            let word = if verdict.allowed { "yes" } else { "no" };
            let RightQuestion { user, action, on, .. } = question;
            around.data(&format!("{name}:{line}: {user} {action} {on}: {word}: {}\n", verdict.why))?;
        }
    }
    let count = plural(cases.len() as u64, "case");
    if wrong > 0 {
        around.note(&format!("{wrong} of {count} differ"));
        return Err(Problem::Bad);
    }
    around.result(&format!("{count}, all as wanted"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::cases;

    #[test]
    fn cases_are_read() {
        let read = cases("# who\nkim deploy shop yes  # today\n\nlee cut stack/shop no\n").unwrap();
        assert_eq!(
            read.iter().map(|case| (case.line, case.wanted)).collect::<Vec<_>>(),
            [(2, true), (4, false)]
        );
        assert_eq!(cases("kim fly shop yes").err().unwrap().split(':').next(), Some("line 1"));
        assert!(cases("kim deploy shop").is_err() && cases("kim deploy shop perhaps").is_err());
    }
}
