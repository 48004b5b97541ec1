"""The life of a container of podman or Docker: exec, logs, attach, signals, pauses, restarts, copies."""

import os
import signal
import subprocess
import tarfile
import threading
import time

import leftovers
from checks import contains, equal, eventually
from registry import case


def sleeper(engine, *options, name="one"):
    return engine.up(name, *options, ["sh", "-c", "trap 'exit 4' TERM; echo up; while :; do sleep 0.1; done"])


@case()
def life(engine):
    sleeper(engine)
    equal(engine.status("one"), "running")
    assert os.path.exists(f"/proc/{engine.pid('one')}")
    contains(engine("ps"), "one")
    engine("stop", "--time", "10", "one")
    equal(engine.inspect("one", ".State.ExitCode"), "4")
    engine("start", "one")
    engine("restart", "--time", "5", "one")
    equal(engine.status("one"), "running")
    engine("kill", "one")
    equal(engine("wait", "one"), "137")
    engine("rm", "one")


@case()
def stop_by_force(engine):
    engine.up("one", ["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done"])
    engine("stop", "--time", "1", "one")
    equal(engine.inspect("one", ".State.ExitCode"), "137")
    engine("rm", "one")
    engine.up("two", "--stop-signal", "USR1", ["sh", "-c", "trap 'exit 6' USR1; echo up; while :; do sleep 0.1; done"])
    engine("stop", "two")
    equal(engine.inspect("two", ".State.ExitCode"), "6")
    engine.up("three", ["sleep", "1000"])
    engine.remove("three")


@case()
def kill_by_name(engine):
    engine.up("one", ["sh", "-c", "trap 'echo usr1' USR1; trap 'echo hup' HUP; echo up; while :; do sleep 0.1; done"])
    engine("kill", "--signal", "USR1", "one")
    engine("kill", "--signal", "SIGHUP", "one")
    engine.wait_log("one", "usr1")
    engine.wait_log("one", "hup")
    engine("kill", "--signal", "9", "one")
    equal(engine("wait", "one"), "137")
    assert engine.run("kill", "one", check=False).code != 0


@case()
def exec_status(engine):
    sleeper(engine)
    done = engine.exec("one", "echo out; echo err >&2; exit 5", check=5)
    equal((done.out, done.err), ("out\n", "err\n"))
    done = engine.run("exec", "one", "nosuch", check=False)
    # Docker 26 calls it 126.
    assert done.code in (126, 127), done.code
    contains(done.out + done.err, "executable file not found in $PATH")
    equal(engine.run("exec", "one", "/etc/passwd", check=False).code, 126)
    equal(engine.run("exec", "-i", "one", "cat", stdin="through\n").out, "through\n")
    equal(engine.exec("one", "id -u; id -G; pwd; echo $ANSWER", "--user", "31:7", "--workdir", "/tmp", "--env", "ANSWER=yes").out.split(), ["31", "7", "/tmp", "yes"])
    equal(engine.exec("one", "id -un; id -G", "--user", "squid").out.split(), ["squid", "31", "1234"])
    contains(engine.exec("one", "grep CapEff /proc/self/status", "--privileged").out, "ffffff")
    engine.run("exec", "-d", "one", "sh", "-c", "echo done >/tmp/done")
    eventually(lambda: engine.exec("one", "cat /tmp/done", check=False).out == "done\n", what="exec -d")
    equal(engine.exec("one", "seq 1 50000").out.split()[-1], "50000")


@case()
def exec_terminal(engine):
    sleeper(engine)
    terminal = engine.terminal("exec", "-it", "one", "sh")
    terminal.write("tty; echo is it $((6 * 7))\n")
    terminal.wait_for("/dev/pts/")
    terminal.wait_for("is it 42")
    terminal.write("exit 8\n")
    equal(terminal.end(), 8)


@case()
def exec_where_nobody_is(engine):
    engine.up("one", ["true"])
    engine("wait", "one")
    assert engine.run("exec", "one", "true", check=False).code != 0


@case()
def exec_at_once(engine):
    sleeper(engine)
    commands = [engine.start_command("exec", "one", "sh", "-c", f"echo {number}; exit {number}", stdout=-1, stderr=-1) for number in range(10)]
    for number, command in enumerate(commands):
        out, err = command.communicate(timeout=50)
        equal((out.decode(), command.returncode), (f"{number}\n", number), err.decode())


@case()
def exec_ends_with_the_container(engine):
    sleeper(engine)
    command = engine.start_command("exec", "one", "sleep", "1000", stdout=-1, stderr=-1)
    eventually(lambda: "sleep 1000" in engine.exec("one", "ps", check=False).out, what="the exec")
    engine("kill", "one")
    command.communicate(timeout=20)
    assert command.returncode not in (0, None)


@case()
def top(engine):
    engine.up("one", ["sleep", "1234"])
    contains(engine("top", "one"), "sleep 1234")


@case(applies=lambda engine: engine.freezes)
def pause(engine):
    sleeper(engine)
    engine("pause", "one")
    equal(engine.status("one"), "paused")
    assert engine.run("exec", "one", "true", check=False).code != 0
    engine("unpause", "one")
    equal(engine.status("one"), "running")
    engine.exec("one", "true")
    engine("pause", "one")
    engine.remove("one")


@case(applies=lambda engine: engine.limits)
def stats(engine):
    sleeper(engine, "--memory", "64m")
    text = engine("stats", "--no-stream", "--format", "{{.MemUsage}} {{.PIDs}}", "one")
    assert "/ 64MiB" in text or "/ 67.11MB" in text, text
    assert int(text.split()[-1]) in (1, 2, 3), text


@case()
def logs(engine):
    engine.up("one", ["sh", "-c", "echo out; echo err >&2; seq 1 20000; echo end"])
    engine("wait", "one")
    done = engine.run("logs", "one")
    equal(done.err, "err\n")
    lines = done.out.splitlines()
    equal((lines[0], lines[1], lines[-2], lines[-1], len(lines)), ("out", "1", "20000", "end", 20002))
    equal(engine("logs", "--tail", "1", "one"), "end")
    contains(engine("logs", "--timestamps", "--tail", "1", "one"), "T")


@case()
def logs_follow(engine):
    engine.up("one", ["sh", "-c", "for i in 1 2 3 4 5; do echo line $i; sleep 0.2; done"])
    equal(engine("logs", "--follow", "one").splitlines()[-1], "line 5")


@case()
def attach(engine):
    engine.up("one", "-i", ["sh", "-c", "echo up; while read line; do test $line = end && exit 6; echo got $line; done"])
    client = engine.start_command("attach", "one", stdin=-1, stdout=-1, stderr=-1)
    for word in (b"one", b"two"):
        client.stdin.write(word + b"\n")
        client.stdin.flush()
        equal(client.stdout.readline(), b"got " + word + b"\n")
    client.communicate(b"end\n", timeout=30)
    equal(engine("wait", "one"), "6")
    contains(engine("logs", "one"), "got two")


@case()
def attach_and_detach(engine):
    engine.up("one", "-it", ["sh"])
    for word in ("first", "second"):
        terminal = engine.terminal("attach", "one")
        time.sleep(0.3)
        terminal.write(f"echo {word} $((40 + 2))\n")
        terminal.wait_for(f"{word} 42")
        # One by one, as by a person: several bytes at once are no keys.
        for key in "\x10\x11":
            terminal.write(key)
            time.sleep(0.3)
        terminal.end()
        equal(engine.status("one"), "running")


@case()
def signals_by_proxy(engine):
    """A signal to the client reaches the container."""
    words = ["run", "--rm", *engine.split([["sh", "-c", "trap 'echo term; exit 7' TERM; echo up; while :; do sleep 0.1; done"]], "localhost/busybox:1")]
    client = engine.start_command(*words, stdout=-1, stderr=-1)
    first = client.stdout.readline()
    equal(first, b"up\n")
    client.send_signal(signal.SIGTERM)
    out, _ = client.communicate(timeout=30)
    equal((out, client.returncode), (b"term\n", 7))


@case()
def create_and_start(engine):
    engine("create", "--name", "one", *engine.split([["sh", "-c", "echo hello; exit 3"]], "localhost/busybox:1"))
    equal(engine.status("one"), "created")
    done = engine.run("start", "--attach", "one", check=3)
    equal(done.out, "hello\n")
    equal(engine.run("start", "--attach", "one", check=3).out, "hello\n")
    engine("create", "--name", "two", *engine.split([["true"]], "localhost/busybox:1"))
    engine("rm", "two")
    engine("create", "--name", "three", *engine.split([["nosuch"]], "localhost/busybox:1"))
    assert engine.run("start", "three", check=False).code != 0
    engine("rm", "three")


@case()
def copies(engine):
    sleeper(engine)
    path = engine.fresh("file")
    with open(path, "w") as f:
        f.write("copied")
    os.chmod(path, 0o644)
    engine("cp", path, "one:/tmp/file")
    equal(engine.exec("one", "cat /tmp/file").out, "copied")
    contains(engine("diff", "one"), "/tmp/file")
    engine("commit", "one", "localhost/committed:1")
    equal(engine.box(["cat", "/tmp/file"], image="localhost/committed:1").text, "copied")
    engine("rmi", "--force", "localhost/committed:1")
    data = subprocess.run(engine.words(["cp", "one:/etc/passwd", "-"]), capture_output=True, env=engine.env(), check=True).stdout
    contains(data.decode(errors="replace"), "squid")


@case()
def restart_policy(engine):
    engine.up("one", "--restart", "on-failure:2", ["sh", "-c", "echo run; exit 1"])
    eventually(lambda: (engine.status("one"), engine.inspect("one", ".RestartCount")) == ("exited", "2"), timeout=25, what="two restarts")
    equal(engine("logs", "one").split(), ["run"] * 3)
    engine.up("two", "--restart", "always", ["sh", "-c", "echo up; sleep 1000"])
    first = engine.pid("two")
    os.kill(first, signal.SIGKILL)
    eventually(lambda: engine.status("two") == "running" and engine.pid("two") not in (0, first), timeout=25, what="a new one")


@case()
def health(engine):
    engine.up("well", "--health-cmd", "test ! -e /tmp/ill", "--health-interval", "1s", "--health-retries", "1", "--health-timeout", "5s", ["sleep", "1000"])
    look = lambda: engine.inspect("well", ".State.Health.Status") if engine.name == "docker" else probe(engine, "well")  # noqa: E731
    eventually(lambda: look() == "healthy", timeout=20, what="healthy")
    engine.exec("well", "touch /tmp/ill")
    eventually(lambda: look() == "unhealthy", timeout=20, what="unhealthy")


def probe(engine, name):
    """podman's timers are systemd's; without it the command does what they would."""
    return "healthy" if engine.run("healthcheck", "run", name, check=False).code == 0 else "unhealthy"


@case(applies=lambda engine: engine.name == "docker" or engine.version >= (5, 5))
def health_that_hangs(engine):
    """A probe that takes too long: it counts as failed, and nothing of it stays. Older podmans wait for it."""
    engine.up("slow", "--health-cmd", "sleep 777", "--health-interval", "1s", "--health-retries", "1", "--health-timeout", "1s", ["sleep", "1000"])
    if engine.name == "docker":
        eventually(lambda: engine.inspect("slow", ".State.Health.Status") == "unhealthy", timeout=25, what="unhealthy")
    else:
        began = time.monotonic()
        equal(probe(engine, "slow"), "unhealthy")
        assert time.monotonic() - began < 20
    engine.exec("slow", "true")
    engine.remove("slow")
    eventually(lambda: not any("sleep 777" in line for line in leftovers.processes().values()), what="the end of the probe")


@case(applies=lambda engine: engine.limits)
def update(engine):
    """Limits of a running container."""
    sleeper(engine, "--memory", "64m")
    done = engine.run("update", "--memory", "48m", "--memory-swap", "96m", "--cpus", "0.3", "--cpu-shares", "300", "one", check=False)
    equal(done.code, 0, done.err)
    found = [path for path in leftovers.cgroups("") if engine.inspect("one", ".Id") in path and os.path.exists(path + "/memory.limit_in_bytes")]
    if found:
        equal(leftovers.read(found[0] + "/memory.limit_in_bytes").strip(), str(48 << 20))
    else:
        equal(engine.exec("one", "cat /sys/fs/cgroup/memory.max").text, str(48 << 20))


@case()
def events(engine):
    stream = subprocess.Popen(engine.words(["events", "--format", "json" if engine.name != "docker" else "{{json .}}"]), stdout=subprocess.PIPE, env=engine.env(), cwd="/")
    seen = []
    reader = threading.Thread(target=lambda: seen.extend(iter(stream.stdout.readline, b"")), daemon=True)
    reader.start()
    time.sleep(0.7)
    engine.up("one", ["sh", "-c", "exit 3"])
    engine("wait", "one")
    try:
        eventually(lambda: any(b"die" in line and b"3" in line for line in seen), what="the event of the end")
        for word in (b"create", b"start"):
            assert any(word in line for line in seen), (word, seen)
    finally:
        stream.kill()
        stream.wait()
        reader.join(5)


@case("podman", "podman-rootless")
def export(engine):
    engine("create", "--name", "one", *engine.split([["true"]], "localhost/busybox:1"))
    path = engine.fresh("export.tar")
    engine("export", "--output", path, "one")
    with tarfile.open(path) as tar:
        assert any(name.endswith("bin/busybox") for name in tar.getnames())


@case()
def rename_and_prune(engine):
    sleeper(engine)
    engine("rename", "one", "other")
    engine.exec("other", "true")
    engine("kill", "other")
    engine("wait", "other")
    engine("container", "prune", "--force")
    equal(engine("ps", "--all", "--quiet"), "")
