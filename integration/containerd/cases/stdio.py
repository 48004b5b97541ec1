"""Streams: FIFOs of the test, terminals, stdin, files and loggers."""

import hashlib
import os
import time

from runner import contains, count, equal, eventually, test


def digest(data):
    return hashlib.sha256(bytes(data)).hexdigest()


@test()
def stdin_of_a_task(world):
    task = world.task(["/bin/cat"], stdin=True).run()
    task.write("one\n")
    task.out.wait_for("one\n")
    task.write("two\n")
    task.close_input()
    equal(task.wait(), 0)
    equal(task.out.wait_end(), "one\ntwo\n")


@test()
def stdin_of_an_exec(world):
    task = world.task(["/bin/sleep", "1000"]).run()
    process = task.exec(["/bin/sha256sum"], stdin=True).start()
    data = os.urandom(1 << 20)
    waiting = process.wait_later()
    process.write(data)
    process.close_input()
    equal(waiting.result().exit_status, 0)
    contains(process.out.wait_end(), digest(data))
    process.delete()


@test()
def stdin_stays_when_its_writer_goes(world):
    """A client that closes its end is not the end of stdin: only CloseIO is."""
    task = world.task(["/bin/cat"], stdin=True).run()
    task.write("one\n")
    task.out.wait_for("one\n")
    task.close_input(call=False)
    time.sleep(0.3)
    task.write("two\n")
    task.out.wait_for("two\n")
    task.close_input()
    equal(task.wait(), 0)


@test("TestContainerExecLargeOutput")
def large_output(world):
    task = world.task(["/bin/sleep", "1000"]).run()
    size = count(8, 256)
    # A generator that is its own check: the numbers are counted.
    process = task.exec(["/bin/sh", "-c", f"i=0; while [ $i -lt {size} ]; do head -c 1048576 /dev/zero | tr '\\0' x; i=$((i+1)); done"])
    equal(process.finish(120), 0)
    process.out.wait_end(30)
    equal(process.out.count, size << 20)
    equal(set(bytes(process.out.data)), {ord("x")})


@test("TestContainerExecLargeOutputWithTTY", limit=120)
def large_output_with_tty(world):
    task = world.task(["/bin/sleep", "1000"]).run()
    wanted = "".join(f"{number}\r\n" for number in range(1, 20001))
    for _ in range(count(5, 100)):
        process = task.exec(["/bin/seq", "1", "20000"], tty=True)
        equal(process.finish(60), 0)
        equal(digest(process.out.wait_end().encode()), digest(wanted.encode()), f"{process.out.count} of {len(wanted)} bytes, the digest")


@test()
def last_words(world):
    """What is printed right before the end is read, however short the life."""
    for number in range(count(10, 200)):
        task = world.task(f"echo first; echo last {number}; echo err >&2", rootfs="plain").run()
        equal(task.wait(), 0)
        equal(task.out.wait_end(), f"first\nlast {number}\n")
        equal(task.err.wait_end(), "err\n")
        task.forget()


@test()
def slow_reader(world):
    """A reader that is slower than the container loses nothing, and the container waits for it."""
    lines = 20000
    task = world.task(f"seq 1 {lines}").create(rate=400_000)
    task.start()
    equal(task.wait(40), 0)
    equal(task.out.wait_end(20).split(), [str(number) for number in range(1, lines + 1)])


@test("TestContainerPTY")
def terminal_of_a_task(world):
    task = world.task("tty; stty size; read line; echo got $line", tty=True, stdin=True).create()
    task.resize(120, 40)
    task.start()
    task.out.wait_for("40 120")
    task.write("hello\n")
    equal(task.wait(), 0)
    text = task.out.wait_end()
    contains(text, "/dev/pts/0\r\n")
    contains(text, "got hello\r\n")


@test()
def terminal_of_an_exec(world):
    task = world.task(["/bin/sleep", "1000"]).run()
    process = task.exec(["/bin/sh"], tty=True, stdin=True).start()
    process.write("trap 'stty size' WINCH; echo rea''dy\n")
    process.out.wait_for("ready")
    process.resize(111, 33)
    process.write("stty size\n")
    process.out.wait_for("33 111")
    process.write("exit 21\n")
    equal(process.wait(), 21)
    process.out.wait_end()
    process.delete()


@test()
def streams_that_are_held(world):
    """A child that keeps an exec's stdout holds up its Delete for ten seconds at most (1.6's reference: two)."""
    task = world.task(["/bin/sleep", "1000"]).run()
    process = task.exec(["/bin/sh", "-c", "sleep 1001 & echo said"]).start()
    equal(process.wait(), 0, "the end is told at once")
    process.out.wait_for("said")
    began = time.monotonic()
    process.delete()
    assert time.monotonic() - began < 12, "Delete took too long"
    process.out.wait_end(3)


@test()
def no_streams(world):
    task = world.task("echo to nobody; exit 4")
    task.paths = {name: "" for name in task.paths}
    task.open_streams = lambda: None
    equal(task.run().wait(), 4)


@test()
def stream_to_a_file(world):
    path = f"{world.directory}/logs/deep/out.log"
    task = world.task("echo out; echo err >&2")
    task.paths = {"stdin": "", "stdout": f"file://{path}", "stderr": f"file://{path}"}
    task.open_streams = lambda: None
    task.run()
    equal(task.wait(), 0)
    equal(task.state().stdout, f"file://{path}")
    task.delete()
    with open(path) as f:
        equal(sorted(f.read().split()), ["err", "out"])


def logger(world):
    path = f"{world.directory}/logger"
    with open(path, "w") as f:
        f.write('#!/bin/sh\nlog=$2\nenv | grep CONTAINER | sort >$log.env\nexec 5>&-\ncat <&3 >$log.out & cat <&4 >$log.err\nwait\n')
    os.chmod(path, 0o755)
    return path


@test()
def stream_to_a_logger(world):
    log = f"{world.directory}/log"
    task = world.task("echo out; echo err >&2; sleep 1000")
    uri = f"binary://{logger(world)}?log={log}"
    task.paths.update(stdout=uri, stderr=uri)
    task.open_streams = lambda: None
    task.run()
    eventually(lambda: os.path.exists(log + ".err") and os.path.getsize(log + ".err"), what="the logger's files")
    task.kill()
    task.wait()
    task.delete()
    for name, wanted in (("out", "out\n"), ("err", "err\n"), ("env", f"CONTAINER_ID={task.id}\nCONTAINER_NAMESPACE={world.namespace}\n")):
        with open(f"{log}.{name}") as f:
            equal(f.read(), wanted, name)


@test()
def stream_of_an_unknown_kind(world):
    task = world.task("exit 0")
    task.paths = {"stdin": "", "stdout": "nosuch:///x", "stderr": "nosuch:///x"}
    task.open_streams = lambda: None
    try:
        task.create()
    except Exception as error:
        contains(str(error), "unknown STDIO scheme nosuch")
    else:
        raise AssertionError("it was accepted")
