// The floor: the least that a runtime must ask of the kernel for the default bundle of `runc spec`. The same namespaces,
// mounts, masks, devices, device rules, cgroup, capabilities, limits and exec, and nothing else: no configuration is read,
// nothing is checked, nothing is cleaned up on failure. It is a yardstick, not a runtime.
//
//   floor run     STATE ID ROOTFS CGROUP...     STATE: a directory; CGROUP: the container's own cgroup directory, one
//   floor create  STATE ID ROOTFS CGROUP...     in each hierarchy that the host has (they are made here). A cgroup v2
//   floor start   STATE ID                      one is recognised by the file cgroup.procs beside cgroup.controllers
//   floor exec    STATE ID                      of its parent, and entered by clone3 when it is the only one.
//   floor state|kill|delete STATE ID
//   floor --version
//
// FLOOR_ARGS=sleep makes the container's program `/bin/sleep 1000`; the default is /bin/true.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define CK(x) do { if ((x) < 0) { perror(#x); _exit(1); } } while (0)
#define LEN(a) (sizeof(a) / sizeof((a)[0]))
#define NSTYPES (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET)
#define NODEV (MS_NOSUID | MS_NOEXEC | MS_NODEV)

struct container {
	const char *root, **cgroup;
	int cgroups, v2;
	char dir[256];
};

// Device rules of the default bundle: nothing, but what every container gets. major or minor -1: any.
static const struct { char type; int major, minor; const char *access; } RULES[] = {
	{'c', -1, -1, "m"},  {'b', -1, -1, "m"}, {'c', 1, 3, "rwm"}, {'c', 1, 8, "rwm"}, {'c', 1, 7, "rwm"},   {'c', 5, 0, "rwm"},
	{'c', 1, 5, "rwm"},  {'c', 1, 9, "rwm"}, {'c', 136, -1, "rwm"}, {'c', 5, 2, "rwm"}, {'c', 10, 200, "rwm"},
};

static void attach_device_rules(int cgroup) {
	struct bpf_insn p[128];
	int n = 0;
#define I(c, d, s, o, i) p[n++] = (struct bpf_insn){.code = c, .dst_reg = d, .src_reg = s, .off = o, .imm = i}
	I(BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0);  // r2 = access << 16 | type
	I(BPF_ALU | BPF_MOV | BPF_X, 3, 2, 0, 0);
	I(BPF_ALU | BPF_AND | BPF_K, 2, 0, 0, 0xffff);  // r2 = type
	I(BPF_ALU | BPF_RSH | BPF_K, 3, 0, 0, 16);      // r3 = access
	I(BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0);       // r4 = major
	I(BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0);       // r5 = minor
	for (size_t r = 0; r < LEN(RULES); r++) {
		int start = n;
		I(BPF_JMP | BPF_JNE | BPF_K, 2, 0, 0, RULES[r].type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
		if (RULES[r].access[1] == 0) I(BPF_JMP | BPF_JNE | BPF_K, 3, 0, 0, BPF_DEVCG_ACC_MKNOD);
		if (RULES[r].major >= 0) I(BPF_JMP | BPF_JNE | BPF_K, 4, 0, 0, RULES[r].major);
		if (RULES[r].minor >= 0) I(BPF_JMP | BPF_JNE | BPF_K, 5, 0, 0, RULES[r].minor);
		int body = n;
		I(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 1);
		I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
		for (int j = start; j < body; j++) p[j].off = n - j - 1;
	}
	I(BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0);
	I(BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE, .insns = (unsigned long)p, .insn_cnt = n,
	                       .license = (unsigned long)"Apache"};
	int prog = syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof load);
	CK(prog);
	union bpf_attr attach = {.target_fd = cgroup, .attach_bpf_fd = prog, .attach_type = BPF_CGROUP_DEVICE,
	                         .attach_flags = BPF_F_ALLOW_MULTI};
	CK(syscall(SYS_bpf, BPF_PROG_ATTACH, &attach, sizeof attach));
	close(prog);
}

static void put(const char *dir, const char *file, const char *text) {
	char path[512];
	snprintf(path, sizeof path, "%s/%s", dir, file);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	CK(fd);
	CK(write(fd, text, strlen(text)));
	close(fd);
}

static const char *hierarchy(const char *cgroup) {  // /sys/fs/cgroup/NAME/...: NAME
	static char name[64];
	sscanf(cgroup + strlen("/sys/fs/cgroup/"), "%63[^/]", name);
	return name;
}

static void v1_device_rules(const char *cgroup) {
	put(cgroup, "devices.deny", "a");
	for (size_t r = 0; r < LEN(RULES); r++) {
		char major[12] = "*", minor[12] = "*", rule[64];
		if (RULES[r].major >= 0) snprintf(major, sizeof major, "%d", RULES[r].major);
		if (RULES[r].minor >= 0) snprintf(minor, sizeof minor, "%d", RULES[r].minor);
		snprintf(rule, sizeof rule, "%c %s:%s %s", RULES[r].type, major, minor, RULES[r].access);
		put(cgroup, "devices.allow", rule);
	}
}

static void mount_cgroups(const struct container *c) {
	const char *at = "sys/fs/cgroup";
	if (c->v2) {
		CK(mount("cgroup", at, "cgroup2", NODEV | MS_RDONLY | MS_RELATIME, 0));
		return;
	}
	char path[300];
	CK(mount("tmpfs", at, "tmpfs", NODEV, "mode=755"));
	for (int i = 0; i < c->cgroups; i++) {
		snprintf(path, sizeof path, "%s/%s", at, hierarchy(c->cgroup[i]));
		CK(mkdir(path, 0755));
		CK(mount(c->cgroup[i], path, 0, MS_BIND, 0));
		CK(mount(0, path, 0, MS_BIND | MS_REMOUNT | NODEV | MS_RDONLY, 0));
	}
	CK(mount(0, at, 0, MS_BIND | MS_REMOUNT | NODEV | MS_RDONLY, 0));
}

static void mounts(const struct container *c) {
	CK(mount(0, "/", 0, MS_REC | MS_SLAVE, 0));
	CK(mount(c->root, c->root, 0, MS_BIND | MS_REC, 0));
	CK(chdir(c->root));
	CK(mount("proc", "proc", "proc", 0, 0));
	CK(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=65536k"));
	CK(mkdir("dev/pts", 0755));
	CK(mkdir("dev/shm", 0755));
	CK(mkdir("dev/mqueue", 0755));
	CK(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
	CK(mount("shm", "dev/shm", "tmpfs", NODEV, "mode=1777,size=65536k"));
	CK(mount("mqueue", "dev/mqueue", "mqueue", NODEV, 0));
	CK(mount("sysfs", "sys", "sysfs", NODEV | MS_RDONLY, 0));
	mount_cgroups(c);
	static const struct { const char *path; int major, minor; } devices[] = {
		{"dev/null", 1, 3}, {"dev/zero", 1, 5}, {"dev/full", 1, 7}, {"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0}};
	for (size_t i = 0; i < LEN(devices); i++)
		CK(mknod(devices[i].path, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)));
	static const char *links[][2] = {{"/proc/self/fd", "dev/fd"},       {"/proc/self/fd/0", "dev/stdin"}, {"/proc/self/fd/1", "dev/stdout"},
	                                 {"/proc/self/fd/2", "dev/stderr"}, {"pts/ptmx", "dev/ptmx"}};
	for (size_t i = 0; i < LEN(links); i++) CK(symlink(links[i][0], links[i][1]));
	CK(syscall(SYS_pivot_root, ".", "."));
	CK(umount2(".", MNT_DETACH));
	CK(chdir("/"));
}

static void masks(void) {
	static const char *files[] = {"/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug"};
	static const char *dirs[] = {"/proc/acpi", "/proc/asound", "/sys/firmware", "/proc/scsi"};
	static const char *readonly[] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};
	// A path that this kernel does not have is no error.
	for (size_t i = 0; i < LEN(files); i++) mount("/dev/null", files[i], 0, MS_BIND, 0);
	for (size_t i = 0; i < LEN(dirs); i++) mount("tmpfs", dirs[i], "tmpfs", MS_RDONLY, "nr_inodes=1,size=0");
	for (size_t i = 0; i < LEN(readonly); i++)
		if (mount(readonly[i], readonly[i], 0, MS_BIND | MS_REC, 0) == 0)
			CK(mount(0, readonly[i], 0, MS_BIND | MS_REMOUNT | MS_RDONLY, 0));
	CK(mount(0, "/", 0, MS_BIND | MS_REMOUNT | MS_RDONLY, 0));
}

static void privileges(void) {
	const unsigned kept = 1u << CAP_AUDIT_WRITE | 1u << CAP_KILL | 1u << CAP_NET_BIND_SERVICE;
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (cap > 31 || !(kept & 1u << cap)) prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {{.effective = kept, .permitted = kept}};
	struct rlimit files = {1024, 1024};
	CK(prlimit(0, RLIMIT_NOFILE, &files, 0));
	CK(syscall(SYS_capset, &header, data));
	CK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static void program(void) {
	static char *true_argv[] = {"/bin/true", 0}, *sleep_argv[] = {"/bin/sleep", "1000", 0};
	char **argv = getenv("FLOOR_ARGS") ? sleep_argv : true_argv;
	static char *env[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", "HOME=/root", 0};
	execve(argv[0], argv, env);
	perror("execve");
	_exit(127);
}

static void first_process(const struct container *c, int fifo, int ready) {
	if (!c->v2)
		for (int i = 0; i < c->cgroups; i++) put(c->cgroup[i], "cgroup.procs", "0");
	mounts(c);
	masks();
	CK(sethostname("runc", 4));
	CK(syscall(SYS_keyctl, 1 /* KEYCTL_JOIN_SESSION_KEYRING */, "_ses.floor", 0, 0, 0));
	privileges();
	if (ready >= 0) {
		char path[32];
		CK(write(ready, "", 1));
		close(ready);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fifo);
		int go = open(path, O_WRONLY | O_CLOEXEC);
		CK(go);
		CK(write(go, "", 1));
	}
	program();
}

static pid_t launch(struct container *c, int fifo, int ready) {
	struct clone_args a = {.flags = NSTYPES, .exit_signal = SIGCHLD};
	for (int i = 0; i < c->cgroups; i++) CK(mkdir(c->cgroup[i], 0755));
	int fd = -1;
	if (c->v2) {
		fd = open(c->cgroup[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CK(fd);
		attach_device_rules(fd);
		a.flags |= CLONE_NEWCGROUP | CLONE_INTO_CGROUP;
		a.cgroup = fd;
	} else {
		for (int i = 0; i < c->cgroups; i++)
			if (strcmp(hierarchy(c->cgroup[i]), "devices") == 0) v1_device_rules(c->cgroup[i]);
	}
	pid_t pid = syscall(SYS_clone3, &a, sizeof a);
	CK(pid);
	if (pid == 0) first_process(c, fifo, ready);
	if (fd >= 0) close(fd);
	return pid;
}

static void remove_cgroups(char *list) {
	for (char *cgroup = strtok(list, " \n"); cgroup; cgroup = strtok(0, " \n"))
		while (rmdir(cgroup) < 0 && errno == EBUSY) usleep(100);
}

static int run(struct container *c) {
	int status;
	pid_t pid = launch(c, -1, -1);
	CK(waitpid(pid, &status, 0));
	for (int i = 0; i < c->cgroups; i++)
		while (rmdir(c->cgroup[i]) < 0 && errno == EBUSY) usleep(100);
	return WEXITSTATUS(status);
}

// The state: one file with the pid and the cgroups, put in place by a rename; one fifo that `start` opens.
static int create(struct container *c) {
	char path[300], final[300], text[4096];
	int ready[2], n;
	CK(mkdir(c->dir, 0711));
	snprintf(path, sizeof path, "%s/exec.fifo", c->dir);
	CK(mkfifo(path, 0600));
	int fifo = open(path, O_PATH | O_CLOEXEC);
	CK(fifo);
	CK(pipe2(ready, O_CLOEXEC));
	pid_t pid = launch(c, fifo, ready[1]);
	close(ready[1]);
	if (read(ready[0], text, 1) != 1) return 1;
	n = snprintf(text, sizeof text, "%d\n", pid);
	for (int i = 0; i < c->cgroups; i++) n += snprintf(text + n, sizeof text - n, "%s\n", c->cgroup[i]);
	snprintf(path, sizeof path, "%s/state.new", c->dir);
	snprintf(final, sizeof final, "%s/state", c->dir);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	CK(fd);
	CK(write(fd, text, n));
	close(fd);
	CK(rename(path, final));
	return 0;
}

static int start(struct container *c) {
	char path[300], byte;
	snprintf(path, sizeof path, "%s/exec.fifo", c->dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	CK(fd);
	if (read(fd, &byte, 1) != 1) return 1;
	CK(unlink(path));
	return 0;
}

static pid_t saved(struct container *c, char *cgroups, size_t size) {
	char path[300], text[4096];
	int pid, skip;
	snprintf(path, sizeof path, "%s/state", c->dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	CK(fd);
	ssize_t n = read(fd, text, sizeof text - 1);
	CK(n);
	text[n] = 0;
	close(fd);
	if (sscanf(text, "%d%n", &pid, &skip) != 1) _exit(1);
	snprintf(cgroups, size, "%s", text + skip + 1);
	return pid;
}

static int exec_true(struct container *c) {
	char cgroups[4096], *line;
	int status, n = 0;
	const char *list[32];
	int pidfd = syscall(SYS_pidfd_open, saved(c, cgroups, sizeof cgroups), 0);
	CK(pidfd);
	for (line = strtok(cgroups, "\n"); line && n < 32; line = strtok(0, "\n")) list[n++] = line;
	struct clone_args a = {.exit_signal = SIGCHLD};
	int v2 = n == 1;
	if (v2) {
		int fd = open(list[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		CK(fd);
		a.flags = CLONE_INTO_CGROUP;
		a.cgroup = fd;
	}
	CK(setns(pidfd, CLONE_NEWPID));
	pid_t pid = syscall(SYS_clone3, &a, sizeof a);
	CK(pid);
	if (pid == 0) {
		if (!v2)
			for (int i = 0; i < n; i++) put(list[i], "cgroup.procs", "0");
		CK(setns(pidfd, (NSTYPES & ~CLONE_NEWPID) | (v2 ? CLONE_NEWCGROUP : 0)));
		CK(syscall(SYS_keyctl, 1, "_ses.floor", 0, 0, 0));
		privileges();
		unsetenv("FLOOR_ARGS");
		program();
	}
	CK(waitpid(pid, &status, 0));
	return WEXITSTATUS(status);
}

static int kill_container(struct container *c) {
	char cgroups[4096];
	int pidfd = syscall(SYS_pidfd_open, saved(c, cgroups, sizeof cgroups), 0);
	CK(pidfd);
	CK(syscall(SYS_pidfd_send_signal, pidfd, getenv("FLOOR_KILL") ? SIGKILL : SIGCONT, 0, 0));
	return 0;
}

static int state(struct container *c) {
	char cgroups[4096], text[128];
	pid_t pid = saved(c, cgroups, sizeof cgroups);
	int n = snprintf(text, sizeof text, "{\"pid\":%d,\"status\":\"%s\"}", pid, kill(pid, 0) == 0 ? "running" : "stopped");
	CK(write(1, text, n));
	return 0;
}

static int delete(struct container *c) {
	char cgroups[4096], path[300];
	pid_t pid = saved(c, cgroups, sizeof cgroups);
	if (kill(pid, 0) == 0 && getenv("FLOOR_KILL")) kill(pid, SIGKILL);
	remove_cgroups(cgroups);
	snprintf(path, sizeof path, "%s/state", c->dir);
	CK(unlink(path));
	CK(rmdir(c->dir));
	return 0;
}

int main(int argc, char **argv) {
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		CK(write(1, "floor\n", 6));
		return 0;
	}
	if (argc < 4) return 2;
	struct container c = {.root = argc > 4 ? argv[4] : 0, .cgroup = (const char **)argv + 5, .cgroups = argc > 5 ? argc - 5 : 0};
	c.v2 = c.cgroups == 1;
	snprintf(c.dir, sizeof c.dir, "%s/%s", argv[2], argv[3]);
	static const struct { const char *name; int (*call)(struct container *); } commands[] = {
		{"run", run}, {"create", create}, {"start", start}, {"exec", exec_true}, {"state", state}, {"kill", kill_container}, {"delete", delete}};
	for (size_t i = 0; i < LEN(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0) return commands[i].call(&c);
	return 2;
}
