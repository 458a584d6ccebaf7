//! Stops chosen calls at the EC2 door until a test lets them go: before the account carries them out, or before the
//! answer leaves. Must not: decide by time; whoever holds a call ends the hold.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use vpc::{Action, Caller};

/// Where a call is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// It has arrived; nothing is changed yet.
    BeforeItIsDone,
    /// It is carried out; the caller doesn't know yet.
    BeforeTheAnswer,
}

/// How a held call goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Going {
    On,
    /// Lost: not carried out (any more), not answered.
    Nowhere,
}

/// The calls that are to be stopped, each once.
#[derive(Debug, Default)]
pub struct Gates(Mutex<Vec<Gate>>);

#[derive(Debug)]
struct Gate {
    caller: Caller,
    action: Action,
    moment: Moment,
    arrived: Sender<()>,
    going: oneshot::Receiver<()>,
}

/// One stopped call, or one that will be.
#[derive(Debug)]
pub struct Held {
    arrived: Receiver<()>,
    going: oneshot::Sender<()>,
}

impl Gates {
    /// Stops the caller's next call of this action at this moment.
    pub fn hold(&self, caller: Caller, action: Action, moment: Moment) -> Held {
        let (arrival, arrived) = channel();
        let (go, going) = oneshot::channel();
        self.lock().push(Gate {
            caller,
            action,
            moment,
            arrived: arrival,
            going,
        });
        Held { arrived, going: go }
    }

    pub(super) async fn pass(&self, caller: &Caller, action: Action, moment: Moment) -> Going {
        let Some(gate) = self.take(caller, action, moment) else {
            return Going::On;
        };
        // Nobody listens any more: then the other end is gone too, and the call with it.
        let _ = gate.arrived.send(());
        match gate.going.await {
            Ok(()) => Going::On,
            Err(_) => Going::Nowhere,
        }
    }

    fn take(&self, caller: &Caller, action: Action, moment: Moment) -> Option<Gate> {
        let mut gates = self.lock();
        let is_meant =
            |gate: &Gate| (&gate.caller, gate.action, gate.moment) == (caller, action, moment);
        let place = gates.iter().position(is_meant)?;
        Some(gates.remove(place))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Gate>> {
        // Every change of the list is a single push or remove.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Waits until the call is there; false when it doesn't come in time.
    pub fn arrives(&self, within: Duration) -> bool {
        self.arrived.recv_timeout(within) != Err(RecvTimeoutError::Timeout)
    }

    /// Lets the call go on as if nothing had been.
    pub fn release(self) {
        // A door that closed meanwhile has lost the call.
        let _ = self.going.send(());
    }

    /// Loses the call where it stands.
    pub fn lose(self) {
        drop(self.going);
    }
}
