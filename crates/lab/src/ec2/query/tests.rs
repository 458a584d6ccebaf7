//! Forms as the SDK writes them, and every way a form can be wrong.

use super::*;
use std::collections::BTreeMap;

fn decoded(text: &str) -> Result<Request, Error> {
    decode(Form::parse(text))
}

fn code(text: &str) -> Code {
    decoded(text).expect_err(text).code
}

#[test]
fn a_create_is_read_whole() {
    let form = "Action=CreateNetworkInterface&Version=2016-11-15&SubnetId=subnet-1&SecurityGroupId.2=sg-2&SecurityGroupId.1=sg-1\
                &Description=aws-K8S-i-1+x%2Fy&SecondaryPrivateIpAddressCount=9&ClientToken=cni-7\
                &TagSpecification.1.ResourceType=network-interface&TagSpecification.1.Tag.1.Key=a%3Ab&TagSpecification.1.Tag.1.Value=c\
                &TagSpecification.1.Tag.2.Key=d&ConnectionTrackingSpecification.UdpTimeout=45";
    let want = CreateInterface {
        client_token: Some("cni-7".to_owned()),
        groups: vec!["sg-1".parse().unwrap(), "sg-2".parse().unwrap()],
        description: "aws-K8S-i-1 x/y".to_owned(),
        tags: BTreeMap::from([
            ("a:b".to_owned(), "c".to_owned()),
            ("d".to_owned(), String::new()),
        ]),
        wanted: Wanted::Count(9),
        connection_tracking: Some(ConnectionTracking {
            udp_secs: Some(45),
            ..ConnectionTracking::default()
        }),
        ..CreateInterface::in_subnet("subnet-1".parse().unwrap())
    };
    assert_eq!(decoded(form), Ok(Request::CreateNetworkInterface(want)));
}

#[test]
fn explicit_addresses_and_prefixes_are_told_apart() {
    let form = "Action=CreateNetworkInterface&SubnetId=subnet-1&PrivateIpAddresses.1.PrivateIpAddress=10.0.0.9\
                &PrivateIpAddresses.2.PrivateIpAddress=10.0.0.8&PrivateIpAddresses.2.Primary=true";
    let want = CreateInterface {
        primary: Some(Ipv4Addr::new(10, 0, 0, 8)),
        wanted: Wanted::Addresses(vec![Ipv4Addr::new(10, 0, 0, 9)]),
        ..CreateInterface::in_subnet("subnet-1".parse().unwrap())
    };
    assert_eq!(decoded(form), Ok(Request::CreateNetworkInterface(want)));
    let form =
        "Action=AssignPrivateIpAddresses&NetworkInterfaceId=eni-1&Ipv4Prefix.1=10.0.0.16%2F28";
    let block = Block::try_from("10.0.0.16/28".parse::<IpNetwork>().unwrap()).unwrap();
    let want = Request::AssignPrivateIpAddresses {
        eni: "eni-1".parse().unwrap(),
        wanted: Wanted::Prefixes(vec![block]),
        allow_reassignment: false,
    };
    assert_eq!(decoded(form), Ok(want));
}

#[test]
fn lists_are_in_the_order_of_their_numbers() {
    let form = "Action=DescribeNetworkInterfaces&Filter.1.Name=tag%3Aa&Filter.1.Value.10=z&Filter.1.Value.2=y&MaxResults=50&NextToken=t";
    let want = DescribeInterfaces {
        ids: vec![],
        filters: vec![Filter {
            name: "tag:a".to_owned(),
            values: vec!["y".to_owned(), "z".to_owned()],
        }],
        max_results: Some(50),
        next_token: Some("t".to_owned()),
    };
    assert_eq!(decoded(form), Ok(Request::DescribeInterfaces(want)));
}

#[test]
fn each_attribute_is_modified_alone() {
    let form = "Action=ModifyNetworkInterfaceAttribute&NetworkInterfaceId=eni-1";
    let change = |rest: &str| match decoded(&format!("{form}{rest}")) {
        Ok(Request::ModifyNetworkInterfaceAttribute { change, .. }) => Ok(change),
        Ok(other) => panic!("{other:?}"),
        Err(error) => Err(error.code),
    };
    let attachment = "&Attachment.AttachmentId=eni-attach-1&Attachment.DeleteOnTermination=true";
    let want = Modification::DeleteOnTermination {
        attachment: "eni-attach-1".parse().unwrap(),
        delete: true,
    };
    assert_eq!(change(attachment), Ok(want));
    assert_eq!(
        change("&SourceDestCheck.Value=false"),
        Ok(Modification::SourceDestCheck(false))
    );
    assert_eq!(change(""), Err(Code::MissingParameter));
    assert_eq!(
        change(&format!("{attachment}&SecurityGroupId.1=sg-1")),
        Err(Code::InvalidParameterCombination)
    );
}

#[test]
fn a_wrong_form_is_refused_by_name() {
    for (form, want) in [
        ("", Code::MissingParameter),
        ("Action=CreateVolume", Code::InvalidAction),
        ("Action=DeleteNetworkInterface", Code::MissingParameter),
        (
            "Action=DeleteNetworkInterface&NetworkInterfaceId=vol-1",
            Code::InterfaceMalformed,
        ),
        (
            "Action=DescribeNetworkInterfaces&NetworkInterfaceId.1=x",
            Code::InterfaceMalformed,
        ),
        (
            "Action=AttachNetworkInterface&NetworkInterfaceId=eni-1&InstanceId=i-1&DeviceIndex=one",
            Code::InvalidParameterValue,
        ),
        (
            "Action=AttachNetworkInterface&NetworkInterfaceId=eni-1&InstanceId=i-1",
            Code::MissingParameter,
        ),
        (
            "Action=CreateNetworkInterface&SubnetId=subnet-1&Ipv6AddressCount=1",
            Code::UnknownParameter,
        ),
        (
            "Action=CreateNetworkInterface&SubnetId=subnet-1&InterfaceType=branch",
            Code::InvalidParameterValue,
        ),
        (
            "Action=CreateNetworkInterface&SubnetId=subnet-1&Ipv4PrefixCount=1&SecondaryPrivateIpAddressCount=1",
            Code::InvalidParameterCombination,
        ),
        (
            "Action=AssignPrivateIpAddresses&NetworkInterfaceId=eni-1",
            Code::MissingParameter,
        ),
        (
            "Action=CreateTags&ResourceId.1=eni-1",
            Code::MissingParameter,
        ),
        (
            "Action=DeleteNetworkInterface&NetworkInterfaceId=eni-1&DryRun=true",
            Code::DryRunOperation,
        ),
    ] {
        assert_eq!(code(form), want, "{form}");
    }
}
