"""A program of the host on a terminal of its own, as a person at a keyboard has it."""

import os
import pty
import select
import time


class Terminal:
    """A program of the host on a terminal of its own."""

    def __init__(self, start):
        self.master, slave = pty.openpty()
        self.process = start(stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
        os.close(slave)
        self.text = ""

    def write(self, text):
        os.write(self.master, text.encode())

    def wait_for(self, wanted, timeout=15):
        deadline = time.monotonic() + timeout
        while wanted not in self.text:
            if time.monotonic() > deadline or not self.read():
                raise AssertionError(f"waited for {wanted!r}, got {self.text!r}")

    def read(self):
        if not select.select([self.master], [], [], 0.5)[0]:
            return True
        try:
            self.text += os.read(self.master, 4096).decode(errors="replace")
        except OSError:
            return False
        return True

    def end(self, timeout=15):
        try:
            return self.process.wait(timeout)
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            os.close(self.master)
