/* SPDX-License-Identifier: MIT
 *
 * See chart_frame.h.
 */
#include "chart_frame.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int chart_usable(double value, int log) {
    return isfinite(value) && fabs(value) < 1e300 && (!log || value > 1e-300);
}

double chart_place(const chart_scale *s, double value) {
    double share = s->log ? (log10(value) - log10(s->min)) / (log10(s->max) - log10(s->min))
                          : (value - s->min) / (s->max - s->min);
    return s->from + share * (s->to - s->from);
}

void chart_range(const double *values, size_t count, int log, double *lo, double *hi) {
    for (size_t i = 0; i < count; i++) {
        if (!chart_usable(values[i], log))
            continue;
        *lo = fmin(*lo, values[i]);
        *hi = fmax(*hi, values[i]);
    }
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double chart_robust_max(const double *values, size_t count, int log) {
    enum { SAMPLE = 4096 };
    double sample[SAMPLE], lo = INFINITY, hi = -INFINITY;
    size_t n = 0, step = count / SAMPLE + 1;
    for (size_t i = 0; i < count; i += step)
        if (chart_usable(values[i], log))
            sample[n++] = values[i];
    chart_range(values, count, log, &lo, &hi);
    if (n < 8)
        return hi;
    qsort(sample, n, sizeof *sample, compare_doubles);
    /* the factor lets a curve that simply starts high keep its start */
    double high = sample[(size_t)((double)(n - 1) * 0.98)], low = sample[0];
    return fmin(hi, low + (high - low) * 1.5);
}

/* 1, 2 or 5 times a power of ten, so that `wanted` steps cover the range. */
static double nice_step(double range, size_t wanted, int integer) {
    double raw = range / (double)(wanted ? wanted : 1), power = pow(10, floor(log10(raw))), part = raw / power;
    double step = power * (part <= 1.0001 ? 1 : part <= 2.0001 ? 2 : part <= 5.0001 ? 5 : 10);
    return integer && step < 1 ? 1 : step;
}

void chart_scale_fit(chart_scale *s, const chart_axis *axis, double lo, double hi, int from_zero, int round,
                     size_t wanted) {
    s->log = axis->log;
    if (axis->has_min && chart_usable(axis->min, axis->log))
        lo = axis->min;
    if (axis->has_max && chart_usable(axis->max, axis->log))
        hi = axis->max;
    if (!(lo <= hi)) { /* no data, or ends that the caller turned round */
        lo = axis->log ? 1 : 0;
        hi = axis->log ? 10 : 1;
    }
    if (axis->log) {
        if (round) { /* decades when there are several, else 1, 2, 5 */
            double a = pow(10, floor(log10(lo) + 1e-6)), b = pow(10, ceil(log10(hi) - 1e-6));
            double below = lo * (from_zero ? 0.8 : 1.000001); /* a bar that ends at its base would not be seen */
            int whole = hi / lo > 150;                        /* (a float's 0.1 is a little more than 0.1: 1e-6) */
            if (!axis->has_min)
                lo = whole            ? (a <= below ? a : a / 10)
                     : 5 * a <= below ? 5 * a
                     : 2 * a <= below ? 2 * a
                     : a <= below     ? a
                                      : a / 2;
            if (!axis->has_max)
                hi = whole || hi > b / 2 ? b : hi > b / 5 ? b / 2 : b / 5;
        }
        if (hi / lo < 1.001) {
            lo /= 2;
            hi *= 2;
        }
    } else {
        if (from_zero && !axis->has_min)
            lo = fmin(lo, 0);
        if (from_zero && !axis->has_max)
            hi = fmax(hi, 0);
        if (hi - lo <= fmax(fabs(hi), fabs(lo)) * 1e-9 || hi - lo < 1e-290) { /* one value */
            double half = fabs(hi) < 1e-280 ? 0.5 : axis->integer ? fmax(0.5, fabs(hi) * 1e-6) : fabs(hi) * 0.1;
            int base = axis->has_min || (from_zero && lo >= 0); /* the lower end is where it should be */
            lo -= base ? 0 : half;
            hi += base ? 2 * half : half;
        }
        if (round) {
            /* rounding widens the range, which may ask for wider steps: until both agree */
            for (double step = 0, next; (next = nice_step(hi - lo, wanted, axis->integer)) > step; step = next) {
                if (!axis->has_min)
                    lo = floor(lo / next + 1e-9) * next;
                if (!axis->has_max)
                    hi = ceil(hi / next - 1e-9) * next;
                if (!(lo < hi)) /* an integer axis with less than the tolerance between its ends */
                    hi = lo + next;
            }
        }
    }
    s->min = lo;
    s->max = hi;
}

/* decimals < 0: that many significant digits. */
static void tick_add(chart_ticks *ticks, double value, int decimals, const chart_axis *axis, double em) {
    if (ticks->count == CHART_TICKS)
        return;
    char *label = ticks->label[ticks->count];
    char number[32];
    if (decimals < 0)
        html_number(number, sizeof number, value, -decimals);
    else
        html_fixed(number, sizeof number, value, decimals);
    snprintf(label, sizeof ticks->label[0], "%s%s%.8s", number, axis->unit ? "\xc2\xa0" : "",
             axis->unit ? axis->unit : "");
    ticks->value[ticks->count++] = value;
    ticks->widest = fmax(ticks->widest, chart_text_width(label, em));
}

static void log_ticks(chart_ticks *ticks, const chart_scale *s, const chart_axis *axis, size_t wanted, double em) {
    static const double parts[] = {1, 2, 5};
    double first = floor(log10(s->min) + 1e-9), last = ceil(log10(s->max) - 1e-9);
    double decades = log10(s->max) - log10(s->min);
    int fine = decades * 3 <= (double)wanted + 0.01;
    int stride = fine ? 1 : (int)ceil((last - first) / (double)(wanted ? wanted : 1));
    for (double e = first; e <= last && ticks->count<CHART_TICKS; e += stride> 0 ? stride : 1)
        for (size_t k = 0; k < (fine ? 3 : 1); k++) {
            double v = parts[k] * pow(10, e);
            if (v >= s->min * 0.9999 && v <= s->max * 1.0001)
                tick_add(ticks, v, -3, axis, em);
        }
}

void chart_ticks_pick(chart_ticks *ticks, const chart_scale *s, const chart_axis *axis, size_t wanted, double em) {
    ticks->count = 0;
    ticks->widest = 0;
    wanted = wanted > CHART_TICKS - 2 ? CHART_TICKS - 2 : wanted < 1 ? 1 : wanted;
    if (s->log) {
        log_ticks(ticks, s, axis, wanted, em);
        if (ticks->count)
            return;
    }
    double step = nice_step(s->max - s->min, wanted, axis->integer);
    int decimals = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);
    double most = fmax(fabs(s->min), fabs(s->max));
    if (step < 1e-4 || most >= 1e9) /* as many digits as tell neighbours apart */
        decimals = -(int)fmin(fmax(floor(log10(most) + 1e-9) - floor(log10(step) + 1e-9) + 1, 1), 15);
    double first = ceil(s->min / step - 1e-6);
    for (size_t i = 0; i < CHART_TICKS; i++) {
        double v = (first + (double)i) * step;
        if (v > s->max + step * 1e-6)
            break;
        tick_add(ticks, v, decimals, axis, em);
    }
}

void chart_ticks_fit(chart_ticks *ticks, const chart_scale *s, const chart_axis *axis, double room, double em) {
    for (size_t wanted = 9; wanted >= 1; wanted--) {
        chart_ticks_pick(ticks, s, axis, wanted, em);
        int fits = 1;
        for (size_t i = 1; i < ticks->count && fits; i++) {
            double gap = fabs(chart_place(s, ticks->value[i]) - chart_place(s, ticks->value[i - 1])) *
                         (room / fabs(s->to - s->from));
            double half = chart_text_width(ticks->label[i], em) / 2 + chart_text_width(ticks->label[i - 1], em) / 2;
            fits = gap >= half + em;
        }
        if (fits)
            return;
    }
    if (ticks->count > 1)
        ticks->count = 1;
}

void chart_ticks_stack(chart_ticks *ticks, const chart_scale *s, double em) {
    for (;;) {
        double gap = INFINITY;
        for (size_t i = 1; i < ticks->count; i++)
            gap = fmin(gap, fabs(chart_place(s, ticks->value[i]) - chart_place(s, ticks->value[i - 1])));
        if (gap >= em)
            return;
        size_t n = 0;
        for (size_t i = 0; i < ticks->count; i += 2, n++) {
            ticks->value[n] = ticks->value[i];
            memmove(ticks->label[n], ticks->label[i], sizeof ticks->label[n]);
        }
        ticks->count = n;
    }
}

double chart_text_width(const char *text, double em) {
    double width = 0;
    for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
        if ((*s & 0xc0) == 0x80) /* later bytes of one character */
            continue;
        if (*s >= 0xe2)
            width += 1.0;
        else if (strchr(" .,:;!'|ijl()[]/", *s))
            width += 0.36;
        else if (strchr("mwMW%@", *s))
            width += 0.92;
        else if (*s >= 'A' && *s <= 'Z')
            width += 0.7;
        else
            width += 0.58;
    }
    return width * em;
}

void chart_cut(char *out, size_t size, const char *text, double room, double em) {
    size_t length = strlen(text);
    if (length < size && chart_text_width(text, em) <= room) {
        memcpy(out, text, length + 1);
        return;
    }
    size_t n = 0;
    double width = em; /* of the ellipsis */
    while (text[n]) {
        size_t next = n + 1;
        while (((unsigned char)text[next] & 0xc0) == 0x80)
            next++;
        char one[8] = {0};
        if (next - n >= sizeof one || next + 4 > size)
            break;
        memcpy(one, text + n, next - n);
        width += chart_text_width(one, em);
        if (width > room)
            break;
        memcpy(out + n, one, next - n);
        n = next;
    }
    while (n && out[n - 1] == ' ')
        n--;
    memcpy(out + n, "\xe2\x80\xa6", 4);
}

void chart_value(char *out, size_t size, double value, const chart_axis *axis) {
    char number[32];
    if (axis->decimals > 0 && fabs(value) < 1e12)
        html_fixed(number, sizeof number, value, axis->decimals);
    else
        html_number(number, sizeof number, value, 4);
    snprintf(out, size, "%s%s%s", number, axis->unit ? "\xc2\xa0" : "", axis->unit ? axis->unit : "");
}

size_t chart_cut_at(size_t count, size_t b, size_t buckets) {
    return count / buckets * b + count % buckets * b / buckets; /* count * b could overflow */
}

size_t chart_reduce(const double *y, size_t count, int log, size_t buckets, size_t *picked) {
    size_t n = 0;
    if (count <= 2 * buckets) {
        for (size_t i = 0; i < count; i++)
            picked[n++] = i;
        return n;
    }
    for (size_t b = 0; b < buckets; b++) {
        size_t from = chart_cut_at(count, b, buckets), to = chart_cut_at(count, b + 1, buckets), low = to, high = to;
        for (size_t i = from; i < to; i++) {
            if (!chart_usable(y[i], log))
                continue;
            if (low == to || y[i] < y[low])
                low = i;
            if (high == to || y[i] > y[high])
                high = i;
        }
        if (b == 0 && low != 0 && high != 0)
            picked[n++] = 0;
        if (low == to) {
            if (!n || picked[n - 1] != from)
                picked[n++] = from;
            continue;
        }
        picked[n++] = low < high ? low : high;
        if (low != high)
            picked[n++] = low < high ? high : low;
    }
    if (picked[n - 1] != count - 1)
        picked[n++] = count - 1;
    return n;
}
