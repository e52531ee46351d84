//! Values, as Cedar takes them.

use cedar_policy::RestrictedExpression;
use naru_model::Time;
use naru_who::Granted;

/// Cedar's numbers are signed.
pub(crate) fn long(time: Time) -> RestrictedExpression {
    RestrictedExpression::new_long(i64::try_from(time.0).unwrap_or(i64::MAX))
}

pub(crate) fn text(text: impl Into<String>) -> RestrictedExpression {
    RestrictedExpression::new_string(text.into())
}

pub(crate) fn texts(all: impl IntoIterator<Item = String>) -> RestrictedExpression {
    RestrictedExpression::new_set(all.into_iter().map(RestrictedExpression::new_string))
}

pub(crate) fn verbs(of: &Granted) -> RestrictedExpression {
    texts(of.actions().map(|right| right.word().to_string()))
}

pub(crate) fn record(fields: Vec<(&str, RestrictedExpression)>) -> Result<RestrictedExpression, String> {
    let fields = fields.into_iter().map(|(name, value)| (name.to_string(), value));
    RestrictedExpression::new_record(fields).map_err(|error| error.to_string())
}
