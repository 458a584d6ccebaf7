//! The one fixture: a scene of the laboratory with the real programs installed, its evidence, and a watchdog.
//! Driven by tests. Must not: hide what a program did, outlive its test, share anything with another test.

use crate::binaries;
use crate::daemon::{Daemon, PATIENCE};
use crate::evidence::{Evidence, milliseconds};
use crate::expect::{eventually, when};
use crate::kernel::Inside;
use crate::watchdog::Watchdog;
use lab::runtime::conflist::Conflist;
use lab::runtime::invocation::{Invocation, PodSpec};
use lab::runtime::pod::Pod;
use lab::runtime::sandbox::{DelWith, Sandbox};
use lab::scene::Scene;
use lab::scene::builder::SceneBuilder;
use lab::vpc::{Answer, Caller, DescribeInterfaces, Filter, Interface, InterfaceView, Request};
use nix::unistd::geteuid;
use std::fs;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a scene may live. Tests have no time limit of their own, so a hanging one ends here.
const LIFE: Duration = Duration::from_secs(120);
/// The plugin as runtimes know it.
pub const PLUGIN: &str = "aws-cni";
/// Where the daemon leaves its network configuration: beside the one that was installed, which chains no other plugin.
pub const UNREAD: &str = "/var/lib/cni";
/// The daemon's socket below a node's root.
const SOCKET: &str = "run/aws-node/ipamd.sock";

/// A scene under test.
pub struct Stage {
    scene: Scene,
    evidence: Evidence,
    began_ms: i64,
    watchdog: Watchdog,
}

impl Stage {
    /// Raises a scene for the test of this name: `claim/what`.
    ///
    /// # Panics
    /// Without root, without the programs, or when the machine cannot make a scene.
    #[track_caller]
    pub fn new(test: &str, plan: impl FnOnce(SceneBuilder) -> SceneBuilder) -> Self {
        let stage = Self::bare(test, LIFE, plan);
        let plugin = binaries::aws_cni();
        for node in stage.scene.nodes() {
            node.node
                .install_plugin(&plugin)
                .expect("the plugin can be installed");
        }
        stage.install_conflist(&conflist_text("0.4.0"));
        stage
    }

    /// Raises a scene whose nodes have nothing of ours yet, and which may live this long.
    ///
    /// # Panics
    /// As [`Stage::new`].
    #[track_caller]
    pub fn bare(
        test: &str,
        life: Duration,
        plan: impl FnOnce(SceneBuilder) -> SceneBuilder,
    ) -> Self {
        assert!(
            geteuid().is_root(),
            "this test makes namespaces and links: run it as root"
        );
        let [_, _, vpc_lab] = [binaries::ipamd(), binaries::aws_cni(), binaries::vpc_lab()];
        let evidence = Evidence::of(test);
        let name = test.replace('/', "-");
        let builder = Scene::builder(&name)
            .evidence(evidence.folder())
            .program(&vpc_lab);
        let began_ms = milliseconds();
        let scene = match plan(builder).start() {
            Ok(scene) => scene,
            Err(error) => panic!("raise the scene {name}: {}", with_causes(&error)),
        };
        let holders = scene
            .nodes()
            .iter()
            .map(|node| node.node.process().pid)
            .collect();
        Self {
            scene,
            evidence,
            began_ms,
            watchdog: Watchdog::start(holders, life),
        }
    }

    /// Two nodes of a type in two subnets.
    #[track_caller]
    pub fn two(test: &str, instance_type: &str) -> Self {
        Self::new(test, |scene| {
            scene.node(instance_type, "a").node(instance_type, "b")
        })
    }

    /// One node of a type.
    #[track_caller]
    pub fn one(test: &str, instance_type: &str) -> Self {
        Self::new(test, |scene| scene.node(instance_type, "a"))
    }

    fn install_conflist(&self, text: &str) {
        for node in self.scene.nodes() {
            let directory = node.node.folder().join("etc-cni/net.d");
            fs::create_dir_all(&directory).expect("the node's /etc/cni can be written");
            fs::write(directory.join("10-aws.conflist"), text)
                .expect("the node's /etc/cni can be written");
        }
    }

    /// The folder of the evidence.
    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// Starts the daemon on a node and waits until it serves.
    #[track_caller]
    pub fn daemon(&self, index: usize, extra: &[(&str, &str)]) -> Daemon {
        let daemon = self.launch(index, extra);
        daemon.serves();
        daemon
    }

    /// Starts the daemon on a node; `extra` variables win over those of the scene.
    #[track_caller]
    pub fn launch(&self, index: usize, extra: &[(&str, &str)]) -> Daemon {
        self.launch_under(index, &[], extra)
    }

    /// [`Stage::launch`] by a program that becomes the daemon, as `kill` makes strace do.
    #[track_caller]
    pub fn launch_under(&self, index: usize, wrapper: &[String], extra: &[(&str, &str)]) -> Daemon {
        let node = self.scene.node(index);
        let log = self
            .evidence
            .folder()
            .join(format!("{}-ipamd.log", node.name()));
        let from = fs::metadata(&log).map_or(0, |meta| usize::try_from(meta.len()).unwrap_or(0));
        let mut variables = vec![
            ("AWS_VPC_K8S_CNI_LOG_FILE", "stdout"),
            ("AWS_VPC_K8S_CNI_LOGLEVEL", "debug"),
            ("HOST_CNI_CONFDIR_PATH", UNREAD),
        ];
        variables.extend(extra);
        let task = self
            .scene
            .spawn_under(index, wrapper, &binaries::ipamd(), &variables)
            .expect("the daemon starts");
        Daemon::new(task, log, from, node.root().join(SOCKET))
    }

    /// Waits until the daemon can use this many ENIs of a node and udev has given every link its last name: from then on
    /// links, routes and rules change only with pods.
    #[track_caller]
    pub fn settle(&self, index: usize, daemon: &Daemon, enis: usize) {
        daemon.has_usable(enis);
        eventually("every ENI has udev's name", PATIENCE, || {
            let is_early = |link: &String| link.starts_with("eth");
            when(self.scene.node(index).links(), |links| {
                links.iter().all(|link| !is_early(link))
            })
        });
    }

    /// A sandbox of pod `default/<name>` on a node, with a configuration of this CNI version; no plugin is called.
    #[track_caller]
    pub fn sandbox(&self, index: usize, name: &str, version: &str) -> Sandbox<'_> {
        let list = Conflist::parse(&conflist_text(version)).expect("the list is one");
        Sandbox::create(self.scene.node(index), list, spec(name)).expect("a namespace can be made")
    }

    /// The same whose ADD waits that many seconds at most.
    #[track_caller]
    pub fn hasty_sandbox(&self, index: usize, name: &str, seconds: u32) -> Sandbox<'_> {
        let limit = format!(r#""type":"aws-cni","addTimeoutSeconds":{seconds},"#);
        let text = conflist_text("1.0.0").replace(r#""type":"aws-cni","#, &limit);
        let list = Conflist::parse(&text).expect("the list is one");
        Sandbox::create(self.scene.node(index), list, spec(name)).expect("a namespace can be made")
    }

    /// ADD as a runtime does it.
    #[track_caller]
    pub fn add(&self, sandbox: &mut Sandbox<'_>) -> Invocation {
        let mut calls = sandbox.add().expect("the plugin can be called");
        let call = calls.pop().expect("one plugin was called");
        self.note(sandbox, "ADD", &call);
        call
    }

    /// DEL as a runtime does it.
    #[track_caller]
    pub fn del(&self, sandbox: &mut Sandbox<'_>, with: DelWith) -> Invocation {
        let mut calls = sandbox.del(with).expect("the plugin can be called");
        let call = calls.pop().expect("one plugin was called");
        self.note(sandbox, "DEL", &call);
        call
    }

    /// A pod that has its address.
    #[track_caller]
    pub fn pod(&self, index: usize, name: &str) -> Pod<'_> {
        let node = self.scene.node(index);
        let list = Conflist::of_node(node).expect("the list was installed");
        match Pod::start(node, list, spec(name)) {
            Ok(pod) => {
                let what = format!("ADD {name}");
                pod.added
                    .iter()
                    .for_each(|call| self.evidence.call(node.name(), &what, call));
                pod
            }
            Err(error) => panic!("pod {name} on {}: {}", node.name(), with_causes(&error)),
        }
    }

    /// The life's end of a pod; every call must succeed.
    #[track_caller]
    pub fn stop(&self, pod: Pod<'_>) {
        let (node, name) = (
            pod.sandbox().node().name().to_owned(),
            pod.sandbox().spec().name.clone(),
        );
        let calls = pod
            .stop()
            .unwrap_or_else(|error| panic!("stop pod {name}: {}", with_causes(&error)));
        calls
            .iter()
            .for_each(|call| self.evidence.call(&node, &format!("DEL {name}"), call));
    }

    /// A node's ENIs as EC2 has them, in order of device index.
    #[track_caller]
    pub fn enis(&self, index: usize) -> Vec<Interface> {
        let instance = self.scene.nodes()[index].instance.to_string();
        let describe = DescribeInterfaces {
            filters: vec![Filter::new("attachment.instance-id", &instance)],
            ..DescribeInterfaces::default()
        };
        let interfaces = self.interfaces(describe);
        let mut enis: Vec<_> = interfaces.into_iter().map(|view| view.interface).collect();
        enis.sort_by_key(|eni| eni.attachment.as_ref().map(|bound| bound.index));
        enis
    }

    /// How many ENIs the account has, attached or not.
    #[track_caller]
    pub fn count_interfaces(&self) -> usize {
        self.interfaces(DescribeInterfaces::default()).len()
    }

    #[track_caller]
    fn interfaces(&self, describe: DescribeInterfaces) -> Vec<InterfaceView> {
        let request = Request::DescribeInterfaces(describe);
        let answer = self
            .scene
            .vpc()
            .request(self.scene.now(), &Caller::Operator, request);
        match answer {
            Ok(Answer::Interfaces { interfaces, .. }) => interfaces,
            other => panic!("EC2 doesn't list interfaces: {other:?}"),
        }
    }

    fn note(&self, sandbox: &Sandbox<'_>, verb: &str, call: &Invocation) {
        let what = format!("{verb} {}", sandbox.spec().name);
        self.evidence.call(sandbox.node().name(), &what, call);
    }

    fn tell(&self) {
        for node in self.nodes() {
            self.evidence.look(&node.node);
        }
        let tail = self
            .evidence
            .timeline(&self.scene.journal().records(), self.began_ms);
        let folder = self.evidence.folder().display();
        eprintln!("--- the last lines of {folder}/timeline.txt:\n{tail}\n---");
        if self.watchdog.barked.load(Ordering::Relaxed) {
            eprintln!(
                "the watchdog ended this scene after {:?}",
                self.watchdog.life
            );
        }
        for node in self.nodes() {
            eprintln!("{}: nsenter -t {} -a", node.node.name(), node.node.init());
        }
        if std::env::var_os("E2E_KEEP").is_some() {
            eprintln!(
                "E2E_KEEP: the scene stays up until process {} ends",
                std::process::id()
            );
            self.watchdog.sleep();
            loop {
                std::thread::park();
            }
        }
    }
}

impl Deref for Stage {
    type Target = Scene;

    fn deref(&self) -> &Scene {
        &self.scene
    }
}

impl DerefMut for Stage {
    fn deref_mut(&mut self) -> &mut Scene {
        &mut self.scene
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for node in self.nodes() {
            self.evidence.collect(&node.node);
        }
        if std::thread::panicking() {
            self.tell();
        }
    }
}

/// The network configuration of upstream's conflist for one plugin, at this CNI version.
pub fn conflist_text(version: &str) -> String {
    format!(
        r#"{{"cniVersion":"{version}","name":"aws-cni","disableCheck":true,"plugins":[{{"name":"aws-cni","type":"aws-cni",
        "vethPrefix":"eni","mtu":"9001","podSGEnforcingMode":"strict","pluginLogFile":"/var/log/aws-routed-eni/plugin.log",
        "pluginLogLevel":"DEBUG","capabilities":{{"io.kubernetes.cri.pod-annotations":true}}}}]}}"#
    )
}

/// Pod `default/<name>`.
pub fn spec(name: &str) -> PodSpec {
    PodSpec {
        namespace: "default".to_owned(),
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
    }
}

/// An error and its causes on one line.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
