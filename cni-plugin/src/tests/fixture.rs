//! A daemon that answers from a list, and a kernel that remembers what it was told.

use crate::wire::Kernel;
use crate::{AwsCni, Daemon};
use cni::args::PodArgs;
use cni::config::{Document, NetworkConfig};
use cni::dispatch::Invocation;
use datapath::error::ApplyError;
use datapath::pod::{Deleted, PodWiring, Wired};
use model::card::RouteTable;
use model::mac::Mac;
use rpc::wire::cni_backend_server::{CniBackend, CniBackendServer};
use rpc::wire::{
    AddNetworkReply, AddNetworkRequest, DelNetworkReply, DelNetworkRequest, IpAllocationMetadata,
};
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio_stream::wrappers::UnixListenerStream;
use tonic::transport::Server;
use tonic::{Request, Response, Status};

/// What the fake daemon answers, and what it was asked.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) adds: VecDeque<Result<AddNetworkReply, Status>>,
    pub(super) dels: VecDeque<Result<DelNetworkReply, Status>>,
    pub(super) asked_add: Vec<AddNetworkRequest>,
    pub(super) asked_del: Vec<DelNetworkRequest>,
}

struct Fake(Arc<Mutex<Script>>);

#[tonic::async_trait]
impl CniBackend for Fake {
    async fn add_network(
        &self,
        request: Request<AddNetworkRequest>,
    ) -> Result<Response<AddNetworkReply>, Status> {
        let mut script = self.0.lock().unwrap();
        script.asked_add.push(request.into_inner());
        script
            .adds
            .pop_front()
            .expect("an unexpected ADD")
            .map(Response::new)
    }

    async fn del_network(
        &self,
        request: Request<DelNetworkRequest>,
    ) -> Result<Response<DelNetworkReply>, Status> {
        let mut script = self.0.lock().unwrap();
        script.asked_del.push(request.into_inner());
        script
            .dels
            .pop_front()
            .unwrap_or_else(|| Err(rpc::reason::unknown_pod()))
            .map(Response::new)
    }
}

/// A fake daemon; it ends when dropped.
pub(super) struct Running {
    pub(super) script: Arc<Mutex<Script>>,
    folder: TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Running {
    pub(super) fn with(script: Script) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("ipamd.sock");
        let script = Arc::new(Mutex::new(script));
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let fake = Fake(script.clone());
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = rpc::socket::bind(&socket).unwrap();
                ready.send(()).unwrap();
                let server = Server::builder().add_service(CniBackendServer::new(fake));
                // Connections are cut, as by a process that dies.
                tokio::select! {
                    _ = server.serve_with_incoming(UnixListenerStream::new(listener)) => {}
                    _ = stopped => {}
                }
            });
        });
        is_ready.recv().unwrap();
        Self {
            script,
            folder,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(super) fn plugin(&self, kernel: FakeKernel) -> AwsCni<FakeKernel> {
        plugin(&self.folder.path().join("ipamd.sock"), kernel)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        self.thread.take().unwrap().join().unwrap();
    }
}

/// A plugin whose DEL gives up soon.
pub(super) fn plugin(socket: &Path, kernel: FakeKernel) -> AwsCni<FakeKernel> {
    let soon = Duration::from_millis(120);
    AwsCni::new(
        Daemon {
            del_connect: soon,
            ..Daemon::at(socket)
        },
        kernel,
    )
}

/// What the plugin did to the kernel, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Done {
    Opened(PathBuf),
    Wired(PodWiring),
    Removed(Ipv4Addr, RouteTable),
    /// By what the link's name says.
    RemovedOf(Ipv4Addr, RouteTable, String),
}

#[derive(Debug, Default)]
pub(super) struct FakeKernel {
    pub(super) done: RefCell<Vec<Done>>,
    pub(super) refuses_open: bool,
    pub(super) refuses_add: bool,
    pub(super) refuses_del: bool,
    /// Whether the address leads to another link.
    pub(super) taken_over: bool,
}

fn refusal(name: &str) -> ApplyError {
    ApplyError::InvalidName {
        name: name.to_owned(),
    }
}

impl Kernel for FakeKernel {
    type Namespace = ();

    fn open(&self, netns: &Path) -> Result<(), ApplyError> {
        self.done.borrow_mut().push(Done::Opened(netns.to_owned()));
        if self.refuses_open {
            Err(refusal("netns"))
        } else {
            Ok(())
        }
    }

    fn add(&self, wiring: &PodWiring, (): &()) -> Result<Wired, ApplyError> {
        self.done.borrow_mut().push(Done::Wired(wiring.clone()));
        let host_interface = wiring.host_interface();
        if self.refuses_add {
            return Err(refusal("add"));
        }
        Ok(Wired {
            host_interface,
            host_index: 7,
            host_mac: Mac([2, 0, 0, 0, 0, 1]),
            container_index: 2,
        })
    }

    fn del(&self, address: Ipv4Addr, table: RouteTable) -> Result<(), ApplyError> {
        self.done.borrow_mut().push(Done::Removed(address, table));
        if self.refuses_del {
            Err(refusal("del"))
        } else {
            Ok(())
        }
    }

    fn del_of(
        &self,
        address: Ipv4Addr,
        table: RouteTable,
        host_link: &str,
    ) -> Result<Deleted, ApplyError> {
        let done = Done::RemovedOf(address, table, host_link.to_owned());
        self.done.borrow_mut().push(done);
        match (self.refuses_del, self.taken_over) {
            (true, _) => Err(refusal("del")),
            (false, true) => Ok(Deleted::TakenOver),
            (false, false) => Ok(Deleted::Removed),
        }
    }
}

pub(super) fn config(more: Value) -> NetworkConfig {
    let mut config = json!({"cniVersion": "0.4.0", "name": "aws-cni", "type": "aws-cni", "pluginLogLevel": "fatal"});
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    Document::parse(config.to_string().as_bytes())
        .unwrap()
        .network_config()
        .unwrap()
}

/// The call of pod default/web-1 with more fields in its network configuration.
pub(super) fn invocation(more: Value) -> Invocation {
    let args = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-1;K8S_POD_INFRA_CONTAINER_ID=0abc;K8S_POD_UID=u1";
    Invocation {
        config: config(more),
        args: PodArgs::parse(args).unwrap(),
        container: "0abc".into(),
        ifname: "eth0".into(),
        netns: Some("/run/netns/x".into()),
    }
}

pub(super) fn allocation(address: &str, device: i32, table: i32) -> IpAllocationMetadata {
    let i_pv4_addr = address.to_owned();
    IpAllocationMetadata {
        i_pv4_addr,
        i_pv6_addr: String::new(),
        device_number: device,
        route_table_id: table,
    }
}

pub(super) fn granted() -> AddNetworkReply {
    let ip_allocation_metadata = vec![allocation("10.0.1.121", 1, 2)];
    AddNetworkReply {
        success: true,
        ip_allocation_metadata,
        ..AddNetworkReply::default()
    }
}

pub(super) fn released() -> DelNetworkReply {
    let ip_allocation_metadata = vec![allocation("10.0.1.121", 1, 2)];
    DelNetworkReply {
        success: true,
        ip_allocation_metadata,
        ..DelNetworkReply::default()
    }
}

pub(super) fn removed(table: u32) -> Done {
    Done::Removed("10.0.1.121".parse().unwrap(), RouteTable(table))
}

pub(super) fn removed_of(table: u32) -> Done {
    let address = "10.0.1.121".parse().unwrap();
    Done::RemovedOf(address, RouteTable(table), "eni0761ccbeace".to_owned())
}
