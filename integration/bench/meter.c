// Runs commands one after the other and says what each of them cost.
//
//   meter STEP [:: STEP]...      STEP: a command and its arguments, or the word @reap
//
// A separate tiny program because the kernel counts the peak memory of a process from before its exec: a child of a large
// harness could never be seen to need less than the harness does. Nothing is done between posix_spawn and wait4.
//
// Prints one line a step, then one for the whole: "wall_ns user_us sys_us maxrss_kib status". The whole counts the
// processes that a command left behind too (a container's first process outlives `create`): they are reparented to us,
// and @reap waits for all that still run. A command that does not end is killed after some seconds (status 137).
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

// Longer than any command here takes: what takes this long waits for something that will not come.
enum { PATIENCE_S = 5 };

static void give_up(int signal) { (void)signal; }  // it only interrupts wait4

static long long now(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long micros(struct timeval t) { return t.tv_sec * 1000000LL + t.tv_usec; }

static void print(long long wall, const struct rusage *u, int status) {
	printf("%lld %lld %lld %ld %d\n", wall, micros(u->ru_utime), micros(u->ru_stime), u->ru_maxrss,
	       WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
}

// An orphan that ends while a command runs would stay a zombie, and a container whose first process is a zombie is
// not the same as one that is gone: wait for a command by pid, for the orphans in @reap.
static int step(char **argv, posix_spawn_file_actions_t *actions) {
	struct rusage usage;
	int status = 0;
	long long start = now();
	if (strcmp(argv[0], "@reap") == 0) {
		alarm(PATIENCE_S);
		while (wait(&status) > 0) {}
		alarm(0);
		memset(&usage, 0, sizeof usage);
		print(now() - start, &usage, 0);
		return 0;
	}
	pid_t pid;
	int error = posix_spawn(&pid, argv[0], actions, NULL, argv, environ);
	if (error) {
		fprintf(stderr, "meter: %s: %s\n", argv[0], strerror(error));
		return 1;
	}
	alarm(PATIENCE_S);
	while (wait4(pid, &status, 0, &usage) < 0 && errno == EINTR) kill(pid, SIGKILL);
	alarm(0);
	print(now() - start, &usage, status);
	return 0;
}

int main(int argc, char **argv) {
	if (argc < 2) return 2;
	struct sigaction action = {.sa_handler = give_up};
	sigaction(SIGALRM, &action, NULL);
	prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	posix_spawn_file_actions_t actions;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	long long start = now();
	for (char **first = argv + 1, **end; first && *first; first = end) {
		for (end = first; *end && strcmp(*end, "::") != 0; end++) {}
		end = *end ? (*end = NULL, end + 1) : NULL;
		if (step(first, &actions)) return 1;
	}
	struct rusage usage;
	getrusage(RUSAGE_CHILDREN, &usage);
	print(now() - start, &usage, 0);
	return 0;
}
