"""Names public items that nothing uses: rustc does not report them, since another crate could use them.

Names are compared as words over all Rust files, so an item that shares its name with a used one is not reported. It also names
workspace dependencies that no crate takes.
"""

import collections
import pathlib
import re
import subprocess
import sys
import tomllib

ITEM = re.compile(
    r"^\s*pub (?:const |async |unsafe )*(?:fn|struct|enum|union|trait|type|const|static|mod) (?:mut )?(\w+)", re.MULTILINE
)
WORD = re.compile(r"\b[A-Za-z_]\w*\b")


def files(pattern):
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", pattern], check=True, capture_output=True, text=True)
    return [path for path in listed.stdout.splitlines() if pathlib.Path(path).is_file()]


def code(path):
    """Without comments, because a link in a doc comment is not a use."""
    return re.sub(r"^\s*//.*$|\s//[^\"\n]*$", "", pathlib.Path(path).read_text(encoding="utf-8"), flags=re.MULTILINE)


def unused_items():
    sources = {path: code(path) for path in files("*.rs")}
    words = collections.Counter(word for text in sources.values() for word in WORD.findall(text))
    for path, text in sources.items():
        for found in ITEM.finditer(text):
            if words[found.group(1)] == 1:
                yield f"{path}:{text.count(chr(10), 0, found.start(1)) + 1}: nothing uses `{found.group(1)}`"


def unused_dependencies():
    workspace = tomllib.loads(pathlib.Path("Cargo.toml").read_text(encoding="utf-8"))["workspace"]["dependencies"]
    manifests = [pathlib.Path(path).read_text(encoding="utf-8") for path in files("*Cargo.toml") if path != "Cargo.toml"]
    for name in workspace:
        if not any(re.search(rf"^{re.escape(name)}(\.workspace| = \{{ workspace)", text, re.MULTILINE) for text in manifests):
            yield f"Cargo.toml: `{name}` is a dependency of no crate"


found = [*unused_items(), *unused_dependencies()]
print(*found, sep="\n")
if found:
    sys.exit(1)
