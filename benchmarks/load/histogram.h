/*
 * A histogram of durations whose buckets grow with the duration: 128 for each power of two, so
 * that a quantile is wrong by less than 0.8 percent. It takes as little time and memory for a
 * hundred million durations as for one.
 */

#ifndef HISTOGRAM_H
#define HISTOGRAM_H

#include <stdint.h>

#define SUB_BUCKETS 128
#define SUB_BITS 7
#define BUCKETS ((64 - SUB_BITS) * SUB_BUCKETS)

struct histogram {
    uint64_t counts[BUCKETS];
    uint64_t total;
    int64_t longest;
};

static inline void histogram_add(struct histogram *histogram, int64_t nanoseconds)
{
    uint64_t value = nanoseconds < 0 ? 0 : (uint64_t)nanoseconds;
    size_t index = value;
    if (value >= SUB_BUCKETS) {
        int shift = 63 - __builtin_clzll(value) - SUB_BITS;
        index = (size_t)shift * SUB_BUCKETS + (value >> shift);
    }
    histogram->counts[index]++;
    histogram->total++;
    if (nanoseconds > histogram->longest)
        histogram->longest = nanoseconds;
}

/* The duration, in milliseconds, that so large a share of all does not exceed; 0 if there is none. */
static inline double histogram_ms(const struct histogram *histogram, double share)
{
    uint64_t wanted = (uint64_t)((double)histogram->total * share);
    uint64_t seen = 0;
    for (size_t index = 0; index < BUCKETS; index++) {
        seen += histogram->counts[index];
        if (seen > wanted) {
            size_t shift = index < 2 * SUB_BUCKETS ? 0 : index / SUB_BUCKETS - 1;
            uint64_t low = (uint64_t)(index - shift * SUB_BUCKETS) << shift;
            return (double)(low + ((1ULL << shift) >> 1)) / 1e6;
        }
    }
    return (double)histogram->longest / 1e6;
}

#endif
