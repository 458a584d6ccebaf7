//! Tests of `dockerfile`: the Dockerfile itself, and every kind of step that would make the tests' image another one.

use super::*;

const TEXT: &str = "\
# a comment
FROM rust AS programs
RUN cargo build \\
  --release

FROM debian AS root
RUN apt-get update && apt-get install -y --no-install-recommends nft
COPY --from=programs /programs /programs
COPY LICENSE /source/LICENSE
RUN /source/deploy/image/assemble /programs /image
FROM scratch
COPY --from=root /image /
ENV PATH=/usr/sbin
LABEL a.b=c-d
ENTRYPOINT [\"/app/ipamd\", \"x\"]
";

#[test]
fn the_step_that_assembles_the_root_runs_with_other_directories() {
    let read = Dockerfile::parse(TEXT).unwrap();
    let step = read
        .assemble
        .for_directories(Path::new("/s"), Path::new("/p"), Path::new("/r"));
    assert_eq!(step, ["/s/deploy/image/assemble", "/p", "/r"]);
    let start = Start {
        entrypoint: vec!["/app/ipamd".into(), "x".into()],
        environment: vec!["PATH=/usr/sbin".into()],
        labels: vec![("a.b".into(), "c-d".into())],
    };
    assert_eq!(read.start, start);
}

#[test]
fn the_repositorys_dockerfile_is_understood() {
    let text =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../Dockerfile")).unwrap();
    let read = Dockerfile::parse(&text).unwrap();
    assert_eq!(read.start.entrypoint, ["/app/ipamd"]);
    let version = (
        "org.opencontainers.image.version",
        env!("CARGO_PKG_VERSION"),
    );
    let version = (version.0.to_owned(), version.1.to_owned());
    assert!(read.start.labels.contains(&version), "{:?}", read.start);
}

#[test]
fn what_is_not_known_is_refused_by_line_and_text() {
    let refused = |from: &str, to: &str| {
        Dockerfile::parse(&TEXT.replace(from, to))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused("ENV PATH=/usr/sbin", "USER 65532"),
        "Dockerfile line 13: not known: \"USER 65532\""
    );
    assert_eq!(
        refused("/image /\n", "/image/app /app\n"),
        "Dockerfile line 12: not known in the image's stage: \"COPY --from=root /image/app /app\""
    );
    let step = "RUN /source/deploy/image/assemble /programs /image\n";
    for (from, to, why) in [
        ("FROM scratch", "FROM debian", "made from nothing"),
        ("COPY --from=root /image /\n", "", "does not take the root"),
        ("[\"/app/ipamd\", \"x\"]", "/app/ipamd", "a list of words"),
        ("a.b=c-d", "a.b=c d=e", "without blanks"),
        ("PATH=/usr/sbin", "PATH=$PATH:/app", "without blanks"),
        ("# a comment", "ENV x=y", "before the first stage"),
        ("debian AS root", "debian", "must be named root"),
        (step, "", "no step"),
        (step, &format!("{step}RUN rm /image/x\n"), "the last step"),
        (
            step,
            &step.replace("/programs", "/tmp"),
            "assembles the root",
        ),
        ("apt-get update", "curl x | sh", "assembles the root"),
        ("/source/LICENSE", "/image/LICENSE", "assembles the root"),
        ("--from=programs", "--from=other", "assembles the root"),
    ] {
        let said = refused(from, to);
        assert!(said.contains(why), "{to:?}: {said}");
    }
}

/// The machine that tests has what the image's stage installs.
#[test]
fn the_packages_of_the_image_are_among_the_tools() {
    let read = |path: &str| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
        std::fs::read_to_string(format!("{root}/{path}")).unwrap()
    };
    let (dockerfile, tools) = (read("Dockerfile"), read(".ci/tools"));
    let (_, packages) = dockerfile.split_once(PACKAGES).unwrap();
    let packages: Vec<_> = packages.lines().next().unwrap().split(' ').collect();
    assert!(packages.contains(&"nftables"), "{packages:?}");
    for package in packages {
        let is_needed = tools
            .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
            .any(|word| word == package);
        assert!(is_needed, "{package} is not in .ci/tools");
    }
}
