/* SPDX-License-Identifier: MIT
 *
 * See quota.h.
 */
#include "quota.h"

#include <math.h>

size_t dpf_quota_round(dpf_quota *quotas, size_t count) {
    size_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        dpf_quota *q = &quotas[i];
        if (q->member) {
            double nearest = round(q->want);
            q->got = nearest <= (double)q->low ? q->low : nearest >= (double)q->high ? q->high : (size_t)nearest;
            sum += q->got;
        }
    }
    return sum;
}

/* The member with room that is furthest on the wrong side of its share, or NULL. */
static dpf_quota *furthest(dpf_quota *quotas, size_t count, int up) {
    dpf_quota *best = NULL;
    double best_gap = 0;
    for (size_t i = 0; i < count; i++) {
        dpf_quota *q = &quotas[i];
        if (q->member && (up ? q->got < q->high : q->got > q->low)) {
            double gap = up ? q->want - (double)q->got : (double)q->got - q->want;
            if (!best || gap > best_gap) {
                best = q;
                best_gap = gap;
            }
        }
    }
    return best;
}

void dpf_quota_split(dpf_quota *quotas, size_t count, size_t total) {
    size_t sum = dpf_quota_round(quotas, count);
    while (sum != total) {
        int up = sum < total;
        dpf_quota *q = furthest(quotas, count, up);
        if (!q) {
            return;
        }
        /* Rounding leaves a difference of less than one a tensor; a larger one comes
         * from bounds, and is then closed in larger steps to bound the time. */
        size_t gap = up ? total - sum : sum - total;
        size_t room = up ? q->high - q->got : q->got - q->low;
        size_t step = gap / (2 * count) > 1 ? gap / (2 * count) : 1;
        step = step < room ? step : room;
        q->got = up ? q->got + step : q->got - step;
        sum = up ? sum + step : sum - step;
    }
}
