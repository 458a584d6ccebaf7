//! The EC2 client's credentials, over HTTP, against a metadata service and an EC2 of the test's own.

use super::*;
use model::call::Scope;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex as Lock};

/// Serves both; each question for credentials gets another key, and EC2 finds the first key expired.
struct Stub {
    url: String,
    /// The keys that calls were signed with.
    keys: Arc<Lock<Vec<String>>>,
}

impl Stub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let keys = Arc::new(Lock::new(Vec::new()));
        let seen = Arc::clone(&keys);
        // It ends with the test process; a stub per test is all there ever is.
        std::thread::spawn(move || {
            let mut given = 0;
            for stream in listener.incoming().flatten() {
                let _ = answer(stream, &mut given, &seen);
            }
        });
        Self { url, keys }
    }

    fn ec2(&self) -> AwsEc2 {
        let imds = cloud::Imds::new(Some(&self.url)).unwrap();
        let (identity, known) = watch::channel(None);
        identity.send_replace(Some(Arc::new(metadata())));
        let ec2 = AwsEc2 {
            endpoint: Some(self.url.clone()),
            longest: Duration::from_secs(10),
            imds,
            identity: known,
            client: Mutex::default(),
        };
        drop(identity);
        ec2
    }
}

fn answer(stream: TcpStream, given: &mut u32, keys: &Lock<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut head = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 || line.trim().is_empty() {
            break;
        }
        head.push(line.trim().to_ascii_lowercase());
    }
    let length = head
        .iter()
        .find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    reader.read_exact(&mut body)?;
    let question = head.first().cloned().unwrap_or_default();
    let (status, text) = if question.starts_with("put /latest/api/token ") {
        (200, "token".to_owned())
    } else if question.starts_with("get /latest/meta-data/iam/security-credentials/node ") {
        *given += 1;
        (200, credentials(*given))
    } else if question.starts_with("get /latest/meta-data/iam/security-credentials/ ") {
        (200, "node".to_owned())
    } else if question.starts_with("post / ") {
        let key = head.iter().find_map(|line| {
            let (_, rest) = line.split_once("credential=")?;
            rest.split('/').next().map(str::to_owned)
        });
        let key = key.unwrap_or_default();
        keys.lock().unwrap().push(key.clone());
        if key == "key1" {
            (400, error("RequestExpired"))
        } else {
            (200, nothing_found())
        }
    } else {
        (404, String::new())
    };
    write!(
        &stream,
        "HTTP/1.1 {status} x\r\ncontent-length: {}\r\nx-aws-ec2-metadata-token-ttl-seconds: 300\r\nconnection: close\r\n\r\n{text}",
        text.len()
    )
}

fn credentials(number: u32) -> String {
    format!(
        r#"{{"Code":"Success","LastUpdated":"2026-01-01T00:00:00Z","Type":"AWS-HMAC","AccessKeyId":"key{number}","SecretAccessKey":"secret","Token":"session","Expiration":"2100-01-01T00:00:00Z"}}"#
    )
}

fn error(code: &str) -> String {
    format!(
        "<Response><Errors><Error><Code>{code}</Code><Message>too old</Message></Error></Errors><RequestID>1</RequestID></Response>"
    )
}

fn nothing_found() -> String {
    "<DescribeNetworkInterfacesResponse><requestId>1</requestId><networkInterfaceSet/></DescribeNetworkInterfacesResponse>".to_owned()
}

fn metadata() -> InstanceMetadata {
    InstanceMetadata {
        instance: "i-1".parse().unwrap(),
        instance_type: "m5.large".into(),
        region: "eu-west-1".into(),
        zone: "eu-west-1a".into(),
        local_ipv4: "10.0.1.5".parse().unwrap(),
        primary_mac: "02:00:00:00:00:01".parse().unwrap(),
        vpc: "vpc-1".parse().unwrap(),
        subnet: "subnet-1".parse().unwrap(),
        vpc_cidrs: vec![],
        groups: vec![],
        interfaces: vec![],
    }
}

#[test]
fn after_a_request_that_ec2_finds_expired_the_next_one_has_fresh_credentials() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let stub = Stub::start();
        let ec2 = stub.ec2();
        let call = || Call::DescribeInterfaces(Scope::AttachedTo("i-1".parse().unwrap()));
        let perform = || ec2.perform(call(), Duration::from_secs(10));
        let first = perform().await.unwrap_err();
        assert!(
            matches!(&first, CallError::Refused(refusal) if refusal.class == Class::Expired),
            "{first}"
        );
        assert_eq!(perform().await, Ok(Reply::Interfaces(vec![])));
        assert_eq!(perform().await, Ok(Reply::Interfaces(vec![])));
        let keys = stub.keys.lock().unwrap().clone();
        assert_eq!(
            keys,
            ["key1", "key2", "key2"],
            "asked for once more, not each time"
        );
    });
}
