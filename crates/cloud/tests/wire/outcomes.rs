//! Done, refused or unknown: what each kind of failure says, and that nothing is ever sent twice.

use crate::calls::id;
use crate::stub::{Answer, SOON, Stub, ec2, error};
use model::call::Call;
use model::error::{CallError, Class, Refusal};
use std::time::Duration;

fn assign() -> Call {
    Call::AssignAddresses {
        eni: id("eni-1"),
        count: 1,
    }
}

/// The outcome of an assign that EC2 answers like this; it must have been sent once.
async fn outcome(answer: Answer) -> CallError {
    let stub = Stub::ec2(vec![answer]).await;
    let outcome = stub
        .client()
        .await
        .perform(&assign(), SOON)
        .await
        .expect_err("not done");
    assert_eq!(stub.calls().len(), 1, "sent more than once: {outcome}");
    outcome
}

async fn unknown(answer: Answer) -> String {
    match outcome(answer).await {
        CallError::Unknown(reason) => reason,
        CallError::Refused(refusal) => panic!("taken as refused: {refusal}"),
    }
}

#[tokio::test]
async fn a_refusal_keeps_ec2s_code_and_text_and_has_its_class() {
    let answer = error(
        400,
        "InsufficientFreeAddressesInSubnet",
        "Not enough free addresses in subnet-1",
    );
    let refusal = Refusal {
        class: Class::SubnetFull,
        code: "InsufficientFreeAddressesInSubnet".into(),
        message: "Not enough free addresses in subnet-1".into(),
    };
    assert_eq!(outcome(answer).await, CallError::Refused(refusal));
}

#[tokio::test]
async fn each_kind_of_refusal_is_told_apart_on_the_wire() {
    let in_use = "Instance 'i-1' already has an interface attached at device index '1'";
    for (status, code, message, class) in [
        (
            503,
            "RequestLimitExceeded",
            "Request limit exceeded.",
            Class::Throttled,
        ),
        (400, "Client.RequestLimitExceeded", "", Class::Throttled),
        (400, "InsufficientCidrBlocks", "", Class::SubnetFragmented),
        (
            400,
            "PrivateIpAddressLimitExceeded",
            "",
            Class::AddressLimit,
        ),
        (400, "AttachmentLimitExceeded", "", Class::EniLimit),
        (
            400,
            "InvalidNetworkInterfaceID.NotFound",
            "",
            Class::NotFound,
        ),
        (400, "InvalidParameterValue", in_use, Class::InUse),
        (
            403,
            "UnauthorizedOperation",
            "You are not authorized",
            Class::Denied,
        ),
        (401, "AuthFailure", "", Class::Denied),
        (400, "RequestExpired", "", Class::Expired),
        (400, "IdempotentParameterMismatch", "", Class::TokenMismatch),
        (400, "NeverHeardOf", "", Class::Invalid),
    ] {
        match outcome(error(status, code, message)).await {
            CallError::Refused(refusal) => {
                assert_eq!((refusal.class, refusal.code.as_str()), (class, code))
            }
            CallError::Unknown(reason) => panic!("{code}: unknown: {reason}"),
        }
    }
}

#[tokio::test]
async fn a_failure_on_ec2s_side_is_unknown() {
    for (status, code) in [
        (500, "InternalError"),
        (503, "Unavailable"),
        (503, "ServiceUnavailable"),
        (504, "Strange"),
    ] {
        let reason = unknown(error(status, code, "try later")).await;
        assert!(
            reason.contains(code) && reason.contains(&status.to_string()),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_is_not_ec2s_is_unknown() {
    let page = "<html><body>Bad gateway</body></html>";
    for status in [200, 302, 400, 403, 404, 413, 429, 502] {
        let reason = unknown(Answer::Text(status, page.into())).await;
        assert!(
            reason.contains(&format!("status {status} and no EC2 error")),
            "{reason}"
        );
        let reason = unknown(Answer::Text(status, String::new())).await;
        assert!(
            reason.contains(&format!("status {status} and no EC2 error")),
            "{reason}"
        );
    }
    let wrong_type = "<assignedPrivateIpAddressesSet><item>";
    unknown(ec2("AssignPrivateIpAddresses", wrong_type)).await;
    // Errors of other services have another envelope, from which no code can be had.
    let envelope = "<ErrorResponse><Error><Code>Throttling</Code></Error></ErrorResponse>";
    unknown(Answer::Text(400, envelope.into())).await;
}

#[tokio::test]
async fn a_connection_that_breaks_after_sending_is_unknown() {
    let reason = unknown(Answer::Hangup).await;
    assert!(reason.contains("connection closed"), "{reason}");
    let address = "<item><privateIpAddress>10.0.0.8</privateIpAddress></item>";
    let set = format!("<assignedPrivateIpAddressesSet>{address}</assignedPrivateIpAddressesSet>");
    let Answer::Text(_, whole) = ec2("AssignPrivateIpAddresses", &set) else {
        panic!("a text")
    };
    let stub = Stub::ec2(vec![Answer::Text(200, whole.clone())]).await;
    stub.client()
        .await
        .perform(&assign(), SOON)
        .await
        .expect("done when it arrives whole");
    unknown(Answer::Torn(whole)).await;
}

#[tokio::test]
async fn a_call_without_answer_is_unknown_when_its_deadline_passes() {
    let stub = Stub::ec2(vec![Answer::Silence]).await;
    let deadline = Duration::from_millis(300);
    let outcome = stub.client().await.perform(&assign(), deadline).await;
    assert_eq!(
        outcome,
        Err(CallError::Unknown("no answer within 300ms".into()))
    );
    assert_eq!(stub.calls().len(), 1);
}

#[tokio::test]
async fn the_deadline_covers_all_pages_together() {
    let endless = |call: u32| {
        let next = format!("<networkInterfaceSet/><nextToken>{call}</nextToken>");
        ec2("DescribeNetworkInterfaces", &next)
    };
    let count = std::sync::atomic::AtomicU32::new(0);
    let stub = Stub::start(move |request| {
        let page = || endless(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        crate::stub::role(request).unwrap_or_else(page)
    })
    .await;
    let call = Call::DescribeInterfaces(model::call::Scope::AttachedTo(id("i-1")));
    let outcome = stub
        .client()
        .await
        .perform(&call, Duration::from_millis(500))
        .await;
    assert_eq!(
        outcome,
        Err(CallError::Unknown("no answer within 500ms".into()))
    );
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_unknown_and_says_so() {
    let stub = Stub::ec2(vec![]).await;
    let nobody = {
        tokio::net::TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap()
    };
    let imds = cloud::Imds::new(Some(&stub.url)).unwrap();
    let client = cloud::Ec2::new("eu-west-1", Some(&format!("http://{nobody}")), &imds)
        .await
        .unwrap();
    let CallError::Unknown(reason) = client
        .perform(&assign(), SOON)
        .await
        .expect_err("nobody listens")
    else {
        panic!("taken as refused")
    };
    assert!(reason.contains("Connection refused"), "{reason}");
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_refused_when_the_client_is_built() {
    let stub = Stub::ec2(vec![]).await;
    let imds = cloud::Imds::new(Some(&stub.url)).unwrap();
    let error = cloud::Ec2::new("eu-west-1", Some("localhost:80"), &imds)
        .await
        .expect_err("no scheme");
    assert_eq!(
        error.to_string(),
        "endpoint \"localhost:80\" is not a URL like http://host:port"
    );
    assert!(cloud::Imds::new(Some("imds")).is_err());
}
