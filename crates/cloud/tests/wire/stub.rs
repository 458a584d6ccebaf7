//! An HTTP server that remembers every request and answers as it is told. Must not: know EC2 beyond the envelope of its
//! answers, or IMDS beyond a token and a role's credentials.

use cloud::{Ec2, Imds};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Far more than any answer of the stub takes.
pub(crate) const SOON: Duration = Duration::from_secs(20);

#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: BTreeMap<String, String>,
    body: String,
}

impl Request {
    /// The parameters of an EC2 request but for `Version`, which is the SDK's matter.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        let pairs = self.body.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .map(|(key, value)| (decoded(key), decoded(value)))
            .filter(|(key, _)| key != "Version")
            .collect()
    }
}

pub(crate) enum Answer {
    Text(u16, String),
    /// Keeps the connection open and says nothing.
    Silence,
    /// Closes the connection without a word.
    Hangup,
    /// Announces the whole body, sends its first half and closes.
    Torn(String),
}

pub(crate) struct Stub {
    pub(crate) url: String,
    seen: Arc<Mutex<Vec<Request>>>,
    server: tokio::task::JoinHandle<()>,
}

impl Drop for Stub {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Stub {
    pub(crate) async fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (seen, answer) = (Arc::<Mutex<Vec<Request>>>::default(), Arc::new(answer));
        let log = Arc::clone(&seen);
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                tokio::spawn(async move {
                    let answer = |request: &Request| {
                        log.lock().unwrap().push(request.clone());
                        answer(request)
                    };
                    serve(stream, answer).await;
                });
            }
        });
        Self { url, seen, server }
    }

    /// Answers each EC2 request with the next of these.
    pub(crate) async fn ec2(answers: Vec<Answer>) -> Self {
        let answers = Mutex::new(answers.into_iter());
        Self::start(move |request| match role(request) {
            Some(answer) => answer,
            None => answers
                .lock()
                .unwrap()
                .next()
                .expect("an answer for this request"),
        })
        .await
    }

    /// A client whose endpoint and role this stub is.
    pub(crate) async fn client(&self) -> Ec2 {
        let imds = Imds::new(Some(&self.url)).unwrap();
        Ec2::new("eu-west-1", Some(&self.url), &imds).await.unwrap()
    }

    /// What was sent to EC2.
    pub(crate) fn calls(&self) -> Vec<Request> {
        self.seen()
            .into_iter()
            .filter(|request| request.method == "POST")
            .collect()
    }

    pub(crate) fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }
}

/// An answer of EC2's with this content.
pub(crate) fn ec2(action: &str, content: &str) -> Answer {
    let space = "http://ec2.amazonaws.com/doc/2016-11-15/";
    Answer::Text(
        200,
        format!(
            "<{action}Response xmlns=\"{space}\"><requestId>r-1</requestId>{content}</{action}Response>"
        ),
    )
}

/// A refusal or failure of EC2's.
pub(crate) fn error(status: u16, code: &str, message: &str) -> Answer {
    let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
    Answer::Text(
        status,
        format!("<Response><Errors>{error}</Errors><RequestID>r-1</RequestID></Response>"),
    )
}

/// What IMDS answers about its token and the instance's role; `None` for everything else.
pub(crate) fn role(request: &Request) -> Option<Answer> {
    let credentials = r#"{"Code":"Success","Type":"AWS-HMAC","LastUpdated":"2026-01-01T00:00:00Z","AccessKeyId":"OFROLE",
        "SecretAccessKey":"secret","Token":"session","Expiration":"2199-01-01T00:00:00Z"}"#;
    let text = match request.path.strip_prefix("/latest/")? {
        "api/token" => "token-1",
        "meta-data/iam/security-credentials/" => "node-role",
        "meta-data/iam/security-credentials/node-role" => credentials,
        _ => return None,
    };
    Some(Answer::Text(200, text.into()))
}

async fn serve(mut stream: TcpStream, answer: impl Fn(&Request) -> Answer) {
    while let Some(request) = read(&mut stream).await {
        let (announced, sent, status) = match answer(&request) {
            Answer::Text(status, body) => (body.len(), body, status),
            Answer::Torn(body) => (body.len(), body[..body.len() / 2].to_owned(), 200),
            Answer::Hangup => return,
            Answer::Silence => std::future::pending().await,
        };
        let ttl = "x-aws-ec2-metadata-token-ttl-seconds: 300";
        let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {announced}\r\n{ttl}\r\n\r\n");
        if stream
            .write_all(format!("{head}{sent}").as_bytes())
            .await
            .is_err()
            || sent.len() < announced
        {
            return;
        }
    }
}

async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            text => lines.push(text.to_owned()),
        }
    }
    let mut words = lines.first()?.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let headers = lines
        .iter()
        .skip(1)
        .filter_map(|line| line.split_once(": "));
    let headers: BTreeMap<_, _> = headers
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let length = headers
        .get("content-length")
        .map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    reader.read_exact(&mut body).await.ok()?;
    Some(Request {
        method,
        path,
        headers,
        body: String::from_utf8(body).unwrap(),
    })
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}
