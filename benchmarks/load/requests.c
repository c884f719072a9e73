/*
 * Clients that ask one thing over and over.
 *
 *     requests PORT TARGET CONNECTIONS SECONDS
 *
 * Each keeps its connection, and asks again when it has the whole answer. Prints one line of JSON:
 * how many answers came, how many of them were not 200, and how long they took.
 */

#define _GNU_SOURCE
#include "common.h"
#include "histogram.h"

#include <stdbool.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define ANSWER_BYTES (64 * 1024)
#define ROUND 64
#define WAIT_MS 50

struct client {
    int socket;
    int64_t asked;
    size_t length;
    char answer[ANSWER_BYTES + 1];
};

static char request[4096];
static size_t request_length;
static long answers, failures;
static struct histogram latency;

static void ask(struct client *client)
{
    client->length = 0;
    client->asked = monotonic_ns();
    if (send(client->socket, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length)
        give_up("send");
}

/* Whether the whole answer has come. */
static bool is_whole(const struct client *client)
{
    static const char name[] = "\r\ncontent-length:";
    const char *body = strstr(client->answer, "\r\n\r\n");
    if (!body)
        return false;
    const char *field = strcasestr(client->answer, name);
    if (!field || field > body) {
        fprintf(stderr, "an answer without its length: %.200s\n", client->answer);
        exit(1);
    }
    size_t head = (size_t)(body + 4 - client->answer);
    return client->length >= head + strtoul(field + sizeof name - 1, NULL, 10);
}

static void read_from(struct client *client)
{
    static const char good[] = "HTTP/1.1 200";
    ssize_t got = recv(client->socket, client->answer + client->length,
                       ANSWER_BYTES - client->length, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        fprintf(stderr, "the server closed a connection after %ld answers\n", answers);
        exit(1);
    }
    client->length += (size_t)got;
    client->answer[client->length] = 0;
    if (!is_whole(client))
        return;
    histogram_add(&latency, monotonic_ns() - client->asked);
    answers++;
    if (memcmp(client->answer, good, sizeof good - 1))
        failures++;
    ask(client);
}

int main(int count, char **arguments)
{
    if (count != 5) {
        fprintf(stderr, "usage: requests PORT TARGET CONNECTIONS SECONDS\n");
        return 2;
    }
    int port = (int)number_in(arguments[1]);
    int connections = (int)number_in(arguments[3]);
    request_length = (size_t)snprintf(request, sizeof request,
                                      "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n",
                                      arguments[2], port);
    int poller = epoll_create1(EPOLL_CLOEXEC);
    int64_t begin = monotonic_ns();
    int64_t deadline = begin + (int64_t)(number_in(arguments[4]) * NANOSECONDS);
    struct client *clients = calloc((size_t)connections + 1, sizeof *clients);
    for (int index = 0; index < connections; index++) {
        struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = (uint32_t)index};
        clients[index].socket = connect_to(port);
        epoll_ctl(poller, EPOLL_CTL_ADD, clients[index].socket, &wanted);
        ask(&clients[index]);
    }
    while (monotonic_ns() < deadline) {
        struct epoll_event ready[ROUND];
        int came = epoll_wait(poller, ready, ROUND, WAIT_MS);
        for (int index = 0; index < came; index++)
            read_from(&clients[ready[index].data.u32]);
    }
    double wall = (double)(monotonic_ns() - begin) / 1e9;
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    printf("{\"answers\": %ld, \"failures\": %ld, \"seconds\": %.6f, \"p50_ms\": %.4f, "
           "\"p99_ms\": %.4f, \"cpu_seconds\": %.6f, \"wall_seconds\": %.6f}\n",
           answers, failures, wall, histogram_ms(&latency, 0.5), histogram_ms(&latency, 0.99),
           (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6,
           wall);
    return 0;
}
