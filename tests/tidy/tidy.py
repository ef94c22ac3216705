#!/usr/bin/python3
"""Style as a test: what a reviewer would otherwise have to notice.

    tests/tidy/tidy.py [ROOT]      checks the tree that git tracks (or would track) below ROOT
    tests/tidy/tidy.py --self-test plants each violation in a scratch tree and sees it caught

Rules, each a function below: include directions and declared dependencies, file sizes, banned
file names, headers and words, names that a unity build would define twice, registered tests,
header comments. Prints `file:line: rule: what`,
then a count; exit 1 when anything is found.
"""

import os
import re
import subprocess
import sys
import tempfile

# A folder may include from the folders to the right (its own is always allowed).
ARROWS = {
    "common/base": [],
    "common": ["common"],
    "monitoring/metrics": ["common/base"],
    "monitoring/dashboard": ["common/base"],
    "monitoring/history": ["common/base"],
    "monitoring/tensorboard": ["common/base", "common/file"],
    "jobs/cli": ["common", "jobs", "monitoring/tensorboard"],
    "jobs": ["common", "jobs"],
    "scheduler": ["common", "jobs/spec", "jobs/attempt", "scheduler", "monitoring"],
    "scheduler/core": ["common/base", "jobs/spec"],
    "worker": ["common", "jobs/spec", "jobs/attempt", "worker", "monitoring/metrics"],
}
# Below these, only headers of common/base, the standard library and their own folder's arrows.
PURE = {"scheduler/core", "jobs/attempt"}
PURE_BANNED = {"thread", "mutex", "atomic", "random", "fstream", "iostream", "unordered_map",
               "unordered_set", "filesystem", "condition_variable", "future"}
BANNED_HEADERS = {
    "torch/torch.h": "takes 14-20 s a file; include ATen and torch/csrc/autograd headers",
    "torch/all.h": "as torch/torch.h",
    "torch/nn.h": "parameters live in our flat buffers",
}
BANNED_STEMS = {"util", "utils", "helper", "helpers", "manager", "misc", "impl"}
# LibTorch, MPI and HDF5 stay behind the engine's folders; ZeroMQ and Protobuf outside them.
HEADER_HOMES = [
    (re.compile(r"^(ATen|torch|c10)/"), ("worker/model", "worker/train", "worker/engine")),
    (re.compile(r"^mpi\.h$"), ("worker/engine", "worker/mpi")),
    (re.compile(r"^hdf5\.h$"), ("worker/checkpoint",)),
    (re.compile(r"^(zmq\.hpp|zmq\.h)$"), ("scheduler/coordinator", "worker/agent")),
    (re.compile(r"^sqlite3\.h$"), ("scheduler/store", "monitoring/history")),
    (re.compile(r"^pmix"), ("worker/agent",)),
    (re.compile(r"^yaml\.h$"), ("jobs/spec",)),
]
MAX_LINES = {".cc": 520, ".h": 250}
SOURCE = re.compile(r"\.(cc|h)$")
INCLUDE = re.compile(r'^\s*#\s*include\s+(?:"([^"]+)"|<([^>]+)>)')
TOP = ("common/", "jobs/", "scheduler/", "worker/", "monitoring/")


def tracked_files(root):
    out = subprocess.run(
        ["git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        check=True, capture_output=True).stdout
    names = [name for name in out.decode().split("\0") if name]
    return sorted(name for name in names if os.path.isfile(os.path.join(root, name)))


def read(root, name):
    with open(os.path.join(root, name), encoding="utf-8", errors="replace") as file:
        return file.read()


def allowed(folder):
    """The most specific row of ARROWS for this folder, or None."""
    best = None
    for key in ARROWS:
        if (folder == key or folder.startswith(key + "/")) and (best is None or len(key) > len(best)):
            best = key
    return None if best is None else ARROWS[best]


def beneath(folder, parents):
    return any(folder == parent or folder.startswith(parent + "/") for parent in parents)


def cmake_calls(text):
    """[(function, {KEYWORD: [words]})] of tutti_library, tutti_test and tutti_program."""
    calls = []
    text = re.sub(r"#[^\n]*", "", text)
    for match in re.finditer(r"\b(tutti_library|tutti_test|tutti_program)\s*\(([^)]*)\)", text):
        words, key = {}, ""
        for word in re.findall(r'"[^"]*"|\S+', match.group(2)):
            if re.fullmatch(r"[A-Z][A-Z_]+", word):
                key = word
                words.setdefault(key, [])
            elif key:
                words[key].append(word.strip('"'))
        calls.append((match.group(1), words))
    return calls


def declared(root, files):
    """folder -> the folders its library or program declares, not yet transitive."""
    result = {}
    for name in files:
        if os.path.basename(name) != "CMakeLists.txt":
            continue
        folder = os.path.dirname(name)
        for _, words in cmake_calls(read(root, name)):
            result.setdefault(folder, set()).update(words.get("DEPENDS", []))
    return result


def reachable(folder, graph):
    seen, stack = set(), [folder]
    while stack:
        for other in graph.get(stack.pop(), ()):
            if other not in seen:
                seen.add(other)
                stack.append(other)
    return seen


def check_includes(root, files, report):
    graph = declared(root, files)
    for name in files:
        if not SOURCE.search(name) or not name.startswith(TOP):
            continue
        folder = os.path.dirname(name)
        may = allowed(folder)
        linked = reachable(folder, graph)
        for number, line in enumerate(read(root, name).splitlines(), 1):
            match = INCLUDE.match(line)
            if not match:
                continue
            ours, theirs = match.groups()
            if ours and ours.startswith(TOP):
                other = os.path.dirname(ours)
                if other == folder:
                    continue
                if may is not None and not beneath(other, may):
                    report(name, number, "direction", f"{folder} must not include {other}")
                elif other not in linked:
                    report(name, number, "dependency",
                           f"{other} is not in DEPENDS of {folder}/CMakeLists.txt")
            for header in (ours, theirs):
                if header is None:
                    continue
                if header in BANNED_HEADERS:
                    report(name, number, "header", f"{header}: {BANNED_HEADERS[header]}")
                for pattern, homes in HEADER_HOMES:
                    if pattern.search(header) and not beneath(folder, homes):
                        report(name, number, "header", f"{header} belongs to {', '.join(homes)}")
            if folder in PURE and theirs in PURE_BANNED:
                report(name, number, "pure", f"<{theirs}> in {folder}, which has no clock, "
                                             "threads, IO or unordered containers")


def check_sizes(root, files, report):
    for name in files:
        limit = MAX_LINES.get(os.path.splitext(name)[1])
        if limit is None:
            continue
        count = read(root, name).count("\n")
        if count > limit:
            report(name, count, "size", f"{count} lines; find the seam below {limit}")


def check_names(root, files, report):
    del root
    for name in files:
        stem = os.path.splitext(os.path.basename(name))[0]
        if SOURCE.search(name) and (stem in BANNED_STEMS or stem.split("_")[-1] in BANNED_STEMS):
            report(name, 1, "name", f"'{stem}' says nothing; name what it does")


def check_words(root, files, report):
    banned = [
        (re.compile(r"\busing namespace std\s*;"), "name what you use"),
        (re.compile(r"\bsleep_for\b|\busleep\(|\bsleep\("), "wait for a condition with a deadline"),
        (re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b"), "finish it, or write it into docs/PLAN.md"),
    ]
    sleepless = re.compile(r"// sleeps: ")
    for name in files:
        if not SOURCE.search(name):
            continue
        for number, line in enumerate(read(root, name).splitlines(), 1):
            for pattern, why in banned:
                if pattern.search(line) and not sleepless.search(line):
                    report(name, number, "word", f"'{pattern.search(line).group(0)}': {why}")


def check_headers(root, files, report):
    for name in files:
        if not name.endswith(".h"):
            continue
        text = read(root, name)
        if 'extern "C"' in text and text.startswith("/*"):
            continue  # a C header: another compiler's comments and guards
        if not text.startswith("//"):
            report(name, 1, "contract", "a header opens with what it is and its thread rule")
        if "#pragma once" not in text:
            report(name, 1, "contract", "#pragma once is missing")


def check_registered(root, files, report):
    listed = set()
    for name in files:
        if os.path.basename(name) != "CMakeLists.txt":
            continue
        folder = os.path.dirname(name)
        for function, words in cmake_calls(read(root, name)):
            base = words.get("FOLDER", [None])[0] or (
                folder[len("tests/"):] if folder.startswith("tests/") else folder)
            tests = words.get("TESTS", []) + (
                words.get("SOURCES", []) if function == "tutti_test" else [])
            for test in tests:
                listed.add(os.path.normpath(os.path.join("tests", base, test)))
    for name in files:
        if name.startswith("tests/") and name.endswith("_test.cc") and name not in listed:
            report(name, 1, "unregistered", "no CMakeLists.txt builds this test")


# What a unity build (release's, the sanitizers') would define twice: names of unnamed namespaces.
DEFINITIONS = [
    re.compile(r"^(?:class|struct|enum class|enum) (\w+)(?: final)?(?: :[^\n;]*)? \{", re.M),
    re.compile(r"^using (\w+) = [^;]*;", re.M),
    re.compile(r"^(?:constexpr|const|constinit|thread_local)\b[^\n=({]*?\b(\w+)(?:\[[^\]\n]*\])? ?[={;]",
               re.M),
    re.compile(r"^(?!using|return|template|namespace)[A-Za-z_][\w:<>,&*\[\] ]*?[ &*]"
               r"(\w+\([^;{}]*?\))(?: const| noexcept)*\s*\{", re.M),
]


def parameter_types(definition):
    """What tells overloads apart in a call: `Make(const Model& model, int rows = 1)` is `Make(const Model&)`."""
    name, paren, parameters = definition.partition("(")
    if not paren:
        return definition
    types, depth, word = [], 0, ""
    for char in parameters.removesuffix(")") + ",":
        depth += (char in "<({") - (char in ">)}")
        if char == "," and depth == 0:
            word = word.strip()
            if word and "=" not in word:
                types.append(re.sub(r"(?<=[\s&*>])\w+$", "", word).strip())
            word = ""
        else:
            word += char
    return f"{name}({', '.join(types)})"


def unnamed_definitions(text):
    """{name with its namespace and, for functions, its parameters' types: (line, text of an alias or None)}"""
    found = {}
    outer = ""
    for match in re.finditer(r"^namespace ([\w:]+) \{$|^namespace \{\n(.*?)^\}  // namespace$",
                             text, re.M | re.S):
        if match.group(1):
            outer = match.group(1)
            continue
        for pattern in DEFINITIONS:
            for name in pattern.finditer(match.group(2)):
                line = text.count("\n", 0, match.start(2) + name.start()) + 1
                alias = name.group(0) if name.group(0).startswith("using") else None
                found[outer + "::" + parameter_types(re.sub(r"\s+", " ", name.group(1)))] = line, alias
    return found


def check_unity(root, files, report):
    for name in files:
        if os.path.basename(name) != "CMakeLists.txt":
            continue
        folder = os.path.dirname(name)
        for function, words in cmake_calls(read(root, name)):
            tests = os.path.join("tests", words.get("FOLDER", [folder])[0])
            for home, key in ((folder, "SOURCES"), (tests, "TESTS")):
                if key == "SOURCES" and function == "tutti_test":
                    home = tests
                first = {}
                for source in words.get(key, []):
                    path = os.path.normpath(os.path.join(home, source))
                    if path not in files:
                        continue
                    for what, (line, alias) in unnamed_definitions(read(root, path)).items():
                        other, other_alias = first.setdefault(what, (path, alias))
                        if other != path and (alias is None or alias != other_alias):
                            report(path, line, "unity", f"{what} is in {other} too, and a "
                                   "unity build puts them into one file: name what differs")


RULES = [check_unity, check_includes, check_sizes, check_names, check_words, check_headers, check_registered]


def findings(root):
    files = tracked_files(root)
    found = []
    for rule in RULES:
        rule(root, files, lambda name, line, kind, what: found.append((name, line, kind, what)))
    return found, len(files)


PLANTS = {
    "direction": ("scheduler/core/bad.h", '// A.\n#pragma once\n#include "worker/agent/x.h"\n'),
    "dependency": ("jobs/spec/bad.h", '// A.\n#pragma once\n#include "common/file/file.h"\n'),
    "header": ("worker/model/bad.h", "// A.\n#pragma once\n#include <torch/torch.h>\n"),
    "pure": ("scheduler/core/bad.h", "// A.\n#pragma once\n#include <mutex>\n"),
    "size": ("common/base/bad.h", "// A.\n#pragma once\n" + "\n" * 300),
    "name": ("common/base/string_util.h", "// A.\n#pragma once\n"),
    "word": ("common/base/bad.h", "// A.\n#pragma once\nusing namespace std;\n"),
    "contract": ("common/base/bad.h", "#pragma once\n"),
    "unity": ("jobs/spec/b.cc", "namespace tutti {\nnamespace {\n\nconstexpr int kA = 1;\n\n}  // namespace\n"
                                "}  // namespace tutti\n"),
    "unregistered": ("tests/common/base/bad_test.cc", "// A.\n"),
}


def self_test():
    failed = 0
    for kind, (name, text) in PLANTS.items():
        with tempfile.TemporaryDirectory() as root:
            subprocess.run(["git", "-C", root, "init", "-q"], check=True)
            for folder in ("common/base", "jobs/spec"):
                os.makedirs(os.path.join(root, folder))
                with open(os.path.join(root, folder, "CMakeLists.txt"), "w") as file:
                    file.write("tutti_library(SOURCES a.cc b.cc)\n")
                with open(os.path.join(root, folder, "a.cc"), "w") as file:
                    file.write("namespace tutti {\nnamespace {\n\nconst int kA{1};\n\n}  // namespace\n"
                               "}  // namespace tutti\n")
            clean, _ = findings(root)
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as file:
                file.write(text)
            kinds = {found[2] for found in findings(root)[0]}
        ok = not clean and kind in kinds
        failed += not ok
        print(f"{'ok' if ok else 'FAIL'} catches {kind}")
    print(f"{len(PLANTS) - failed} passed, {failed} failed")
    return 1 if failed else 0


def main():
    if sys.argv[1:] == ["--self-test"]:
        return self_test()
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..", "..")
    found, count = findings(os.path.abspath(root))
    for name, line, kind, what in found:
        print(f"{name}:{line}: {kind}: {what}")
    print(f"tidy: {count} files, {len(found)} findings")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
