//! What is left of nodes with containers when they end, or when whoever raised them is killed: nothing.

use e2e::binaries;
use e2e::cluster::{Cluster, repository};
use e2e::expect::eventually;
use lab::kubelet::sandbox::PodRequest;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Control groups, in any hierarchy, whose path has this name in it.
fn control_groups(name: &str) -> Vec<PathBuf> {
    fn below(folder: &Path, name: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().contains(name) {
                    found.push(entry.path());
                }
                below(&entry.path(), name, found);
            }
        }
    }
    let mut found = Vec::new();
    below(Path::new("/sys/fs/cgroup"), name, &mut found);
    found
}

/// Processes whose command line names this, such as shims and what they started.
fn processes(name: &str) -> Vec<String> {
    let entries = fs::read_dir("/proc").unwrap().flatten();
    let line = |entry: fs::DirEntry| {
        let own = entry.file_name().to_string_lossy() == std::process::id().to_string();
        let text = fs::read(entry.path().join("cmdline"))
            .ok()
            .filter(|_| !own)?;
        let text = String::from_utf8_lossy(&text).replace('\0', " ");
        text.contains(name).then_some(text)
    };
    entries.filter_map(line).collect()
}

#[track_caller]
fn nothing_is_left(folder: &Path) {
    let key = folder.file_name().unwrap().to_str().unwrap();
    assert_eq!(control_groups(key), [""; 0].map(PathBuf::from));
    assert_eq!(processes(key), [""; 0]);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(key), "{mounts}");
    assert!(!folder.exists());
}

#[test]
fn a_cluster_that_ends_leaves_nothing() {
    let (cluster, daemons) = Cluster::ready("containerd/leftovers", &["m5.large"], &[]);
    let _pods = ["a", "b"].map(|name| cluster.run(0, &PodRequest::new(name)));
    let folder = cluster.stage().folder().to_owned();
    let groups = control_groups(folder.file_name().unwrap().to_str().unwrap());
    assert!(
        !groups.is_empty(),
        "containers have control groups of the scene's"
    );
    drop(daemons);
    drop(cluster);
    nothing_is_left(&folder);
}

/// `vpc-lab` as a person uses it, with labs of its own.
struct Person {
    home: PathBuf,
}

impl Person {
    fn new() -> Self {
        let home = std::env::temp_dir().join(format!("vpc-lab-person-{}", std::process::id()));
        fs::create_dir_all(&home).unwrap();
        Self { home }
    }

    fn does(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(binaries::vpc_lab());
        command
            .args(arguments)
            .env("TMPDIR", &self.home)
            .env("RUST_BACKTRACE", "0");
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), text)
    }

    #[track_caller]
    fn succeeds(&self, arguments: &[&str]) -> String {
        let (success, text) = self.does(arguments);
        assert!(success, "vpc-lab {arguments:?}: {text}");
        text
    }

    fn state(&self) -> (PathBuf, Value) {
        let folders = fs::read_dir(self.home.join("vpc-lab"))
            .unwrap()
            .flatten()
            .map(|entry| entry.path());
        let read = |folder: PathBuf| {
            let text = fs::read_to_string(folder.join("lab.json")).ok()?;
            Some((folder, serde_json::from_str(&text).ok()?))
        };
        folders.into_iter().find_map(read).expect("the lab is up")
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        self.does(&["down"]);
        let _ = fs::remove_dir_all(&self.home);
    }
}

#[test]
fn a_person_runs_pods_on_a_lab_and_a_killed_lab_is_cleaned_up_by_the_next_command() {
    let person = Person::new();
    let sources = repository().display().to_string();
    let up = person.succeeds(&[
        "up",
        "--nodes",
        "2",
        "--containerd",
        "--repository",
        &sources,
    ]);
    assert!(up.contains("node-1") && up.contains("nsenter -t"), "{up}");
    let ran = person.succeeds(&["run", "web-0", "--host-port", "8080:80"]);
    assert!(
        ran.contains("default/web-0") && ran.contains("enter: nsenter"),
        "{ran}"
    );
    person.succeeds(&["run", "--node", "node-2", "--host-network", "agent"]);
    let pods = person.succeeds(&["pods"]);
    for name in ["default/web-0", "default/agent", "kube-system/aws-node"] {
        assert!(pods.contains(name), "{name}: {pods}");
    }
    person.succeeds(&["stop", "web-0"]);
    let (again, said) = person.does(&["stop", "web-0"]);
    assert!(
        !again && said.contains("no pod default/web-0 on node-1"),
        "{said}"
    );
    let (wrong, said) = person.does(&["run", "--node", "node-7", "x"]);
    assert!(!wrong && said.contains("node-7"), "{said}");

    let (folder, state) = person.state();
    let serving = i32::try_from(state["process"]["pid"].as_u64().unwrap()).unwrap();
    kill(Pid::from_raw(serving), Signal::SIGKILL).unwrap();
    eventually("the lab's process is gone", Duration::from_secs(10), || {
        let gone = !Path::new(&format!("/proc/{serving}/root/etc")).exists();
        if gone { Ok(()) } else { Err("it runs") }
    });
    person.succeeds(&["down"]);
    eventually("nothing is left", Duration::from_secs(10), || {
        let key = folder.file_name().unwrap().to_str().unwrap();
        let left = (control_groups(key), processes(key));
        if left.0.is_empty() && left.1.is_empty() {
            Ok(())
        } else {
            Err(left)
        }
    });
    nothing_is_left(&folder);
}
