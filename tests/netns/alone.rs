//! One daemon per node: the second one touches nothing, says what it sees, and takes over when the first ends.

use e2e::daemon::{Daemon, PATIENCE};
use e2e::expect::eventually;
use e2e::kernel::Inside;
use e2e::stage::Stage;
use e2e::traffic::{reaches, undisturbed};
use rpc::wire::cni_backend_server::{CniBackend, CniBackendServer};
use rpc::wire::{AddNetworkReply, AddNetworkRequest, DelNetworkReply, DelNetworkRequest};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::thread::JoinHandle;
use tokio::sync::oneshot;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::{Request, Response, Status};

const BESIDE: &str = "not starting beside another node daemon";

fn folder(stage: &Stage) -> PathBuf {
    stage.node(0).root().join("run/aws-node")
}

/// Everything a daemon could touch: the files of its folder, the kernel's network, EC2.
fn world(stage: &Stage) -> (Vec<String>, String, usize) {
    let entries = fs::read_dir(folder(stage)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| {
            let entry = entry.unwrap();
            let meta = entry.metadata().unwrap();
            let (changed, nanos) = (meta.ctime(), meta.ctime_nsec());
            format!(
                "{:?} {} {changed}.{nanos:09}",
                entry.file_name(),
                meta.ino()
            )
        })
        .collect();
    files.sort();
    let calls = stage.journal().records().len();
    (files, stage.node(0).snapshot(), calls)
}

/// Waits until the daemon has looked twice; what it saw.
fn looked_twice(daemon: &mut Daemon) -> String {
    let seen = eventually("it looks twice", PATIENCE, || {
        let lines = daemon.lines(BESIDE);
        if lines.len() >= 2 {
            Ok(lines[0].clone())
        } else {
            Err(daemon.output())
        }
    });
    assert!(daemon.runs());
    assert_eq!(seen["retry_secs"], 5, "{seen}");
    seen["seen"].as_str().unwrap_or_default().to_owned()
}

#[test]
fn the_second_of_two_daemons_touches_nothing_and_takes_over_when_the_first_is_killed() {
    let stage = Stage::one("netns/alone-ours", "t3.small");
    let first = stage.daemon(0, &[]);
    let (a, b) = (stage.pod(0, "a"), stage.pod(0, "b"));
    stage.settle(0, &first, 2);
    let before = world(&stage);
    let mut second = stage.launch(0, &[]);
    let ((), _) = undisturbed(&[(&a, b.address)], || {
        let seen = looked_twice(&mut second);
        let names = "another node daemon holds /var/run/aws-node/ipamd.lock: process ";
        assert!(seen.starts_with(names), "{seen}");
        assert_eq!(world(&stage), before);
        first.kill();
        second.serves();
    });
    assert_eq!(second.serves()["restored"], 2);
    let c = stage.pod(0, "c");
    assert!(![a.address, b.address].contains(&c.address));
    reaches(&c, a.address, 1);
}

/// Answers as upstream's daemon without a free address does.
struct Upstream;

#[tonic::async_trait]
impl CniBackend for Upstream {
    async fn add_network(
        &self,
        _: Request<AddNetworkRequest>,
    ) -> Result<Response<AddNetworkReply>, Status> {
        Ok(Response::new(AddNetworkReply::default()))
    }

    async fn del_network(
        &self,
        _: Request<DelNetworkRequest>,
    ) -> Result<Response<DelNetworkReply>, Status> {
        Err(Status::unknown(rpc::reason::UNKNOWN_POD))
    }
}

/// Serves on the node's socket until told to stop; the file stays, as it does when a process is killed.
fn serve_upstream(path: PathBuf) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (stop, stopped) = oneshot::channel();
    let listener = std::os::unix::net::UnixListener::bind(path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let serve = async move {
        let listener = tokio::net::UnixListener::from_std(listener).unwrap();
        let server = tonic::transport::Server::builder()
            .add_service(CniBackendServer::new(Upstream))
            .serve_with_incoming(UnixListenerStream::new(listener));
        tokio::select! {
            end = server => end.unwrap(),
            _ = stopped => {}
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    (stop, std::thread::spawn(move || runtime.block_on(serve)))
}

#[test]
fn beside_upstreams_daemon_nothing_is_touched_its_refusals_are_understood_and_its_end_is_noticed() {
    let stage = Stage::one("netns/alone-upstream", "t3.small");
    fs::create_dir_all(folder(&stage)).unwrap();
    let (stop, serving) = serve_upstream(folder(&stage).join("ipamd.sock"));
    let before = world(&stage);
    let mut ours = stage.launch(0, &[]);
    let seen = looked_twice(&mut ours);
    let names = "another node daemon answers on /var/run/aws-node/ipamd.sock: ";
    assert!(seen.starts_with(names), "{seen}");
    assert_eq!(world(&stage), before, "not even a lock");

    let mut sandbox = stage.hasty_sandbox(0, "web-0", 5);
    let (code, text) = crate::raw::error(&stage.add(&mut sandbox));
    assert_eq!(code, 11, "{text}");
    let expected = "failed to assign an IP address to container: ";
    assert!(
        text.starts_with(expected) && text.contains("Success=false"),
        "{text}"
    );

    stop.send(()).unwrap();
    serving.join().unwrap();
    ours.serves();
    let add = stage.add(&mut sandbox);
    assert!(add.succeeded(), "{}", add.failure());
}
