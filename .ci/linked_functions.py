"""Counts the function binaries that a build linked, from cargo's JSON messages; fails above the ceiling.

Every endpoint has a binary that contains the whole AWS SDK. Linking them all for every change would take longer than all tests.
A domain crate with a `tests` folder, or a `[[bin]]` without `test = false`, causes that.
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
        sys.exit("no executables: these are not the messages of a test build")
    if len(linked) > CEILING:
        sys.exit("too many function binaries: see the first lines of .ci/linked_functions.py")


main(sys.argv[1])
