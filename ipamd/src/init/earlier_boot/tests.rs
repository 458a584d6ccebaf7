//! Every case of what the daemon's directory tells, and what becomes of the network configuration.

use super::*;
use crate::testing::Folder;

const NOW: &str = "11111111-1111-4111-8111-111111111111";
const BEFORE: &str = "00000000-0000-4000-8000-000000000000";

fn traces(marker: Option<&str>, daemon: Option<&str>) -> Traces {
    Traces {
        folder: true,
        marker: marker.map(str::to_owned),
        daemon: daemon.map(PathBuf::from),
    }
}

#[test]
fn the_marker_decides_and_without_one_a_daemons_traces() {
    let served = || Verdict::Served("/x/ipam.json".into());
    for (marker, daemon, verdict) in [
        (Some(NOW), None, Verdict::Same),
        (Some(NOW), Some("/x/ipam.json"), Verdict::Same),
        (Some(BEFORE), None, Verdict::New),
        // A directory that outlives reboots.
        (Some(BEFORE), Some("/x/ipam.json"), Verdict::New),
        (None, Some("/x/ipam.json"), served()),
        (None, None, Verdict::New),
    ] {
        let seen = traces(marker, daemon);
        assert_eq!(judge(seen.clone(), NOW), verdict, "{seen:?}");
        let nothing = Traces {
            folder: false,
            ..seen
        };
        assert_eq!(judge(nothing, NOW), Verdict::Unknown);
    }
}

/// What `act` says, whether the list stays, and what the marker is afterwards.
fn acted(verdict: Verdict) -> (String, bool, Option<String>) {
    let folder = Folder::new();
    let list = folder.path().join("10-aws.conflist");
    fs::write(&list, "{}").unwrap();
    let said = act(verdict, (folder.path(), NOW), &list);
    let marker = fs::read_to_string(folder.path().join(MARKER)).ok();
    (said, list.exists(), marker)
}

#[test]
fn only_a_new_boot_takes_the_list_away_and_marks_itself() {
    let marked = || Some(format!("{NOW}\n"));
    let (said, stays, marker) = acted(Verdict::New);
    assert!(
        said.starts_with("first start of this boot: removed "),
        "{said}"
    );
    assert_eq!((stays, marker), (false, marked()));
    let (said, stays, marker) = acted(Verdict::Served("/x/ipam.json".into()));
    assert!(said.contains("(/x/ipam.json)"), "{said}");
    assert_eq!((stays, marker), (true, marked()));
    for verdict in [Verdict::Same, Verdict::Unknown] {
        let (said, stays, marker) = acted(verdict);
        assert!(said.ends_with("10-aws.conflist stays"), "{said}");
        assert_eq!((stays, marker), (true, None));
    }
}

#[test]
fn a_boot_that_cannot_be_marked_takes_nothing_away() {
    let folder = Folder::new();
    let list = folder.path().join("10-aws.conflist");
    fs::write(&list, "{}").unwrap();
    fs::create_dir_all(folder.path().join(MARKER).join("in-the-way")).unwrap();
    let said = act(Verdict::New, (folder.path(), NOW), &list);
    assert!(
        said.contains("it cannot be marked") && said.contains("conflist stays: "),
        "{said}"
    );
    assert!(list.exists());
}

#[test]
fn a_list_that_is_not_there_or_cannot_be_removed_stops_nothing() {
    let folder = Folder::new();
    let list = folder.path().join("10-aws.conflist");
    let said = act(Verdict::New, (folder.path(), NOW), &list);
    assert!(said.contains("there is no "), "{said}");
    fs::create_dir(&list).unwrap();
    let said = act(Verdict::New, (folder.path(), NOW), &list);
    assert!(said.contains("10-aws.conflist stays: "), "{said}");
}

#[test]
fn socket_checkpoint_and_marker_are_found_by_their_names() {
    let folder = Folder::new();
    let elsewhere = Folder::new();
    let store = elsewhere.path().join("store.json");
    assert_eq!(observe(folder.path(), &store), traces(None, None));
    fs::write(folder.path().join(MARKER), " \n").unwrap();
    assert_eq!(observe(folder.path(), &store).marker, None, "it is empty");
    fs::write(folder.path().join(MARKER), format!("{NOW}\n")).unwrap();
    assert_eq!(observe(folder.path(), &store).marker, Some(NOW.into()));
    for path in [
        store.clone(),
        folder.path().join("ipam.json"),
        folder.path().join("ipamd.sock"),
    ] {
        fs::write(&path, "").unwrap();
        assert_eq!(observe(folder.path(), &store).daemon, Some(path));
    }
    assert!(!observe(&folder.path().join("no"), &store).folder);
}
