"""Images that are built: each RUN is a container."""

import os

from checks import contains, equal
from registry import case

FILE = """FROM localhost/busybox:1
RUN echo built >/built && id -u >/uid
ENV WORD=said
RUN ["sh", "-c", "echo $WORD >>/built"]
USER squid
WORKDIR /work
RUN id -un >/tmp/who
USER root
RUN mkdir -p /a/b && ln -s /built /a/b/link && echo other:x:5:5::/:/bin/sh >>/etc/passwd
"""


def context(caller, text):
    directory = caller.fresh("context")
    os.makedirs(directory, exist_ok=True)
    os.chmod(directory, 0o755)
    with open(directory + "/Dockerfile", "w") as f:
        f.write(text)
    return directory


LOOK = ["sh", "-c", "cat /a/b/link /uid /tmp/who; grep -c other /etc/passwd"]
SEEN = ["built", "said", "0", "squid", "1"]


@case("podman", "podman-rootless", limit=120)
def podman_build(podman):
    podman("build", "--network", "none", "--isolation", "oci", "--tag", "localhost/built:1", context(podman, FILE), timeout=110)
    equal(podman.box(LOOK, image="localhost/built:1").out.split(), SEEN)
    done = podman.run("build", "--network", "none", "--isolation", "oci", context(podman, "FROM localhost/busybox:1\nRUN exit 7\n"), check=False)
    contains(done.err, "7")
    assert done.code != 0
    podman("rmi", "--force", "localhost/built:1")


@case("docker", limit=120)
def docker_build(docker):
    docker("build", "--network", "none", "--tag", "localhost/built:1", context(docker, FILE), timeout=110)
    equal(docker.box(LOOK, image="localhost/built:1").out.split(), SEEN)
    done = docker.run("build", "--network", "none", context(docker, "FROM localhost/busybox:1\nRUN exit 7\n"), check=False)
    contains(done.err + done.out, "non-zero code: 7")
    docker("rmi", "--force", "localhost/built:1")


@case("buildah", limit=120)
def buildah_build(buildah):
    buildah("build" if buildah.run("build", "--help", check=False).code == 0 else "bud", "--network", "none", "--tag", "localhost/built:1", context(buildah, FILE), timeout=110)
    made = buildah("from", "localhost/built:1")
    equal(buildah("run", "--network", "none", made, "--", *LOOK).split(), SEEN)


@case("buildah")
def buildah_run(buildah):
    made = buildah("from", "localhost/busybox:1")
    done = buildah.run("run", "--network", "none", made, "--", "sh", "-c", "echo out; echo err >&2; exit 5", check=False)
    contains(done.out, "out")
    contains(done.err, "err")
    assert done.code in (1, 5), done.code
    equal(buildah.run("run", "--network", "none", made, "--", "cat", stdin="through").out, "through")
    equal(buildah("run", "--network", "none", "--user", "31", made, "--", "id", "-u"), "31")
    path = buildah.fresh("volume")
    os.makedirs(path)
    buildah("run", "--network", "none", "--volume", f"{path}:/there", made, "--", "sh", "-c", "echo x >/there/file")
    assert os.path.exists(path + "/file")
    buildah("run", "--network", "none", "--cap-drop", "all", made, "--", "true")
    buildah("run", "--network", "none", "--hostname", "named", made, "--", "hostname")
    done = buildah.run("run", "--network", "none", made, "--", "nosuch", check=False)
    assert done.code != 0
    contains(done.err, "executable file not found in $PATH")


@case("buildah")
def buildah_terminal(buildah):
    made = buildah("from", "localhost/busybox:1")
    terminal = buildah.terminal("run", "--network", "none", "--tty", made, "--", "sh")
    terminal.write("tty; echo is it $((6 * 7))\n")
    terminal.wait_for("/dev/pts/")
    terminal.wait_for("is it 42")
    terminal.write("exit 0\n")
    equal(terminal.end(), 0)
