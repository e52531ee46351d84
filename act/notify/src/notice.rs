//! What is sent.

use naru_model::Time;

/// A notice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// When it happened.
    pub time: Time,
    /// In a few words.
    pub title: String,
    /// In a sentence or two.
    pub text: String,
    /// Where more is to be seen.
    pub link: Option<String>,
    /// Names and values: the stack, who, which operation.
    pub fields: Vec<(String, String)>,
}
