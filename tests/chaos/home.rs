//! A node whose daemon is started again whenever it dies, as kubelet does, and pods that come and go meanwhile.
//! Must not: kill anything by itself, or judge.

use e2e::daemon::{Daemon, PATIENCE, SERVING};
use e2e::expect::eventually;
use e2e::kill::{Cut, inner_pid, is_followed};
use e2e::stage::Stage;
use lab::node::Program;
use lab::runtime::pod::Pod;
use lab::runtime::sandbox::{DelWith, Sandbox};
use lab::task::Task;
use nix::sys::signal::Signal;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Between two looks at the daemon.
const LOOK: Duration = Duration::from_millis(5);
/// The daemon's folder, as it calls it.
pub(crate) const FOLDER: &str = "/var/run/aws-node";
/// The same below the node's root: a link to an absolute path would lead out of it.
pub(crate) const INSIDE: &str = "run/aws-node";
/// Variables of a daemon.
pub(crate) type Variables<'v> = &'v [(&'v str, &'v str)];

/// One node of a scene while its daemon is looked after.
pub(crate) struct Home<'s> {
    pub(crate) stage: &'s Stage,
    pub(crate) index: usize,
    variables: Variables<'s>,
    daemon: Mutex<Daemon>,
    deaths: AtomicUsize,
    over: AtomicBool,
}

/// Runs `work` while the daemon of a node is replaced whenever it ends, then kills the last one. Returns how often it
/// ended before.
#[track_caller]
pub(crate) fn looked_after<'s, T>(
    (stage, index): (&'s Stage, usize),
    variables: Variables<'s>,
    first: Daemon,
    work: impl FnOnce(&Home<'s>) -> T,
) -> (T, usize) {
    let home = Home {
        stage,
        index,
        variables,
        daemon: Mutex::new(first),
        deaths: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    };
    let result = std::thread::scope(|scope| {
        // It must end when the work fails, or its panic would wait for it for ever.
        let _ending = Ending(&home.over);
        scope.spawn(|| home.look_after());
        work(&home)
    });
    home.lock().signal(Signal::SIGKILL);
    home.lock().ends();
    let deaths = home.deaths.load(Ordering::Relaxed);
    (result, deaths)
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl<'s> Home<'s> {
    fn look_after(&self) {
        while !self.over.load(Ordering::Relaxed) {
            let mut daemon = self.lock();
            if !daemon.runs() {
                self.deaths.fetch_add(1, Ordering::Relaxed);
                *daemon = self.stage.launch(self.index, self.variables);
            }
            drop(daemon);
            std::thread::park_timeout(LOOK);
        }
    }

    /// How often the daemon has died so far.
    pub(crate) fn deaths(&self) -> usize {
        self.deaths.load(Ordering::Relaxed)
    }

    /// Kills the daemon now; returns when its successor runs.
    #[track_caller]
    pub(crate) fn kill(&self) {
        let before = self.deaths();
        self.lock().signal(Signal::SIGKILL);
        eventually("the daemon is started again", PATIENCE, || {
            if self.deaths() > before {
                Ok(())
            } else {
                Err("not yet")
            }
        });
    }

    /// Waits until the daemon of the moment answers.
    #[track_caller]
    pub(crate) fn serves(&self) {
        eventually("the daemon serves", PATIENCE, || {
            let mut daemon = self.lock();
            match daemon.runs() && !daemon.lines(SERVING).is_empty() {
                true => Ok(()),
                false => Err(daemon.output()),
            }
        });
    }

    /// Pods `default/<name>`, asked for at once; each has its address when this returns.
    #[track_caller]
    pub(crate) fn pods<const N: usize>(&self, names: [&str; N]) -> [Pod<'s>; N] {
        std::thread::scope(|scope| {
            let adds = names.map(|name| scope.spawn(move || self.stage.pod(self.index, name)));
            adds.map(|add| match add.join() {
                Ok(pod) => pod,
                Err(panic) => std::panic::resume_unwind(panic),
            })
        })
    }

    /// The life's end of a pod: DEL, the namespace goes, and, when the daemon is there, DEL again. Every call succeeds.
    #[track_caller]
    pub(crate) fn stop(&self, pod: Pod<'_>) {
        self.end(&mut pod.into_sandbox());
    }

    /// The same of a sandbox, whether or not its ADD succeeded.
    #[track_caller]
    pub(crate) fn end(&self, sandbox: &mut Sandbox<'_>) {
        let call = self.stage.del(sandbox, DelWith::Netns);
        assert!(call.succeeded(), "{}", call.failure());
        sandbox.remove_netns().unwrap();
        self.serves();
        let call = self.stage.del(sandbox, DelWith::Nothing);
        assert!(call.succeeded(), "{}", call.failure());
    }

    /// Runs strace beside the running daemon until the task is dropped; `command` gets the daemon's number as the node
    /// sees it. Every thread is traced when this returns.
    #[track_caller]
    pub(crate) fn trace(&self, command: impl FnOnce(u32) -> Vec<String>) -> Task {
        let outer = self.lock().pid();
        let inner = inner_pid(outer).expect("the daemon runs");
        let program = program(self.stage, self.index, &command(inner));
        let task = self
            .stage
            .node(self.index)
            .spawn(&program)
            .expect("strace starts");
        eventually("strace follows every thread", PATIENCE, || {
            if is_followed(outer) {
                Ok(())
            } else {
                Err("not yet")
            }
        });
        task
    }

    fn lock(&self) -> MutexGuard<'_, Daemon> {
        self.daemon.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A daemon that dies at a cut.
#[track_caller]
pub(crate) fn launch(stage: &Stage, index: usize, variables: Variables<'_>, cut: &Cut) -> Daemon {
    stage.launch_under(index, &cut.command(&log(stage, "cut")), variables)
}

/// Where strace writes what it saw last.
pub(crate) fn log(stage: &Stage, name: &str) -> PathBuf {
    stage.evidence().folder().join(format!("{name}.strace"))
}

/// Makes EC2, the daemon's files and the links what they were before the daemon's first start. No daemon and no pod may
/// be there.
pub(crate) struct Reset {
    account: lab::vpc::Vpc,
    files: Vec<(PathBuf, Vec<u8>)>,
}

impl Reset {
    /// Remembers the node as it is.
    pub(crate) fn to_now(stage: &Stage) -> Self {
        let folder = stage.node(0).root().join(INSIDE);
        let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let whole = files.filter(|file| file.file_type().is_ok_and(|kind| kind.is_file()));
        Self {
            account: stage.vpc().clone(),
            files: whole
                .map(|file| (file.path(), std::fs::read(file.path()).unwrap()))
                .collect(),
        }
    }

    /// Replaces one remembered file.
    pub(crate) fn with(mut self, stage: &Stage, name: &str, text: &str) -> Self {
        let path = stage.node(0).root().join(INSIDE).join(name);
        self.files.retain(|(known, _)| *known != path);
        self.files.push((path, text.as_bytes().to_vec()));
        self
    }

    /// Goes back there.
    pub(crate) fn again(&self, stage: &Stage) {
        let folder = stage.node(0).root().join(INSIDE);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        for (path, bytes) in &self.files {
            std::fs::write(path, bytes).unwrap();
        }
        *stage.vpc() = self.account.clone();
        stage.fabric().settle();
    }
}

/// A command line as a program of the node.
pub(crate) fn program(stage: &Stage, index: usize, line: &[String]) -> Program {
    Program {
        path: line[0].clone().into(),
        arguments: line[1..].iter().map(Into::into).collect(),
        environment: stage.environment(index),
        log: log(stage, "strace-says"),
    }
}
