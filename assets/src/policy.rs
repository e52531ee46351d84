//! The rights that the providers of a file need, and no more, as an IAM policy.

use crate::file::Provider;
use serde_json::{Map, Value, json};

/// Cloud accounts take policies of this version of the language only.
const VERSION: &str = "2012-10-17";

/// A policy for these providers: to look at machines, and to start and stop those with their tags. Nothing in it can make, change
/// or remove anything.
///
/// Looking cannot be narrowed: EC2 knows no conditions for its `Describe` actions.
pub fn iam_policy(providers: &[Provider]) -> Value {
    let look = json!({
        "Sid": "NaruLooks",
        "Effect": "Allow",
        "Action": ["ec2:DescribeInstances", "ec2:DescribeInstanceStatus"],
        "Resource": "*",
    });
    let acts = providers.iter().map(|provider| {
        json!({
            "Sid": format!("NaruStartsAndStops{}", sid(&provider.name)),
            "Effect": "Allow",
            "Action": ["ec2:StartInstances", "ec2:StopInstances"],
            "Resource": machines(provider),
            "Condition": { "StringEquals": conditions(provider) },
        })
    });
    let statements: Vec<Value> = std::iter::once(look).chain(acts).collect();
    json!({ "Version": VERSION, "Statement": statements })
}

/// All machines of the region, which the condition narrows: an ARN knows nothing of tags.
fn machines(provider: &Provider) -> String {
    let region = provider.region.as_deref().unwrap_or("*");
    let partition = match region {
        "*" => "*",
        region if region.starts_with("cn-") => "aws-cn",
        region if region.starts_with("us-gov-") => "aws-us-gov",
        _ => "aws",
    };
    format!("arn:{partition}:ec2:{region}:*:instance/*")
}

/// Several keys of a condition all have to hold; of several values of one, any: as the filter by which machines are found.
fn conditions(provider: &Provider) -> Map<String, Value> {
    let one = |(key, values): (&String, &Vec<String>)| {
        let values = if let [value] = values.as_slice() { json!(value) } else { json!(values) };
        (format!("aws:ResourceTag/{key}"), values)
    };
    provider.tags.iter().map(one).collect()
}

/// A statement's id is of letters and digits.
fn sid(name: &str) -> String {
    let word = |part: &str| {
        let mut letters = part.chars();
        letters
            .next()
            .map_or(String::new(), |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    };
    name.split('-').map(word).collect()
}

#[cfg(test)]
mod tests {
    use super::iam_policy;
    use crate::file::read;

    const FILE: &str = "\
providers:
  seoul-a: { type: ec2, region: ap-northeast-2, tags: { naru: [a, b], env: x } }
  any: { type: ec2, tags: { n: y } }
";

    fn policy() -> serde_json::Value {
        iam_policy(&read("assets.yaml", FILE, &naru_schedule::Addresses::default()).unwrap())
    }

    #[test]
    fn it_has_no_right_to_make_change_or_remove() {
        let policy = policy();
        let statements = policy["Statement"].as_array().unwrap();
        let mut actions: Vec<&str> = statements
            .iter()
            .flat_map(|one| one["Action"].as_array().unwrap())
            .filter_map(|one| one.as_str())
            .collect();
        actions.sort_unstable();
        actions.dedup();
        let want = [
            "ec2:DescribeInstanceStatus",
            "ec2:DescribeInstances",
            "ec2:StartInstances",
            "ec2:StopInstances",
        ];
        assert_eq!(actions, want);
    }

    #[test]
    fn it_starts_and_stops_only_what_has_the_tags() {
        let policy = policy();
        let statements = policy["Statement"].as_array().unwrap();
        assert_eq!(statements[1]["Resource"], "arn:*:ec2:*:*:instance/*");
        let seoul = &statements[2];
        assert_eq!(seoul["Sid"], "NaruStartsAndStopsSeoulA");
        assert_eq!(seoul["Resource"], "arn:aws:ec2:ap-northeast-2:*:instance/*");
        let condition = &seoul["Condition"]["StringEquals"];
        assert_eq!(condition["aws:ResourceTag/naru"], serde_json::json!(["a", "b"]));
        assert_eq!(condition["aws:ResourceTag/env"], "x");
        assert!(statements.iter().skip(1).all(|one| one["Condition"]["StringEquals"].is_object()));
    }
}
