//! Every reason as a runtime reads it, and the page that lists them: docs/cni-codes.md is made here and compared.

use super::fixture::Running;
use super::fixture::{FakeKernel, Script, invocation};
use cni::dispatch::Plugin;
use cni::error::Code;
use model::call::Action;
use model::reason::Reason;
use rpc::reason::{NO_ADDRESS, refusal, refuse_add};
use rpc::wire::RefusalKind;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;

/// One of each, with values as they look in life.
fn reasons() -> Vec<(Reason, Code)> {
    let (action, retry_secs) = (Action::CreateNetworkInterface, 12);
    let eni = || "eni-0a1b2c3d4e5f60718".parse().unwrap();
    vec![
        (
            Reason::NodeLimit {
                limit: 27,
                held: 26,
                cooling: 1,
            },
            Code::NodeLimit,
        ),
        (
            Reason::Cooling {
                limit: 27,
                held: 20,
                cooling: 7,
                first_secs: 30,
            },
            Code::TryAgain,
        ),
        (
            Reason::ProvisioningOff {
                total: 9,
                held: 9,
                cooling: 0,
            },
            Code::ProvisioningOff,
        ),
        (
            Reason::EniLimit {
                enis: 3,
                action: Action::AttachNetworkInterface,
                text: "AttachmentLimitExceeded: Interface count 4 exceeds the limit for m5.large"
                    .into(),
                retry_secs,
            },
            Code::EniLimit,
        ),
        (
            Reason::AddressLimit {
                eni: eni(),
                addresses: 9,
                text:
                    "PrivateIpAddressLimitExceeded: Number of private addresses will exceed limit."
                        .into(),
                retry_secs,
            },
            Code::AddressLimit,
        ),
        (
            Reason::SubnetFull {
                subnet: "subnet-0a1b2c3d4e5f60718".parse().unwrap(),
                retry_secs,
            },
            Code::TryAgain,
        ),
        (Reason::Throttled { action, retry_secs }, Code::TryAgain),
        (Reason::Denied { action, retry_secs }, Code::Denied),
        (
            Reason::Refused {
                action,
                text: "InvalidSubnetID.NotFound: no such subnet".into(),
                retry_secs,
            },
            Code::TryAgain,
        ),
        (
            Reason::Unreachable {
                action,
                text: "connection refused".into(),
                retry_secs,
            },
            Code::TryAgain,
        ),
        (
            Reason::Attaching {
                eni: eni(),
                pending: "EC2 is asked to attach it".into(),
            },
            Code::TryAgain,
        ),
        (
            Reason::Deadline {
                waited_secs: 88,
                pending: "EC2 was asked to assign 9 addresses".into(),
            },
            Code::TryAgain,
        ),
        (
            Reason::NotReady {
                what: "the instance metadata service".into(),
            },
            Code::TryAgain,
        ),
        (
            Reason::CheckpointNotWritable {
                text: "write /var/run/aws-node/ipam.json: no space left on device".into(),
            },
            Code::TryAgain,
        ),
        (
            Reason::JournalNotWritable {
                text: "write /var/run/aws-node/intents.json: no space left on device".into(),
            },
            Code::TryAgain,
        ),
        (Reason::Busy { waiting: 1024 }, Code::TryAgain),
        (Reason::Stopping, Code::TryAgain),
        (Reason::Deleted, Code::Deleted),
        (
            Reason::Superseded {
                container: "0f3a9c".into(),
            },
            Code::Superseded,
        ),
    ]
}

#[test]
fn t02_each_reason_has_its_code_and_its_whole_text() {
    let mut kinds = BTreeSet::new();
    for (reason, code) in reasons() {
        let status = refuse_add(&reason);
        kinds.insert(refusal(&status).unwrap().kind);
        let adds = (0..50).map(|_| Err(status.clone())).collect();
        let running = Running::with(Script {
            adds,
            ..Script::default()
        });
        let mut call = invocation(json!({}));
        // Short, because a daemon that is starting or stopping is asked again until then.
        call.config.add_timeout = std::time::Duration::from_millis(120);
        let error = running
            .plugin(FakeKernel::default())
            .add(&call, Path::new("/run/netns/x"))
            .unwrap_err();
        assert_eq!(error.code, code, "{reason}");
        assert_eq!(error.msg, format!("{NO_ADDRESS}: {reason}"));
        assert_eq!(reason.is_retryable(), code == Code::TryAgain, "{reason}");
        assert_eq!(
            running.script.lock().unwrap().asked_del,
            [],
            "nothing was granted"
        );
    }
    let all = (1..).take_while(|kind| RefusalKind::try_from(*kind).is_ok());
    assert_eq!(
        kinds.len() + 1,
        all.count(),
        "all but the unknown pod, which is a DEL's"
    );
}

#[test]
fn permanent_reasons_have_codes_of_their_own() {
    let permanent: Vec<_> = reasons()
        .into_iter()
        .filter(|(reason, _)| !reason.is_retryable())
        .map(|(_, code)| code)
        .collect();
    let different: BTreeSet<_> = permanent.iter().collect();
    assert_eq!(different.len(), permanent.len());
    assert!(permanent.iter().all(|code| code.number() >= 100));
}

#[test]
fn the_page_of_the_codes_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cni-codes.md");
    let page = page();
    if std::env::var_os("WRITE_PAGE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page,
        "docs/cni-codes.md is not what the code says: run WRITE_PAGE=1 cargo test -p cni-plugin the_page"
    );
}

fn page() -> String {
    let mut page = String::from(
        "<!-- Made from the code: WRITE_PAGE=1 cargo test -p cni-plugin the_page -->\n\n# CNI error codes of aws-cni\n\n\
         What the plugin prints on stdout when a call fails is `{\"code\": …, \"msg\": …}`. Below 100 the CNI specification gives\n\
         the meaning; from 100 on each permanent reason has a code of its own. 11 means that waiting can cure it.\n\n\
         | code | meaning |\n|---|---|\n",
    );
    for (code, text) in Code::TABLE {
        page += &format!("| {} | {text} |\n", code.number());
    }
    page += &format!(
        "\n## Why an ADD got no address\n\nThe message is `{NO_ADDRESS}: ` and the text below (with its own values), here and in the gRPC\n\
         status that programs of amazon-vpc-cni-k8s print. The kind is in the status details (`rpc.Refusal`) and in `details`.\n\n\
         | code | gRPC | kind | text |\n|---|---|---|---|\n"
    );
    for (reason, code) in reasons() {
        let status = refuse_add(&reason);
        let kind = refusal(&status).unwrap().kind();
        let kind = kind.as_str_name().trim_start_matches("REFUSAL_KIND_");
        page += &format!(
            "| {} | {:?} | {kind} | {reason} |\n",
            code.number(),
            status.code()
        );
    }
    page
}
