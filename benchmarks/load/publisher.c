/*
 * Feeds a hub that takes events by HTTP with the lines of an agent.
 *
 *     publisher PORT TARGET LINES RATE PADDING
 *
 * Posts so many events over one connection, each by itself, pipelined: it waits for no answer, but
 * counts them all. With a rate, each goes at its moment; with a rate of 0 the connection is kept full.
 * Prints one line of JSON when all are answered. An answer that does not begin with 2 is refused.
 */

#define _GNU_SOURCE
#include "common.h"

#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>

#define BUFFER_BYTES (64 * 1024)
#define BODY_BYTES (512 + LONGEST_PADDING)
#define STATUS "HTTP/1.1 "
#define STATUS_LENGTH 9
#define LONGEST_WAIT_NS (NANOSECONDS / 100)

static struct {
    int socket;
    int port;
    const char *target;
    long lines;
    double rate;
    const char *padding;
} the;

static char output[2 * BODY_BYTES];
static size_t output_begin, output_end;
static long written; /* events, into the output */
static long accepted, refused;

static void write_event(long number)
{
    char body[BODY_BYTES];
    int length = snprintf(
        body, sizeof body,
        "{\"id\":\"evt_%ld_1795478400123\",\"type\":\"log:info\","
        "\"timestamp\":\"2026-11-24T00:00:00.123Z\","
        "\"sessionId\":\"session_1795478399000_1f2e3d4c\",\"data\":{\"level\":\"info\","
        "\"message\":\"" MARK "%ld %lld %s\",\"source\":\"bench\"}}",
        number + 1, number, (long long)monotonic_ns(), the.padding);
    output_end = (size_t)snprintf(output, sizeof output,
                                  "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                                  "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                                  the.target, the.port, length, body);
}

/* Write the next event into the output, if that is empty and the event is due. */
static void fill(int64_t begin)
{
    if (output_begin < output_end || written == the.lines)
        return;
    if (the.rate > 0 && due_ns(begin, written, the.rate) > monotonic_ns())
        return;
    output_begin = output_end = 0;
    write_event(written++);
}

static void send_output(void)
{
    if (output_begin == output_end)
        return;
    ssize_t sent = send(the.socket, output + output_begin, output_end - output_begin, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR)
        give_up("send");
    if (sent > 0)
        output_begin += (size_t)sent;
}

/*
 * Count the answers in what has come, and say whether there may be more. What may be the beginning
 * of an answer is kept for the next time.
 */
static bool read_answers(void)
{
    static char input[BUFFER_BYTES + STATUS_LENGTH + 1];
    static size_t kept;
    ssize_t got = recv(the.socket, input + kept, BUFFER_BYTES, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        fprintf(stderr, "the hub closed the connection after %ld answers\n", accepted + refused);
        exit(1);
    }
    const char *from = input;
    const char *end = input + kept + got;
    const char *found;
    while ((found = memmem(from, (size_t)(end - from), STATUS, STATUS_LENGTH)) &&
           found + STATUS_LENGTH < end) {
        *(found[STATUS_LENGTH] == '2' ? &accepted : &refused) += 1;
        from = found + STATUS_LENGTH;
    }
    kept = (size_t)(end - from) < STATUS_LENGTH ? (size_t)(end - from) : STATUS_LENGTH;
    memmove(input, end - kept, kept);
    return true;
}

/*
 * Wait until there is something to do. Answers wake it only when nothing is left to send: each
 * comes by itself, and to be woken by each would take the time of the hub. But they are read
 * now and then, because a hub that cannot answer reads no more.
 */
static void wait_for_work(int64_t begin)
{
    struct pollfd connection = {.fd = the.socket};
    int64_t left = LONGEST_WAIT_NS;
    if (output_begin < output_end) {
        connection.events = POLLOUT;
    } else if (written == the.lines) {
        connection.events = POLLIN;
    } else if (the.rate > 0) {
        int64_t due = due_ns(begin, written, the.rate) - monotonic_ns();
        left = due < 0 ? 0 : due < left ? due : left;
    } else {
        return;
    }
    struct timespec pause = {left / NANOSECONDS, left % NANOSECONDS};
    ppoll(&connection, 1, &pause, NULL);
}

static void publish(void)
{
    int64_t begin = monotonic_ns();
    while (accepted + refused < the.lines) {
        fill(begin);
        send_output();
        while (read_answers())
            ;
        wait_for_work(begin);
    }
}

int main(int count, char **arguments)
{
    if (count != 6) {
        fprintf(stderr, "usage: publisher PORT TARGET LINES RATE PADDING\n");
        return 2;
    }
    the.port = (int)number_in(arguments[1]);
    the.target = arguments[2];
    the.lines = (long)number_in(arguments[3]);
    the.rate = number_in(arguments[4]);
    the.padding = padding_of(number_in(arguments[5]));
    the.socket = connect_to(the.port);
    fcntl(the.socket, F_SETFL, fcntl(the.socket, F_GETFL) | O_NONBLOCK);
    publish();
    printf("{\"accepted\": %ld, \"refused\": %ld}\n", accepted, refused);
    return 0;
}
