//! Tests of `manifest`: the manifest itself, and every kind of mistake in one.

use super::*;

fn text() -> String {
    fs::read_to_string(repository().join(FILE)).unwrap()
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[track_caller]
fn refused(from: &str, to: &str) -> String {
    let text = text();
    assert!(text.contains(from), "the manifest has no {from:?} any more");
    Manifest::parse(&text.replacen(from, to, 1))
        .unwrap_err()
        .to_string()
}

#[test]
fn the_manifest_is_as_kubernetes_schema_says() {
    let manifest = Manifest::of_repository(&repository()).unwrap();
    assert_eq!(
        manifest.daemon_set.metadata.name.as_deref(),
        Some("aws-node")
    );
    assert_eq!(
        manifest.daemon_set.metadata.namespace.as_deref(),
        Some("kube-system")
    );
}

#[test]
fn a_mistake_is_refused_by_its_path() {
    assert_eq!(
        refused("readOnlyRootFilesystem", "readOnlyRootFileSystem"),
        "DaemonSet: Kubernetes knows no field \
         spec.template.spec.initContainers.0.securityContext.readOnlyRootFileSystem, or reads it as something else"
    );
    assert_eq!(
        refused(
            "hostNetwork: true",
            "hostNetwork: true\n      livenessProbe: {}"
        ),
        "DaemonSet: Kubernetes knows no field spec.template.spec.livenessProbe, or reads it as something else"
    );
    assert_eq!(
        refused(
            "terminationGracePeriodSeconds: 10",
            "terminationGracePeriodSeconds: soon"
        ),
        "DaemonSet: spec.template.spec.terminationGracePeriodSeconds: invalid type: string \"soon\", expected i64"
    );
    // Kubernetes wants text, and would refuse the whole DaemonSet.
    assert_eq!(
        refused("value: \"9001\"", "value: 9001"),
        "DaemonSet: spec.template.spec.containers.0.env.2.value: invalid type: integer `9001`, expected a string"
    );
    assert!(
        refused(
            "        - name: aws-node\n          image",
            "        - image"
        )
        .contains("Kubernetes wants the field spec.template.spec.containers.0.name")
    );
    assert_eq!(
        refused("name: ENABLE_IPv4", "name: AWS_VPC_ENI_MTU"),
        "container aws-node has the variable AWS_VPC_ENI_MTU twice"
    );
    assert_eq!(
        refused(
            "mountPath: /host/var/log/aws-routed-eni",
            "mountPath: /var/run/aws-node"
        ),
        "container aws-node has the mount /var/run/aws-node twice"
    );
    assert!(
        refused(
            "hostNetwork: true",
            "hostNetwork: true\n      hostNetwork: true"
        )
        .contains("hostNetwork")
    );
    assert_eq!(
        refused(
            "- name: log-dir\n          hostPath",
            "- name: logs\n          hostPath"
        ),
        "container aws-node mounts the volume log-dir, which does not exist"
    );
    assert!(
        refused(
            "    matchLabels:\n      k8s-app: aws-node",
            "    matchLabels:\n      k8s-app: other"
        )
        .contains("selector")
    );
    assert!(
        refused(
            "serviceAccountName: aws-node",
            "serviceAccountName: default"
        )
        .contains("service account")
    );
    assert!(refused("kind: ServiceAccount", "kind: Secret").contains("not expected"));
    assert!(refused("metadata:", "metadata: [").contains("no YAML"));
}

#[test]
fn upstreams_names_and_constraints_are_kept() {
    let manifest = Manifest::of_repository(&repository()).unwrap();
    let pod = manifest.pod().unwrap();
    assert_eq!(pod.host_network, Some(true));
    assert_eq!(
        pod.priority_class_name.as_deref(),
        Some("system-node-critical")
    );
    assert_eq!(pod.termination_grace_period_seconds, Some(10));
    let tolerations = pod.tolerations.as_ref().unwrap();
    assert_eq!(tolerations[0].operator.as_deref(), Some("Exists"));
    let [main] = pod.containers.as_slice() else {
        panic!("{:?}", pod.containers)
    };
    assert_eq!(main.name, "aws-node");
    let context = main.security_context.as_ref().unwrap();
    let capabilities = context.capabilities.as_ref().unwrap();
    assert_eq!(
        capabilities.add.as_deref(),
        Some(["NET_ADMIN", "NET_RAW"].map(str::to_owned).as_slice())
    );
    assert_eq!(
        capabilities.drop.as_deref(),
        Some(["ALL".to_owned()].as_slice())
    );
    assert_eq!(
        (context.privileged, context.read_only_root_filesystem),
        (None, Some(true))
    );
    let paths: Vec<_> = pod
        .volumes
        .iter()
        .flatten()
        .map(|one| one.host_path.as_ref().unwrap().path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "/opt/cni/bin",
            "/etc/cni/net.d",
            "/var/log/aws-routed-eni",
            "/var/run/aws-node"
        ]
    );
}

#[test]
fn the_manifest_names_this_version() {
    let version = concat!("v", env!("CARGO_PKG_VERSION"));
    let manifest = Manifest::of_repository(&repository()).unwrap();
    let pod = manifest.pod().unwrap();
    for container in pod.init_containers.iter().flatten().chain(&pod.containers) {
        let image = container.image.as_deref().unwrap();
        assert_eq!(image, format!("vpc-cni:{version}"), "{}", container.name);
    }
    let variables = pod.containers[0].env.iter().flatten();
    let said: Vec<_> = variables
        .filter(|one| one.name == "VPC_CNI_VERSION")
        .map(|one| one.value.as_deref())
        .collect();
    assert_eq!(said, [Some(version)]);
}

/// The daemon refuses or reports what it does not know, so the manifest names nothing else.
#[test]
fn every_variable_of_the_manifest_is_on_the_reference_page() {
    let page = fs::read_to_string(repository().join("docs/configuration.md")).unwrap();
    let manifest = Manifest::of_repository(&repository()).unwrap();
    let pod = manifest.pod().unwrap();
    let containers = pod.init_containers.iter().flatten().chain(&pod.containers);
    let names = containers
        .flat_map(|container| container.env.iter().flatten())
        .map(|variable| &variable.name);
    let missing: Vec<_> = names
        .filter(|name| !page.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
