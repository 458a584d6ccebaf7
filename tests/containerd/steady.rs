//! Two nodes with a pod each that must not miss a packet, whatever is done to the nodes meanwhile. Must not: do it.

use e2e::cluster::Cluster;
use e2e::traffic::{Stream, unbroken};
use lab::cri::watch::StatusWatch;
use lab::kubelet::daemon::DaemonPod;
use lab::kubelet::sandbox::{PodRequest, Sandbox};

/// The nodes, their daemons, a pod on the first and one on the second.
pub(crate) struct Steady {
    pub(crate) cluster: Cluster,
    pub(crate) here: Sandbox,
    pub(crate) there: Sandbox,
}

impl Steady {
    /// Raises it; the daemons in the order of the nodes.
    #[track_caller]
    pub(crate) fn new(test: &str) -> (Self, Vec<DaemonPod>) {
        let (cluster, daemons) = Cluster::ready(test, &["m5.large", "m5.large"], &[]);
        let here = cluster.run(0, &PodRequest::new("here"));
        let there = cluster.run(1, &PodRequest::new("there"));
        let steady = Self {
            cluster,
            here,
            there,
        };
        (steady, daemons)
    }

    /// Does something to the first node under traffic between the pods.
    #[track_caller]
    pub(crate) fn meanwhile<T>(&mut self, work: impl FnOnce(&mut Cluster) -> T) -> T {
        let inside = self.here.namespaces().unwrap();
        let stream = Stream {
            from: &inside,
            address: self.here.ip(),
            target: self.there.ip(),
        };
        unbroken(&[stream], || work(&mut self.cluster)).0
    }

    /// The same, while the first node must have a network for pods throughout.
    #[track_caller]
    pub(crate) fn ready_meanwhile<T>(&mut self, work: impl FnOnce(&Cluster) -> T) -> T {
        let status = StatusWatch::start(self.cluster.kubelet(0).cri().clone()).unwrap();
        let result = self.meanwhile(|cluster| work(cluster));
        let seen = status.end();
        assert!(seen.answers > 0);
        assert_eq!(
            seen.troubles,
            Vec::<String>::new(),
            "NetworkReady throughout"
        );
        result
    }

    /// Waits until only the pod itself holds an address of the first node; DELs may have come while nobody listened.
    #[track_caller]
    pub(crate) fn is_alone_again(&self) {
        self.cluster.holds_exactly_after_a_sweep(0, &[&self.here]);
    }
}
