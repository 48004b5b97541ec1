#!/usr/bin/env python3
"""sbom.py FILE REPOSITORY: a bill of materials of cargo-cyclonedx without what differs from one build to the next: its number, the time, the
path of the sources, the order of its parts."""
import json
import sys


def placeless(value, repository):
    if isinstance(value, dict):
        return {key: placeless(item, repository) for key, item in value.items()}
    if isinstance(value, list):
        return [placeless(item, repository) for item in value]
    return value.replace(f"path+file://{repository}", "path+file:///dunnage").replace(repository, "/dunnage") if isinstance(value, str) else value


def main():
    path, repository = sys.argv[1:]
    with open(path, encoding="utf-8") as file:
        bill = placeless(json.load(file), repository.replace(" ", "%20"))
    bill = placeless(bill, repository)
    bill.pop("serialNumber", None)
    bill.get("metadata", {}).pop("timestamp", None)
    for key in ("components", "dependencies"):
        bill.get(key, []).sort(key=lambda item: item.get("bom-ref") or item.get("ref"))
    for dependency in bill.get("dependencies", []):
        dependency.get("dependsOn", []).sort()
    json.dump(bill, sys.stdout, indent=1, sort_keys=True)
    print()


main()
