//! Where credentials come from. The SDK reads the environment of the process, so each source is tried in a process of its
//! own: this test program again, with one test and a chosen environment.

use crate::calls::id;
use crate::stub::{Answer, SOON, Stub, ec2, role};
use model::call::{Call, Reply};
use model::error::{CallError, Class};
use std::path::Path;

const CHILD: &str = "credentials::a_call_of_the_child_process";

/// Only meaningful as a child: makes one call and prints the outcome.
#[tokio::test]
#[ignore = "started by the other tests of this file in a process with another environment"]
#[expect(
    clippy::disallowed_methods,
    reason = "the parent can tell the child of a test program nothing but by environment"
)]
async fn a_call_of_the_child_process() {
    let url = std::env::var("STUB_URL").expect("started by another test");
    let imds = cloud::Imds::new(Some(&url)).unwrap();
    let client = cloud::Ec2::new("eu-west-1", Some(&url), &imds)
        .await
        .unwrap();
    let outcome = client
        .perform(&Call::DeleteInterface { eni: id("eni-1") }, SOON)
        .await;
    match outcome {
        Ok(Reply::Done) => eprintln!("outcome: done"),
        Err(CallError::Refused(refusal)) => eprintln!("outcome: {:?} {}", refusal.class, refusal),
        other => eprintln!("outcome: {other:?}"),
    }
}

/// The outcome that a child with only this environment prints.
async fn child(stub: &Stub, environment: &[(&str, &str)]) -> String {
    let output = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", CHILD, "--ignored", "--nocapture"])
        .env_clear()
        .env("STUB_URL", &stub.url)
        .envs(environment.iter().copied())
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    let outcome = text
        .lines()
        .find_map(|line| line.split_once("outcome: "))
        .map(|(_, outcome)| outcome.to_owned());
    outcome.unwrap_or_else(|| panic!("no outcome in {text}"))
}

fn access_key(stub: &Stub) -> String {
    let call = stub
        .calls()
        .into_iter()
        .find(|request| request.headers.contains_key("authorization"))
        .expect("a signed call");
    let credential = call.headers["authorization"]
        .split("Credential=")
        .nth(1)
        .unwrap()
        .to_owned();
    credential.split('/').next().unwrap().to_owned()
}

fn done() -> Answer {
    ec2("DeleteNetworkInterface", "<return>true</return>")
}

#[tokio::test]
async fn the_environment_comes_first() {
    let stub = Stub::ec2(vec![done()]).await;
    let environment = [
        ("AWS_ACCESS_KEY_ID", "OFENVIRONMENT"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    assert_eq!(child(&stub, &environment).await, "done");
    assert_eq!(access_key(&stub), "OFENVIRONMENT");
    assert_eq!(stub.seen().len(), 1, "IMDS was asked");
}

#[tokio::test]
async fn the_instances_role_is_found_without_any_environment() {
    let stub = Stub::ec2(vec![done()]).await;
    assert_eq!(child(&stub, &[]).await, "done");
    assert_eq!(access_key(&stub), "OFROLE");
}

#[tokio::test]
async fn a_service_accounts_token_is_exchanged_for_credentials() {
    let token = Path::new(env!("CARGO_TARGET_TMPDIR")).join("service-account-token");
    std::fs::write(&token, "header.payload.signature").unwrap();
    let stub = Stub::start(|request| match request.parameters().get("Action").map(String::as_str) {
        Some("AssumeRoleWithWebIdentity") => {
            assert_eq!(request.parameters()["WebIdentityToken"], "header.payload.signature");
            let credentials = "<AccessKeyId>OFTOKEN</AccessKeyId><SecretAccessKey>secret</SecretAccessKey>\
                <SessionToken>session</SessionToken><Expiration>2199-01-01T00:00:00Z</Expiration>";
            let result = format!("<AssumeRoleWithWebIdentityResult><Credentials>{credentials}</Credentials></AssumeRoleWithWebIdentityResult>");
            Answer::Text(200, format!("<AssumeRoleWithWebIdentityResponse>{result}</AssumeRoleWithWebIdentityResponse>"))
        }
        _ => done(),
    })
    .await;
    let environment = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/cni"),
        ("AWS_ENDPOINT_URL_STS", &stub.url),
    ];
    assert_eq!(child(&stub, &environment).await, "done");
    assert_eq!(access_key(&stub), "OFTOKEN");
}

#[tokio::test]
async fn without_credentials_nothing_is_sent_and_the_call_is_refused_as_something_that_passes() {
    assert!(Class::Expired.is_retryable());
    let stub = Stub::start(|request| match role(request) {
        // An instance without a role.
        Some(_) if request.path.contains("security-credentials") => {
            Answer::Text(404, String::new())
        }
        Some(token) => token,
        None => panic!("sent without credentials: {request:?}"),
    })
    .await;
    let outcome = child(&stub, &[]).await;
    assert!(outcome.starts_with("Expired NoCredentials: "), "{outcome}");
    assert_eq!(stub.calls().len(), 0);
}
