//! The daemon over a real socket and real files, against an account in memory.

mod account;
mod reasons;

use super::*;
use crate::console::Line;
use crate::restore::restore;
use crate::testing::Folder;
use account::Account;
use model::settings::{NodeSettings, Snat};
use rpc::wire::config_server_backend_client::ConfigServerBackendClient;
use rpc::wire::{AddNetworkReply, AddNetworkRequest, DelNetworkRequest};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::mpsc::Receiver;
use tonic::Code;
use tonic_health::ServingStatus;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

const LONG: Duration = Duration::from_secs(30);

struct Rig {
    account: Arc<Account>,
    folder: Folder,
    settings: NodeSettings,
}

struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<anyhow::Result<()>>,
}

impl Rig {
    fn new() -> Self {
        Self {
            account: Arc::new(Account::new()),
            folder: Folder::new(),
            settings: NodeSettings::default(),
        }
    }

    fn paths(&self) -> Paths {
        Paths::new(self.folder.path(), &self.folder.path().join("ipam.json"))
    }

    fn start(&self) -> Running {
        self.start_heard().0
    }

    /// Also what it says on its console.
    fn start_heard(&self) -> (Running, Receiver<Line>) {
        self.raise(WayOut::default())
    }

    fn start_with(&self, way_out: WayOut) -> Running {
        self.raise(way_out).0
    }

    fn raise(&self, way_out: WayOut) -> (Running, Receiver<Line>) {
        let (console, said) = Console::channel();
        let (paths, account) = (self.paths(), Arc::clone(&self.account));
        let node = Node::new(self.settings.clone(), restore(&paths).unwrap(), 1);
        let world = World {
            ec2: account.clone(),
            imds: account.clone(),
            kernel: account,
            changed: watch::channel(0).1,
            identity: watch::channel(None).0,
            console,
            conflist: Keeper::new(self.folder.path(), "{}".into()),
            policy_mode: "standard".into(),
            way_out,
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(async move {
            run(node, &paths, world, async move { drop(stopped.await) }).await
        });
        (Running { stop, task }, said)
    }

    async fn client(&self) -> rpc::client::Client {
        loop {
            match rpc::client::connect(&self.paths().socket, LONG).await {
                Ok(client) => return client,
                Err(_) => tokio::task::yield_now().await,
            }
        }
    }

    async fn channel(&self) -> tonic::transport::Channel {
        drop(self.client().await);
        let address = format!("unix://{}", self.paths().socket.display());
        tonic::transport::Endpoint::from_shared(address)
            .unwrap()
            .connect()
            .await
            .unwrap()
    }

    fn holders(&self) -> Vec<String> {
        let checkpoint =
            ledger::checkpoint::decode(&std::fs::read(self.paths().checkpoint).unwrap()).unwrap();
        checkpoint
            .allocations
            .iter()
            .map(|held| format!("{} {}", held.key.container, held.address))
            .collect()
    }
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        self.task.await.unwrap().unwrap();
    }
}

fn test(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), future)
            .await
            .expect("within 60 s")
    });
}

fn add(number: usize) -> AddNetworkRequest {
    AddNetworkRequest {
        k8s_pod_name: format!("web-{number}"),
        k8s_pod_namespace: "default".into(),
        container_id: format!("c{number}"),
        if_name: "eth0".into(),
        network_name: "aws-cni".into(),
        ..AddNetworkRequest::default()
    }
}

fn del(number: usize) -> DelNetworkRequest {
    let AddNetworkRequest {
        k8s_pod_name,
        k8s_pod_namespace,
        container_id,
        if_name,
        network_name,
        ..
    } = add(number);
    DelNetworkRequest {
        k8s_pod_name,
        k8s_pod_namespace,
        container_id,
        if_name,
        network_name,
        ..DelNetworkRequest::default()
    }
}

fn address(reply: &AddNetworkReply) -> String {
    assert!(reply.success);
    let [allocation] = &reply.ip_allocation_metadata[..] else {
        panic!("{reply:?}")
    };
    allocation.i_pv4_addr.clone()
}

#[test]
fn plugins_are_told_who_translates_and_what_is_reached_without() {
    let excluded = || vec!["172.16.0.0/12".parse().unwrap()];
    for (snat, external, told) in [
        (
            Snat::default(),
            false,
            &["10.0.0.0/16", "172.16.0.0/12"][..],
        ),
        (Snat::External, true, &["10.0.0.0/16"][..]),
    ] {
        test(async {
            let rig = Rig::new();
            let daemon = rig.start_with(WayOut {
                snat,
                excluded: excluded(),
            });
            let reply = rig.client().await.add(add(1), LONG).await.unwrap();
            assert_eq!(reply.use_external_snat, external);
            assert_eq!(reply.vp_cv4_cid_rs, told);
            daemon.stop().await;
        });
    }
}

#[test]
fn a_pod_gets_an_address_that_is_on_disk_and_gives_it_back() {
    test(async {
        let rig = Rig::new();
        let daemon = rig.start();
        let mut client = rig.client().await;
        let reply = client.add(add(1), LONG).await.unwrap();
        assert_eq!(rig.holders(), [format!("c1 {}", address(&reply))]);
        assert_eq!(reply.vp_cv4_cid_rs, ["10.0.0.0/16"]);
        assert!(!reply.use_external_snat);
        let [allocation] = &reply.ip_allocation_metadata[..] else {
            panic!("{reply:?}")
        };
        assert_eq!(
            (allocation.device_number, allocation.route_table_id),
            (0, 254)
        );

        assert_eq!(
            address(&client.add(add(1), LONG).await.unwrap()),
            address(&reply),
            "the same key again"
        );
        let released = client.del(del(1), LONG).await.unwrap();
        assert_eq!(
            released.ip_allocation_metadata,
            reply.ip_allocation_metadata
        );
        assert_eq!(rig.holders(), [""; 0]);
        let again = client.del(del(1), LONG).await.unwrap_err();
        assert_eq!(
            (again.code(), again.message()),
            (Code::Unknown, "datastore: unknown pod")
        );
        daemon.stop().await;
    });
}

#[test]
fn pods_that_come_together_get_different_addresses_on_as_many_enis_as_it_takes() {
    test(async {
        let rig = Rig::new();
        let daemon = rig.start();
        rig.client().await.add(add(0), LONG).await.unwrap();
        let pods = (1..=12).map(|number| {
            let rig = &rig;
            async move { rig.client().await.add(add(number), LONG).await.unwrap() }
        });
        let replies = futures::future::join_all(pods).await;
        let addresses: BTreeSet<_> = replies.iter().map(address).collect();
        assert_eq!(addresses.len(), 12);
        let tables: BTreeSet<_> = replies
            .iter()
            .map(|reply| reply.ip_allocation_metadata[0].route_table_id)
            .collect();
        assert_eq!(tables, BTreeSet::from([2, 254]));
        assert_eq!(rig.holders().len(), 13);
        daemon.stop().await;
    });
}

#[test]
fn the_daemon_is_alive_before_the_first_answer_of_the_metadata_service_and_ready_after_start_up() {
    test(async {
        let rig = Rig::new();
        rig.account.answer_imds(false);
        let daemon = rig.start();
        let mut health = HealthClient::new(rig.channel().await);
        let ask = |name: &str| HealthCheckRequest {
            service: name.into(),
        };
        for (name, status) in [
            ("", ServingStatus::Serving),
            (health::ALIVE, ServingStatus::Serving),
            (health::READY, ServingStatus::NotServing),
        ] {
            let answer = health.check(ask(name)).await.unwrap().into_inner();
            assert_eq!(answer.status, status as i32, "{name:?}");
        }
        let mut config = ConfigServerBackendClient::new(rig.channel().await);
        assert_eq!(
            config
                .get_network_policy_configs(())
                .await
                .unwrap_err()
                .code(),
            Code::Unavailable
        );

        let mut ready = health.watch(ask(health::READY)).await.unwrap().into_inner();
        assert_eq!(
            ready.message().await.unwrap().unwrap().status,
            ServingStatus::NotServing as i32
        );
        rig.account.answer_imds(true);
        assert_eq!(
            ready.message().await.unwrap().unwrap().status,
            ServingStatus::Serving as i32
        );
        let node = config
            .get_network_policy_configs(())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(
            (node.region.as_str(), node.network_policy_mode.as_str()),
            ("eu-central-1", "standard")
        );
        assert!(
            node.instance_id.starts_with("i-") && node.node_i_pv4.starts_with("10.0."),
            "{node:?}"
        );
        // An open stream of a watcher must not hold up the end.
        daemon.stop().await;
    });
}

#[test]
fn a_pod_that_asks_before_start_up_has_finished_waits() {
    test(async {
        let rig = Rig::new();
        rig.account.answer_imds(false);
        let daemon = rig.start();
        let mut client = rig.client().await;
        let (reply, ()) = tokio::join!(client.add(add(1), LONG), async {
            rig.account.asked_imds().await;
            rig.account.answer_imds(true);
        });
        assert_eq!(rig.holders(), [format!("c1 {}", address(&reply.unwrap()))]);
        daemon.stop().await;
    });
}

#[test]
fn who_waits_when_the_daemon_is_told_to_stop_is_told_to_retry() {
    test(async {
        let rig = Rig::new();
        rig.account.answer_imds(false);
        let daemon = rig.start();
        let mut client = rig.client().await;
        let (reply, ()) = tokio::join!(client.add(add(1), LONG), async {
            rig.account.asked_imds().await;
            // One more question and answer on the wire: the ADD before it has arrived.
            rig.client().await.del(del(9), LONG).await.unwrap_err();
            daemon.stop().await;
        });
        assert_eq!(reply.unwrap_err().code(), Code::Unavailable);
    });
}

#[test]
fn a_restart_takes_over_who_holds_what() {
    test(async {
        let rig = Rig::new();
        let daemon = rig.start();
        let before = address(&rig.client().await.add(add(1), LONG).await.unwrap());
        daemon.stop().await;
        let daemon = rig.start();
        let mut client = rig.client().await;
        assert_ne!(address(&client.add(add(2), LONG).await.unwrap()), before);
        assert_eq!(address(&client.add(add(1), LONG).await.unwrap()), before);
        daemon.stop().await;
    });
}

#[test]
fn a_caller_that_gives_up_while_waiting_leaves_no_address_behind() {
    test(async {
        let rig = Rig::new();
        rig.account.answer_imds(false);
        let daemon = rig.start();
        let mut client = rig.client().await;
        tokio::select! {
            _ = client.add(add(1), LONG) => panic!("nothing can be given yet"),
            () = async {
                rig.account.asked_imds().await;
                rig.client().await.del(del(9), LONG).await.unwrap_err();
            } => {}
        }
        drop(client);
        rig.account.answer_imds(true);
        let reply = rig.client().await.add(add(2), LONG).await.unwrap();
        assert_eq!(rig.holders(), [format!("c2 {}", address(&reply))]);
        daemon.stop().await;
    });
}

#[test]
fn requests_that_cannot_be_understood_are_refused_by_name() {
    test(async {
        let rig = Rig::new();
        let daemon = rig.start();
        let mut client = rig.client().await;
        for (ask, code, name) in [
            (
                AddNetworkRequest {
                    container_id: String::new(),
                    ..add(1)
                },
                Code::InvalidArgument,
                "ContainerID",
            ),
            (
                AddNetworkRequest {
                    if_name: String::new(),
                    ..add(1)
                },
                Code::InvalidArgument,
                "IfName",
            ),
            (
                AddNetworkRequest {
                    network_name: String::new(),
                    ..add(1)
                },
                Code::InvalidArgument,
                "NetworkName",
            ),
            (
                AddNetworkRequest {
                    requires_multi_nic_attachment: true,
                    ..add(1)
                },
                Code::Unimplemented,
                "multi-NIC",
            ),
        ] {
            let status = client.add(ask, LONG).await.unwrap_err();
            assert_eq!(status.code(), code);
            assert!(status.message().contains(name), "{}", status.message());
        }
        let nameless = client
            .del(DelNetworkRequest::default(), LONG)
            .await
            .unwrap_err();
        assert_eq!(nameless.code(), Code::InvalidArgument);
        daemon.stop().await;
    });
}

#[test]
fn a_checkpoint_that_cannot_be_written_refuses_the_pod_with_that_reason() {
    test(async {
        let rig = Rig::new();
        std::fs::create_dir_all(rig.paths().checkpoint.join("in-the-way")).unwrap();
        let paths = Paths {
            journal: rig.folder.path().join("intents.json"),
            ..rig.paths()
        };
        let node = Node::new(
            NodeSettings::default(),
            restore(&Paths::new(rig.folder.path(), Path::new("/nowhere/x"))).unwrap(),
            1,
        );
        let world = World {
            ec2: rig.account.clone(),
            imds: rig.account.clone(),
            kernel: rig.account.clone(),
            changed: watch::channel(0).1,
            identity: watch::channel(None).0,
            console: Console::channel().0,
            conflist: Keeper::new(rig.folder.path(), "{}".into()),
            policy_mode: "standard".into(),
            way_out: WayOut::default(),
        };
        let daemon =
            tokio::spawn(async move { run(node, &paths, world, std::future::pending()).await });
        let status = rig
            .client()
            .await
            .add(add(1), Duration::from_secs(5))
            .await
            .unwrap_err();
        assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
        assert!(
            status.message().contains("ipam.json"),
            "{}",
            status.message()
        );
        daemon.abort();
    });
}

#[test]
fn t16_a_socket_that_cannot_be_made_is_waited_for_by_name_and_made_when_it_can_be() {
    test(async {
        let rig = Rig::new();
        let in_the_way = rig.paths().socket.join("in-the-way");
        std::fs::create_dir_all(&in_the_way).unwrap();
        let (daemon, said) = rig.start_heard();
        let what = loop {
            match said.try_recv() {
                Ok(Line::Waiting(what)) => break what,
                Ok(other) => panic!("{other:?}"),
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert!(
            what.starts_with("the socket: ") && what.contains("ipamd.sock"),
            "{what}"
        );
        std::fs::remove_dir_all(rig.paths().socket).unwrap();
        rig.client().await.add(add(1), LONG).await.unwrap();
        let end = loop {
            match said.try_recv() {
                Ok(line) => break line,
                Err(_) => tokio::task::yield_now().await,
            }
        };
        assert_eq!(end, Line::Served);
        daemon.stop().await;
    });
}

#[test]
fn a_daemon_that_waits_for_its_socket_can_be_stopped() {
    test(async {
        let rig = Rig::new();
        std::fs::create_dir_all(rig.paths().socket.join("in-the-way")).unwrap();
        rig.start().stop().await;
    });
}
