"""Compares checkov's findings in the transformed templates with the committed exceptions; fails if they differ.

Usage: checkov.py RESULTS.json EXCEPTIONS
"""

import fnmatch
import json
import pathlib
import sys


def findings(path):
    reports = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
    for report in reports if isinstance(reports, list) else [reports]:
        if report["summary"]["parsing_errors"] or not report["summary"]["passed"]:
            sys.exit(f"checkov did not read the templates: {report['summary']}")
        for finding in report["results"]["failed_checks"]:
            file = pathlib.PurePosixPath(finding["file_path"]).name
            yield finding["check_id"], file, finding["resource"], finding["check_name"]


def exceptions(path):
    for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            words = line.split(maxsplit=3)
            if len(words) < 4:
                sys.exit(f"an exception without a reason: {line}")
            yield tuple(words)


listed = list(exceptions(sys.argv[2]))
needed = {exception: 0 for exception in listed}
found = list(findings(sys.argv[1]))
others = []
for check, file, resource, name in found:
    fits = [e for e in listed if e[0] == check and fnmatch.fnmatch(file, e[1]) and fnmatch.fnmatch(resource, e[2])]
    for exception in fits:
        needed[exception] += 1
    if not fits:
        others.append(f"{check} {file} {resource}: {name}")
for line in others:
    print(line)
unneeded = [exception for exception, count in needed.items() if not count]
for check, file, resource, reason in unneeded:
    print(f"this exception has no finding: {check} {file} {resource}")
print(f"{len(found)} findings: {len(found) - len(others)} accepted by {len(listed)} lines, {len(others)} others")
sys.exit(1 if others or unneeded or not found else 0)
