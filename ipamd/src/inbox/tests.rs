//! What guards and tickets promise.

use super::*;
use model::pod::PodKey;
use model::time::Instant;

fn del() -> Request {
    let key = PodKey {
        network: "aws-cni".into(),
        container: "c1".into(),
        interface: "eth0".into(),
    };
    Request::Del {
        key,
        deadline: Instant(u64::MAX),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
}

#[test]
fn a_ticket_completes_exactly_once() {
    let (mut inbox, events, _requests) = inbox(1);
    events.ticket(OpId(7)).done(Outcome::Written(Ok(())));
    assert_eq!(
        inbox.events.try_recv().unwrap(),
        Event::Done(OpId(7), Outcome::Written(Ok(())))
    );
    assert!(inbox.events.try_recv().is_err());
}

#[test]
fn a_dropped_ticket_is_an_unknown_outcome() {
    let (mut inbox, events, _requests) = inbox(1);
    drop(events.ticket(OpId(8)));
    assert_eq!(
        inbox.events.try_recv().unwrap(),
        Event::Done(OpId(8), Outcome::Unknown)
    );
    assert!(inbox.events.try_recv().is_err());
}

#[test]
fn a_panicking_holder_of_a_ticket_is_an_unknown_outcome() {
    let (mut inbox, events, _requests) = inbox(1);
    let ticket = events.ticket(OpId(9));
    let thread = std::thread::spawn(move || {
        let _held = ticket;
        panic!("planned by the test");
    });
    assert!(thread.join().is_err());
    assert_eq!(
        inbox.events.try_recv().unwrap(),
        Event::Done(OpId(9), Outcome::Unknown)
    );
}

#[test]
fn a_caller_that_goes_away_while_waiting_is_abandoned() {
    let (mut inbox, _events, requests) = inbox(1);
    let pending = requests.ask(del()).unwrap();
    let arrival = inbox.arrivals.try_recv().unwrap();
    drop(pending);
    assert_eq!(
        inbox.events.try_recv().unwrap(),
        Event::Abandoned(arrival.id)
    );
    assert!(arrival.answer.is_closed());
}

#[test]
fn a_caller_that_goes_away_between_the_answer_and_its_reading_is_abandoned() {
    let (mut inbox, _events, requests) = inbox(1);
    let pending = requests.ask(del()).unwrap();
    let arrival = inbox.arrivals.try_recv().unwrap();
    arrival.answer.send(Answer::UnknownPod).unwrap();
    drop(pending);
    assert_eq!(
        inbox.events.try_recv().unwrap(),
        Event::Abandoned(arrival.id)
    );
}

#[test]
fn a_caller_that_read_its_answer_is_not_abandoned() {
    let (mut inbox, _events, requests) = inbox(1);
    let pending = requests.ask(del()).unwrap();
    inbox
        .arrivals
        .try_recv()
        .unwrap()
        .answer
        .send(Answer::UnknownPod)
        .unwrap();
    assert_eq!(
        runtime().block_on(pending.answer()),
        Some(Answer::UnknownPod)
    );
    assert!(inbox.events.try_recv().is_err());
}

#[test]
fn a_full_inbox_refuses_at_once_and_abandons_nothing() {
    let (mut inbox, _events, requests) = inbox(1);
    let _first = requests.ask(del()).unwrap();
    assert_eq!(
        requests.ask(del()).err(),
        Some(AskError::Busy { waiting: 1 })
    );
    assert!(inbox.events.try_recv().is_err());
}

#[test]
fn requests_are_numbered_in_order_of_arrival() {
    let (mut inbox, _events, requests) = inbox(4);
    let _pending: Vec<_> = (0..3).map(|_| requests.ask(del()).unwrap()).collect();
    let ids: Vec<_> = std::iter::from_fn(|| inbox.arrivals.try_recv().ok())
        .map(|a| a.id)
        .collect();
    assert!(ids.is_sorted() && ids.len() == 3, "{ids:?}");
}

#[test]
fn a_request_after_the_owners_end_is_told_so() {
    let (inbox, _events, requests) = inbox(1);
    let waiting = requests.ask(del()).unwrap();
    drop(inbox);
    assert_eq!(runtime().block_on(waiting.answer()), None);
    assert_eq!(requests.ask(del()).err(), Some(AskError::Ended));
}
