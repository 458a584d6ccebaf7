//! The door over real sockets: one buffer, one request id, faults carried out as judged.

use super::*;
use crate::testing::{exchange, laboratory, listen};
use model::time::Duration;
use vpc::{Action, Outcome};

const DESCRIBE: &str = "Action=DescribeNetworkInterfaces&Version=2016-11-15";

async fn post(address: std::net::SocketAddr, form: &str) -> Option<(u16, String)> {
    let request = format!(
        "POST / HTTP/1.1\r\nhost: ec2\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{form}",
        form.len()
    );
    exchange(address, &request).await
}

#[tokio::test]
async fn a_describe_answers_xml_with_the_request_id_in_head_and_body() {
    let (door, instance) = laboratory();
    let (listener, address) = listen();
    let server = tokio::spawn(serve(
        listener,
        Caller::Instance(instance.clone()),
        door.clone(),
    ));
    let (status, text) = post(address, DESCRIBE).await.expect("an answer");
    assert_eq!(status, 200);
    let record = &door.journal.records()[0];
    assert!(
        text.contains(&format!("x-amzn-requestid: {}\r\n", record.request_id)),
        "{text}"
    );
    assert!(
        text.contains(&format!("<requestId>{}</requestId>", record.request_id)),
        "{text}"
    );
    assert!(
        text.contains(
            "<DescribeNetworkInterfacesResponse xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\">"
        ),
        "{text}"
    );
    assert!(
        text.contains(&format!("<instanceId>{instance}</instanceId>")),
        "{text}"
    );
    assert_eq!(
        (
            record.node.as_str(),
            record.outcome.as_str(),
            record.mutating
        ),
        (instance.as_str(), "ok", false)
    );
    server.abort();
}

#[tokio::test]
async fn a_refusal_has_its_code_and_status_and_is_written_down() {
    let (door, instance) = laboratory();
    let (listener, address) = listen();
    let server = tokio::spawn(serve(listener, Caller::Instance(instance), door.clone()));
    let (status, text) = post(
        address,
        "Action=DeleteNetworkInterface&NetworkInterfaceId=eni-0",
    )
    .await
    .expect("an answer");
    assert_eq!(status, 400);
    assert!(
        text.contains("<Response><Errors><Error><Code>InvalidNetworkInterfaceID.NotFound</Code>"),
        "{text}"
    );
    let (status, _) = post(address, "Action=Sing").await.expect("an answer");
    assert_eq!(status, 400);
    assert_eq!(door.journal.count(|record| record.mutating), 1);
    let lines = door.journal.lines();
    assert!(lines.contains("\"outcome\":\"InvalidAction\""), "{lines}");
    assert!(
        lines.contains("\"parameters\":{\"NetworkInterfaceId\":\"eni-0\"}"),
        "{lines}"
    );
    server.abort();
}

#[tokio::test]
async fn a_lost_answer_closes_the_connection_after_the_call_was_carried_out() {
    let (door, instance) = laboratory();
    door.account().faults_mut().plan(
        Action::CreateNetworkInterface,
        1,
        Verdict::applied_and_lost(),
    );
    door.account()
        .faults_mut()
        .plan(Action::CreateNetworkInterface, 2, Verdict::lost_unapplied());
    let (listener, address) = listen();
    let server = tokio::spawn(serve(listener, Caller::Instance(instance), door.clone()));
    let subnet = door
        .account()
        .subnets()
        .next()
        .expect("one subnet")
        .id
        .clone();
    let create = format!("Action=CreateNetworkInterface&SubnetId={subnet}");
    assert_eq!(post(address, &create).await, None);
    assert_eq!(door.account().interfaces().count(), 2);
    assert_eq!(post(address, &create).await, None);
    assert_eq!(door.account().interfaces().count(), 2);
    let outcomes: Vec<_> = door
        .journal
        .records()
        .into_iter()
        .map(|record| record.outcome)
        .collect();
    assert_eq!(outcomes, ["lost", "lost before"]);
    server.abort();
}

#[tokio::test]
async fn a_planned_error_travels_with_its_status() {
    let (door, instance) = laboratory();
    let error = Error::new(Code::RequestLimitExceeded, "Request limit exceeded.");
    let verdict = Verdict {
        after: Duration::from_millis(1),
        outcome: Outcome::Error(error),
        ..Verdict::default()
    };
    door.account()
        .faults_mut()
        .plan(Action::DescribeNetworkInterfaces, 1, verdict);
    let (listener, address) = listen();
    let server = tokio::spawn(serve(listener, Caller::Instance(instance), door.clone()));
    assert_eq!(post(address, DESCRIBE).await.expect("an answer").0, 503);
    assert_eq!(post(address, DESCRIBE).await.expect("an answer").0, 200);
    server.abort();
}

#[tokio::test]
async fn a_call_is_carried_out_though_its_caller_went_away() {
    let (mut door, instance) = laboratory();
    let (done, mut recorded) = tokio::sync::mpsc::unbounded_channel();
    door.journal = Arc::new(Journal::with_sink(move |record| {
        done.send(record.outcome.clone()).unwrap()
    }));
    let late = Verdict {
        before: Duration::from_millis(50),
        ..Verdict::default()
    };
    door.account()
        .faults_mut()
        .plan(Action::CreateNetworkInterface, 1, late);
    let (listener, address) = listen();
    let server = tokio::spawn(serve(listener, Caller::Instance(instance), door.clone()));
    let subnet = door
        .account()
        .subnets()
        .next()
        .expect("one subnet")
        .id
        .clone();
    let create = format!("Action=CreateNetworkInterface&SubnetId={subnet}");
    let client = tokio::spawn(async move { post(address, &create).await });
    // The call has arrived when it is judged.
    while door
        .account()
        .faults_mut()
        .seen(Action::CreateNetworkInterface)
        == 0
    {
        tokio::task::yield_now().await;
    }
    client.abort();
    assert!(client.await.is_err_and(|error| error.is_cancelled()));
    assert_eq!(recorded.recv().await.as_deref(), Some("ok"));
    assert_eq!(door.account().interfaces().count(), 2);
    server.abort();
}

#[tokio::test]
async fn a_held_call_goes_on_when_it_is_let_go_and_another_caller_is_not_held() {
    let (door, instance) = laboratory();
    let (listener, address) = listen();
    let caller = Caller::Instance(instance);
    let server = tokio::spawn(serve(listener, caller.clone(), door.clone()));
    let (describe, early) = (Action::DescribeNetworkInterfaces, Moment::BeforeItIsDone);
    let other = door.gates.hold(Caller::Operator, describe, early);
    let held = door.gates.hold(caller, describe, early);
    let call = tokio::spawn(post(address, DESCRIBE));
    let held = tokio::task::spawn_blocking(move || {
        assert!(held.arrives(std::time::Duration::from_secs(30)));
        held
    });
    let held = held.await.unwrap();
    assert_eq!(door.journal.records().len(), 0, "it has not ended");
    held.release();
    assert_eq!(call.await.unwrap().expect("an answer").0, 200);
    assert_eq!(
        post(address, DESCRIBE).await.expect("held once only").0,
        200
    );
    assert!(!other.arrives(std::time::Duration::ZERO));
    server.abort();
}

#[tokio::test]
async fn a_call_is_lost_before_or_after_it_is_carried_out() {
    let (door, instance) = laboratory();
    let (listener, address) = listen();
    let caller = Caller::Instance(instance);
    let server = tokio::spawn(serve(listener, caller.clone(), door.clone()));
    let subnet = door
        .account()
        .subnets()
        .next()
        .expect("one subnet")
        .id
        .clone();
    let create = format!("Action=CreateNetworkInterface&SubnetId={subnet}");
    for (moment, outcome, interfaces) in [
        (Moment::BeforeItIsDone, "lost before", 1),
        (Moment::BeforeTheAnswer, "lost", 2),
    ] {
        let action = Action::CreateNetworkInterface;
        door.gates.hold(caller.clone(), action, moment).lose();
        assert_eq!(post(address, &create).await, None);
        assert_eq!(door.account().interfaces().count(), interfaces);
        assert_eq!(door.journal.records().pop().unwrap().outcome, outcome);
    }
    server.abort();
}
