//! The rules of the health protocol, with progress made by hand.

use super::*;

struct Rig {
    progress: watch::Sender<Progress>,
    reporter: Reporter,
    service: Service,
}

fn rig(waiting_for: &str) -> Rig {
    let (progress, receiver) = watch::channel(Progress {
        serving: false,
        waiting_for: Some(waiting_for.to_owned()),
        lacks_address: None,
        turned: clock::boot(),
    });
    let now = Seen::of(&receiver.borrow(), clock::boot());
    let (told, seen) = watch::channel(now);
    Rig {
        progress,
        reporter: Reporter(told),
        service: Service {
            progress: receiver,
            seen,
        },
    }
}

impl Rig {
    fn check(&self, service: &str) -> Result<Response<HealthCheckResponse>, Status> {
        wait(self.service.check(asked(service)))
    }

    fn watch(&self, service: &str) -> BoxStream<'static, Result<HealthCheckResponse, Status>> {
        wait(self.service.watch(asked(service)))
            .expect("watching is always possible")
            .into_inner()
    }

    fn tell(&self, alive: bool, ready: bool) {
        self.reporter.0.send_replace(Seen { alive, ready });
    }
}

fn asked(service: &str) -> Request<HealthCheckRequest> {
    Request::new(HealthCheckRequest {
        service: service.to_owned(),
    })
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    futures::FutureExt::now_or_never(future).expect("nothing here waits")
}

/// The next status of a stream; none when nothing is to be told now.
fn next(
    stream: &mut BoxStream<'static, Result<HealthCheckResponse, Status>>,
) -> Option<ServingStatus> {
    let item = futures::FutureExt::now_or_never(stream.next())?;
    Some(item.expect("the stream goes on").unwrap().status())
}

#[test]
fn a_task_that_has_not_turned_for_30_seconds_is_not_alive() {
    assert!(is_alive(Instant(1_000), Instant(30_999)));
    assert!(!is_alive(Instant(1_000), Instant(31_000)));
    assert!(
        is_alive(Instant(9_000), Instant(1_000)),
        "a clock read a little earlier is no age"
    );
}

#[test]
fn t16_what_start_up_waits_for_is_in_the_answer_that_it_is_not_ready() {
    let rig = rig("EC2 DescribeSubnets: denied");
    let answer = rig.check(READY).unwrap();
    assert_eq!(answer.get_ref().status(), ServingStatus::NotServing);
    assert_eq!(
        answer.metadata().get(WAITING_FOR).unwrap(),
        "EC2 DescribeSubnets: denied"
    );
    for service in ["", ALIVE] {
        let answer = rig.check(service).unwrap();
        assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
        assert!(answer.metadata().get(WAITING_FOR).is_none());
    }
    rig.progress.send_modify(|progress| {
        progress.serving = true;
        progress.waiting_for = None;
    });
    let answer = rig.check(READY).unwrap();
    assert_eq!(answer.get_ref().status(), ServingStatus::Serving);
    assert!(answer.metadata().get(WAITING_FOR).is_none());
}

#[test]
fn any_text_can_be_an_answers_metadata() {
    let rig = rig(&format!("IMDS\n\u{7f}é{}", "x".repeat(10_000)));
    let answer = rig.check(READY).unwrap();
    let told = answer.metadata().get(WAITING_FOR).unwrap();
    let told = told.to_str().unwrap();
    assert!(told.starts_with("IMDS???xxx"), "{told}");
    assert_eq!(told.len(), 512);
}

#[test]
fn a_check_of_what_does_not_exist_is_not_found_and_a_watch_says_so_and_goes_on() {
    let rig = rig("IMDS");
    let refused = rig.check("nobody").unwrap_err();
    assert_eq!(refused.code(), tonic::Code::NotFound);
    assert!(refused.message().contains("nobody"), "{refused:?}");
    let mut stream = rig.watch("nobody");
    assert_eq!(next(&mut stream), Some(ServingStatus::ServiceUnknown));
    rig.tell(true, true);
    assert_eq!(next(&mut stream), None);
}

#[test]
fn a_watch_tells_the_status_at_once_and_then_only_when_it_changes() {
    let rig = rig("IMDS");
    let mut ready = rig.watch(READY);
    let mut alive = rig.watch("");
    assert_eq!(next(&mut ready), Some(ServingStatus::NotServing));
    assert_eq!(next(&mut alive), Some(ServingStatus::Serving));
    rig.tell(true, true);
    assert_eq!(next(&mut ready), Some(ServingStatus::Serving));
    assert_eq!(next(&mut alive), None, "that has not changed");
    rig.tell(false, true);
    assert_eq!(next(&mut ready), None);
    assert_eq!(next(&mut alive), Some(ServingStatus::NotServing));
    drop(rig.reporter);
    assert!(wait(alive.next()).is_none(), "nobody is held at the end");
}
