//! Notices that the kernel's links, addresses, routes, rules or packet filter have changed.
//!
//! Owns: the multicast subscription, the debouncing and the look at the filter's number. Must not: look at what changed (the host task observes afresh),
//! change anything. Driven by: `app`.

use futures::StreamExt;
use rtnetlink::MulticastGroup;
use std::time::Duration;
use tokio::sync::watch;

/// Changes that follow each other faster are one change: a pod makes about ten.
const SETTLE: Duration = Duration::from_millis(50);
/// How long to wait before subscribing again after the subscription broke.
const AGAIN: Duration = Duration::from_secs(1);

/// How often the packet filter is asked for the number of its ruleset: a few microseconds. Its events would carry every
/// rule that kube-proxy writes.
const FILTER: Duration = Duration::from_secs(2);

const GROUPS: [MulticastGroup; 4] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv4Rule,
];

/// Counts up in `changed` after each burst of changes. A missed burst (full socket buffer, broken subscription) counts as
/// a change; the host task's own period bounds what could be missed otherwise.
pub async fn watch_forever(changed: watch::Sender<u64>) {
    tokio::join!(network(&changed), filter(&changed));
}

/// A number that cannot be learned is no change: the host task's own period remains.
async fn filter(changed: &watch::Sender<u64>) {
    let mut last = None;
    loop {
        let look = tokio::task::spawn_blocking(|| datapath::observe::ruleset_generation().ok());
        let number = look.await.ok().flatten();
        if number.is_some() && last.is_some() && number != last {
            changed.send_modify(|count| *count += 1);
        }
        last = number.or(last);
        tokio::time::sleep(FILTER).await;
    }
}

async fn network(changed: &watch::Sender<u64>) {
    loop {
        if let Err(error) = subscription(changed).await {
            tracing::warn!(%error, "kernel events cannot be received; looking every 30 s instead");
        }
        tokio::time::sleep(AGAIN).await;
        changed.send_modify(|count| *count += 1);
    }
}

async fn subscription(changed: &watch::Sender<u64>) -> std::io::Result<()> {
    let (connection, _handle, mut messages) = rtnetlink::new_multicast_connection(&GROUPS)?;
    let connection = tokio::spawn(connection);
    while messages.next().await.is_some() {
        tokio::time::sleep(SETTLE).await;
        while messages.try_recv().is_ok() {}
        changed.send_modify(|count| *count += 1);
    }
    connection.abort();
    Ok(())
}
