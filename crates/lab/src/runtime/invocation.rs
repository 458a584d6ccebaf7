//! One call of one plugin: its environment, its stdin, and how it ended. Must not: know the order of calls (`runtime`).

use crate::node::Node;
use serde::Serialize;
use serde_json::Value;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// What identifies a pod to a plugin.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PodSpec {
    /// Kubernetes namespace.
    pub namespace: String,
    /// Pod name.
    pub name: String,
    /// Pod UID.
    pub uid: String,
}

/// One call before it is made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Call {
    /// `ADD`, `DEL`, `CHECK`, `VERSION` …
    pub verb: &'static str,
    /// Program, as seen inside the node.
    pub program: PathBuf,
    /// Sandbox id, 64 hexadecimal digits.
    pub container: String,
    /// Path of the pod's network namespace inside the node; empty as a runtime sends it when it is gone.
    pub netns: String,
    /// The pod.
    pub pod: PodSpec,
    /// Turns the order of `CNI_ARGS`, which varies from call to call with a real runtime.
    pub turn: usize,
    /// The configuration.
    pub stdin: String,
}

impl Call {
    /// The environment a runtime gives.
    pub fn environment(&self) -> Vec<(String, String)> {
        let path = self
            .program
            .parent()
            .map(|parent| parent.display().to_string())
            .unwrap_or_default();
        [
            ("CNI_COMMAND", self.verb.to_owned()),
            ("CNI_CONTAINERID", self.container.clone()),
            ("CNI_NETNS", self.netns.clone()),
            ("CNI_IFNAME", "eth0".to_owned()),
            ("CNI_PATH", path),
            ("CNI_ARGS", self.arguments()),
            (
                "PATH",
                "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            ),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }

    fn arguments(&self) -> String {
        let mut arguments = [
            "IgnoreUnknown=1".to_owned(),
            format!("K8S_POD_NAMESPACE={}", self.pod.namespace),
            format!("K8S_POD_NAME={}", self.pod.name),
            format!("K8S_POD_INFRA_CONTAINER_ID={}", self.container),
            format!("K8S_POD_UID={}", self.pod.uid),
        ];
        let turn = self.turn % arguments.len();
        arguments.rotate_left(turn);
        arguments.join(";")
    }

    /// Starts the plugin inside the node.
    pub fn start(&self, node: &Node) -> io::Result<Running> {
        let mut command = Command::new(&self.program);
        command
            .env_clear()
            .envs(self.environment())
            .current_dir("/");
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = node.run(|| command.spawn()).map_err(io::Error::other)??;
        let mut stdin = child.stdin.take().expect("stdin is piped");
        match stdin.write_all(self.stdin.as_bytes()) {
            // A plugin may end without reading; its answer says why.
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                let _ = child.kill();
                let _ = child.wait();
                Err(error)
            }
            _ => Ok(Running { child, started }),
        }
    }
}

/// A plugin that has not ended.
#[derive(Debug)]
pub struct Running {
    child: Child,
    started: Instant,
}

impl Running {
    /// Kills it as a runtime whose client gave up does.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> io::Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Waits for its end.
    pub fn finish(self) -> io::Result<Invocation> {
        let output = self.child.wait_with_output()?;
        Ok(Invocation {
            exit: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            elapsed: self.started.elapsed(),
        })
    }
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invocation {
    /// Exit code; `None` when a signal ended it.
    pub exit: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// From exec to exit.
    pub elapsed: Duration,
}

impl Invocation {
    /// Whether it exited with 0.
    pub fn succeeded(&self) -> bool {
        self.exit == Some(0)
    }

    /// The result or error object on stdout, if it is one.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.stdout).ok()
    }

    /// What a CRI client would see of a failure: `M; D`, with the code.
    pub fn failure(&self) -> String {
        let Some(error) = self.json().filter(|value| value.get("code").is_some()) else {
            return format!("exit {:?}, no CNI error: {}", self.exit, self.stderr.trim());
        };
        let text = |key| {
            error
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        format!(
            "code {}: {}; {}",
            error["code"],
            text("msg"),
            text("details")
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn call(turn: usize) -> Call {
        let pod = PodSpec {
            namespace: "default".into(),
            name: "web-0".into(),
            uid: "u-1".into(),
        };
        let (program, container) = ("/opt/cni/bin/aws-cni".into(), "c".repeat(64));
        Call {
            verb: "ADD",
            program,
            container,
            netns: "/var/run/netns/cni-1".into(),
            pod,
            turn,
            stdin: String::new(),
        }
    }

    #[test]
    fn the_environment_is_what_a_runtime_gives() {
        let environment = call(0).environment();
        let value = |name: &str| {
            environment
                .iter()
                .find(|(n, _)| n == name)
                .unwrap()
                .1
                .as_str()
        };
        assert_eq!(value("CNI_COMMAND"), "ADD");
        assert_eq!(value("CNI_PATH"), "/opt/cni/bin");
        assert_eq!(value("CNI_IFNAME"), "eth0");
        assert!(
            value("CNI_ARGS")
                .starts_with("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;")
        );
    }

    #[test]
    fn the_order_of_the_arguments_varies_and_their_content_does_not() {
        let lists: BTreeSet<String> = (0..5).map(|turn| call(turn).arguments()).collect();
        assert_eq!(lists.len(), 5);
        let sets: BTreeSet<BTreeSet<&str>> =
            lists.iter().map(|list| list.split(';').collect()).collect();
        assert_eq!(sets.len(), 1);
    }

    #[test]
    fn a_failure_reads_as_the_cri_client_sees_it() {
        let stdout = r#"{"code":11,"msg":"no address","details":"subnet full"}"#.to_owned();
        let (stderr, elapsed) = (String::new(), Duration::ZERO);
        let failed = Invocation {
            exit: Some(1),
            stdout,
            stderr,
            elapsed,
        };
        assert_eq!(failed.failure(), "code 11: no address; subnet full");
        let crashed = Invocation {
            exit: None,
            stdout: String::new(),
            stderr: "boom\n".into(),
            elapsed,
        };
        assert_eq!(crashed.failure(), "exit None, no CNI error: boom");
    }
}
