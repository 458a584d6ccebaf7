//! Tests of `conflist`: its text, and when it is written.

use super::*;
use crate::testing::Folder;
use model::time::Instant;
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

fn settings(variables: &[(&str, &str)]) -> InstallSettings {
    let raw: BTreeMap<String, String> = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    config::resolve(&raw).unwrap().0.install
}

#[test]
fn the_default_list_has_upstreams_fields_and_portmap() {
    let expected = json!({"cniVersion": "0.4.0", "name": "aws-cni", "disableCheck": true, "plugins": [
        {"name": "aws-cni", "type": "aws-cni", "vethPrefix": "eni", "mtu": "9001", "podSGEnforcingMode": "strict",
         "pluginLogFile": "/var/log/aws-routed-eni/plugin.log", "pluginLogLevel": "Debug",
         "capabilities": {"io.kubernetes.cri.pod-annotations": true}},
        {"type": "portmap", "capabilities": {"portMappings": true}, "snat": true}]});
    let conflist = Conflist::new(&settings(&[]));
    assert_eq!(
        conflist.path,
        Path::new("/host/etc/cni/net.d/10-aws.conflist")
    );
    assert_eq!(
        serde_json::from_str::<Value>(&conflist.text).unwrap(),
        expected
    );
}

#[test]
fn variables_of_the_plugins_are_in_the_list() {
    let list = list(&settings(&[
        ("AWS_VPC_K8S_CNI_VETHPREFIX", "pod"),
        ("AWS_VPC_ENI_MTU", "1500"),
        ("POD_SECURITY_GROUP_ENFORCING_MODE", "standard"),
        ("AWS_VPC_K8S_PLUGIN_LOG_FILE", "/tmp/\"x\".log"),
        ("AWS_VPC_K8S_PLUGIN_LOG_LEVEL", "ERROR"),
        ("ENABLE_BANDWIDTH_PLUGIN", "true"),
        ("DISABLE_POD_V6", "true"),
    ]));
    let first = &list["plugins"][0];
    let fields = [
        "vethPrefix",
        "mtu",
        "podSGEnforcingMode",
        "pluginLogFile",
        "pluginLogLevel",
    ]
    .map(|name| first[name].clone());
    assert_eq!(
        fields,
        ["pod", "1500", "standard", "/tmp/\"x\".log", "ERROR"].map(Value::from)
    );
    let kinds: Vec<_> = list["plugins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|plugin| plugin["type"].clone())
        .collect();
    assert_eq!(kinds, ["aws-cni", "portmap", "bandwidth", "tuning"]);
    assert_eq!(
        list["plugins"][3]["sysctl"]["net.ipv6.conf.default.disable_ipv6"],
        "1"
    );
}

#[test]
fn a_file_that_is_right_is_left_alone_and_another_one_replaced_as_a_whole() {
    let folder = Folder::new();
    let conflist = Conflist {
        path: folder.path().join(NAME),
        text: "new".to_owned(),
    };
    assert!(conflist.ensure().unwrap());
    let mode = std::fs::metadata(&conflist.path)
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644);
    assert!(!conflist.ensure().unwrap(), "nothing is written twice");
    std::fs::write(&conflist.path, "upstream's").unwrap();
    assert!(conflist.ensure().unwrap());
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, [NAME], "nothing else is left in the directory");
}

fn progress(serving: bool, addressed: bool) -> Progress {
    Progress {
        serving,
        waiting_for: None,
        addressed,
        turned: Instant(0),
    }
}

#[tokio::test]
async fn t07_it_is_written_with_the_first_address_and_put_back_never_removed() {
    let folder = Folder::new();
    let conflist = Conflist {
        path: folder.path().join(NAME),
        text: "text".to_owned(),
    };
    let (tell, told) = watch::channel(progress(false, false));
    let (trouble, mut troubles) = watch::channel(None);
    let keeping = tokio::spawn(keep_forever(conflist.clone(), told, trouble));
    tell.send_replace(progress(true, false));
    troubles
        .wait_for(|what| what.as_deref() == Some("the first address for a pod"))
        .await
        .unwrap();
    assert!(!conflist.path.exists());
    tell.send_replace(progress(true, true));
    troubles.wait_for(Option::is_none).await.unwrap();
    assert_eq!(std::fs::read_to_string(&conflist.path).unwrap(), "text");
    // No address is left: the node has one in use, and pods of Services must not go.
    tell.send_replace(progress(true, false));
    keeping.abort();
    assert!(keeping.await.unwrap_err().is_cancelled());
    assert!(conflist.path.exists(), "it stays when the daemon ends");
}

#[tokio::test]
async fn a_directory_that_is_not_there_is_named_and_waited_for() {
    let folder = Folder::new();
    let missing = folder.path().join("net.d");
    let conflist = Conflist {
        path: missing.join(NAME),
        text: "text".to_owned(),
    };
    let (_tell, told) = watch::channel(progress(true, true));
    let (trouble, mut troubles) = watch::channel(None);
    let keeping = tokio::spawn(keep_forever(conflist.clone(), told, trouble));
    let named = troubles
        .wait_for(Option::is_some)
        .await
        .unwrap()
        .clone()
        .unwrap();
    assert!(named.contains(&missing.display().to_string()), "{named}");
    std::fs::create_dir(&missing).unwrap();
    troubles.wait_for(Option::is_none).await.unwrap();
    assert!(conflist.path.exists());
    keeping.abort();
}
