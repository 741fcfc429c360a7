/* SPDX-License-Identifier: MIT
 *
 * chart_plot: series over a numeric x axis. See chart.h.
 */
#include "chart.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "chart_frame.h"

#define LINE_BUCKETS 512

static double x_of(const chart_series *s, size_t i) {
    return s->x ? s->x[i] : (double)i;
}

/* Bars that stand for one or more neighbouring values each. */
typedef struct bins {
    size_t count, group;
    double width; /* in pixels */
} bins;

static bins bins_of(const chart_series *s, double plot_width) {
    bins b = {0, 1, 0};
    size_t most = (size_t)fmax(plot_width / 5, 1);
    b.group = (s->count + most - 1) / most;
    b.group = b.group ? b.group : 1;
    b.count = (s->count + b.group - 1) / b.group;
    return b;
}

static double bin_x(const chart_series *s, const bins *b, size_t k) {
    size_t from = k * b->group, to = from + b->group < s->count ? from + b->group : s->count;
    return (x_of(s, from) + x_of(s, to - 1)) / 2;
}

static double bin_mean(const chart_series *s, const bins *b, size_t k) {
    size_t from = k * b->group, n = 0;
    double sum = 0;
    for (size_t i = from; i < from + b->group && i < s->count; i++)
        if (chart_usable(s->y[i], 0)) {
            sum += s->y[i];
            n++;
        }
    return n ? sum / (double)n : (double)NAN;
}

static const chart_series *first_bars(const chart *c) {
    for (size_t i = 0; i < c->series_count; i++)
        if (c->series[i].mark == CHART_BARS && c->series[i].count)
            return &c->series[i];
    return NULL;
}

/* Heights of bars differ from values: means of bins, piled up when stacked. */
static void bar_range(const chart *c, double plot_width, double *lo, double *hi) {
    const chart_series *first = first_bars(c);
    bins b = first ? bins_of(first, plot_width) : (bins){0};
    for (size_t k = 0; k < b.count; k++) {
        double sum = 0;
        for (size_t i = 0; i < c->series_count; i++) {
            const chart_series *s = &c->series[i];
            double mean = s->mark == CHART_BARS && s->count == first->count ? bin_mean(s, &b, k) : (double)NAN;
            if (!chart_usable(mean, 0))
                continue;
            sum = c->stacked ? sum + mean : mean;
            chart_range(&sum, 1, c->y.log, lo, hi);
        }
    }
}

static void fit_y(chart_frame *f, const chart *c) {
    double lo = INFINITY, hi = -INFINITY, robust = -INFINITY;
    int base = 0;
    for (size_t i = 0; i < c->series_count; i++) {
        const chart_series *s = &c->series[i];
        if (s->mark == CHART_BARS) {
            base = 1;
            continue;
        }
        base |= s->mark == CHART_STEMS;
        chart_range(s->y, s->count, c->y.log, &lo, &hi);
        robust = fmax(robust, chart_robust_max(s->y, s->count, c->y.log));
    }
    if (c->y.robust && robust < hi)
        hi = robust;
    bar_range(c, f->right - f->left, &lo, &hi);
    /* zero belongs on the axis where it costs less than half of the picture */
    if (!c->y.log && lo >= 0 && lo <= hi * 0.5)
        base = 1;
    size_t wanted = (size_t)fmax(2, (f->bottom - f->top) / 27);
    chart_scale_fit(&f->y, &c->y, lo, hi, base, 1, wanted);
    chart_ticks_pick(&f->y_ticks, &f->y, &c->y, wanted, f->em);
    chart_ticks_stack(&f->y_ticks, &f->y, f->em);
}

static void fit_x(chart_frame *f, const chart *c) {
    double lo = INFINITY, hi = -INFINITY;
    const chart_series *bars = first_bars(c);
    for (size_t i = 0; i < c->series_count; i++) {
        const chart_series *s = &c->series[i];
        if (s->x)
            chart_range(s->x, s->count, c->x.log, &lo, &hi);
        else if (s->count) { /* 0, 1, 2, ...; an axis of logarithms cannot show the 0 */
            lo = fmin(lo, c->x.log ? 1 : 0);
            hi = fmax(hi, fmax((double)(s->count - 1), lo));
        }
    }
    if (c->x.has_min)
        lo = fmin(c->x.min, hi);
    if (bars && lo < hi && !c->x.log) { /* half a bar at both ends */
        size_t n = bins_of(bars, f->right - f->left).count;
        double half = n > 1 ? (hi - lo) / (double)(n - 1) / 2 : (hi - lo) / 20;
        lo -= half;
        hi += half;
    }
    chart_scale_fit(&f->x, &c->x, lo, hi, 0, 0, 6);
    chart_ticks_fit(&f->x_ticks, &f->x, &c->x, f->right - f->left, f->em);
}

static size_t last_usable(const chart *c, const chart_series *s) {
    size_t i = s->count;
    while (i && !chart_usable(s->y[i - 1], c->y.log))
        i--;
    return i; /* one past it, 0: none */
}

static void fit(chart_frame *f, const chart *c) {
    double labels = 0;
    f->em = chart_em(c);
    f->top = chart_head(NULL, c, f->em);
    f->bottom = c->height - 8 - f->em * (c->x.label ? 2.6 : 1.25);
    if (f->bottom < f->top + 20)
        f->bottom = f->top + 20;
    for (size_t i = 0; i < c->series_count; i++) {
        char value[64];
        size_t n = c->series[i].label_last ? last_usable(c, &c->series[i]) : 0;
        if (n) {
            chart_value(value, sizeof value, c->series[i].y[n - 1], &c->y);
            labels = fmax(labels, chart_text_width(value, f->em) + 10);
        }
    }
    f->left = 40;
    f->right = c->width - 14 - labels;
    /* the width of the y labels depends on the scale, and bars' scale on the width: once more with the real one */
    for (int pass = 0; pass < 2; pass++) {
        f->y.from = f->bottom;
        f->y.to = f->top;
        fit_y(f, c);
        f->left = f->y_ticks.widest + 10;
    }
    f->x.from = f->left;
    f->x.to = f->right;
    fit_x(f, c);
    /* the last x label is centred on its tick and needs half of itself beyond it */
    if (f->x_ticks.count) {
        double end = chart_place(&f->x, f->x_ticks.value[f->x_ticks.count - 1]) +
                     chart_text_width(f->x_ticks.label[f->x_ticks.count - 1], f->em) / 2;
        if (end > c->width) {
            f->right -= end - c->width;
            f->x.to = f->right;
        }
    }
}

static void point(html_text *out, const chart_frame *f, double x, double y) {
    html_coordinate(out, chart_place(&f->x, x));
    html_raw(out, " ");
    html_coordinate(out, chart_place(&f->y, y));
}

/* Points of a line as they will be drawn. */
typedef struct polyline {
    size_t count;
    double x[2 * LINE_BUCKETS + 2], y[2 * LINE_BUCKETS + 2];
} polyline;

static void reduce(polyline *line, const chart_frame *f, const chart_series *s) {
    size_t picked[2 * LINE_BUCKETS + 2];
    size_t buckets = (size_t)fmin(fmax((f->right - f->left) / 2, 1), LINE_BUCKETS);
    line->count = 0;
    if (s->mean && s->count > 2 * buckets) {
        for (size_t b = 0; b < buckets; b++) {
            size_t from = chart_cut_at(s->count, b, buckets), to = chart_cut_at(s->count, b + 1, buckets), n = 0;
            double sum = 0;
            for (size_t i = from; i < to; i++)
                if (chart_usable(s->y[i], f->y.log)) {
                    sum += s->y[i];
                    n++;
                }
            line->x[line->count] = (x_of(s, from) + x_of(s, to - 1)) / 2;
            line->y[line->count++] = n ? sum / (double)n : (double)NAN;
        }
        return;
    }
    line->count = chart_reduce(s->y, s->count, f->y.log, buckets, picked);
    for (size_t k = 0; k < line->count; k++) {
        line->x[k] = x_of(s, picked[k]);
        line->y[k] = s->y[picked[k]];
    }
}

static int shown(const polyline *line, const chart_frame *f, size_t k) {
    return k < line->count && chart_usable(line->y[k], f->y.log) && chart_usable(line->x[k], f->x.log);
}

static void draw_line(html_text *out, const chart_frame *f, const chart_series *s) {
    polyline line;
    int lone = 0;
    reduce(&line, f, s);
    chart_mark_begin(out, "path", s->dashed ? "l dash" : s->faint ? "l thin" : "l", s->colour);
    html_raw(out, " d=\"");
    for (size_t k = 0; k < line.count; k++) {
        int before = k > 0 && shown(&line, f, k - 1);
        if (!shown(&line, f, k))
            continue;
        lone |= !before && !shown(&line, f, k + 1);
        if (before && s->mark == CHART_STEP) {
            html_raw(out, "H");
            html_coordinate(out, chart_place(&f->x, line.x[k]));
            html_raw(out, "V");
            html_coordinate(out, chart_place(&f->y, line.y[k]));
        } else {
            html_raw(out, before ? " " : "M");
            point(out, f, line.x[k], line.y[k]);
        }
    }
    html_raw(out, "\"/>\n");
    if (!lone)
        return;
    chart_mark_begin(out, "path", "l dot", s->colour); /* a line of one point would not be seen */
    html_raw(out, " d=\"");
    for (size_t k = 0; k < line.count; k++)
        if (shown(&line, f, k) && !(k > 0 && shown(&line, f, k - 1)) && !shown(&line, f, k + 1)) {
            html_raw(out, "M");
            point(out, f, line.x[k], line.y[k]);
            html_raw(out, "h0");
        }
    html_raw(out, "\"/>\n");
}

static void draw_dots(html_text *out, const chart_frame *f, const chart_series *s) {
    if (s->count > (size_t)fmax((f->right - f->left) / 8, 1)) /* they would touch */
        return;
    for (size_t i = 0; i < s->count; i++) {
        if (!chart_usable(s->y[i], f->y.log) || !chart_usable(x_of(s, i), f->x.log))
            continue;
        chart_mark_begin(out, "circle", "f", s->colour);
        chart_attribute(out, "cx", chart_place(&f->x, x_of(s, i)));
        chart_attribute(out, "cy", chart_place(&f->y, s->y[i]));
        html_raw(out, " r=\"3\"/>");
    }
    html_raw(out, "\n");
}

static double base_of(const chart_frame *f) {
    return f->y.log ? f->y.from : chart_place(&f->y, fmin(fmax(0, f->y.min), f->y.max));
}

static void draw_stems(html_text *out, const chart_frame *f, const chart_series *s) {
    size_t picked[2 * LINE_BUCKETS + 2];
    size_t buckets = (size_t)fmin(fmax((f->right - f->left) / 4, 1), LINE_BUCKETS);
    size_t n = chart_reduce(s->y, s->count, f->y.log, buckets, picked);
    chart_mark_begin(out, "path", "l", s->colour);
    html_raw(out, " d=\"");
    for (size_t k = 0; k < n; k++) {
        double x = x_of(s, picked[k]), y = s->y[picked[k]];
        if (!chart_usable(y, f->y.log) || !chart_usable(x, f->x.log))
            continue;
        html_raw(out, "M");
        point(out, f, x, y);
        html_raw(out, "V");
        html_coordinate(out, base_of(f));
    }
    html_raw(out, "\"/>\n");
}

/* Draws all series of bars together; `below` piles them up. */
static void draw_bars(html_text *out, const chart_frame *f, const chart *c) {
    const chart_series *first = first_bars(c);
    if (!first)
        return;
    bins b = bins_of(first, f->right - f->left);
    double gap = 36;
    for (size_t k = 1; k < b.count; k++)
        gap = fmin(gap, chart_place(&f->x, bin_x(first, &b, k)) - chart_place(&f->x, bin_x(first, &b, k - 1)));
    b.width = fmax(gap * 0.78, 1);
    for (size_t i = 0; i < c->series_count; i++) {
        const chart_series *s = &c->series[i];
        if (s->mark != CHART_BARS || s->count != first->count)
            continue;
        chart_mark_begin(out, "path", "f", s->colour);
        html_raw(out, " d=\"");
        for (size_t k = 0; k < b.count; k++) {
            double below = 0, mean = bin_mean(s, &b, k), x = bin_x(s, &b, k);
            for (size_t j = 0; c->stacked && j < i; j++) {
                double other = c->series[j].mark == CHART_BARS && c->series[j].count == first->count
                                   ? bin_mean(&c->series[j], &b, k)
                                   : 0;
                below += chart_usable(other, 0) ? other : 0;
            }
            if (!chart_usable(mean, 0) || mean == 0 || !chart_usable(x, f->x.log) ||
                !chart_usable(mean + below, f->y.log))
                continue;
            double start = chart_usable(below, f->y.log) && below != 0 ? chart_place(&f->y, below) : base_of(f);
            html_raw(out, "M");
            html_coordinate(out, chart_place(&f->x, x) - b.width / 2);
            html_raw(out, " ");
            html_coordinate(out, start);
            html_raw(out, "V");
            html_coordinate(out, chart_place(&f->y, mean + below));
            html_raw(out, "h");
            html_coordinate(out, b.width);
            html_raw(out, "V");
            html_coordinate(out, start);
            html_raw(out, "z");
        }
        html_raw(out, "\"/>\n");
    }
}

/* Index of the value nearest to x. */
static size_t nearest(const chart_series *s, double x) {
    size_t low = 0, high = s->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (x_of(s, middle) <= x)
            low = middle;
        else
            high = middle;
    }
    return low + 1 < s->count && x_of(s, low + 1) - x < x - x_of(s, low) ? low + 1 : low;
}

static void hover_text(html_text *out, const chart *c, double x, const bins *b, const chart_series *bars, size_t bin) {
    char value[64];
    if (c->x.label) {
        html_escape(out, c->x.label);
        html_raw(out, " ");
    }
    if (b && b->group > 1) {
        size_t from = bin * b->group, to = from + b->group < bars->count ? from + b->group : bars->count;
        chart_value(value, sizeof value, x_of(bars, from), &c->x);
        html_escape(out, value);
        html_raw(out, " to ");
        chart_value(value, sizeof value, x_of(bars, to - 1), &c->x);
        html_escape(out, value);
        html_print(out, "\nmean of %zu", to - from);
    } else {
        chart_value(value, sizeof value, x, &c->x);
        html_escape(out, value);
    }
    for (size_t i = 0; i < c->series_count; i++) {
        const chart_series *s = &c->series[i];
        if (!s->count)
            continue;
        int binned = b && s->mark == CHART_BARS && s->count == bars->count;
        chart_value(value, sizeof value, binned ? bin_mean(s, b, bin) : s->y[nearest(s, x)], &c->y);
        html_raw(out, "\n");
        html_escape(out, s->name ? s->name : c->y.label);
        html_raw(out, " ");
        html_escape(out, value);
    }
}

/* Unseen columns over the plot that tell the values under the pointer. */
static void draw_hover(html_text *out, const chart_frame *f, const chart *c) {
    const chart_series *longest = NULL, *bars = first_bars(c);
    for (size_t i = 0; i < c->series_count; i++)
        if (!longest || c->series[i].count > longest->count)
            longest = &c->series[i];
    if (!longest || !longest->count)
        return;
    double width = f->right - f->left;
    bins b = {0};
    if (bars)
        b = bins_of(bars, width);
    size_t most = (size_t)fmax(width / 8, 1);
    size_t n = bars ? b.count : longest->count < most ? longest->count : most;
    int even = !bars && longest->count > most;
    double begin = f->left;
    for (size_t k = 0; k < n; k++) {
        double x, end = f->right;
        if (even) { /* columns of one width; x is that of the longest series nearest to the middle */
            double share = ((double)k + 0.5) / (double)n;
            double at =
                f->x.log ? f->x.min * pow(f->x.max / f->x.min, share) : f->x.min + share * (f->x.max - f->x.min);
            x = x_of(longest, nearest(longest, at));
            end = f->left + width * (double)(k + 1) / (double)n;
        } else {
            x = bars ? bin_x(bars, &b, k) : x_of(longest, k);
            if (k + 1 < n)
                end =
                    (chart_place(&f->x, x) + chart_place(&f->x, bars ? bin_x(bars, &b, k + 1) : x_of(longest, k + 1))) /
                    2;
        }
        end = fmin(fmax(end, begin), f->right);
        if (end - begin >= 0.1) {
            chart_hover_begin(out, begin, f->top, end - begin, f->bottom - f->top);
            hover_text(out, c, x, bars ? &b : NULL, bars, k);
            chart_hover_end(out);
            begin = end;
        }
    }
}

static void draw_last_labels(html_text *out, const chart_frame *f, const chart *c) {
    double taken[16];
    size_t n = 0;
    for (size_t i = 0; i < c->series_count && n < 16; i++) {
        size_t last = c->series[i].label_last ? last_usable(c, &c->series[i]) : 0;
        if (!last)
            continue;
        char value[64];
        double y = fmin(fmax(chart_place(&f->y, c->series[i].y[last - 1]), f->top), f->bottom);
        for (size_t j = 0; j < n; j++) /* below whatever would be overwritten */
            if (fabs(taken[j] - y) < f->em)
                y = taken[j] + f->em;
        taken[n++] = y;
        chart_value(value, sizeof value, c->series[i].y[last - 1], &c->y);
        chart_draw_text(out, f->right + 9, y + 4, "start", "v", value);
    }
}

/* What a robust axis hides is said, not swallowed. */
static void draw_hidden(html_text *out, const chart_frame *f, const chart *c) {
    size_t above = 0;
    double most = -INFINITY;
    for (size_t i = 0; c->y.robust && i < c->series_count; i++)
        for (size_t k = 0; c->series[i].mark != CHART_BARS && k < c->series[i].count; k++)
            if (chart_usable(c->series[i].y[k], c->y.log) && c->series[i].y[k] > f->y.max) {
                above++;
                most = fmax(most, c->series[i].y[k]);
            }
    if (!above)
        return;
    char value[64], text[128];
    chart_value(value, sizeof value, most, &c->y);
    snprintf(text, sizeof text, "%zu value%s above, up to %s", above, above == 1 ? "" : "s", value);
    chart_draw_text(out, f->right, f->top + f->em, "end", NULL, text);
}

void chart_plot(html_text *out, const chart *c) {
    chart_frame f = {0};
    fit(&f, c);
    chart_open(out, c, c->height);
    chart_head(out, c, f.em);
    int any = 0;
    for (size_t i = 0; i < c->series_count; i++)
        any |= last_usable(c, &c->series[i]) > 0;
    if (!any) {
        chart_draw_empty(out, &f);
        chart_close(out);
        return;
    }
    chart_draw_y_axis(out, &f);
    chart_draw_x_axis(out, &f, c);
    /* an inner <svg> cuts off what leaves the plot; the margins are half a line's width and dots at the edge */
    html_raw(out, "<svg");
    chart_attribute(out, "x", f.left - 4);
    chart_attribute(out, "y", f.top - 1);
    chart_attribute(out, "width", f.right - f.left + 8);
    chart_attribute(out, "height", f.bottom - f.top + 2);
    html_raw(out, " viewBox=\"");
    html_coordinate(out, f.left - 4);
    html_raw(out, " ");
    html_coordinate(out, f.top - 1);
    html_raw(out, " ");
    html_coordinate(out, f.right - f.left + 8);
    html_raw(out, " ");
    html_coordinate(out, f.bottom - f.top + 2);
    html_raw(out, "\">\n");
    draw_bars(out, &f, c);
    for (int faint = 1; faint >= 0; faint--)
        for (size_t i = 0; i < c->series_count; i++) {
            const chart_series *s = &c->series[i];
            if (s->mark == CHART_BARS || (s->faint != 0) != faint)
                continue;
            if (s->mark == CHART_STEMS)
                draw_stems(out, &f, s);
            else
                draw_line(out, &f, s);
            if (s->mark == CHART_POINTS)
                draw_dots(out, &f, s);
        }
    html_raw(out, "</svg>\n");
    draw_last_labels(out, &f, c);
    draw_hidden(out, &f, c);
    draw_hover(out, &f, c);
    chart_close(out);
}
