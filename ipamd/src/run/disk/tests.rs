//! The writers on real folders.

use super::*;
use crate::inbox::{Inbox, inbox};
use crate::testing::Folder;
use ipam::event::{Event, OpId};
use model::allocation::{BootId, Checkpoint, Extension};
use model::call::Call;
use model::intent::Intent;

fn checkpoint(boot: &str) -> Checkpoint {
    let extension = Extension {
        boot_id: BootId(boot.into()),
        cooling: vec![],
    };
    Checkpoint {
        allocations: vec![],
        extension: Some(extension),
    }
}

fn intents() -> Vec<Intent> {
    vec![Intent {
        number: 1,
        call: Call::DeleteInterface {
            eni: "eni-1".parse().unwrap(),
        },
    }]
}

fn outcomes(mut inbox: Inbox, count: usize) -> Vec<(OpId, Result<(), String>)> {
    let next = |inbox: &mut Inbox| match inbox.events.blocking_recv() {
        Some(Event::Done(op, Outcome::Written(result))) => (op, result),
        other => panic!("{other:?}"),
    };
    let mut outcomes: Vec<_> = (0..count).map(|_| next(&mut inbox)).collect();
    outcomes.sort();
    outcomes
}

#[test]
fn a_completed_write_is_on_disk_under_its_own_name() {
    let folder = Folder::new();
    let (first, second) = (
        folder.path().join("ipam.json"),
        folder.path().join("intents.json"),
    );
    let runner = Runner::spawn(&first, &second).unwrap();
    let (inbox, events, _requests) = inbox(1);
    runner.start(
        events.ticket(OpId(1)),
        FileContent::Checkpoint(checkpoint("b1")),
    );
    runner.start(events.ticket(OpId(2)), FileContent::Journal(intents()));
    assert_eq!(outcomes(inbox, 2), [(OpId(1), Ok(())), (OpId(2), Ok(()))]);
    assert_eq!(
        ledger::checkpoint::decode(&std::fs::read(first).unwrap()).unwrap(),
        checkpoint("b1")
    );
    assert_eq!(
        ledger::intents::decode(&std::fs::read(second).unwrap()).unwrap(),
        intents()
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_with_the_path_and_the_writer_goes_on() {
    let folder = Folder::new();
    let missing = folder.path().join("gone/ipam.json");
    let runner = Runner::spawn(&missing, &folder.path().join("intents.json")).unwrap();
    let (inbox, events, _requests) = inbox(1);
    runner.start(
        events.ticket(OpId(1)),
        FileContent::Checkpoint(checkpoint("b1")),
    );
    let [(OpId(1), Err(error))] = &outcomes(inbox, 1)[..] else {
        panic!("one failed write")
    };
    assert!(
        error.contains("gone/ipam.json") && error.contains("No such file"),
        "{error}"
    );

    std::fs::create_dir(folder.path().join("gone")).unwrap();
    let (inbox, events, _requests) = crate::inbox::inbox(1);
    runner.start(
        events.ticket(OpId(2)),
        FileContent::Checkpoint(checkpoint("b2")),
    );
    assert_eq!(outcomes(inbox, 1), [(OpId(2), Ok(()))]);
}

#[test]
fn writes_of_one_file_keep_their_order() {
    let folder = Folder::new();
    let path = folder.path().join("ipam.json");
    let runner = Runner::spawn(&path, &folder.path().join("intents.json")).unwrap();
    let (inbox, events, _requests) = inbox(1);
    for op in 1..=5 {
        runner.start(
            events.ticket(OpId(op)),
            FileContent::Checkpoint(checkpoint(&format!("b{op}"))),
        );
    }
    assert!(outcomes(inbox, 5).iter().all(|(_, result)| result.is_ok()));
    assert_eq!(
        ledger::checkpoint::decode(&std::fs::read(path).unwrap()).unwrap(),
        checkpoint("b5")
    );
}
