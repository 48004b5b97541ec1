/* writer MICROSECONDS STATUS: numbered lines of ten bytes, one each so many microseconds, until SIGTERM; then `end`, and it exits
   with the status. What is missing, doubled or out of order is seen by the numbers. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t ended;
static void end(int signal) { (void)signal; ended = 1; }

/* All of it, whatever a signal cuts short. */
static void put(const char *text)
{
	size_t left = strlen(text);
	while (left > 0) {
		ssize_t wrote = write(1, text, left);
		if (wrote > 0) {
			text += wrote;
			left -= (size_t)wrote;
		}
	}
}

int main(int argc, char **argv)
{
	char line[32];
	if (argc != 3)
		return 99;
	signal(SIGTERM, end);
	for (long number = 0; !ended; number++) {
		snprintf(line, sizeof line, "%09ld\n", number);
		put(line);
		usleep((useconds_t)atoi(argv[1]));
	}
	put("end\n");
	return atoi(argv[2]);
}
