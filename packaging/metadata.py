"""What is linked into the programs: the packages that `cargo metadata` resolves for a target, without those of builds and tests."""
import json
import os
import subprocess

PROGRAMS = ("dunnage", "containerd-shim-dunnage-v2")


def linked(target):
    """The packages of other people, sorted by name and version."""
    cargo = os.environ.get("CARGO", "cargo")
    text = subprocess.run(
        [cargo, "metadata", "--format-version", "1", "--locked", "--filter-platform", target],
        check=True, stdout=subprocess.PIPE).stdout
    metadata = json.loads(text)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    todo = [i for i, package in packages.items() if package["name"] in PROGRAMS]
    seen = set(todo)
    while todo:
        for dependency in nodes[todo.pop()]["deps"]:
            normal = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            # A procedural macro runs in the compiler; its own dependencies do, too.
            macro = any("proc-macro" in t["kind"] for t in packages[dependency["pkg"]]["targets"])
            if normal and not macro and dependency["pkg"] not in seen:
                seen.add(dependency["pkg"])
                todo.append(dependency["pkg"])
    found = [packages[i] for i in seen if packages[i]["source"] is not None]
    return sorted(found, key=lambda package: (package["name"], package["version"]))
