//! The primary link: the one with the hardware address that IMDS says. Must not: give up, or be silent while it waits.

use super::say;
use crate::clock;
use crate::console::{Line, PATIENCE, Pace, TERMINATION_LOG, leave_last_words};
use crate::host::kernel::name_of;
use datapath::observe;
use std::path::Path;
use std::time::Duration;

/// How long IMDS may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// How soon it is asked again.
const AGAIN: Duration = Duration::from_secs(1);

/// Its name, as soon as IMDS and the kernel tell it; within ten seconds it is said what is missing.
pub(super) async fn wait_forever(imds: &cloud::Imds) -> String {
    let mut pace = Pace::default();
    loop {
        let missing = match look(imds).await {
            Ok(name) => {
                leave_last_words(Path::new(TERMINATION_LOG), "");
                return name;
            }
            Err(missing) => missing,
        };
        let (next, line) = pace.after(clock::boot(), Some(&missing), PATIENCE);
        pace = next;
        if let Some(Line::Waiting(what)) = line {
            say(&format!("waiting for {what}"));
            leave_last_words(Path::new(TERMINATION_LOG), &format!("waiting for {what}"));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The name, or what is missing.
async fn look(imds: &cloud::Imds) -> Result<String, String> {
    let mac = imds
        .fetch_primary_mac(ANSWER)
        .await
        .map_err(|error| format!("the instance metadata service: {error}"))?;
    let links = observe::links()
        .map_err(|error| format!("the list of the host's links: {}", error.chain()))?;
    name_of(&links, mac).ok_or_else(|| format!("the link of the primary ENI, {mac}"))
}
