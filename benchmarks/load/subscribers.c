/*
 * Subscribers to an event stream, all in one epoll loop.
 *
 *     subscribers --port PORT --targets FILE --subscribers N [--events M --seconds S] [--stuck N]
 *
 * Each line of FILE is a request target; the subscribers take them in turn. When all have got the
 * first bytes of a good answer, one line of JSON says so. Then each is to get the events that
 * carry "BENCH <number> <monotonic ns>", numbered from 0, every one, once, in order. A second
 * line of JSON says what came, how fast, and how long it took from the moment that stands in the
 * event to the moment that its bytes were read. It comes when all have the last event, and a moment
 * later nothing more has come; or S seconds after the first line.
 *
 * Without --events the subscribers only stay, until the standard input ends. The readers of --stuck
 * ask for the stream and never read.
 */

#define _GNU_SOURCE
#include "common.h"
#include "histogram.h"

#include <getopt.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#define READ_BYTES (256 * 1024)
#define CARRY_BYTES 64 /* a mark with its two numbers is shorter */
#define ROUND 256
#define WAIT_MS 50
#define QUIET_NS (NANOSECONDS / 10)
#define CONNECT_SECONDS 60

struct subscriber {
    int socket;
    bool is_open;
    long expected; /* the number of the next event */
    long received;
    size_t stride; /* from the mark before the last to the last */
    size_t carried;
    char carry[CARRY_BYTES];
};

struct options {
    int port;
    const char *targets;
    int subscribers;
    int stuck;
    double seconds;
};

/* What is counted over all subscribers. */
static struct {
    long open;
    long closed;
    long finished; /* those who have the last event */
    long delivered;
    long gaps;
    long disorder;
    uint64_t bytes;
    int64_t first_line;
    int64_t last_receipt;
    struct histogram latency;
} all;

static long events_wanted; /* by each */
static struct rusage usage_at_begin;
static int64_t time_at_begin;

static char space[CARRY_BYTES + READ_BYTES];

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

/* The targets of a file, one a line, without their newlines. */
static char **targets_in(const char *path, int *count)
{
    FILE *file = fopen(path, "r");
    char **targets = NULL;
    char *line = NULL;
    size_t size = 0;
    ssize_t length;
    if (!file)
        give_up(path);
    *count = 0;
    while ((length = getline(&line, &size, file)) > 0) {
        if (line[length - 1] == '\n')
            line[length - 1] = 0;
        targets = realloc(targets, sizeof *targets * (size_t)(*count + 1));
        targets[(*count)++] = strdup(line);
    }
    free(line);
    fclose(file);
    if (!*count) {
        fprintf(stderr, "no target in %s\n", path);
        exit(2);
    }
    return targets;
}

static int ask(int port, const char *target)
{
    char request[4096];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n"
                          "Accept: text/event-stream\r\n\r\n",
                          target, port);
    int connection = connect_to(port);
    if (length >= (int)sizeof request || send(connection, request, (size_t)length, 0) != length)
        give_up("request");
    return connection;
}

static void expect_good_answer(const char *data, size_t length)
{
    static const char good[] = "HTTP/1.1 200";
    if (length < sizeof good - 1 || memcmp(data, good, sizeof good - 1)) {
        fprintf(stderr, "refused: %.*s\n", (int)(length < 200 ? length : 200), data);
        exit(1);
    }
}

/* Read digits up to something else. Gives where that stands, or NULL if the data ends first. */
static const char *digits(const char *from, const char *end, int64_t *number)
{
    int64_t value = 0;
    while (from < end && *from >= '0' && *from <= '9')
        value = value * 10 + (*from++ - '0');
    *number = value;
    return from < end ? from : NULL;
}

static void count_event(struct subscriber *one, int64_t number, int64_t printed, int64_t now)
{
    if (number + 1 == events_wanted && number >= one->expected)
        all.finished++;
    if (number < one->expected) {
        all.disorder++;
        return;
    }
    all.gaps += number - one->expected;
    one->expected = number + 1;
    one->received++;
    all.delivered++;
    if (!all.first_line || printed < all.first_line)
        all.first_line = printed;
    all.last_receipt = now;
    histogram_add(&all.latency, now - printed);
}

/*
 * Find the next mark. Mostly it stands as far from the last as that one from its own predecessor.
 * Looking there first passes over no event, not even a double: all lines have the same padding, and
 * no two of them fit into the space of one.
 */
static const char *next_mark(const struct subscriber *one, const char *last, const char *from,
                             const char *end)
{
    if (last && one->stride) {
        const char *guess = last + one->stride;
        if (guess + MARK_LENGTH <= end && guess >= from && !memcmp(guess, MARK, MARK_LENGTH))
            return guess;
    }
    return memmem(from, (size_t)(end - from), MARK, MARK_LENGTH);
}

/* Take what was read; keep the beginning of an event whose rest has not come. */
static void take(struct subscriber *one, const char *from, const char *end, int64_t now)
{
    const char *last = NULL;
    const char *mark;
    while ((mark = next_mark(one, last, from, end))) {
        int64_t number, printed;
        const char *behind = digits(mark + MARK_LENGTH, end, &number);
        behind = behind ? digits(behind + 1, end, &printed) : NULL;
        if (!behind) {
            from = mark;
            break;
        }
        count_event(one, number, printed, now);
        if (last)
            one->stride = (size_t)(mark - last);
        last = mark;
        from = behind;
    }
    size_t most = mark ? CARRY_BYTES : MARK_LENGTH - 1;
    size_t left = (size_t)(end - from);
    one->carried = left < most ? left : most;
    memcpy(one->carry, mark ? from : end - one->carried, one->carried);
}

/* Remember what was used so far, until the first event is there. */
static void begin_of_work(int64_t now)
{
    getrusage(RUSAGE_SELF, &usage_at_begin);
    time_at_begin = now;
}

/* Read once from a subscriber that has something. Says whether anything came. */
static bool read_from(struct subscriber *one, int poller)
{
    ssize_t got = recv(one->socket, space + CARRY_BYTES, READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (got <= 0) {
        epoll_ctl(poller, EPOLL_CTL_DEL, one->socket, NULL);
        close(one->socket);
        all.closed++;
        return false;
    }
    int64_t now = monotonic_ns();
    const char *data = space + CARRY_BYTES;
    if (!one->is_open) {
        expect_good_answer(data, (size_t)got);
        one->is_open = true;
        all.open++;
    }
    all.bytes += (uint64_t)got;
    memcpy(space + CARRY_BYTES - one->carried, one->carry, one->carried);
    if (!all.delivered)
        begin_of_work(now);
    take(one, data - one->carried, data + got, now);
    return true;
}

/* Read from all that have something, or wait for a moment. Says whether anything came. */
static bool turn(struct subscriber *subscribers, int poller)
{
    struct epoll_event ready[ROUND];
    bool came = false;
    int count = epoll_wait(poller, ready, ROUND, WAIT_MS);
    for (int index = 0; index < count; index++)
        came |= read_from(&subscribers[ready[index].data.u32], poller);
    return came;
}

static struct subscriber *subscribe(const struct options *options, int poller)
{
    int count;
    char **targets = targets_in(options->targets, &count);
    struct subscriber *subscribers = calloc((size_t)options->subscribers + 1, sizeof *subscribers);
    for (int index = 0; index < options->stuck; index++)
        ask(options->port, targets[index % count]);
    for (int index = 0; index < options->subscribers; index++) {
        struct epoll_event wanted = {.events = EPOLLIN, .data.u32 = (uint32_t)index};
        subscribers[index].socket = ask(options->port, targets[index % count]);
        if (epoll_ctl(poller, EPOLL_CTL_ADD, subscribers[index].socket, &wanted))
            give_up("epoll");
    }
    return subscribers;
}

static long least_received(const struct subscriber *subscribers, int count)
{
    long least = count ? subscribers[0].received : 0;
    for (int index = 1; index < count; index++)
        if (subscribers[index].received < least)
            least = subscribers[index].received;
    return least;
}

static void report(const struct options *options, const struct subscriber *subscribers,
                   int64_t asked, const struct rusage *usage, double wall)
{
    const struct rusage *first = &usage_at_begin;
    printf("{\"wanted\": %ld, \"delivered\": %ld, \"least\": %ld, \"gaps\": %ld, "
           "\"disorder\": %ld, \"closed\": %ld, \"bytes\": %llu, ",
           events_wanted * options->subscribers, all.delivered,
           least_received(subscribers, options->subscribers), all.gaps, all.disorder, all.closed,
           (unsigned long long)all.bytes);
    printf("\"seconds\": %.6f, \"seconds_since_request\": %.6f, ",
           (double)(all.last_receipt - all.first_line) / 1e9,
           (double)(all.last_receipt - asked) / 1e9);
    printf("\"p50_ms\": %.4f, \"p99_ms\": %.4f, \"longest_ms\": %.4f, ",
           histogram_ms(&all.latency, 0.5), histogram_ms(&all.latency, 0.99),
           (double)all.latency.longest / 1e6);
    printf("\"cpu_seconds\": %.6f, \"wall_seconds\": %.6f}\n",
           seconds_of(usage->ru_utime) + seconds_of(usage->ru_stime) -
               seconds_of(first->ru_utime) - seconds_of(first->ru_stime),
           wall);
}

static void stay(void)
{
    char ignored[64];
    while (read(STDIN_FILENO, ignored, sizeof ignored) > 0)
        ;
}

static int run(const struct options *options)
{
    int64_t asked = monotonic_ns();
    int64_t deadline = asked + CONNECT_SECONDS * NANOSECONDS;
    int poller = epoll_create1(EPOLL_CLOEXEC);
    struct subscriber *subscribers = subscribe(options, poller);

    while (all.open < options->subscribers && monotonic_ns() < deadline && !all.closed)
        turn(subscribers, poller);
    printf("{\"connected\": %ld, \"seconds\": %.6f}\n", all.open,
           (double)(monotonic_ns() - asked) / 1e9);
    fflush(stdout);
    if (all.open < options->subscribers)
        return 1;
    if (!events_wanted) {
        stay();
        return 0;
    }
    deadline = monotonic_ns() + (int64_t)(options->seconds * NANOSECONDS);
    while (all.finished < options->subscribers && monotonic_ns() < deadline && !all.closed)
        turn(subscribers, poller);
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    int64_t quiet_since = monotonic_ns();
    double wall = (double)(quiet_since - time_at_begin) / 1e9;
    /* What still comes now comes twice. */
    while (monotonic_ns() < quiet_since + QUIET_NS)
        turn(subscribers, poller);
    report(options, subscribers, asked, &usage, wall);
    return 0;
}

int main(int count, char **arguments)
{
    static const struct option known[] = {
        {"port", required_argument, NULL, 'p'},   {"targets", required_argument, NULL, 't'},
        {"subscribers", required_argument, NULL, 'n'}, {"stuck", required_argument, NULL, 'k'},
        {"events", required_argument, NULL, 'm'}, {"seconds", required_argument, NULL, 's'},
        {NULL, 0, NULL, 0},
    };
    struct options options = {0};
    int letter;
    while ((letter = getopt_long(count, arguments, "", known, NULL)) != -1) {
        switch (letter) {
        case 'p': options.port = (int)number_in(optarg); break;
        case 't': options.targets = optarg; break;
        case 'n': options.subscribers = (int)number_in(optarg); break;
        case 'k': options.stuck = (int)number_in(optarg); break;
        case 'm': events_wanted = (long)number_in(optarg); break;
        case 's': options.seconds = number_in(optarg); break;
        default: return 2;
        }
    }
    if (!options.port || !options.targets || !options.subscribers) {
        fprintf(stderr, "port, targets and subscribers are needed\n");
        return 2;
    }
    return run(&options);
}
