//! The instance metadata service over HTTP, for one instance. Must not: know the tree (`vpc::imds` does).

mod visits;

pub use visits::{Visit, Visits};

use crate::ec2::Door;
use crate::http::{self, Call, Reply};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::{Method, Response};
use model::id::InstanceId;
use model::time::Duration;
use std::io;
use vpc::imds::Request;

const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";

/// Serves IMDSv2 for one instance until dropped; inside a node the listener is bound to 169.254.169.254:80.
pub async fn serve(
    listener: std::net::TcpListener,
    instance: InstanceId,
    door: Door,
) -> io::Result<()> {
    http::serve(listener, move |call| {
        let (delay, response) = answer(&instance, &door, &call);
        async move {
            tokio::time::sleep(delay).await;
            Some(response)
        }
    })
    .await
}

fn answer(instance: &InstanceId, door: &Door, call: &Call) -> (Duration, Reply) {
    let (path, method) = (call.path.clone(), call.method.to_string());
    let mut visit = Visit {
        at_ms: door.now().0,
        node: instance.to_string(),
        method,
        path: path.clone(),
        status: 0,
    };
    let request = match call.method {
        Method::PUT => Request::Put {
            path,
            ttl: call.header(TTL_HEADER),
        },
        Method::GET => Request::Get {
            path,
            token: call.header(TOKEN_HEADER),
        },
        _ => Request::Other,
    };
    let now = door.now();
    let response = door.account().imds(now, instance, request);
    visit.status = response.status;
    door.visits.add(visit);
    let mut reply = Response::builder()
        .status(response.status)
        .header("content-type", "text/plain")
        .header("server", "EC2ws");
    if let Some(ttl) = response.ttl_secs {
        reply = reply.header(TTL_HEADER, ttl);
    }
    if let Some(secs) = response.retry_after_secs {
        reply = reply.header("retry-after", secs);
    }
    let reply = reply
        .body(Full::new(Bytes::from(response.body)))
        .expect("status and headers are valid by construction");
    (response.delay, reply)
}

#[cfg(test)]
mod tests;
