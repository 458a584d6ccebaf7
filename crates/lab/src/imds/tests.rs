//! IMDS over a real socket.

use super::*;
use crate::testing::{exchange, laboratory, listen};

fn request(method: &str, path: &str, header: &str) -> String {
    format!(
        "{method} {path} HTTP/1.1\r\nhost: imds\r\n{header}content-length: 0\r\nconnection: close\r\n\r\n"
    )
}

#[tokio::test]
async fn a_token_opens_the_tree_and_nothing_else_does() {
    let (door, instance) = laboratory();
    let (listener, address) = listen();
    let server = tokio::spawn(serve(listener, instance.clone(), door));
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
}

async fn exchange_owned(address: std::net::SocketAddr, request: String) -> (u16, String) {
    exchange(address, &request).await.expect("an answer")
}
