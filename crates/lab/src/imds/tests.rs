//! IMDS over a real socket.

use super::*;
use crate::testing::{exchange, laboratory, listen};
use model::time::Instant;
use vpc::Delay;
use vpc::imds::{Lie, Refusal};

fn request(method: &str, path: &str, header: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: imds\r\n{header}content-length: 0\r\nconnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn a_token_opens_the_tree_and_nothing_else_does() {
    let (door, instance) = laboratory();
    let (listener, address) = listen();
    let server = tokio::spawn(serve(listener, instance.clone(), door.clone()));
    let ask = |method: &str, path: &str, header: &str| {
        exchange_owned(address, request(method, path, header))
    };

    assert_eq!(ask("GET", "/latest/meta-data/instance-id", "").await.0, 401);
    assert_eq!(
        ask(
            "PUT",
            "/latest/api/token",
            "X-aws-ec2-metadata-token-ttl-seconds: 0\r\n"
        )
        .await
        .0,
        400
    );
    assert_eq!(ask("POST", "/latest/api/token", "").await.0, 405);
    let (status, text) = ask(
        "PUT",
        "/latest/api/token",
        "X-aws-ec2-metadata-token-ttl-seconds: 300\r\n",
    )
    .await;
    assert_eq!(status, 200);
    assert!(
        text.contains("x-aws-ec2-metadata-token-ttl-seconds: 300\r\n"),
        "{text}"
    );
    let token = format!(
        "X-aws-ec2-metadata-token: {}\r\n",
        text.rsplit("\r\n").next().expect("a body")
    );
    let (status, text) = ask("GET", "/latest/meta-data/instance-id", &token).await;
    assert_eq!(
        (status, text.rsplit("\r\n").next()),
        (200, Some(instance.as_str()))
    );
    assert_eq!(ask("GET", "/latest/meta-data/ipv6", &token).await.0, 404);
    server.abort();
    let visits = door.visits.all();
    let seen: Vec<_> = visits
        .iter()
        .map(|visit| format!("{} {} {}", visit.method, visit.path, visit.status))
        .collect();
    let want = [
        "GET /latest/meta-data/instance-id 401",
        "PUT /latest/api/token 400",
        "POST /latest/api/token 405",
        "PUT /latest/api/token 200",
        "GET /latest/meta-data/instance-id 200",
        "GET /latest/meta-data/ipv6 404",
    ];
    assert_eq!(seen, want);
    assert_eq!(visits[0].node, instance.as_str());
    assert_eq!(door.visits.lines().lines().count(), want.len());
}

async fn exchange_owned(address: std::net::SocketAddr, request: String) -> (u16, String) {
    exchange(address, &request).await.expect("an answer")
}

async fn with_token(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    let ttl = "X-aws-ec2-metadata-token-ttl-seconds: 300\r\n";
    let (_, text) = exchange_owned(address, request("PUT", "/latest/api/token", ttl)).await;
    let token = text.rsplit("\r\n").next().expect("a body");
    let header = format!("X-aws-ec2-metadata-token: {token}\r\n");
    exchange_owned(address, request("GET", path, &header)).await
}

#[tokio::test]
async fn refusals_and_lies_reach_the_client() {
    let (door, instance) = laboratory();
    let (listener, address) = listen();
    let server = tokio::spawn(serve(listener, instance.clone(), door.clone()));
    let token = request(
        "PUT",
        "/latest/api/token",
        "X-aws-ec2-metadata-token-ttl-seconds: 300\r\n",
    );
    let refuse = |refusal: Refusal| door.account().faults_mut().refuse(refusal);
    refuse(Refusal::new("/api/token", 401).times(1));
    assert_eq!(exchange_owned(address, token.clone()).await.0, 401);
    assert_eq!(exchange_owned(address, token).await.0, 200);

    refuse(Refusal::new("/meta-data/mac", 429).retry_after(3));
    let (status, text) = with_token(address, "/latest/meta-data/mac").await;
    assert_eq!(status, 429);
    assert!(text.contains("retry-after: 3\r\n"), "{text}");

    let primary = door.account().interfaces().next().expect("one").clone();
    let fields = format!("/latest/meta-data/network/interfaces/macs/{}/", primary.mac);
    let lie = Lie::NoFields(primary.id);
    let until = Instant(18_000);
    door.account().lie_to(&instance, lie, until);
    let path = format!("{fields}subnet-id");
    assert_eq!(with_token(address, &path).await.0, 404);
    assert_eq!(with_token(address, &fields).await.0, 200, "still listed");
    server.abort();
}

#[tokio::test]
async fn a_delayed_answer_comes_late() {
    let (door, instance) = laboratory();
    let (listener, address) = listen();
    let server = tokio::spawn(serve(listener, instance, door.clone()));
    let delay = Delay::exactly(Duration::from_millis(120));
    door.account().faults_mut().delay_imds(delay);
    let begun = tokio::time::Instant::now();
    assert_eq!(
        exchange_owned(address, request("GET", "/latest/meta-data/mac", ""))
            .await
            .0,
        401
    );
    assert!(begun.elapsed() >= Duration::from_millis(120));
    server.abort();
}
