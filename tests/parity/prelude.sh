# What the lines of cases/*.txt may use. The current directory has `bundle` and, when there are containers, `root`.

# The runtime on the containers of this scene.
r() { runc --root root "$@"; }

# Changes config.json by a filter of jq.
config() { jq "$@" <bundle/config.json >config.new && mv config.new bundle/config.json; }

# The program of the containers that come.
program() { config '.process.args = $ARGS.positional' --args -- "$@"; }

# The container NAME in the cgroup of that name.
place() { config '.linux.cgroupsPath |= sub("[^/]*$"; $name)' --arg name "$1"; }

# Containers in each of the states, and with a program that waits.
created() { program sleep 100 && r create -b bundle "${1:-box}"; }
running() { created "${1:-box}" && r start "${1:-box}"; }
paused() { running && r pause box; }
stopped() { running "${1:-box}" && r kill "${1:-box}" KILL && await stopped "${1:-box}"; }

# Waits until the container is what it should be.
await() {
	for _ in $(seq 200); do
		[ "$(r state "${2:-box}" 2>/dev/null | jq -r .status)" = "$1" ] && return
		sleep 0.02
	done
	return 1
}

# A field of `state`.
field() { r state "${2:-box}" | jq -r ".$1"; }

# Runs a container with config.json changed by a filter of jq, and then as it was; or with another text for it.
with() {
	[ -e good.json ] || cp bundle/config.json good.json
	cp good.json bundle/config.json && config "$1" && r run -b bundle box
}
document() { printf %s "$1" >bundle/config.json && r run -b bundle box; }

# Creates a container, and removes it if it came to be or has left something behind.
attempt() {
	local code=0
	r create -b bundle box || code=$?
	ls root && r delete -f box
	return $code
}
