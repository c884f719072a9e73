/*
 * An agent that prints log lines.
 *
 *     agent LINES RATE PADDING
 *
 * Prints so many lines "[INFO] [bench] BENCH <number> <monotonic ns> <padding>", so many in a
 * second, each at its own moment. A rate of 0 is as fast as it can, with a buffer of 64 KiB as a
 * program has that prints into a pipe.
 */

#include "common.h"

#define BUFFER_BYTES (64 * 1024)

int main(int count, char **arguments)
{
    if (count != 4) {
        fprintf(stderr, "usage: agent LINES RATE PADDING\n");
        return 2;
    }
    long lines = (long)number_in(arguments[1]);
    double rate = number_in(arguments[2]);
    const char *padding = padding_of(number_in(arguments[3]));

    setvbuf(stdout, NULL, _IOFBF, BUFFER_BYTES);
    int64_t begin = monotonic_ns();
    for (long number = 0; number < lines; number++) {
        if (rate > 0)
            wait_until(due_ns(begin, number, rate));
        printf("[INFO] [bench] " MARK "%ld %lld %s\n", number, (long long)monotonic_ns(), padding);
        if (rate > 0)
            fflush(stdout);
    }
    return fflush(stdout) ? 1 : 0;
}
