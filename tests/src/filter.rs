//! A node's packet filter and its connections, looked at with `nft` and `conntrack` as an operator would. Driven by
//! tests. Must not: use the code under test to look.

use lab::node::Node;
use netlink_sys::protocols::NETLINK_NETFILTER;
use netlink_sys::{Socket, SocketAddr};
use std::net::Ipv4Addr;

/// The daemon's table.
pub const TABLE: &str = "aws-vpc-node";

/// What other tables and connections of a node are to a test.
pub trait Filter {
    /// Runs `nft` there; its output.
    fn nft(&self, arguments: &[&str]) -> Result<String, String>;

    /// Runs the commands, one a line, as one transaction.
    ///
    /// # Panics
    /// When `nft` refuses.
    fn nft_script(&self, script: &str);

    /// A table of family `ip` as `nft` prints it, with handles when asked for; none when there is none.
    fn table(&self, name: &str, handles: Handles) -> Option<String>;

    /// The number of the whole ruleset: it counts transactions, whoever makes them.
    fn generation(&self) -> u32;

    /// The tracked connections whose first packet went to this address, as `conntrack` prints them.
    fn connections_to(&self, address: Ipv4Addr) -> Vec<String>;
}

/// Numbers that the kernel gives to rules: they change when a rule is made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handles {
    /// Printed.
    Shown,
    /// Left out.
    Hidden,
}

impl Filter for Node {
    fn nft(&self, arguments: &[&str]) -> Result<String, String> {
        run(self, "nft", arguments, "")
    }

    #[track_caller]
    fn nft_script(&self, script: &str) {
        if let Err(error) = run(self, "nft", &["-f", "-"], script) {
            panic!("{error}");
        }
    }

    fn table(&self, name: &str, handles: Handles) -> Option<String> {
        let flag = match handles {
            Handles::Shown => "-na",
            Handles::Hidden => "-n",
        };
        self.nft(&[flag, "list", "table", "ip", name]).ok()
    }

    #[track_caller]
    fn generation(&self) -> u32 {
        let asked = self.run(ask_generation).expect("the node can be entered");
        asked.expect("the kernel tells the number of its ruleset")
    }

    #[track_caller]
    fn connections_to(&self, address: Ipv4Addr) -> Vec<String> {
        let said = run(self, "conntrack", &["-L", "-d", &address.to_string()], "");
        let said = said.unwrap_or_else(|error| panic!("{error}"));
        said.lines().map(str::to_owned).collect()
    }
}

fn run(node: &Node, program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
    let line: Vec<&str> = [program].iter().chain(arguments).copied().collect();
    let said = node.run(|| lab::command::run(&line, input));
    said.map_err(|error| error.to_string())?
        .map_err(|error| error.to_string())
}

/// `NFT_MSG_GETGEN` by hand.
fn ask_generation() -> std::io::Result<u32> {
    let mut socket = Socket::new(NETLINK_NETFILTER)?;
    socket.bind_auto()?;
    let mut question = 20u32.to_ne_bytes().to_vec();
    question.extend(0x0a10_u16.to_ne_bytes());
    question.extend(1u16.to_ne_bytes());
    question.extend([0; 12]);
    socket.send_to(&question, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    // Behind two headers and the attribute's own.
    let number = answer.get(24..).and_then(|bytes| bytes.first_chunk());
    number
        .map(|bytes| u32::from_be_bytes(*bytes))
        .ok_or_else(|| std::io::Error::other(format!("{answer:?}")))
}
