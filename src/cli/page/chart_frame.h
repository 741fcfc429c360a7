/* SPDX-License-Identifier: MIT
 *
 * What all charts share and nobody outside needs: scales, ticks, room for text,
 * legend and frame. See chart.h for what they promise.
 */
#ifndef DPF_CLI_CHART_FRAME_H
#define DPF_CLI_CHART_FRAME_H

#include "chart.h"

typedef struct chart_scale {
    double min, max; /* min < max; both above 0 when log */
    int log;
    double from, to; /* pixels of min and max */
} chart_scale;

#define CHART_TICKS 16
typedef struct chart_ticks {
    size_t count;
    double value[CHART_TICKS];
    char label[CHART_TICKS][48];
    double widest; /* pixels of the widest label */
} chart_ticks;

typedef struct chart_frame {
    double em;                       /* font size that room is planned for */
    double left, right, top, bottom; /* of the plot */
    chart_scale x, y;
    chart_ticks x_ticks, y_ticks;
} chart_frame;

/* 1 for a value that an axis can show. The bound keeps max - min finite. */
int chart_usable(double value, int log);

double chart_place(const chart_scale *scale, double value);

/* Range of the data widened by one series; start with lo = INFINITY, hi = -INFINITY. */
void chart_range(const double *values, size_t count, int log, double *lo, double *hi);

/* End of a robust axis for one series: near its 98th percentile, at most its maximum. */
double chart_robust_max(const double *values, size_t count, int log);

/* Sets min and max of a scale from data lo..hi. `from_zero` keeps the base of bars in. `round` moves the ends
 * to ticks, of which there will be about `wanted`. */
void chart_scale_fit(chart_scale *scale, const chart_axis *axis, double lo, double hi, int from_zero, int round,
                     size_t wanted);

/* Round numbers inside the scale, about `wanted` of them, never more than CHART_TICKS. */
void chart_ticks_pick(chart_ticks *ticks, const chart_scale *scale, const chart_axis *axis, size_t wanted, double em);

/* As many ticks as fit into `room` pixels side by side. */
void chart_ticks_fit(chart_ticks *ticks, const chart_scale *scale, const chart_axis *axis, double room, double em);

/* Leaves out ticks until labels fit above each other. */
void chart_ticks_stack(chart_ticks *ticks, const chart_scale *scale, double em);

/* An upper estimate: the font of the reader is not known. */
double chart_text_width(const char *text, double em);

/* Copies as much of `text` as fits into `room` pixels, with an ellipsis when cut. */
void chart_cut(char *out, size_t size, const char *text, double room, double em);

/* A number with the axis' decimals and unit. */
void chart_value(char *out, size_t size, double value, const chart_axis *axis);

/* Indices of the points to draw: of each of `buckets` runs the lowest and the highest, and the two ends. A run
 * without usable values gives one index (a gap). `picked` has room for 2 * buckets + 2. */
size_t chart_reduce(const double *y, size_t count, int log, size_t buckets, size_t *picked);

/* Where run b of `buckets` equal runs of `count` things begins. */
size_t chart_cut_at(size_t count, size_t b, size_t buckets);

/* <svg ...> and </svg>. */
void chart_open(html_text *out, const chart *chart, double height);
void chart_close(html_text *out);

/* Title, label of the value axis and legend; returns the height they take. `out` may be NULL: only measure. */
double chart_head(html_text *out, const chart *chart, double em);

/* Grid lines with their labels, and what stands there instead of data. */
void chart_draw_y_axis(html_text *out, const chart_frame *frame);
void chart_draw_x_axis(html_text *out, const chart_frame *frame, const chart *chart);
void chart_draw_empty(html_text *out, const chart_frame *frame);

/* <text>; anchor is "start", "middle" or "end", class_name NULL for the plain one. */
void chart_draw_text(html_text *out, double x, double y, const char *anchor, const char *class_name, const char *text);

/* Opens an element: <TAG class="CLASS cN ". */
void chart_mark_begin(html_text *out, const char *tag, const char *class_name, int colour);

/* ` NAME="VALUE"` with a coordinate. */
void chart_attribute(html_text *out, const char *name, double value);

/* An unseen rectangle that shows its <title> under the pointer: write the (escaped) text, then end it. */
void chart_hover_begin(html_text *out, double x, double y, double width, double height);
void chart_hover_end(html_text *out);

double chart_em(const chart *chart);

#endif
