//! Moto, a double of AWS in Python that checks signatures and rights, on loopback, behind a proxy that makes faults.
//!
//! It is installed from PyPI into a folder of the target's when a test first needs it.

mod proxy;
pub mod python;

pub use proxy::{Fault, Proxy};

use serde_json::Value;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What is installed. Moto's whole list of services is not needed.
const PACKAGES: [&str; 3] = ["moto==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];

/// Python on a busy machine.
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// Two users: one with the rights that the test hands in, one with all of EC2's. Four machines: two of a group, one of its own
/// with the tag, one without it. Then everything is checked.
const SETUP: &str = r#"
import boto3, json, os, sys, urllib.request
url, policy = sys.argv[1], sys.argv[2]
made = dict(endpoint_url=url, region_name="us-east-1", aws_access_key_id="setup", aws_secret_access_key="setup")
iam, ec2 = boto3.client("iam", **made), boto3.client("ec2", **made)
everything = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}]})
out = {}
for name, document in (("naru", policy), ("owner", everything)):
    iam.create_user(UserName=name)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    iam.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=document)
    out[name] = {"key": key["AccessKeyId"], "secret": key["SecretAccessKey"]}
def machine(name, zone, **tags):
    tags = [{"Key": "Name", "Value": name}] + [{"Key": k, "Value": v} for k, v in tags.items()]
    run = ec2.run_instances(ImageId="ami-12c6146b", MinCount=1, MaxCount=1, InstanceType="m5.large",
        Placement={"AvailabilityZone": zone}, TagSpecifications=[{"ResourceType": "instance", "Tags": tags}])
    out[name] = run["Instances"][0]["InstanceId"]
machine("gpu-a", "us-east-1a", naru="batch", group="gpu")
machine("gpu-b", "us-east-1b", naru="batch", group="gpu")
machine("web", "us-east-1a", naru="web")
machine("other", "us-east-1a")
ec2.stop_instances(InstanceIds=[out["gpu-a"], out["gpu-b"]])
request = urllib.request.Request(url + "/moto-api/reset-auth", data=b"0", method="POST", headers={"content-type": "text/plain"})
urllib.request.urlopen(request)
print(json.dumps(out))
"#;

/// A running moto with a fault proxy before it.
pub struct Moto {
    /// What the setup made: users with `key` and `secret`, machines' ids by their names.
    pub made: Value,
    /// What clients talk to.
    pub proxy: Proxy,
    python: PathBuf,
    port: u16,
    child: Child,
}

impl Drop for Moto {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Moto {
    /// `None`, and told as skipped, where it cannot be installed. `policy` are the rights of the user `naru`.
    pub fn start(test: &str, policy: &str) -> Option<Moto> {
        let folder = python::installed(test, &PACKAGES)?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = Command::new(folder.join("bin/moto_server"))
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + STARTS_WITHIN;
        while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(Instant::now() < deadline, "moto does not start");
            pause(Duration::from_millis(50));
        }
        let proxy = Proxy::start(port);
        let python = folder.join("bin/python");
        let mut moto = Moto { made: Value::Null, proxy, python, port, child };
        moto.made = serde_json::from_str(&moto.python(SETUP, &[policy]).unwrap()).unwrap();
        Some(moto)
    }

    /// The machine of this name.
    pub fn machine(&self, name: &str) -> String {
        self.made[name].as_str().unwrap().to_string()
    }

    /// The key and secret of a user.
    pub fn keys(&self, user: &str) -> (String, String) {
        let part = |part: &str| self.made[user][part].as_str().unwrap().to_string();
        (part("key"), part("secret"))
    }

    /// Runs a program of Python with boto3, past the proxy. Its first argument is the address.
    pub fn python(&self, program: &str, args: &[&str]) -> Result<String, String> {
        let url = format!("http://127.0.0.1:{}", self.port);
        let output = Command::new(&self.python).args(["-c", program, &url]).args(args).output().unwrap();
        let error = || String::from_utf8_lossy(&output.stderr).into_owned();
        output
            .status
            .success()
            .then(|| String::from_utf8_lossy(&output.stdout).into_owned())
            .ok_or_else(error)
    }

    /// The same, by EC2's API as a user: `client` is there.
    pub fn as_user(&self, user: &str, program: &str) -> Result<String, String> {
        let (key, secret) = self.keys(user);
        let head = "import boto3, sys\nclient = boto3.client('ec2', endpoint_url=sys.argv[1], region_name='us-east-1', \
                    aws_access_key_id=sys.argv[2], aws_secret_access_key=sys.argv[3])\n";
        self.python(&format!("{head}{program}"), &[&key, &secret])
    }

    /// Where a machine truly is.
    pub fn state(&self, name: &str) -> String {
        let id = self.machine(name);
        let program = format!(
            "print(client.describe_instances(InstanceIds=['{id}'])['Reservations'][0]['Instances'][0]['State']['Name'])"
        );
        self.as_user("owner", &program).unwrap().trim().to_string()
    }
}

/// Between two looks at what cannot tell of itself.
pub fn pause(time: Duration) {
    let (sender, receiver) = std::sync::mpsc::sync_channel::<()>(1);
    let _ = receiver.recv_timeout(time);
    drop(sender);
}
