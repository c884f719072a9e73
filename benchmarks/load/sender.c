/*
 * A bare sender: no parsing, no log, no filters, only the bytes. What it reaches is what the
 * machine and the subscribers can take.
 *
 *     sender
 *
 * Listens on a free port of loopback and prints its number. GET /events is a stream; any
 * other request is answered with a few bytes. For each line "LINES RATE PADDING" on its standard
 * input it sends so many events to all streams, and prints "sent": with a rate, each event by
 * itself at its moment; with a rate of 0, as fast as it can in large pieces. It ends with its
 * standard input.
 */

#define _GNU_SOURCE
#include "common.h"

#include <stdbool.h>
#include <sys/epoll.h>

#define BACKLOG 4096
#define REQUEST_BYTES 4096
#define PIECE_BYTES (256 * 1024)
#define FRAME_BYTES (512 + LONGEST_PADDING)
#define ROUND 64

static int *streams;
static int stream_count;
static int poller;

static const char STREAM_HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                                  "Cache-Control: no-cache\r\n\r\n: connected\n\n";
static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                             "Content-Length: 14\r\n\r\n{\"alive\":true}";

static int listen_on_loopback(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) ||
        listen(listener, BACKLOG) || getsockname(listener, (struct sockaddr *)&address, &size))
        give_up("listen");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void watch(int descriptor)
{
    struct epoll_event wanted = {.events = EPOLLIN, .data.fd = descriptor};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, descriptor, &wanted))
        give_up("epoll");
}

/* Send all of it, waiting while the socket is full. A stream that is gone is passed over. */
static void send_all(int socket, const char *data, size_t length)
{
    while (length) {
        ssize_t sent = send(socket, data, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return;
        data += sent;
        length -= (size_t)sent;
    }
}

static char *copied(char *to, const char *text, size_t length)
{
    memcpy(to, text, length);
    return to + length;
}

#define COPIED(to, literal) copied(to, literal, sizeof literal - 1)

static char *digits_of(char *to, int64_t number)
{
    char text[24];
    char *from = text + sizeof text;
    do
        *--from = (char)('0' + number % 10);
    while (number /= 10);
    return copied(to, from, (size_t)(text + sizeof text - from));
}

/* Write an event as the server under test does. Gives where it ends. */
static char *frame(char *to, long number, const char *padding, size_t padding_length)
{
    to = digits_of(COPIED(to, "id: evt_"), number + 1);
    to = COPIED(to, "_1795478400123\nevent: log:info\ndata: {\"id\":\"evt_");
    to = digits_of(to, number + 1);
    to = COPIED(to, "_1795478400123\",\"type\":\"log:info\",\"timestamp\":\"2026-11-24T00:00:00.123Z\","
                    "\"sessionId\":\"session_1795478399000_1f2e3d4c\",\"data\":{\"level\":\"info\","
                    "\"message\":\"" MARK);
    to = digits_of(to, number);
    to = COPIED(to, " ");
    to = digits_of(to, monotonic_ns());
    to = copied(COPIED(to, " "), padding, padding_length);
    return COPIED(to, "\",\"source\":\"bench\"}}\n\n");
}

static void send_to_all(const char *data, size_t length)
{
    for (int index = 0; index < stream_count; index++)
        send_all(streams[index], data, length);
}

static void send_lines(long lines, double rate, const char *padding)
{
    static char piece[PIECE_BYTES + FRAME_BYTES];
    size_t padding_length = strlen(padding);
    int64_t begin = monotonic_ns();
    char *end = piece;
    for (long number = 0; number < lines; number++) {
        if (rate > 0)
            wait_until(due_ns(begin, number, rate));
        end = frame(end, number, padding, padding_length);
        if (rate > 0 || end - piece >= PIECE_BYTES || number + 1 == lines) {
            send_to_all(piece, (size_t)(end - piece));
            end = piece;
        }
    }
    puts("sent");
    fflush(stdout);
}

static void obey(void)
{
    char command[256];
    char lines[64], rate[64], padding[64];
    if (!fgets(command, sizeof command, stdin))
        exit(0);
    if (sscanf(command, "%63s %63s %63s", lines, rate, padding) != 3)
        exit(2);
    send_lines((long)number_in(lines), number_in(rate), padding_of(number_in(padding)));
}

static void answer(int connection)
{
    static const char events[] = "GET /events ";
    char request[REQUEST_BYTES];
    ssize_t got = recv(connection, request, sizeof request, 0);
    if (got <= 0) {
        close(connection);
    } else if (got >= (ssize_t)sizeof events && !memcmp(request, events, sizeof events - 1)) {
        epoll_ctl(poller, EPOLL_CTL_DEL, connection, NULL);
        streams = realloc(streams, sizeof *streams * (size_t)(stream_count + 1));
        streams[stream_count++] = connection;
        send_all(connection, STREAM_HEAD, sizeof STREAM_HEAD - 1);
    } else {
        send_all(connection, ANSWER, sizeof ANSWER - 1);
    }
}

static void welcome(int listener)
{
    int connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (connection < 0)
        return;
    send_at_once(connection);
    watch(connection);
}

int main(void)
{
    struct epoll_event ready[ROUND];
    poller = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on_loopback();
    setvbuf(stdin, NULL, _IONBF, 0); /* nothing may wait where epoll does not see it */
    watch(listener);
    watch(STDIN_FILENO);
    for (;;) {
        int count = epoll_wait(poller, ready, ROUND, -1);
        for (int index = 0; index < count; index++) {
            if (ready[index].data.fd == listener)
                welcome(listener);
            else if (ready[index].data.fd == STDIN_FILENO)
                obey();
            else
                answer(ready[index].data.fd);
        }
    }
}
