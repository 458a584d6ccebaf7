#!/usr/bin/env python3
"""Makes src/limits.csv: what each EC2 instance type allows, from the DescribeInstanceTypes data in PyPI's `moto`.

Owns: the columns of the table and the version of the data it is made from. Must not: invent or correct a number; a
type whose data is incomplete stops the script and is named. Driven by: a person (`limits.py`, writes the table) and
`make lint` (`limits.py --check`, makes the table again, compares, exit 1 on a difference).

The data is taken from the package file alone: nothing of moto is imported and none of its dependencies is installed.
`--data FILE` takes an `instance_types.json.gz` at hand instead of installing the package.
"""

import argparse
import difflib
import gzip
import json
import pathlib
import subprocess
import sys
import tempfile
import venv

MOTO = "moto==5.2.1"
RESOURCE = "moto/ec2/resources/instance_types.json.gz"
TABLE = pathlib.Path(__file__).resolve().parent / "src" / "limits.csv"
LEAST_TYPES = 600

HEADER = f"""\
# What each EC2 instance type allows. Made by crates/model/limits.py from {MOTO}; do not edit.
# enis: most ENIs of each network card, joined by ';', in order of the card's index.
# addresses: IPv4 addresses of one ENI, the primary included. hypervisor: unknown where EC2 says nothing.
type,enis,addresses,hypervisor,metal
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the table on disk instead of writing it")
    parser.add_argument("--data", type=pathlib.Path, help="instance_types.json.gz, instead of installing " + MOTO)
    arguments = parser.parse_args()
    made = table(read(arguments.data) if arguments.data else fetch())
    if not arguments.check:
        TABLE.write_text(made)
        print(f"{TABLE.name}: {made.count(chr(10)) - HEADER.count(chr(10))} instance types")
        return 0
    return compare(TABLE.read_text(), made)


def fetch() -> dict:
    """The data of the pinned package, installed into an environment that is thrown away."""
    with tempfile.TemporaryDirectory(prefix="limits-") as folder:
        venv.create(folder, with_pip=True)
        python = pathlib.Path(folder) / "bin" / "python"
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", MOTO]
        subprocess.run(install, check=True)
        (found,) = pathlib.Path(folder).glob(f"lib/python*/site-packages/{RESOURCE}")
        return read(found)


def read(path: pathlib.Path) -> dict:
    with gzip.open(path) as file:
        return json.load(file)


def table(types: dict) -> str:
    rows, bad = [], []
    for name in sorted(types):
        try:
            rows.append(row(name, types[name]))
        except (KeyError, TypeError, ValueError) as error:
            bad.append(f"{name}: {error!r}")
    if bad:
        sys.exit("data is incomplete:\n" + "\n".join(bad))
    if len(rows) < LEAST_TYPES:
        sys.exit(f"only {len(rows)} instance types, want at least {LEAST_TYPES}")
    return HEADER + "".join(row + "\n" for row in rows)


def row(name: str, description: dict) -> str:
    network = description["NetworkInfo"]
    cards = sorted(network["NetworkCards"], key=lambda card: card["NetworkCardIndex"])
    enis = [card["MaximumNetworkInterfaces"] for card in cards]
    addresses = network["Ipv4AddressesPerInterface"]
    hypervisor = description.get("Hypervisor", "unknown")
    metal = description["BareMetal"]
    require([card["NetworkCardIndex"] for card in cards] == list(range(len(cards))) != [], "card indices have gaps")
    require(network["MaximumNetworkCards"] == len(cards), "cards are missing")
    # The table's reader takes the first card for the default one.
    require(network["DefaultNetworkCardIndex"] == 0, "default card is not card 0")
    require(network["MaximumNetworkInterfaces"] == sum(enis), "ENIs of the cards and of the type disagree")
    require(min(enis) > 0 and addresses > 0, "a limit is not positive")
    require(hypervisor in ("nitro", "xen", "unknown"), f"hypervisor {hypervisor!r}")
    require("," not in name and ";" not in name, "separator in the name")
    return f"{name},{';'.join(map(str, enis))},{addresses},{hypervisor},{str(metal).lower()}"


def require(condition: bool, problem: str) -> None:
    if not condition:
        raise ValueError(problem)


def compare(old: str, new: str) -> int:
    if old == new:
        print(f"{TABLE.name} is what {MOTO} says")
        return 0
    difference = difflib.unified_diff(old.splitlines(), new.splitlines(), str(TABLE), MOTO, lineterm="", n=0)
    print("\n".join(list(difference)[:40]), file=sys.stderr)
    print(f"{TABLE.name} differs from what {MOTO} says: run crates/model/limits.py", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
