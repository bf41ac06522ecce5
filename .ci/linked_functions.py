"""Counts the function binaries that a build linked, from cargo's JSON messages; fails above the ceiling.

There is a binary for every endpoint, each with the whole AWS SDK in it: linking them all for every change would
take longer than all tests. A domain crate with a `tests` folder, or a `[[bin]]` without `test = false`, does that.
"""

import json
import pathlib
import sys

CEILING = 5


def main(messages):
    functions = pathlib.Path("functions").resolve()
    linked = set()
    executables = 0
    with open(messages, encoding="utf-8") as lines:
        for line in lines:
            message = json.loads(line)
            if message.get("reason") != "compiler-artifact" or not message.get("executable"):
                continue
            executables += 1
            manifest = pathlib.Path(message["manifest_path"])
            if functions in manifest.parents and "bin" in message["target"]["kind"]:
                linked.add((message["target"]["name"], message["profile"]["test"]))
    print(f"{executables} executables, {len(linked)} of them function binaries (at most {CEILING})")
    for name, is_test in sorted(linked):
        print(f"  {name}{' (as a test)' if is_test else ''}")
    if executables == 0:
        sys.exit("no executable at all: not the messages of a test build")
    if len(linked) > CEILING:
        sys.exit("too many function binaries: see the first lines of .ci/linked_functions.py")


main(sys.argv[1])
