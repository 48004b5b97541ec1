"""`run` of podman and Docker: what a container gets, and what its caller gets of it."""

import fcntl
import hashlib
import json
import signal
import struct
import termios
import time

from checks import contains, equal
from registry import case


def resize(terminal, rows, columns):
    fcntl.ioctl(terminal.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


@case()
def run_exit_status(engine):
    done = engine.box(["sh", "-c", "echo hello; echo problem >&2; exit 3"], check=3)
    equal((done.out, done.err), ("hello\n", "problem\n"))
    engine.box(["sh", "-c", "sh -c 'kill -TERM $$'; exit $?"], check=143)


@case()
def run_what_is_not_there(engine):
    contains(engine.box(["/bin/nosuch"], check=127).err.lower(), "no such file or directory")
    contains(engine.box(["nosuch"], check=127).err.lower(), "executable file not found in $path")
    contains(engine.box(["/etc/passwd"], check=126).err.lower(), "permission denied")


@case()
def run_a_directory(engine):
    engine.box(["/etc"], check=126)


@case()
def run_where_it_cannot(engine):
    """What the runtime refuses: the caller's own words for it."""
    contains(engine.box("--workdir", "/etc/passwd", ["true"], check=False).err.lower(), "not a directory")
    assert engine.box("--user", "nosuchuser", ["true"], check=False).code in (125, 126)
    equal(engine("ps", "--all", "--quiet"), "")


@case()
def run_stdin(engine):
    data = bytes(range(256)) * 4000
    done = engine.box("-i", ["md5sum"], stdin=data)
    contains(done.out, hashlib.md5(data).hexdigest())
    equal(engine.box("-i", ["cat"], stdin="last words").out, "last words")


@case()
def run_large_output(engine):
    text = engine.sh("seq 1 100000; echo end >&2")
    equal(text.split()[-1], "100000")
    equal(len(text.split()), 100000)


@case()
def run_terminal(engine):
    terminal = engine.terminal("run", "--rm", "-it", *engine.split([["sh"]], "localhost/busybox:1"))
    terminal.write("tty; stty -a | head -1\n")
    terminal.wait_for("/dev/pts/0")
    resize(terminal, 33, 101)
    for _ in range(40):
        # It is not its controlling terminal: the kernel tells nobody.
        terminal.process.send_signal(signal.SIGWINCH)
        terminal.write("echo size $(stty size)\n")
        time.sleep(0.1)
        terminal.read()
        if "size 33 101" in terminal.text:
            break
    contains(terminal.text, "size 33 101")
    terminal.write("exit 9\n")
    equal(terminal.end(), 9)


@case()
def run_terminal_signals(engine):
    """Ctrl-C at the keyboard is a signal inside."""
    terminal = engine.terminal("run", "--rm", "-it", *engine.split([["sh", "-c", "trap 'echo got it; exit 5' INT; echo up; while :; do sleep 0.1; done"]], "localhost/busybox:1"))
    terminal.wait_for("up")
    terminal.write("\x03")
    terminal.wait_for("got it")
    equal(terminal.end(), 5)


@case(applies=lambda engine: engine.limits)
def run_limits(engine):
    script = """
        if [ -e /sys/fs/cgroup/memory.max ]; then cd /sys/fs/cgroup; cat memory.max pids.max cpu.max cpu.weight; exit; fi
        cd /sys/fs/cgroup; cat memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.shares cpuset/cpuset.cpus"""
    got = engine.sh(script, "--memory", "64m", "--pids-limit", "20", "--cpus", "0.5", "--cpu-shares", "512", "--cpuset-cpus", "0")
    equal(got.split()[:3], ["67108864", "20", "50000"])
    equal(engine.sh("ulimit -n; ulimit -u", "--ulimit", "nofile=100:200", "--ulimit", "nproc=300").split(), ["100", "300"])


@case(applies=lambda engine: engine.limits)
def run_out_of_memory(engine):
    engine.run("run", "-d", "--name", "one", *engine.split(["--memory", "16m", "--memory-swap", "16m", ["tail", "/dev/zero"]], "localhost/busybox:1"))
    equal(engine("wait", "one"), "137")
    equal(engine.inspect("one", ".State.OOMKilled"), "true")


@case()
def run_user(engine):
    equal(engine.sh("id -u; id -g; id -G; pwd; echo $ANSWER; hostname", "--user", "31:7", "--group-add", "1234", "--workdir", "/tmp", "--env", "ANSWER=yes",
                    "--hostname", "named").split(), ["31", "7", "7", "1234", "/tmp", "yes", "named"])  # fmt: skip
    equal(engine.sh("id -un; id -G", "--user", "squid").split(), ["squid", "31", "1234"])


@case()
def run_capabilities(engine):
    look = "sed -n 's/^Cap\\(Eff\\|Bnd\\|Amb\\|Inh\\):.//p' /proc/self/status"
    equal(set(engine.sh(look, "--cap-drop", "all").split()), {"0000000000000000"})
    contains(engine.sh(look, "--cap-drop", "all", "--cap-add", "CHOWN", "--cap-add", "sys_admin"), "0000000000200001")
    contains(engine.sh("grep NoNewPrivs /proc/self/status", "--security-opt", "no-new-privileges"), "1")
    equal(set(engine.sh(look, "--cap-drop", "all", "--user", "31").split()), {"0000000000000000"})


@case()
def run_seccomp(engine):
    profile = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 42}]}
    path = f"{engine.base}/seccomp.json"
    with open(path, "w") as f:
        json.dump(profile, f)
    contains(engine.box("--security-opt", f"seccomp={path}", ["mkdir", "/tmp/x"], check=False).err, "No message of desired type")
    contains(engine.sh("grep ^Seccomp: /proc/self/status"), "2")
    contains(engine.sh("grep ^Seccomp: /proc/self/status", "--security-opt", "seccomp=unconfined"), "0")


@case()
def run_privileged(engine):
    equal(engine.sh("mount -t tmpfs none /mnt 2>&1 || mkdir /mnt && mount -t tmpfs none /mnt && grep -c ' /mnt ' /proc/self/mountinfo; grep ^Seccomp: /proc/self/status", "--privileged").split()[-1], "0")


@case()
def run_read_only(engine):
    equal(engine.sh("touch /tmp/x && touch /x 2>/dev/null || echo refused", "--read-only", "--tmpfs", "/tmp:size=1m"), "refused")
    contains(engine.sh("df -k /tmp | tail -1", "--tmpfs", "/tmp:size=1m"), "1024")
    contains(engine.sh("df -k /dev/shm | tail -1", "--shm-size", "2m"), "2048")


@case()
def run_volumes(engine):
    path = engine.fresh("volume")
    engine_owner(engine, path)
    equal(engine.sh("echo in >/there/file; cat /there/file", "--volume", f"{path}:/there"), "in")
    contains(engine.sh("echo x >/there/file || cat /there/file", "--volume", f"{path}:/there:ro"), "in")
    contains(engine.sh("cat /file", "--volume", f"{path}/file:/file:ro"), "in")
    contains(engine.sh("cat /a/b/c/file", "--mount", f"type=bind,source={path},target=/a/b/c,readonly"), "in")
    for propagation in ("rprivate", "rslave", "rshared"):
        contains(engine.sh("grep ' /there ' /proc/self/mountinfo", "--volume", f"{path}:/there:{propagation}"), "/there")
    engine("volume", "create", "named")
    engine.sh("echo kept >/named/file; touch /named/other", "--volume", "named:/named")
    equal(engine.sh("cat /named/file", "--volume", "named:/named:ro"), "kept")
    # What the image has there is copied to a new volume.
    contains(engine.sh("cat /etc/passwd", "--volume", "fresh:/etc"), "squid")
    engine("volume", "rm", "named", "fresh")


def engine_owner(engine, path):
    import os

    os.makedirs(path)
    os.chmod(path, 0o777)


@case()
def run_devices(engine):
    equal(engine.sh("ls /dev | tr '\\n' ' '; head -c 3 /dev/zero | wc -c; echo x >/dev/null; test -c /dev/xnull && echo there", "--device", "/dev/null:/dev/xnull").split()[-2:], ["3", "there"])
    text = engine.sh("for name in null zero full random urandom tty; do test -c /dev/$name || echo no $name; done; test -e /dev/ptmx && test -e /dev/fd && test -e /dev/stdin && echo all")
    equal(text, "all")
    contains(engine.box(["head", "-c1", "/dev/full"], check=0).out, "\0")


@case()
def run_sysctl(engine):
    equal(engine.sh("cat /proc/sys/net/ipv4/ip_default_ttl /proc/sys/kernel/msgmax", "--sysctl", "net.ipv4.ip_default_ttl=77", "--sysctl", "kernel.msgmax=9000").split(), ["77", "9000"])
    contains(engine.box("--sysctl", "kernel.pid_max=1", ["true"], check=False).err, "pid_max")


@case()
def run_host_namespaces(engine):
    for name in ("pid", "ipc", "uts"):
        own, shared = engine.sh(f"readlink /proc/self/ns/{name}"), engine.sh(f"readlink /proc/self/ns/{name}", f"--{name}", "host")
        assert own != shared, name
    contains(engine("run", "--rm", "--network", "host", *engine.options[2:], "localhost/busybox:1", "ls", "/proc/net"), "tcp")


@case()
def run_of_another(engine):
    """Namespaces of another container."""
    engine.up("first", "--ipc", "shareable", ["sleep", "1000"])
    for name in ("network", "pid", "ipc"):
        options = [f"--{name}", "container:first"]
        inside = engine("exec", "first", "readlink", f"/proc/self/ns/{name[:3]}")
        words = [word for word in engine.options if name != "network" or word not in ("--network", "none")]
        equal(engine("run", "--rm", *words, *options, "localhost/busybox:1", "readlink", f"/proc/self/ns/{name[:3]}"), inside, name)


@case()
def run_init(engine):
    text = engine.sh("cat /proc/1/cmdline | tr '\\0' ' '; ps | grep -c defunct", "--init")
    assert "init" in text or "catatonit" in text, text


@case()
def run_masks(engine):
    """What of the kernel is hidden, and what may not be written."""
    equal(engine.sh("cat /proc/kcore 2>/dev/null | wc -c; cat /proc/timer_list 2>/dev/null | wc -c; (echo 1 >/proc/sys/kernel/domainname) 2>/dev/null || echo refused; (echo x >/proc/sysrq-trigger) 2>/dev/null || echo refused").split(),
          ["0", "0", "refused", "refused"])  # fmt: skip


@case(limit=90)
def run_many_at_once(engine):
    commands = [engine.start_command("run", "--rm", *engine.split([["sh", "-c", f"echo {number}; exit {number}"]], "localhost/busybox:1"), stdout=-1, stderr=-1) for number in range(8)]
    for number, command in enumerate(commands):
        out, err = command.communicate(timeout=80)
        equal((out.decode(), command.returncode), (f"{number}\n", number), err.decode())
