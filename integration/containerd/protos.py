"""The shim's messages against containerd's .proto files: protos.sh runs it.

  protos.py DESCRIPTOR-SET VERSION-OF-CONTAINERD PROGRAM

First the tables: of every message of shim/src/proto/*.rs, each field's number, name and type is that of the .proto file, and none is
missing; and each method of the Task service, of both versions, has its messages among ours. Then random messages: what Google's
implementation has written, ours reads and writes again (PROGRAM, shim/examples/messages.rs), and it is the same message there; so are
two messages one behind the other; and of bytes that somebody has damaged, both read the same or ours refuses.

Owns: the names that differ, and the list of what is known to differ. `table.rs` is not containerd's.
"""

import copy
import os
import random
import re
import subprocess
import sys

# That of C++ takes a field with the number 0 for the end of the message.
os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # noqa: E402
from google.protobuf.descriptor import FieldDescriptor as Kind  # noqa: E402
from google.protobuf.message import DecodeError  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCES = os.path.join(os.path.dirname(os.path.dirname(HERE)), "shim", "src", "proto")
SEED = int(os.environ.get("SEED", "1"))
COUNT = int(os.environ.get("COUNT", "200"))

# Not in Debian's containerd yet (2.1): `containerd.runtime.bootstrap.v1` came with 2.3. They are compared as soon as it is there: this
# script fails when a package of that name exists.
MISSING = {"bootstrap::BootstrapParams", "bootstrap::Extension", "bootstrap::BootstrapResult"}
MISSING_PACKAGE = "containerd.runtime.bootstrap.v1"

# The CRI's .proto file is in no package of Debian's; the CRI of real daemons fills these in for us (cases/sandbox.py).
MISSING |= {
    "cri::" + name
    for name in (
        "PodSandboxConfig", "PodSandboxMetadata", "LinuxPodSandboxConfig", "LinuxSandboxSecurityContext", "NamespaceOption", "UserNamespace",
        "IdMapping", "Int64Value", "LinuxContainerResources",
    )
}  # fmt: skip

# Fields of ours that the .proto files do not have.
MORE = {
    ("options::RuncOptions", 8): "criu_path: containerd 1.x has it",
    ("options::CheckpointOptions", 10): "parent_path: newer than Debian's containerd",
    # Of the cgroups library; Debian has 3.0.5.
    ("metrics::v2::Metrics", 9): "network: newer",
    ("metrics::v2::CpuStat", 8): "nr_bursts: newer",
    ("metrics::v2::CpuStat", 9): "burst_usec: newer",
    ("metrics::v2::HugeTlbStat", 4): "failcnt: newer",
    ("metrics::v2::MemoryEvents", 6): "oom_group_kill: newer",
}

# Names that Rust does not allow.
NAMES = {"kind": "type"}

# Ours, where the name does not say it. One of ours may be several of theirs.
TASK = ("containerd.task.v2.", "containerd.task.v3.")
THEIRS = {
    "Any": ["google.protobuf.Any"],
    "Timestamp": ["google.protobuf.Timestamp"],
    "Empty": ["google.protobuf.Empty"],
    "Mount": ["containerd.types.Mount"],
    "ttrpc::Status": ["google.rpc.Status"],
    "bootstrap::RuntimeInfo": ["containerd.types.RuntimeInfo"],
    "bootstrap::RuntimeVersion": ["containerd.types.RuntimeVersion"],
    "events::TaskIo": ["containerd.events.TaskIO"],
    "events::TaskOnly": ["containerd.events.TaskOOM", "containerd.events.TaskPaused", "containerd.events.TaskResumed"],
    "events::ForwardRequest": ["containerd.services.events.ttrpc.v1.ForwardRequest"],
    "events::Envelope": ["containerd.types.Envelope"],
    "options::RuncOptions": ["containerd.runc.v1.Options"],
    "options::CheckpointOptions": ["containerd.runc.v1.CheckpointOptions"],
    "options::RuntimeOptions": ["runtimeoptions.v1.Options"],
    "task::PidResponse": [v + n for v in TASK for n in ("CreateTaskResponse", "StartResponse")],
    "task::ProcessRequest": [v + n + "Request" for v in TASK for n in ("Start", "Delete", "State", "Wait")],
    "task::IdRequest": [v + n + "Request" for v in TASK for n in ("Pids", "Pause", "Resume", "Stats", "Connect")],
    "task::ProcessInfo": ["containerd.v1.types.ProcessInfo"],
    "task::ProcessDetails": ["containerd.runc.v1.ProcessDetails"],
    "task::CloseIoRequest": [v + "CloseIORequest" for v in TASK],
    "sandbox::SandboxRequest": [
        "containerd.runtime.sandbox.v1." + n + "Request"
        for n in ("StartSandbox", "Platform", "WaitSandbox", "Ping", "ShutdownSandbox", "SandboxMetrics")
    ],
    "sandbox::Platform": ["containerd.types.Platform"],
    "sandbox::Metric": ["containerd.types.Metric"],
    "metrics::v1::CpuStat": ["io.containerd.cgroups.v1.CPUStat"],
    "metrics::v1::CpuUsage": ["io.containerd.cgroups.v1.CPUUsage"],
    "metrics::v1::BlkIoStat": ["io.containerd.cgroups.v1.BlkIOStat"],
    "metrics::v1::BlkIoEntry": ["io.containerd.cgroups.v1.BlkIOEntry"],
    "metrics::v2::CpuStat": ["io.containerd.cgroups.v2.CPUStat"],
    "metrics::v2::PsiStats": ["io.containerd.cgroups.v2.PSIStats"],
    "metrics::v2::PsiData": ["io.containerd.cgroups.v2.PSIData"],
    "metrics::v2::IoStat": ["io.containerd.cgroups.v2.IOStat"],
    "metrics::v2::IoEntry": ["io.containerd.cgroups.v2.IOEntry"],
}
PACKAGES = {
    "ttrpc": ["ttrpc."],
    "events": ["containerd.events."],
    "task": TASK,
    "sandbox": ["containerd.runtime.sandbox.v1."],
    "metrics::v1": ["io.containerd.cgroups.v1."],
    "metrics::v2": ["io.containerd.cgroups.v2."],
}
# Debian's ttrpc has a Status of its own, with only the first field.
TTRPC, TTRPC_STATUS = "request.proto", "proto/status.proto"
STATUS, STATUS_FILE = "google.rpc.Status", "github.com/gogo/googleapis/google/rpc/status.proto"

SCALARS = {
    "String": Kind.TYPE_STRING,
    "bool": Kind.TYPE_BOOL,
    "u32": Kind.TYPE_UINT32,
    "u64": Kind.TYPE_UINT64,
    "i32": Kind.TYPE_INT32,
    "i64": Kind.TYPE_INT64,
    "f64": Kind.TYPE_DOUBLE,
    "Vec<u8>": Kind.TYPE_BYTES,
}
faults = []


def fault(text):
    faults.append(text)
    print(text if len(text) < 1500 else text[:1500] + "...")


# ---- ours


def blocks(text):
    """The inside of each `messages! { ... }`, with the module that it is in."""
    for found in re.finditer(r"messages! \{", text):
        depth, end = 1, found.end()
        while depth:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        inside = text[: found.start()].endswith(" ")
        modules = re.findall(r"^pub mod (\w+) \{", text[: found.start()], re.M)
        yield (modules[-1] + "::" if inside else ""), text[found.end() : end - 1]


def ours():
    """{module::Name: {number: (name, type)}}"""
    found = {}
    for file in sorted(os.listdir(SOURCES)):
        if file in ("wire.rs", "table.rs"):
            continue
        with open(os.path.join(SOURCES, file)) as f:
            text = re.sub(r"//.*", "", f.read())
        module = "" if file == "mod.rs" else file[:-3] + "::"
        for inner, block in blocks(text):
            for name, fields in re.findall(r"(\w+) \{([^}]*)\}", block):
                fields = re.findall(r"(\d+) (\w+): ((?:[^,<]|<[^>]*>)+)", fields)
                found[module + inner + name] = {int(number): (field, kind.strip()) for number, field, kind in fields}
    return found


def theirs(name):
    if name in THEIRS:
        return THEIRS[name]
    module, _, base = name.rpartition("::")
    return [package + base for package in PACKAGES.get(module, [])]


# ---- the tables


def expected_type(module, kind, messages):
    """(repeated, type, the names that a message may have)"""
    if kind in SCALARS:
        return False, SCALARS[kind], None
    outer, inner = re.fullmatch(r"(\w+)<(.*)>", kind).groups()
    if outer == "Vec" and inner in SCALARS:
        return True, SCALARS[inner], None
    if outer == "BTreeMap":
        return True, "map", None
    name = next((one for one in (module + inner, inner) if one in messages), None)
    if name is None:
        # `pub use` of the metrics.
        name = "metrics::v1::" + inner
        return outer == "Vec", Kind.TYPE_MESSAGE, [one.replace(".v1.", ".v2.") for one in theirs(name)] + theirs(name)
    return outer == "Vec", Kind.TYPE_MESSAGE, theirs(name)


def compare_field(where, module, name, kind, field, messages):
    if NAMES.get(name, name) != field.name:
        fault(f"{where} is {field.name} in the .proto file")
    repeated, wanted, names = expected_type(module, kind, messages)
    if repeated != (field.label == Kind.LABEL_REPEATED):
        fault(f"{where} {name}: {kind}, but repeated or not in the .proto file")
    if wanted == "map":
        entry = field.message_type
        if entry is None or not entry.GetOptions().map_entry or any(f.type != Kind.TYPE_STRING for f in entry.fields):
            fault(f"{where} {name} is no map<string, string> in the .proto file")
    elif field.type != wanted and not (wanted == Kind.TYPE_INT32 and field.type == Kind.TYPE_ENUM):
        fault(f"{where} {name}: {kind}, but type {field.type} in the .proto file")
    elif names is not None:
        if field.message_type.full_name not in names:
            fault(f"{where} {name}: {kind}, but {field.message_type.full_name} in the .proto file")


def compare(name, full_name, fields, pool, messages):
    descriptor = pool.FindMessageTypeByName(full_name)
    module = name.rpartition("::")[0]
    module = module + "::" if module else ""
    known = {field.number: field for field in descriptor.fields}
    for number, (field, kind) in fields.items():
        where = f"{name} {number}"
        if number in known:
            compare_field(where, module, field, kind, known[number], messages)
        elif (name, number) not in MORE:
            fault(f"{where} {field} is not in {full_name}")
    for number in known.keys() - fields.keys():
        fault(f"{name} lacks {number} {known[number].name} of {full_name}")


def compare_tables(pool, messages):
    """The pairs that are of one shape."""
    pairs = []
    for name, fields in messages.items():
        if name in MISSING:
            continue
        if not theirs(name):
            fault(f"{name}: of no known package")
        for full_name in theirs(name):
            try:
                compare(name, full_name, fields, pool, messages)
                pairs.append((name, full_name))
            except KeyError:
                fault(f"{name}: no {full_name}")
    for name, number in MORE:
        if any(number in pool.FindMessageTypeByName(one).fields_by_number for one in theirs(name)):
            fault(f"{name} {number} is in Debian's containerd now: it has to leave the list")
    have = {full_name for _, full_name in pairs}
    for service in ("containerd.task.v2.Task", "containerd.task.v3.Task", "containerd.runtime.sandbox.v1.Sandbox"):
        for method in pool.FindServiceByName(service).methods:
            for side in (method.input_type, method.output_type):
                # An answer without fields is Empty.
                if side.full_name not in have and (side.fields or side is method.input_type):
                    fault(f"{method.full_name}: {side.full_name} is none of ours")
    return pairs


# ---- random messages


class Program:
    def __init__(self, path):
        self.process = subprocess.Popen([path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def again(self, name, data):
        """The bytes that ours writes, or the name of its fault."""
        self.process.stdin.write(f"{name} {data.hex()}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline().rstrip("\n")
        if answer.startswith("?"):
            raise SystemExit(f"{name}: shim/examples/messages.rs does not know it")
        return answer[1:] if answer.startswith("!") else bytes.fromhex(answer)


def a_number(dice, bits, signed):
    edges = [1, 127, 128, 300, (1 << bits) - 1, 1 << (bits - 1), dice.getrandbits(bits)]
    value = dice.choice(edges)
    return value - (1 << bits) if signed and value >= 1 << (bits - 1) else value


def a_value(dice, field, depth):
    if field.type == Kind.TYPE_STRING:
        return "".join(dice.choice(["a", "/", "\0", "\n", "é", "\u2028", "𐍈", "z" * 130]) for _ in range(dice.randrange(4)))
    if field.type == Kind.TYPE_BYTES:
        return dice.randbytes(dice.choice([0, 1, 5, 300]))
    if field.type == Kind.TYPE_BOOL:
        return dice.random() < 0.7
    if field.type == Kind.TYPE_DOUBLE:
        return dice.choice([0.0, -0.0, 1.5, -1e300, float("inf"), 5e-324])
    if field.type == Kind.TYPE_ENUM:
        return dice.choice(field.enum_type.values).number
    bits = 32 if field.type in (Kind.TYPE_INT32, Kind.TYPE_UINT32) else 64
    return a_number(dice, bits, field.type in (Kind.TYPE_INT32, Kind.TYPE_INT64))


def fill(dice, message, depth=0):
    for field in message.DESCRIPTOR.fields:
        if dice.random() < 0.4:
            continue
        repeated = field.label == Kind.LABEL_REPEATED
        here = getattr(message, field.name)
        if field.type != Kind.TYPE_MESSAGE:
            if repeated:
                here.extend(a_value(dice, field, depth) for _ in range(dice.randrange(4)))
            else:
                setattr(message, field.name, a_value(dice, field, depth))
        elif field.message_type.GetOptions().map_entry:
            text = field.message_type.fields_by_name["value"]
            for _ in range(dice.randrange(4)):
                here[a_value(dice, text, depth)] = a_value(dice, text, depth)
        elif repeated:
            for _ in range(dice.randrange(3)):
                fill(dice, here.add(), depth + 1)
        else:
            here.SetInParent()
            fill(dice, here, depth + 1)
    return message


def damaged(dice, data):
    data = bytearray(data)
    for _ in range(dice.randrange(1, 4)):
        at = dice.randrange(len(data) + 1)
        what = dice.randrange(4)
        if what == 0:
            data[at:at] = dice.randbytes(dice.randrange(1, 4))
        elif what == 1:
            del data[at : at + dice.randrange(1, 4)]
        elif at < len(data):
            data[at] = dice.randrange(256) if what == 2 else data[at] ^ 1 << dice.randrange(8)
    return bytes(data)


def parsed(kind, data):
    try:
        return kind.FromString(data)
    except (DecodeError, UnicodeDecodeError):
        return None


def has_unknown(message):
    return message.SerializeToString(deterministic=True) != plain(copy.deepcopy(message))


def plain(message):
    """What it says, as bytes: without what nobody knows. (A number that is none is not the same as itself, and an Any is unpacked to
    be compared.)"""
    message.DiscardUnknownFields()
    return message.SerializeToString(deterministic=True)


def exchange(dice, name, kind, program):
    one, other = fill(dice, kind()), fill(dice, kind())
    for data in (one.SerializeToString(), one.SerializeToString() + other.SerializeToString()):
        again = program.again(name, data)
        if isinstance(again, str) or plain(kind.FromString(again)) != plain(kind.FromString(data)):
            fault(f"{name} as {kind.DESCRIPTOR.full_name}: {data.hex()} became {again if isinstance(again, str) else again.hex()}")
    data = damaged(dice, one.SerializeToString())
    again, expected = program.again(name, data), parsed(kind, data)
    if isinstance(again, str):
        # A field with the wire type of another is unknown to Google's, and so are groups and, to that of Python, numbers that cannot be:
        # ours refuses more, never less.
        if expected is not None and again not in ("Mismatch", "WireType", "Varint", "Number"):
            fault(f"{name}: {data.hex()} is refused ({again})")
        return "refused"
    if expected is None:
        fault(f"{name} as {kind.DESCRIPTOR.full_name}: {data.hex()} is taken")
    # That of Python does not know a field by a key that is longer than it has to be.
    elif not has_unknown(expected) and plain(kind.FromString(again)) != plain(expected):
        fault(f"{name} as {kind.DESCRIPTOR.full_name}: {data.hex()} became {again.hex()}")
    return "taken"


def pool_of(files):
    """All of a descriptor set, ttrpc with the Status that it has everywhere else."""
    with open(files, "rb") as f:
        everything = {file.name: file for file in descriptor_pb2.FileDescriptorSet.FromString(f.read()).file}
    ttrpc = everything.pop(TTRPC)
    ttrpc.dependency[:] = [STATUS_FILE if name == TTRPC_STATUS else name for name in ttrpc.dependency]
    for message in ttrpc.message_type:
        for field in message.field:
            if field.type_name == ".Status":
                field.type_name = "." + STATUS
    pool = descriptor_pool.DescriptorPool()
    for file in [*everything.values(), ttrpc]:
        pool.Add(file)
        if file.package == MISSING_PACKAGE:
            fault(f"{MISSING_PACKAGE} is in Debian's containerd now: it has to leave the list")
    return pool


def main():
    files, version, program = sys.argv[1:]
    pool, messages = pool_of(files), ours()
    pairs = compare_tables(pool, messages)
    dice, program = random.Random(SEED), Program(program)
    counts = {"refused": 0, "taken": 0}
    factory = message_factory.MessageFactory(pool)
    for name, full_name in pairs:
        kind = factory.GetPrototype(pool.FindMessageTypeByName(full_name))
        for _ in range(COUNT):
            counts[exchange(dice, name, kind, program)] += 1
            if len(faults) > 20:
                raise SystemExit(f"protos: too much is wrong; SEED={SEED}")
    fields = sum(len(fields) for fields in messages.values())
    print(
        f"protos: {len(messages)} messages, {fields} fields, as containerd {version} has them under {len(pairs)} names; not there yet:"
        f" {', '.join(sorted(MISSING))}; {len(pairs) * COUNT} random ones there and back, and damaged"
        f" ({counts['taken']} read, {counts['refused']} refused); SEED={SEED}; {len(faults)} faults"
    )
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
