/* What all load programs share: the clock, giving up, numbers, and connections of loopback. */

#ifndef COMMON_H
#define COMMON_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NANOSECONDS 1000000000LL
#define LONGEST_PADDING 8000

/* The word before the number of each line; a subscriber looks for it in whatever surrounds it. */
#define MARK "BENCH "
#define MARK_LENGTH 6

static inline int64_t monotonic_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * NANOSECONDS + now.tv_nsec;
}

static inline void wait_until(int64_t due)
{
    int64_t left = due - monotonic_ns();
    if (left > 0) {
        struct timespec pause = {left / NANOSECONDS, left % NANOSECONDS};
        nanosleep(&pause, NULL);
    }
}

/* When a line is due, of lines that are printed at a rate from a beginning on. */
static inline int64_t due_ns(int64_t begin, long number, double per_second)
{
    return begin + (int64_t)((double)number / per_second * NANOSECONDS);
}

static inline void give_up(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static inline double number_in(const char *text)
{
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || number < 0) {
        fprintf(stderr, "not a number: %s\n", text);
        exit(2);
    }
    return number;
}

/* A text of so many x, as padding of a line. */
static inline const char *padding_of(double length)
{
    static char padding[LONGEST_PADDING + 1];
    if (length > LONGEST_PADDING) {
        fprintf(stderr, "at most %d bytes of padding\n", LONGEST_PADDING);
        exit(2);
    }
    memset(padding, 'x', (size_t)length);
    return padding;
}

static inline struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static inline void send_at_once(int socket)
{
    int yes = 1;
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

static inline int connect_to(int port)
{
    struct sockaddr_in address = loopback(port);
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connection < 0)
        give_up("socket");
    if (connect(connection, (struct sockaddr *)&address, sizeof address))
        give_up("connect");
    send_at_once(connection);
    return connection;
}

#endif
