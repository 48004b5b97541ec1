#!/usr/bin/env python3
"""licences.py --target TARGET: the licence texts of all that is linked into the programs, as those licences ask for it. A package without
a licence file is an error unless its licence needs none."""
import argparse
import pathlib
import sys

import metadata

# A package that offers Apache-2.0 is used under it, as this project is; its text is in LICENSE.
OURS = "Apache-2.0"


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--target", required=True)
    target = arguments.parse_args().target
    print("These packages are linked into dunnage and containerd-shim-dunnage-v2.\n")
    texts = {}
    for package in metadata.linked(target):
        directory = pathlib.Path(package["manifest_path"]).parent
        files = sorted(f for f in directory.iterdir()
                       if f.name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "UNLICENSE", "NOTICE")) and f.is_file())
        licence = package["license"] or ""
        if not files and OURS not in licence:
            sys.exit(f"{package['name']} {package['version']} ({licence}) has no file with its licence in {directory}")
        print(f"{package['name']} {package['version']}: {licence}; {package['repository'] or package['homepage'] or ''}".rstrip("; "))
        for file in files:
            text = file.read_text(encoding="utf-8", errors="replace").strip()
            texts.setdefault(text, []).append(f"{package['name']} {package['version']} {file.name}")
    if target.endswith("-gnu"):
        print("\nThe GNU C library (LGPL-2.1-or-later; https://www.gnu.org/software/libc/), statically, as the system's compiler has it. "
              "With the sources of this program, which are free, it can be linked with another one.")
    for text, users in texts.items():
        print("\n" + "=" * 100 + "\n" + "\n".join(users) + "\n" + "-" * 100 + "\n" + text)


main()
