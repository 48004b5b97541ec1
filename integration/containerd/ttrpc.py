"""ttrpc, as much as the tests need: one call to a shim, and a recorder that stands between the shims and a daemon's events.

The recorder is what makes "no event is lost, none is doubled" a thing to assert: a subscriber of a daemon that is killed again and
again misses what was told before it had subscribed; the recorder is there when the test says that the daemon is, and what it
has acknowledged it has written down.
"""

import os
import socket
import struct
import threading

from wire import SCHEMA, decode, encode

REQUEST, RESPONSE = 1, 2


def _receive(connection, length):
    data = b""
    while len(data) < length:
        got = connection.recv(length - len(data))
        if not got:
            raise EOFError("the connection has ended")
        data += got
    return data


def read_frame(connection):
    length, stream, kind, _ = struct.unpack(">IIBB", _receive(connection, 10))
    return stream, kind, _receive(connection, length)


def write_frame(connection, stream, kind, payload):
    connection.sendall(struct.pack(">IIBB", len(payload), stream, kind, 0) + payload)


def call(address, service, method, request=b"", timeout=5):
    """The payload of the answer and the status (None when it is good)."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(address.removeprefix("unix://"))
        write_frame(connection, 1, REQUEST, encode("TtrpcRequest", {"service": service, "method": method, "payload": request}))
        _, _, payload = read_frame(connection)
    answer = decode("TtrpcResponse", payload)
    status = answer.status if answer.status and answer.status.code else None
    return answer.payload, status


def shim_pid(address, id):
    """The pid of the shim that serves at an address, as it says itself."""
    for version in ("v2", "v3"):
        payload, status = call(address, f"containerd.task.{version}.Task", "Connect", encode("ConnectRequest", {"id": id}))
        if status is None:
            return decode("ConnectResponse", payload).shim_pid
    raise AssertionError(f"{address}: {status.message}")


class Recorder:
    """Listens where the shims send events, writes down each, and answers as a daemon does. `open` and `close` are the daemon's
    life and death; between a record and its answer nothing of the test can come."""

    def __init__(self, path):
        self.path = path
        self.events = []
        self.changed = threading.Condition()
        self.listener = None
        self.connections = set()

    def open(self):
        with self.changed:
            if os.path.exists(self.path):
                os.unlink(self.path)
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.path)
            self.listener.listen(128)
            threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def close(self):
        with self.changed:
            if self.listener:
                self.listener.shutdown(socket.SHUT_RDWR)
                self.listener.close()
                self.listener = None
            for connection in self.connections:
                connection.shutdown(socket.SHUT_RDWR)
            self.connections.clear()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self.changed:
                if self.listener is not listener:
                    connection.close()
                    return
                self.connections.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            while True:
                stream, _, payload = read_frame(connection)
                request = decode("TtrpcRequest", payload)
                with self.changed:
                    if connection not in self.connections:
                        return
                    write_frame(connection, stream, RESPONSE, encode("TtrpcResponse", {}))
                    self._record(request)
        except (EOFError, OSError):
            pass
        finally:
            with self.changed:
                self.connections.discard(connection)
            connection.close()

    def _record(self, request):
        envelope = decode("ForwardRequest", request.payload).envelope
        kind = envelope.event.type_url.rpartition(".")[2]
        if kind in SCHEMA:
            self.events.append((kind, decode(kind, envelope.event.value)))
            self.changed.notify_all()

    def of(self, id):
        with self.changed:
            return [(kind, event) for kind, event in self.events if event.container_id == id]

    def wait_for(self, kind, id, timeout):
        def there():
            return any(seen == kind and event.container_id == id for seen, event in self.events)

        with self.changed:
            if not self.changed.wait_for(there, timeout):
                raise AssertionError(f"no {kind} of {id} has come within {timeout} s")
