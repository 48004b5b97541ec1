"""The images of the tests, made here: busybox as one layer, and a static pause. Written as one archive in OCI's layout, which
`ctr images import` takes. Knows nothing of daemons.
"""

import hashlib
import io
import json
import os
import subprocess
import tarfile

BUSYBOX = "localhost/busybox:1"
PAUSE = "localhost/pause:1"
# An image whose configuration has a user, for those tests that look at it.
USERS = "localhost/users:1"
HERE = os.path.dirname(os.path.abspath(__file__))


def rootfs(directory):
    """A root filesystem that a shell runs in, with two more users than root."""
    subprocess.run([os.path.join(HERE, "..", "rootfs.sh"), directory], check=True, timeout=60)
    with open(directory + "/etc/passwd", "a") as f:
        f.write("daemon:x:7:7:daemon:/:/bin/sh\nsquid:x:31:31:squid:/:/bin/sh\n")
    with open(directory + "/etc/group", "a") as f:
        f.write("daemon:x:7:\nsquid:x:31:\nextra:x:1234:squid\n")


    program("writer", directory + "/bin")


def pause(directory):
    os.makedirs(directory)
    program("pause", directory)


def program(name, directory):
    words = ["gcc", "-Wall", "-Wextra", "-static", "-Os", "-s", "-o", f"{directory}/{name}", f"{HERE}/{name}.c"]
    subprocess.run(words, check=True, timeout=60)


def _layer(directory):
    def plain(info):
        info.uid = info.gid = info.mtime = 0
        info.uname = info.gname = ""
        return info

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(os.listdir(directory)):
            tar.add(os.path.join(directory, name), arcname=name, filter=plain)
    return out.getvalue()


class _Archive:
    def __init__(self, path):
        self.tar = tarfile.open(path, "w")
        self.manifests = []
        self.written = set()

    def file(self, name, data):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data))

    def blob(self, data, media):
        digest = hashlib.sha256(data).hexdigest()
        if digest not in self.written:
            self.file("blobs/sha256/" + digest, data)
            self.written.add(digest)
        return {"mediaType": media, "digest": "sha256:" + digest, "size": len(data)}

    def image(self, name, layer, config):
        oci = "application/vnd.oci.image."
        diff = "sha256:" + hashlib.sha256(layer).hexdigest()
        document = {"architecture": "amd64", "os": "linux", "config": config, "rootfs": {"type": "layers", "diff_ids": [diff]}}
        manifest = {
            "schemaVersion": 2,
            "mediaType": oci + "manifest.v1+json",
            "config": self.blob(json.dumps(document).encode(), oci + "config.v1+json"),
            "layers": [self.blob(layer, oci + "layer.v1.tar")],
        }
        entry = self.blob(json.dumps(manifest).encode(), oci + "manifest.v1+json")
        entry["annotations"] = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name}
        self.manifests.append(entry)

    def close(self):
        index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": self.manifests}
        self.file("index.json", json.dumps(index).encode())
        self.file("oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        self.tar.close()


def archive(path, root, pause_root):
    """All images as one archive at PATH."""
    tar = _Archive(path)
    busybox = _layer(root)
    environment = ["PATH=/bin"]
    tar.image(BUSYBOX, busybox, {"Env": environment, "Cmd": ["/bin/sh"]})
    tar.image(USERS, busybox, {"Env": environment, "Cmd": ["/bin/id"], "User": "squid"})
    tar.image(PAUSE, _layer(pause_root), {"Entrypoint": ["/pause"]})
    tar.close()


def of_busybox(path, root):
    """The one image as an archive at PATH."""
    tar = _Archive(path)
    tar.image(BUSYBOX, _layer(root), {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"]})
    tar.close()
