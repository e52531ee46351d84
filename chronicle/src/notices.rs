//! What is told of an event, and to whom.

use naru_model::Time;
use naru_notify::{Kind, Notice};
use serde::{Deserialize, Serialize};

/// An event, as far as it is told. Kinds are words: what another version of Naru has written is read as well.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Told {
    pub(crate) time: Time,
    kind: String,
    #[serde(default)]
    pub(crate) stack: String,
    #[serde(default)]
    service: Option<String>,
    #[serde(default)]
    instance: Option<String>,
    #[serde(default)]
    operation: Option<u64>,
    #[serde(default)]
    actor: Option<String>,
    text: String,
}

impl Told {
    /// What it is for those who want to be told; `None`: nothing.
    pub(crate) fn kind(&self) -> Option<Kind> {
        match self.kind.as_str() {
            // That it is used, and taken back by whoever asked, is nobody's business any more.
            "request-used" | "request-withdrawn" => None,
            kind if kind.starts_with("request-") => Some(Kind::Request),
            "operation-ended" if self.text.ends_with(": failed") || self.text.ends_with(": rolled back") => {
                Some(Kind::Failed)
            }
            "operation-began" if self.text == "incident" => Some(Kind::Incident),
            "instance-overdue" => Some(Kind::Overdue),
            "wake-ends" => Some(Kind::WakeEnds),
            _ => None,
        }
    }

    /// The notice of it.
    pub(crate) fn notice(&self, kind: Kind) -> Notice {
        let on = match (&self.service, self.stack.as_str()) {
            (_, "") => "Naru".into(),
            (Some(service), stack) => format!("{stack}/{service}"),
            (None, stack) => stack.into(),
        };
        let what = match kind {
            Kind::Request => self.kind.replace('-', " "),
            Kind::Failed => "operation failed".into(),
            Kind::Overdue => "work goes on past postpone_max".into(),
            Kind::WakeEnds => "a wake ends soon".into(),
            Kind::Incident => "incident".into(),
        };
        let mut fields = vec![];
        let mut field = |name: &str, value: Option<String>| {
            fields.extend(value.filter(|value| !value.is_empty()).map(|value| (name.to_string(), value)));
        };
        field("stack", Some(self.stack.clone()));
        field("service", self.service.clone());
        field("instance", self.instance.clone());
        field("operation", self.operation.map(|id| id.to_string()));
        field("by", self.actor.clone());
        Notice {
            time: self.time,
            title: format!("{on}: {what}"),
            text: self.text.clone(),
            link: None,
            fields,
        }
    }
}

/// A notice as it waits on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Kept {
    time: Time,
    title: String,
    text: String,
    fields: Vec<(String, String)>,
}

impl From<Notice> for Kept {
    fn from(notice: Notice) -> Kept {
        Kept { time: notice.time, title: notice.title, text: notice.text, fields: notice.fields }
    }
}

impl From<&Kept> for Notice {
    fn from(kept: &Kept) -> Notice {
        let Kept { time, title, text, fields } = kept.clone();
        Notice { time, title, text, link: None, fields }
    }
}

#[cfg(test)]
mod tests {
    use super::Told;
    use naru_notify::Kind;

    #[test]
    fn events_are_told_by_kind() {
        let cases = [
            ("request-made", "x", Some(Kind::Request)),
            ("request-approved", "x", Some(Kind::Request)),
            ("request-used", "x", None),
            ("operation-ended", "deploy, release 2: failed", Some(Kind::Failed)),
            ("operation-ended", "deploy, release 2: rolled back", Some(Kind::Failed)),
            ("operation-ended", "deploy, release 2: succeeded", None),
            ("operation-began", "incident", Some(Kind::Incident)),
            ("operation-began", "deploy, release 2", None),
            ("instance-overdue", "x", Some(Kind::Overdue)),
            ("wake-ends", "x", Some(Kind::WakeEnds)),
            ("something-new", "x", None),
        ];
        for (kind, text, wanted) in cases {
            let json = format!(r#"{{"time": 5, "kind": "{kind}", "stack": "shop", "text": "{text}"}}"#);
            let told: Told = serde_json::from_str(&json).unwrap();
            assert_eq!(told.kind(), wanted, "{kind}: {text}");
        }
    }
}
