//! How long a node daemon takes from its container's start to the first ADD answered, and where the time goes: on a node
//! that starts for the first time, and as the next daemon of a node with pods. Driven by `bench`. Must not: judge.

use super::Wanted;
use crate::evidence::parse_utc;
use crate::percentile::milliseconds;
use anyhow::{Context, bail};
use comfy_table::presets::UTF8_FULL_CONDENSED;
use comfy_table::{CellAlignment, Table};
use lab::cluster::{Sources, images};
use lab::kubelet::Kubelet;
use lab::kubelet::daemon::{self, DaemonPod};
use lab::manifest::Manifest;
use lab::scene::Scene;
use rpc::wire::AddNetworkRequest;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

/// Measured starts of each kind.
const ROUNDS: usize = 5;
/// How long a start may take.
const LIMIT: Duration = Duration::from_secs(30);
/// Between two tries to connect: short enough to be no part of a measured time.
const LOOK: Duration = Duration::from_millis(1);
const IMAGE: &str = "localhost/vpc-cni:bench";
const SOCKET: &str = "run/aws-node/ipamd.sock";
const LOG: &str = "var-log/aws-routed-eni/ipamd.log";
/// Steps by the beginning of what the daemon logs when they are done.
const STEPS: [(&str, &str); 4] = [
    ("the process runs", "starting"),
    (
        "metadata and EC2 are read",
        "start-up finished, pods are served",
    ),
    ("an ENI is usable", "ENI can be used for pods"),
    (
        "the node has its network configuration",
        "network configuration ",
    ),
];
const ANSWERED: &str = "the first ADD is answered";

/// Milliseconds from the container's start, by step.
type Trace = Vec<(&'static str, f64)>;

/// Measures both kinds; the report.
pub fn measure(wanted: &Wanted) -> anyhow::Result<String> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .context("find the sources")?;
    let manifest = Manifest::of_repository(&repository)?;
    let (mut first, mut next) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let scene = Scene::builder("bench-startup")
            .node("m5.large", "a")
            .program(&wanted.programs.join("vpc-lab"))
            .start()?;
        let sources = Sources {
            repository: &repository,
            programs: &wanted.programs,
        };
        let images = images(scene.folder(), sources, IMAGE)?;
        let kubelet = Kubelet::start(&scene, 0, &[&images[0], &images[1]])?;
        let start = |number| start(&scene, &kubelet, (&manifest, number));
        let (pod, trace) = start(2 * round)?;
        first.push(trace);
        pod.delete()?;
        let (_pod, trace) = start(2 * round + 1)?;
        next.push(trace);
    }
    Ok(report(&first, &next))
}

/// Starts the DaemonSet's pod while somebody asks for an address.
fn start(
    scene: &Scene,
    kubelet: &Kubelet,
    (manifest, number): (&Manifest, usize),
) -> anyhow::Result<(DaemonPod, Trace)> {
    let node = scene.node(0);
    let (socket, log) = (node.root().join(SOCKET), node.folder().join(LOG));
    let before = fs::read_to_string(&log).unwrap_or_default().len();
    let number = u32::try_from(number)?;
    let wanted = daemon::Wanted {
        set: &manifest.daemon_set,
        image: IMAGE,
        number,
        extra: &[],
    };
    let (pod, answered) = std::thread::scope(|scope| {
        let asking = scope.spawn(|| first_answer(&socket, number));
        let pod = DaemonPod::start(kubelet, wanted);
        (pod, asking.join())
    });
    let (pod, answered) = (
        pod?,
        answered.map_err(|_| anyhow::anyhow!("whoever asked panicked"))??,
    );
    let began = pod
        .state()
        .started
        .context("the runtime was asked to start the container")?;
    let mut trace = whole_trace(&log, before, began)?;
    trace.push((ANSWERED, since(began, answered)));
    Ok((pod, trace))
}

/// Asks from before there is anybody to ask; when the answer came.
fn first_answer(socket: &Path, number: u32) -> anyhow::Result<SystemTime> {
    let question = AddNetworkRequest {
        k8s_pod_name: format!("first-{number}"),
        k8s_pod_namespace: "bench".to_owned(),
        netns: "/var/run/netns/cni-0".to_owned(),
        if_name: "eth0".to_owned(),
        network_name: "aws-cni".to_owned(),
        container_id: format!("container-{number}"),
        ..AddNetworkRequest::default()
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let asked = async {
        loop {
            match rpc::client::connect(socket, LIMIT).await {
                Ok(mut client) => return client.add(question, LIMIT).await,
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    };
    let answer = runtime.block_on(async { tokio::time::timeout(LIMIT, asked).await });
    let answer = answer.context("no ADD was answered")??;
    if !answer.success {
        bail!("the first ADD was refused: {answer:?}");
    }
    Ok(SystemTime::now())
}

/// The last step may be done after the first ADD is answered.
fn whole_trace(log: &Path, before: usize, began: SystemTime) -> anyhow::Result<Trace> {
    let since = Instant::now();
    loop {
        let text = fs::read_to_string(log).with_context(|| format!("read {}", log.display()))?;
        let steps = trace(text.get(before..).unwrap_or_default(), began)?;
        if steps.len() == STEPS.len() {
            return Ok(steps);
        }
        if since.elapsed() > LIMIT {
            bail!("{} tells only {steps:?}", log.display());
        }
        std::thread::park_timeout(LOOK);
    }
}

fn trace(log: &str, began: SystemTime) -> anyhow::Result<Trace> {
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let mut steps = Trace::new();
    for (step, message) in STEPS {
        let says = |line: &&Value| {
            line["msg"]
                .as_str()
                .is_some_and(|text| text.starts_with(message))
        };
        let line = lines.iter().find(says);
        let Some(at) = line.and_then(|line| parse_utc(line["ts"].as_str()?)) else {
            continue;
        };
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(at)?);
        steps.push((step, since(began, at)));
    }
    Ok(steps)
}

/// Logs know milliseconds, so a step may seem to be done a little before it began.
fn since(began: SystemTime, at: SystemTime) -> f64 {
    milliseconds(at.duration_since(began).unwrap_or_default())
}

fn report(first: &[Trace], next: &[Trace]) -> String {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED);
    table.set_header([
        "ms from the container's start, median",
        "first daemon of a node",
        "next one",
    ]);
    let steps = STEPS.iter().map(|(step, _)| *step).chain([ANSWERED]);
    for step in steps {
        table.add_row([step.to_owned(), median(first, step), median(next, step)]);
    }
    for column in 1..3 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    format!("{table}\n{ROUNDS} starts of each kind; the laboratory's EC2 and IMDS answer at once")
}

fn median(traces: &[Trace], step: &str) -> String {
    let found = traces
        .iter()
        .filter_map(|trace| trace.iter().find(|(name, _)| *name == step));
    let mut times: Vec<f64> = found.map(|(_, time)| *time).collect();
    times.sort_by(f64::total_cmp);
    times
        .get(times.len() / 2)
        .map_or("-".to_owned(), |time| format!("{time:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_read_from_the_daemons_log() {
        let began = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000);
        let log = r#"{"level":"info","ts":"1970-01-01T00:00:01.020Z","msg":"starting"}
{"level":"info","ts":"1970-01-01T00:00:01.050Z","msg":"something else"}
{"level":"info","ts":"1970-01-01T00:00:01.090Z","msg":"start-up finished, pods are served"}"#;
        let steps = trace(log, began).unwrap();
        assert_eq!(
            steps,
            [
                ("the process runs", 20.0),
                ("metadata and EC2 are read", 90.0)
            ]
        );
        let faster = vec![("the process runs", 10.0)];
        assert_eq!(
            median(&[steps.clone(), steps, faster], "the process runs"),
            "20"
        );
        assert_eq!(median(&[], "the process runs"), "-");
    }
}
