//! One HTTP/1.1 listener and a function from request to answer: what the EC2 and IMDS doors share. Must not: know what
//! is asked.
//!
//! A handler that answers `None` closes the connection: to the client the answer got lost.

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response};
use hyper_util::rt::TokioIo;
use std::io;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A request, read whole.
pub(crate) struct Call {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Call {
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned)
    }
}

/// An answer, sent with its head in one buffer.
pub(crate) type Reply = Response<Full<Bytes>>;

/// Why a connection ends early.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the answer is lost on purpose")]
    Lost,
    #[error("read the request")]
    Read(#[source] hyper::Error),
}

/// Serves until dropped; connections end with it.
pub(crate) async fn serve<H, F>(listener: std::net::TcpListener, handler: H) -> io::Result<()>
where
    H: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<Reply>> + Send + 'static,
{
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let (stream, _) = accepted?;
                connections.spawn(connection(stream, handler.clone()));
            }
        }
    }
}

async fn connection<H, F>(stream: TcpStream, handler: H)
where
    H: Fn(Call) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Option<Reply>> + Send + 'static,
{
    // Head and body in two segments would wait 40 ms for the client's delayed acknowledgement.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let handler = handler.clone();
        async move {
            let call = read(request).await.map_err(Broken::Read)?;
            handler(call).await.ok_or(Broken::Lost)
        }
    });
    // An error here is the client's (it went away) or Lost; either way the connection is over.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn read(request: Request<Incoming>) -> Result<Call, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Call {
        method: head.method,
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}
