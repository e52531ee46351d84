//! The client against moto, which checks signatures and rights, through a proxy that makes faults.

mod moto;

use moto::{Fault as Make, Moto};
use naru_ec2::{Ec2, Environment, Fault, Settings};
use naru_model::{Machine, MachineAct, MachineState, RefusalKind};
use std::collections::BTreeMap;

/// What Naru needs. That `naru assets iam-policy` prints no more is tested where it is printed.
const RIGHTS: &str = r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Resource": "*",
"Action": ["ec2:DescribeInstances", "ec2:DescribeInstanceStatus", "ec2:StartInstances", "ec2:StopInstances"]}]}"#;

fn environment(key: &str, secret: &str) -> Environment {
    let pairs = [
        ("AWS_ACCESS_KEY_ID", key),
        ("AWS_SECRET_ACCESS_KEY", secret),
        ("AWS_CONFIG_FILE", "/nowhere"),
        ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

async fn client(moto: &Moto, key: &str, secret: &str) -> Ec2 {
    let settings =
        Settings { region: Some("us-east-1".into()), endpoint: Some(moto.proxy.url()), profile: None };
    Ec2::new(&settings, &environment(key, secret)).await.unwrap()
}

async fn as_naru(moto: &Moto) -> Ec2 {
    let (key, secret) = moto.keys("naru");
    client(moto, &key, &secret).await
}

fn tags() -> BTreeMap<String, Vec<String>> {
    [("naru".to_string(), vec!["batch".to_string(), "web".to_string()])].into()
}

async fn seen(ec2: &Ec2, id: &str) -> Machine {
    let [machine] = ec2.machines(&tags(), &[id.to_string()]).await.unwrap().try_into().unwrap();
    machine
}

#[tokio::test]
async fn machines_are_found_by_tags_started_and_stopped() {
    let Some(moto) = Moto::start("naru-ec2 cloud", RIGHTS) else { return };
    let ec2 = as_naru(&moto).await;
    let machines = ec2.machines(&tags(), &[]).await.unwrap();
    let mut names: Vec<&str> = machines.iter().map(|machine| machine.tags["Name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names, ["gpu-a", "gpu-b", "web"], "and none without the tag");
    let gpu = moto.machine("gpu-a");
    let machine = seen(&ec2, &gpu).await;
    assert_eq!((machine.state, machine.kind.as_str()), (MachineState::Stopped, "m5.large"));
    assert_eq!(machine.zone, "us-east-1a");
    assert!(machine.changed.is_some() && machine.launched.is_some());
    assert!(machine.reason.unwrap().starts_with("Client.UserInitiatedShutdown"));
    ec2.act(&gpu, MachineAct::Start).await.unwrap();
    assert_eq!(seen(&ec2, &gpu).await.state, MachineState::Running);
    assert_eq!(ec2.health(std::slice::from_ref(&gpu)).await.unwrap()[&gpu], "ok");
    ec2.act(&gpu, MachineAct::Hibernate).await.unwrap();
    assert_eq!(seen(&ec2, &gpu).await.state, MachineState::Stopped);
    assert_eq!(ec2.machines(&tags(), &[moto.machine("other")]).await.unwrap(), [], "its tags are not those");
}

#[tokio::test]
async fn credentials_that_do_not_fit_are_told_and_not_shown() {
    let others = RIGHTS.replace("ec2:", "s3:");
    let Some(moto) = Moto::start("naru-ec2 rights", &others) else { return };
    let (key, secret) = moto.keys("naru");
    let refused =
        async |key: &str, secret: &str| match client(&moto, key, secret).await.machines(&tags(), &[]).await {
            Err(Fault::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        };
    let none = refused(&key, &secret).await;
    assert_eq!(none.kind, RefusalKind::Denied);
    assert!(none.text.contains("iam-policy") && none.text.contains("ec2:DescribeInstances"), "{none}");
    let wrong = refused(&key, "another-secret").await;
    assert_eq!((wrong.kind, wrong.code.as_str()), (RefusalKind::Denied, "AuthFailure"));
    assert!(!wrong.text.contains("another-secret"));
    assert_eq!(refused("AKIAUNKNOWN", &secret).await.kind, RefusalKind::Denied);
    // A request that was changed on its way does not fit its signature.
    let (key, secret) = moto.keys("owner");
    moto.proxy.always("DescribeInstances", Make::Request("MaxResults=200", "MaxResults=100"));
    assert_eq!(refused(&key, &secret).await.code, "AuthFailure");
}

#[tokio::test]
async fn lists_come_page_by_page() {
    let Some(moto) = Moto::start("naru-ec2 pages", RIGHTS) else { return };
    let unchecked = "import sys, urllib.request\nurllib.request.urlopen(urllib.request.Request(sys.argv[1] + '/moto-api/reset-auth', \
                     data=b'inf', method='POST', headers={'content-type': 'text/plain'}))";
    moto.python(unchecked, &[]).unwrap();
    moto.proxy.always("DescribeInstances", Make::Request("MaxResults=200", "MaxResults=2"));
    let machines = as_naru(&moto).await.machines(&tags(), &[]).await.unwrap();
    assert_eq!((machines.len(), moto.proxy.count("DescribeInstances")), (3, 2));
    // One that never comes to its end.
    moto.proxy.always(
        "DescribeInstances",
        Make::Answer("</reservationSet>", "</reservationSet><nextToken>x</nextToken>"),
    );
    assert!(as_naru(&moto).await.machines(&tags(), &[]).await.is_err());
}

#[tokio::test]
async fn what_is_safe_is_tried_again_and_what_is_not_is_unknown() {
    let Some(moto) = Moto::start("naru-ec2 faults", RIGHTS) else { return };
    let ec2 = as_naru(&moto).await;
    let gpu = moto.machine("gpu-a");
    let throttled = Make::Refuse(503, "RequestLimitExceeded");
    moto.proxy.fault("DescribeInstances", &[throttled.clone(), Make::Lose, Make::LoseAnswer]);
    assert_eq!(seen(&ec2, &gpu).await.state, MachineState::Stopped);
    assert_eq!(moto.proxy.count("DescribeInstances"), 4, "a look is tried again whatever happened");
    // The cloud said that nothing was done.
    moto.proxy.fault("StartInstances", &[throttled.clone(), throttled.clone()]);
    ec2.act(&gpu, MachineAct::Start).await.unwrap();
    assert_eq!((moto.proxy.count("StartInstances"), moto.state("gpu-a").as_str()), (3, "running"));
    // Nobody knows.
    moto.proxy.fault("StopInstances", &[Make::Lose, Make::LoseAnswer, Make::Refuse(500, "InternalError")]);
    for (count, state) in [(1, "running"), (2, "stopped"), (3, "stopped")] {
        let lost = ec2.act(&gpu, MachineAct::Stop).await;
        assert!(matches!(lost, Err(Fault::Lost(_))), "{lost:?}");
        assert_eq!((moto.proxy.count("StopInstances"), moto.state("gpu-a").as_str()), (count, state));
    }
    moto.proxy.fault("StartInstances", &vec![throttled; 4]);
    let refused = ec2.act(&gpu, MachineAct::Start).await;
    assert!(matches!(&refused, Err(Fault::Refused(no)) if no.kind == RefusalKind::Throttled), "{refused:?}");
}

#[tokio::test]
async fn refusals_are_told_in_clear_words_and_not_tried_again() {
    let Some(moto) = Moto::start("naru-ec2 refusals", RIGHTS) else { return };
    let ec2 = as_naru(&moto).await;
    let kinds = [
        (400, "InsufficientInstanceCapacity", RefusalKind::Capacity, "has no room"),
        (500, "InsufficientInstanceCapacity", RefusalKind::Capacity, "has no room"),
        (400, "IncorrectInstanceState", RefusalKind::State, "its state is another one"),
        (400, "RequestExpired", RefusalKind::Clock, "set the clock"),
        (403, "UnauthorizedOperation", RefusalKind::Denied, "naru assets iam-policy"),
        (400, "InstanceLimitExceeded", RefusalKind::Quota, "ask the cloud for more"),
        (400, "UnsupportedHibernationConfiguration", RefusalKind::Unsupported, "not made for hibernation"),
    ];
    for (at, (status, code, kind, says)) in kinds.into_iter().enumerate() {
        moto.proxy.fault("StartInstances", &[Make::Refuse(status, code)]);
        match ec2.act(&moto.machine("gpu-b"), MachineAct::Start).await {
            Err(Fault::Refused(no)) => {
                assert!(no.kind == kind && no.text.contains(says) && no.text.contains(code), "{no:?}")
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(moto.proxy.count("StartInstances"), at + 1);
    }
    let gone = ec2.act("i-0123456789abcdef0", MachineAct::Start).await;
    assert!(matches!(&gone, Err(Fault::Refused(no)) if no.kind == RefusalKind::NotFound), "{gone:?}");
    drop(moto);
    let away = ec2.act("i-0123456789abcdef0", MachineAct::Start).await.unwrap_err();
    assert!(matches!(away, Fault::Lost(_) | Fault::NotSent(_)), "{away:?}");
}
