"""Checks documents, comments and test names for constructions that have to be read twice; see CONTRIBUTING.md, "Style".

`.ci/prose.txt` lists the files that do not pass yet, and how many faults they have. A file that is not listed must pass, a listed
file that passes must leave the list, and the faults only become fewer. `python3 .ci/prose.py --write` updates the list, and
refuses if the faults became more. `python3 .ci/prose.py FILE..` prints the faults of a file, listed or not.
"""

import pathlib
import re
import subprocess
import sys

LIST = pathlib.Path(".ci/prose.txt")
GENERATED = ("docs/openapi.json", "infra/stacks/", "events/", "docs/events/", "infra/local/assets/")

# A clause as the subject of a sentence: the reader learns only at its end what the sentence is about.
SENTENCE = re.compile(r"(What|Who|Whoever|Whom|Whose)\b(?!.*\?$)")
ANYWHERE = {
    "say which thing it is": re.compile(r"\bof whom there (is|are)\b", re.I),
    "use the field's term": re.compile(r"\bput to rest\b|\bsecond wall\b|\b(is|are) told of\b", re.I),
}
TEST_NAME = re.compile(r"(what|who|whoever|whom|whose|whatever|whichever)_|.*_(whoever|whatever)_")
LONGEST_TEST_NAME = 100


def sentences(paragraph):
    text = re.sub(r"`[^`]*`", "`_`", paragraph)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.split(r"(?<=[.!?:;])\s+", text.replace("**", "").replace("*", "").strip())


def paragraphs(lines, comment):
    """Joins neighbouring lines of prose; yields (number of the first line, text)."""
    first, held, fenced = 0, [], False
    for number, line in enumerate(lines + [""], 1):
        text = comment(line)
        if text is not None and text.strip().startswith("```"):
            fenced, text = not fenced, ""
        # A heading is no sentence.
        if text is None or fenced or not text.strip() or re.match(r"#+ ", text):
            if held:
                yield first, " ".join(held)
            held = []
            continue
        # A list item and a table row are each a paragraph.
        if held and re.match(r"\s*([-*|#>]|\d+\.)\s?", text):
            yield first, " ".join(held)
            held = []
        if not held:
            first = number
        held.append(re.sub(r"^\s*([-*>#]+|\d+\.)\s+", "", text).strip())


def rust_comment(line):
    found = re.match(r"\s*//[/!]?(.*)", line)
    return found and found.group(1)


def hash_comment(line):
    found = re.match(r"\s*#(?!!)(.*)", line)
    return found and found.group(1)


COMMENTS = {".rs": rust_comment, ".md": lambda line: line, ".toml": hash_comment, ".yaml": hash_comment, ".yml": hash_comment, ".cedar": rust_comment}


def faults(path):
    comment = COMMENTS.get(pathlib.Path(path).suffix)
    if comment is None or path.startswith(GENERATED):
        return
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    for number, paragraph in paragraphs(lines, comment):
        cells = paragraph.strip("|").split("|") if paragraph.startswith("|") else [paragraph]
        for sentence in (s for cell in cells for s in sentences(cell)):
            # Nor is the short cell at the top of a column.
            column = paragraph.startswith("|") and len(sentence.split()) < 4
            if not column and (found := SENTENCE.match(sentence)):
                yield number, f"begin with the actor, not with `{found.group(1)}`: {sentence[:60]}"
            for advice, pattern in ANYWHERE.items():
                if found := pattern.search(sentence):
                    yield number, f"{advice}, not `{found.group(0)}`: {sentence[:60]}"
    test = False
    for number, line in enumerate(lines, 1):
        if re.match(r"\s*#\[(tokio::)?test\b", line):
            test = True
        elif test and (found := re.match(r"\s*(?:async )?fn (\w+)", line)):
            test = False
            name = found.group(1)
            if TEST_NAME.match(name):
                yield number, f"name the subject first: {name}"
            if len(name) > LONGEST_TEST_NAME:
                yield number, f"longer than {LONGEST_TEST_NAME} characters: {name}"


def main(arguments):
    named = [argument for argument in arguments if argument != "--write"]
    if named:
        for path in named:
            for number, fault in faults(path):
                print(f"{path}:{number}: {fault}")
        return
    files = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout.splitlines()
    unclean = {path: list(faults(path)) for path in files if pathlib.Path(path).is_file()}
    unclean = {path: found for path, found in unclean.items() if found}
    most, *listed = LIST.read_text(encoding="utf-8").split()
    most, total = int(most), sum(map(len, unclean.values()))
    if "--write" in arguments and total <= most:
        most, listed = total, sorted(unclean)
        LIST.write_text("".join(f"{line}\n" for line in [most, *listed]), encoding="utf-8")
    fresh = [path for path in unclean if path not in listed]
    passing = [path for path in listed if path not in unclean]
    for path in fresh:
        for number, fault in unclean[path]:
            print(f"{path}:{number}: {fault}")
    if passing:
        print("these pass and must leave the list, by `python3 .ci/prose.py --write`:", *passing, sep="\n  ")
    print(f"{total} faults, where {LIST} allows {most}; {len(listed)} files are listed")
    if fresh or passing or total > most:
        sys.exit(1)


main(sys.argv[1:])
